/**
 * Grouping pages by mobility (mm/page_alloc.c: __rmqueue, __rmqueue_claim, __rmqueue_steal,
 * find_suitable_fallback, try_to_claim_block, move_freepages_block). PM-39.
 *
 * An allocation whose own lists are empty first tries to *claim* a pageblock of another type:
 * the largest free block there is, whole if it is a pageblock or more, otherwise its pageblock if
 * at least half of it is free or of compatible mobility. If nothing can be claimed it *steals* the
 * smallest fitting block and leaves the pageblock its type. For MOVABLE requests blocks below
 * order 4 are not worth a claim: compaction can take movable pages out again.
 *
 * Each claim of part of a pageblock boosts the watermarks, so that kswapd frees more before the
 * next one becomes necessary. Not modelled: HIGHATOMIC, group-by-mobility disabled, defrag_mode.
 */
import { type FrameId, MAX_PAGE_ORDER, type Order, PAGEBLOCK_ORDER } from '../base/units.ts';
import { NR_FREE_CMA_PAGES, NR_FREE_PAGES } from '../uapi/vmstat.ts';
import {
  MIGRATE_CMA,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
} from '../uapi/zone.ts';
import type { Buddy } from './buddy.ts';
import { PG_BUDDY, PG_LRU, PG_MOVABLE_OPS } from './frameTable.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import { ALLOC_CMA, ALLOC_KSWAPD, ALLOC_NOFRAGMENT } from './watermark.ts';
import { WMARK_HIGH, type Zone } from './zone.ts';

const PAGEBLOCK_PAGES = 1 << PAGEBLOCK_ORDER;

/** fallbacks[]: two per type, at type * 2. */
const FALLBACKS = [
  MIGRATE_RECLAIMABLE, // of UNMOVABLE
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE, // of MOVABLE
  MIGRATE_UNMOVABLE,
  MIGRATE_UNMOVABLE, // of RECLAIMABLE
  MIGRATE_MOVABLE,
] as const;

/** __rmqueue: a block of `order` for a request of that mobility, from this zone, or -1. */
export function rmqueue(
  pm: PhysicalMemory,
  zone: Zone,
  order: Order,
  migratetype: number,
  allocFlags: number,
): FrameId {
  const buddy = pm.buddy;
  const useCma = (allocFlags & ALLOC_CMA) !== 0 && zone.cmaPages > 0;
  if (useCma && cmaIsMostOfFree(pm, zone)) {
    const frame = buddy.rmqueueSmallest(zone, order, MIGRATE_CMA);
    if (frame >= 0) return frame;
  }
  let frame = buddy.rmqueueSmallest(zone, order, migratetype);
  if (frame >= 0) return frame;
  if (useCma) {
    frame = buddy.rmqueueSmallest(zone, order, MIGRATE_CMA);
    if (frame >= 0) return frame;
  }
  frame = claim(pm, zone, order, migratetype, allocFlags);
  if (frame >= 0 || (allocFlags & ALLOC_NOFRAGMENT) !== 0) return frame;
  return steal(buddy, zone, order, migratetype);
}

/** Movable requests keep the CMA area and the rest of the zone evenly filled. */
function cmaIsMostOfFree(pm: PhysicalMemory, zone: Zone): boolean {
  const free = pm.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
  return pm.vmstat.zoneItem(zone.id, NR_FREE_CMA_PAGES) > Math.floor(free / 2);
}

/** Type to fall back to that has a free block of this very order, or -1. */
function fallbackWithBlock(zone: Zone, order: Order, migratetype: number): number {
  for (let i = 0; i < 2; i++) {
    const type = FALLBACKS[migratetype * 2 + i];
    if (zone.nrFreeBlocks(order, type) !== 0) return type;
  }
  return -1;
}

/**
 * Whether compaction for a request has reached its goal: a free block of the order that the request
 * may use, as it is or with its pageblock (the last test of __compact_finished).
 */
export function hasFreeBlockFor(zone: Zone, order: Order, migratetype: number): boolean {
  if (zone.orderMask[migratetype] >>> order !== 0) return true;
  if (migratetype === MIGRATE_MOVABLE && zone.orderMask[MIGRATE_CMA] >>> order !== 0) return true;
  for (let at = order; at <= MAX_PAGE_ORDER; at++) {
    if (mayClaim(at, migratetype) && fallbackWithBlock(zone, at, migratetype) >= 0) return true;
  }
  return false;
}

/** should_try_claim_block */
function mayClaim(order: Order, migratetype: number): boolean {
  return order >= PAGEBLOCK_ORDER >> 1 || migratetype !== MIGRATE_MOVABLE;
}

function claim(
  pm: PhysicalMemory,
  zone: Zone,
  order: Order,
  migratetype: number,
  allocFlags: number,
): FrameId {
  const wholeBlocksOnly = order < PAGEBLOCK_ORDER && (allocFlags & ALLOC_NOFRAGMENT) !== 0;
  const minOrder = wholeBlocksOnly ? PAGEBLOCK_ORDER : order;
  for (let current = MAX_PAGE_ORDER; current >= minOrder; current--) {
    if (!mayClaim(current, migratetype)) break;
    const type = fallbackWithBlock(zone, current, migratetype);
    if (type < 0) continue;
    const block = pm.buddy.first(zone, current, type);
    const frame =
      current >= PAGEBLOCK_ORDER
        ? claimWhole(pm.buddy, zone, block, current, order, migratetype, type)
        : claimPageblock(pm, zone, block, order, migratetype, type, allocFlags);
    if (frame >= 0) return frame;
  }
  return -1;
}

