/** MC-82a, MC-82b, MC-30: hard poison and soft offline, by kind of page. */
import { describe, expect, it } from 'vitest';
import { EBUSY, EFAULT, EHWPOISON, EIO, EPERM } from '../uapi/errno.ts';
import { FOLL_HWPOISON, FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { MADV_PAGEOUT } from '../uapi/mman.ts';
import { NR_WRITEBACK } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_POISONED, FAULT_SIGBUS } from './fault.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_HWPOISON,
  PG_LRU,
  PG_MLOCKED,
  PG_SWAPCACHE,
  PG_WRITEBACK,
} from './frameTable.ts';
import { getUserPages, pinUserPages } from './gup.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { injectError, memoryFailure, offlinePfn, softOffline } from './memoryFailure.ts';
import { applyLockFlags, populateRange } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import { MmuInterval, type MmuRange, mmuIntervalInsert } from './mmuNotifier.ts';
import { PTE_KIND_HWPOISON, pteIsKind } from './pageTable.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

function boot(options: { thp?: boolean; kernel?: string } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes(
    [
      { cpus: [0, 1], zones },
      { cpus: [], zones },
    ],
    { swapPages: 512 },
  );
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  return new TestProgram(k);
}

const isPoisonEntry = (p: TestProgram, vpn: number) =>
  pteIsKind(p.entry(vpn).word, PTE_KIND_HWPOISON);

describe('MADV_HWPOISON (MC-82a)', () => {
  it('PP-61: what was measured of a page is not of the bad one; its neighbours stay', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const [bad, good] = [p.frame(a), p.frame(a + 1)];
    const { generation } = p.k.frames;
    const before = [generation[bad], generation[good]];
    injectError(p.k, p.task, a, a + 1, false);
    expect(generation[bad]).not.toBe(before[0]);
    expect(generation[good]).toBe(before[1]);
  });

  it('leaves a hwpoison entry, signals the caller, and never frees the frame', () => {
    const p = boot();
    const a = p.mapWritten(3);
    const page = p.frame(a);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(0);
    expect([isPoisonEntry(p, a), p.task.pendingSignal]).toEqual([true, 7]);
    expect([p.load(a + 1), p.load(a + 2)]).toEqual([2, 3]);
    expect(p.access(a, false) & FAULT_SIGBUS).not.toBe(0);
    expect([p.k.frames.has(page, PG_LRU), p.k.poisonedPages]).toEqual([false, 1]);
    munmapRange(p.k, p.task.mm!, a, a + 3);
    expect([p.k.pm.isFree(page), p.k.frames.refcount[page]]).toEqual([false, 1]);
    checkInvariants(p.k);
  });

  it('DM-1: tells who mirrors the page', () => {
    const p = boot();
    const a = p.mapWritten(3);
    const heard: number[] = [];
    const listener = { invalidate: ({ start, end }: MmuRange) => heard.push(start, end) };
    mmuIntervalInsert(new MmuInterval(p.task.mm!, a, a + 3, listener));
    expect(injectError(p.k, p.task, a + 1, a + 2, false)).toBe(0);
    expect(heard).toEqual([a + 1, a + 2]);
  });

  it('needs CAP_SYS_ADMIN, and a page that GUP can get', () => {
    const p = boot();
    const a = p.mapWritten(1);
    expect(injectError(p.k, p.task, a + 50, a + 51, false)).toBe(-EFAULT);
    injectError(p.k, p.task, a, a + 1, false);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(-EFAULT);
    p.task.caps = 0;
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(-EPERM);
  });

  it('takes the page from everybody who maps it; who did not ask gets SIGBUS at the access', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    injectError(p.k, p.task, a, a + 1, false);
    expect([isPoisonEntry(p, a), isPoisonEntry(child, a)]).toEqual([true, true]);
    expect(child.task.pendingSignal).toBe(0);
    expect(child.access(a, true) & FAULT_SIGBUS).not.toBe(0);
    checkInvariants(p.k);
  });

  it('copies the entry at fork', () => {
    const p = boot();
    const a = p.mapWritten(1);
    injectError(p.k, p.task, a, a + 1, false);
    const child = p.fork();
    expect(child.access(a, false) & FAULT_SIGBUS).not.toBe(0);
    checkInvariants(p.k);
  });

  it('splits a huge page: one frame is lost, 511 stay', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    expect(p.k.folios.isLarge(p.head(a))).toBe(true);
    expect(injectError(p.k, p.task, a + 7, a + 8, false)).toBe(0);
    expect([isPoisonEntry(p, a + 7), p.load(a + 6), p.load(a + 8)]).toEqual([true, 7, 9]);
    expect(vmstat(p.k, 'thp_split_page')).toBe(1);
    checkInvariants(p.k);
  });

  it('takes mlocked and pinned pages, too', () => {
    const p = boot();
    const a = p.mapWritten(2);
    applyLockFlags(p.k, p.task.mm!, a, a + 1, VM_LOCKED);
    populateRange(p.k, p.task, a, a + 1);
    const locked = p.frame(a);
    const pinned: number[] = [];
    pinUserPages(p.k, p.task, a + 1, 1, FOLL_LONGTERM | FOLL_WRITE, pinned);
    expect(injectError(p.k, p.task, a, a + 2, false)).toBe(0);
    expect([isPoisonEntry(p, a), isPoisonEntry(p, a + 1)]).toEqual([true, true]);
    expect(p.k.frames.has(locked, PG_MLOCKED)).toBe(false);
    expect(vmstat(p.k, 'nr_mlock')).toBe(0);
    checkInvariants(p.k);
  });

  it('drops a clean page of a file without a signal: it is read again', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 4);
    file.backing.set(0, 77);
    const a = p.map(4, { file, shared: true });
    expect(p.load(a)).toBe(77);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(0);
    expect([p.task.pendingSignal, isPoisonEntry(p, a), p.load(a)]).toEqual([0, false, 77]);
    checkInvariants(p.k);
  });

  it('loses a dirty page of a file: SIGBUS; what is read again is the old content', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 4);
    file.backing.set(0, 77);
    const a = p.map(4, { file, shared: true });
    p.store(a, 5);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(0);
    expect([p.task.pendingSignal, isPoisonEntry(p, a), file.frameAt(0)]).toEqual([7, true, -1]);
    munmapRange(p.k, p.task.mm!, a, a + 4);
    expect(p.load(p.map(4, { file, shared: true }))).toBe(77);
    checkInvariants(p.k);
  });

  it('keeps a page of shared memory in its object: a new mapping gets SIGBUS', () => {
    const p = boot();
    const file = p.k.newFile('s', 'tmpfs', 4);
    const a = p.map(4, { file, shared: true });
    p.store(a, 5);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(0);
    const b = p.map(4, { file, shared: true });
    expect(p.access(b, false) & FAULT_SIGBUS).not.toBe(0);
    expect(p.access(b + 1, false) & FAULT_SIGBUS).toBe(0);
    checkInvariants(p.k);
  });

  it('stays with a page of the kernel', () => {
    const p = boot();
    const a = p.map(1);
    expect(p.load(a)).toBe(0);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(-EBUSY); // the zero page
  });
});

