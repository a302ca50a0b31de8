/** D9: file pages in private device memory (experimental), and Linux without. */
import { describe, expect, it } from 'vitest';
import {
  checkInvariants,
  dropPagecache,
  exitTask,
  findBrokenInvariants,
  forkTask,
  loadWord,
  type MappedFile,
  mmapRegion,
  storeWord,
  syncFile,
  type Task,
  truncateFile,
  writeFilePages,
} from '../mm/index.ts';
import { MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { AcceleratorBench } from './acceleratorBench.ts';

const PAGES = 16;
const RW = PROT_READ | PROT_WRITE;

function bench(isOn = true) {
  const b = new AcceleratorBench({ experimental: isOn ? ['device_page_cache'] : [] });
  const file = b.k.newFile('data', 'ext4', PAGES);
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

  it('removal under use brings them back', () => {
    const { b, start } = bench();
    b.context.load(b.task, start);
    expect(b.device.remove(b.task)).toBe(0);
    for (let n = 0; n < PAGES; n++) expect(loadWord(b.k, b.task, start + n)).toBe(n + 1);
    checkInvariants(b.k);
  });
});
