/** FS-DAX, device-dax, a P2PDMA provider, and the skeleton. */
import { describe, expect, it } from 'vitest';
import { PAGES_PER_SECTION } from '../base/units.ts';
import {
  accessPage,
  checkInvariants,
  exitTask,
  FAULT_ERROR,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  forkTask,
  getUserPages,
  injectError,
  Kernel,
  loadWord,
  type MappedFile,
  MmuInterval,
  madviseRange,
  mmapRegion,
  mmuIntervalInsert,
  mprotectRange,
  mremapRange,
  munmapRange,
  offlinePfn,
  PG_HWPOISON,
  pageAt,
  pageCount,
  pinUserPages,
  plainMachine,
  putUserPages,
  SIGBUS,
  storeWord,
  type Task,
  unpinUserPages,
} from '../mm/index.ts';
import {
  EBUSY,
  EINVAL,
  EIO,
  ENODEV,
  ENOMEM,
  ENOSPC,
  ENXIO,
  EOPNOTSUPP,
  EREMOTEIO,
} from '../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_PCI_P2PDMA, FOLL_WRITE } from '../uapi/gup.ts';
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { DeviceDax } from './deviceDax.ts';
import { p2pMapType } from './dmaRoute.ts';
import { FsDax } from './fsDax.ts';
import { P2pProvider } from './p2pdma.ts';
import { SkeletonDriver } from './skeleton.ts';

/** How often the entry of a page changed, as a driver hears of it. */
function watch(task: Task, vpn: number): { calls: number } {
  const seen = { calls: 0, invalidate: () => void seen.calls++ };
  mmuIntervalInsert(new MmuInterval(task.mm!, vpn, vpn + 1, seen));
  return seen;
}

const RW = PROT_READ | PROT_WRITE;
const PMEM_PFN = 2 ** 22;

function boot(): { k: Kernel; task: Task } {
  const machine = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 32768 }] }]);
  const k = new Kernel(machine, { seed: 1, trackContent: true, deviceSections: 2 });
  return { k, task: k.spawn(null, 0) };
}

function map(k: Kernel, task: Task, file: MappedFile | null, pages: number, flags: number): number {
  return mmapRegion(k, task.mm!, { addr: 0, pages, prot: RW, flags, file, pgoff: 0 });
}

describe('FS-DAX', () => {
  function withFile() {
    const { k, task } = boot();
    const dax = new FsDax(k);
    expect(dax.probe(0, PMEM_PFN, PAGES_PER_SECTION)).toBe(0);
    const file = dax.create('data', 4) as MappedFile;
    return { k, task, dax, file };
  }

  it('DM-50: pages of the file are the device; mappings are their only references', () => {
    const { k, task, dax, file } = withFile();
    const start = map(k, task, file, 4, MAP_SHARED);
    storeWord(k, task, start, 7);
    const frame = pageAt(k, task.mm!, start);
    expect(k.pm.isZoneDevice(frame)).toBe(true);
    expect([k.frames.refcount[frame], k.folios.mapcount(frame)]).toEqual([1, 1]);
    checkInvariants(k);
    const child = forkTask(k, task) as Task;
    expect(loadWord(k, child, start)).toBe(7);
    expect(k.frames.refcount[frame]).toBe(2);
    exitTask(k, child);
    munmapRange(k, task.mm!, start, start + 4);
    expect([k.frames.refcount[frame], dax.idleEvents]).toEqual([0, 1]);
    checkInvariants(k);
    expect(loadWord(k, task, map(k, task, file, 4, MAP_SHARED))).toBe(7);
    checkInvariants(k);
  });

  it('a private mapping copies to system memory on write', () => {
    const { k, task, file } = withFile();
    const start = map(k, task, file, 4, MAP_PRIVATE);
    expect(loadWord(k, task, start)).toBe(0);
    storeWord(k, task, start, 9);
    expect(k.pm.isZoneDevice(pageAt(k, task.mm!, start))).toBe(false);
    expect(loadWord(k, task, map(k, task, file, 4, MAP_SHARED))).toBe(0);
    checkInvariants(k);
  });

  it('PM-3: no long-term pins; short ones keep truncation and removal waiting', () => {
    const { k, task, dax, file } = withFile();
    const start = map(k, task, file, 4, MAP_SHARED);
    const got: number[] = [];
    const longterm = FOLL_WRITE | FOLL_LONGTERM;
    expect(pinUserPages(k, task, start, 1, longterm, got)).toBe(-EOPNOTSUPP);
    expect(pinUserPages(k, task, start + 1, 1, FOLL_WRITE, got)).toBe(1);
    expect(dax.truncate(file, 2)).toBe(-EBUSY); // ext4_break_layouts: the whole file
    expect(dax.remove()).toBe(-EBUSY);
    unpinUserPages(k, got);
    expect(dax.truncate(file, 1)).toBe(0);
    expect(accessPage(k, task, start + 1, false) & FAULT_SIGBUS).not.toBe(0);
    expect(dax.remove()).toBe(0);
    expect(accessPage(k, task, start, false) & FAULT_SIGBUS).not.toBe(0);
    checkInvariants(k);
  });

  it('what GUP marks accessed is a page like any other once nobody maps it', () => {
    const { k, task, file } = withFile();
    const start = map(k, task, file, 4, MAP_SHARED);
    const got: number[] = [];
    for (let times = 0; times < 2; times++) {
      expect(getUserPages(k, task, start, 1, FOLL_WRITE, got)).toBe(1);
    }
    putUserPages(k, got);
    munmapRange(k, task.mm!, start, start + 4);
    checkInvariants(k);
  });

  it('has as many blocks as pages', () => {
    const { dax } = withFile();
    expect(dax.create('big', PAGES_PER_SECTION)).toBe(-ENOSPC);
  });
});

