/**
 * Giving a range of addresses a policy (mm/mempolicy.c: mbind_range, vma_replace_policy,
 * mpol_set_shared_policy). OV-31, MP-86a.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile, SharedPolicyRange } from './mappedFile.ts';
import type { Mempolicy } from './mempolicy.ts';
import { rmapCollect } from './rmap.ts';
import type { Vma } from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';

/**
 * Every VMA part in [start, end) gets `policy`; null takes the policy away. VMAs are split at the
 * ends and merged where they have become equal. A shmem object keeps the policy for all who map it.
 */
export function mbindRange(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  policy: Mempolicy | null,
): void {
  splitAtEnds(k, mm, start, end);
  for (let i = mm.indexAtOrAfter(start); i < mm.vmas.length && mm.vmas[i].start < end; i++) {
    const vma = mm.vmas[i];
    vma.policy = policy;
    if (vma.file?.isShmem()) {
      setSharedPolicy(vma.file, vma.pgoff, vma.pgoff + vma.nrPages, policy);
    }
  }
  mergeRange(k, mm, start, end);
}

/** shared_policy_replace: pages [start, end) of the object, cut out of the ranges there were. */
function setSharedPolicy(
  file: MappedFile,
  start: number,
  end: number,
  policy: Mempolicy | null,
): void {
  const kept: SharedPolicyRange[] = [];
  for (const range of file.sharedPolicy) {
    if (range.start < start) kept.push({ ...range, end: Math.min(range.end, start) });
    if (range.end > end) kept.push({ ...range, start: Math.max(range.start, end) });
  }
  if (policy !== null) kept.push({ start, end, policy });
  file.sharedPolicy = kept.sort((a, b) => a.start - b.start);
}

/** page_address_in_vma: where the VMA would map the folio's first page, or -1. */
export function folioVpnIn(k: Kernel, head: FrameId, vma: Vma): Vpn {
  const nr = rmapCollect(k, head);
  for (let r = 0; r < nr; r++) {
    if (k.rmap.vma[r] === vma && k.rmap.sub[r] === 0) return k.rmap.vpn[r];
  }
  return -1;
}
