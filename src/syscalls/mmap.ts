/**
 * mmap(2): argument checks, the mapping, and populating it (mm/mmap.c: ksys_mmap_pgoff, do_mmap).
 *
 * Not modelled: open modes of files (-EACCES), MAP_GROWSDOWN, limits on the number of mappings,
 * hugetlb pages of other sizes than 2 MiB.
 */
import { HPAGE_PMD_NR, PAGE_SHIFT, PAGE_SIZE } from '../base/units.ts';
import {
  dropHugetlbFile,
  type Kernel,
  type MappedFile,
  mmapRegion,
  newHugetlbFile,
  type Task,
} from '../mm/index.ts';
import { EAGAIN, EINVAL, ENOMEM, EPERM } from '../uapi/errno.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGE_MASK,
  MAP_HUGE_SHIFT,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_TYPE,
} from '../uapi/mman.ts';
import { isPageAligned, pageOf, pagesOf, TASK_SIZE } from './addressRange.ts';
import { canDoMlock, exceedsMemlock, isLockedNow, populate } from './mlockLimit.ts';

/** log2 of the huge page size, as MAP_HUGETLB flags may name it. */
const HPAGE_SHIFT = PAGE_SHIFT + 9;

/**
 * mmap(addr, len, prot, flags, file, offset); `file` null with MAP_ANONYMOUS. Returns the address
 * in bytes, or -EINVAL, -ENOMEM, -EEXIST, -EPERM, -EAGAIN.
 */
export function mmap(
  k: Kernel,
  caller: Task,
  addr: number,
  len: number,
  prot: number,
  flags: number,
  file: MappedFile | null,
  offset: number,
): number {
  if (!isPageAligned(offset) || len <= 0) return -EINVAL;
  if (len > TASK_SIZE) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if ((flags & MAP_HUGETLB) !== 0 && (flags & MAP_ANONYMOUS) !== 0) {
    return mmapHugetlb(k, caller, addr, len, prot, flags);
  }
  const pages = pagesOf(len);
  const mm = caller.mm!;
  if ((flags & MAP_LOCKED) !== 0 && !canDoMlock(caller)) return -EPERM;
  const locked = (flags & MAP_LOCKED) !== 0 || isLockedNow(mm.lockFutureFlags);
  if (locked && exceedsMemlock(caller, mm.lockedVm + pages)) return -EAGAIN;
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  if (fixed && !isPageAligned(addr)) return -EINVAL;
  const pgoff = offset / PAGE_SIZE;
  const request = { addr: pageOf(addr), pages, prot, flags, file, pgoff };
  const start = mmapRegion(k, mm, request);
  if (start < 0) return start;
  if (locked || (flags & MAP_POPULATE) !== 0) populate(k, caller, start, start + pages);
  return start * PAGE_SIZE;
}

/** MAP_HUGETLB: lengths are rounded up to huge pages, which are promised now or never. */
function mmapHugetlb(
  k: Kernel,
  caller: Task,
  addr: number,
  len: number,
  prot: number,
  flags: number,
): number {
  const size = (flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  if (size !== 0 && size !== HPAGE_SHIFT) return -EINVAL;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const first = pageOf(addr);
  if (fixed && (!isPageAligned(addr) || first % HPAGE_PMD_NR !== 0)) return -EINVAL;
  const pages = Math.ceil(pagesOf(len) / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  const isShared = type !== MAP_PRIVATE;
  const file = newHugetlbFile(k, caller, pages, isShared);
  if (file === null) return -ENOMEM;
  const hint = Math.ceil(first / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  const request = { addr: hint, pages, prot, flags, file, pgoff: 0 };
  const start = mmapRegion(k, caller.mm!, request);
  if (start < 0) {
    dropHugetlbFile(k, file);
    return start;
  }
  if ((flags & MAP_POPULATE) !== 0) populate(k, caller, start, start + pages);
  return start * PAGE_SIZE;
}
