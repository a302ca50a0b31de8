/**
 * madvise(2): argument checks, then mm's madviseRange (mm/madvise.c: do_madvise). OV-31g, MC-82a.
 */

import {
  injectError,
  type Kernel,
  madviseCollapse,
  madviseRange,
  type Task,
  unmergeRange,
} from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { MADV_COLLAPSE, MADV_HWPOISON, MADV_SOFT_OFFLINE, MADV_UNMERGEABLE } from '../uapi/mman.ts';
import { isPageAligned, pageOf, pagesOf, wrapsAround } from './addressRange.ts';

/** Returns 0, -EINVAL, -ENOMEM (holes), and what the advice itself answers. */
export function madvise(
  k: Kernel,
  caller: Task,
  addr: number,
  len: number,
  advice: number,
): number {
  if (!isPageAligned(addr) || wrapsAround(addr, len)) return -EINVAL;
  const start = pageOf(addr);
  const end = start + pagesOf(len);
  if (end === start) return 0;
  if (advice === MADV_HWPOISON || advice === MADV_SOFT_OFFLINE) {
    return injectError(k, caller, start, end, advice === MADV_SOFT_OFFLINE);
  }
  if (advice === MADV_COLLAPSE) return madviseCollapse(k, caller, start, end);
  if (advice === MADV_UNMERGEABLE) unmergeRange(k, caller, caller.mm!, start, end);
  return madviseRange(k, caller, start, end, advice);
}
