/** Tracepoints of compaction (include/trace/events/compaction.h). */
import type { Tracepoint, Tracepoints } from '../engine/index.ts';
import type { Kernel } from './kernel.ts';
import type { CompactResult } from './physicalMemory.ts';
import type { Zone } from './zone.ts';

const ISOLATE = ['start_pfn', 'end_pfn', 'nr_scanned', 'nr_taken'] as const;
const SCANNERS = ['zone_start', 'migrate_pfn', 'free_pfn', 'zone_end', 'sync'] as const;
const SUITABLE = ['nid', 'idx', 'order', 'ret'] as const;
const DEFER = ['nid', 'idx', 'order', 'considered', 'defer_shift', 'order_failed'] as const;
const KCOMPACTD_WAKE = ['nid', 'order', 'highest_zoneidx'] as const;

export class CompactionTrace {
  readonly isolateMigratepages;
  readonly isolateFreepages;
  readonly migratepages;
  readonly begin;
  readonly end;
  readonly tryToCompactPages;
  readonly suitable;
  readonly finished;
  readonly deferred;
  readonly deferCompaction;
  readonly deferReset;
  readonly kcompactdSleep;
  readonly kcompactdWake;
  readonly wakeupKcompactd;

  constructor(points: Tracepoints) {
    const define = <const F extends readonly string[]>(event: string, fields: F) =>
      points.define(`compaction:mm_compaction_${event}`, fields);
    this.isolateMigratepages = define('isolate_migratepages', ISOLATE);
    this.isolateFreepages = define('isolate_freepages', ISOLATE);
    this.migratepages = define('migratepages', ['nr_migrated', 'nr_failed']);
    this.begin = define('begin', SCANNERS);
    this.end = define('end', [...SCANNERS, 'status']);
    this.tryToCompactPages = define('try_to_compact_pages', ['order', 'gfp_mask', 'prio']);
    this.suitable = define('suitable', SUITABLE);
    this.finished = define('finished', SUITABLE);
    this.deferred = define('deferred', DEFER);
    this.deferCompaction = define('defer_compaction', DEFER);
    this.deferReset = define('defer_reset', DEFER);
    this.kcompactdSleep = define('kcompactd_sleep', ['nid']);
    this.kcompactdWake = define('kcompactd_wake', KCOMPACTD_WAKE);
    this.wakeupKcompactd = define('wakeup_kcompactd', KCOMPACTD_WAKE);
  }
}

/** mm_compaction_suitable and mm_compaction_finished; `result` is passed on. */
export function traceSuitable(
  point: Tracepoint<typeof SUITABLE>,
  zone: Zone,
  order: number,
  result: CompactResult,
): CompactResult {
  if (point.isEnabled) point.emit(zone.nid, zone.type, order, result);
  return result;
}

/** mm_compaction_deferred, _defer_compaction, _defer_reset. */
export function traceDefer(
  k: Kernel,
  point: Tracepoint<typeof DEFER>,
  zone: Zone,
  order: number,
): void {
  if (!point.isEnabled) return;
  const { considered, deferShift, orderFailed } = k.compaction;
  const { id, nid, type } = zone;
  point.emit(nid, type, order, considered[id], deferShift[id], orderFailed[id]);
}
