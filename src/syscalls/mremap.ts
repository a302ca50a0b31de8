/**
 * mremap(2) (mm/mremap.c: check_mremap_params, do_mremap).
 * Not modelled: old length 0, which duplicates a shared mapping: -EINVAL here.
 */
import { HPAGE_PMD_NR, PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  mremapRange,
  type Task,
  VM_HUGETLB,
  VM_LOCKED,
} from '../mm/index.ts';
import { EAGAIN, EINVAL } from '../uapi/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../uapi/mman.ts';
import { isPageAligned, pageOf, pagesOf, TASK_SIZE } from './addressRange.ts';
import { mlockFuture, populate } from './mlockLimit.ts';

const MREMAP_VALID = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

/** check_mremap_params: hugetlb areas move by whole huge pages and do not grow. */
function checkHugetlb(mm: AddressSpace, from: Vpn, old: number, now: number, to: Vpn): number {
  if (!mm.findVma(from)?.has(VM_HUGETLB)) return 0;
  const isWhole = [from, old, now, to].every((pages) => pages % HPAGE_PMD_NR === 0);
  return isWhole && now <= old ? 0 : -EINVAL;
}

/** Returns the address in bytes, or -EINVAL, -EFAULT, -ENOMEM, -EAGAIN (RLIMIT_MEMLOCK). */
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
  const refused = checkHugetlb(mm, from, oldPages, newPages, target);
  if (refused !== 0) return refused;
  const vma = mm.findVma(from);
  const lock = vma !== null && vma.end >= from + oldPages ? vma.flags & VM_LOCKED : 0;
  const more = Math.max(0, newPages - oldPages);
  if (more > 0 && mlockFuture(caller, lock, more) !== 0) return -EAGAIN;
  const start = mremapRange(k, caller, from, oldPages, newPages, flags, target);
  if (start < 0) return start;
  if (lock !== 0) populate(k, caller, start + oldPages, start + oldPages + more);
  return start * PAGE_SIZE;
}