/** Takes a free block of at least a pageblock and gives it the request's type. */
function claimWhole(
  buddy: Buddy,
  zone: Zone,
  block: FrameId,
  current: Order,
  order: Order,
  migratetype: number,
  type: number,
): FrameId {
  buddy.remove(zone, block, current, type);
  const first = block >>> PAGEBLOCK_ORDER;
  buddy.blocks.migratetypeOfBlock.fill(migratetype, first, first + (1 << (current - 9)));
  buddy.expand(zone, block, order, current, migratetype);
  buddy.account(zone, -(1 << order), migratetype);
  return block;
}

/** Gives the pageblock around a free block the request's type if half of it suits. */
function claimPageblock(
  pm: PhysicalMemory,
  zone: Zone,
  block: FrameId,
  order: Order,
  migratetype: number,
  type: number,
  allocFlags: number,
): FrameId {
  if (boostWatermark(pm, zone) && (allocFlags & ALLOC_KSWAPD) !== 0) zone.boostWakesKswapd = true;
  const start = block & ~(PAGEBLOCK_PAGES - 1);
  if (!pageblockInZone(pm, zone, start)) return -1;
  const free = countFree(pm.buddy, start);
  let alike = 0;
  if (migratetype === MIGRATE_MOVABLE) alike = countMovable(pm.buddy, start);
  else if (type === MIGRATE_MOVABLE) {
    alike = PAGEBLOCK_PAGES - free - countMovable(pm.buddy, start);
  }
  if (free + alike < PAGEBLOCK_PAGES / 2) return -1;
  moveFreePages(pm.buddy, zone, start, type, migratetype);
  pm.blocks.migratetypeOfBlock[start >>> PAGEBLOCK_ORDER] = migratetype;
  return pm.buddy.rmqueueSmallest(zone, order, migratetype);
}

function steal(buddy: Buddy, zone: Zone, order: Order, migratetype: number): FrameId {
  for (let current = order; current <= MAX_PAGE_ORDER; current++) {
    const type = fallbackWithBlock(zone, current, migratetype);
    if (type < 0) continue;
    const frame = buddy.first(zone, current, type);
    buddy.remove(zone, frame, current, type);
    buddy.expand(zone, frame, order, current, type);
    buddy.account(zone, -(1 << order), type);
    return frame;
  }
  return -1;
}

/** boost_watermark: whether the boost was raised. Small zones are left alone. */
function boostWatermark(pm: PhysicalMemory, zone: Zone): boolean {
  if (pm.watermarkBoostFactor === 0 || PAGEBLOCK_PAGES * 4 > zone.managedPages) return false;
  const most = Math.floor((zone.watermark[WMARK_HIGH] * pm.watermarkBoostFactor) / 10000);
  if (most === 0) return false;
  zone.watermarkBoost = Math.min(
    zone.watermarkBoost + PAGEBLOCK_PAGES,
    Math.max(PAGEBLOCK_PAGES, most),
  );
  return true;
}

/** prep_move_freepages_block's test: the zone spans the whole pageblock. `start` aligned. */
export function pageblockInZone(pm: PhysicalMemory, zone: Zone, start: FrameId): boolean {
  const pfn = pm.frames.pfnOf(start);
  return pfn >= zone.startPfn && pfn + PAGEBLOCK_PAGES <= zone.endPfn;
}

/** Moves the free blocks of a pageblock (none larger) to other lists; returns the pages moved. */
export function moveFreePages(
  buddy: Buddy,
  zone: Zone,
  start: FrameId,
  from: number,
  to: number,
): number {
  let moved = 0;
  let frame = start;
  while (frame < start + PAGEBLOCK_PAGES) {
    if (buddy.frames.flags[frame] !== PG_BUDDY) {
      frame++;
      continue;
    }
    const order = buddy.frames.orderOf(frame);
    buddy.remove(zone, frame, order, from);
    buddy.add(zone, frame, order, to, true);
    moved += 1 << order;
    frame += 1 << order;
  }
  buddy.account(zone, -moved, from);
  buddy.account(zone, moved, to);
  return moved;
}

function countFree(buddy: Buddy, start: FrameId): number {
  const { frames } = buddy;
  let free = 0;
  let frame = start;
  while (frame < start + PAGEBLOCK_PAGES) {
    const step = frames.flags[frame] === PG_BUDDY ? 1 << frames.orderOf(frame) : 1;
    if (frames.flags[frame] === PG_BUDDY) free += step;
    frame += step;
  }
  return free;
}

/** Pages of the pageblock on an LRU list or with movable_ops. */
function countMovable(buddy: Buddy, start: FrameId): number {
  const { frames } = buddy;
  let movable = 0;
  for (let frame = start; frame < start + PAGEBLOCK_PAGES; frame++) {
    if ((frames.flags[frames.headOf(frame)] & (PG_LRU | PG_MOVABLE_OPS)) !== 0) movable++;
  }
  return movable;
}
