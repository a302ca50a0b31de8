import { describe, expect, it } from 'vitest';
import { accessPage, CAP_IPC_LOCK, checkInvariants, loadWord, VM_LOCKED } from '../mm/index.ts';
import { fillNode } from '../mm/testProgram.ts';
import { EAGAIN, ECHILD, EEXIST, EFAULT, EINVAL, ENOMEM, EPERM } from '../uapi/errno.ts';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import {
  brk,
  clone,
  exit,
  fork,
  madvise,
  mlock,
  mlock2,
  mlockall,
  mmap,
  mprotect,
  mremap,
  munlock,
  munlockall,
  munmap,
  TASK_SIZE,
  waitpid,
} from './index.ts';
import { TestProgram, threeNodes, wordOf } from './testProgram.ts';

const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
const RW = PROT_READ | PROT_WRITE;

describe('mmap', () => {
  it.each([
    ['length 0', 0, 0, ANON, 0, -EINVAL],
    ['unaligned offset', 0, 4096, ANON, 100, -EINVAL],
    ['longer than the address space', 0, TASK_SIZE * 2, ANON, 0, -ENOMEM],
    ['neither shared nor private', 0, 4096, MAP_ANONYMOUS, 0, -EINVAL],
    ['FIXED at an unaligned address', 100, 4096, ANON | MAP_FIXED, 0, -EINVAL],
    ['FIXED beyond the end', TASK_SIZE, 4096, ANON | MAP_FIXED, 0, -ENOMEM],
  ])('%s', (_what, addr, len, flags, offset, ret) => {
    const { k, task } = new TestProgram();
    expect(mmap(k, task, addr, len, RW, flags, null, offset)).toBe(ret);
  });

  it('takes the hint if it is free, replaces with FIXED, refuses with NOREPLACE', () => {
    const p = new TestProgram();
    const at = 0x700000000000;
    expect(mmap(p.k, p.task, at, 8192, RW, ANON, null, 0)).toBe(at);
    expect(mmap(p.k, p.task, at, 4096, RW, ANON, null, 0)).not.toBe(at);
    const noReplace = ANON | MAP_FIXED_NOREPLACE;
    expect(mmap(p.k, p.task, at, 4096, RW, noReplace, null, 0)).toBe(-EEXIST);
    accessPage(p.k, p.task, at / 4096, true);
    expect(mmap(p.k, p.task, at, 4096, RW, ANON | MAP_FIXED, null, 0)).toBe(at);
    expect(p.task.mm!.rssAnon).toBe(16);
    checkInvariants(p.k);
  });

  it('POPULATE faults everything in; LOCKED keeps it', () => {
    const p = new TestProgram();
    mmap(p.k, p.task, 0, 8 * 4096, RW, ANON | MAP_POPULATE, null, 0);
    expect(p.task.mm!.rssAnon).toBe(24);
    mmap(p.k, p.task, 0, 8 * 4096, RW, ANON | MAP_LOCKED, null, 0);
    expect([p.task.mm!.rssAnon, p.task.mm!.lockedVm]).toEqual([32, 8]);
  });

  it('RLIMIT_MEMLOCK: none may be locked, or not so much', () => {
    const p = new TestProgram();
    p.task.caps &= ~CAP_IPC_LOCK;
    p.task.rlimitMemlock = 0;
    expect(mmap(p.k, p.task, 0, 4096, RW, ANON | MAP_LOCKED, null, 0)).toBe(-EPERM);
    p.task.rlimitMemlock = 4096;
    expect(mmap(p.k, p.task, 0, 8192, RW, ANON | MAP_LOCKED, null, 0)).toBe(-EAGAIN);
  });
});

