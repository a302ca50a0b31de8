/**
 * Who holds pages for a while: io_uring's registered buffers, direct I/O in flight, pipes. PM-5,
 * PM-10, PM-22, PM-24a, PM-98, OV-42.
 */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../src/base/units.ts';
import {
  accessPage,
  cacheRead,
  checkInvariants,
  exitTask,
  forkTask,
  holdersOf,
  isolateFolio,
  type Kernel,
  loadWord,
  migratePages,
  PG_DIRTY,
  pageAt,
  putbackMovablePages,
  storeWord,
  syncFile,
  writeFilePages,
} from '../../src/mm/index.ts';
import {
  DirectIo,
  directIo,
  IoUring,
  madvise,
  mlock,
  mmap,
  munmap,
} from '../../src/syscalls/index.ts';
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO } from '../../src/uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../../src/uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../../src/uapi/migrate.ts';
import { MADV_HUGEPAGE, MAP_SHARED } from '../../src/uapi/mman.ts';
import { event, movableMachine, Program, RW } from './machine.ts';

describe('io_uring: a table of registered buffers', () => {
  const page = (p: Program, n: number, pages = 1) => ({
    base: p.area + n * PAGE_SIZE,
    len: pages * PAGE_SIZE,
  });

  it('PM-5, PM-17: several buffers, all out of ZONE_MOVABLE, all or none', () => {
    const p = new Program(movableMachine());
    const ring = new IoUring(p.k, p.task);
    expect(ring.register([page(p, 0, 2), { base: 0, len: 0 }, page(p, 4)])).toBe(0);
    expect(p.where(5)).toBe('0N 0N 0M 0M 0N');
    expect(holdersOf(p.k, p.frame(4)).map(({ holder }) => holder.name)).toEqual(['buffer 2']);
    expect([ring.buffer(0)!.pages.length, ring.buffer(1), p.task.mm!.pinnedVm]).toEqual([
      2,
      null,
      3,
    ]);
    expect(ring.register([page(p, 0)])).toBe(-EBUSY);
    expect(ring.unregister()).toBe(0);
    expect([p.task.mm!.pinnedVm, p.pincount(0)]).toEqual([0, false]);
    expect(ring.unregister()).toBe(-ENXIO);
    expect(p.k.holders.size).toBe(0);
    checkInvariants(p.k);
  });

  it('PM-5: one that cannot be had: none stays, but what was moved stays moved', () => {
    const p = new Program(movableMachine());
    munmap(p.k, p.task, p.area + 9 * PAGE_SIZE, PAGE_SIZE);
    const ring = new IoUring(p.k, p.task);
    expect(ring.register([page(p, 0, 2), page(p, 8, 4)])).toBe(-EFAULT);
    expect(ring.buffer(0)).toBeNull();
    expect(p.where(2)).toBe('0N 0N');
    expect([p.pincount(0), p.task.mm!.pinnedVm]).toEqual([false, 0]);
    expect(ring.register([])).toBe(-EINVAL);
    expect(ring.register([{ base: 0, len: 4096 }])).toBe(-EFAULT);
  });

  it('an update pins the new buffer, then lets the old one go, up to the first failure', () => {
    const p = new Program(movableMachine());
    munmap(p.k, p.task, p.area + 9 * PAGE_SIZE, PAGE_SIZE);
    const ring = new IoUring(p.k, p.task);
    expect(ring.update(0, [page(p, 0)])).toBe(-ENXIO);
    ring.register([page(p, 0), page(p, 1), page(p, 2)]);
    expect(ring.update(1, [page(p, 5), page(p, 9)])).toBe(1);
    expect([0, 1, 2, 5].map((n) => p.pincount(n))).toEqual([true, false, true, true]);
    expect(ring.update(2, [page(p, 9)])).toBe(-EFAULT);
    expect(p.pincount(2)).toBe(true);
    expect(ring.update(2, [page(p, 3), page(p, 4)])).toBe(-EINVAL);
    expect(ring.update(0, [{ base: 0, len: 0 }])).toBe(1);
    expect([p.pincount(0), p.task.mm!.pinnedVm]).toEqual([false, 2]);
    ring.unregister();
    checkInvariants(p.k);
  });

  it('PM-24a: over RLIMIT_MEMLOCK: -ENOMEM, and the pages are out of MOVABLE for good', () => {
    const p = new Program(movableMachine());
    p.task.caps = 0;
    p.task.rlimitMemlock = 2 * PAGE_SIZE;
    const ring = new IoUring(p.k, p.task);
    expect(ring.register([page(p, 0, 2), page(p, 2, 2)])).toBe(-ENOMEM);
    expect([p.where(4), p.pincount(0)]).toEqual(['0N 0N 0N 0N', false]);
    expect(ring.register([page(p, 0, 2)])).toBe(0);
  });

  it('PM-24a: a large folio is charged whole, and once for all buffers in it', () => {
    const k = movableMachine();
    const p = new Program(k, 1024, 0);
    const first = 512 - (p.vpn(0) % 512);
    madvise(k, p.task, p.area, 1024 * PAGE_SIZE, MADV_HUGEPAGE);
    storeWord(k, p.task, p.vpn(first), 1);
    const ring = new IoUring(k, p.task);
    expect(ring.register([page(p, first), page(p, first + 7, 3)])).toBe(0);
    expect([ring.buffer(0)!.accounted, ring.buffer(1)!.accounted]).toEqual([512, 0]);
    expect(k.folios.pincount(k.frames.headOf(p.frame(first)))).toBe(4);
    ring.unregister();
    expect(p.task.mm!.pinnedVm).toBe(0);
    checkInvariants(k);
  });

  it('PM-10: the buffer outlives munmap and exit of its program', () => {
    const p = new Program(movableMachine());
    const ring = new IoUring(p.k, p.task);
    ring.register([page(p, 0, 4)]);
    const { pages } = ring.buffer(0)!;
    munmap(p.k, p.task, p.area, 4 * PAGE_SIZE);
    exitTask(p.k, p.task);
    expect(pages.every((frame) => !p.k.pm.isFree(frame))).toBe(true);
    ring.unregister();
    p.k.lru.drainAll();
    expect(pages.every((frame) => p.k.pm.isFree(frame))).toBe(true);
    checkInvariants(p.k);
  });
});