describe('an error found without an access (hard_offline_page)', () => {
  it('sends no signal', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const pfn = p.k.frames.pfnOf(p.frame(a));
    expect(offlinePfn(p.k, pfn, false)).toBe(0);
    expect([p.task.pendingSignal, isPoisonEntry(p, a)]).toEqual([0, true]);
    const page = p.k.frames.frameOfPfn(pfn);
    expect(p.k.frames.refcount[page]).toBe(1);
    expect([offlinePfn(p.k, pfn, false), p.k.frames.refcount[page]]).toEqual([-EHWPOISON, 1]);
    expect(offlinePfn(p.k, 2 ** 40, false)).toBe(-6);
  });

  it.each([
    ['hard', false],
    ['soft', true],
  ])('%s: waits for the write-back of the page, and takes its marks', (_what, soft) => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const page = p.frame(a);
    p.k.lru.drainAll();
    p.k.lru.activate(page);
    p.k.frames.set(page, PG_WRITEBACK);
    p.k.vmstat.modNode(0, NR_WRITEBACK, 1);
    expect(offlinePfn(p.k, p.k.frames.pfnOf(page), soft)).toBe(0);
    expect([p.k.frames.has(page, PG_WRITEBACK), vmstat(p.k, 'nr_writeback')]).toEqual([false, 0]);
    expect(p.k.frames.has(page, PG_ACTIVE)).toBe(false);
  });

  it('takes a free frame out of the buddy allocator and leaves its neighbours there', () => {
    const p = boot();
    const last = p.k.pm.zones.at(-1)!.presentRanges[0].end - 1;
    const free = vmstat(p.k, 'nr_free_pages');
    expect(memoryFailure(p.k, last - 5, null, false)).toBe(0);
    expect(vmstat(p.k, 'nr_free_pages')).toBe(free - 1);
    expect([p.k.pm.isFree(last - 5), p.k.pm.isFree(last - 4)]).toEqual([false, true]);
    expect(p.k.frames.has(last - 5, PG_HWPOISON)).toBe(true);
    checkInvariants(p.k);
  });
});