describe('munmap, mprotect, mremap, madvise: arguments', () => {
  it.each([
    ['munmap unaligned', (p: TestProgram) => munmap(p.k, p.task, p.area + 1, 4096), -EINVAL],
    ['munmap of nothing', (p: TestProgram) => munmap(p.k, p.task, p.area, 0), -EINVAL],
    ['munmap beyond the end', (p: TestProgram) => munmap(p.k, p.task, TASK_SIZE, 4096), -EINVAL],
    ['munmap of a hole', (p: TestProgram) => munmap(p.k, p.task, 0x100000, 4096), 0],
    ['mprotect unaligned', (p: TestProgram) => mprotect(p.k, p.task, p.area + 1, 1, 1), -EINVAL],
    ['mprotect of nothing', (p: TestProgram) => mprotect(p.k, p.task, p.area, 0, 1), 0],
    ['mprotect bits', (p: TestProgram) => mprotect(p.k, p.task, p.area, 1, 64), -EINVAL],
    ['mprotect of a hole', (p: TestProgram) => mprotect(p.k, p.task, 0x100000, 1, 1), -ENOMEM],
    ['mremap flags', (p: TestProgram) => mremap(p.k, p.task, p.area, 1, 1, 64, 0), -EINVAL],
    ['mremap to nothing', (p: TestProgram) => mremap(p.k, p.task, p.area, 1, 0, 0, 0), -EINVAL],
    ['mremap of a hole', (p: TestProgram) => mremap(p.k, p.task, 0x100000, 1, 1, 0, 0), -EFAULT],
    [
      'mremap FIXED alone',
      (p: TestProgram) => mremap(p.k, p.task, p.area, 1, 1, MREMAP_FIXED, 0x100000),
      -EINVAL,
    ],
    ['madvise unaligned', (p: TestProgram) => madvise(p.k, p.task, p.area + 1, 1, 4), -EINVAL],
    ['madvise of nothing', (p: TestProgram) => madvise(p.k, p.task, p.area, 0, 4), 0],
    ['madvise unknown', (p: TestProgram) => madvise(p.k, p.task, p.area, 1, 77), -EINVAL],
    ['madvise of a hole', (p: TestProgram) => madvise(p.k, p.task, 0x100000, 1, 4), -ENOMEM],
  ])('%s', (_what, call, ret) => {
    expect(call(new TestProgram())).toBe(ret);
  });

  it('mremap moves a mapping with its pages', () => {
    const p = new TestProgram();
    const to = 0x700000000000;
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    expect(mremap(p.k, p.task, p.area, 16 * 4096, 32 * 4096, flags, to)).toBe(to);
    expect(loadWord(p.k, p.task, to / 4096 + 7)).toBe(wordOf(7));
    checkInvariants(p.k);
  });

  it('OV-31g: locked areas refuse DONTNEED and PAGEOUT', () => {
    const p = new TestProgram();
    mlock(p.k, p.task, p.area, 4096);
    expect(madvise(p.k, p.task, p.area, 4096, MADV_DONTNEED)).toBe(-EINVAL);
    expect(madvise(p.k, p.task, p.area, 4096, MADV_PAGEOUT)).toBe(-EINVAL);
  });
});

describe('madvise COLLAPSE (OV-31i)', () => {
  function smallPages(): { p: TestProgram; first: number; address: number } {
    const p = new TestProgram();
    const address = p.map(512);
    const first = (address - p.area) / 4096;
    p.write(first, first + 512);
    return { p, first, address };
  }

  it('takes the node that has most of the pages, and keeps the content', () => {
    const { p, first, address } = smallPages();
    const pages = Array.from({ length: 300 }, (_, n) => first + n);
    p.move(
      pages,
      pages.map(() => 1),
    );
    const migrated = p.k.vmstat.snapshot().get('pgmigrate_success');
    expect(madvise(p.k, p.task, address, 512 * 4096, MADV_COLLAPSE)).toBe(0);
    expect(p.k.folios.isThp(p.frame(first))).toBe(true);
    expect(p.k.pm.nidOf(p.frame(first + 500))).toBe(1);
    expect(loadWord(p.k, p.task, address / 4096 + 500)).toBe(wordOf(500 + first));
    expect(p.k.vmstat.snapshot().get('pgmigrate_success')).toBe(migrated);
    expect(p.k.vmstat.snapshot().get('thp_collapse_alloc')).toBe(1);
    expect(madvise(p.k, p.task, address, 512 * 4096, MADV_COLLAPSE)).toBe(0);
    checkInvariants(p.k);
  });

  it('brings swapped pages back first; a pinned page is in the way', () => {
    const { p, first, address } = smallPages();
    madvise(p.k, p.task, address, 4 * 4096, MADV_PAGEOUT);
    p.k.folios.pin(p.frame(first + 10), 1);
    expect(madvise(p.k, p.task, address, 512 * 4096, MADV_COLLAPSE)).toBe(-EAGAIN);
    p.k.folios.unpin(p.frame(first + 10), 1);
    expect(madvise(p.k, p.task, address, 512 * 4096, MADV_COLLAPSE)).toBe(0);
    expect(loadWord(p.k, p.task, address / 4096)).toBe(wordOf(first));
    checkInvariants(p.k);
  });

  it('refuses areas that must not be huge, and empty ranges', () => {
    const p = new TestProgram();
    const address = p.map(512);
    expect(madvise(p.k, p.task, address, 512 * 4096, MADV_COLLAPSE)).toBe(-EINVAL);
    madvise(p.k, p.task, address, 512 * 4096, MADV_HUGEPAGE);
    accessPage(p.k, p.task, address / 4096, true);
    madvise(p.k, p.task, address, 512 * 4096, 15);
    expect(madvise(p.k, p.task, address, 512 * 4096, MADV_COLLAPSE)).toBe(-EINVAL);
  });
});

