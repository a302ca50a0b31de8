/**
 * A zone of a node (include/linux/mmzone.h struct zone): its span, its watermarks, its free lists.
 *
 * Free lists are links in the frame table's lruNext/lruPrev columns, one list per order and
 * migratetype, with heads, tails and counts here. Memory that was never allocated is not on the
 * lists: it is kept as `pristine` ranges of order-10 blocks that stand at the tail of the order-10
 * list of their migratetype, so that booting writes no frame rows (docs/decisions/0002).
 * buddy.ts owns the lists, watermark.ts the watermarks.
 *
 * The present frames of the span are ranges between holes; the first of them are reserved by boot.
 * OV-3. Not modelled: HIGHATOMIC reserve, per-cpu lists (OV-48), ZONE_DEVICE (no free lists).
 */
import { type FrameId, MAX_PAGE_ORDER, type Nid, type Order, type Pfn } from '../base/units.ts';
import { MAX_NR_ZONES, MIGRATE_TYPES, ZONE_NAMES, type ZoneType } from '../uapi/zone.ts';

/** Free lists of a zone: list = order * MIGRATE_TYPES + migratetype. */
export const NR_FREE_LISTS = (MAX_PAGE_ORDER + 1) * MIGRATE_TYPES;
/** Columns of Zone.freeLists; one array, so that the allocator loads one base. */
export const FREE_HEAD = 0;
export const FREE_TAIL = 1;
export const FREE_COUNT = 2;
export const FREE_LIST_COLUMNS = 4;

export const WMARK_MIN = 0;
export const WMARK_LOW = 1;
export const WMARK_HIGH = 2;
export const WMARK_PROMO = 3;
export const NR_WMARK = 4;
export type Wmark = 0 | 1 | 2 | 3;

/** Never-allocated order-10 blocks [start, end) of one migratetype. */
export interface PristineRange {
  start: FrameId;
  end: FrameId;
  readonly migratetype: number;
}

/** Frames [start, end). */
export interface FrameRange {
  readonly start: FrameId;
  readonly end: FrameId;
}

/** What a zone is made of; all in pages and frames. */
export interface ZoneSpan {
  readonly startPfn: Pfn;
  /** Exclusive. */
  readonly endPfn: Pfn;
  /** Ascending. */
  readonly presentRanges: readonly FrameRange[];
  /** The first so many present frames are reserved by boot, never in the buddy allocator. */
  readonly reservedPages: number;
  readonly cmaPages: number;
}

export class Zone {
  /** Dense id: index in PhysicalMemory.zones and row in VmStat.zone. */
  readonly id: number;
  readonly nid: Nid;
  readonly type: ZoneType;
  readonly name: string;
  /** Both 0 while the zone is empty. Written by hotplugZone.ts. */
  startPfn: Pfn;
  endPfn: Pfn;
  /** Backed by online memory, ascending. Between them lie holes, and maybe other zones' frames. */
  presentRanges: readonly FrameRange[];
  /** Present frames from here to managedStart were reserved by boot. */
  readonly reservedStart: FrameId;
  /** First frame behind those: boot gave it and what follows to the buddy allocator. */
  readonly managedStart: FrameId;
  presentPages: number;
  /** present_early_pages: of these, memory that was there at boot. */
  presentEarlyPages: number;
  /** Present and not reserved by boot; a balloon's pages count as absent (MC-74). */
  managedPages: number;
  readonly cmaPages: number;

  /** min, low, high, promo without the boost. Read marks through wmarkPages. */
  readonly watermark: Int32Array = new Int32Array(NR_WMARK);
  /** Pages added to all marks after a mobility fallback; kswapd takes it back (PM-37). */
  watermarkBoost = 0;
  /** TPP: below it an allocation wakes kswapd, which demotes up to it (tpp.ts); 0 = none. */
  demoteMark = 0;
  /** ZONE_BOOSTED_WATERMARK: the next successful allocation wakes kswapd. */
  boostWakesKswapd = false;
  /** Pages kept from requests that could use a higher zone, by that zone's type (PM-35). */
  readonly lowmemReserve: Int32Array = new Int32Array(MAX_NR_ZONES);
  nrIsolatePageblock = 0;

  /**
   * Per free list, at list * FREE_LIST_COLUMNS: FREE_HEAD and FREE_TAIL, the first and last block
   * or -1, pristine blocks not among them; FREE_COUNT, the number of blocks, pristine ones
   * included: what buddyinfo and pagetypeinfo show. Written by buddy.ts.
   */
  readonly freeLists: Int32Array = emptyFreeLists();
  /** Per migratetype, bit o set = the list of order o is not empty. */
  readonly orderMask: Int32Array = new Int32Array(MIGRATE_TYPES);
  /** Ascending by address. */
  readonly pristine: PristineRange[] = [];

  constructor(id: number, nid: Nid, type: ZoneType, span: ZoneSpan) {
    this.id = id;
    this.nid = nid;
    this.type = type;
    this.name = ZONE_NAMES[type];
    this.startPfn = span.startPfn;
    this.endPfn = span.endPfn;
    this.presentRanges = span.presentRanges;
    this.reservedStart = frameAfter(span.presentRanges, 0);
    this.managedStart = frameAfter(span.presentRanges, span.reservedPages);
    this.presentPages = nrFrames(span.presentRanges);
    this.presentEarlyPages = this.presentPages;
    this.managedPages = this.presentPages - span.reservedPages;
    this.cmaPages = span.cmaPages;
  }

  get spannedPages(): number {
    return this.endPfn - this.startPfn;
  }

  /** populated_zone. */
  get isPopulated(): boolean {
    return this.presentPages > 0;
  }

  /** zone_intersects: the span and [start, start + pages). */
  intersects(start: Pfn, pages: number): boolean {
    return start < this.endPfn && start + pages > this.startPfn;
  }

  /** The frames of a present range that boot did not reserve. */
  managedFrom(range: FrameRange): FrameId {
    return range.start < this.reservedStart
      ? range.start
      : Math.max(range.start, this.managedStart);
  }

  /** Free blocks of one order and migratetype, as pagetypeinfo shows them. */
  nrFreeBlocks(order: Order, migratetype: number): number {
    const list = order * MIGRATE_TYPES + migratetype;
    return this.freeLists[list * FREE_LIST_COLUMNS + FREE_COUNT];
  }

  isPresent(frame: FrameId): boolean {
    for (let i = 0; i < this.presentRanges.length; i++) {
      const range = this.presentRanges[i];
      if (frame >= range.start && frame < range.end) return true;
    }
    return false;
  }
}

function emptyFreeLists(): Int32Array {
  const lists = new Int32Array(NR_FREE_LISTS * FREE_LIST_COLUMNS);
  for (let list = 0; list < NR_FREE_LISTS; list++) {
    lists[list * FREE_LIST_COLUMNS + FREE_HEAD] = -1;
    lists[list * FREE_LIST_COLUMNS + FREE_TAIL] = -1;
  }
  return lists;
}

export function nrFrames(ranges: readonly FrameRange[]): number {
  return ranges.reduce((sum, range) => sum + range.end - range.start, 0);
}

/** The frame that has `pages` frames of the ranges before it; the last end if that is all. */
function frameAfter(ranges: readonly FrameRange[], pages: number): FrameId {
  let left = pages;
  for (const { start, end } of ranges) {
    if (left < end - start) return start + left;
    left -= end - start;
  }
  return ranges.length === 0 ? 0 : ranges[ranges.length - 1].end;
}
