/**
 * mprotect(2) (mm/mprotect.c: do_mprotect_pkey).
 * Not modelled: PROT_GROWSDOWN and PROT_GROWSUP, protection keys.
 */

import { checkHugetlbCuts, type Kernel, mprotectRange, type Task } from '../mm/index.ts';
import { EINVAL, ENOMEM } from '../uapi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { isPageAligned, pageOf, pagesOf, wrapsAround } from './addressRange.ts';

/**
 * Returns 0, -EINVAL (alignment, protection bits), -ENOMEM (part of the range is not mapped) or
 * -EACCES (a file that was opened for reading).
 */
export function mprotect(k: Kernel, caller: Task, addr: number, len: number, prot: number): number {
  if (!isPageAligned(addr)) return -EINVAL;
  if (len === 0) return 0;
  if (wrapsAround(addr, len)) return -ENOMEM;
  if ((prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) !== 0) return -EINVAL;
  const start = pageOf(addr);
  const cut = checkHugetlbCuts(caller.mm!, start, start + pagesOf(len));
  if (cut !== 0) return cut;
  return mprotectRange(k, caller.mm!, start, start + pagesOf(len), prot);
}