describe('mlock and its relatives', () => {
  it('faults the range in, writable; ONFAULT maps nothing', () => {
    const p = new TestProgram(threeNodes(), 0);
    expect(mlock(p.k, p.task, p.address(1) + 5, 4096)).toBe(0);
    expect(p.where(p.task, 4)).toBe('-00-');
    expect(mlock2(p.k, p.task, p.address(4), 4096, MLOCK_ONFAULT)).toBe(0);
    expect(p.where(p.task, 5)).toBe('-00--');
    expect(mlock2(p.k, p.task, p.area, 4096, 2)).toBe(-EINVAL);
    expect(p.task.mm!.lockedVm).toBe(3);
    expect(munlock(p.k, p.task, p.area, 16 * 4096)).toBe(0);
    expect(p.task.mm!.lockedVm).toBe(0);
    checkInvariants(p.k);
  });

  it('RLIMIT_MEMLOCK counts what is locked already, once', () => {
    const p = new TestProgram();
    p.task.caps &= ~CAP_IPC_LOCK;
    p.task.rlimitMemlock = 4 * 4096;
    expect(mlock(p.k, p.task, p.area, 4 * 4096)).toBe(0);
    expect(mlock(p.k, p.task, p.area, 4 * 4096)).toBe(0);
    expect(mlock(p.k, p.task, p.area, 5 * 4096)).toBe(-ENOMEM);
    p.task.rlimitMemlock = 0;
    expect(mlock(p.k, p.task, p.area, 4096)).toBe(-EPERM);
  });

  it('holes are -ENOMEM', () => {
    const p = new TestProgram();
    munmap(p.k, p.task, p.address(3), 4096);
    expect(mlock(p.k, p.task, p.area, 8 * 4096)).toBe(-ENOMEM);
    expect(munlock(p.k, p.task, 0x100000, 4096)).toBe(-ENOMEM);
  });

  it.each([
    ['a page without access is -ENOMEM', { prot: 0, file: null, kind: null }, -ENOMEM, 1],
    ['read-only memory is faulted in', { prot: PROT_READ, file: null, kind: null }, 0, 1],
    ['behind the end of a file is -ENOMEM', { prot: RW, kind: 'tmpfs' as const }, -ENOMEM, 1],
    // mlock_fixup leaves these out; populating says what GUP does (PM-3).
    ['secret memory is -ENOMEM', { prot: RW, kind: 'secretmem' as const }, -ENOMEM, 0],
    ['raw memory is left out', { prot: RW, kind: 'devmem' as const }, 0, 0],
  ])('%s', (_what, { prot, kind }, ret, locked) => {
    const { k, task } = new TestProgram();
    const file = kind === null ? null : k.newFile('f', kind, kind === 'tmpfs' ? 0 : 1);
    const flags = kind === null ? ANON : MAP_SHARED;
    const at = mmap(k, task, 0, 4096, prot, flags, file, 0);
    expect([mlock(k, task, at, 4096), task.mm!.lockedVm]).toEqual([ret, locked]);
    munlock(k, task, at, 4096);
    mmap(k, task, 0, 4096, prot, flags | MAP_LOCKED, file, 0);
    expect(task.mm!.lockedVm).toBe(kind === 'devmem' ? 0 : 1);
    checkInvariants(k);
  });

  it('no memory for a page is -EAGAIN', () => {
    const p = new TestProgram(threeNodes(), 0);
    p.task.memsAllowed = 1;
    fillNode(p.k, 0, 0);
    expect(mlock(p.k, p.task, p.area, 16 * 4096)).toBe(-EAGAIN);
  });

  it('ONFAULT counts against the limit, and POPULATE leaves it alone', () => {
    const p = new TestProgram(threeNodes(), 0);
    mlockall(p.k, p.task, MCL_FUTURE | MCL_ONFAULT);
    const at = mmap(p.k, p.task, 0, 4 * 4096, RW, ANON | MAP_POPULATE, null, 0);
    expect([at > 0, p.task.mm!.lockedVm, p.task.mm!.rssAnon]).toEqual([true, 4, 0]);
    p.task.caps &= ~CAP_IPC_LOCK;
    p.task.rlimitMemlock = 5 * 4096;
    expect(mmap(p.k, p.task, 0, 8192, RW, ANON, null, 0)).toBe(-EAGAIN);
    const heap = p.task.mm!.brk * 4096;
    expect(brk(p.k, p.task, heap + 8192)).toBe(heap);
    expect(brk(p.k, p.task, heap + 4096)).toBe(heap + 4096);
    expect([p.task.mm!.lockedVm, p.task.mm!.rssAnon]).toEqual([5, 0]);
    checkInvariants(p.k);
  });

  it('mremap: what grows is limited and faulted in', () => {
    const p = new TestProgram(threeNodes(), 0);
    const at = p.map(4);
    expect([mlock(p.k, p.task, at, 4 * 4096), p.task.mm!.rssAnon]).toEqual([0, 4]);
    p.task.caps &= ~CAP_IPC_LOCK;
    p.task.rlimitMemlock = 6 * 4096;
    const grow = (pages: number) =>
      mremap(p.k, p.task, at, 4 * 4096, pages * 4096, MREMAP_MAYMOVE, 0);
    expect(grow(7)).toBe(-EAGAIN);
    expect(grow(6)).toBeGreaterThan(0);
    expect([p.task.mm!.lockedVm, p.task.mm!.rssAnon]).toEqual([6, 6]);
    checkInvariants(p.k);
  });

  it('MAP_NONBLOCK takes MAP_POPULATE back, MAP_LOCKED does not care', () => {
    const { k, task } = new TestProgram(threeNodes(), 0);
    mmap(k, task, 0, 8192, RW, ANON | MAP_POPULATE | MAP_NONBLOCK, null, 0);
    expect(task.mm!.rssAnon).toBe(0);
    mmap(k, task, 0, 8192, RW, ANON | MAP_LOCKED | MAP_NONBLOCK, null, 0);
    expect(task.mm!.rssAnon).toBe(2);
  });

  it('huge pages of the pool: the limit is asked, they are faulted in, none is locked', () => {
    const { k, task } = new TestProgram(threeNodes(), 0);
    k.hugetlb.resize(2, 0);
    const huge = ANON | MAP_HUGETLB | MAP_LOCKED;
    const make = () => mmap(k, task, 0, 512 * 4096, RW, huge, null, 0);
    task.caps &= ~CAP_IPC_LOCK;
    task.rlimitMemlock = 4096;
    expect(make()).toBe(-EAGAIN);
    task.rlimitMemlock = 0;
    expect(make()).toBe(-EPERM);
    expect(k.hugetlb.reserved).toBe(0);
    task.caps |= CAP_IPC_LOCK;
    expect(make()).toBeGreaterThan(0);
    expect([task.mm!.hugetlbPages, task.mm!.lockedVm]).toEqual([512, 0]);
    checkInvariants(k);
  });

  it('mlockall: flags; what is there, what comes', () => {
    const p = new TestProgram();
    for (const flags of [0, 8, MCL_ONFAULT]) expect(mlockall(p.k, p.task, flags)).toBe(-EINVAL);
    expect(mlockall(p.k, p.task, MCL_CURRENT | MCL_FUTURE)).toBe(0);
    const later = p.map(4);
    expect(p.task.mm!.findVma(later / 4096)!.has(VM_LOCKED)).toBe(true);
    expect(p.task.mm!.rssAnon).toBe(20);
    expect(munlockall(p.k, p.task)).toBe(0);
    expect([p.task.mm!.lockedVm, p.task.mm!.lockFutureFlags]).toEqual([0, 0]);
    checkInvariants(p.k);
  });
});

