/** munmap(2) (mm/mmap.c: __vm_munmap, do_vmi_munmap). Holes in the range are no error. */

import { checkHugetlbCuts, type Kernel, munmapRange, type Task } from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { isPageAligned, pageOf, pagesOf, TASK_SIZE } from './addressRange.ts';

/** Returns 0 or -EINVAL (unaligned, empty, beyond the address space, inside a hugetlb page). */
export function munmap(k: Kernel, caller: Task, addr: number, len: number): number {
  if (!isPageAligned(addr) || len <= 0 || addr + len > TASK_SIZE) return -EINVAL;
  const start = pageOf(addr);
  const end = start + pagesOf(len);
  const cut = checkHugetlbCuts(caller.mm!, start, end);
  if (cut !== 0) return cut;
  munmapRange(k, caller.mm!, start, end);
  return 0;
}
