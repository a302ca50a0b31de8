/**
 * What compaction remembers of zones between two runs, and its settings (include/linux/mmzone.h
 * struct zone: compact_*; mm/compaction.c: defer_compaction, compaction_deferred,
 * compaction_defer_reset, compaction_restarting, __reset_isolation_suitable). PM-86, PM-117.
 */
import type { FrameId, Nid, Order } from '../base/units.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import type { Zone } from './zone.ts';

const COMPACT_MAX_DEFER_SHIFT = 6;

export class CompactionState {
  /** vm.compaction_proactiveness: 0 to 100; 0 = no proactive compaction. */
  proactiveness = 20;
  /** vm.extfrag_threshold, 0 to 1000. */
  extfragThreshold = 500;
  /** vm.compact_unevictable_allowed. */
  unevictableAllowed = true;
  /** By pageblock: 1 = nothing came of it lately (PB_migrate_skip). */
  readonly skip: Uint8Array;
  /** By zone id: attempts since the last failure, 2^shift attempts to skip, lowest failed order. */
  readonly considered: Int32Array;
  readonly deferShift: Int32Array;
  readonly orderFailed: Int32Array;
  /** By zone id: where the scanners were left; -1 = at their ends of the zone. */
  readonly cachedMigrateAsync: Int32Array;
  readonly cachedMigrateSync: Int32Array;
  readonly cachedFree: Int32Array;
  /** By zone id: the skip marks are to be cleared when kswapd goes to sleep. */
  readonly flushSkip: Uint8Array;
  /** Nodes whose kcompactd was woken; by nid, the order and highest zone it was woken for. */
  kcompactdWoken = 0;
  readonly kcompactdOrder: Int32Array;
  readonly kcompactdHighest: Int32Array;
  /** By nid: turns of kcompactd without a proactive run, after one that did not help. */
  readonly proactiveDefer: Int32Array;

  constructor(pm: PhysicalMemory) {
    const zones = pm.vmstat.nrZones;
    const nodes = pm.nodes.length;
    this.skip = new Uint8Array(pm.blocks.nrBlocks);
    this.considered = new Int32Array(zones);
    this.deferShift = new Int32Array(zones);
    this.orderFailed = new Int32Array(zones);
    this.cachedMigrateAsync = new Int32Array(zones).fill(-1);
    this.cachedMigrateSync = new Int32Array(zones).fill(-1);
    this.cachedFree = new Int32Array(zones).fill(-1);
    this.flushSkip = new Uint8Array(zones);
    this.kcompactdOrder = new Int32Array(nodes);
    this.kcompactdHighest = new Int32Array(nodes);
    this.proactiveDefer = new Int32Array(nodes);
  }

  /** defer_compaction: a run for the order came to nothing. */
  defer(zone: Zone, order: Order): void {
    const { id } = zone;
    this.considered[id] = 0;
    this.deferShift[id] = Math.min(this.deferShift[id] + 1, COMPACT_MAX_DEFER_SHIFT);
    if (order < this.orderFailed[id]) this.orderFailed[id] = order;
  }

  /** compaction_deferred: whether this attempt is to be left out. Counts it. */
  isDeferred(zone: Zone, order: Order): boolean {
    const { id } = zone;
    const limit = 1 << this.deferShift[id];
    if (order < this.orderFailed[id]) return false;
    if (++this.considered[id] >= limit) {
      this.considered[id] = limit;
      return false;
    }
    return true;
  }

  /** compaction_defer_reset. */
  deferReset(zone: Zone, order: Order, allocated: boolean): void {
    const { id } = zone;
    if (allocated) {
      this.considered[id] = 0;
      this.deferShift[id] = 0;
    }
    if (order >= this.orderFailed[id]) this.orderFailed[id] = order + 1;
  }

  /** compaction_restarting: the longest deferral is over. */
  isRestarting(zone: Zone, order: Order): boolean {
    const { id } = zone;
    if (order < this.orderFailed[id]) return false;
    const shift = this.deferShift[id];
    return shift === COMPACT_MAX_DEFER_SHIFT && this.considered[id] >= 1 << shift;
  }

  /** reset_cached_positions. */
  resetPositions(zone: Zone): void {
    this.cachedMigrateAsync[zone.id] = -1;
    this.cachedMigrateSync[zone.id] = -1;
    this.cachedFree[zone.id] = -1;
  }

  /** __reset_isolation_suitable: all pageblocks of the zone are worth a look again. */
  resetSkip(pm: PhysicalMemory, zone: Zone): void {
    this.flushSkip[zone.id] = 0;
    this.resetPositions(zone);
    const { zoneOfBlock, nrBlocks } = pm.blocks;
    for (let block = 0; block < nrBlocks; block++) {
      if (zoneOfBlock[block] === zone.id) this.skip[block] = 0;
    }
  }

  /** reset_isolation_suitable: kswapd of the node goes to sleep. */
  flushNode(pm: PhysicalMemory, nid: Nid): void {
    for (const zone of pm.nodes[nid].zones) {
      if (this.flushSkip[zone.id] !== 0) this.resetSkip(pm, zone);
    }
  }

  /** wakeup_kcompactd. */
  wakeKcompactd(nid: Nid, order: Order, highest: number): void {
    if (order === 0) return;
    const bit = 1 << nid;
    const isAwake = (this.kcompactdWoken & bit) !== 0;
    this.kcompactdOrder[nid] = isAwake ? Math.max(this.kcompactdOrder[nid], order) : order;
    this.kcompactdHighest[nid] = isAwake ? Math.max(this.kcompactdHighest[nid], highest) : highest;
    this.kcompactdWoken |= bit;
  }
}

/** First and last frame that the scanners of a zone may look at: [start, end). */
export function zoneFrames(zone: Zone): { readonly start: FrameId; readonly end: FrameId } {
  const ranges = zone.presentRanges;
  return { start: ranges[0].start, end: ranges[ranges.length - 1].end };
}
