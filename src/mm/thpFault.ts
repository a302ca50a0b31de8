/**
 * Faults that set up a PMD-mapped huge page (mm/huge_memory.c: do_huge_pmd_anonymous_page,
 * do_huge_pmd_wp_page). OV-11, OV-31b, PM-31.
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import {
  __GFP_DIRECT_RECLAIM,
  __GFP_KSWAPD_RECLAIM,
  __GFP_NORETRY,
  GFP_KERNEL,
  GFP_TRANSHUGE,
  GFP_TRANSHUGE_LIGHT,
} from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { addToLruVma, FAULT_CLEARED, FAULT_DONE, FAULT_HUGE } from './fault.ts';
import { allocFolio } from './folioLifecycle.ts';
import { PG_ANON_EXCLUSIVE, PG_RESERVED, PG_SWAPBACKED } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { isFsDax } from './memremap.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_A,
  PTE_D,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteFast,
  ptePayload,
} from './pageTable.ts';
import { allocVmaFolio } from './policyNode.ts';
import { anonVmaPrepare, splitPmd } from './pteSetup.ts';
import { addRmapPmd } from './rmap.ts';
import type { Task } from './task.ts';
import { VM_SHARED, VM_WRITE, type Vma } from './vma.ts';

const THP_FAULT_ALLOC = vmEvent('thp_fault_alloc');
const THP_FAULT_FALLBACK = vmEvent('thp_fault_fallback');
const THP_ZERO_PAGE_ALLOC = vmEvent('thp_zero_page_alloc');

/** A fault that returns this could not use a huge page and goes on with small ones. */
export const FAULT_FALLBACK = -1;

