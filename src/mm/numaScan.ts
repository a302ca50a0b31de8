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
import { PG_DIRTY } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_PROTECTION_VMA, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  migratesOnFault,
  NUMA_BALANCING_MEMORY_TIERING,
  NUMA_BALANCING_NORMAL,
} from './numaFault.ts';
import {
  PTE_FAST,
  PTE_KIND_PROTNONE,
  PTEB_SPECIAL,
  PTEB_WRITE,
  pteAdwToByte,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { splitPmd } from './pteSetup.ts';
import type { Task } from './task.ts';
import { VM_HUGETLB, VM_MIXEDMAP, VM_SHARED, VM_WRITE, type Vma, vmaMigratable } from './vma.ts';

const NUMA_PTE_UPDATES = vmEvent('numa_pte_updates');
const NUMA_HUGE_PTE_UPDATES = vmEvent('numa_huge_pte_updates');

/**
 * One task_numa_work of `task` over its address space, if its time has come: scans up to
 * scan_size_mb of mapped memory. Returns entries marked; advances mm.numaNextScanNs.
 */
export function taskNumaWork(k: Kernel, task: Task): number {
  const mm = task.mm;
  if (mm === null || k.sysctl.numa_balancing === 0) return 0;
  if (mm.numaNextScanNs === 0) {
    mm.numaNextScanNs = k.nowNs + k.sysctl.numa_balancing_scan_delay_ms * 1_000_000;
  }
  if (k.nowNs < mm.numaNextScanNs) return 0;
  mm.numaNextScanNs = k.nowNs + k.sysctl.numa_balancing_scan_period_min_ms * 1_000_000;
  let i = mm.indexAtOrAfter(mm.numaScanOffset);
  if (i === mm.vmas.length) {
    resetScan(mm);
    i = 0;
  }
  let start = mm.numaScanOffset;
  let pages = (k.sysctl.numa_balancing_scan_size_mb * MIB) / PAGE_SIZE;
  let virtual = pages * 8;
  let marked = 0;
  for (; i < mm.vmas.length; i++) {
    const vma = mm.vmas[i];
    if (!scannable(vma, task)) continue;
    let end: Vpn;
    do {
      start = Math.max(start, vma.start);
      end = Math.ceil((start + pages) / HPAGE_PMD_NR) * HPAGE_PMD_NR;
      end = Math.min(end, vma.end);
      const changed = changeProtNuma(k, task, vma, start, end);
      marked += changed;
      // What has nothing to mark is passed over faster, up to eight times as far.
      if (changed > 0) pages -= end - start;
      virtual -= end - start;
      start = end;
      if (pages <= 0 || virtual <= 0) {
        mm.numaScanOffset = start;
        return marked;
      }
    } while (end !== vma.end);
  }
  resetScan(mm);
  return marked;
}

/** reset_ptenuma_scan: the whole address space was seen. */
function resetScan(mm: AddressSpace): void {
  mm.numaScanSeq++;
  mm.numaScanOffset = 0;
}

/** change_prot_numa of a range of one area: entries marked. */
function changeProtNuma(k: Kernel, task: Task, vma: Vma, start: Vpn, end: Vpn): number {
  mmuNotifierInvalidate(vma.mm, start, end, MMU_NOTIFY_PROTECTION_VMA);
  let changed = 0;
  for (let vpn = start; vpn < end; ) {
    const next = Math.min(end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    changed += markRange(k, task, vma, vpn, next);
    vpn = next;
  }
  return changed;
}

/** HS-91: vma_migratable, vma_policy_mof, accessible, and no read-only file (task_numa_work). */
function scannable(vma: Vma, task: Task): boolean {
  if (!vmaMigratable(vma) || vma.has(VM_HUGETLB | VM_MIXEDMAP) || !vma.isAccessible()) return false;
  if (vma.file === null) return migratesOnFault(vma.policy ?? task.policy);
  if (!vma.has(VM_WRITE)) return false;
  if (!vma.file.isShmem()) return migratesOnFault(vma.policy ?? task.policy);
  // vma_policy_mof asks shmem for its shared policy, and none is not the default one.
  const shared = vma.file.policyAt(vma.pgoff);
  return shared !== null && migratesOnFault(shared);
}

/** change_prot_numa of one table's part. Returns entries changed (a PMD counts 512). */
function markRange(k: Kernel, task: Task, vma: Vma, start: Vpn, end: Vpn): number {
  const mm = vma.mm;
  const slot = mm.slotOf(start);
  if (slot < 0) return 0;
  if (mm.pmd[slot] !== 0) return markPmd(k, task, vma, slot, start, end);
  if (mm.leaf[slot] < 0) return 0;
  const base = mm.leaf[slot] * HPAGE_PMD_NR - mm.slotVpn[slot];
  const { words, bytes } = k.ptes;
  let changed = 0;
  for (let i = base + start; i < base + end; i++) {
    const word = words[i];
    if ((word & PTE_FAST) === 0 || (bytes[i] & PTEB_SPECIAL) !== 0) continue;
    const page = ptePayload(word);
    if (!worthMarking(k, task, vma, page)) continue;
    words[i] = pteOther(PTE_KIND_PROTNONE, page);
    bytes[i] |= pteAdwToByte(word) & ~PTEB_WRITE;
    changed++;
  }
  k.vmstat.count(NUMA_PTE_UPDATES, changed);
  return changed;
}

/** change_huge_pmd: a leaf of which only a part is scanned is split, and its entries marked. */
function markPmd(k: Kernel, task: Task, vma: Vma, slot: number, start: Vpn, end: Vpn): number {
  const mm = vma.mm;
  if (end - start < HPAGE_PMD_NR) {
    splitPmd(k, mm, slot);
    return markRange(k, task, vma, start, end);
  }
  const word = mm.pmd[slot];
  if ((word & PTE_FAST) === 0 || (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) return 0;
  const head = ptePayload(word);
  if (!worthMarking(k, task, vma, head)) return 0;
  mm.pmd[slot] = pteOther(PTE_KIND_PROTNONE, head);
  mm.pmdByte[slot] |= pteAdwToByte(word) & ~PTEB_WRITE;
  k.vmstat.count(NUMA_HUGE_PTE_UPDATES, 1);
  k.vmstat.count(NUMA_PTE_UPDATES, HPAGE_PMD_NR);
  return HPAGE_PMD_NR;
}

/**
 * HS-92 (folio_can_map_prot_numa), in order: merged and device pages never; private areas keep
 * pages that others share or that may be pinned; dirty file pages would not move anyway; nor pages
 * local to a process with one thread; in tiering-only mode top-tier pages are left alone. Slow
 * pages get the scan time in their cpupid field (TI-27).
 */
function worthMarking(k: Kernel, task: Task, vma: Vma, page: number): boolean {
  const mode = k.sysctl.numa_balancing;
  const folios = k.folios;
  const head = k.frames.headOf(page);
  if (folios.isKsm(head) || k.pm.isZoneDevice(head)) return false;
  if (!k.pm.isCapable('numa_balancing', head)) return false;
  const isPrivate = !vma.has(VM_SHARED);
  if (isPrivate && (folios.maybeDmaPinned(head) || folios.maybeMappedShared(head))) return false;
  if (folios.isFileLru(head) && (k.frames.flags[head] & PG_DIRTY) !== 0) return false;
  const nid = k.pm.nidOf(head);
  if (isPrivate && vma.mm.users === 1 && nid === task.cpuNid) return false;
  const top = k.tiers.isToptier(nid);
  if ((mode & NUMA_BALANCING_NORMAL) === 0 && top) return false;
  if ((mode & NUMA_BALANCING_MEMORY_TIERING) !== 0 && !top) {
    k.frames.lastCpupid[head] = Math.floor(k.nowNs / 1_000_000) & 0xfff;
  }
  return true;
}
