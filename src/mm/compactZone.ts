/**
 * Compaction of a zone: pages from its bottom are migrated to its top, so that free memory comes
 * together (mm/compaction.c: compact_zone, __compact_finished, compaction_suitable,
 * try_to_compact_pages, compact_node). PM-85..PM-88a, MC-80.
 *
 * Order of a run: suitable? then, until a block of the order is free or the scanners meet: isolate,
 * migrate, put back what stayed. A failure makes the next attempts be left out, twice as many each
 * time (compactionState.ts).
 * Not modelled: contention and need_resched (nobody else runs), capture of a block as it is freed.
 */
import { type Nid, type Order, PAGEBLOCK_NR } from '../base/units.ts';
import { ENOMEM } from '../uapi/errno.ts';
import { __GFP_IO, GFP_KERNEL } from '../uapi/gfp.ts';
import { MIGRATE_ASYNC, MIGRATE_SYNC, MIGRATE_SYNC_LIGHT, MR_COMPACTION } from '../uapi/migrate.ts';
import { NR_FREE_PAGES, vmEvent } from '../uapi/vmstat.ts';
import { MAX_NR_ZONES, MIGRATE_MOVABLE, type ZoneType } from '../uapi/zone.ts';
import { gfpMigratetype, gfpZone, zonelistOf } from './allocFastpath.ts';
import { traceDefer, traceSuitable } from './compactionTrace.ts';
import { type CompactionOrder, CompactScanners, WHOLE_ZONE } from './compactScan.ts';
import { fragmentationIndex, fragmentationScoreZone } from './fragmentation.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { migratePages } from './migrate.ts';
import { hasFreeBlockFor } from './mobility.ts';
import {
  COMPACT_COMPLETE,
  COMPACT_CONTENDED,
  COMPACT_CONTINUE,
  COMPACT_DEFERRED,
  COMPACT_PARTIAL_SKIPPED,
  COMPACT_PRIO_ASYNC,
  COMPACT_PRIO_SYNC_FULL,
  COMPACT_SKIPPED,
  COMPACT_SUCCESS,
  type CompactPriority,
  type CompactResult,
} from './physicalMemory.ts';
import {
  ALLOC_CMA,
  ALLOC_WMARK_MASK,
  watermarkOkWith,
  wmarkPages,
  zoneWatermarkOk,
} from './watermark.ts';
import { WMARK_LOW, WMARK_MIN, type Wmark, type Zone } from './zone.ts';

const COMPACTMIGRATE_SCANNED = vmEvent('compact_migrate_scanned');
const COMPACTFREE_SCANNED = vmEvent('compact_free_scanned');
const PAGE_ALLOC_COSTLY_ORDER = 3;
const HIGHEST_ZONE = (MAX_NR_ZONES - 1) as ZoneType;

/** Frames that the scanners of a run passed. */
export interface CompactionWork {
  result: CompactResult;
  migrateScanned: number;
  freeScanned: number;
}

