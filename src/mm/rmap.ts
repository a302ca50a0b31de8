/**
 * Reverse mapping: from a folio to the page table entries that map it, and the counters that
 * change when a mapping appears or goes (mm/rmap.c). OV-13, OV-18, OV-35, OV-36, OV-45.
 *
 * A walk first collects candidate ranges (VMA, first page, first subpage, count) into reusable
 * arrays, because a candidate is not a mapper until its entry is found; the caller then looks at
 * the entries. Walks do not nest.
 */
import { assert } from '../base/assert.ts';
import type { FrameId, Vpn } from '../base/units.ts';
import {
  NR_ANON_MAPPED,
  NR_ANON_THPS,
  NR_FILE_MAPPED,
  NR_FILE_PMDMAPPED,
  NR_SHMEM_PMDMAPPED,
  vmEvent,
} from '../uapi/vmstat.ts';
import type { AddressSpace } from './addressSpace.ts';
import {
  PG_ANON_EXCLUSIVE,
  PG_DEFERRED_SPLIT,
  PG_PARTIALLY_MAPPED,
  PG_SWAPBACKED,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { StableNode } from './ksm.ts';
import type { Vma } from './vma.ts';

const THP_DEFERRED_SPLIT_PAGE = vmEvent('thp_deferred_split_page');

/** Candidate ranges of the walk in progress. */
export class RmapScratch {
  readonly vma: Vma[] = [];
  vpn: Float64Array = new Float64Array(64);
  sub: Int32Array = new Int32Array(64);
  nr: Int32Array = new Int32Array(64);
  n = 0;

  push(vma: Vma, vpn: Vpn, sub: number, nr: number): void {
    if (this.n === this.vpn.length) this.#grow();
    this.vma[this.n] = vma;
    this.vpn[this.n] = vpn;
    this.sub[this.n] = sub;
    this.nr[this.n] = nr;
    this.n++;
  }

  #grow(): void {
    const capacity = this.vpn.length * 2;
    const vpn = new Float64Array(capacity);
    vpn.set(this.vpn);
    const sub = new Int32Array(capacity);
    sub.set(this.sub);
    const nr = new Int32Array(capacity);
    nr.set(this.nr);
    this.vpn = vpn;
    this.sub = sub;
    this.nr = nr;
  }
}

/** Fills k.rmap with the ranges that may map the folio; returns their number. OV-35, OV-36. */
export function rmapCollect(k: Kernel, head: FrameId): number {
  const scratch = k.rmap;
  scratch.n = 0;
  const folios = k.folios;
  const index = k.frames.indexOf(head);
  const nr = folios.nrPages(head);
  if (folios.isKsm(head)) {
    pushKsm(scratch, k.ksm.nodes[folios.mappingId(head)]);
  } else if (folios.isAnon(head)) {
    const anonVma = k.anonVmas[folios.mappingId(head)];
    if (anonVma !== null && anonVma !== undefined) pushRanges(scratch, anonVma.vmas, index, nr);
  } else if (folios.hasFileMapping(head)) {
    const file = k.files[folios.mappingId(head)];
    if (file !== null) pushRanges(scratch, file.vmas, index, nr);
  }
  return scratch.n;
}

/** rmap_walk_ksm: the places merged into the page, and what forked from them. */
function pushKsm(scratch: RmapScratch, node: StableNode): void {
  for (const { anonVma, vpn } of node.items) {
    for (const vma of anonVma.vmas) {
      if (vpn >= vma.start && vpn < vma.end) scratch.push(vma, vpn, 0, 1);
    }
  }
}

/** Whether rmap knows that `vpn` of `mm` may map the folio. OV-35. */
export function rmapFindsPlace(k: Kernel, head: FrameId, mm: AddressSpace, vpn: Vpn): boolean {
  const n = rmapCollect(k, head);
  const { vma, vpn: first, nr } = k.rmap;
  for (let r = 0; r < n; r++) {
    if (vma[r].mm === mm && vpn >= first[r] && vpn < first[r] + nr[r]) return true;
  }
  return false;
}

function pushRanges(scratch: RmapScratch, vmas: readonly Vma[], index: number, nr: number): void {
  for (let i = 0; i < vmas.length; i++) {
    const vma = vmas[i];
    const first = Math.max(index, vma.pgoff);
    const last = Math.min(index + nr, vma.pgoff + (vma.end - vma.start));
    if (first >= last) continue;
    scratch.push(vma, vma.start + (first - vma.pgoff), first - index, last - first);
  }
}

/** A new page table entry maps `page` (an order-0 mapping) in `mm`. Takes no reference. */
export function addRmapPte(k: Kernel, page: FrameId, mm: AddressSpace): void {
  const head = k.frames.headOf(page);
  const wasMapped = k.folios.pageMapcount(page) > 0;
  k.frames.mapcount[page]++;
  if (k.folios.isLarge(head)) {
    k.frames.refcount[head + 1]++;
    k.folios.addMmMappings(head, mm.id, 1);
  }
  if (!wasMapped) k.vmstat.modNode(k.pm.nidOf(head), mappedItem(k, head), 1);
}

