/**
 * madvise(2) over one range of page numbers (mm/madvise.c). OV-24b, OV-31g.
 *
 * Not modelled: WILLNEED and RANDOM/SEQUENTIAL (no readahead), REMOVE on files other than shmem.
 */
import { type FrameId, HPAGE_PMD_NR, type Nid, type Vpn } from '../base/units.ts';
import { EINVAL, ENOMEM } from '../uapi/errno.ts';
import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../uapi/mman.ts';
import { accessPage, FAULT_ERROR } from './fault.ts';
import { PG_DIRTY, PG_SWAPCACHE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_SWAP,
  PTE_W,
  PTEB_SPECIAL,
  pteIsKind,
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { splitPmd } from './pteSetup.ts';
import { shrinkFolioList } from './reclaimFolios.ts';
import { RECLAIM_DIRECT, ScanControl } from './scanControl.ts';
import { splitFolio } from './splitFolio.ts';
import { freeSwapCache } from './swapCache.ts';
import type { Task } from './task.ts';
import {
  VM_DONTCOPY,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_SHARED,
  VM_WIPEONFORK,
  type Vma,
} from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';
import { zapRange } from './zap.ts';

/** Applies `advice` to [start, end). 0, -EINVAL (advice, area), -ENOMEM (holes; the rest is done). */
export function madviseRange(k: Kernel, task: Task, start: Vpn, end: Vpn, advice: number): number {
  const mm = task.mm!;
  if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE) {
    return populate(k, task, start, end, advice === MADV_POPULATE_WRITE);
  }
  if (changesFlags(advice)) splitAtEnds(k, mm, start, end);
  let result = 0;
  let vpn = start;
  while (vpn < end) {
    const i = mm.indexAtOrAfter(vpn);
    const vma = mm.vmas[i];
    if (vma === undefined || vma.start >= end) return -ENOMEM;
    if (vma.start > vpn) {
      result = -ENOMEM;
      vpn = vma.start;
    }
    const last = Math.min(end, vma.end);
    const one = adviseVma(k, vma, vpn, last, advice);
    if (one !== 0) return one;
    vpn = last;
  }
  if (changesFlags(advice)) mergeRange(k, mm, start, end);
  return result;
}

function changesFlags(advice: number): boolean {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_WILLNEED:
      return false;
    default:
      return true;
  }
}

