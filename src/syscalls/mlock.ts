/**
 * mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2) (mm/mlock.c). OV-31g.
 */
import { PAGE_SIZE } from '../base/units.ts';
import {
  type AddressSpace,
  applyLockFlags,
  type Kernel,
  type Task,
  VM_LOCKED,
  VM_LOCKONFAULT,
} from '../mm/index.ts';
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from '../uapi/errno.ts';
import { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from '../uapi/mman.ts';
import { pageOf, wrapsAround } from './addressRange.ts';
import { canDoMlock, exceedsMemlock, populate } from './mlockLimit.ts';

/**
 * Returns 0, -EPERM, -ENOMEM (limit, holes, pages without access or behind the end of a file),
 * -EAGAIN (no memory for a page), -EINVAL (range).
 */
export function mlock(k: Kernel, caller: Task, addr: number, len: number): number {
  return doMlock(k, caller, addr, len, VM_LOCKED);
}

/** As mlock; with MLOCK_ONFAULT pages are locked when they fault. -EINVAL for other flags. */
export function mlock2(k: Kernel, caller: Task, addr: number, len: number, flags: number): number {
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  const onFault = (flags & MLOCK_ONFAULT) !== 0 ? VM_LOCKONFAULT : 0;
  return doMlock(k, caller, addr, len, VM_LOCKED | onFault);
}

/** Returns 0, -ENOMEM (holes) or -EINVAL (range). */
export function munlock(k: Kernel, caller: Task, addr: number, len: number): number {
  return lockRange(k, caller.mm!, addr, len, 0);
}

function doMlock(k: Kernel, caller: Task, addr: number, len: number, vmFlags: number): number {
  if (!canDoMlock(caller)) return -EPERM;
  const mm = caller.mm!;
  const start = pageOf(addr);
  const end = Math.ceil((addr + len) / PAGE_SIZE);
  const wanted = end - start + mm.lockedVm;
  if (exceedsMemlock(caller, wanted) && exceedsMemlock(caller, wanted - lockedIn(mm, start, end))) {
    return -ENOMEM;
  }
  const error = lockRange(k, mm, addr, len, vmFlags);
  if (error !== 0 || (vmFlags & VM_LOCKONFAULT) !== 0) return error;
  return posixError(populate(k, caller, start, end));
}

/** __mlock_posix_error_return. */
function posixError(error: number): number {
  if (error === -EFAULT) return -ENOMEM;
  return error === -ENOMEM ? -EAGAIN : error;
}

function lockRange(
  k: Kernel,
  mm: AddressSpace,
  addr: number,
  len: number,
  vmFlags: number,
): number {
  const start = pageOf(addr);
  const end = Math.ceil((addr + len) / PAGE_SIZE);
  if (wrapsAround(addr, len)) return -EINVAL;
  return end === start ? 0 : applyLockFlags(k, mm, start, end, vmFlags);
}

/** count_mm_mlocked_page_nr: pages of the range that count as locked already. */
function lockedIn(mm: AddressSpace, start: number, end: number): number {
  let pages = 0;
  for (let i = mm.indexAtOrAfter(start); i < mm.vmas.length && mm.vmas[i].start < end; i++) {
    const vma = mm.vmas[i];
    if (vma.has(VM_LOCKED)) pages += Math.min(end, vma.end) - Math.max(start, vma.start);
  }
  return pages;
}

/** Returns 0, -EINVAL (flags), -EPERM or -ENOMEM (limit). */
export function mlockall(k: Kernel, caller: Task, flags: number): number {
  const valid = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
  if (flags === 0 || (flags & ~valid) !== 0 || flags === MCL_ONFAULT) return -EINVAL;
  if (!canDoMlock(caller)) return -EPERM;
  const mm = caller.mm!;
  const current = (flags & MCL_CURRENT) !== 0;
  let total = 0;
  for (const vma of mm.vmas) total += vma.nrPages;
  if (current && exceedsMemlock(caller, total)) return -ENOMEM;
  const onFault = (flags & MCL_ONFAULT) !== 0;
  const vmFlags = VM_LOCKED | (onFault ? VM_LOCKONFAULT : 0);
  mm.lockFutureFlags = (flags & MCL_FUTURE) !== 0 ? vmFlags : 0;
  if (!current) return 0;
  const ranges = setAllLockFlags(k, mm, vmFlags);
  if (!onFault) for (const { start, end } of ranges) populate(k, caller, start, end);
  return 0;
}

export function munlockall(k: Kernel, caller: Task): number {
  const mm = caller.mm!;
  mm.lockFutureFlags = 0;
  setAllLockFlags(k, mm, 0);
  return 0;
}

/** apply_mlockall_flags on what is mapped now; returns the ranges. */
function setAllLockFlags(
  k: Kernel,
  mm: AddressSpace,
  vmFlags: number,
): { start: number; end: number }[] {
  const ranges = mm.vmas.map(({ start, end }) => ({ start, end }));
  for (const { start, end } of ranges) applyLockFlags(k, mm, start, end, vmFlags);
  return ranges;
}
