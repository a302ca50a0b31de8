/**
 * The two scanners of compaction (mm/compaction.c: isolate_migratepages,
 * isolate_migratepages_block, isolate_freepages, isolate_freepages_block, compaction_alloc;
 * mm/page_alloc.c: __isolate_free_page). PM-85, PM-87, PM-88, MC-80.
 *
 * The one goes up from the bottom of the zone and isolates up to 32 movable pages of a pageblock;
 * the other goes down from the top and takes free blocks as their destinations, out of pageblocks
 * that are MOVABLE or CMA and not one free block already.
 * Deviates: an unused destination goes back to the buddy allocator at once, not to the scanner.
 * Not modelled: the fast searches through the free lists, which find the same places sooner.
 */
import {
  type FrameId,
  MAX_PAGE_ORDER,
  type Order,
  PAGEBLOCK_NR,
  PAGEBLOCK_ORDER,
} from '../base/units.ts';
import { __GFP_COMP, __GFP_FS } from '../uapi/gfp.ts';
import { MIGRATE_ASYNC, MIGRATE_SYNC, type MigrateMode } from '../uapi/migrate.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { MIGRATE_CMA, MIGRATE_ISOLATE, MIGRATE_MOVABLE } from '../uapi/zone.ts';
import { prepNewPage } from './allocFastpath.ts';
import { isMergeable } from './buddy.ts';
import { zoneFrames } from './compactionState.ts';
import { initFolio } from './folioLifecycle.ts';
import {
  PG_BUDDY,
  PG_DIRTY,
  PG_HEAD,
  PG_HUGETLB,
  PG_LRU,
  PG_MOVABLE_OPS,
  PG_SWAPCACHE,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from './frameTable.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { moveFreePages, pageblockInZone } from './mobility.ts';
import { freePages } from './pageAlloc.ts';
import { ALLOC_CMA, zoneWatermarkOk } from './watermark.ts';
import { WMARK_MIN, type Zone } from './zone.ts';

const COMPACTISOLATED = vmEvent('compact_isolated');
/** Pages that one round isolates. */
const COMPACT_CLUSTER_MAX = 32;

/** order of a run that is for no allocation (is_via_compact_memory). */
export const WHOLE_ZONE = -1;

/** What a run of compaction is to do (struct compact_control). */
export interface CompactionOrder {
  readonly zone: Zone;
  /** Order wanted, or WHOLE_ZONE. */
  readonly order: Order;
  readonly mode: MigrateMode;
  readonly gfp: number;
  /** Mobility of the allocation. */
  readonly migratetype: number;
  readonly allocFlags: number;
  readonly highest: number;
  readonly isDirect: boolean;
  readonly isProactive: boolean;
  /** From end to end of the zone, wherever earlier runs were. */
  readonly wholeZone: boolean;
  readonly ignoresSkip: boolean;
  /** Free pages may come from pageblocks of any type. */
  readonly anyTarget: boolean;
}

export class CompactScanners {
  readonly #k: Kernel;
  readonly #c: CompactionOrder;
  /** Next frame of each scanner; the free scanner goes up inside a pageblock. */
  migrateAt: FrameId;
  freeAt: FrameId;
  migrateScanned = 0;
  freeScanned = 0;
  /** Pages on the list that still lack a destination. */
  pending = 0;
  readonly list: FrameId[] = [];
  /** Isolated free blocks by order. */
  readonly #free: FrameId[][] = Array.from({ length: MAX_PAGE_ORDER + 1 }, () => []);
  #freePages = 0;

  constructor(k: Kernel, c: CompactionOrder) {
    this.#k = k;
    this.#c = c;
    const { start, end } = zoneFrames(c.zone);
    const { id } = c.zone;
    const s = k.compaction;
    const cached = c.mode === MIGRATE_ASYNC ? s.cachedMigrateAsync[id] : s.cachedMigrateSync[id];
    const lastBlock = Math.floor((end - 1) / PAGEBLOCK_NR) * PAGEBLOCK_NR;
    this.migrateAt = c.wholeZone || cached < start || cached >= end ? start : cached;
    const free = s.cachedFree[id];
    this.freeAt = c.wholeZone || free < start || free >= end ? lastBlock : free;
  }

  /** zone_start, migrate_pfn, free_pfn, zone_end and sync of mm_compaction_begin and _end. */
  positions(): readonly [number, number, number, number, number] {
    const { zone, mode } = this.#c;
    const f = this.#k.frames;
    const { start, end } = zoneFrames(zone);
    const migratePfn = this.migrateAt < end ? f.pfnOf(this.migrateAt) : zone.endPfn;
    const freePfn = f.pfnOf(Math.max(this.freeAt, start));
    return [zone.startPfn, migratePfn, freePfn, zone.endPfn, mode === MIGRATE_ASYNC ? 0 : 1];
  }

  /** Base pages on the list. */
  listedPages(): number {
    return this.list.reduce((pages, head) => pages + this.#k.folios.nrPages(head), 0);
  }

  /** compact_scanners_met. */
  get haveMet(): boolean {
    return this.freeAt >>> PAGEBLOCK_ORDER <= this.migrateAt >>> PAGEBLOCK_ORDER;
  }

  /** isolate_migratepages: pages of the next pageblock that has any; false: none below freeAt. */
  isolateMigratepages(): boolean {
    const { blocks } = this.#k.pm;
    while (this.migrateAt < this.freeAt) {
      const block = this.migrateAt >>> PAGEBLOCK_ORDER;
      const end = (block + 1) * PAGEBLOCK_NR;
      const isMine = blocks.zoneOfBlock[block] === this.#c.zone.id;
      if (!isMine || !this.#isWorthALook(block) || !this.#isSource(block)) {
        this.migrateAt = end;
        continue;
      }
      const startsBlock = this.migrateAt % PAGEBLOCK_NR === 0;
      const isolated = this.#isolateBlock(end);
      if (this.migrateAt >= end && isolated === 0 && startsBlock) this.#markSkip(block);
      if (this.migrateAt >= end) this.#cacheMigrate(end);
      return this.list.length > 0;
    }
    return false;
  }

  #isWorthALook(block: number): boolean {
    return this.#c.ignoresSkip || this.#k.compaction.skip[block] === 0;
  }

  #markSkip(block: number): void {
    if (!this.#c.ignoresSkip) this.#k.compaction.skip[block] = 1;
  }

  #cacheMigrate(at: FrameId): void {
    if (this.#c.ignoresSkip) return;
    const s = this.#k.compaction;
    const { id } = this.#c.zone;
    s.cachedMigrateAsync[id] = Math.max(s.cachedMigrateAsync[id], at);
    if (this.#c.mode !== MIGRATE_ASYNC) s.cachedMigrateSync[id] = at;
  }

  /** suitable_migration_source. */
  #isSource(block: number): boolean {
    const { blocks, frames } = { blocks: this.#k.pm.blocks, frames: this.#k.frames };
    const start = block * PAGEBLOCK_NR;
    const head = frames.headOf(start);
    const isHuge = (frames.flags[head] & PG_HEAD) !== 0 && frames.orderOf(head) >= PAGEBLOCK_ORDER;
    if (isHuge) return false;
    if (this.#c.mode !== MIGRATE_ASYNC || !this.#c.isDirect) return true;
    const type = blocks.migratetypeOf(start);
    if (this.#c.migratetype !== MIGRATE_MOVABLE) return type === this.#c.migratetype;
    return type === MIGRATE_MOVABLE || type === MIGRATE_CMA;
  }

  /** isolate_migratepages_block up to `end`; returns pages isolated. */
  #isolateBlock(end: FrameId): number {
    const k = this.#k;
    // Optimistic: one page that stays spoils the block of the order that is wanted.
    const optimistic = this.#c.isDirect && this.#c.mode === MIGRATE_ASYNC;
    const wanted = optimistic ? 1 << this.#c.order : 0;
    let wantedEnd = optimistic ? this.migrateAt - (this.migrateAt % wanted) + wanted : end;
    let isolated = 0;
    const first = this.migrateAt;
    const scanned = this.migrateScanned;
    while (this.migrateAt < end && isolated < COMPACT_CLUSTER_MAX) {
      const frame = this.migrateAt;
      if (optimistic && frame >= wantedEnd) {
        if (isolated > 0) break;
        wantedEnd = frame - (frame % wanted) + wanted;
      }
      const step = this.#stepOver(frame);
      if (step > 0) {
        this.#advance(step);
        continue;
      }
      const head = k.frames.headOf(frame);
      const nr = head === frame ? k.folios.nrPages(head) : 1;
      if (this.#isolateOne(frame, head)) isolated += nr;
      else if (optimistic) {
        if (isolated > 0) putbackMovablePages(k, this.list);
        isolated = 0;
        this.#advance(Math.max(wantedEnd - frame - nr, 0));
      }
      this.#advance(nr);
    }
    this.pending += isolated;
    k.vmstat.count(COMPACTISOLATED, isolated);
    const { isolateMigratepages } = k.trace.compaction;
    if (isolateMigratepages.isEnabled) {
      const passed = this.migrateAt - first;
      const pfn = k.frames.pfnOf(first);
      isolateMigratepages.emit(pfn, pfn + passed, this.migrateScanned - scanned, isolated);
    }
    return isolated;
  }

  #advance(frames: number): void {
    this.migrateAt += frames;
    this.migrateScanned += frames;
  }

  /** Frames to pass without a look: free blocks, memory that nobody has; 0 = look. */
  #stepOver(frame: FrameId): number {
    const f = this.#k.frames;
    if (this.#k.pm.isPristine(frame)) return PAGEBLOCK_NR - (frame % PAGEBLOCK_NR);
    if ((f.flags[frame] & PG_BUDDY) !== 0) return 1 << f.orderOf(frame);
    return (f.flags[frame] & PG_TAIL) === 0 && f.refcount[frame] === 0 ? 1 : 0;
  }

  /** Isolates a folio if MC-80 lets it; false if it stays. */
  #isolateOne(frame: FrameId, head: FrameId): boolean {
    const k = this.#k;
    const flags = k.frames.flags[head];
    if ((flags & PG_MOVABLE_OPS) !== 0) return isolateFolio(k, head, this.list);
    if (head !== frame || (flags & PG_HUGETLB) !== 0 || k.frames.mapcount[head] < 0) return false;
    if ((flags & PG_HEAD) !== 0 && this.#isTooLarge(k.frames.orderOf(head))) return false;
    if ((flags & PG_LRU) === 0) return false;
    const hasNoMapping = k.folios.isAnon(head) && (flags & PG_SWAPCACHE) === 0;
    // Probably pinned: migration would find the same references.
    if (hasNoMapping && k.frames.refcount[head] > k.folios.mapcount(head)) return false;
    if ((this.#c.gfp & __GFP_FS) === 0 && !hasNoMapping) return false;
    if ((flags & PG_UNEVICTABLE) !== 0 && !k.compaction.unevictableAllowed) return false;
    if (this.#c.mode !== MIGRATE_SYNC) {
      if ((flags & PG_WRITEBACK) !== 0) return false;
      if ((flags & PG_DIRTY) !== 0 && !this.#hasMigrateOperation(head)) return false;
    }
    return isolateFolio(k, head, this.list);
  }

  #hasMigrateOperation(head: FrameId): boolean {
    if (!this.#k.folios.hasFileMapping(head)) return true;
    return this.#k.files[this.#k.folios.mappingId(head)]!.traits.migrateFolio !== 'none';
  }

  /** skip_isolation_on_order. */
  #isTooLarge(order: Order): boolean {
    if (this.#c.order !== WHOLE_ZONE && order >= this.#c.order) return true;
    return order >= PAGEBLOCK_ORDER;
  }

  /** compaction_alloc: a destination for a folio, -1 if there is none. */
  readonly allocate = (src: FrameId): FrameId => {
    const k = this.#k;
    const order = k.folios.isLarge(src) ? k.frames.orderOf(src) : 0;
    let found = this.#smallestFree(order);
    if (found < 0) {
      this.#isolateFreepages();
      found = this.#smallestFree(order);
      if (found < 0) return -1;
    }
    const frame = this.#free[found].shift()!;
    for (let at = found - 1; at >= order; at--) this.#free[at].unshift(frame + (1 << at));
    this.#freePages -= 1 << order;
    this.pending -= 1 << order;
    prepNewPage(k.frames, frame, order, order > 0 ? __GFP_COMP : 0);
    initFolio(k, frame, order);
    return frame;
  };

  #smallestFree(order: Order): number {
    for (let at = order; at <= MAX_PAGE_ORDER; at++) if (this.#free[at].length > 0) return at;
    return -1;
  }

  /** isolate_freepages: until there are as many as pages to migrate, or the scanners meet. */
  #isolateFreepages(): void {
    const lowest = (this.migrateAt >>> PAGEBLOCK_ORDER) + 1;
    const { blocks } = this.#k.pm;
    while (this.freeAt >>> PAGEBLOCK_ORDER >= lowest && this.#freePages < this.pending) {
      const block = this.freeAt >>> PAGEBLOCK_ORDER;
      const isMine = blocks.zoneOfBlock[block] === this.#c.zone.id;
      if (isMine && this.#isTarget(block) && this.#isWorthALook(block)) {
        const from = this.freeAt;
        const before = this.#freePages;
        if (!this.#takeFreeOf(block)) break;
        const isWhole = from % PAGEBLOCK_NR === 0;
        if (isWhole && this.#freePages === before) this.#markSkip(block);
        if (this.freeAt >>> PAGEBLOCK_ORDER === block) break;
      }
      this.freeAt = (block - 1) * PAGEBLOCK_NR;
    }
    const { id } = this.#c.zone;
    if (!this.#c.ignoresSkip) this.#k.compaction.cachedFree[id] = this.freeAt;
  }

  /** suitable_migration_target. */
  #isTarget(block: number): boolean {
    const start = block * PAGEBLOCK_NR;
    const wanted = this.#c.order > 0 ? this.#c.order : PAGEBLOCK_ORDER;
    const { pm, frames } = this.#k;
    if (pm.isPristine(start)) return false;
    if ((frames.flags[start] & PG_BUDDY) !== 0 && frames.orderOf(start) >= wanted) return false;
    const type = pm.blocks.migratetypeOf(start);
    if (type === MIGRATE_ISOLATE) return false;
    return this.#c.anyTarget || type === MIGRATE_MOVABLE || type === MIGRATE_CMA;
  }

  /**
   * isolate_freepages_block, from freeAt on: false if the watermark forbids to take more. freeAt is
   * left inside the pageblock if that was enough, else behind its end.
   */
  #takeFreeOf(block: number): boolean {
    const { pm, frames, vmstat } = this.#k;
    const end = (block + 1) * PAGEBLOCK_NR;
    let taken = 0;
    let mayTakeMore = true;
    const first = this.freeAt;
    while (this.freeAt < end && this.#freePages < this.pending) {
      const frame = this.freeAt;
      const isFree = (frames.flags[frame] & PG_BUDDY) !== 0;
      const order = isFree ? frames.orderOf(frame) : 0;
      if (isFree) {
        mayTakeMore = this.#mayTake(order);
        if (!mayTakeMore) break;
        pm.buddy.takeBlock(this.#c.zone, frame);
        claimForMovable(this.#k, this.#c.zone, frame, order);
        this.#free[order].push(frame);
        this.#freePages += 1 << order;
        taken += 1 << order;
      }
      this.freeAt += 1 << order;
      this.freeScanned += 1 << order;
    }
    vmstat.count(COMPACTISOLATED, taken);
    const { isolateFreepages } = this.#k.trace.compaction;
    if (isolateFreepages.isEnabled) {
      const passed = this.freeAt - first;
      const pfn = frames.pfnOf(first);
      isolateFreepages.emit(pfn, pfn + passed, passed, taken);
    }
    return mayTakeMore;
  }

  /** __isolate_free_page: the min mark must hold without the block. */
  #mayTake(order: Order): boolean {
    const { zone } = this.#c;
    const mark = zone.watermark[WMARK_MIN] + (1 << order);
    return zoneWatermarkOk(this.#k.pm, zone, 0, mark, 0, ALLOC_CMA);
  }

  /** release_free_list, and what is left on the list goes back. */
  release(): void {
    let highest = -1;
    for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
      for (const frame of this.#free[order].splice(0)) {
        highest = Math.max(highest, frame);
        prepNewPage(this.#k.frames, frame, order, 0);
        freePages(this.#k.pm, frame, order);
      }
    }
    this.#freePages = 0;
    if (highest < 0 || this.#c.ignoresSkip) return;
    // The next run begins where the free pages are.
    const s = this.#k.compaction;
    const at = Math.floor(highest / PAGEBLOCK_NR) * PAGEBLOCK_NR;
    if (at > s.cachedFree[this.#c.zone.id]) s.cachedFree[this.#c.zone.id] = at;
  }
}

/** A pageblock of which half or more is taken for movable pages becomes MOVABLE. */
function claimForMovable(k: Kernel, zone: Zone, frame: FrameId, order: Order): void {
  if (order < PAGEBLOCK_ORDER - 1) return;
  const { blocks, buddy } = k.pm;
  for (let at = frame; at < frame + (1 << order); at += PAGEBLOCK_NR) {
    const start = Math.floor(at / PAGEBLOCK_NR) * PAGEBLOCK_NR;
    const type = blocks.migratetypeOf(start);
    if (type === MIGRATE_MOVABLE || !isMergeable(type)) continue;
    if (!pageblockInZone(k.pm, zone, start)) continue;
    moveFreePages(buddy, zone, start, type, MIGRATE_MOVABLE);
    blocks.migratetypeOfBlock[start >>> PAGEBLOCK_ORDER] = MIGRATE_MOVABLE;
  }
}