/**
 * `nr` page table entries that mapped consecutive pages of one folio in `mm` are gone. Drops no
 * reference. `willRemap`: migration entries took their place, so nothing is deferred for splitting.
 */
export function removeRmapPtes(
  k: Kernel,
  page: FrameId,
  nr: number,
  mm: AddressSpace,
  willRemap: boolean,
): void {
  const f = k.frames;
  const head = f.headOf(page);
  const anon = k.folios.isAnon(head);
  const entire = k.folios.entireMapcount(head);
  let unmapped = 0;
  for (let i = page; i < page + nr; i++) {
    assert(f.mapcount[i] > 0, 'page unmapped more often than mapped', i);
    if (--f.mapcount[i] > 0 || entire > 0) continue;
    unmapped++;
    if (anon) f.flags[i] &= ~PG_ANON_EXCLUSIVE;
  }
  if (unmapped > 0) k.vmstat.modNode(k.pm.nidOf(head), mappedItem(k, head), -unmapped);
  if (!k.folios.isLarge(head)) return;
  f.refcount[head + 1] -= nr;
  k.folios.removeMmMappings(head, mm.id, nr);
  if (anon && !willRemap && f.refcount[head + 1] > 0) deferSplit(k, head);
}

/** A PMD maps the whole folio in `mm`. */
export function addRmapPmd(k: Kernel, head: FrameId, mm: AddressSpace): void {
  const nr = 1 << k.frames.orderOf(head);
  const mappedBefore = k.folios.nrPagesMapped(head);
  k.frames.private_[head + 1]++;
  k.frames.refcount[head + 1]++;
  if (k.folios.isHugetlb(head)) return;
  k.folios.addMmMappings(head, mm.id, 1);
  const nid = k.pm.nidOf(head);
  k.vmstat.modNode(nid, mappedItem(k, head), nr - mappedBefore);
  if (k.frames.private_[head + 1] === 1) k.vmstat.modNode(nid, pmdMappedItem(k, head), nr);
}

export function removeRmapPmd(
  k: Kernel,
  head: FrameId,
  mm: AddressSpace,
  willRemap: boolean,
): void {
  const nr = 1 << k.frames.orderOf(head);
  assert(k.frames.private_[head + 1] > 0, 'folio PMD-unmapped more often than mapped', head);
  k.frames.private_[head + 1]--;
  k.frames.refcount[head + 1]--;
  if (k.folios.isHugetlb(head)) return;
  k.folios.removeMmMappings(head, mm.id, 1);
  const nid = k.pm.nidOf(head);
  if (k.frames.private_[head + 1] > 0) return;
  k.vmstat.modNode(nid, pmdMappedItem(k, head), -nr);
  const left = k.folios.nrPagesMapped(head);
  k.vmstat.modNode(nid, mappedItem(k, head), left - nr);
  if (!k.folios.isAnon(head)) return;
  for (let i = 0; i < nr; i++) {
    if (k.frames.mapcount[head + i] === 0) k.frames.flags[head + i] &= ~PG_ANON_EXCLUSIVE;
  }
  if (left > 0 && left < nr && !willRemap) deferSplit(k, head);
}

/** A large anonymous folio lost some mappings: queue it for splitting (deferred_split_folio). */
function deferSplit(k: Kernel, head: FrameId): void {
  if (k.pm.isZoneDevice(head)) return; // DM-63
  const flags = k.frames.flags[head];
  const queued = PG_PARTIALLY_MAPPED | PG_DEFERRED_SPLIT;
  if ((flags & queued) === queued) return;
  if (k.folios.nrPagesMapped(head) === k.folios.nrPages(head)) return;
  if ((flags & PG_PARTIALLY_MAPPED) === 0) {
    k.frames.flags[head] |= PG_PARTIALLY_MAPPED;
    if (k.folios.isThp(head)) k.vmstat.count(THP_DEFERRED_SPLIT_PAGE, 1);
  }
  if ((flags & PG_DEFERRED_SPLIT) === 0) {
    k.frames.flags[head] |= PG_DEFERRED_SPLIT;
    k.deferredSplit.add(head);
  }
}

function mappedItem(k: Kernel, head: FrameId): number {
  return k.folios.isAnon(head) ? NR_ANON_MAPPED : NR_FILE_MAPPED;
}

function pmdMappedItem(k: Kernel, head: FrameId): number {
  if (k.folios.isAnon(head)) return NR_ANON_THPS;
  return (k.frames.flags[head] & PG_SWAPBACKED) !== 0 ? NR_SHMEM_PMDMAPPED : NR_FILE_PMDMAPPED;
}
