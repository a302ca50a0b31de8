/**
 * Recounts the free memory of a machine from first principles (for mm/invariants.ts and tests).
 * OV-53, OV-56, PM-63: each free block is on exactly one list, the one of its order and of its
 * pageblock's type; blocks do not overlap, are aligned, inside their zone, and merged as far as
 * allowed; their rows hold nothing; all counts and masks follow.
 *
 * Pristine memory is checked by range only, so that a check does not touch it.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, MAX_PAGE_ORDER, type Order, PAGEBLOCK_ORDER } from '../base/units.ts';
import { NR_FREE_CMA_PAGES, NR_FREE_PAGES } from '../uapi/vmstat.ts';
import { MIGRATE_CMA, MIGRATE_ISOLATE, MIGRATE_TYPES } from '../uapi/zone.ts';
import { isMergeable } from './buddy.ts';
import { PG_BUDDY } from './frameTable.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import { FREE_COUNT, FREE_HEAD, FREE_LIST_COLUMNS, FREE_TAIL, type Zone } from './zone.ts';

/** Throws InvariantError at the first thing that does not add up. */
export function checkFreeLists(pm: PhysicalMemory): void {
  for (const zone of pm.zones) {
    const pristine = checkPristine(pm, zone);
    let blocks = 0;
    let free = 0;
    let freeCma = 0;
    for (let type = 0; type < MIGRATE_TYPES; type++) {
      let mask = 0;
      for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
        const listed = checkList(pm, zone, order, type);
        blocks += listed;
        const count = listed + (order === MAX_PAGE_ORDER ? pristine[type] : 0);
        assert(zone.nrFreeBlocks(order, type) === count, `${at(zone, order, type)}: block count`);
        if (count > 0) mask |= 1 << order;
        if (type !== MIGRATE_ISOLATE) free += count << order;
        if (type === MIGRATE_CMA) freeCma += count << order;
      }
      assert(zone.orderMask[type] === mask, `${zone.name} type ${type}: mask of orders`);
    }
    assert(pm.vmstat.zoneItem(zone.id, NR_FREE_PAGES) === free, `${zone.name}: nr_free_pages`);
    assert(pm.vmstat.zoneItem(zone.id, NR_FREE_CMA_PAGES) === freeCma, `${zone.name}: nr_free_cma`);
    assert(countMarked(pm, zone) === blocks, `${zone.name}: a free block is on no list`);
    checkIsolatedCount(pm, zone);
  }
}

function at(zone: Zone, order: Order, type: number): string {
  return `node ${zone.nid} zone ${zone.name} order ${order} type ${type}`;
}

/** Walks one list; returns its length. */
function checkList(pm: PhysicalMemory, zone: Zone, order: Order, type: number): number {
  const { frames } = pm;
  const list = (order * MIGRATE_TYPES + type) * FREE_LIST_COLUMNS;
  const name = at(zone, order, type);
  let length = 0;
  let previous = -1;
  for (let f = zone.freeLists[list + FREE_HEAD]; f >= 0; f = frames.lruNext[f]) {
    assert(frames.lruPrev[f] === previous, 'free lists: links', f);
    const isHead = frames.flags[f] === PG_BUDDY && frames.orderIndexHigh[f] === order;
    assert(isHead, 'free lists: no head of a block of the order', f);
    assert((f & ((1 << order) - 1)) === 0, 'free lists: a block is not aligned', f);
    checkRows(pm, zone, f, order, type);
    checkMerged(pm, zone, f, order, type);
    previous = f;
    length++;
    assert(length <= zone.managedPages, 'free lists: a circle', f);
  }
  assert(zone.freeLists[list + FREE_TAIL] === previous, `${name}: tail`);
  assert(zone.freeLists[list + FREE_COUNT] >= length, `${name}: fewer counted than listed`);
  return length;
}

function checkRows(pm: PhysicalMemory, zone: Zone, f: FrameId, order: Order, type: number): void {
  const { frames, blocks } = pm;
  for (let row = f; row < f + (1 << order); row++) {
    const isClean = frames.refcount[row] === 0 && frames.mapcount[row] === 0;
    assert(isClean && frames.mapping[row] === 0, 'a free frame is in use', row);
    assert(row === f || frames.flags[row] === 0, 'a frame in a free block has flags', row);
    assert(blocks.migratetypeOf(row) === type, 'a free frame is on a list of another type', row);
    assert(
      blocks.zoneOfBlock[row >>> PAGEBLOCK_ORDER] === zone.id,
      'a free frame of another zone',
      row,
    );
    assert(zone.isPresent(row) && !pm.isReserved(row), 'a free frame is not managed', row);
    assert(!pm.isPristine(row), 'a pristine frame is on a list', row);
  }
}

/** No free buddy of the same order that the block may merge with. */
function checkMerged(pm: PhysicalMemory, zone: Zone, f: FrameId, order: Order, type: number): void {
  if (order === MAX_PAGE_ORDER) return;
  const buddy = f ^ (1 << order);
  if (pm.frames.flags[buddy] !== PG_BUDDY || pm.frames.orderOf(buddy) !== order) return;
  if (pm.zoneOf(buddy) !== zone) return;
  const other = pm.blocks.migratetypeOf(buddy);
  const mayMerge = other === type || (isMergeable(other) && isMergeable(type));
  // Giving a pageblock another type can leave a pair apart until one of them is freed again.
  const isApart = other !== type || order === PAGEBLOCK_ORDER;
  assert(!mayMerge || isApart, 'free lists: a block and its buddy are not merged', f);
}

/** Pristine order-10 blocks by type. */
function checkPristine(pm: PhysicalMemory, zone: Zone): Int32Array {
  const counts = new Int32Array(MIGRATE_TYPES);
  let end = -1;
  for (const range of zone.pristine) {
    assert(range.start > end && range.end > range.start, `${zone.name}: pristine ranges`);
    assert(((range.start | range.end) & ((1 << MAX_PAGE_ORDER) - 1)) === 0, 'pristine: alignment');
    for (let f = range.start; f < range.end; f += 1 << PAGEBLOCK_ORDER) {
      assert(pm.isPristine(f) && !pm.blocks.isIsolated(f), 'pristine mark', f);
      assert(pm.blocks.migratetypeOf(f) === range.migratetype, 'pristine type', f);
    }
    counts[range.migratetype] += (range.end - range.start) >>> MAX_PAGE_ORDER;
    end = range.end - 1;
  }
  return counts;
}

/** Rows of the zone that say they head a free block. */
function countMarked(pm: PhysicalMemory, zone: Zone): number {
  let marked = 0;
  for (const range of zone.presentRanges) {
    for (let f = range.start; f < range.end; f++) {
      if (pm.isPristine(f)) f |= (1 << MAX_PAGE_ORDER) - 1;
      else if ((pm.frames.flags[f] & PG_BUDDY) !== 0) {
        marked++;
        f += (1 << pm.frames.orderOf(f)) - 1;
      }
    }
  }
  return marked;
}

function checkIsolatedCount(pm: PhysicalMemory, zone: Zone): void {
  let isolated = 0;
  for (let block = 0; block < pm.blocks.nrBlocks; block++) {
    if (pm.blocks.zoneOfBlock[block] === zone.id) isolated += pm.blocks.isolatedBlock[block];
  }
  assert(zone.nrIsolatePageblock === isolated, `${zone.name}: nr_isolate_pageblock`);
}
