/**
 * Virtual memory areas and the anon_vmas that tie them to anonymous folios
 * (include/linux/mm_types.h, mm/rmap.c). OV-29, OV-30, OV-35.
 */
import type { Vpn } from '../base/units.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { MappedFile } from './mappedFile.ts';
import type { Mempolicy } from './mempolicy.ts';

export const VM_READ = 1 << 0;
export const VM_WRITE = 1 << 1;
export const VM_EXEC = 1 << 2;
export const VM_SHARED = 1 << 3;
export const VM_LOCKED = 1 << 4;
export const VM_LOCKONFAULT = 1 << 5;
export const VM_IO = 1 << 6;
export const VM_PFNMAP = 1 << 7;
export const VM_MIXEDMAP = 1 << 8;
export const VM_DONTCOPY = 1 << 9;
export const VM_DONTEXPAND = 1 << 10;
export const VM_HUGETLB = 1 << 11;
export const VM_HUGEPAGE = 1 << 12;
export const VM_NOHUGEPAGE = 1 << 13;
export const VM_MERGEABLE = 1 << 14;
export const VM_UFFD_WP = 1 << 15;
export const VM_WIPEONFORK = 1 << 16;
export const VM_GROWSDOWN = 1 << 17;
export const VM_SOFTDIRTY = 1 << 18;
export const VM_DAX = 1 << 19;
export const VM_UFFD_MISSING = 1 << 20;
/** A shared mapping of a file that was opened for reading: Linux takes VM_MAYWRITE away. */
export const VM_MAYNOTWRITE = 1 << 21;
/** Guards were installed in it, and fork copies its page tables. */
export const VM_MAYBE_GUARD = 1 << 22;

/** Areas that differ in these only may merge. */
export const VM_STICKY = VM_SOFTDIRTY | VM_MAYBE_GUARD;
export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;
/** Areas whose pages are not the kernel's to lock, merge or give to a device. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;

/** Whether mlock and MAP_LOCKED mean anything to an area with these flags (mlock_fixup). */
export function isLockable(flags: number): boolean {
  return (flags & (VM_SPECIAL | VM_HUGETLB | VM_DAX)) === 0;
}

/** Which folios an anonymous area's pages may be found through; shared along fork (OV-35). */
export class AnonVma {
  readonly id: number;
  /** Every VMA that may map folios of this anon_vma: candidates, not mappers. */
  readonly vmas: Vma[] = [];

  constructor(id: number) {
    this.id = id;
  }
}

/** A range of an address space with one set of attributes. start and end are page numbers. */
export class Vma {
  readonly mm: AddressSpace;
  start: Vpn;
  end: Vpn;
  flags: number;
  /** Page offset in the file; for anonymous memory the page number where it was first mapped. */
  pgoff: number;
  file: MappedFile | null;
  policy: Mempolicy | null = null;
  /** anon_vma of pages that fault from now on; null until the first anonymous fault. */
  anonVma: AnonVma | null = null;
  /** All anon_vmas this VMA is linked to: its own and those inherited by fork. */
  readonly anonVmaChain: AnonVma[] = [];

  constructor(mm: AddressSpace, start: Vpn, end: Vpn, flags: number, pgoff: number) {
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.flags = flags;
    this.pgoff = pgoff;
    this.file = null;
  }

  get nrPages(): number {
    return this.end - this.start;
  }

  /** Page offset of an address: index of a file page, or linear index of an anonymous page. */
  indexOf(vpn: Vpn): number {
    return vpn - this.start + this.pgoff;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Private mapping that may become writable: what copy-on-write applies to. */
  isCow(): boolean {
    return (this.flags & VM_SHARED) === 0;
  }

  /** No file behind it (shared anonymous memory has a shmem file). */
  isAnonymous(): boolean {
    return this.file === null;
  }

  /** MADV_HUGEPAGE was given. */
  isHugeAdvised(): boolean {
    return (this.flags & VM_HUGEPAGE) !== 0;
  }

  isNoHuge(): boolean {
    return (this.flags & VM_NOHUGEPAGE) !== 0;
  }

  /** Accessible at all: PROT_NONE areas have none of the three. */
  isAccessible(): boolean {
    return (this.flags & VM_ACCESS_FLAGS) !== 0;
  }
}

/** OV-30 (vma_migratable). */
export function vmaMigratable(vma: Vma): boolean {
  if ((vma.flags & (VM_IO | VM_PFNMAP | VM_DAX)) !== 0) return false;
  return vma.file === null || vma.file.gfpZone >= ZONE_NORMAL;
}

/** Links a VMA to an anon_vma, once. */
export function anonVmaLink(vma: Vma, anonVma: AnonVma): void {
  vma.anonVmaChain.push(anonVma);
  anonVma.vmas.push(vma);
}
