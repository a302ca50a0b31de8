/**
 * The page allocator's two doors (mm/page_alloc.c: __alloc_frozen_pages, __free_frozen_pages).
 * PM-30..PM-39, PP-61.
 *
 * The fast path tries each zone of the preferred node's list at its low watermark and takes the
 * first that passes (allocFastpath.ts); everything else is allocSlowpath.ts. A pair of allocation
 * and release writes typed-array columns only: no objects, no closures.
 *
 * Frames come back clean: allocation sets the rows of a new block completely, release leaves no
 * flag, reference, mapping or page type behind. Each changes the generation of every frame.
 *
 * Not modelled: per-cpu lists (OV-48: pcp = 0), memcg charging, init_on_alloc, the HIGHATOMIC
 * reserve. `content` is the caller's.
 */
import { InvariantError } from '../base/assert.ts';
import {
  type FrameId,
  MAX_PAGE_ORDER,
  type Nid,
  type Order,
  PAGEBLOCK_ORDER,
} from '../base/units.ts';
import { __GFP_KSWAPD_RECLAIM, __GFP_MOVABLE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import {
  allocFlagsCma,
  bumpGenerations,
  getPageFromFreelist,
  preferredZoneId,
  takeFromFirstZone,
  zonelistOf,
} from './allocFastpath.ts';
import { allocSlowpath } from './allocSlowpath.ts';
import { type FrameTable, MAPPING_NONE, PG_BUDDY, PG_HWPOISON } from './frameTable.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import { ALLOC_KSWAPD, ALLOC_NOFRAGMENT } from './watermark.ts';
import { WMARK_LOW } from './zone.ts';

export { gfpMigratetype, gfpZone } from './allocFastpath.ts';

const PGFREE = vmEvent('pgfree');
/** From this order on rows are written by TypedArray.fill. */
const FILL_ORDER_MIN = 5;

/**
 * A block of 2^order frames, naturally aligned, with refcount 1; or -1, when PM-38 gives up.
 * `nodemask`: bit mask, -1 = all nodes with memory; the caller has folded its cpuset in.
 * The head row: no flags but PG_HEAD (with __GFP_COMP and order > 0), mapcount 0, no mapping, its
 * order, lastCpupid none. Tail rows: no references or mappings; PG_TAIL and the head if
 * __GFP_COMP. indexLow, private_, lruNext and lruPrev hold what they held: whoever gives them
 * a meaning sets them.
 * Preconditions: order <= MAX_PAGE_ORDER.
 */
export function allocPages(
  pm: PhysicalMemory,
  order: Order,
  gfp: number,
  preferredNid: Nid,
  nodemask: number,
): FrameId {
  if (order > MAX_PAGE_ORDER) throw new InvariantError('allocPages: order above MAX_PAGE_ORDER');
  const flags = pm.hooks.memallocPin ? gfp & ~__GFP_MOVABLE : gfp;
  const list = zonelistOf(pm, flags, preferredNid);
  if (list.length === 0) return -1;
  const first = pm.zones[list[0]];
  if ((nodemask & (1 << first.nid)) !== 0) {
    const frame = takeFromFirstZone(pm, first, order, flags);
    if (frame >= 0) return frame;
  }
  const preferred = preferredZoneId(pm, list, nodemask);
  if (preferred < 0) return -1;
  let allocFlags = WMARK_LOW | allocFlagsCma(pm, flags);
  if ((flags & __GFP_KSWAPD_RECLAIM) !== 0) allocFlags |= ALLOC_KSWAPD;
  if (pm.nofragmentZone[preferred] !== 0) allocFlags |= ALLOC_NOFRAGMENT;
  const frame = getPageFromFreelist(pm, order, flags, list, nodemask, preferred, allocFlags);
  return frame >= 0 ? frame : allocSlowpath(pm, order, flags, preferredNid, nodemask);
}

/**
 * Frees a block to the buddy allocator: as it was allocated, or any naturally aligned part of it
 * once it is split. The caller has dropped the last reference; what the head still holds of flags,
 * count and page type is cleared. A poisoned page of order 0 is not freed: it stays out for good.
 * PP-61b.
 * Preconditions: 0 or 1 references, no mappings, head aligned to its order, not free.
 */
export function freePages(pm: PhysicalMemory, head: FrameId, order: Order): void {
  const { frames, buddy, blocks } = pm;
  const flags = frames.flags[head];
  if (frames.mapcount[head] > 0 || frames.refcount[head] > 1 || (flags & PG_BUDDY) !== 0) {
    throw new InvariantError('freePages: the block is mapped, referenced or free');
  }
  frames.bumpGeneration(head);
  frames.refcount[head] = 0;
  frames.mapcount[head] = 0;
  frames.mapping[head] = MAPPING_NONE;
  if (order > 0) clearTails(frames, head, order);
  else if ((flags & PG_HWPOISON) !== 0) return;
  frames.flags[head] = 0;
  pm.vmstat.event[PGFREE] += 1 << order;
  const zone = pm.zones[blocks.zoneOfBlock[head >>> PAGEBLOCK_ORDER]];
  if (order <= PAGEBLOCK_ORDER) {
    buddy.freeOne(zone, head, order, blocks.migratetypeOf(head), false);
  } else buddy.freeBlock(zone, head, order, false);
}

function clearTails(frames: FrameTable, head: FrameId, order: Order): void {
  if ((head & ((1 << order) - 1)) !== 0) throw new InvariantError('freePages: head not aligned');
  const end = head + (1 << order);
  if (order >= FILL_ORDER_MIN) {
    frames.flags.fill(0, head + 1, end);
    frames.refcount.fill(0, head + 1, end);
    frames.mapcount.fill(0, head + 1, end);
    frames.mapping.fill(MAPPING_NONE, head + 1, end);
  } else {
    for (let frame = head + 1; frame < end; frame++) {
      frames.flags[frame] = 0;
      frames.refcount[frame] = 0;
      frames.mapcount[frame] = 0;
      frames.mapping[frame] = MAPPING_NONE;
    }
  }
  bumpGenerations(frames, head + 1, end);
}
