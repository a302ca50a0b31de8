/**
 * What an allocation does when no zone is above its low watermark (mm/page_alloc.c:
 * __alloc_pages_slowpath, gfp_to_alloc_flags, should_reclaim_retry, should_compact_retry,
 * __alloc_pages_may_oom). PM-38.
 *
 * Order: wake kswapd; try at the min mark; compaction first for costly orders and for unmovable
 * blocks; then in a loop: reserves if entitled, direct reclaim, compaction, the retry tests, the
 * OOM killer. Which exit is taken depends on the gfp flags alone and on what the hooks report.
 *
 * Deviates: a __GFP_NOFAIL request that nothing can satisfy returns -1 after MAX_RECLAIM_RETRIES
 *   rounds, and one without __GFP_FS fails where Linux would loop: nobody else runs meanwhile.
 * Not modelled: cpuset and mempolicy races, OOM victims' own reserves, zone_reclaim_mode,
 *   realtime tasks, draining of per-cpu lists, HIGHATOMIC.
 */
import type { FrameId, Nid, Order } from '../base/units.ts';
import {
  __GFP_DIRECT_RECLAIM,
  __GFP_FS,
  __GFP_HIGH,
  __GFP_IO,
  __GFP_KSWAPD_RECLAIM,
  __GFP_MEMALLOC,
  __GFP_NOFAIL,
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_RETRY_MAYFAIL,
  __GFP_THISNODE,
} from '../uapi/gfp.ts';
import { NR_FREE_PAGES, NR_ZONE_LRU_BASE, vmEvent } from '../uapi/vmstat.ts';
import { MIGRATE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import {
  allocFlagsCma,
  getPageFromFreelist,
  gfpMigratetype,
  gfpZone,
  preferredZoneId,
  zonelistOf,
} from './allocFastpath.ts';
import {
  COMPACT_DEFERRED,
  COMPACT_PRIO_ASYNC,
  COMPACT_PRIO_SYNC_FULL,
  COMPACT_PRIO_SYNC_LIGHT,
  COMPACT_SKIPPED,
  COMPACT_SUCCESS,
  type CompactPriority,
  type CompactResult,
  type PhysicalMemory,
} from './physicalMemory.ts';
import {
  ALLOC_CPUSET,
  ALLOC_KSWAPD,
  ALLOC_MIN_RESERVE,
  ALLOC_NO_WATERMARKS,
  ALLOC_NON_BLOCK,
  watermarkOkWith,
} from './watermark.ts';
import { WMARK_HIGH, WMARK_MIN, type Zone } from './zone.ts';

const PAGE_ALLOC_COSTLY_ORDER = 3;
const MAX_RECLAIM_RETRIES = 16;
const MAX_COMPACT_RETRIES = 16;
const COMPACTSTALL = vmEvent('compact_stall');
const COMPACTFAIL = vmEvent('compact_fail');
const COMPACTSUCCESS = vmEvent('compact_success');

/** Outcomes of a round besides a frame. */
const GIVE_UP = -1;
const RETRY = -2;

/** One allocation in trouble. */
interface SlowAlloc {
  readonly pm: PhysicalMemory;
  readonly order: Order;
  readonly gfp: number;
  readonly preferredNid: Nid;
  readonly list: Uint8Array;
  readonly isCostly: boolean;
  readonly canCompact: boolean;
  nodemask: number;
  allocFlags: number;
  /** Pages reclaimed by the last round. */
  progress: number;
  compactResult: CompactResult;
  compactPriority: CompactPriority;
  compactRetries: number;
  noProgressLoops: number;
  nofailRounds: number;
}

/** A block, or -1. Arguments as allocPages, `gfp` already in its memalloc scope. */
export function allocSlowpath(
  pm: PhysicalMemory,
  order: Order,
  gfp: number,
  preferredNid: Nid,
  nodemask: number,
): FrameId {
  const a: SlowAlloc = {
    pm,
    order,
    gfp,
    preferredNid,
    list: zonelistOf(pm, gfp, preferredNid),
    isCostly: order > PAGE_ALLOC_COSTLY_ORDER,
    canCompact: (gfp & __GFP_DIRECT_RECLAIM) !== 0 && (gfp & __GFP_IO) !== 0,
    nodemask,
    allocFlags: gfpToAllocFlags(pm, gfp),
    progress: 0,
    compactResult: COMPACT_SKIPPED,
    compactPriority: COMPACT_PRIO_SYNC_LIGHT,
    compactRetries: 0,
    noProgressLoops: 0,
    nofailRounds: 0,
  };
  wakeAllKswapds(a);
  let frame = tryFreelists(a);
  if (frame >= 0) return frame;
  const compactFirst = order > 0 && (a.isCostly || gfpMigratetype(gfp) !== MIGRATE_MOVABLE);
  if (a.canCompact && compactFirst && reserveFlags(a) === 0) {
    frame = directCompact(a, COMPACT_PRIO_ASYNC);
    if (frame >= 0) return frame;
    if (a.isCostly && (gfp & __GFP_NORETRY) !== 0) {
      if (a.compactResult <= COMPACT_DEFERRED) return -1;
      a.compactPriority = COMPACT_PRIO_ASYNC;
    }
  }
  do frame = oneRound(a);
  while (frame === RETRY);
  return frame;
}

/** From the label `retry` to its next use. */
function oneRound(a: SlowAlloc): FrameId {
  const { pm, order, gfp } = a;
  wakeAllKswapds(a);
  useReserves(a);
  let frame = tryFreelists(a);
  if (frame >= 0) return frame;
  if ((gfp & __GFP_DIRECT_RECLAIM) === 0) return GIVE_UP;
  if (pm.hooks.inReclaim) return noFail(a);
  frame = directReclaim(a);
  if (frame >= 0) return frame;
  frame = directCompact(a, a.compactPriority);
  if (frame >= 0) return frame;
  if ((gfp & __GFP_NORETRY) !== 0) return noFail(a);
  const mayFail = (gfp & __GFP_RETRY_MAYFAIL) !== 0;
  if (a.isCostly && !(a.canCompact && mayFail)) return noFail(a);
  if (shouldReclaimRetry(a)) return RETRY;
  if (a.progress > 0 && a.canCompact && shouldCompactRetry(a)) return RETRY;
  frame = tryFreelistsAt(a, WMARK_HIGH | ALLOC_CPUSET);
  if (frame >= 0) return frame;
  if (mayOom(a) && pm.hooks.outOfMemory(order, gfp)) {
    a.noProgressLoops = 0;
    return RETRY;
  }
  return noFail(a);
}

/** gfp_to_alloc_flags: the min mark, and how far below it the request may go. */
function gfpToAllocFlags(pm: PhysicalMemory, gfp: number): number {
  let flags = WMARK_MIN | ALLOC_CPUSET | allocFlagsCma(pm, gfp);
  if ((gfp & __GFP_HIGH) !== 0) flags |= ALLOC_MIN_RESERVE;
  if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) flags |= ALLOC_KSWAPD;
  if ((gfp & __GFP_DIRECT_RECLAIM) === 0) {
    if ((gfp & __GFP_NOMEMALLOC) === 0) flags |= ALLOC_NON_BLOCK;
    if ((flags & ALLOC_MIN_RESERVE) !== 0) flags &= ~ALLOC_CPUSET;
  }
  return flags;
}

