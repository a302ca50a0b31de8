/** DM-50: FS-DAX by 2 MiB, one entry for 512 pages of a file that lie together on the device. */
import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR, PAGE_SIZE } from '../../src/base/units.ts';
import {
  AcceleratorContext,
  FsDax,
  PrivateAccelerator,
  SkeletonDriver,
} from '../../src/drivers/index.ts';
import { DEVICE_COST_DEFAULTS } from '../../src/hw/index.ts';
import {
  accessPage,
  checkInvariants,
  exitTask,
  FAULT_ERROR,
  FAULT_SIGBUS,
  forkTask,
  injectError,
  Kernel,
  loadWord,
  type MappedFile,
  madviseRange,
  mmapRegion,
  mprotectRange,
  mremapRange,
  munmapRange,
  pageAt,
  pinUserPages,
  plainMachine,
  storeWord,
  type Task,
  unpinUserPages,
  writeFilePages,
} from '../../src/mm/index.ts';
import { kpageflagsOf, smapsAreaOf } from '../../src/proc/index.ts';
import { movePages, UserAddresses, UserInts } from '../../src/syscalls/index.ts';
import { EBUSY, EFAULT, EINVAL, ENOSPC, EOPNOTSUPP } from '../../src/uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../../src/uapi/gup.ts';
import {
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '../../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { RW, SECTION } from './machine.ts';

const PMEM_PFN = 2 ** 22;
const AT = 2 ** 20;
const FILE_PAGES = 3 * HPAGE_PMD_NR + 100;

function boot() {
  const nodes = [{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: SECTION }] }];
  const k = new Kernel(plainMachine(nodes), { seed: 1, trackContent: true, deviceSections: 4 });
  k.sysctl.thp_enabled = 'never'; // not asked
  const dax = new FsDax(k);
  expect(dax.probe(0, PMEM_PFN, SECTION)).toBe(0);
  dax.create('before', 3); // the next blocks are not aligned
  const file = dax.create('data', FILE_PAGES) as MappedFile;
  return { k, dax, file, task: k.spawn(null, 0) };
}

type Booted = ReturnType<typeof boot>;

function map(b: Booted, at: number, pages: number, flags = MAP_SHARED, pgoff = 0): void {
  const request = { addr: at, pages, prot: RW, flags: flags | MAP_FIXED, file: b.file, pgoff };
  expect(mmapRegion(b.k, b.task.mm!, request)).toBe(at);
}

const isHuge = (task: Task, vpn: number): boolean => {
  const slot = task.mm!.slotOf(vpn);
  return slot >= 0 && task.mm!.pmd[slot] !== 0;
};
const count = (k: Kernel, name: string): number => k.vmstat.snapshot().get(name)!;

