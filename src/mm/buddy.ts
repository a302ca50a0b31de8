/**
 * The buddy allocator (mm/page_alloc.c: __rmqueue_smallest, expand, __free_one_page,
 * split_large_buddy, __isolate_free_page): free blocks of order 0 to 10 per zone and migratetype.
 *
 * A free block is marked in its first row only: flags = PG_BUDDY exactly, orderIndexHigh = order,
 * lruNext/lruPrev = list links (OV-8d). The other rows hold no flag, reference or mapping (OV-53).
 * Frame ids keep the low 15 bits of the PFN, so a buddy is found by XOR on ids.
 *
 * Order of the lists, as in Linux: boot puts blocks at the tail, ascending; allocation takes the
 * head; the unused halves of a split go to the head; a freed block goes to the head, or to the tail
 * if the buddy one order up is free (it may merge again soon) or the caller says so.
 *
 * Never-allocated memory is kept as ranges (zone.ts) and turned into a list element one order-10
 * block at a time, when the list is empty or a place in it is asked for. MOVABLE ranges give their
 * lowest block first, CMA ranges their highest: the order in which boot fills these lists.
 * Deviates: blocks put at the tail of an order-10 list stand before its pristine blocks, not after.
 *
 * nr_free_pages and nr_free_cma follow each block: isolated blocks count in neither (PM-63).
 * Not modelled: page reporting, page shuffling, guard pages, unaccepted memory, capture control.
 */
import { assert } from '../base/assert.ts';
import {
  type FrameId,
  MAX_PAGE_ORDER,
  type Order,
  PAGEBLOCK_NR,
  PAGEBLOCK_ORDER,
} from '../base/units.ts';
import { NR_FREE_CMA_PAGES, NR_FREE_PAGES, NR_VM_ZONE_STAT_ITEMS } from '../uapi/vmstat.ts';
import {
  MIGRATE_CMA,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_TYPES,
} from '../uapi/zone.ts';
import { type FrameTable, PG_BUDDY } from './frameTable.ts';
import type { Pageblocks } from './pageblock.ts';
import type { VmStat } from './vmstat.ts';
import {
  FREE_COUNT,
  FREE_HEAD,
  FREE_LIST_COLUMNS,
  FREE_TAIL,
  type PristineRange,
  type Zone,
} from './zone.ts';

const MAX_ORDER_NR = 1 << MAX_PAGE_ORDER;

/** Blocks of these types may merge with each other across pageblocks: those with fallbacks. */
export function isMergeable(migratetype: number): boolean {
  return migratetype <= MIGRATE_RECLAIMABLE;
}

