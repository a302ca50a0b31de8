/**
 * mmap(2): argument checks, the mapping, and populating it (mm/mmap.c: ksys_mmap_pgoff, do_mmap).
 *
 * Not modelled: MAP_GROWSDOWN, limits on the number of mappings,
 * hugetlb pages of other sizes than 2 MiB.
 */
import { HPAGE_PMD_NR, PAGE_SHIFT, PAGE_SIZE } from '../base/units.ts';
import {
  type AddressSpace,
  dropHugetlbFile,
  type Kernel,
  type MappedFile,
  mmapRegion,
  newHugetlbFile,
  type Task,
  VM_LOCKED,
} from '../mm/index.ts';
import { EACCES, EINVAL, ENOMEM, EPERM } from '../uapi/errno.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGE_MASK,
  MAP_HUGE_SHIFT,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_TYPE,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { O_RDONLY, O_RDWR, O_WRONLY } from '../uapi/open.ts';
import { isPageAligned, pageOf, pagesOf, TASK_SIZE } from './addressRange.ts';
import { canDoMlock, mlockFuture, populate } from './mlockLimit.ts';

/** log2 of the huge page size, as MAP_HUGETLB flags may name it. */
const HPAGE_SHIFT = PAGE_SHIFT + 9;

/**
 * mmap(addr, len, prot, flags, file, offset); `file` null with MAP_ANONYMOUS, `access` how it was
 * opened (O_RDONLY …). Returns the address in bytes, or -EINVAL, -ENOMEM, -EEXIST, -EPERM, -EAGAIN,
 * -EACCES.
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
  access: number = O_RDWR,
): number {
  if (!isPageAligned(offset) || len <= 0) return -EINVAL;
  if (len > TASK_SIZE) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if ((flags & MAP_HUGETLB) !== 0 && (flags & MAP_ANONYMOUS) !== 0) {
    return mmapHugetlb(k, caller, addr, len, prot, flags);
  }
  const pages = pagesOf(len);
  const mm = caller.mm!;
  const refused = checkLocked(caller, flags, pages);
  if (refused !== 0) return refused;
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  if (fixed && !isPageAligned(addr)) return -EINVAL;
  const isWritable = access !== O_RDONLY;
  const stores = type !== MAP_PRIVATE && (prot & PROT_WRITE) !== 0;
  if (file !== null && (access === O_WRONLY || (stores && !isWritable))) return -EACCES;
  const pgoff = offset / PAGE_SIZE;
  const request = { addr: pageOf(addr), pages, prot, flags, file, pgoff, isWritable };
  const start = mmapRegion(k, mm, request);
  if (start < 0) return start;
  if (populates(mm, flags)) populate(k, caller, start, start + pages);
  return start * PAGE_SIZE;
}

/** Flags of areas that are locked as they are made. */
function lockFlags(mm: AddressSpace, flags: number): number {
  return mm.lockFutureFlags | ((flags & MAP_LOCKED) !== 0 ? VM_LOCKED : 0);
}

/** -EPERM: the caller may lock nothing; -EAGAIN: not so much. */
function checkLocked(caller: Task, flags: number, pages: number): number {
  if ((flags & MAP_LOCKED) !== 0 && !canDoMlock(caller)) return -EPERM;
  return mlockFuture(caller, lockFlags(caller.mm!, flags), pages);
}

/** Whether the area is faulted in at once; what is to be locked on fault is left out there. */
function populates(mm: AddressSpace, flags: number): boolean {
  if ((lockFlags(mm, flags) & VM_LOCKED) !== 0) return true;
  return (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
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
  const isReserved = (flags & MAP_NORESERVE) === 0;
  const file = newHugetlbFile(k, caller, pages, isShared, isReserved);
  if (file === null) return -ENOMEM;
  const hint = Math.ceil(first / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  const request = { addr: hint, pages, prot, flags, file, pgoff: 0 };
  const refused = checkLocked(caller, flags, pages);
  const start = refused !== 0 ? refused : mmapRegion(k, caller.mm!, request);
  if (start < 0) {
    dropHugetlbFile(k, file);
    return start;
  }
  if (populates(caller.mm!, flags)) populate(k, caller, start, start + pages);
  return start * PAGE_SIZE;
}
