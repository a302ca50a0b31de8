/**
 * Guard regions (mm/madvise.c: madvise_guard_install, madvise_guard_remove): markers in place of
 * pages, at which an access ends in SIGSEGV. Only unmapping and removing takes them away. OV
 * section 6.
 *
 * Deviates: Linux tries without end (restart_syscall) while a uffd-wp marker of a file page is in
 * the way; here the guard takes its place.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EINVAL, ENOMEM } from '../uapi/errno.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { MARKER_GUARD, PTE_KIND_MARKER, pteIsGuard, pteOther } from './pageTable.ts';
import { pteAlloc } from './pteSetup.ts';
import { VM_HUGETLB, VM_LOCKED, VM_MAYBE_GUARD, VM_SPECIAL, type Vma } from './vma.ts';
import { zapRange } from './zap.ts';

const GUARD = pteOther(PTE_KIND_MARKER, MARKER_GUARD);

/**
 * Pages of [start, end), which lies in one area, go; markers come. 0; -EINVAL for locked areas, and
 * those that removeGuards refuses; -ENOMEM without memory for page tables, the first part done.
 */
export function installGuards(k: Kernel, nid: number, vma: Vma, start: Vpn, end: Vpn): number {
  if (vma.has(VM_SPECIAL | VM_HUGETLB | VM_LOCKED)) return -EINVAL;
  vma.flags |= VM_MAYBE_GUARD;
  if (hasOthers(k, vma.mm, start, end)) zapRange(k, vma, start, end);
  for (let vpn = start; vpn < end; vpn++) {
    const at = pteAlloc(k, vma.mm, vpn, nid);
    if (at < 0) return -ENOMEM;
    k.ptes.set(at, GUARD, 0);
  }
  return 0;
}

/** Markers of [start, end) go, pages stay. 0; -EINVAL for areas of devices and of hugetlb pages. */
export function removeGuards(k: Kernel, vma: Vma, start: Vpn, end: Vpn): number {
  if (vma.has(VM_SPECIAL | VM_HUGETLB)) return -EINVAL;
  for (let vpn = start; vpn < end; vpn++) {
    const at = vma.mm.pteIndex(vpn);
    if (at >= 0 && pteIsGuard(k.ptes.words[at])) k.ptes.set(at, 0, 0);
  }
  return 0;
}

/** Whether something else than nothing and guards is there. */
function hasOthers(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): boolean {
  for (let vpn = start; vpn < end; vpn++) {
    const slot = mm.slotOf(vpn);
    if (slot < 0) continue;
    if (mm.pmd[slot] !== 0) return true;
    if (mm.leaf[slot] < 0) continue;
    const word = k.ptes.words[mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot])];
    if (word !== 0 && !pteIsGuard(word)) return true;
  }
  return false;
}
