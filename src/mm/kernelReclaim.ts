/**
 * Who reclaims: kswapd in the background, allocations that found no memory directly
 * (mm/vmscan.c: balance_pgdat, try_to_free_pages). TI-17, TI-18, PM-38.
 *
 * kswapd is stepped by whoever owns time: wakeKswapd marks a node, kswapdStep does one pass.
 */
import type { Nid, Order } from '../base/units.ts';
import { __GFP_THISNODE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { MAX_NR_ZONES, type ZoneType } from '../uapi/zone.ts';
import { gfpZone } from './allocFastpath.ts';
import { traceDefer } from './compactionTrace.ts';
import { hasRoomToCompact, tryToCompactPages } from './compactZone.ts';
import type { Kernel } from './kernel.ts';
import { NUMA_BALANCING_MEMORY_TIERING } from './numaFault.ts';
import { outOfMemory } from './oomKill.ts';
import type { CompactPriority, CompactResult, ReclaimHooks } from './physicalMemory.ts';
import { DEF_PRIORITY, RECLAIM_DIRECT, RECLAIM_KSWAPD, ScanControl } from './scanControl.ts';
import { canReclaimAnon, SWAP_CLUSTER_MAX, shrinkNode } from './shrinkNode.ts';
import { wmarkPages, zoneWatermarkOk } from './watermark.ts';
import { WMARK_HIGH, WMARK_MIN, WMARK_PROMO, type Zone } from './zone.ts';

const ALLOCSTALL_BASE = vmEvent('allocstall_dma');
const PAGEOUTRUN = vmEvent('pageoutrun');

/** Passes without progress after which kswapd gives a node up (MAX_RECLAIM_RETRIES). */
const KSWAPD_FAILURES_MAX = 16;
/** TI-74: shadow pages that go for each page asked for. */
const SHADOWS_PER_PAGE = 10;
const HIGHEST_ZONE = (MAX_NR_ZONES - 1) as ZoneType;

export class KernelReclaim implements ReclaimHooks {
  inReclaim = false;
  memallocPin = false;
  memallocNocma = false;
  readonly #k: Kernel;
  readonly #priority: Int32Array = new Int32Array(32).fill(DEF_PRIORITY);
  readonly #failures: Int32Array = new Int32Array(32);
  /** kswapd_highest_zoneidx: the highest zone that an allocation which woke kswapd can use. */
  readonly #highest: Int8Array = new Int8Array(32).fill(-1);
  /** kswapd_order: the largest order of those allocations; kcompactd makes it afterwards. */
  readonly #order: Int8Array = new Int8Array(32);

  /** Private fields, for saved states (src/state). */
  static privateFields(reclaim: KernelReclaim): object {
    return {
      k: reclaim.#k,
      priority: reclaim.#priority,
      highest: reclaim.#highest,
      order: reclaim.#order,
      failures: reclaim.#failures,
    };
  }

  constructor(k: Kernel) {
    this.#k = k;
  }

  wakeKswapd(nid: Nid, order: number, highestZoneType: ZoneType, gfp = 0): void {
    if (this.#failures[nid] >= KSWAPD_FAILURES_MAX) return;
    if ((this.#k.pm.capable.reclaim & (1 << nid)) === 0) return;
    const bit = 1 << nid;
    const isAwake = (this.#k.kswapdWoken & bit) !== 0;
    if (!isAwake && this.isBalanced(nid, highestZoneType)) {
      // Enough is free, only not in one piece.
      if (order > 0) this.#wakeKcompactd(nid, order, highestZoneType);
      return;
    }
    this.#order[nid] = Math.max(this.#order[nid], order);
    this.#highest[nid] = Math.max(this.#highest[nid], highestZoneType);
    const { wakeupKswapd } = this.#k.trace;
    if (wakeupKswapd.isEnabled) wakeupKswapd.emit(nid, highestZoneType, order, gfp);
    if (isAwake) return;
    this.#k.kswapdWoken |= bit;
    this.#priority[nid] = DEF_PRIORITY;
    this.#k.vmstat.count(PAGEOUTRUN, 1);
  }

  /**
   * pgdat_balanced at the high mark, or the promo mark in tiering mode (TI-17): one zone that an
   * allocation up to `highest` can use has enough. Without such a zone there is nothing to do.
   */
  isBalanced(nid: Nid, highest: ZoneType = HIGHEST_ZONE): boolean {
    const k = this.#k;
    const tiering = (k.sysctl.numa_balancing & NUMA_BALANCING_MEMORY_TIERING) !== 0;
    const mark = tiering ? WMARK_PROMO : WMARK_HIGH;
    let isUsable = false;
    for (const zone of k.pm.nodes[nid].zones) {
      if (zone.type > highest) continue;
      isUsable = true;
      const pages = Math.max(wmarkPages(zone, mark), zone.demoteMark); // TI-30
      if (zoneWatermarkOk(k.pm, zone, 0, pages, highest, 0)) return true;
    }
    return !isUsable;
  }

  /**
   * One pass of kswapd over a woken node. Returns true while it has more to do. Costs are the
   * caller's to charge from the vmstat deltas.
   */
  kswapdStep(nid: Nid): boolean {
    const k = this.#k;
    const highest = this.#highest[nid] < 0 ? HIGHEST_ZONE : (this.#highest[nid] as ZoneType);
    k.trace.runKswapd(nid);
    this.#traceWake(nid, highest);
    if (this.isBalanced(nid, highest)) return this.#sleep(nid);
    const goal = this.#kswapdGoal(nid, highest);
    if (k.shadows.reclaim(nid, SHADOWS_PER_PAGE * goal) > 0) return true; // TI-74
    const sc = new ScanControl(RECLAIM_KSWAPD, goal, k.sysctl.swappiness);
    sc.priority = this.#priority[nid];
    sc.highestZoneType = highest;
    this.inReclaim = true;
    shrinkNode(k, nid, sc);
    this.inReclaim = false;
    if (sc.nrReclaimed > 0) {
      this.#failures[nid] = 0;
      return true;
    }
    if (this.#priority[nid] > 1) {
      this.#priority[nid]--;
      return true;
    }
    this.#failures[nid]++;
    if (this.#failures[nid] >= KSWAPD_FAILURES_MAX) return this.#sleep(nid);
    this.#priority[nid] = DEF_PRIORITY;
    return true;
  }

  #wakeKcompactd(nid: Nid, order: number, highest: number): void {
    const { compaction, trace } = this.#k;
    compaction.wakeKcompactd(nid, order, highest);
    const { wakeupKcompactd } = trace.compaction;
    if (order > 0 && wakeupKcompactd.isEnabled) wakeupKcompactd.emit(nid, order, highest);
  }

  #traceWake(nid: Nid, highest: ZoneType): void {
    const { trace } = this.#k;
    if (!trace.kswapdWake.isEnabled || (trace.kswapdAwake & (1 << nid)) !== 0) return;
    trace.kswapdAwake |= 1 << nid;
    trace.kswapdWake.emit(nid, highest, this.#order[nid]);
  }

  /** kswapd sleeps on a balanced node; the boost it was woken for is taken back (balance_pgdat). */
  #sleep(nid: Nid): boolean {
    const k = this.#k;
    for (const zone of k.pm.nodes[nid].zones) zone.watermarkBoost = 0;
    k.compaction.flushNode(k.pm, nid);
    this.#wakeKcompactd(nid, this.#order[nid], this.#highest[nid]);
    this.#order[nid] = 0;
    k.kswapdWoken &= ~(1 << nid);
    this.#highest[nid] = -1;
    const { trace } = this.#k;
    trace.kswapdAwake &= ~(1 << nid);
    if (trace.kswapdSleep.isEnabled) trace.kswapdSleep.emit(nid);
    return false;
  }

  /** kswapd_shrink_node: the sum of max(high mark, SWAP_CLUSTER_MAX), in steps of a cluster. */
  #kswapdGoal(nid: Nid, highest: ZoneType): number {
    let goal = 0;
    for (const zone of this.#k.pm.nodes[nid].zones) {
      if (zone.type > highest) continue;
      goal += Math.max(wmarkPages(zone, WMARK_HIGH), SWAP_CLUSTER_MAX);
    }
    return Math.min(goal, 8 * SWAP_CLUSTER_MAX);
  }

  directReclaim(allocOrder: number, gfp: number, preferredNid: Nid, nodemask: number): number {
    const k = this.#k;
    k.vmstat.count(ALLOCSTALL_BASE + gfpZone(gfp), 1);
    const { directReclaimBegin, directReclaimEnd } = k.trace;
    if (directReclaimBegin.isEnabled) directReclaimBegin.emit(allocOrder, gfp);
    const sc = new ScanControl(RECLAIM_DIRECT, SWAP_CLUSTER_MAX, k.sysctl.swappiness);
    sc.highestZoneType = gfpZone(gfp);
    sc.nrReclaimed += k.shadows.reclaim(-1, SHADOWS_PER_PAGE * SWAP_CLUSTER_MAX);
    const order = k.pm.nodes[preferredNid].fallbackOrder;
    for (sc.priority = DEF_PRIORITY; sc.priority >= 0; sc.priority--) {
      for (let i = 0; i < order.length; i++) {
        if ((nodemask & k.pm.capable.reclaim & (1 << order[i])) === 0) continue;
        if ((gfp & __GFP_THISNODE) !== 0 && order[i] !== preferredNid) continue;
        if (k.pm.nodes[order[i]].zones[0].type > sc.highestZoneType) continue;
        shrinkNode(k, order[i], sc);
      }
      if (sc.nrReclaimed >= sc.nrToReclaim) break;
    }
    if (sc.nrReclaimed > 0) this.#failures.fill(0);
    if (directReclaimEnd.isEnabled) directReclaimEnd.emit(sc.nrReclaimed);
    return sc.nrReclaimed;
  }

  directCompact(
    order: Order,
    gfp: number,
    preferredNid: Nid,
    nodemask: number,
    priority: CompactPriority,
    allocFlags: number,
  ): CompactResult {
    return tryToCompactPages(this.#k, order, gfp, preferredNid, nodemask, priority, allocFlags);
  }

  compactionHelped(zoneId: number, order: Order): void {
    const { compaction, pm } = this.#k;
    compaction.deferReset(pm.zones[zoneId], order, true);
    traceDefer(this.#k, this.#k.trace.compaction.deferReset, pm.zones[zoneId], order);
    compaction.flushSkip[zoneId] = 0;
  }

  compactionCouldWork(zone: Zone, order: Order, highest: ZoneType, freePages: number): boolean {
    return hasRoomToCompact(this.#k, zone, order, wmarkPages(zone, WMARK_MIN), highest, freePages);
  }

  outOfMemory(): boolean {
    return this.#k.oom === 'kill' && outOfMemory(this.#k);
  }

  canReclaimAnon(nid: Nid): boolean {
    return canReclaimAnon(this.#k, nid, null);
  }
}
