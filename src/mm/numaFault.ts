/**
 * NUMA hint faults: an access to a PROT_NONE entry of an accessible area (mm/memory.c:
 * do_numa_page, mm/huge_memory.c: do_huge_pmd_numa_page, mm/mempolicy.c: mpol_misplaced,
 * mm/migrate.c: migrate_misplaced_folio, kernel/sched/fair.c: should_numa_migrate_memory).
 * TI-21..TI-27, TI-95, TI-96.
 *
 * Not modelled: numa groups and per-task fault statistics; the task's two-stage filter is.
 */
import { type FrameId, HPAGE_PMD_NR, MIB, type Nid, PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_NOWARN,
  __GFP_RECLAIM,
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
  GFP_TRANSHUGE_LIGHT,
} from '../uapi/gfp.ts';
import { MPOL_F_NUMA_BALANCING } from '../uapi/mempolicy.ts';
import { MIGRATE_ASYNC, MR_NUMA_MISPLACED } from '../uapi/migrate.ts';
import {
  PGPROMOTE_CANDIDATE,
  PGPROMOTE_CANDIDATE_NRL,
  PGPROMOTE_SUCCESS,
  vmEvent,
} from '../uapi/vmstat.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { CAUSE_DIRTY_FILE, CAUSE_NOT_ON_LRU, CAUSE_SHARED, CAUSE_WATERMARK } from './failureLog.ts';
import { FAULT_DONE, FAULT_HINT, FAULT_MIGRATED, wantsWriteNotify } from './fault.ts';
import { PG_DIRTY } from './frameTable.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import type { Mempolicy } from './mempolicy.ts';
import { migratePages } from './migrate.ts';
import {
  PTE_A,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteByteToAdw,
  pteFast,
  pteIsKind,
  ptePayload,
} from './pageTable.ts';
import { vmaPolicy } from './policyNode.ts';
import type { Task } from './task.ts';
import { hasTpp, tppShouldPromote } from './tpp.ts';
import { VM_EXEC, VM_SHARED, VM_WRITE, type Vma } from './vma.ts';
import { ALLOC_CMA, wmarkPages, zoneWatermarkOk } from './watermark.ts';
import { WMARK_HIGH, WMARK_MIN, WMARK_PROMO } from './zone.ts';

const NUMA_HINT_FAULTS = vmEvent('numa_hint_faults');
const NUMA_HINT_FAULTS_LOCAL = vmEvent('numa_hint_faults_local');
const NUMA_PAGES_MIGRATED = vmEvent('numa_pages_migrated');

export const NUMA_BALANCING_NORMAL = 1;
export const NUMA_BALANCING_MEMORY_TIERING = 2;

/** lastCpupid: no value. */
export const CPUPID_NONE = 0xffff;
/** Scan times are kept in 12 bits of milliseconds (TI-27). */
const SCAN_TIME_MASK = 0xfff;

/**
 * do_numa_page and do_huge_pmd_numa_page (`slot` >= 0). A folio that belongs elsewhere is migrated,
 * which leaves an accessible, read-only entry; else the entry is restored, with its write bit if
 * it may have one.
 */
export function doNumaPage(k: Kernel, task: Task, vma: Vma, vpn: Vpn, slot: number): number {
  const mm = vma.mm;
  const i = slot >= 0 ? -1 : mm.pteIndex(vpn);
  const word = slot >= 0 ? mm.pmd[slot] : k.ptes.words[i];
  const byte = slot >= 0 ? mm.pmdByte[slot] : k.ptes.bytes[i];
  const special = (byte & PTEB_SPECIAL) !== 0;
  const outcome = special ? FAULT_DONE : numaFault(k, task, vma, vpn, ptePayload(word));
  const now = slot >= 0 ? mm.pmd[slot] : k.ptes.words[i];
  if (now !== word) return outcome; // migrated, or unmapped and mapped again by the attempt
  if (slot >= 0) {
    mm.pmd[slot] = (restoredWord(k, vma, word, byte) | PTE_A) >>> 0;
    mm.pmdByte[slot] = byte & ~7;
    return outcome;
  }
  if (!special) rebuildLargeMapping(k, vma, vpn, i, ptePayload(word));
  k.ptes.set(i, (restoredWord(k, vma, word, byte) | PTE_A) >>> 0, byte & ~7);
  return outcome;
}

