/**
 * Collapse: the small pages of a 2 MiB range become one huge page (mm/khugepaged.c:
 * madvise_collapse, hpage_collapse_scan_pmd, collapse_huge_page). OV-31i. MADV_COLLAPSE does it at
 * once and whatever the settings say; khugepaged.ts asks within limits.
 *
 * Order: check the pages and choose the node, allocate, swap in, check again, copy, free the small
 * pages.
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nid, type Vpn } from '../base/units.ts';
import { EAGAIN, EINVAL, ENOMEM } from '../uapi/errno.ts';
import { GFP_TRANSHUGE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { collapseFile, mayCollapseFile } from './collapseFile.ts';
import { accessPage, FAULT_ERROR } from './fault.ts';
import { allocFolio } from './folioLifecycle.ts';
import { PG_LRU } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import {
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTEB_UFFD_WP,
  pteIsKind,
} from './pageTable.ts';
import { PAGE_ZERO, pageAt } from './pageWalk.ts';
import type { Task } from './task.ts';
import { mapNewHuge } from './thpFault.ts';
import { VM_HUGETLB, VM_NOHUGEPAGE, VM_SPECIAL, type Vma } from './vma.ts';
import { zapRange } from './zap.ts';

const THP_COLLAPSE_ALLOC = vmEvent('thp_collapse_alloc');
const THP_COLLAPSE_ALLOC_FAILED = vmEvent('thp_collapse_alloc_failed');

/**
 * Collapses every aligned 2 MiB of [start, end). 0 if all of them are huge afterwards, else
 * -EINVAL (area, nothing to collapse), -EAGAIN (a page is in use), -ENOMEM (holes, no memory).
 */
export function madviseCollapse(k: Kernel, task: Task, start: Vpn, end: Vpn): number {
  const mm = task.mm!;
  k.lru.drainAll();
  let holes = 0;
  for (let vpn = start; vpn < end; ) {
    const vma = mm.vmas[mm.indexAtOrAfter(vpn)];
    if (vma === undefined || vma.start >= end) return -ENOMEM;
    if (vma.start > vpn) holes = -ENOMEM;
    const to = Math.min(end, vma.end);
    const result = collapseInVma(k, task, vma, Math.max(vpn, vma.start), to);
    if (result !== 0) return result;
    vpn = to;
  }
  return holes;
}

/** madvise_collapse of [from, to), which lies in one area. */
function collapseInVma(k: Kernel, task: Task, vma: Vma, from: Vpn, to: Vpn): number {
  const first = Math.ceil(from / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  if (!mayCollapse(vma) || first > Math.floor(to / HPAGE_PMD_NR) * HPAGE_PMD_NR) return -EINVAL;
  let last = 0;
  for (let at = first; at + HPAGE_PMD_NR <= to; at += HPAGE_PMD_NR) {
    const result = collapseRange(k, task, vma, at, HPAGE_PMD_NR);
    if (result === -ENOMEM) return result;
    if (result !== 0) last = result;
  }
  return last;
}

/** thp_vma_allowable_order: an ordinary area that has an aligned 2 MiB. */
export function mayCollapse(vma: Vma): boolean {
  if (vma.has(VM_NOHUGEPAGE | VM_HUGETLB | VM_SPECIAL)) return false;
  return Math.ceil(vma.start / HPAGE_PMD_NR) * HPAGE_PMD_NR + HPAGE_PMD_NR <= vma.end;
}

/** One aligned 2 MiB of an area, of which at most `holesMax` pages may be missing. */
export function collapseRange(
  k: Kernel,
  task: Task,
  vma: Vma,
  first: Vpn,
  holesMax: number,
): number {
  if (vma.isAnonymous()) return collapseHugePage(k, task, vma, first);
  return mayCollapseFile(vma, first) ? collapseFile(k, task, vma, first, holesMax) : -EINVAL;
}

function collapseHugePage(k: Kernel, task: Task, vma: Vma, first: Vpn): number {
  const mm = vma.mm;
  const slot = mm.slotOf(first);
  if (slot >= 0 && mm.pmd[slot] !== 0) return 0;
  if (slot < 0 || mm.leaf[slot] < 0 || vma.anonVma === null) return -EINVAL;
  const found = scanPages(k, vma, first);
  if (typeof found === 'number') return found;
  const huge = allocFolio(k, HPAGE_PMD_ORDER, GFP_TRANSHUGE, found.nid, found.nodes);
  if (huge < 0) {
    k.vmstat.count(THP_COLLAPSE_ALLOC_FAILED, 1);
    return -ENOMEM;
  }
  k.vmstat.count(THP_COLLAPSE_ALLOC, 1);
  swapInAll(k, task, vma, slot);
  const again = scanPages(k, vma, first, false);
  if (typeof again === 'number') {
    k.putFolio(huge);
    return again;
  }
  copyPages(k, vma, first, huge);
  zapRange(k, vma, first, first + HPAGE_PMD_NR);
  mm.deposit[slot] = mm.leaf[slot];
  mm.leaf[slot] = -1;
  mapNewHuge(k, task, vma, slot, huge);
  return 0;
}

/** What a collapse has brought back first: pages in swap, and up to 6.18 what a device has. */
export function canComeBack(k: Kernel, word: number): boolean {
  if (pteIsKind(word, PTE_KIND_SWAP)) return true;
  if (!k.profile.collapseFetchesEntries) return false;
  return (
    pteIsKind(word, PTE_KIND_DEVICE_PRIVATE) ||
    pteIsKind(word, PTE_KIND_DEVICE_EXCLUSIVE) ||
    pteIsKind(word, PTE_KIND_MIGRATION)
  );
}

/** __collapse_huge_page_swapin: up to the first page that does not come. */
function swapInAll(k: Kernel, task: Task, vma: Vma, slot: number): void {
  const mm = vma.mm;
  const base = mm.leaf[slot] * HPAGE_PMD_NR;
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    if (!canComeBack(k, k.ptes.words[base + i])) continue;
    if ((accessPage(k, task, mm.slotVpn[slot] + i, false) & FAULT_ERROR) !== 0) return;
  }
}