describe('a fault of 2 MiB of a DAX file (dax_iomap_pmd_fault)', () => {
  it('one entry, whatever the settings of THP: rss, references, counters', () => {
    const b = boot();
    const { k, task, file } = b;
    map(b, AT, FILE_PAGES);
    storeWord(k, task, AT + 7, 70);
    expect([isHuge(task, AT), isHuge(task, AT + HPAGE_PMD_NR)]).toEqual([true, false]);
    const head = file.frameAt(0);
    expect([head % HPAGE_PMD_NR, pageAt(k, task.mm!, AT + 7)]).toEqual([0, head + 7]);
    expect([k.frames.refcount[head], k.folios.mapcount(head), task.mm!.rssFile]).toEqual([
      1, 1, 512,
    ]);
    expect([count(k, 'thp_fault_alloc'), count(k, 'thp_file_mapped')]).toEqual([0, 0]);
    checkInvariants(k);
    const child = forkTask(k, task) as Task;
    expect(loadWord(k, child, AT + 7)).toBe(70);
    expect(isHuge(child, AT)).toBe(true);
    expect(k.frames.refcount[head]).toBe(2);
    exitTask(k, child);
    munmapRange(k, task.mm!, AT, AT + FILE_PAGES);
    expect([k.frames.refcount[head], task.mm!.rssFile]).toEqual([0, 0]);
    checkInvariants(k);
  });

  it('looks: smaps counts Rss but no FilePmdMapped, kpageflags sees no memory', () => {
    const b = boot();
    map(b, AT, HPAGE_PMD_NR);
    loadWord(b.k, b.task, AT);
    const { rows } = smapsAreaOf(b.k, b.task.mm!.findVma(AT)!);
    expect(['Rss', 'FilePmdMapped', 'ShmemPmdMapped'].map((row) => rows.get(row))).toEqual([
      2048, 0, 0,
    ]);
    expect(kpageflagsOf(b.k, b.file.frameAt(0))).toBe(kpageflagsOf(b.k, b.file.frameAt(513)));
  });

  it.each([
    ['addresses and file are aligned to each other differently', AT + 1, 600, 0, MAP_SHARED],
    ['the area does not hold all of it', AT, HPAGE_PMD_NR - 1, 0, MAP_SHARED],
    ['the file ends in it', AT, HPAGE_PMD_NR, 3 * HPAGE_PMD_NR, MAP_SHARED],
    ['it would have to be copied', AT, HPAGE_PMD_NR, 0, MAP_PRIVATE],
  ])('falls back to a small page: %s', (_why, at, pages, pgoff, flags) => {
    const b = boot();
    map(b, at, pages, flags, pgoff);
    storeWord(b.k, b.task, at + 5, 6);
    expect([isHuge(b.task, at), b.task.mm!.rssFile + b.task.mm!.rssAnon]).toEqual([false, 1]);
    checkInvariants(b.k);
  });

  it('falls back where the area is NOHUGEPAGE, and where the device has no such piece', () => {
    const b = boot();
    map(b, AT, HPAGE_PMD_NR);
    expect(madviseRange(b.k, b.task, AT, AT + HPAGE_PMD_NR, MADV_NOHUGEPAGE)).toBe(0);
    loadWord(b.k, b.task, AT);
    expect(isHuge(b.task, AT)).toBe(false);
    while (b.dax.freeBlocks.length > HPAGE_PMD_NR) b.dax.create('filler', HPAGE_PMD_NR);
    const pieces = b.dax.create('pieces', b.dax.freeBlocks.length - 2) as MappedFile;
    const request = { addr: 2 * AT, pages: HPAGE_PMD_NR, prot: RW, pgoff: 0, file: pieces };
    mmapRegion(b.k, b.task.mm!, { ...request, flags: MAP_SHARED | MAP_FIXED });
    const outcome = accessPage(b.k, b.task, 2 * AT, true) & FAULT_ERROR;
    expect([outcome, isHuge(b.task, 2 * AT)]).toEqual([0, false]);
    checkInvariants(b.k);
  });

  it('a page that was faulted by itself keeps its 2 MiB small until the file is cut', () => {
    const b = boot();
    const { k, task, file } = b;
    map(b, AT + 1, 8);
    loadWord(k, task, AT + 1);
    map(b, 2 * AT, HPAGE_PMD_NR);
    loadWord(k, task, 2 * AT);
    expect(isHuge(task, 2 * AT)).toBe(false);
    munmapRange(k, task.mm!, AT, 3 * AT);
    map(b, 2 * AT, HPAGE_PMD_NR);
    loadWord(k, task, 2 * AT);
    expect([isHuge(task, 2 * AT), k.folios.isLarge(file.frameAt(0))]).toEqual([false, false]);
    checkInvariants(k);
  });

  it('write(2) reaches the blocks, mapped or not, and not what is behind them', () => {
    const b = boot();
    const { k, task, file } = b;
    expect(writeFilePages(k, task, file, 6, Uint32Array.of(60, 70, 80))).toBe(0);
    map(b, AT, HPAGE_PMD_NR);
    expect([loadWord(k, task, AT + 8), isHuge(task, AT)]).toEqual([80, true]);
    expect(writeFilePages(k, task, file, 7, Uint32Array.of(71))).toBe(0);
    expect([6, 7, 8].map((n) => loadWord(k, task, AT + n))).toEqual([60, 71, 80]);
    expect(writeFilePages(k, task, file, FILE_PAGES - 1, Uint32Array.of(1, 2))).toBe(-ENOSPC);
    expect(count(k, 'nr_file_pages')).toBe(0);
    checkInvariants(k);
  });

  it('an area of another alignment maps small entries of the large folio', () => {
    const b = boot();
    const { k, task, file } = b;
    map(b, AT, HPAGE_PMD_NR);
    storeWord(k, task, AT + 3, 30);
    map(b, 2 * AT + 1, 20);
    expect(loadWord(k, task, 2 * AT + 4)).toBe(30);
    const head = file.frameAt(0);
    expect([k.folios.mapcount(head), k.frames.refcount[head]]).toEqual([2, 2]);
    checkInvariants(k);
    munmapRange(k, task.mm!, AT, AT + HPAGE_PMD_NR);
    expect(loadWord(k, task, 2 * AT + 4)).toBe(30);
    checkInvariants(k);
  });
});

