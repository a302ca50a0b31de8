/** MC-82a, MC-82b, MC-30: hard poison and soft offline, by kind of page. */
import { describe, expect, it } from 'vitest';
import { EBUSY, EFAULT, EHWPOISON, EPERM } from '../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_SIGBUS } from './fault.ts';
import { PG_DIRTY, PG_HWPOISON, PG_LRU, PG_MLOCKED } from './frameTable.ts';
import { pinUserPages } from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { injectError, memoryFailure, offlinePfn, softOffline } from './memoryFailure.ts';
import { applyLockFlags, populateRange } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
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
    expect(offlinePfn(p.k, pfn, false)).toBe(-EHWPOISON);
    expect(offlinePfn(p.k, 2 ** 40, false)).toBe(-6);
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