describe('device-dax (MEMORY_DEVICE_GENERIC)', () => {
  function withDevice() {
    const { k, task } = boot();
    const dax = new DeviceDax(k);
    expect(dax.probe(0, PMEM_PFN, PAGES_PER_SECTION)).toBe(0);
    return { k, task, dax };
  }

  it('DM-50: each page keeps a reference; mappings come on top', () => {
    const { k, task, dax } = withDevice();
    const { start } = dax.pagemap;
    expect([k.frames.refcount[start], pageCount(k, start)]).toEqual([1, 1]);
    const at = dax.mmap(task, 4, RW, MAP_SHARED, 2);
    storeWord(k, task, at, 7);
    expect(pageAt(k, task.mm!, at)).toBe(start + 2);
    expect([k.frames.refcount[start + 2], k.folios.mapcount(start + 2)]).toEqual([2, 1]);
    checkInvariants(k);
    munmapRange(k, task.mm!, at, at + 4);
    expect(k.frames.refcount[start + 2]).toBe(1);
    k.putFolio(start + 2);
    expect(k.frames.refcount[start + 2]).toBe(1); // again at once
    expect(loadWord(k, task, dax.mmap(task, 1, RW, MAP_SHARED, 2))).toBe(7);
    checkInvariants(k);
  });

  it('DM-50: mmap is shared; behind the end of the device an access is SIGBUS', () => {
    const { k, task, dax } = withDevice();
    expect(dax.mmap(task, 1, RW, MAP_PRIVATE, 0)).toBe(-EINVAL);
    const at = dax.mmap(task, 2, RW, MAP_SHARED, PAGES_PER_SECTION - 1);
    expect(accessPage(k, task, at, true) & FAULT_ERROR).toBe(0);
    expect(accessPage(k, task, at + 1, true) & FAULT_ERROR).toBe(FAULT_SIGBUS);
    expect(task.mm!.findVma(at)!.isHugeAdvised()).toBe(true); // dax_mmap: VM_HUGEPAGE
    checkInvariants(k);
  });

  it('MC-82a: poison is SIGBUS to all that map the page, and takes it from them; not soft', () => {
    const { k, task, dax } = withDevice();
    const at = dax.mmap(task, 2, RW, MAP_SHARED, 0);
    const other = k.spawn(null, 0);
    const there = dax.mmap(other, 1, RW, MAP_SHARED, 1);
    const bystander = k.spawn(null, 0);
    dax.mmap(bystander, 1, RW, MAP_SHARED, 1);
    storeWord(k, task, at + 1, 5);
    storeWord(k, other, there, 6);
    expect(injectError(k, task, at + 1, at + 2, true)).toBe(-EIO);
    const mirror = watch(task, at + 1);
    expect(injectError(k, task, at + 1, at + 2, false)).toBe(0);
    expect(mirror.calls).toBe(1); // DM-1
    expect([task, other, bystander].map((one) => one.pendingSignal)).toEqual([SIGBUS, SIGBUS, 0]);
    const page = dax.pagemap.start + 1;
    expect([k.frames.refcount[page], k.poisonedPages]).toEqual([1, 1]);
    checkInvariants(k);
    expect(loadWord(k, other, there)).toBe(6); // dev_dax_fault does not ask
    expect(offlinePfn(k, dax.pagemap.startPfn + 1, false)).toBe(0);
    expect(k.frames.refcount[page]).toBe(1);
    expect(dax.remove()).toBe(0);
    checkInvariants(k);
  });

  it('PM-3: long-term pins are allowed; DM-20: migrate_vma is not', () => {
    const { k, task, dax } = withDevice();
    const at = dax.mmap(task, 4, RW, MAP_SHARED, 0);
    const got: number[] = [];
    const longterm = FOLL_WRITE | FOLL_LONGTERM;
    expect(pinUserPages(k, task, at, 2, longterm, got)).toBe(2);
    expect(got).toEqual([dax.pagemap.start, dax.pagemap.start + 1]);
    const skeleton = new SkeletonDriver(k);
    expect(skeleton.probe(0, PAGES_PER_SECTION)).toBe(0);
    expect(skeleton.migrateToDevice(task, at, 4)).toBe(-EINVAL);
    expect(dax.remove()).toBe(-EBUSY);
    expect(dax.mmap(task, 1, RW, MAP_SHARED, 0)).toBe(-ENXIO);
    expect(accessPage(k, task, at, false) & FAULT_SIGBUS).not.toBe(0);
    unpinUserPages(k, got);
    expect(dax.remove()).toBe(0);
    checkInvariants(k);
  });

  it('DM-50: up to 6.14, too, a page that nobody uses counts one', () => {
    const k = new Kernel(
      { ...plainMachine([{ cpus: [0], zones: [{ zone: 2, pages: 32768 }] }]), kernel: '6.12' },
      { seed: 1, trackContent: false, deviceSections: 2 },
    );
    const dax = new DeviceDax(k);
    expect(dax.probe(0, PMEM_PFN, PAGES_PER_SECTION)).toBe(0);
    expect(pageCount(k, dax.pagemap.start)).toBe(1);
  });
});

