/** munmap(2) (mm/mmap.c: __vm_munmap, do_vmi_munmap). Holes in the range are no error. */

import { type Kernel, munmapRange, type Task } from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { isPageAligned, pageOf, pagesOf, TASK_SIZE } from './addressRange.ts';

/** Returns 0 or -EINVAL (unaligned, empty, beyond the address space). */
export function munmap(k: Kernel, caller: Task, addr: number, len: number): number {
  if (!isPageAligned(addr) || len <= 0 || addr + len > TASK_SIZE) return -EINVAL;
  const start = pageOf(addr);
  munmapRange(k, caller.mm!, start, start + pagesOf(len));
  return 0;
}
