/** D9: file pages in private device memory (experimental), and Linux without. */
import { describe, expect, it } from 'vitest';
import { PAGES_PER_SECTION } from '../base/units.ts';
import {
  accessPage,
  checkInvariants,
  dropPagecache,
  exitTask,
  FAULT_OOM,
  type FileKind,
  findBrokenInvariants,
  forkTask,
  loadWord,
  type MappedFile,
  madviseCollapse,
  mmapRegion,
  PG_DIRTY,
  prepareDirectIo,
  storeWord,
  syncFile,
  type Task,
  truncateFile,
  writeFilePages,
} from '../mm/index.ts';
import { ENOENT, ENOMEM } from '../uapi/errno.ts';
import { MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { AcceleratorBench } from './acceleratorBench.ts';
import { Dmirror } from './dmirror.ts';
import { DmirrorDevice } from './dmirrorDevice.ts';

const PAGES = 16;
const RW = PROT_READ | PROT_WRITE;

const DIRTY_TOO = ['device_page_cache', 'device_dirty_pages'] as const;

function bench(isOn = true, kind: FileKind = 'ext4', isDirtyToo = false) {
  const features = isDirtyToo ? DIRTY_TOO : (['device_page_cache'] as const);
  const b = new AcceleratorBench({ experimental: isOn ? features : [] });
  const file = b.k.newFile('data', kind, PAGES);
  const start = mapFile(b, b.task, file);
  for (let n = 0; n < PAGES; n++) storeWord(b.k, b.task, start + n, n + 1);
  syncFile(b.k, file);
  return { b, file, start };
}

function mapFile(b: AcceleratorBench, task: Task, file: MappedFile): number {
  const request = { addr: 0, pages: PAGES, prot: RW, flags: MAP_SHARED, file, pgoff: 0 };
  return mmapRegion(b.k, task.mm!, request);
}

/** The program ends, the cache is dropped, the device goes. */
function ended(b: AcceleratorBench): string[] {
  exitTask(b.k, b.task);
  dropPagecache(b.k);
  const left = findBrokenInvariants(b.k);
  if (b.live !== 0) left.push(`DM-50: ${b.live} device pages are live`);
  if (b.device.remove(b.task) !== 0) left.push('DM-53: the device stays');
  return left;
}

describe('file pages and devices', () => {
  it('DM-30: Linux leaves them in system memory; the device works over the link', () => {
    const { b, start } = bench(false);
    expect(b.context.load(b.task, start)).toBe(1);
    expect([b.live, b.device.stats.remoteAccesses]).toEqual([0, 1]);
    expect(ended(b)).toEqual([]);
  });

  it('DM-85: clean pages go there, and a CPU fault of any process brings one back', () => {
    const { b, file, start } = bench();
    expect(b.context.load(b.task, start + 3)).toBe(4);
    expect(b.live).toBe(PAGES);
    checkInvariants(b.k);
    const other = b.k.spawn(null, 0);
    expect(loadWord(b.k, other, mapFile(b, other, file) + 2)).toBe(3);
    expect(b.live).toBe(PAGES - 1);
    expect(loadWord(b.k, b.task, start + 5)).toBe(6);
    expect(b.live).toBe(PAGES - 2);
    checkInvariants(b.k);
    exitTask(b.k, other);
    expect(ended(b)).toEqual([]);
  });

  it('DM-85: write(2) looks the page up and brings it back first', () => {
    const { b, file, start } = bench();
    b.context.load(b.task, start);
    expect(writeFilePages(b.k, b.task, file, 4, Uint32Array.of(77))).toBe(0);
    expect(b.live).toBe(PAGES - 1);
    expect(b.context.load(b.task, start + 4)).toBe(77);
    checkInvariants(b.k);
    expect(ended(b)).toEqual([]);
  });

  it('DM-85: without room in system memory the fault is FAULT_OOM, write(2) is -ENOMEM', () => {
    const { b, start, file } = bench();
    b.context.load(b.task, start);
    while (b.k.allocPageTable(0) >= 0);
    const other = b.k.spawn(null, 0);
    expect(accessPage(b.k, b.task, start + 3, false)).toBe(FAULT_OOM);
    expect(writeFilePages(b.k, other, file, 4, Uint32Array.of(77))).toBe(-ENOMEM);
    expect(b.live).toBe(PAGES);
  });

  it('DM-86: dirty pages stay; a device that writes sends the page home first', () => {
    const { b, file, start } = bench();
    storeWord(b.k, b.task, start + 1, 99);
    b.context.load(b.task, start);
    expect(b.live).toBe(PAGES - 1);
    expect(b.context.store(b.task, start + 2, 55)).toBe(0);
    expect(b.live).toBe(PAGES - 2);
    syncFile(b.k, file);
    expect(loadWord(b.k, b.task, start + 2)).toBe(55);
    checkInvariants(b.k);
    expect(ended(b)).toEqual([]);
  });

  it('DM-86: truncation and dropped caches free device pages; the file keeps the data', () => {
    const { b, file, start } = bench();
    b.context.load(b.task, start);
    truncateFile(b.k, file, 8);
    expect(b.live).toBe(8);
    checkInvariants(b.k);
    expect(b.context.load(b.task, start + 8)).toBeLessThan(0);
    const child = forkTask(b.k, b.task) as Task;
    exitTask(b.k, b.task);
    exitTask(b.k, child);
    dropPagecache(b.k);
    expect(b.live).toBe(0);
    const task = b.k.spawn(null, 0);
    expect(loadWord(b.k, task, mapFile(b, task, file) + 7)).toBe(8);
    checkInvariants(b.k);
  });

  it('fork copies the entries of a private mapping that has copies of its own, too', () => {
    const { b, file } = bench();
    const flags = MAP_PRIVATE;
    const request = { addr: 0, pages: PAGES, prot: RW, flags, file, pgoff: 0 };
    const start = mmapRegion(b.k, b.task.mm!, request);
    for (let n = 0; n < PAGES; n++) loadWord(b.k, b.task, start + n);
    storeWord(b.k, b.task, start + 1, 99);
    b.context.load(b.task, start);
    expect(b.live).toBe(PAGES);
    const child = forkTask(b.k, b.task) as Task;
    checkInvariants(b.k);
    expect([loadWord(b.k, child, start), loadWord(b.k, child, start + 1)]).toEqual([1, 99]);
    checkInvariants(b.k);
    exitTask(b.k, child);
    expect(ended(b)).toEqual([]);
  });

  it('OV-42: a direct write leaves the device without its page, a direct read as it is', () => {
    const { b, file, start } = bench();
    b.context.load(b.task, start);
    prepareDirectIo(b.k, file, 2, 1, true);
    expect(b.live).toBe(PAGES);
    prepareDirectIo(b.k, file, 3, 1, false);
    expect([b.live, file.frameAt(3)]).toEqual([PAGES - 1, -1]);
    expect(b.context.load(b.task, start + 3)).toBe(4);
    checkInvariants(b.k);
    expect(ended(b)).toEqual([]);
  });

  it('a driver without the look-up callback gets none', () => {
    const { b, start } = bench();
    const device = DmirrorDevice.probe(b.k, {
      name: 'other',
      coherentPfn: -1,
      nid: 0,
      chunkPages: PAGES_PER_SECTION,
    });
    const mirror = Dmirror.open(b.k, device, b.task);
    expect(mirror.migrateToDevice(b.task, start, PAGES).ret).toBe(-ENOENT);
    storeWord(b.k, b.task, start, 5);
    checkInvariants(b.k);
  });

  it('removal under use brings them back', () => {
    const { b, start } = bench();
    b.context.load(b.task, start);
    expect(b.device.remove(b.task)).toBe(0);
    for (let n = 0; n < PAGES; n++) expect(loadWord(b.k, b.task, start + n)).toBe(n + 1);
    checkInvariants(b.k);
  });
});

describe('dirty pages and shmem on a device (device_dirty_pages)', () => {
  it('DM-86: go there dirty; fsync fetches the data and write-protects the page', () => {
    const { b, file, start } = bench(true, 'ext4', true);
    storeWord(b.k, b.task, start + 1, 99);
    b.context.load(b.task, start);
    expect(b.live).toBe(PAGES);
    expect(b.k.frames.has(file.frameAt(1), PG_DIRTY)).toBe(true);
    expect(b.context.store(b.task, start + 1, 100)).toBe(0);
    expect(b.live).toBe(PAGES);
    syncFile(b.k, file);
    expect([b.device.stats.pagesWrittenBack, file.backing.get(1)]).toEqual([1, 100]);
    expect([b.live, b.k.frames.has(file.frameAt(1), PG_DIRTY)]).toEqual([PAGES, false]);
    checkInvariants(b.k);
    // The next store of the device must be told: it sends the page home.
    expect(b.context.store(b.task, start + 1, 101)).toBe(0);
    expect([b.live, b.k.frames.has(file.frameAt(1), PG_DIRTY)]).toEqual([PAGES - 1, true]);
    expect(loadWord(b.k, b.task, start + 1)).toBe(101);
    checkInvariants(b.k);
    syncFile(b.k, file);
    expect(ended(b)).toEqual([]);
  });

  it('DM-86: a clean page of a file is write-protected there, too', () => {
    const { b, start } = bench(true, 'ext4', true);
    b.context.load(b.task, start);
    expect(b.context.store(b.task, start, 7)).toBe(0);
    expect(b.live).toBe(PAGES - 1);
    expect(loadWord(b.k, b.task, start)).toBe(7);
    checkInvariants(b.k);
  });

  it('D5: shmem is shared by processes and device; the CPU gets what the device wrote', () => {
    const { b, file, start } = bench(true, 'tmpfs', true);
    b.context.load(b.task, start);
    expect(b.live).toBe(PAGES);
    const child = forkTask(b.k, b.task) as Task;
    for (let n = 0; n < PAGES; n++) expect(b.context.store(b.task, start + n, 50 + n)).toBe(0);
    checkInvariants(b.k);
    expect(loadWord(b.k, child, start + 3)).toBe(53);
    expect(b.live).toBe(PAGES - 1);
    const other = b.k.spawn(null, 0);
    expect(loadWord(b.k, other, mapFile(b, other, file) + 4)).toBe(54);
    expect(writeFilePages(b.k, b.task, file, 5, Uint32Array.of(77))).toBe(0);
    expect(b.live).toBe(PAGES - 3);
    truncateFile(b.k, file, 10);
    expect(b.live).toBe(10 - 3);
    expect(b.context.load(b.task, start + 5)).toBe(77);
    expect(b.live).toBe(10);
    checkInvariants(b.k);
    for (const task of [other, child]) exitTask(b.k, task);
    expect(b.device.remove(b.task)).toBe(0);
    expect(loadWord(b.k, b.task, start + 6)).toBe(56);
  });

  it('shmem stays in Linux, and without device_dirty_pages', () => {
    for (const isOn of [false, true]) {
      const { b, start } = bench(isOn, 'tmpfs');
      expect(b.context.load(b.task, start)).toBe(1);
      expect([b.live, b.device.stats.remoteAccesses]).toEqual([0, 1]);
    }
  });

  it('OV-31i: a collapse looks the pages up and gets them back', () => {
    const b = new AcceleratorBench({ experimental: DIRTY_TOO });
    const file = b.k.newFile('data', 'tmpfs', 512);
    const request = { addr: 0, pages: 1024, prot: RW, flags: MAP_SHARED, file, pgoff: 0 };
    const addr = Math.ceil(mmapRegion(b.k, b.task.mm!, request) / 512) * 512;
    const at = { ...request, addr, pages: 512, flags: MAP_SHARED | MAP_FIXED };
    expect(mmapRegion(b.k, b.task.mm!, at)).toBe(addr);
    for (let n = 0; n < 512; n++) storeWord(b.k, b.task, addr + n, n + 1);
    b.context.load(b.task, addr + 20);
    expect(b.live).toBe(16);
    expect(madviseCollapse(b.k, b.task, addr, addr + 512)).toBe(0);
    expect([b.live, b.k.folios.isThp(file.frameAt(0))]).toEqual([0, true]);
    expect(b.wrongPages(addr, 512)).toBe(0);
    checkInvariants(b.k);
  });
});