/** numa_rebuild_large_mapping: the other hints in the same folio, table and area go as well. */
function rebuildLargeMapping(k: Kernel, vma: Vma, vpn: Vpn, i: number, page: FrameId): void {
  const head = k.frames.headOf(page);
  const nr = k.folios.nrPages(head);
  if (nr === 1) return;
  const table = vpn - (vpn % HPAGE_PMD_NR);
  const first = Math.max(vpn - (page - head), vma.start, table);
  const last = Math.min(vpn - (page - head) + nr, vma.end, table + HPAGE_PMD_NR);
  for (let v = first; v < last; v++) {
    const at = i + (v - vpn);
    const word = k.ptes.words[at];
    if (!pteIsKind(word, PTE_KIND_PROTNONE) || ptePayload(word) !== page + (v - vpn)) continue;
    const byte = k.ptes.bytes[at];
    k.ptes.set(at, restoredWord(k, vma, word, byte), byte & ~7);
  }
}

/** The accessible form of a hint entry. */
function restoredWord(k: Kernel, vma: Vma, word: number, byte: number): number {
  const page = ptePayload(word);
  return pteFast(page, (pteByteToAdw(byte) & ~PTE_W) | writeBit(k, vma, byte, page));
}

/** can_change_pte_writable: marking dropped the write bit; it may come back without a fault. */
function writeBit(k: Kernel, vma: Vma, byte: number, page: FrameId): number {
  if (!vma.has(VM_WRITE) || (byte & PTEB_UFFD_WP) !== 0) return 0;
  if (vma.has(VM_SHARED)) {
    return !wantsWriteNotify(vma) || (byte & PTEB_DIRTY) !== 0 ? PTE_W : 0;
  }
  return k.folios.isAnonExclusive(page) ? PTE_W : 0;
}

/** Counts the fault and migrates the page's folio if it is misplaced and may move. */
function numaFault(k: Kernel, task: Task, vma: Vma, vpn: Vpn, page: FrameId): number {
  const head = k.frames.headOf(page);
  const nid = k.pm.nidOf(head);
  k.vmstat.count(NUMA_HINT_FAULTS, 1);
  if (nid === task.cpuNid) k.vmstat.count(NUMA_HINT_FAULTS_LOCAL, 1);
  const target = mpolMisplaced(k, task, vma, vpn, head);
  if (target < 0 || !migrateMisplacedPrepare(k, vma, head, target)) return FAULT_DONE | FAULT_HINT;
  return migrateMisplaced(k, task, head, target)
    ? FAULT_DONE | FAULT_HINT | FAULT_MIGRATED
    : FAULT_DONE | FAULT_HINT;
}

/** The isolated folio is migrated within the task's cpuset (MP-43), or put back. TI-21. */
function migrateMisplaced(k: Kernel, task: Task, head: FrameId, target: Nid): boolean {
  const list = [head];
  const nr = k.folios.nrPages(head);
  const source = k.pm.nidOf(head);
  const gfp =
    nr > 1
      ? GFP_TRANSHUGE_LIGHT | __GFP_THISNODE
      : (GFP_HIGHUSER_MOVABLE | __GFP_THISNODE | __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN) &
        ~__GFP_RECLAIM;
  const left = migratePages(
    k,
    list,
    { nid: target, mask: task.memsAllowed, gfp },
    MIGRATE_ASYNC,
    MR_NUMA_MISPLACED,
  );
  if (left !== 0) {
    putbackMovablePages(k, list);
    return false;
  }
  k.vmstat.count(NUMA_PAGES_MIGRATED, nr);
  const tiers = k.tiers;
  const tiering = (k.sysctl.numa_balancing & NUMA_BALANCING_MEMORY_TIERING) !== 0;
  if (tiering && !tiers.isToptier(source) && tiers.isToptier(target)) {
    k.vmstat.modNode(target, PGPROMOTE_SUCCESS, nr);
  }
  return true;
}

/**
 * TI-22 (mpol_misplaced): the node the folio should be on, or -1 if it is well placed. Only the
 * default policy, and BIND and PREFERRED_MANY with MPOL_F_NUMA_BALANCING, allow migration on fault;
 * all of them then mean the node of the CPU.
 */
function mpolMisplaced(k: Kernel, task: Task, vma: Vma, vpn: Vpn, head: FrameId): Nid {
  const policy = vmaPolicy(vma, vpn) ?? task.policy;
  const current = k.pm.nidOf(head);
  const target = task.cpuNid;
  if (policy === null) {
    if (current === target) return -1;
  } else {
    if (!migratesOnFault(policy)) return -1;
    if ((policy.nodes & (1 << target)) === 0) return -1;
  }
  if (!shouldNumaMigrate(k, task, head, current, target)) return -1;
  return target === current ? -1 : target;
}

/** MPOL_F_MOF; null is the default policy. */
export function migratesOnFault(policy: Mempolicy | null): boolean {
  return policy === null || (policy.flags & MPOL_F_NUMA_BALANCING) !== 0;
}

