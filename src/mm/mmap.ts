/**
 * Mapping and unmapping memory (mm/mmap.c, mm/vma.c). Argument checks that need no state are the
 * system calls' part; these functions take page numbers. OV-29.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EEXIST, EINVAL, ENOMEM } from '../uapi/errno.ts';
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_LOCKED,
  MAP_SHARED,
  MAP_STACK,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { type AddressSpace, TASK_SIZE_PAGES } from './addressSpace.ts';
import { closeHugetlb } from './hugetlb.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { MMU_NOTIFY_RELEASE, MMU_NOTIFY_UNMAP, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  isLockable,
  VM_DAX,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYNOTWRITE,
  VM_MIXEDMAP,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  Vma,
} from './vma.ts';
import { insertVma, mergeVma, removeVma, splitAtEnds } from './vmaList.ts';
import { freeAllPageTables, freePageTables, zapRange } from './zap.ts';

/** Lowest page that mmap gives out by itself (mmap_min_addr is 64 KiB). */
const MMAP_MIN_PAGE = 16;

export interface MmapRequest {
  /** Page number hinted or demanded; 0 = none. */
  readonly addr: Vpn;
  readonly pages: number;
  /** PROT_*. */
  readonly prot: number;
  /** MAP_*. */
  readonly flags: number;
  /** null: anonymous (a shared one gets a shmem file of its own). */
  readonly file: MappedFile | null;
  readonly pgoff: number;
  /** false: the file was opened for reading only. */
  readonly isWritable?: boolean;
}

/** VM_READ, VM_WRITE, VM_EXEC of a protection. */
export function vmFlagsOfProt(prot: number): number {
  return (
    ((prot & PROT_READ) !== 0 ? VM_READ : 0) |
    ((prot & PROT_WRITE) !== 0 ? VM_WRITE : 0) |
    ((prot & PROT_EXEC) !== 0 ? VM_EXEC : 0)
  );
}

/** Maps a region. Returns its first page number, or -EEXIST, -EINVAL, -ENOMEM. */
export function mmapRegion(k: Kernel, mm: AddressSpace, request: MmapRequest): number {
  const { pages, flags } = request;
  if (pages <= 0) return -EINVAL;
  let start = request.addr;
  const demanded = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if (demanded) {
    if (start + pages > TASK_SIZE_PAGES) return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) !== 0 && !rangeIsFree(mm, start, pages)) return -EEXIST;
    munmapRange(k, mm, start, start + pages);
  } else {
    const hinted = start >= MMAP_MIN_PAGE && start + pages <= TASK_SIZE_PAGES;
    if (!hinted || !rangeIsFree(mm, start, pages)) {
      start = findUnmappedArea(mm, pages, request.file === null || request.file.kind === 'hugetlb');
    }
    if (start < 0) return -ENOMEM;
  }
  const vma = new Vma(mm, start, start + pages, vmFlagsOf(k, mm, request), start);
  attachFile(k, vma, request);
  insertVma(vma);
  if (vma.has(VM_LOCKED)) mm.lockedVm += pages;
  mergeVma(k, vma);
  return start;
}

function vmFlagsOf(k: Kernel, mm: AddressSpace, request: MmapRequest): number {
  let vm = vmFlagsOfProt(request.prot) | mm.lockFutureFlags;
  if ((request.flags & MAP_SHARED) !== 0) {
    vm |= request.isWritable === false ? VM_SHARED | VM_MAYNOTWRITE : VM_SHARED;
  }
  if ((request.flags & MAP_LOCKED) !== 0) vm |= VM_LOCKED;
  if ((request.flags & MAP_STACK) !== 0) vm |= VM_NOHUGEPAGE;
  // MC-41a: secretmem_mmap locks.
  if (request.file?.kind === 'secretmem' && k.profile.secretMemoryIsMlocked) vm |= VM_LOCKED;
  if (request.file?.kind === 'devmem') vm |= VM_PFNMAP | VM_IO | VM_DONTEXPAND; // remap_pfn_range
  if (request.file?.kind === 'dax' || request.file?.kind === 'devdax') vm |= VM_DAX;
  if (request.file?.kind === 'devdax') vm |= VM_HUGEPAGE; // dax_mmap
  if (request.file?.kind === 'inserted') vm |= VM_MIXEDMAP; // vm_insert_page
  if (request.file?.kind === 'hugetlb') vm |= VM_HUGETLB;
  // What reclaim never takes is not locked either, and does not count as locked.
  return isLockable(vm) ? vm : vm & ~(VM_LOCKED | VM_LOCKONFAULT);
}