/** HPAGE_PMD_ORDER if settings and the VMA allow a huge page around `vpn`, else 0. */
export function thpFaultOrder(k: Kernel, vma: Vma, vpn: Vpn): number {
  if (!vma.isAnonymous() || vma.isNoHuge()) return 0;
  const enabled = k.sysctl.thp_enabled;
  if (enabled === 'never' || (enabled === 'madvise' && !vma.isHugeAdvised())) return 0;
  const first = Math.floor(vpn / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  return first >= vma.start && first + HPAGE_PMD_NR <= vma.end ? HPAGE_PMD_ORDER : 0;
}

/** vma_thp_gfp_mask. */
export function thpGfp(k: Kernel, vma: Vma): number {
  const advised = vma.isHugeAdvised();
  switch (k.sysctl.thp_defrag) {
    case 'always':
      return GFP_TRANSHUGE | (advised ? 0 : __GFP_NORETRY);
    case 'defer':
      return GFP_TRANSHUGE_LIGHT | __GFP_KSWAPD_RECLAIM;
    case 'defer+madvise':
      return GFP_TRANSHUGE_LIGHT | (advised ? __GFP_DIRECT_RECLAIM : __GFP_KSWAPD_RECLAIM);
    case 'madvise':
      return GFP_TRANSHUGE_LIGHT | (advised ? __GFP_DIRECT_RECLAIM : 0);
    default:
      return GFP_TRANSHUGE_LIGHT;
  }
}

/** Orders below 2 MiB that the settings allow for anonymous memory of an area, a bit each. */
export function mthpOrders(k: Kernel, vma: Vma): number {
  if (vma.isNoHuge()) return 0;
  const { mthpAlways, mthpMadvise } = k.sysctl;
  return mthpAlways | (vma.isHugeAdvised() ? mthpMadvise : 0);
}

/** Maps a huge page (or the huge zero page for a read) at an empty slot, or FAULT_FALLBACK. */
export function doHugePmdFault(
  k: Kernel,
  task: Task,
  vma: Vma,
  slot: number,
  write: boolean,
): number {
  const mm = vma.mm;
  const table = k.allocPageTable(task.cpuNid);
  if (table < 0) return FAULT_FALLBACK;
  if (!write) {
    const zero = hugeZero(k);
    if (zero < 0) {
      k.freePageTable(table);
      return FAULT_FALLBACK;
    }
    mm.deposit[slot] = table;
    mm.pmd[slot] = pteFast(zero, PTE_A);
    mm.pmdByte[slot] = PTEB_SPECIAL;
    return FAULT_DONE | FAULT_HUGE;
  }
  anonVmaPrepare(k, vma);
  const head = allocHuge(k, task, vma, slot);
  if (head < 0) {
    k.freePageTable(table);
    return FAULT_FALLBACK;
  }
  mm.deposit[slot] = table;
  mapNewHuge(k, task, vma, slot, head);
  return FAULT_CLEARED | FAULT_HUGE;
}

/** vma_alloc_anon_folio_pmd, with the counters of faults. */
function allocHuge(k: Kernel, task: Task, vma: Vma, slot: number): FrameId {
  const vpn = vma.mm.slotVpn[slot];
  const head = allocVmaFolio(k, task, vma, vpn, HPAGE_PMD_ORDER, thpGfp(k, vma));
  k.vmstat.count(head < 0 ? THP_FAULT_FALLBACK : THP_FAULT_ALLOC, 1);
  return head;
}

/** Maps a fresh anonymous huge folio by one PMD. Preconditions: the table is deposited. */
export function mapNewHuge(k: Kernel, task: Task, vma: Vma, slot: number, head: FrameId): void {
  const mm = vma.mm;
  k.frames.flags[head] |= PG_SWAPBACKED | PG_ANON_EXCLUSIVE;
  k.folios.setAnonMapping(head, vma.anonVma!.id);
  k.frames.setIndex(head, vma.indexOf(mm.slotVpn[slot]));
  addRmapPmd(k, head, mm);
  const writable = vma.has(VM_WRITE) ? PTE_W | PTE_D : 0;
  mm.pmd[slot] = pteFast(head, writable | PTE_A);
  mm.pmdByte[slot] = PTEB_SOFT_DIRTY;
  mm.rssAnon += HPAGE_PMD_NR;
  addToLruVma(k, task, vma, head);
}

/** wp_huge_pmd of a file: DAX makes the PMD writable, others go on with small pages. */
function writeHugeFile(k: Kernel, vma: Vma, slot: number, head: FrameId): number {
  const { mm } = vma;
  if (!vma.has(VM_SHARED) || !isFsDax(k, head)) {
    splitPmd(k, mm, slot);
    return FAULT_FALLBACK;
  }
  mm.pmd[slot] = (mm.pmd[slot] | PTE_A | PTE_D | PTE_W) >>> 0;
  mm.pmdByte[slot] |= PTEB_SOFT_DIRTY;
  return FAULT_DONE;
}

/** The huge zero folio, made on first use. -1 = no memory. */
function hugeZero(k: Kernel): FrameId {
  if (k.hugeZeroHead >= 0) return k.hugeZeroHead;
  const head = allocFolio(k, HPAGE_PMD_ORDER, GFP_KERNEL, k.firstCpuNode(), -1);
  if (head < 0) return -1;
  k.frames.flags[head] |= PG_RESERVED;
  k.hugeZeroHead = head;
  k.vmstat.count(THP_ZERO_PAGE_ALLOC, 1);
  return head;
}

/**
 * Write to a read-only PMD leaf: reuse of an exclusive folio, a fresh one instead of the zero
 * page, else split and fall back to small copies (do_huge_pmd_wp_page). `isUnshare`: a folio that
 * can be reused only becomes exclusive (FAULT_FLAG_UNSHARE).
 */
export function doHugePmdWp(
  k: Kernel,
  task: Task,
  vma: Vma,
  slot: number,
  isUnshare = false,
): number {
  const mm = vma.mm;
  if ((mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) {
    const start = mm.slotVpn[slot];
    mmuNotifierInvalidate(mm, start, start + HPAGE_PMD_NR, MMU_NOTIFY_CLEAR);
    // do_huge_zero_wp_pmd: the deposited table stays.
    anonVmaPrepare(k, vma);
    const fresh = k.profile.hugeZeroWriteIsHuge ? allocHuge(k, task, vma, slot) : -1;
    if (fresh >= 0) {
      mapNewHuge(k, task, vma, slot, fresh);
      return FAULT_CLEARED | FAULT_HUGE;
    }
    splitPmd(k, mm, slot);
    return FAULT_FALLBACK;
  }
  const head = ptePayload(mm.pmd[slot]);
  const f = k.frames;
  if (!k.folios.isAnon(head)) return writeHugeFile(k, vma, slot, head);
  if (!k.folios.isAnonExclusive(head)) {
    const alone = k.folios.mapcount(head) === 1 && f.refcount[head] === 1;
    if (!alone) {
      splitPmd(k, mm, slot);
      return FAULT_FALLBACK;
    }
    f.flags[head] |= PG_ANON_EXCLUSIVE;
  }
  if (isUnshare) return FAULT_DONE;
  mm.pmd[slot] = (mm.pmd[slot] | PTE_A | PTE_D | PTE_W) >>> 0;
  mm.pmdByte[slot] = (mm.pmdByte[slot] & ~PTEB_UFFD_WP) | PTEB_SOFT_DIRTY;
  return FAULT_DONE;
}
