/**
 * kcompactd, one thread a node: compacts for orders that kswapd could not make, and now and then
 * without being asked (mm/compaction.c: kcompactd, kcompactd_do_work,
 * should_proactive_compact_node, proactive_compact_node). PM-87.
 *
 * Whoever owns time calls kcompactdStep for woken nodes, and proactiveStep every
 * HPAGE_FRAG_CHECK_NS.
 */
import type { Nid } from '../base/units.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { MIGRATE_SYNC_LIGHT } from '../uapi/migrate.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { MIGRATE_MOVABLE } from '../uapi/zone.ts';
import { traceDefer } from './compactionTrace.ts';
import { compactNode, compactZone, proactiveMark } from './compactZone.ts';
import { fragmentationScoreNode } from './fragmentation.ts';
import type { Kernel } from './kernel.ts';
import { COMPACT_COMPLETE, COMPACT_PARTIAL_SKIPPED, COMPACT_SUCCESS } from './physicalMemory.ts';
import { WMARK_MIN } from './zone.ts';

const KCOMPACTD_WAKE = vmEvent('compact_daemon_wake');
const KCOMPACTD_MIGRATE_SCANNED = vmEvent('compact_daemon_migrate_scanned');
const KCOMPACTD_FREE_SCANNED = vmEvent('compact_daemon_free_scanned');

/** HPAGE_FRAG_CHECK_INTERVAL_MSEC. */
export const HPAGE_FRAG_CHECK_NS = 500_000_000;
/** Turns left out after a proactive run that did not help (1 << COMPACT_MAX_DEFER_SHIFT). */
const DEFERRED_TURNS = 64;

/** kcompactd_do_work of a woken node; it sleeps afterwards. */
export function kcompactdStep(k: Kernel, nid: Nid): void {
  const s = k.compaction;
  const order = s.kcompactdOrder[nid];
  const { trace } = k;
  const { compaction } = trace;
  trace.runKcompactd(nid);
  if (compaction.kcompactdWake.isEnabled) {
    compaction.kcompactdWake.emit(nid, order, s.kcompactdHighest[nid]);
  }
  k.vmstat.count(KCOMPACTD_WAKE, 1);
  for (const zone of k.pm.nodes[nid].zones) {
    if (!zone.isPopulated || zone.type > s.kcompactdHighest[nid]) continue;
    if (s.isDeferred(zone, order)) {
      traceDefer(k, compaction.deferred, zone, order);
      continue;
    }
    const work = compactZone(k, {
      zone,
      order,
      mode: MIGRATE_SYNC_LIGHT,
      gfp: GFP_KERNEL,
      migratetype: MIGRATE_MOVABLE,
      allocFlags: WMARK_MIN,
      highest: zone.type,
      isDirect: false,
      isProactive: false,
      wholeZone: false,
      ignoresSkip: false,
      anyTarget: false,
    });
    if (work.result === COMPACT_SUCCESS) {
      s.deferReset(zone, order, false);
      traceDefer(k, compaction.deferReset, zone, order);
    } else if (work.result === COMPACT_PARTIAL_SKIPPED || work.result === COMPACT_COMPLETE) {
      s.defer(zone, order);
      traceDefer(k, compaction.deferCompaction, zone, order);
    }
    countScanned(k, work.migrateScanned, work.freeScanned);
  }
  s.kcompactdWoken &= ~(1 << nid);
  if (compaction.kcompactdSleep.isEnabled) compaction.kcompactdSleep.emit(nid);
}

function countScanned(k: Kernel, migrated: number, free: number): void {
  k.vmstat.count(KCOMPACTD_MIGRATE_SCANNED, migrated);
  k.vmstat.count(KCOMPACTD_FREE_SCANNED, free);
}

/**
 * The timeout of kcompactd's sleep: compacts a node whose free memory is more cut up than
 * compaction_proactiveness allows, unless kswapd runs. Returns whether it did.
 */
export function proactiveStep(k: Kernel, nid: Nid): boolean {
  const s = k.compaction;
  if (s.proactiveness === 0 || (k.kswapdWoken & (1 << nid)) !== 0) return false;
  if (s.proactiveDefer[nid] > 0) {
    s.proactiveDefer[nid]--;
    return false;
  }
  const before = fragmentationScoreNode(k, nid);
  if (before <= proactiveMark(k, false)) return false;
  k.trace.runKcompactd(nid);
  const work = compactNode(k, nid, true);
  countScanned(k, work.migrateScanned, work.freeScanned);
  if (fragmentationScoreNode(k, nid) >= before) s.proactiveDefer[nid] = DEFERRED_TURNS;
  return true;
}
