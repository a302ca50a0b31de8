/**
 * The VMAs of an address space as a list: insert, split, merge, remove, and the links of each VMA
 * to its file and anon_vmas (mm/vma.c). OV-29, OV-35, MP-86a.
 */
import { assert } from '../base/assert.ts';
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { samePolicy } from './mempolicy.ts';
import { splitPmdAt } from './pteSetup.ts';
import { anonVmaLink, VM_ACCESS_FLAGS, VM_MAYBE_GUARD, VM_STICKY, Vma } from './vma.ts';

/** Puts a VMA into its place in the list and links it to its file. */
export function insertVma(vma: Vma): void {
  const list = vma.mm.vmas;
  const at = vma.mm.indexAtOrAfter(vma.start);
  assert(at === list.length || list[at].start >= vma.end, 'VMAs of one mm overlap');
  list.splice(at, 0, vma);
  if (vma.file !== null) vma.file.vmas.push(vma);
}

/** Takes a VMA out of the list and drops its links; its pages are zapped already. */
export function removeVma(k: Kernel, vma: Vma): void {
  const at = vma.mm.vmas.indexOf(vma);
  assert(at >= 0, 'VMA is in its address space');
  vma.mm.vmas.splice(at, 1);
  if (vma.file !== null) vma.file.vmas.splice(vma.file.vmas.indexOf(vma), 1);
  unlinkAnonVmas(k, vma);
}

/** unlink_anon_vmas: rmap no longer looks here; an anon_vma without areas is gone. */
export function unlinkAnonVmas(k: Kernel, vma: Vma): void {
  for (const anonVma of vma.anonVmaChain) {
    anonVma.vmas.splice(anonVma.vmas.indexOf(vma), 1);
    if (anonVma.vmas.length === 0) k.dropAnonVma(anonVma);
  }
  vma.anonVmaChain.length = 0;
  vma.anonVma = null;
}

/** Cuts a VMA in two at `at`; returns the upper part. A PMD mapping across the cut is split. */
export function splitVma(k: Kernel, vma: Vma, at: Vpn): Vma {
  assert(at > vma.start && at < vma.end, 'a VMA is split inside');
  if (at % HPAGE_PMD_NR !== 0) splitPmdAt(k, vma.mm, at);
  const upper = new Vma(vma.mm, at, vma.end, vma.flags, vma.indexOf(at));
  upper.file = vma.file;
  upper.policy = vma.policy;
  upper.anonVma = vma.anonVma;
  vma.end = at;
  cloneAnonVmas(vma, upper);
  insertVma(upper);
  return upper;
}

/** anon_vma_clone: the same candidates for rmap. */
export function cloneAnonVmas(from: Vma, to: Vma): void {
  for (const anonVma of from.anonVmaChain) anonVmaLink(to, anonVma);
}

/** Cuts at both ends of [start, end) so that whole VMAs cover what they have of it. */
export function splitAtEnds(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): void {
  const first = mm.findVma(start);
  if (first !== null && first.start < start) splitVma(k, first, start);
  const last = end > 0 ? mm.findVma(end - 1) : null;
  if (last !== null && last.end > end) splitVma(k, last, end);
}

/** vma_merge around a VMA: swallows equal neighbours. Returns the VMA that now covers its range. */
export function mergeVma(k: Kernel, vma: Vma): Vma {
  const list = vma.mm.vmas;
  let at = list.indexOf(vma);
  let merged = vma;
  if (at > 0 && mayMerge(list[at - 1], vma)) {
    absorb(k, list[at - 1], vma);
    at -= 1;
    merged = list[at];
  }
  if (at + 1 < list.length && mayMerge(merged, list[at + 1])) absorb(k, merged, list[at + 1]);
  return merged;
}

/** Merges whatever can be merged along [start, end] (after a change of attributes). */
export function mergeRange(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): void {
  let i = Math.max(0, mm.indexAtOrAfter(start) - 1);
  while (i + 1 < mm.vmas.length && mm.vmas[i].start <= end) {
    if (mayMerge(mm.vmas[i], mm.vmas[i + 1])) absorb(k, mm.vmas[i], mm.vmas[i + 1]);
    else i++;
  }
}

function mayMerge(lower: Vma, upper: Vma): boolean {
  if (lower.end !== upper.start || lower.file !== upper.file) return false;
  if (((lower.flags ^ upper.flags) & ~VM_STICKY) !== 0) return false;
  if (lower.indexOf(lower.end) !== upper.pgoff) return false;
  return samePolicy(lower.policy, upper.policy) && anonVmasMerge(lower, upper);
}

/** is_mergeable_anon_vma: equal, or one without any and the other never forked. */
function anonVmasMerge(lower: Vma, upper: Vma): boolean {
  if (lower.anonVma === upper.anonVma) return true;
  const none = lower.anonVma === null || upper.anonVma === null;
  return none && lower.anonVmaChain.length <= 1 && upper.anonVmaChain.length <= 1;
}

function absorb(k: Kernel, lower: Vma, upper: Vma): void {
  const end = upper.end;
  if (lower.anonVma === null && upper.anonVma !== null) {
    lower.anonVma = upper.anonVma;
    cloneAnonVmas(upper, lower);
  }
  lower.flags |= upper.flags & VM_MAYBE_GUARD;
  removeVma(k, upper);
  lower.end = end;
}

/** The anon_vma of a neighbour that could merge if protections were equal, or null. */
export function reusableAnonVma(vma: Vma): Vma | null {
  const list = vma.mm.vmas;
  const at = list.indexOf(vma);
  for (const near of [list[at + 1], list[at - 1]]) {
    if (near === undefined || near.anonVma === null || near.anonVmaChain.length !== 1) continue;
    const [lower, upper] = near.start < vma.start ? [near, vma] : [vma, near];
    const ignored = VM_ACCESS_FLAGS | VM_STICKY;
    const alike =
      lower.end === upper.start &&
      lower.file === upper.file &&
      ((lower.flags ^ upper.flags) & ~ignored) === 0 &&
      lower.indexOf(lower.end) === upper.pgoff &&
      samePolicy(lower.policy, upper.policy);
    if (alike) return near;
  }
  return null;
}