function adviseVma(k: Kernel, vma: Vma, start: Vpn, end: Vpn, advice: number): number {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
      return 0;
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      if (vma.has(VM_PFNMAP) || (advice === MADV_DONTNEED && vma.has(VM_LOCKED))) return -EINVAL;
      zapRange(k, vma, start, end);
      return 0;
    case MADV_FREE:
      if (!vma.isAnonymous() || vma.has(VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) return -EINVAL;
      freeLazily(k, vma, start, end);
      return 0;
    case MADV_COLD:
    case MADV_PAGEOUT:
      if (vma.has(VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) return -EINVAL;
      return coldOrPageout(k, vma, start, end, advice === MADV_PAGEOUT);
    default:
      return adviseFlags(vma, advice);
  }
}

function adviseFlags(vma: Vma, advice: number): number {
  switch (advice) {
    case MADV_HUGEPAGE:
      vma.flags = (vma.flags & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
      return 0;
    case MADV_NOHUGEPAGE:
      vma.flags = (vma.flags & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
      return 0;
    case MADV_DONTFORK:
      vma.flags |= VM_DONTCOPY;
      return 0;
    case MADV_DOFORK:
      vma.flags &= ~VM_DONTCOPY;
      return 0;
    case MADV_WIPEONFORK:
      if (!vma.isAnonymous() || vma.has(VM_SHARED)) return -EINVAL;
      vma.flags |= VM_WIPEONFORK;
      return 0;
    case MADV_KEEPONFORK:
      vma.flags &= ~VM_WIPEONFORK;
      return 0;
    case MADV_MERGEABLE:
      vma.flags |= VM_MERGEABLE;
      return 0;
    case MADV_UNMERGEABLE:
      vma.flags &= ~VM_MERGEABLE;
      return 0;
    default:
      return -EINVAL;
  }
}

function populate(k: Kernel, task: Task, start: Vpn, end: Vpn, write: boolean): number {
  for (let vpn = start; vpn < end; vpn++) {
    if (task.mm!.findVma(vpn) === null) return -ENOMEM;
    if ((accessPage(k, task, vpn, write) & FAULT_ERROR) !== 0) return -EINVAL;
  }
  return 0;
}

/** madvise_free_pte_range: pages keep their content until reclaim wants them. */
function freeLazily(k: Kernel, vma: Vma, start: Vpn, end: Vpn): void {
  const mm = vma.mm;
  k.lru.drainAll();
  for (let vpn = start; vpn < end; vpn++) {
    const slot = mm.slotOf(vpn);
    if (slot < 0) continue;
    if (mm.pmd[slot] !== 0) {
      const whole = vpn === mm.slotVpn[slot] && vpn + HPAGE_PMD_NR <= end;
      const head = ptePayload(mm.pmd[slot]);
      const special = (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0;
      if (whole && !special && pteIsPresent(mm.pmd[slot]) && k.folios.mapcount(head) === 1) {
        mm.pmd[slot] = (mm.pmd[slot] & ~(PTE_A | PTE_D | PTE_W)) >>> 0;
        k.frames.flags[head] &= ~PG_DIRTY;
        k.lru.markLazyfree(head);
        vpn += HPAGE_PMD_NR - 1;
        continue;
      }
      if (special) continue;
      splitPmd(k, mm, slot);
    }
    if (mm.leaf[slot] < 0) continue;
    freeEntryLazily(k, vma, mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]));
  }
}

function freeEntryLazily(k: Kernel, vma: Vma, i: number): void {
  const word = k.ptes.words[i];
  if (pteIsKind(word, PTE_KIND_SWAP)) {
    k.ptes.set(i, 0, 0);
    vma.mm.swapEnts--;
    k.swap.release(ptePayload(word));
    return;
  }
  if ((word & PTE_FAST) === 0 || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) return;
  const head = k.frames.headOf(ptePayload(word));
  if (!k.folios.isAnon(head) || k.folios.mapcount(head) !== 1 || k.folios.isLarge(head)) return;
  if ((k.frames.flags[head] & PG_SWAPCACHE) !== 0) freeSwapCache(k, head);
  k.frames.flags[head] &= ~PG_DIRTY;
  k.ptes.words[i] = (word & ~(PTE_A | PTE_D)) >>> 0;
  k.lru.markLazyfree(head);
}

/** madvise_cold_or_pageout_pte_range: OV-31g. */
function coldOrPageout(k: Kernel, vma: Vma, start: Vpn, end: Vpn, pageout: boolean): number {
  k.lru.drainAll();
  const mm = vma.mm;
  const list: FrameId[] = [];
  for (let vpn = start; vpn < end; vpn++) {
    const slot = mm.slotOf(vpn);
    if (slot < 0) continue;
    if (mm.pmd[slot] !== 0) {
      const head = ptePayload(mm.pmd[slot]);
      const special = (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0;
      if (special || !pteIsPresent(mm.pmd[slot]) || k.folios.mapcount(head) !== 1) continue;
      if (vpn === mm.slotVpn[slot] && vpn + HPAGE_PMD_NR <= end) {
        mm.pmd[slot] = (mm.pmd[slot] & ~PTE_A) >>> 0;
        coldFolio(k, head, pageout, list);
        vpn += HPAGE_PMD_NR - 1;
        continue;
      }
      if (splitWhole(k, head) !== 0) continue;
    }
    if (mm.leaf[slot] < 0) continue;
    const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
    const word = k.ptes.words[i];
    if (!pteIsPresent(word) || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) continue;
    const head = k.frames.headOf(ptePayload(word));
    if (k.folios.isLarge(head) && splitWhole(k, head) !== 0) continue;
    const single = k.frames.headOf(ptePayload(k.ptes.words[i]));
    if (k.folios.mapcount(single) !== 1) continue;
    if ((k.ptes.words[i] & PTE_FAST) !== 0) k.ptes.words[i] = (k.ptes.words[i] & ~PTE_A) >>> 0;
    coldFolio(k, single, pageout, list);
  }
  if (pageout) reclaimPages(k, list);
  return 0;
}

/** Splits a folio that advice covers only in part; the walk holds a reference meanwhile. */
function splitWhole(k: Kernel, head: FrameId): number {
  k.folios.get(head);
  const result = splitFolio(k, head, null);
  k.putFolio(head);
  return result;
}

function coldFolio(k: Kernel, head: FrameId, pageout: boolean, list: FrameId[]): void {
  if (!pageout) {
    k.lru.deactivate(head);
  } else if (k.lru.isolate(head)) {
    k.lru.countIsolated(head, 1);
    list.push(head);
  }
}

/** reclaim_pages: the folios are taken out regardless of references, node by node. */
export function reclaimPages(k: Kernel, list: FrameId[]): number {
  const byNode = new Map<Nid, FrameId[]>();
  for (const head of list) {
    const nid = k.pm.nidOf(head);
    const of = byNode.get(nid);
    if (of === undefined) byNode.set(nid, [head]);
    else of.push(head);
  }
  let reclaimed = 0;
  for (const [nid, folios] of byNode) {
    const sc = new ScanControl(RECLAIM_DIRECT, folios.length, k.sysctl.swappiness);
    sc.noDemotion = true;
    for (const head of folios) k.lru.countIsolated(head, -1);
    reclaimed += shrinkFolioList(k, folios, nid, sc, true);
    for (const head of folios) k.lru.putback(head);
  }
  return reclaimed;
}