describe('soft offline (MC-82b)', () => {
  it('migrates the page within its node and keeps the frame out with its flags', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    expect(injectError(p.k, p.task, a, a + 1, true)).toBe(0);
    expect([p.frame(a) !== page, p.nid(a), p.load(a)]).toEqual([true, 0, 1]);
    const { flags, refcount } = p.k.frames;
    expect(flags[page] & (PG_HWPOISON | PG_DIRTY | PG_LRU)).toBe(PG_HWPOISON | PG_DIRTY);
    expect([refcount[page], vmstat(p.k, 'pgmigrate_success')]).toEqual([1, 1]);
    expect(injectError(p.k, p.task, a, a + 1, true)).toBe(0);
    checkInvariants(p.k);
  });

  it('cannot move a pinned page: -EBUSY, and nothing is poisoned (MC-27)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    pinUserPages(p.k, p.task, a, 1, FOLL_LONGTERM | FOLL_WRITE, []);
    expect(injectError(p.k, p.task, a, a + 1, true)).toBe(-EBUSY);
    expect([vmstat(p.k, 'pgmigrate_fail'), p.k.poisonedPages]).toEqual([1, 0]);
    expect([p.has(a, PG_HWPOISON), p.load(a)]).toEqual([false, 1]);
    checkInvariants(p.k);
  });

  it('splits a huge page and moves the one page', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    const page = p.frame(a + 9);
    expect(injectError(p.k, p.task, a + 9, a + 10, true)).toBe(0);
    expect([p.frame(a + 9) !== page, p.load(a + 9), p.load(a + 10)]).toEqual([true, 10, 11]);
    expect(p.k.frames.has(page, PG_HWPOISON)).toBe(true);
    checkInvariants(p.k);
  });

  it.each([0, 9])('MC-14, MC-87: page %i of zeros, which the split unmaps, is kept', (n) => {
    const p = boot({ thp: true });
    const a = p.map(512, { addr: 512 * 1024 });
    p.store(a + 1, 7);
    const page = p.frame(a + n);
    expect(injectError(p.k, p.task, a + n, a + n + 1, true)).toBe(0);
    expect([p.k.pm.isFree(page), p.k.frames.refcount[page], p.load(a + n)]).toEqual([false, 1, 0]);
    expect([p.k.frames.has(page, PG_HWPOISON), p.load(a + 1)]).toEqual([true, 7]);
    checkInvariants(p.k);
  });

  it('drops clean page cache that nobody maps, and takes free frames', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 4);
    const a = p.map(4, { file, shared: true });
    p.load(a);
    const page = p.frame(a);
    munmapRange(p.k, p.task.mm!, a, a + 4);
    expect(softOffline(p.k, page, false)).toBe(0);
    expect([file.frameAt(0), vmstat(p.k, 'pgmigrate_success')]).toEqual([-1, 0]);
    const last = p.k.pm.zones.at(-1)!.presentRanges[0].end - 1;
    expect(softOffline(p.k, last, false)).toBe(0);
    expect(p.k.poisonedPages).toBe(2);
    checkInvariants(p.k);
  });
});