/** __gfp_pfmemalloc_flags: who frees memory may use all of it meanwhile. */
function reserveFlags(a: SlowAlloc): number {
  if ((a.gfp & __GFP_NOMEMALLOC) !== 0) return 0;
  if ((a.gfp & __GFP_MEMALLOC) !== 0 || a.pm.hooks.inReclaim) return ALLOC_NO_WATERMARKS;
  return 0;
}

/** Requests with reserves, and atomic ones, may leave their node mask. */
function useReserves(a: SlowAlloc): void {
  const reserve = reserveFlags(a);
  if (reserve !== 0) {
    a.allocFlags = reserve | allocFlagsCma(a.pm, a.gfp) | (a.allocFlags & ALLOC_KSWAPD);
  }
  if ((a.allocFlags & ALLOC_CPUSET) === 0) a.nodemask = -1;
}

/** wake_all_kswapds: each node of the list once in a row. */
function wakeAllKswapds(a: SlowAlloc): void {
  if ((a.allocFlags & ALLOC_KSWAPD) === 0) return;
  const highest = gfpZone(a.gfp);
  let lastNid = -1;
  for (let i = 0; i < a.list.length; i++) {
    const { nid } = a.pm.zones[a.list[i]];
    if (nid === lastNid || (a.nodemask & (1 << nid)) === 0) continue;
    lastNid = nid;
    a.pm.hooks.wakeKswapd(nid, a.order, highest, a.gfp);
  }
}

function tryFreelists(a: SlowAlloc): FrameId {
  return tryFreelistsAt(a, a.allocFlags);
}

function tryFreelistsAt(a: SlowAlloc, allocFlags: number): FrameId {
  const preferred = preferredZoneId(a.pm, a.list, a.nodemask);
  if (preferred < 0) return -1;
  return getPageFromFreelist(a.pm, a.order, a.gfp, a.list, a.nodemask, preferred, allocFlags);
}

