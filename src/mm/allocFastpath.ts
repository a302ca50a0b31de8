/**
 * The walk over a zonelist that all attempts of an allocation share (mm/page_alloc.c:
 * get_page_from_freelist, gfp_zone, zone_statistics, prep_new_page). PM-30, PM-32, PM-34.
 *
 * A zone is taken if it passes the watermark named in the allocation flags and has a block. On a
 * machine with DMA32 under NORMAL the first walk does not mix mobilities inside a pageblock, until
 * it would have to leave the node. Not modelled: dirty-page spreading, zone_reclaim_mode.
 */
import type { FrameId, Nid, Order } from '../base/units.ts';
import { __GFP_COMP, __GFP_KSWAPD_RECLAIM, __GFP_THISNODE } from '../uapi/gfp.ts';
import {
  NR_FREE_CMA_PAGES,
  NR_FREE_PAGES,
  NR_VM_NUMA_ITEMS,
  NR_VM_ZONE_STAT_ITEMS,
  NUMA_FOREIGN,
  NUMA_HIT,
  NUMA_LOCAL,
  NUMA_MISS,
  NUMA_OTHER,
  vmEvent,
} from '../uapi/vmstat.ts';
import {
  MAX_NR_ZONES,
  MIGRATE_MOVABLE,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
  type ZoneType,
} from '../uapi/zone.ts';
import { type FrameTable, PG_HEAD, PG_TAIL } from './frameTable.ts';
import { rmqueue } from './mobility.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import {
  ALLOC_CMA,
  ALLOC_KSWAPD,
  ALLOC_NO_WATERMARKS,
  ALLOC_NOFRAGMENT,
  ALLOC_WMARK_MASK,
  watermarkOkWith,
} from './watermark.ts';
import { WMARK_LOW, type Zone } from './zone.ts';

const PGALLOC_BASE = vmEvent('pgalloc_dma');
const NO_CPUPID = 0xffff;
/** From this order on rows are written by TypedArray.fill. */
const FILL_ORDER_MIN = 5;

/** gfp_zone by the low four gfp bits: DMA, HIGHMEM, DMA32, MOVABLE (PM-30). */
const ZONE_OF_GFP: readonly ZoneType[] = Array.from({ length: 16 }, (_, bits) => {
  if ((bits & 1) !== 0) return ZONE_DMA;
  if ((bits & 4) !== 0) return ZONE_DMA32;
  return (bits & 10) === 10 ? ZONE_MOVABLE : ZONE_NORMAL;
});

/** Highest zone type an allocation may use (PM-30). */
export function gfpZone(gfp: number): ZoneType {
  return ZONE_OF_GFP[gfp & 15];
}

/** Mobility of an allocation: UNMOVABLE, MOVABLE or RECLAIMABLE. */
export function gfpMigratetype(gfp: number): number {
  return (gfp >>> 3) & 3;
}

/** The zones to try, in order. */
export function zonelistOf(pm: PhysicalMemory, gfp: number, nid: Nid): Uint8Array {
  const at = nid * MAX_NR_ZONES + gfpZone(gfp);
  return (gfp & __GFP_THISNODE) !== 0 ? pm.zonelists.thisNode[at] : pm.zonelists.fallback[at];
}

/** First zone of a list that the mask allows; its node is the preferred one. -1 = none. */
export function preferredZoneId(pm: PhysicalMemory, list: Uint8Array, nodemask: number): number {
  for (let i = 0; i < list.length; i++) {
    if ((nodemask & (1 << pm.zones[list[i]].nid)) !== 0) return list[i];
  }
  return -1;
}

/** gfp_to_alloc_flags_cma: only movable pages may use CMA areas. */
export function allocFlagsCma(pm: PhysicalMemory, gfp: number): number {
  return gfpMigratetype(gfp) === MIGRATE_MOVABLE && !pm.hooks.memallocNocma ? ALLOC_CMA : 0;
}

/**
 * What almost every allocation does, without the walk: the first zone of the list is above its low
 * mark and has a block of the right mobility. -1 = not so, or a CMA area is to be weighed; then
 * getPageFromFreelist decides. Takes the very block that the walk would take.
 */
export function takeFromFirstZone(
  pm: PhysicalMemory,
  zone: Zone,
  order: Order,
  gfp: number,
): FrameId {
  const zoneStat = pm.vmstat.zone;
  const row = zone.id * NR_VM_ZONE_STAT_ITEMS;
  if (zoneStat[row + NR_FREE_CMA_PAGES] !== 0) return -1;
  // No lowmem reserve: were there a higher zone to protect this one from, it would stand first.
  const mark = zone.watermark[WMARK_LOW] + zone.watermarkBoost;
  if (zoneStat[row + NR_FREE_PAGES] - (1 << order) + 1 <= mark) return -1;
  const frame = pm.buddy.rmqueueSmallest(zone, order, gfpMigratetype(gfp));
  if (frame < 0) return -1;
  countAllocation(pm, zone, zone.nid, order, gfp & __GFP_KSWAPD_RECLAIM);
  prepNewPage(pm.frames, frame, order, gfp);
  return frame;
}