describe('hugetlb pages (MC-82a, MC-82b)', () => {
  function huge(isShared: boolean) {
    const p = boot();
    p.k.hugetlb.resize(2, 0);
    const file = newHugetlbFile(p.k, p.task, 512, isShared)!;
    const a = p.map(512, { file, shared: isShared, addr: 512 * 1024 });
    p.store(a + 7, 3);
    return { p, k: p.k, a, file, head: p.frame(a) };
  }
  const get = (p: TestProgram, vpn: number) => getUserPages(p.k, p.task, vpn, 1, FOLL_HWPOISON, []);

  it('private: lost to who maps it; the good frames are free again', () => {
    const { p, k, a, head } = huge(false);
    const free = vmstat(k, 'nr_free_pages');
    expect(injectError(k, p.task, a + 7, a + 8, false)).toBe(0);
    expect([p.task.pendingSignal, isPoisonEntry(p, a), p.task.mm!.hugetlbPages]).toEqual([
      7,
      true,
      0,
    ]);
    expect([vmstat(k, 'nr_free_pages') - free, k.poisonedPages, k.hugetlb.total]).toEqual([
      511, 1, 1,
    ]);
    expect([k.frames.has(head + 7, PG_HWPOISON), k.pm.isFree(head)]).toEqual([true, true]);
    expect([p.access(a, false), get(p, a)]).toEqual([FAULT_POISONED, -EHWPOISON]);
    expect(offlinePfn(k, k.frames.pfnOf(head + 7), false)).toBe(-EHWPOISON);
    checkInvariants(k);
  });

  it('private, of two processes: both lose it', () => {
    const { p, k, a } = huge(false);
    const child = p.fork();
    expect(offlinePfn(k, k.frames.pfnOf(p.frame(a)), false)).toBe(0);
    expect([isPoisonEntry(p, a), isPoisonEntry(child, a), p.task.pendingSignal]).toEqual([
      true,
      true,
      0,
    ]);
    munmapRange(k, child.task.mm!, a, a + 512);
    checkInvariants(k);
  });

  it('shared: the object keeps it, and every mapping of it gets SIGBUS', () => {
    const { p, k, a, file, head } = huge(true);
    expect(injectError(k, p.task, a, a + 1, false)).toBe(0);
    expect([file.frameAt(0), k.frames.has(head, PG_HWPOISON), k.poisonedPages]).toEqual([
      head,
      true,
      1,
    ]);
    const b = p.map(512, { file, shared: true, addr: 512 * 1030 });
    expect([p.access(b + 9, true), get(p, b), get(p, a)]).toEqual([
      FAULT_POISONED,
      -EHWPOISON,
      -EHWPOISON,
    ]);
    expect(memoryFailure(k, head + 3, p.task, false)).toBe(-EHWPOISON);
  });

  it('a page of the pool leaves it', () => {
    const { k } = huge(false);
    const spare = k.hugetlb.take(0, -1, false);
    k.putFolio(spare);
    expect([k.hugetlb.total, k.hugetlb.freeOf(0)]).toEqual([2, 1]);
    expect(memoryFailure(k, spare + 3, null, false)).toBe(0);
    expect([k.hugetlb.total, k.hugetlb.freeOf(0), k.poisonedPages]).toEqual([1, 0, 1]);
    expect([k.frames.has(spare + 3, PG_HWPOISON), k.pm.isFree(spare + 2)]).toEqual([true, true]);
    checkInvariants(k);
  });

  it('held by somebody: unmapped, but still in use, -EBUSY', () => {
    const { p, k, a, head } = huge(false);
    k.folios.get(head);
    expect(injectError(k, p.task, a, a + 1, false)).toBe(-EBUSY);
    expect([isPoisonEntry(p, a), k.hugetlb.total, k.frames.refcount[head]]).toEqual([true, 2, 1]);
    expect([k.poisonedPages, k.frames.has(head, PG_HWPOISON)]).toEqual([1, true]);
  });

  it('soft: another huge page takes its place, its good frames are free', () => {
    const { p, k, a, head } = huge(false);
    const free = vmstat(k, 'nr_free_pages');
    expect(injectError(k, p.task, a + 7, a + 8, true)).toBe(0);
    expect([p.frame(a) !== head, p.nid(a), p.load(a + 7)]).toEqual([true, 0, 3]);
    expect([k.hugetlb.total, vmstat(k, 'nr_free_pages') - free, k.poisonedPages]).toEqual([
      1, 511, 1,
    ]);
    expect([k.frames.has(head + 7, PG_HWPOISON), k.frames.has(head, PG_HWPOISON)]).toEqual([
      true,
      false,
    ]);
    checkInvariants(k);
  });

  it('soft, pinned: -EBUSY, and nothing happened', () => {
    const { p, k, a, head } = huge(false);
    pinUserPages(k, p.task, a, 1, FOLL_WRITE, []);
    const refs = k.frames.refcount[head];
    expect(injectError(k, p.task, a, a + 1, true)).toBe(-EBUSY);
    expect([p.frame(a), k.frames.refcount[head], k.poisonedPages]).toEqual([head, refs, 0]);
    expect([k.hugetlb.total, p.load(a + 7)]).toEqual([2, 3]);
  });
});