/** TI-24 (should_numa_migrate_memory). */
function shouldNumaMigrate(k: Kernel, task: Task, head: FrameId, src: Nid, dst: Nid): boolean {
  if ((k.pm.nodesWithMemory & (1 << dst)) === 0) return false;
  const tiers = k.tiers;
  const tiering = (k.sysctl.numa_balancing & NUMA_BALANCING_MEMORY_TIERING) !== 0;
  const nr = k.folios.nrPages(head);
  if (tiering && !tiers.isToptier(src)) {
    return hasTpp(k) ? tppShouldPromote(k, head, dst) : shouldPromote(k, head, nr, dst);
  }
  const f = k.frames;
  const last = f.lastCpupid[head];
  const self = cpupidOf(task);
  f.lastCpupid[head] = self;
  if (!tiering && !tiers.isToptier(src) && last === CPUPID_NONE) return false;
  const seq = task.mm === null ? 0 : task.mm.numaScanSeq;
  if (last === CPUPID_NONE) return true;
  const sameTask = (last & 0xff) === (self & 0xff);
  if ((task.numaPreferredNid < 0 || seq <= 4) && sameTask) return true;
  // Two accesses in a row from the same node (the two-stage filter); without a numa group that is
  // enough.
  return nodeOfCpu(k, last >> 8) === dst;
}

/** cpu << 8 | low bits of the pid, as last_cpupid packs them. */
function cpupidOf(task: Task): number {
  return ((task.cpu & 0x7f) << 8) | (task.pid & 0xff);
}

function nodeOfCpu(k: Kernel, cpu: number): Nid {
  for (const node of k.spec.nodes) if (node.cpus.includes(cpu)) return node.nid;
  return -1;
}

/** TI-24 tiering branch, TI-25, TI-26, TI-95, TI-96. */
function shouldPromote(k: Kernel, head: FrameId, nr: number, dst: Nid): boolean {
  const state = k.promotion;
  const nowMs = Math.floor(k.nowNs / 1_000_000);
  if (hasEnoughFree(k, dst)) {
    state.thresholdMs[dst] = 0;
    if (k.profile.countsPromotionsWithoutLimit) {
      k.vmstat.modNode(dst, PGPROMOTE_CANDIDATE_NRL, nr);
    }
    return true;
  }
  const defaultMs = k.sysctl.numa_balancing_hot_threshold_ms;
  const ratePages = (k.sysctl.numa_balancing_promote_rate_limit_MBps * MIB) / PAGE_SIZE;
  const candidates = k.vmstat.nodeItem(dst, PGPROMOTE_CANDIDATE);
  const periodMs = k.sysctl.numa_balancing_scan_period_max_ms;
  state.adjust(dst, nowMs, ratePages, defaultMs, candidates, periodMs);
  const threshold = state.thresholdMs[dst] === 0 ? defaultMs : state.thresholdMs[dst];
  const stamp = k.frames.lastCpupid[head];
  const nowStamp = nowMs & SCAN_TIME_MASK;
  k.frames.lastCpupid[head] = nowStamp;
  const latency = stamp === CPUPID_NONE ? SCAN_TIME_MASK : (nowStamp - stamp) & SCAN_TIME_MASK;
  if (latency >= threshold) return false;
  k.vmstat.modNode(dst, PGPROMOTE_CANDIDATE, nr);
  return state.underRate(dst, nowMs, ratePages, k.vmstat.nodeItem(dst, PGPROMOTE_CANDIDATE));
}

/** pgdat_free_space_enough: TI-24 step 1, TI-104. */
function hasEnoughFree(k: Kernel, nid: Nid): boolean {
  const node = k.pm.nodes[nid];
  const enough = Math.max(262144, Math.floor(node.present / 16));
  for (const zone of node.zones) {
    const mark = wmarkPages(zone, WMARK_PROMO) + enough;
    if (zoneWatermarkOk(k.pm, zone, 0, mark, ZONE_MOVABLE, 0)) return true;
  }
  return false;
}

