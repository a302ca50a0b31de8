/**
 * Pageblock isolation (mm/page_isolation.c, and __move_freepages_block_isolate of page_alloc.c).
 * PM-60..PM-64, OV-7, OV-56.
 *
 * Isolating a pageblock asks whether it may hold something unmovable, sets its isolate bit and
 * moves its free blocks to the ISOLATE lists, from which nothing is allocated; pages freed later
 * join them there. nr_free_pages loses what is isolated and regains it at the undo.
 *
 * The test looks at the frame table only: pins are not seen (PM-61). Of hugetlb folios the layer
 * above must say whether their size can be migrated.
 *
 * Deviates: a non-LRU compound page that crosses the end of the range fails here as unmovable or
 *   not at all; Linux tests the two boundary blocks by hand. Not modelled: unaccepted memory.
 */
import { type FrameId, MAX_PAGE_ORDER, PAGEBLOCK_NR, PAGEBLOCK_ORDER } from '../base/units.ts';
import { EBUSY } from '../uapi/errno.ts';
import { MIGRATE_CMA, MIGRATE_ISOLATE, ZONE_MOVABLE } from '../uapi/zone.ts';
import {
  PG_BUDDY,
  PG_HEAD,
  PG_HUGETLB,
  PG_HWPOISON,
  PG_LRU,
  PG_MOVABLE_OPS,
  PG_TAIL,
  PGTY_OFFLINE,
} from './frameTable.ts';
import { moveFreePages, pageblockInZone } from './mobility.ts';
import { DEVICE_ZONE } from './pageblock.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import type { Zone } from './zone.ts';

export const ISOLATE_MODE_MEM_OFFLINE = 0;
export const ISOLATE_MODE_CMA_ALLOC = 1;
export const ISOLATE_MODE_OTHER = 2;
export type IsolateMode = 0 | 1 | 2;

/** Whether the huge page size of this hugetlb folio can be migrated: only the layer above knows. */
export type HugetlbMigratable = (head: FrameId) => boolean;

/**
 * start_isolate_page_range: isolates all pageblocks that touch [start, end), of one zone.
 * Returns 0, or -EBUSY (an unmovable page, an isolated block, a block that is only partly in the
 * zone) with nothing isolated. Only frames inside the range are tested. PM-62.
 */
export function startIsolatePageRange(
  pm: PhysicalMemory,
  start: FrameId,
  end: FrameId,
  mode: IsolateMode,
  hugetlbMigratable: HugetlbMigratable,
): number {
  const first = start >>> PAGEBLOCK_ORDER;
  const last = (end - 1) >>> PAGEBLOCK_ORDER;
  for (let block = first; block <= last; block++) {
    const from = Math.max(start, block * PAGEBLOCK_NR);
    const to = Math.min(end, (block + 1) * PAGEBLOCK_NR);
    if (!setMigratetypeIsolate(pm, block, from, to, mode, hugetlbMigratable)) {
      for (let done = first; done < block; done++) unsetMigratetypeIsolate(pm, done);
      return -EBUSY;
    }
  }
  return 0;
}

/** undo_isolate_page_range. Blocks that are not isolated are left alone. */
export function undoIsolatePageRange(pm: PhysicalMemory, start: FrameId, end: FrameId): void {
  const last = (end - 1) >>> PAGEBLOCK_ORDER;
  for (let block = start >>> PAGEBLOCK_ORDER; block <= last; block++) {
    if (pm.blocks.isolatedBlock[block] !== 0) unsetMigratetypeIsolate(pm, block);
  }
}

/**
 * test_pages_isolated (PM-64): 0 if every frame of [start, end) is free in an isolated block or,
 * when offlining, poisoned or offline without references; else -EBUSY.
 */
export function testPagesIsolated(
  pm: PhysicalMemory,
  start: FrameId,
  end: FrameId,
  mode: IsolateMode,
): number {
  const { frames } = pm;
  for (let frame = start; frame < end; ) {
    if (!pm.blocks.isIsolated(frame)) return -EBUSY;
    const head = pm.buddy.blockOf(frame);
    if (head >= 0) {
      frame = head + (1 << pm.buddy.orderOfBlock(head));
      continue;
    }
    if (mode !== ISOLATE_MODE_MEM_OFFLINE) return -EBUSY;
    const isOffline = frames.mapcount[frame] === PGTY_OFFLINE && frames.refcount[frame] === 0;
    if ((frames.flags[frame] & PG_HWPOISON) === 0 && !isOffline) return -EBUSY;
    frame++;
  }
  return 0;
}