/** compact_zone. */
export function compactZone(k: Kernel, c: CompactionOrder): CompactionWork {
  const work: CompactionWork = { result: COMPACT_CONTINUE, migrateScanned: 0, freeScanned: 0 };
  if ((k.pm.capable.compaction & (1 << c.zone.nid)) === 0) {
    work.result = COMPACT_SKIPPED;
    return work;
  }
  if (c.order !== WHOLE_ZONE) {
    work.result = compactionSuitAllocationOrder(k, c);
    if (work.result !== COMPACT_CONTINUE) return work;
    if (k.compaction.isRestarting(c.zone, c.order)) k.compaction.resetSkip(k.pm, c.zone);
  }
  const scanners = new CompactScanners(k, c);
  const { trace } = k;
  if (trace.compaction.begin.isEnabled) trace.compaction.begin.emit(...scanners.positions());
  for (;;) {
    work.result = compactFinished(k, c, scanners);
    traceSuitable(trace.compaction.finished, c.zone, c.order, work.result);
    if (work.result !== COMPACT_CONTINUE) break;
    if (!scanners.isolateMigratepages()) continue;
    const destination = { nid: c.zone.nid, mask: -1, gfp: c.gfp, allocate: scanners.allocate };
    const { migratepages } = trace.compaction;
    const pages = migratepages.isEnabled ? scanners.listedPages() : 0;
    const left = migratePages(k, scanners.list, destination, c.mode, MR_COMPACTION);
    if (migratepages.isEnabled) {
      const failed = scanners.listedPages();
      migratepages.emit(pages - failed, failed);
    }
    scanners.pending = 0;
    if (left === 0) continue;
    putbackMovablePages(k, scanners.list);
    // Without a destination the run ends here, unless the scanners have met.
    if (left === -ENOMEM && !scanners.haveMet) {
      work.result = COMPACT_CONTENDED;
      break;
    }
  }
  scanners.release();
  const { end } = trace.compaction;
  if (end.isEnabled) end.emit(...scanners.positions(), work.result);
  work.migrateScanned = scanners.migrateScanned;
  work.freeScanned = scanners.freeScanned;
  k.vmstat.count(COMPACTMIGRATE_SCANNED, work.migrateScanned);
  k.vmstat.count(COMPACTFREE_SCANNED, work.freeScanned);
  return work;
}

/** __compact_finished. */
function compactFinished(k: Kernel, c: CompactionOrder, scanners: CompactScanners): CompactResult {
  const s = k.compaction;
  if (scanners.haveMet) {
    s.resetPositions(c.zone);
    if (c.isDirect) s.flushSkip[c.zone.id] = 1;
    return c.wholeZone ? COMPACT_COMPLETE : COMPACT_PARTIAL_SKIPPED;
  }
  if (c.isProactive) {
    const low = proactiveMark(k, true);
    return fragmentationScoreZone(c.zone) > low ? COMPACT_CONTINUE : COMPACT_SUCCESS;
  }
  if (c.order === WHOLE_ZONE || scanners.migrateAt % PAGEBLOCK_NR !== 0) return COMPACT_CONTINUE;
  return hasFreeBlockFor(c.zone, c.order, c.migratetype) ? COMPACT_SUCCESS : COMPACT_CONTINUE;
}

/** fragmentation_score_wmark: PM-87. */
export function proactiveMark(k: Kernel, low: boolean): number {
  const mark = Math.max(100 - k.compaction.proactiveness, 5);
  return low ? mark : Math.min(mark + 10, 100);
}

/** compaction_suit_allocation_order: COMPACT_CONTINUE if the zone is worth a run. PM-86. */
function compactionSuitAllocationOrder(k: Kernel, c: CompactionOrder): CompactResult {
  const { zone, order, allocFlags } = c;
  const highest = c.highest as ZoneType;
  const mark = wmarkPages(zone, (allocFlags & ALLOC_WMARK_MASK) as Wmark);
  if (zoneWatermarkOk(k.pm, zone, order, mark, highest, allocFlags)) return COMPACT_SUCCESS;
  const free = k.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
  const { suitable } = k.trace.compaction;
  if (!hasRoomToCompact(k, zone, order, mark, highest, free)) {
    return traceSuitable(suitable, zone, order, COMPACT_SKIPPED);
  }
  if (order > PAGE_ALLOC_COSTLY_ORDER) {
    const index = fragmentationIndex(zone, order);
    if (index >= 0 && index <= k.compaction.extfragThreshold) {
      return traceSuitable(suitable, zone, order, COMPACT_SKIPPED);
    }
  }
  return traceSuitable(suitable, zone, order, COMPACT_CONTINUE);
}