describe('P2PDMA', () => {
  const PLACE = { switchId: 1, hostBridge: 0, allowedBridges: new Set([0, 2]) };

  function withProvider() {
    const { k, task } = boot();
    const provider = new P2pProvider(k, PLACE);
    expect(provider.probe(0, PMEM_PFN, PAGES_PER_SECTION)).toBe(0);
    return { k, task, provider };
  }

  it('DM-90: mmap is shared, from 0, and all at once', () => {
    const { k, task, provider } = withProvider();
    expect(provider.mmap(task, 4, RW, MAP_PRIVATE, 0)).toBe(-EINVAL);
    expect(provider.mmap(task, 4, RW, MAP_SHARED, 1)).toBe(-EINVAL);
    expect(provider.mmap(task, PAGES_PER_SECTION + 1, RW, MAP_SHARED, 0)).toBe(-ENOMEM);
    const start = provider.mmap(task, 4, RW, MAP_SHARED, 0);
    expect(k.devices.livePages(provider.pagemap)).toBe(4);
    storeWord(k, task, start + 1, 5);
    checkInvariants(k);
    munmapRange(k, task.mm!, start, start + 4);
    expect(k.devices.livePages(provider.pagemap)).toBe(0);
    expect(provider.free.length).toBe(PAGES_PER_SECTION);
    checkInvariants(k);
  });

  it('PM-4: who does not ask for peer memory gets -EREMOTEIO', () => {
    const { k, task, provider } = withProvider();
    const start = provider.mmap(task, 1, RW, MAP_SHARED, 0);
    const got: number[] = [];
    expect(getUserPages(k, task, start, 1, 0, got)).toBe(-EREMOTEIO);
    expect(pinUserPages(k, task, start, 1, FOLL_LONGTERM | FOLL_PCI_P2PDMA, got)).toBe(-EINVAL);
    expect(getUserPages(k, task, start, 1, FOLL_PCI_P2PDMA, got)).toBe(1);
    munmapRange(k, task.mm!, start, start + 1);
    expect(provider.remove()).toBe(-EBUSY);
    expect(provider.mmap(task, 1, RW, MAP_SHARED, 0)).toBe(-ENODEV);
    putUserPages(k, got);
    expect(provider.remove()).toBe(0);
    checkInvariants(k);
  });

  it('DM-90: removal takes the pages from under programs: the area stays, and is SIGBUS', () => {
    const { k, task, provider } = withProvider();
    const start = provider.mmap(task, 3, RW, MAP_SHARED, 0);
    expect(provider.remove()).toBe(0);
    expect(accessPage(k, task, start, false) & FAULT_ERROR).toBe(FAULT_SIGBUS);
    checkInvariants(k);
  });

  it('DM-90: no fault brings a page: what is gone stays gone, grown areas are empty', () => {
    const { k, task, provider } = withProvider();
    const start = provider.mmap(task, 2, RW, MAP_SHARED, 0);
    const child = forkTask(k, task) as Task;
    storeWord(k, child, start, 5);
    expect(madviseRange(k, task, start, start + 1, MADV_DONTNEED)).toBe(0);
    expect(accessPage(k, task, start, false) & FAULT_ERROR).toBe(FAULT_SIGBUS);
    expect(loadWord(k, child, start)).toBe(5);
    const grown = mremapRange(k, task, start, 2, 4, MREMAP_MAYMOVE, 0);
    expect(accessPage(k, task, grown + 1, true) & FAULT_ERROR).toBe(0);
    expect(accessPage(k, task, grown + 2, true) & FAULT_ERROR).toBe(FAULT_SIGBUS);
    exitTask(k, child);
    expect(provider.lent.size).toBe(1);
    checkInvariants(k);
  });

  it('DM-90: an area without rights has its pages, too', () => {
    const { k, task, provider } = withProvider();
    const start = provider.mmap(task, 1, PROT_NONE, MAP_SHARED, 0);
    expect(provider.lent.size).toBe(1);
    expect(accessPage(k, task, start, false) & FAULT_ERROR).toBe(FAULT_SIGSEGV);
    mprotectRange(k, task.mm!, start, start + 1, RW);
    storeWord(k, task, start, 5);
    expect(loadWord(k, task, start)).toBe(5);
    checkInvariants(k);
  });

  it('MC-82a: memory_failure leaves its pages alone, -EBUSY, and drops what it was given', () => {
    const { k, task, provider } = withProvider();
    const start = provider.mmap(task, 1, RW, MAP_SHARED, 0);
    const page = pageAt(k, task.mm!, start);
    expect(offlinePfn(k, provider.pagemap.startPfn + (page - provider.pagemap.start), false)).toBe(
      -EBUSY,
    );
    expect(injectError(k, task, start, start + 1, false)).toBe(-EREMOTEIO); // PM-4: GUP
    expect([k.frames.refcount[page], k.frames.has(page, PG_HWPOISON)]).toEqual([1, false]);
    checkInvariants(k);
  });

  it('DM-90: same switch, allowed host bridges, or not at all', () => {
    const { provider } = withProvider();
    expect(p2pMapType(provider.place, { switchId: 1, hostBridge: 0 })).toBe('BUS_ADDR');
    expect(p2pMapType(provider.place, { switchId: -1, hostBridge: 2 })).toBe('THRU_HOST_BRIDGE');
    expect(p2pMapType(provider.place, { switchId: -1, hostBridge: 3 })).toBe('NOT_SUPPORTED');
  });
});