function directReclaim(a: SlowAlloc): FrameId {
  const { hooks } = a.pm;
  hooks.inReclaim = true;
  a.progress = hooks.directReclaim(a.order, a.gfp, a.preferredNid, a.nodemask);
  hooks.inReclaim = false;
  return a.progress > 0 ? tryFreelists(a) : -1;
}

function directCompact(a: SlowAlloc, priority: CompactPriority): FrameId {
  if (a.order === 0 || !a.canCompact) return -1;
  const { hooks, vmstat } = a.pm;
  const wasInReclaim = hooks.inReclaim;
  hooks.inReclaim = true;
  const { order, gfp, preferredNid, nodemask, allocFlags } = a;
  a.compactResult = hooks.directCompact(order, gfp, preferredNid, nodemask, priority, allocFlags);
  hooks.inReclaim = wasInReclaim;
  if (a.compactResult === COMPACT_SKIPPED) return -1;
  vmstat.count(COMPACTSTALL, 1);
  const frame = tryFreelists(a);
  vmstat.count(frame >= 0 ? COMPACTSUCCESS : COMPACTFAIL, 1);
  if (frame >= 0) hooks.compactionHelped(a.pm.zoneOf(frame).id, order);
  return frame;
}

/** should_reclaim_retry: would it fit if everything reclaimable were reclaimed? */
function shouldReclaimRetry(a: SlowAlloc): boolean {
  if (a.progress > 0 && !a.isCostly) a.noProgressLoops = 0;
  else a.noProgressLoops++;
  if (a.noProgressLoops > MAX_RECLAIM_RETRIES) return false;
  const { pm, list, nodemask, order } = a;
  for (let i = 0; i < list.length; i++) {
    const zone = pm.zones[list[i]];
    if ((nodemask & (1 << zone.nid)) === 0) continue;
    const available = zoneReclaimablePages(pm, zone) + pm.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
    const mark = zone.watermark[WMARK_MIN] + zone.watermarkBoost;
    if (watermarkOkWith(pm, zone, order, mark, gfpZone(a.gfp), a.allocFlags, available)) {
      return true;
    }
  }
  return false;
}

/** zone_reclaimable_pages; the LRU gauges are inactive anon, active anon, inactive, active file. */
function zoneReclaimablePages(pm: PhysicalMemory, zone: Zone): number {
  const lru = (list: number): number => pm.vmstat.zoneItem(zone.id, NR_ZONE_LRU_BASE + list);
  const file = lru(2) + lru(3);
  return pm.hooks.canReclaimAnon(zone.nid) ? file + lru(0) + lru(1) : file;
}

/** should_compact_retry */
function shouldCompactRetry(a: SlowAlloc): boolean {
  if (a.order === 0) return false;
  if (a.compactResult === COMPACT_SKIPPED) return compactionCouldWork(a);
  const most = a.isCostly ? MAX_COMPACT_RETRIES / 4 : MAX_COMPACT_RETRIES;
  if (a.compactResult === COMPACT_SUCCESS && ++a.compactRetries <= most) return true;
  const strongest = a.isCostly ? COMPACT_PRIO_SYNC_LIGHT : COMPACT_PRIO_SYNC_FULL;
  if (a.compactPriority <= strongest) return false;
  a.compactPriority = (a.compactPriority - 1) as CompactPriority;
  a.compactRetries = 0;
  return true;
}

/** compaction_zonelist_suitable: is some zone worth compacting once it is reclaimed? */
function compactionCouldWork(a: SlowAlloc): boolean {
  const { pm, list, nodemask, order } = a;
  for (let i = 0; i < list.length; i++) {
    const zone = pm.zones[list[i]];
    if ((nodemask & (1 << zone.nid)) === 0) continue;
    const reclaimable = Math.floor(zoneReclaimablePages(pm, zone) / order);
    const free = reclaimable + pm.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
    if (pm.hooks.compactionCouldWork(zone, order, gfpZone(a.gfp), free)) return true;
  }
  return false;
}

/** The conditions of __alloc_pages_may_oom and out_of_memory on the request itself. */
function mayOom(a: SlowAlloc): boolean {
  if (a.isCostly || gfpZone(a.gfp) < ZONE_NORMAL) return false;
  if ((a.gfp & (__GFP_RETRY_MAYFAIL | __GFP_THISNODE)) !== 0) return false;
  return (a.gfp & __GFP_FS) !== 0;
}

/** The end, unless the request must not fail: then half of the min reserve, and again. */
function noFail(a: SlowAlloc): FrameId {
  if ((a.gfp & __GFP_NOFAIL) === 0) return GIVE_UP;
  const frame = tryFreelistsAt(a, WMARK_MIN | ALLOC_MIN_RESERVE);
  if (frame >= 0) return frame;
  return ++a.nofailRounds <= MAX_RECLAIM_RETRIES ? RETRY : GIVE_UP;
}