/** Where the huge page is to lie: the first of the nodes that have most of the pages. */
interface Target {
  readonly nid: Nid;
  /** All of those nodes. */
  readonly nodes: number;
}

/**
 * hpage_collapse_scan_pmd and hpage_collapse_find_target_node. -EINVAL if an entry is in the way,
 * -EAGAIN if somebody else refers to a page or has isolated it. Pages that can come back count
 * nowhere, and are in the way once they should have (__collapse_huge_page_isolate).
 */
function scanPages(k: Kernel, vma: Vma, first: Vpn, isFirst = true): Target | number {
  k.lru.drainAll();
  const pages = new Int32Array(32);
  for (let vpn = first; vpn < first + HPAGE_PMD_NR; vpn++) {
    const i = vma.mm.pteIndex(vpn);
    const word = k.ptes.words[i];
    if (word === 0) continue;
    if (isFirst && canComeBack(k, word)) {
      if ((k.ptes.bytes[i] & PTEB_UFFD_WP) !== 0) return -EINVAL;
      continue;
    }
    const page = pageAt(k, vma.mm, vpn);
    if (page === PAGE_ZERO) continue;
    if (page < 0 || k.pm.isZoneDevice(page)) return -EINVAL;
    if ((k.ptes.bytes[i] & PTEB_UFFD_WP) !== 0) return -EINVAL;
    if (!isUnused(k, k.frames.headOf(page))) return -EAGAIN;
    pages[k.pm.nidOf(page)]++;
  }
  const most = Math.max(...pages);
  let nodes = 0;
  for (let nid = 0; nid < pages.length; nid++) if (pages[nid] === most) nodes |= 1 << nid;
  return { nid: pages.indexOf(most), nodes };
}

/** is_refcount_suitable: on an LRU, and nobody but page tables and the swap cache refers to it. */
function isUnused(k: Kernel, head: FrameId): boolean {
  if ((k.frames.flags[head] & PG_LRU) === 0) return false;
  return k.frames.refcount[head] === k.folios.expectedRefs(head);
}

function copyPages(k: Kernel, vma: Vma, first: Vpn, huge: FrameId): void {
  const content = k.frames.content;
  if (content === null) return;
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const page = pageAt(k, vma.mm, first + i);
    if (page !== PAGE_ZERO && page >= 0) content[huge + i] = content[page];
  }
}