/** set_migratetype_isolate of one pageblock: whether it worked. */
function setMigratetypeIsolate(
  pm: PhysicalMemory,
  block: number,
  from: FrameId,
  to: FrameId,
  mode: IsolateMode,
  hugetlbMigratable: HugetlbMigratable,
): boolean {
  const { blocks, buddy } = pm;
  if (blocks.zoneOfBlock[block] >= DEVICE_ZONE || blocks.isolatedBlock[block] !== 0) return false;
  const start = block * PAGEBLOCK_NR;
  const zone = pm.zoneOf(start);
  if (findUnmovable(pm, zone, from, to, mode, hugetlbMigratable) >= 0) return false;
  if (!pageblockInZone(pm, zone, start)) return false;
  const type = blocks.migratetypeOfBlock[block];
  const whole = buddy.blockOf(start);
  if (whole >= 0 && buddy.orderOfBlock(whole) > PAGEBLOCK_ORDER) {
    const order = buddy.takeBlock(zone, whole);
    blocks.isolatedBlock[block] = 1;
    buddy.freeBlock(zone, whole, order, false);
  } else {
    blocks.isolatedBlock[block] = 1;
    moveFreePages(buddy, zone, start, type, MIGRATE_ISOLATE);
  }
  zone.nrIsolatePageblock++;
  return true;
}

/**
 * unset_migratetype_isolate: gives the free blocks back under the type below the isolation. A free
 * pageblock whose buddy pageblock is free too is taken out and freed again, so that they merge.
 */
function unsetMigratetypeIsolate(pm: PhysicalMemory, block: number): void {
  const { blocks, buddy } = pm;
  const start = block * PAGEBLOCK_NR;
  const zone = pm.zoneOf(start);
  const head = buddy.blockOf(start);
  const order = head < 0 ? -1 : buddy.orderOfBlock(head);
  if (
    order > PAGEBLOCK_ORDER ||
    (order === PAGEBLOCK_ORDER && buddyIsUsableFree(pm, zone, start))
  ) {
    buddy.takeBlock(zone, head);
    blocks.isolatedBlock[block] = 0;
    // Merged pairs go to the tail: what nobody touched should not be handed out first.
    buddy.freeBlock(zone, head, order, order === PAGEBLOCK_ORDER);
  } else {
    blocks.isolatedBlock[block] = 0;
    moveFreePages(buddy, zone, start, MIGRATE_ISOLATE, blocks.migratetypeOfBlock[block]);
  }
  zone.nrIsolatePageblock--;
}

/** The other pageblock of the order-10 pair is one free block, in this zone, not isolated. */
function buddyIsUsableFree(pm: PhysicalMemory, zone: Zone, start: FrameId): boolean {
  const other = start ^ PAGEBLOCK_NR;
  const block = other >>> PAGEBLOCK_ORDER;
  if (pm.blocks.zoneOfBlock[block] !== zone.id || pm.blocks.isolatedBlock[block] !== 0)
    return false;
  return pm.frames.flags[other] === PG_BUDDY && pm.frames.orderOf(other) === PAGEBLOCK_ORDER;
}

/**
 * has_unmovable_pages: the first frame of [from, to), a part of one pageblock, that cannot be
 * migrated away, or -1. PM-60.
 */
export function findUnmovable(
  pm: PhysicalMemory,
  zone: Zone,
  from: FrameId,
  to: FrameId,
  mode: IsolateMode,
  hugetlbMigratable: HugetlbMigratable,
): FrameId {
  if (pm.blocks.migratetypeBelowIsolation(from) === MIGRATE_CMA) {
    return mode === ISOLATE_MODE_CMA_ALLOC ? -1 : from;
  }
  const { frames } = pm;
  for (let frame = from; frame < to; ) {
    // A hole has a reserved page descriptor.
    if (!pm.isPresent(frame) || pm.isReserved(frame)) return frame;
    let step = 1;
    if (zone.type !== ZONE_MOVABLE) {
      if ((frames.flags[frame] & (PG_HEAD | PG_TAIL)) !== 0) {
        const head = frames.headOf(frame);
        const flags = frames.flags[head];
        const isHugetlb = (flags & PG_HUGETLB) !== 0;
        const isMovable = isHugetlb ? hugetlbMigratable(head) : (flags & PG_LRU) !== 0;
        if (!isMovable) return frame;
        step = head + (1 << frames.orderOf(head)) - frame;
      } else if (frames.refcount[frame] === 0) {
        step = freeStep(pm, frame);
      } else if (!isMovablePage(pm, frame, mode)) return frame;
    }
    frame += step;
  }
  return -1;
}

/** How far a frame without references reaches: to the end of its free block. */
function freeStep(pm: PhysicalMemory, frame: FrameId): number {
  if (pm.isPristine(frame)) return (1 << MAX_PAGE_ORDER) - (frame & ((1 << MAX_PAGE_ORDER) - 1));
  return pm.frames.flags[frame] === PG_BUDDY ? 1 << pm.frames.orderOf(frame) : 1;
}

function isMovablePage(pm: PhysicalMemory, frame: FrameId, mode: IsolateMode): boolean {
  const flags = pm.frames.flags[frame];
  if (mode === ISOLATE_MODE_MEM_OFFLINE) {
    if ((flags & PG_HWPOISON) !== 0 || pm.frames.mapcount[frame] === PGTY_OFFLINE) return true;
  }
  return (flags & (PG_LRU | PG_MOVABLE_OPS)) !== 0;
}
