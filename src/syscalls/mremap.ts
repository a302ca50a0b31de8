/**
 * mremap(2) (mm/mremap.c: check_mremap_params, do_mremap).
 * Not modelled: old length 0, which duplicates a shared mapping: -EINVAL here.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { type Kernel, mremapRange, type Task, unmergeRange, VM_MERGEABLE } from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../uapi/mman.ts';
import { isPageAligned, pageOf, pagesOf, TASK_SIZE } from './addressRange.ts';

const MREMAP_VALID = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

/** Returns the address in bytes, or -EINVAL, -EFAULT, -ENOMEM. */
export function mremap(
  k: Kernel,
  caller: Task,
  addr: number,
  oldLen: number,
  newLen: number,
  flags: number,
  newAddr: number,
): number {
  if ((flags & ~MREMAP_VALID) !== 0 || !isPageAligned(addr)) return -EINVAL;
  const oldPages = pagesOf(oldLen);
  const newPages = pagesOf(newLen);
  if (newPages === 0 || oldPages === 0) return -EINVAL;
  if ((flags & MREMAP_FIXED) !== 0) {
    if (!isPageAligned(newAddr) || newAddr + newLen > TASK_SIZE) return -EINVAL;
  }
  const mm = caller.mm!;
  const target = pageOf(newAddr);
  const from = pageOf(addr);
  // Merged pages are found by their addresses: they may not move.
  if (mm.findVma(from)?.has(VM_MERGEABLE)) unmergeRange(k, caller, mm, from, from + oldPages);
  const start = mremapRange(k, mm, from, oldPages, newPages, flags, target);
  return start < 0 ? start : start * PAGE_SIZE;
}