/** __compaction_suitable: order-0 pages for the destinations, twice as many as the block has. */
export function hasRoomToCompact(
  k: Kernel,
  zone: Zone,
  order: Order,
  mark: number,
  highest: ZoneType,
  freePages: number,
): boolean {
  let needed = mark + (2 << order);
  if (order > PAGE_ALLOC_COSTLY_ORDER) {
    needed += wmarkPages(zone, WMARK_LOW) - wmarkPages(zone, WMARK_MIN);
  }
  return watermarkOkWith(k.pm, zone, 0, needed, highest, ALLOC_CMA, freePages);
}

/** try_to_compact_pages: the zones of an allocation in turn, until one should have a block. */
export function tryToCompactPages(
  k: Kernel,
  order: Order,
  gfp: number,
  preferredNid: Nid,
  nodemask: number,
  priority: CompactPriority,
  allocFlags: number,
): CompactResult {
  if ((gfp & __GFP_IO) === 0) return COMPACT_SKIPPED;
  let best: CompactResult = COMPACT_SKIPPED;
  const s = k.compaction;
  const { compaction } = k.trace;
  if (compaction.tryToCompactPages.isEnabled)
    compaction.tryToCompactPages.emit(order, gfp, priority);
  for (const id of zonelistOf(k.pm, gfp, preferredNid)) {
    const zone = k.pm.zones[id];
    if ((nodemask & (1 << zone.nid)) === 0) continue;
    if (priority > COMPACT_PRIO_SYNC_FULL && s.isDeferred(zone, order)) {
      traceDefer(k, compaction.deferred, zone, order);
      best = Math.max(best, COMPACT_DEFERRED) as CompactResult;
      continue;
    }
    const full = priority === COMPACT_PRIO_SYNC_FULL;
    const { result } = compactZone(k, {
      zone,
      order,
      mode: priority === COMPACT_PRIO_ASYNC ? MIGRATE_ASYNC : MIGRATE_SYNC_LIGHT,
      gfp,
      migratetype: gfpMigratetype(gfp),
      allocFlags,
      highest: gfpZone(gfp),
      isDirect: true,
      isProactive: false,
      wholeZone: full,
      ignoresSkip: full,
      anyTarget: full,
    });
    best = Math.max(best, result) as CompactResult;
    if (result === COMPACT_SUCCESS) {
      s.deferReset(zone, order, false);
      traceDefer(k, compaction.deferReset, zone, order);
      break;
    }
    const isOver = result === COMPACT_COMPLETE || result === COMPACT_PARTIAL_SKIPPED;
    if (priority === COMPACT_PRIO_ASYNC || !isOver) continue;
    s.defer(zone, order);
    traceDefer(k, compaction.deferCompaction, zone, order);
  }
  return best;
}

/** compact_node: every zone of a node from end to end. PM-88a; proactive: PM-87. */
export function compactNode(k: Kernel, nid: Nid, isProactive = false): CompactionWork {
  const all: CompactionWork = { result: COMPACT_COMPLETE, migrateScanned: 0, freeScanned: 0 };
  for (const zone of k.pm.nodes[nid].zones) {
    if (!zone.isPopulated) continue;
    const work = compactZone(k, {
      zone,
      order: WHOLE_ZONE,
      mode: isProactive ? MIGRATE_SYNC_LIGHT : MIGRATE_SYNC,
      gfp: GFP_KERNEL,
      migratetype: MIGRATE_MOVABLE,
      allocFlags: 0,
      highest: HIGHEST_ZONE,
      isDirect: false,
      isProactive,
      wholeZone: true,
      ignoresSkip: true,
      anyTarget: false,
    });
    all.migrateScanned += work.migrateScanned;
    all.freeScanned += work.freeScanned;
  }
  return all;
}

/** A write to /sys/devices/system/node/nodeN/compact. */
export function compactNodeByHand(k: Kernel, nid: Nid): void {
  k.lru.drainAll();
  compactNode(k, nid);
}

/** A write of 1 to /proc/sys/vm/compact_memory. */
export function compactMemory(k: Kernel): void {
  k.lru.drainAll();
  for (const { nid, online } of k.pm.nodes) if (online) compactNode(k, nid);
}