function attachFile(k: Kernel, vma: Vma, request: MmapRequest): void {
  if (request.file !== null) {
    vma.file = request.file;
    vma.pgoff = request.pgoff;
  } else if ((request.flags & MAP_SHARED) !== 0) {
    vma.file = k.newFile('/dev/zero (deleted)', 'shmem', request.pages);
    vma.file.openCount = 0;
    vma.pgoff = 0;
  }
}

export function rangeIsFree(mm: AddressSpace, start: Vpn, pages: number): boolean {
  const i = mm.indexAtOrAfter(start);
  return i === mm.vmas.length || mm.vmas[i].start >= start + pages;
}

/**
 * Top-down search for a gap (arch_get_unmapped_area_topdown). Anonymous regions whose size is a
 * multiple of 2 MiB are aligned to it (thp_get_unmapped_area, since 6.7). -1: no room.
 */
export function findUnmappedArea(mm: AddressSpace, pages: number, anonymous: boolean): Vpn {
  const huge = anonymous && pages >= HPAGE_PMD_NR && pages % HPAGE_PMD_NR === 0;
  const align = huge ? HPAGE_PMD_NR : 1;
  let high = mm.mmapBase;
  for (let i = mm.vmas.length - 1; i >= -1; i--) {
    const low = i < 0 ? MMAP_MIN_PAGE : mm.vmas[i].end;
    const start = Math.floor((Math.min(high, mm.mmapBase) - pages) / align) * align;
    if (start >= low && low < mm.mmapBase) return start;
    if (i >= 0) high = mm.vmas[i].start;
  }
  return -1;
}

/** do_munmap of [start, end): entries, VMAs and empty page tables go. Holes are fine. */
export function munmapRange(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): void {
  splitAtEnds(k, mm, start, end);
  let i = mm.indexAtOrAfter(start);
  let any = false;
  while (i < mm.vmas.length && mm.vmas[i].start < end) {
    const vma = mm.vmas[i];
    zapRange(k, vma, vma.start, vma.end, MMU_NOTIFY_UNMAP);
    if (vma.has(VM_LOCKED)) mm.lockedVm -= vma.nrPages;
    removeVma(k, vma);
    if (vma.has(VM_HUGETLB)) closeHugetlb(k, vma);
    dropUnusedFile(k, vma.file);
    any = true;
    i = mm.indexAtOrAfter(start);
  }
  if (any) freePageTables(k, mm, start, end);
}

/** The page cache of a file that nobody has open or mapped any more and that has no name. */
function dropUnusedFile(k: Kernel, file: MappedFile | null): void {
  if (file === null || file.openCount > 0 || file.vmas.length > 0) return;
  k.dropFile(file);
}

/** exit_mmap: everything goes. */
export function exitMmap(k: Kernel, mm: AddressSpace): void {
  mmuNotifierInvalidate(mm, 0, TASK_SIZE_PAGES, MMU_NOTIFY_RELEASE);
  while (mm.vmas.length > 0) {
    const vma = mm.vmas[mm.vmas.length - 1];
    zapRange(k, vma, vma.start, vma.end, MMU_NOTIFY_UNMAP);
    removeVma(k, vma);
    if (vma.has(VM_HUGETLB)) closeHugetlb(k, vma);
    dropUnusedFile(k, vma.file);
  }
  mm.lockedVm = 0;
  freeAllPageTables(k, mm);
  k.dropAddressSpace(mm);
}

/** brk(2): moves the end of the heap; returns the end in force afterwards, in bytes' pages. */
export function setBrk(k: Kernel, mm: AddressSpace, newBrk: Vpn): Vpn {
  if (newBrk < mm.brkStart) return mm.brk;
  if (newBrk < mm.brk) {
    munmapRange(k, mm, newBrk, mm.brk);
    mm.brk = newBrk;
  } else if (newBrk > mm.brk) {
    const pages = newBrk - mm.brk;
    if (!rangeIsFree(mm, mm.brk, pages)) return mm.brk;
    const flags = MAP_FIXED;
    const prot = PROT_READ | PROT_WRITE;
    mmapRegion(k, mm, { addr: mm.brk, pages, prot, flags, file: null, pgoff: 0 });
    mm.brk = newBrk;
  }
  return mm.brk;
}