describe('brk, fork, exit', () => {
  it('brk moves the end of the heap and tells where it is', () => {
    const p = new TestProgram();
    const mm = p.task.mm!;
    mm.brkStart = 0x10000;
    mm.brk = 0x10000;
    const start = 0x10000 * 4096;
    expect(brk(p.k, p.task, start + 10000)).toBe(start + 10000);
    accessPage(p.k, p.task, 0x10002, true);
    expect(brk(p.k, p.task, 0)).toBe(start + 3 * 4096);
    expect(brk(p.k, p.task, start)).toBe(start);
    expect(mm.rssAnon).toBe(16);
  });

  it('a child is a zombie until it is waited for', () => {
    const p = new TestProgram();
    const pid = fork(p.k, p.task);
    const child = p.k.tasks.get(pid)!;
    expect(waitpid(p.k, p.task, pid)).toBe(0);
    exit(p.k, child);
    expect(waitpid(p.k, child, pid)).toBe(-ECHILD);
    expect(waitpid(p.k, p.task, pid)).toBe(pid);
    expect(waitpid(p.k, p.task, pid)).toBe(-ECHILD);
    checkInvariants(p.k);
  });

  it('threads share the memory; it goes with the last of them', () => {
    const p = new TestProgram();
    const thread = p.k.tasks.get(clone(p.k, p.task))!;
    exit(p.k, p.task);
    expect(thread.mm!.rssAnon).toBe(16);
    const before = p.k.vmstat.snapshot().get('nr_anon_pages')!;
    exit(p.k, thread);
    expect(p.k.vmstat.snapshot().get('nr_anon_pages')).toBe(before - 16);
    checkInvariants(p.k);
  });
});