/** get_page_from_freelist: first zone of the list with room above the mark in `allocFlags`. */
export function getPageFromFreelist(
  pm: PhysicalMemory,
  order: Order,
  gfp: number,
  list: Uint8Array,
  nodemask: number,
  preferred: number,
  allocFlags: number,
): FrameId {
  const highest = gfpZone(gfp);
  const migratetype = gfpMigratetype(gfp);
  const preferredNid = pm.zones[preferred].nid;
  let flags = allocFlags;
  for (;;) {
    let retryFragmenting = (flags & ALLOC_NOFRAGMENT) !== 0;
    for (let i = 0; i < list.length; i++) {
      const zone = pm.zones[list[i]];
      if ((nodemask & (1 << zone.nid)) === 0) continue;
      // Rather fragment a local block than go to another node.
      if (retryFragmenting && zone.nid !== preferredNid) break;
      if (!watermarkOk(pm, zone, order, highest, flags)) continue;
      const frame = rmqueue(pm, zone, order, migratetype, flags);
      if (frame < 0) continue;
      countAllocation(pm, zone, preferredNid, order, flags & ALLOC_KSWAPD);
      prepNewPage(pm.frames, frame, order, gfp);
      return frame;
    }
    if (!retryFragmenting) return -1;
    retryFragmenting = false;
    flags &= ~ALLOC_NOFRAGMENT;
  }
}

function watermarkOk(
  pm: PhysicalMemory,
  zone: Zone,
  order: Order,
  highest: ZoneType,
  allocFlags: number,
): boolean {
  if ((allocFlags & ALLOC_NO_WATERMARKS) !== 0) return true;
  const mark = zone.watermark[allocFlags & ALLOC_WMARK_MASK] + zone.watermarkBoost;
  const free = pm.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
  return watermarkOkWith(pm, zone, order, mark, highest, allocFlags, free);
}

/** pgalloc_*, zone_statistics (one event per allocation, whatever its order), boost wake-up. */
function countAllocation(
  pm: PhysicalMemory,
  zone: Zone,
  preferredNid: Nid,
  order: Order,
  mayWakeKswapd: number,
): void {
  const { event, numa } = pm.vmstat;
  event[PGALLOC_BASE + zone.type] += 1 << order;
  const row = zone.nid * NR_VM_NUMA_ITEMS;
  if (zone.nid === preferredNid) numa[row + NUMA_HIT]++;
  else {
    numa[row + NUMA_MISS]++;
    numa[preferredNid * NR_VM_NUMA_ITEMS + NUMA_FOREIGN]++;
  }
  numa[row + (zone.nid === pm.currentNid ? NUMA_LOCAL : NUMA_OTHER)]++;
  if (zone.boostWakesKswapd && mayWakeKswapd !== 0) {
    zone.boostWakesKswapd = false;
    pm.hooks.wakeKswapd(zone.nid, 0, zone.type);
  }
  // TI-30: on mainline the mark is 0, and free pages are never below it.
  if (pm.vmstat.zone[zone.id * NR_VM_ZONE_STAT_ITEMS + NR_FREE_PAGES] < zone.demoteMark) {
    pm.hooks.wakeKswapd(zone.nid, 0, zone.type);
  }
}

/**
 * prep_new_page. Relies on what freePages leaves: no flags, references, mappings.
 * PP-61a: every frame has a new identity.
 */
export function prepNewPage(frames: FrameTable, head: FrameId, order: Order, gfp: number): void {
  frames.refcount[head] = 1;
  frames.lastCpupid[head] = NO_CPUPID;
  frames.orderIndexHigh[head] = order;
  if (order === 0) {
    frames.bumpGeneration(head);
    return;
  }
  const end = head + (1 << order);
  bumpGenerations(frames, head, end);
  if ((gfp & __GFP_COMP) === 0) return;
  frames.flags[head] = PG_HEAD;
  if (order >= FILL_ORDER_MIN) {
    frames.flags.fill(PG_TAIL, head + 1, end);
    frames.mapping.fill(head, head + 1, end);
    return;
  }
  for (let frame = head + 1; frame < end; frame++) {
    frames.flags[frame] = PG_TAIL;
    frames.mapping[frame] = head;
  }
}

/** PP-61 for [start, end): bumpGeneration of each frame. */
export function bumpGenerations(frames: FrameTable, start: FrameId, end: FrameId): void {
  const { generation } = frames;
  for (let frame = start; frame < end; frame++) {
    const next = (generation[frame] + 1) | 0;
    generation[frame] = next === 0 ? 1 : next;
  }
}