/** Where Zone.freeLists counts the order-10 blocks of a type. */
function maxOrderCount(migratetype: number): number {
  return (MAX_PAGE_ORDER * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS + FREE_COUNT;
}

export class Buddy {
  readonly frames: FrameTable;
  readonly blocks: Pageblocks;
  private readonly zoneStat: Float64Array;
  private readonly flags: Uint32Array;
  private readonly order: Uint8Array;
  private readonly next: Int32Array;
  private readonly prev: Int32Array;
  private readonly zoneOfBlock: Uint8Array;

  constructor(frames: FrameTable, blocks: Pageblocks, vmstat: VmStat) {
    this.frames = frames;
    this.blocks = blocks;
    this.zoneStat = vmstat.zone;
    this.flags = frames.flags;
    this.order = frames.orderIndexHigh;
    this.next = frames.lruNext;
    this.prev = frames.lruPrev;
    this.zoneOfBlock = blocks.zoneOfBlock;
  }

  // ---- lists ----

  /** account_freepages: `nr` free pages more (or fewer) of that type. */
  account(zone: Zone, nr: number, migratetype: number): void {
    if (migratetype === MIGRATE_ISOLATE) return;
    const row = zone.id * NR_VM_ZONE_STAT_ITEMS;
    this.zoneStat[row + NR_FREE_PAGES] += nr;
    if (migratetype === MIGRATE_CMA) this.zoneStat[row + NR_FREE_CMA_PAGES] += nr;
  }

  /** nr_free_cma of a zone. */
  freeCmaPages(zone: Zone): number {
    return this.zoneStat[zone.id * NR_VM_ZONE_STAT_ITEMS + NR_FREE_CMA_PAGES];
  }

  /** Puts a block on its list. Counts the block, not its pages. */
  add(zone: Zone, frame: FrameId, order: Order, migratetype: number, toTail: boolean): void {
    const lists = zone.freeLists;
    const at = (order * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS;
    this.flags[frame] = PG_BUDDY;
    this.order[frame] = order;
    if (toTail) {
      const tail = lists[at + FREE_TAIL];
      this.prev[frame] = tail;
      this.next[frame] = -1;
      if (tail < 0) lists[at + FREE_HEAD] = frame;
      else this.next[tail] = frame;
      lists[at + FREE_TAIL] = frame;
    } else {
      const head = lists[at + FREE_HEAD];
      this.next[frame] = head;
      this.prev[frame] = -1;
      if (head < 0) lists[at + FREE_TAIL] = frame;
      else this.prev[head] = frame;
      lists[at + FREE_HEAD] = frame;
    }
    if (lists[at + FREE_COUNT]++ === 0) zone.orderMask[migratetype] |= 1 << order;
  }

  /** Takes a block off its list. */
  remove(zone: Zone, frame: FrameId, order: Order, migratetype: number): void {
    const lists = zone.freeLists;
    const at = (order * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS;
    const next = this.next[frame];
    const prev = this.prev[frame];
    if (prev < 0) lists[at + FREE_HEAD] = next;
    else this.next[prev] = next;
    if (next < 0) lists[at + FREE_TAIL] = prev;
    else this.prev[next] = prev;
    this.flags[frame] = 0;
    if (--lists[at + FREE_COUNT] === 0) zone.orderMask[migratetype] &= ~(1 << order);
  }

  /** First block of a list, -1 if the list is empty. May turn a pristine block into a real one. */
  first(zone: Zone, order: Order, migratetype: number): FrameId {
    const at = (order * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS;
    const head = zone.freeLists[at + FREE_HEAD];
    if (head >= 0 || zone.freeLists[at + FREE_COUNT] === 0) return head;
    return this.carve(zone, migratetype);
  }

  // ---- allocation ----

  /** __rmqueue_smallest: a block of exactly `order` from the lists of one type, or -1. */
  rmqueueSmallest(zone: Zone, order: Order, migratetype: number): FrameId {
    const mask = zone.orderMask[migratetype] >>> order;
    if (mask === 0) return -1;
    const found = order + 31 - Math.clz32(mask & -mask);
    const lists = zone.freeLists;
    const at = (found * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS;
    let frame = lists[at + FREE_HEAD];
    if (frame < 0) frame = this.carve(zone, migratetype);
    const next = this.next[frame];
    lists[at + FREE_HEAD] = next;
    if (next < 0) lists[at + FREE_TAIL] = -1;
    else this.prev[next] = -1;
    this.flags[frame] = 0;
    if (--lists[at + FREE_COUNT] === 0) zone.orderMask[migratetype] &= ~(1 << found);
    if (found > order) this.expandIntoEmpty(zone, frame, order, found, migratetype);
    this.account(zone, -(1 << order), migratetype);
    return frame;
  }

  /** Keeps the first 2^low frames of a block of order `high`; the rest goes to the list heads. */
  expand(zone: Zone, frame: FrameId, low: Order, high: Order, migratetype: number): void {
    for (let order = high - 1; order >= low; order--) {
      this.add(zone, frame + (1 << order), order, migratetype, false);
    }
  }

  /** expand, when all lists of the type from `low` to below `high` are known to be empty. */
  private expandIntoEmpty(
    zone: Zone,
    frame: FrameId,
    low: Order,
    high: Order,
    migratetype: number,
  ): void {
    const lists = zone.freeLists;
    const flags = this.flags;
    const orders = this.order;
    const next = this.next;
    const prev = this.prev;
    for (let order = high - 1; order >= low; order--) {
      const half = frame + (1 << order);
      const at = (order * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS;
      flags[half] = PG_BUDDY;
      orders[half] = order;
      next[half] = -1;
      prev[half] = -1;
      lists[at + FREE_HEAD] = half;
      lists[at + FREE_TAIL] = half;
      lists[at + FREE_COUNT] = 1;
    }
    zone.orderMask[migratetype] |= (1 << high) - (1 << low);
  }

  // ---- freeing ----

  /**
   * Frees a block whose rows are already clean. Blocks above pageblock order are freed by
   * pageblock, since their halves may have different types.
   */
  freeBlock(zone: Zone, frame: FrameId, order: Order, toTail: boolean): void {
    if (order <= PAGEBLOCK_ORDER) {
      this.freeOne(zone, frame, order, this.blocks.migratetypeOf(frame), toTail);
      return;
    }
    for (let f = frame; f < frame + (1 << order); f += PAGEBLOCK_NR) {
      this.freeOne(zone, f, PAGEBLOCK_ORDER, this.blocks.migratetypeOf(f), toTail);
    }
  }

  /** __free_one_page: merges with free buddies as far as possible. */
  freeOne(zone: Zone, start: FrameId, from: Order, migratetype: number, toTail: boolean): void {
    this.account(zone, 1 << from, migratetype);
    const flags = this.flags;
    const orders = this.order;
    const lists = zone.freeLists;
    let emptied = 0;
    let frame = start;
    let order = from;
    while (order < PAGEBLOCK_ORDER) {
      const buddy = frame ^ (1 << order);
      if (flags[buddy] !== PG_BUDDY || orders[buddy] !== order) break;
      // remove(), with the mask written once at the end.
      const at = (order * MIGRATE_TYPES + migratetype) * FREE_LIST_COLUMNS;
      const next = this.next[buddy];
      const prev = this.prev[buddy];
      if (prev < 0) lists[at + FREE_HEAD] = next;
      else this.next[prev] = next;
      if (next < 0) lists[at + FREE_TAIL] = prev;
      else this.prev[next] = prev;
      flags[buddy] = 0;
      if (--lists[at + FREE_COUNT] === 0) emptied |= 1 << order;
      frame &= buddy;
      order++;
    }
    if (emptied !== 0) zone.orderMask[migratetype] &= ~emptied;
    if (order >= PAGEBLOCK_ORDER) {
      const isPair = this.mergePageblocks(zone, frame, migratetype);
      if (isPair) this.add(zone, frame & ~PAGEBLOCK_NR, MAX_PAGE_ORDER, migratetype, toTail);
      else this.add(zone, frame, PAGEBLOCK_ORDER, migratetype, toTail);
      return;
    }
    // buddy_merge_likely: the buddy is in use, but the buddy of the pair is free.
    const higher = (frame & ~(1 << order)) ^ (2 << order);
    const mergeIsLikely =
      flags[higher] === PG_BUDDY &&
      orders[higher] === order + 1 &&
      this.zoneOfBlock[higher >>> PAGEBLOCK_ORDER] === zone.id;
    this.add(zone, frame, order, migratetype, toTail || mergeIsLikely);
  }

  /** Takes the buddy of a free pageblock off its list, if the two may and can become one block. */
  private mergePageblocks(zone: Zone, frame: FrameId, migratetype: number): boolean {
    const buddy = frame ^ PAGEBLOCK_NR;
    if (this.flags[buddy] !== PG_BUDDY || this.order[buddy] !== PAGEBLOCK_ORDER) return false;
    if (this.zoneOfBlock[buddy >>> PAGEBLOCK_ORDER] !== zone.id) return false;
    const type = this.blocks.migratetypeOf(buddy);
    if (type !== migratetype) {
      if (!isMergeable(type) || !isMergeable(migratetype)) return false;
      this.blocks.migratetypeOfBlock[buddy >>> PAGEBLOCK_ORDER] = migratetype;
    }
    this.remove(zone, buddy, PAGEBLOCK_ORDER, type);
    return true;
  }

  // ---- looking at places ----

  /** First frame of the free block that holds `frame`, or -1. Pristine blocks stay pristine. */
  blockOf(frame: FrameId): FrameId {
    if (this.blocks.pristineBlock[frame >>> PAGEBLOCK_ORDER] !== 0) {
      return frame & ~(MAX_ORDER_NR - 1);
    }
    for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
      const head = frame & ~((1 << order) - 1);
      if (this.flags[head] === PG_BUDDY) {
        return this.order[head] >= order ? head : -1;
      }
    }
    return -1;
  }

  /** Order of the free block that starts at `head` (from blockOf). */
  orderOfBlock(head: FrameId): Order {
    return this.blocks.pristineBlock[head >>> PAGEBLOCK_ORDER] !== 0
      ? MAX_PAGE_ORDER
      : this.order[head];
  }

  /** Takes exactly the free block that starts at `head` out of the allocator; returns its order. */
  takeBlock(zone: Zone, head: FrameId): Order {
    this.materialise(zone, head);
    assert(this.flags[head] === PG_BUDDY, 'takeBlock: no free block starts here');
    const order = this.order[head];
    const migratetype = this.blocks.migratetypeOf(head);
    this.remove(zone, head, order, migratetype);
    this.account(zone, -(1 << order), migratetype);
    return order;
  }

  // ---- pristine memory ----

  /** Boot: adds never-allocated memory [start, end), ascending, as __free_pages_memory does. */
  addBootMemory(zone: Zone, start: FrameId, end: FrameId, migratetype: number): void {
    this.account(zone, end - start, migratetype);
    let frame = start;
    while (frame < end) {
      const range = Math.floor((end - frame) / MAX_ORDER_NR) * MAX_ORDER_NR;
      if ((frame & (MAX_ORDER_NR - 1)) === 0 && range > 0) {
        this.addPristine(zone, frame, frame + range, migratetype);
        frame += range;
        continue;
      }
      let order = frame === 0 ? MAX_PAGE_ORDER : 31 - Math.clz32(frame & -frame);
      while (frame + (1 << order) > end) order--;
      this.add(zone, frame, order, migratetype, true);
      frame += 1 << order;
    }
  }

  /** Makes the pristine block around `frame`, if it is in one, an ordinary free block. */
  materialise(zone: Zone, frame: FrameId): void {
    if (this.blocks.pristineBlock[frame >>> PAGEBLOCK_ORDER] === 0) return;
    const block = frame & ~(MAX_ORDER_NR - 1);
    const at = zone.pristine.findIndex((r) => r.start <= block && block < r.end);
    const range = zone.pristine[at];
    const rest: PristineRange[] = [];
    if (range.start < block) rest.push({ ...range, end: block });
    if (block + MAX_ORDER_NR < range.end) rest.push({ ...range, start: block + MAX_ORDER_NR });
    zone.pristine.splice(at, 1, ...rest);
    this.makeReal(zone, block, range.migratetype);
  }

  private addPristine(zone: Zone, start: FrameId, end: FrameId, migratetype: number): void {
    zone.pristine.push({ start, end, migratetype });
    this.blocks.pristineBlock.fill(1, start >>> PAGEBLOCK_ORDER, end >>> PAGEBLOCK_ORDER);
    zone.freeLists[maxOrderCount(migratetype)] += (end - start) / MAX_ORDER_NR;
    zone.orderMask[migratetype] |= 1 << MAX_PAGE_ORDER;
  }

  /** Takes the next block of a type out of the pristine ranges. Precondition: there is one. */
  private carve(zone: Zone, migratetype: number): FrameId {
    const ranges = zone.pristine;
    const fromTop = migratetype !== MIGRATE_MOVABLE;
    let at = fromTop ? ranges.length - 1 : 0;
    while (ranges[at].migratetype !== migratetype) at += fromTop ? -1 : 1;
    const range = ranges[at];
    let block = range.start;
    if (fromTop) {
      range.end -= MAX_ORDER_NR;
      block = range.end;
    } else {
      range.start += MAX_ORDER_NR;
    }
    if (range.start === range.end) ranges.splice(at, 1);
    this.makeReal(zone, block, migratetype);
    return block;
  }

  /** Pristine block -> list element. Counts stay, as pristine blocks are in them already. */
  private makeReal(zone: Zone, block: FrameId, migratetype: number): void {
    const pageblock = block >>> PAGEBLOCK_ORDER;
    this.blocks.pristineBlock[pageblock] = 0;
    this.blocks.pristineBlock[pageblock + 1] = 0;
    zone.freeLists[maxOrderCount(migratetype)]--;
    this.add(zone, block, MAX_PAGE_ORDER, migratetype, true);
  }
}