describe('an entry of 2 MiB of a DAX file afterwards', () => {
  it('mprotect of all of it: a store makes the entry writable; of a part: it is taken out', () => {
    const b = boot();
    const { k, task } = b;
    map(b, AT, HPAGE_PMD_NR);
    storeWord(k, task, AT, 1);
    mprotectRange(k, task.mm!, AT, AT + HPAGE_PMD_NR, 1);
    expect(accessPage(k, task, AT, true) & FAULT_ERROR).not.toBe(0);
    mprotectRange(k, task.mm!, AT, AT + HPAGE_PMD_NR, RW);
    storeWord(k, task, AT, 2);
    expect([isHuge(task, AT), count(k, 'thp_split_pmd')]).toEqual([true, 0]);
    mprotectRange(k, task.mm!, AT + 9, AT + 10, 1);
    expect([isHuge(task, AT), count(k, 'thp_split_pmd'), task.mm!.rssFile]).toEqual([false, 1, 0]);
    expect([loadWord(k, task, AT), loadWord(k, task, AT + 9)]).toEqual([2, 0]);
    expect(task.mm!.rssFile).toBe(2);
    checkInvariants(k);
  });

  it('a private area reads by 2 MiB; its store splits and copies one page', () => {
    const b = boot();
    const { k, task } = b;
    map(b, AT, HPAGE_PMD_NR, MAP_PRIVATE);
    loadWord(k, task, AT);
    expect(isHuge(task, AT)).toBe(true);
    storeWord(k, task, AT + 1, 9);
    expect([isHuge(task, AT), task.mm!.rssAnon, loadWord(k, task, AT + 2)]).toEqual([false, 1, 0]);
    map(b, 2 * AT, HPAGE_PMD_NR);
    expect(loadWord(k, task, 2 * AT + 1)).toBe(0);
    checkInvariants(k);
  });

  it('mremap moves it whole where it fits, else takes it out', () => {
    const b = boot();
    const { k, task } = b;
    map(b, AT, HPAGE_PMD_NR);
    storeWord(k, task, AT + 4, 40);
    const move = (from: number, to: number): void => {
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
      expect(mremapRange(k, task, from, HPAGE_PMD_NR, HPAGE_PMD_NR, flags, to)).toBe(to);
    };
    move(AT, 2 * AT);
    expect([isHuge(task, 2 * AT), loadWord(k, task, 2 * AT + 4)]).toEqual([true, 40]);
    move(2 * AT, 3 * AT + 1);
    expect([isHuge(task, 3 * AT), loadWord(k, task, 3 * AT + 5)]).toEqual([false, 40]);
    checkInvariants(k);
  });

  it('nothing moves it: move_pages -EFAULT (MP-21), migrate_vma -EINVAL (DM-20)', () => {
    const b = boot();
    const { k, task } = b;
    map(b, AT, HPAGE_PMD_NR);
    storeWord(k, task, AT, 1);
    const cells = new Int32Array(1);
    const addresses = new UserAddresses(Float64Array.of(AT * PAGE_SIZE));
    movePages(k, task, 0, 1, addresses, new UserInts(new Int32Array(1)), new UserInts(cells), 2);
    expect(cells[0]).toBe(-EFAULT);
    const device = new PrivateAccelerator(k, {
      name: 'gpu',
      nid: 0,
      nrPages: SECTION,
      placement: 'fault',
      rangePages: 16,
      counterThreshold: 0,
      splitsOnReturn: false,
      cost: DEVICE_COST_DEFAULTS,
    });
    expect(device.probe(-1)).toBe(0);
    const context = AcceleratorContext.open(device, task) as AcceleratorContext;
    expect(context.migrateToDevice(task, AT, HPAGE_PMD_NR)).toBe(0); // pages
    const skeleton = new SkeletonDriver(k);
    expect(skeleton.probe(0, SECTION)).toBe(0);
    expect(skeleton.migrateToDevice(task, AT, HPAGE_PMD_NR)).toBe(-EINVAL);
    expect(context.load(task, AT)).toBe(1); // where it is
    expect(madviseRange(k, task, AT, AT + HPAGE_PMD_NR, MADV_PAGEOUT)).toBe(0);
    expect(isHuge(task, AT)).toBe(true);
    checkInvariants(k);
  });

  it('PM-3: a short pin holds all 2 MiB of the file; a long one is refused', () => {
    const b = boot();
    const { k, task, dax, file } = b;
    map(b, AT, HPAGE_PMD_NR);
    storeWord(k, task, AT, 1);
    const got: number[] = [];
    expect(pinUserPages(k, task, AT, 1, FOLL_WRITE | FOLL_LONGTERM, got)).toBe(-EOPNOTSUPP);
    expect(pinUserPages(k, task, AT + 5, 1, FOLL_WRITE, got)).toBe(1);
    expect([got[0], isHuge(task, AT)]).toEqual([file.frameAt(5), true]);
    expect(dax.truncate(file, 100)).toBe(-EBUSY);
    unpinUserPages(k, got);
    expect(loadWord(k, task, AT)).toBe(1);
    expect(dax.truncate(file, 100)).toBe(0);
    checkInvariants(k);
    expect(accessPage(k, task, AT + 100, false) & FAULT_ERROR).toBe(FAULT_SIGBUS);
    expect([loadWord(k, task, AT), isHuge(task, AT)]).toEqual([1, false]);
    expect(k.folios.isLarge(file.frameAt(0))).toBe(false);
    const blocks = dax.freeBlocks.length;
    expect(dax.remove()).toBe(0);
    expect(dax.freeBlocks.length).toBe(blocks + 103);
    checkInvariants(k);
  });

  it('MC-82a: poison takes the whole entry; the page can be mapped again', () => {
    const b = boot();
    const { k, task, file } = b;
    map(b, AT, HPAGE_PMD_NR);
    storeWord(k, task, AT + 8, 1);
    expect(injectError(k, task, AT + 8, AT + 9, false)).toBe(0);
    expect([isHuge(task, AT), task.mm!.rssFile, task.pendingSignal]).toEqual([false, 0, 7]);
    expect(k.frames.refcount[file.frameAt(0)]).toBe(0);
    checkInvariants(k);
    expect([loadWord(k, task, AT + 8), isHuge(task, AT)]).toEqual([1, true]);
  });
});
