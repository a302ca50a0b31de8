/**
 * brk(2): the end of the heap (mm/mmap.c).
 * Deviates: the break is kept in pages; one inside a page is reported as asked for, once.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { type Kernel, setBrk, type Task } from '../mm/index.ts';
import { pagesOf } from './addressRange.ts';
import { exceedsMemlock, isLockedNow, populate } from './mlockLimit.ts';

/** Returns the break in force in bytes: `addr`, or the old one if that cannot be had. */
export function brk(k: Kernel, caller: Task, addr: number): number {
  const mm = caller.mm!;
  const before = mm.brk;
  const wanted = pagesOf(addr);
  const locked = isLockedNow(mm.lockFutureFlags);
  if (locked && exceedsMemlock(caller, mm.lockedVm + wanted - before)) return before * PAGE_SIZE;
  const now = setBrk(k, mm, wanted);
  if (locked && now > before) populate(k, caller, before, now);
  return now === wanted ? addr : now * PAGE_SIZE;
}