/** TI-23: the folio may be isolated for migration to `target`. Isolates it on success. */
function migrateMisplacedPrepare(k: Kernel, vma: Vma, head: FrameId, target: Nid): boolean {
  const nr = k.folios.nrPages(head);
  if (k.folios.isFileLru(head)) {
    if (vma.has(VM_EXEC) && k.folios.maybeMappedShared(head)) {
      k.failures.record(head, CAUSE_SHARED, MR_NUMA_MISPLACED, nr);
      return false;
    }
    if ((k.frames.flags[head] & PG_DIRTY) !== 0) {
      k.failures.record(head, CAUSE_DIRTY_FILE, MR_NUMA_MISPLACED, nr);
      return false;
    }
  }
  if (!balancedFor(k, target, nr)) {
    k.failures.record(head, CAUSE_WATERMARK, MR_NUMA_MISPLACED, nr);
    const tiering = (k.sysctl.numa_balancing & NUMA_BALANCING_MEMORY_TIERING) !== 0;
    if (tiering) k.pm.hooks.wakeKswapd(target, k.frames.orderOf(head), ZONE_MOVABLE);
    return false;
  }
  if (!k.lru.isolate(head)) {
    k.failures.record(head, CAUSE_NOT_ON_LRU, MR_NUMA_MISPLACED, nr);
    return false;
  }
  k.lru.countIsolated(head, 1);
  return true;
}

/** migrate_balanced_pgdat: some zone keeps its high watermark after nr more pages. */
function balancedFor(k: Kernel, nid: Nid, nr: number): boolean {
  for (const zone of k.pm.nodes[nid].zones) {
    // TI-32: TPP promotes into what allocations leave free.
    const mark = wmarkPages(zone, hasTpp(k) ? WMARK_MIN : WMARK_HIGH) + nr;
    if (zoneWatermarkOk(k.pm, zone, 0, mark, ZONE_MOVABLE, ALLOC_CMA)) return true;
  }
  return false;
}

/** A write to the sysctl numa_balancing: switching tiering on forgets promotion's state (TI-20). */
export function setNumaBalancing(k: Kernel, mode: number): void {
  const tiering = NUMA_BALANCING_MEMORY_TIERING;
  if ((mode & tiering) !== 0 && (k.sysctl.numa_balancing & tiering) === 0) {
    const nowMs = Math.floor(k.nowNs / 1_000_000);
    for (const { nid } of k.pm.nodes) {
      k.promotion.reset(nid, nowMs, k.vmstat.nodeItem(nid, PGPROMOTE_CANDIDATE));
    }
  }
  k.sysctl.numa_balancing = mode;
}

/** Per-node state of the promotion filter (struct pglist_data: nbp_*). */
export class PromotionState {
  readonly thresholdMs: Float64Array = new Float64Array(32);
  readonly #thresholdStartMs: Float64Array = new Float64Array(32);
  readonly #thresholdCandidates: Float64Array = new Float64Array(32);
  readonly #rateStartMs: Float64Array = new Float64Array(32).fill(Number.NEGATIVE_INFINITY);
  readonly #rateBase: Float64Array = new Float64Array(32);

  /** Private fields, for saved states (src/state). */
  static privateFields(state: PromotionState): object {
    return {
      thresholdStartMs: state.#thresholdStartMs,
      thresholdCandidates: state.#thresholdCandidates,
      rateStartMs: state.#rateStartMs,
      rateBase: state.#rateBase,
    };
  }

  /** TI-25, with the comparisons of TI-96; `periodMs` is numa_balancing_scan_period_max. */
  adjust(
    nid: Nid,
    nowMs: number,
    ratePages: number,
    defaultMs: number,
    candidates: number,
    periodMs: number,
  ): void {
    if (nowMs - this.#thresholdStartMs[nid] <= periodMs) return;
    const reference = (ratePages * periodMs) / 1000;
    const unit = Math.floor((defaultMs * 2) / 16);
    const seen = candidates - this.#thresholdCandidates[nid];
    const now = this.thresholdMs[nid] === 0 ? defaultMs : this.thresholdMs[nid];
    let next = now;
    if (seen > (reference * 11) / 10) next = Math.max(now - unit, unit);
    else if (seen < (reference * 9) / 10) next = Math.min(now + unit, defaultMs * 2);
    this.thresholdMs[nid] = next;
    this.#thresholdStartMs[nid] = nowMs;
    this.#thresholdCandidates[nid] = candidates;
  }

  /** reset_memory_tiering: tiering mode was switched on (TI-20). */
  reset(nid: Nid, nowMs: number, candidates: number): void {
    this.thresholdMs[nid] = 0;
    this.#thresholdStartMs[nid] = nowMs;
    this.#thresholdCandidates[nid] = candidates;
  }

  /** TI-26: `candidates` includes the one being asked for. */
  underRate(nid: Nid, nowMs: number, ratePages: number, candidates: number): boolean {
    if (nowMs - this.#rateStartMs[nid] > 1000) {
      this.#rateStartMs[nid] = nowMs;
      this.#rateBase[nid] = candidates;
    }
    return candidates - this.#rateBase[nid] < ratePages;
  }
}
