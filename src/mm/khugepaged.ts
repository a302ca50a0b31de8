/**
 * khugepaged: walks address spaces a little at a time and collapses ranges of 2 MiB that are worth
 * it (mm/khugepaged.c: khugepaged_do_scan, khugepaged_scan_mm_slot, hpage_collapse_scan_pmd).
 * OV-31i, PM-90.
 *
 * A range is worth it when few of its pages are missing, in swap or shared, when somebody used it
 * since the last look, and nobody holds a page of it. Stepped by whoever owns time.
 * Not modelled: khugepaged's own node reclaim (zone_reclaim_mode), ranges below 2 MiB.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import { canComeBack, collapseRange, mayCollapse } from './collapse.ts';
import type { Kernel } from './kernel.ts';
import { PTEB_SPECIAL, pteIsYoung } from './pageTable.ts';
import { PAGE_ZERO, pageAt } from './pageWalk.ts';
import type { Task } from './task.ts';
import type { Vma } from './vma.ts';

/** /sys/kernel/mm/transparent_hugepage/khugepaged, and how far the walk is. */
export class Khugepaged {
  /** Base pages looked at in one scan. */
  pagesToScan = 8 * HPAGE_PMD_NR;
  maxPtesNone = HPAGE_PMD_NR - 1;
  maxPtesSwap = HPAGE_PMD_NR / 8;
  maxPtesShared = HPAGE_PMD_NR / 2;
  pagesCollapsed = 0;
  fullScans = 0;
  /** The next range: process and page number. */
  nextPid = 0;
  nextVpn: Vpn = 0;
}

/** One scan: up to `pagesToScan` base pages from where the last ended. Ranges collapsed. */
export function khugepagedScan(k: Kernel): number {
  const state = k.khugepaged;
  const before = state.pagesCollapsed;
  let budget = state.pagesToScan;
  const tasks = [...k.tasks.values()].filter((task) => task.mm !== null && task.pid === task.tgid);
  let turn = tasks.findIndex((task) => task.pid >= state.nextPid);
  if (turn < 0) {
    turn = 0;
    state.nextVpn = 0;
  } else if (tasks[turn].pid !== state.nextPid) state.nextVpn = 0;
  for (let seen = 0; seen <= tasks.length && budget > 0 && tasks.length > 0; seen++) {
    budget = scanMm(k, tasks[turn], tasks[turn].mm as AddressSpace, budget);
    state.nextPid = tasks[turn].pid;
    if (budget <= 0) break;
    state.nextVpn = 0;
    if (++turn === tasks.length) {
      turn = 0;
      state.fullScans++;
    }
    state.nextPid = tasks[turn].pid;
  }
  return state.pagesCollapsed - before;
}

/** The ranges of one address space from nextVpn on; what is left of the budget. */
function scanMm(k: Kernel, task: Task, mm: AddressSpace, budget: number): number {
  const state = k.khugepaged;
  let left = budget;
  for (let i = mm.indexAtOrAfter(state.nextVpn); i < mm.vmas.length; i++) {
    const vma = mm.vmas[i];
    if (!isEnabled(k, vma)) continue;
    const from = Math.max(vma.start, state.nextVpn);
    let first = Math.ceil(from / HPAGE_PMD_NR) * HPAGE_PMD_NR;
    for (; first + HPAGE_PMD_NR <= vma.end; first += HPAGE_PMD_NR) {
      if (left <= 0) {
        state.nextVpn = first;
        return 0;
      }
      left -= HPAGE_PMD_NR;
      if (!isWorthIt(k, vma, first)) continue;
      if (collapseRange(k, task, vma, first, state.maxPtesNone) === 0) state.pagesCollapsed++;
    }
  }
  return left;
}

/** thp_vma_allowable_order for khugepaged: the setting counts, as for faults. */
function isEnabled(k: Kernel, vma: Vma): boolean {
  if (!mayCollapse(vma)) return false;
  const enabled = k.sysctl.thp_enabled;
  return enabled === 'always' || (enabled === 'madvise' && vma.isHugeAdvised());
}

/** hpage_collapse_scan_pmd: the limits, and that somebody used the range. */
function isWorthIt(k: Kernel, vma: Vma, first: Vpn): boolean {
  const state = k.khugepaged;
  const { mm } = vma;
  const slot = mm.slotOf(first);
  if (slot < 0 || mm.pmd[slot] !== 0 || mm.leaf[slot] < 0) return false;
  const base = mm.leaf[slot] * HPAGE_PMD_NR;
  let none = 0;
  let swapped = 0;
  let shared = 0;
  let referenced = 0;
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    const word = k.ptes.words[base + n];
    const byte = k.ptes.bytes[base + n];
    if (word === 0) none++;
    else if (canComeBack(k, word)) swapped++;
    else {
      const page = pageAt(k, mm, first + n);
      if (page === PAGE_ZERO) none++;
      else if (page < 0 || (byte & PTEB_SPECIAL) !== 0) return false;
      else {
        if (k.folios.maybeMappedShared(k.frames.headOf(page))) shared++;
        if (pteIsYoung(word, byte)) referenced++;
      }
    }
  }
  if (none > state.maxPtesNone || swapped > state.maxPtesSwap) return false;
  if (vma.isAnonymous() && shared > state.maxPtesShared) return false;
  return referenced > 0 && (swapped === 0 || referenced >= HPAGE_PMD_NR / 2);
}
