/**
 * NUMA balancing's scanner: marks entries PROT_NONE so that the next access tells who uses the
 * page (kernel/sched/fair.c: task_numa_work; mm/mempolicy.c: change_prot_numa). TI-20..TI-27.
 *
 * Deviates: one scan clock per address space with the minimum period; Linux lengthens the period
 * up to scan_period_max while faults are local.
 */
import { HPAGE_PMD_NR, MIB, PAGE_SIZE, type Vpn } from '../base/units.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { NUMA_BALANCING_MEMORY_TIERING, NUMA_BALANCING_NORMAL } from './numaFault.ts';
import {
  PTE_FAST,
  PTE_KIND_PROTNONE,
  PTEB_SPECIAL,
  PTEB_WRITE,
  pteAdwToByte,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { VM_PFNMAP, VM_SHARED, VM_WRITE, type Vma } from './vma.ts';

const NUMA_PTE_UPDATES = vmEvent('numa_pte_updates');
const NUMA_HUGE_PTE_UPDATES = vmEvent('numa_huge_pte_updates');

/** VMAs shorter than this are not worth scanning in Linux either (HPAGE_SIZE). */
const SMALL_VMA_PAGES = HPAGE_PMD_NR;

/**
 * One task_numa_work of an address space, if its time has come: scans up to scan_size_mb of
 * mapped memory. Returns entries marked; advances mm.numaNextScanNs.
 */
export function taskNumaWork(k: Kernel, mm: AddressSpace): number {
  if (k.sysctl.numa_balancing === 0 || k.nowNs < mm.numaNextScanNs) return 0;
  mm.numaNextScanNs = k.nowNs + k.sysctl.numa_balancing_scan_period_min_ms * 1_000_000;
  let budget = (k.sysctl.numa_balancing_scan_size_mb * MIB) / PAGE_SIZE;
  let virtual = budget * 8;
  let marked = 0;
  let i = mm.indexAtOrAfter(mm.numaScanOffset);
  if (i === mm.vmas.length) {
    mm.numaScanSeq++;
    mm.numaScanOffset = 0;
    i = 0;
  }
  for (; i < mm.vmas.length && budget > 0 && virtual > 0; i++) {
    const vma = mm.vmas[i];
    if (!scannable(vma)) continue;
    let vpn = Math.max(vma.start, mm.numaScanOffset);
    while (vpn < vma.end && budget > 0 && virtual > 0) {
      const next = Math.min(vma.end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
      const changed = markRange(k, vma, vpn, next);
      marked += changed;
      budget -= changed;
      virtual -= next - vpn;
      vpn = next;
      mm.numaScanOffset = vpn;
    }
  }
  if (i === mm.vmas.length && budget > 0 && virtual > 0) {
    mm.numaScanSeq++;
    mm.numaScanOffset = 0;
  }
  return marked;
}

/** vma_migratable, vma_policy_mof, and no read-only shared text (task_numa_work). */
function scannable(vma: Vma): boolean {
  if (vma.has(VM_PFNMAP) || !vma.isAccessible() || vma.nrPages < SMALL_VMA_PAGES) return false;
  return vma.file === null || vma.has(VM_WRITE) || vma.has(VM_SHARED);
}

/** change_prot_numa of one table's part. Returns entries changed (a PMD counts 512). */
function markRange(k: Kernel, vma: Vma, start: Vpn, end: Vpn): number {
  const mm = vma.mm;
  const slot = mm.slotOf(start);
  if (slot < 0) return 0;
  if (mm.pmd[slot] !== 0) return markPmd(k, mm, slot);
  if (mm.leaf[slot] < 0) return 0;
  const base = mm.leaf[slot] * HPAGE_PMD_NR - mm.slotVpn[slot];
  const { words, bytes } = k.ptes;
  let changed = 0;
  for (let i = base + start; i < base + end; i++) {
    const word = words[i];
    if ((word & PTE_FAST) === 0 || (bytes[i] & PTEB_SPECIAL) !== 0) continue;
    const page = ptePayload(word);
    if (!worthMarking(k, page)) continue;
    words[i] = pteOther(PTE_KIND_PROTNONE, page);
    bytes[i] |= pteAdwToByte(word) & ~PTEB_WRITE;
    changed++;
  }
  k.vmstat.count(NUMA_PTE_UPDATES, changed);
  return changed;
}

function markPmd(k: Kernel, mm: AddressSpace, slot: number): number {
  const word = mm.pmd[slot];
  if ((word & PTE_FAST) === 0 || (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) return 0;
  const head = ptePayload(word);
  if (!worthMarking(k, head)) return 0;
  mm.pmd[slot] = pteOther(PTE_KIND_PROTNONE, head);
  mm.pmdByte[slot] |= pteAdwToByte(word) & ~PTEB_WRITE;
  k.vmstat.count(NUMA_HUGE_PTE_UPDATES, 1);
  k.vmstat.count(NUMA_PTE_UPDATES, HPAGE_PMD_NR);
  return HPAGE_PMD_NR;
}

/**
 * folio_skip_prot_numa: in tiering-only mode top-tier pages are left alone; slow pages get the
 * scan time in their cpupid field (TI-27).
 */
function worthMarking(k: Kernel, page: number): boolean {
  const mode = k.sysctl.numa_balancing;
  const head = k.frames.headOf(page);
  const top = k.tiers.isToptier(k.pm.nidOf(head));
  if ((mode & NUMA_BALANCING_NORMAL) === 0 && top) return false;
  if ((mode & NUMA_BALANCING_MEMORY_TIERING) !== 0 && !top) {
    k.frames.lastCpupid[head] = Math.floor(k.nowNs / 1_000_000) & 0xfff;
  }
  return true;
}