describe('the skeleton', () => {
  it('migrates there and back', () => {
    const { k, task } = boot();
    const driver = new SkeletonDriver(k);
    expect(driver.probe(0, PAGES_PER_SECTION)).toBe(0);
    const start = map(k, task, null, 4, MAP_PRIVATE | MAP_ANONYMOUS);
    for (let i = 0; i < 4; i++) storeWord(k, task, start + i, i + 1);
    expect(driver.migrateToDevice(task, start, 4)).toBe(4);
    expect(k.devices.livePages(driver.pagemap)).toBe(4);
    for (let i = 0; i < 4; i++) expect(loadWord(k, task, start + i)).toBe(i + 1);
    expect(k.devices.livePages(driver.pagemap)).toBe(0);
    expect(driver.migrateToDevice(task, 1, 1)).toBe(-EINVAL);
    checkInvariants(k);
  });

  it('DM-53: goes under use; while system memory is full it stays', () => {
    const { k, task } = boot();
    const driver = new SkeletonDriver(k);
    driver.probe(0, PAGES_PER_SECTION);
    const start = map(k, task, null, 64, MAP_PRIVATE | MAP_ANONYMOUS);
    for (let i = 0; i < 64; i++) storeWord(k, task, start + i, i + 1);
    driver.migrateToDevice(task, start, 64);
    const rest = map(k, task, null, 40000, MAP_PRIVATE | MAP_ANONYMOUS);
    let got = 0;
    while ((accessPage(k, task, rest + got, true) & FAULT_ERROR) === 0) got++;
    expect(driver.remove(task)).toBe(-EBUSY);
    expect(k.devices.livePages(driver.pagemap)).toBe(64);
    munmapRange(k, task.mm!, rest, rest + 40000);
    expect(driver.remove(task)).toBe(0);
    for (let i = 0; i < 64; i++) expect(loadWord(k, task, start + i)).toBe(i + 1);
    checkInvariants(k);
  });
});
