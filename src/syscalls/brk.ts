/**
 * brk(2): the end of the heap (mm/mmap.c).
 * Deviates: the break is kept in pages; one inside a page is reported as asked for, once.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { type Kernel, setBrk, type Task, VM_LOCKED } from '../mm/index.ts';
import { pagesOf } from './addressRange.ts';
import { mlockFuture, populate } from './mlockLimit.ts';

/** Returns the break in force in bytes: `addr`, or the old one if that cannot be had. */
export function brk(k: Kernel, caller: Task, addr: number): number {
  const mm = caller.mm!;
  const before = mm.brk;
  const wanted = pagesOf(addr);
  const flags = mm.lockFutureFlags;
  if (mlockFuture(caller, flags, wanted - before) !== 0) return before * PAGE_SIZE;
  const now = setBrk(k, mm, wanted);
  if ((flags & VM_LOCKED) !== 0 && now > before) populate(k, caller, before, now);
  return now === wanted ? addr : now * PAGE_SIZE;
}