describe('direct I/O in flight (OV-42)', () => {
  function withFile(): { k: Kernel; p: Program; file: ReturnType<Kernel['newFile']> } {
    const k = movableMachine();
    const p = new Program(k);
    const file = k.newFile('/data/f', 'ext4', 0);
    writeFilePages(k, p.task, file, 0, Uint32Array.of(51, 52, 53, 54));
    syncFile(k, file);
    return { k, p, file };
  }

  function started(io: DirectIo | number): DirectIo {
    if (!(io instanceof DirectIo)) throw new Error(`directIo returned ${io}`);
    return io;
  }

  /** What is left of migrating a page of the program to NORMAL of its node. */
  function migrate(p: Program, page: number): number {
    const list: number[] = [];
    p.k.lru.drainAll();
    isolateFolio(p.k, p.frame(page), list);
    const to = { nid: 0, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    const left = migratePages(p.k, list, to, MIGRATE_SYNC, MR_SYSCALL);
    putbackMovablePages(p.k, list);
    return left;
  }

  it('PM-98: a read pins its pages where they are; they can move when the device is done', () => {
    const { k, p, file } = withFile();
    const io = started(directIo(k, p.task, file, 0, p.area, 2 * PAGE_SIZE, true, 1000));
    expect([io.bytes, io.endNs, p.where(2)]).toEqual([2 * PAGE_SIZE, 1000, '0M 0M']);
    expect(holdersOf(k, p.frame(0)).map(({ holder }) => holder.kind)).toEqual(['direct I/O']);
    expect(migrate(p, 0)).toBe(1);
    expect(p.pin(0, 2)).toBe(-ENOMEM);
    k.nowNs = 1000;
    io.complete();
    expect([loadWord(k, p.task, p.vpn(0)), loadWord(k, p.task, p.vpn(1))]).toEqual([51, 52]);
    expect(k.frames.has(p.frame(0), PG_DIRTY)).toBe(true);
    expect(migrate(p, 0)).toBe(0);
    expect(p.pin(0, 2)).toBe(2);
    checkInvariants(k);
  });

  it('PM-8: fork in the middle: the child has a copy, the parent gets the data', () => {
    const { k, p, file } = withFile();
    const io = started(directIo(k, p.task, file, 0, p.area, PAGE_SIZE, true, 1000));
    const child = forkTask(k, p.task);
    if (typeof child === 'number') throw new Error('fork failed');
    storeWord(k, p.task, p.vpn(1), 7);
    io.complete();
    expect(loadWord(k, p.task, p.vpn(0))).toBe(51);
    expect(loadWord(k, child, p.vpn(0))).toBe(100);
    checkInvariants(k);
  });

  it('PM-10: the memory is gone before the device is done: the frame waits for it', () => {
    const { k, p, file } = withFile();
    const io = started(directIo(k, p.task, file, 0, p.area, PAGE_SIZE, true, 1000));
    munmap(k, p.task, p.area, PAGE_SIZE);
    k.lru.drainAll();
    expect(k.pm.isFree(io.pages[0])).toBe(false);
    io.complete();
    io.complete();
    expect(k.pm.isFree(io.pages[0])).toBe(true);
    checkInvariants(k);
  });

  it('a write takes the range out of the page cache and reads what the store has then', () => {
    const { k, p, file } = withFile();
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, file, 0);
    storeWord(k, p.task, at / PAGE_SIZE + 1, 99);
    const io = started(directIo(k, p.task, file, 0, p.area, 2 * PAGE_SIZE, false, 500));
    expect([file.frameAt(0), file.frameAt(1)]).toEqual([-1, -1]);
    expect(file.frameAt(2)).toBeGreaterThanOrEqual(-1);
    io.complete();
    expect(pageAt(k, p.task.mm!, at / PAGE_SIZE)).toBeLessThan(0);
    expect(loadWord(k, p.task, at / PAGE_SIZE)).toBe(100);
    expect(loadWord(k, p.task, at / PAGE_SIZE + 1)).toBe(101);
    expect(loadWord(k, p.task, at / PAGE_SIZE + 2)).toBe(53);
    checkInvariants(k);
  });

  it('less where the memory ends; nothing there: -EFAULT; unaligned: -EINVAL', () => {
    const { k, p, file } = withFile();
    munmap(k, p.task, p.area + PAGE_SIZE, PAGE_SIZE);
    const io = started(directIo(k, p.task, file, 0, p.area, 4 * PAGE_SIZE, true, 1));
    expect(io.bytes).toBe(PAGE_SIZE);
    const at = p.area + PAGE_SIZE;
    expect(directIo(k, p.task, file, 0, at, PAGE_SIZE, true, 1)).toBe(-EFAULT);
    expect(directIo(k, p.task, file, 512, p.area, PAGE_SIZE, true, 1)).toBe(-EINVAL);
    const tmpfs = k.newFile('/tmp/f', 'tmpfs', 4);
    expect(directIo(k, p.task, tmpfs, 0, p.area, PAGE_SIZE, true, 1)).toBe(-EINVAL);
  });
});

describe('counters of page cache reads', () => {
  it('read(2) is no major fault, a fault that reads from the store is', () => {
    const k = movableMachine();
    const p = new Program(k);
    const file = k.newFile('/data/f', 'ext4', 32);
    cacheRead(k, p.task, file, 0);
    expect(event(k, 'pgmajfault')).toBe(0);
    const at = mmap(k, p.task, 0, 32 * PAGE_SIZE, RW, MAP_SHARED, file, 0);
    accessPage(k, p.task, at / PAGE_SIZE, false);
    expect(event(k, 'pgmajfault')).toBe(0);
    accessPage(k, p.task, at / PAGE_SIZE + 20, false);
    expect(event(k, 'pgmajfault')).toBe(1);
    expect(mlock(k, p.task, at, PAGE_SIZE)).toBe(0);
  });
});