describe('pages in the swap cache (MC-82a)', () => {
  /** Paged out, but still in the cache because somebody holds it. */
  function cached() {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    p.k.folios.get(page);
    expect(madviseRange(p.k, p.task, a, a + 1, MADV_PAGEOUT)).toBe(0);
    expect([p.frame(a) < 0, p.k.frames.has(page, PG_SWAPCACHE)]).toEqual([true, true]);
    return { p, k: p.k, a, page };
  }

  it('clean, as after write-back: it leaves the cache, and the slot is read', () => {
    const { p, k, a, page } = cached();
    k.frames.clear(page, PG_DIRTY);
    expect(memoryFailure(k, page, null, true)).toBe(0);
    expect(k.frames.has(page, PG_SWAPCACHE)).toBe(false);
    expect([p.access(a, false) & FAULT_SIGBUS, p.frame(a) === page]).toEqual([0, false]);
    checkInvariants(k);
  });

  it('dirty: it stays there, so that the fault finds that the data is lost', () => {
    const { p, k, a, page } = cached();
    expect(memoryFailure(k, page, p.task, true)).toBe(0);
    expect([k.frames.has(page, PG_SWAPCACHE), k.frames.has(page, PG_DIRTY)]).toEqual([true, false]);
    expect([p.task.pendingSignal, p.access(a, false)]).toEqual([7, FAULT_POISONED]);
    expect(getUserPages(k, p.task, a, 1, FOLL_HWPOISON, [])).toBe(-EHWPOISON);
  });
});

describe('what stands in the way', () => {
  it('a huge page with a pin cannot be split: -EHWPOISON and SIGBUS, it stays mapped', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    pinUserPages(p.k, p.task, a, 1, FOLL_WRITE, []);
    const refs = p.refs(a);
    expect(injectError(p.k, p.task, a + 5, a + 6, false)).toBe(-EHWPOISON);
    expect([p.task.pendingSignal, p.refs(a), p.k.folios.isLarge(p.head(a))]).toEqual([
      7,
      refs,
      true,
    ]);
    expect([p.k.frames.has(p.frame(a + 5), PG_HWPOISON), p.load(a + 5)]).toEqual([true, 6]);
  });

  it('soft: -EBUSY for it, and no flag', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    pinUserPages(p.k, p.task, a, 1, FOLL_WRITE, []);
    const refs = p.refs(a);
    expect(injectError(p.k, p.task, a + 5, a + 6, true)).toBe(-EBUSY);
    expect([p.refs(a), p.k.poisonedPages]).toEqual([refs, 0]);
  });

  it('soft: pages that are not on the LRU are -EIO, by madvise and by frame number', () => {
    const p = boot();
    const a = p.map(1);
    p.load(a);
    const refs = p.k.frames.refcount[p.k.zeroFrame];
    expect(injectError(p.k, p.task, a, a + 1, true)).toBe(-EIO);
    expect(offlinePfn(p.k, p.k.frames.pfnOf(p.k.zeroFrame), true)).toBe(-EIO);
    expect(p.k.frames.refcount[p.k.zeroFrame]).toBe(refs);
    const b = p.mapWritten(1);
    expect(offlinePfn(p.k, p.k.frames.pfnOf(p.frame(b)), true)).toBe(0);
    expect(p.load(b)).toBe(1);
  });

  it('a file system that cannot drop dirty pages keeps them: -EBUSY', () => {
    const p = boot();
    const file = p.k.newFile('r', 'ramfs', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const page = p.frame(a);
    expect(injectError(p.k, p.task, a, a + 1, false)).toBe(-EBUSY);
    expect([file.frameAt(0), p.task.pendingSignal]).toEqual([page, 7]);
  });

  it('found twice: -EHWPOISON, and the reference of the second finder is gone', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    injectError(p.k, p.task, a, a + 1, false);
    p.task.pendingSignal = 0;
    const refs = p.k.frames.refcount[page];
    p.k.folios.get(page);
    expect(memoryFailure(p.k, page, p.task, true)).toBe(-EHWPOISON);
    expect([p.k.frames.refcount[page], p.task.pendingSignal]).toEqual([refs, 7]);
    p.k.folios.get(page);
    expect(softOffline(p.k, page, true)).toBe(0);
    expect([softOffline(p.k, page, false), p.k.frames.refcount[page]]).toEqual([0, refs]);
  });
});
