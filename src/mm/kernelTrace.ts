/**
 * The tracepoints of the modelled kernel (include/trace/events/migrate.h, thp.h, vmscan.h,
 * compaction.h), with
 * the kernel's names and fields, and who runs when one fires (common_pid and CPU of a line).
 *
 * Whoever lets a task or a kernel thread run calls `run`; nobody needs to while nobody listens.
 * Deviates: pte and pmd of the migration entries' events are the physical address of the page
 * alone, without flags, swap type and the inversion of swap entries.
 * Not modelled: events of the allocator (kmem), mm_vmscan_write_folio, throttling, shrinkers.
 */
import type { Clock } from '../engine/index.ts';
import { Tracepoints } from '../engine/index.ts';
import { CompactionTrace } from './compactionTrace.ts';

const MIGRATION_PTE = ['addr', 'pte', 'order'] as const;
const RECLAIM_BEGIN = ['order', 'gfp_flags'] as const;
const RECLAIM_END = ['nr_reclaimed'] as const;

/** kswapd of node n has this pid and n: a number that no program has. */
const KSWAPD_PID = 16;
/** kcompactd of node n has this pid and n. */
const KCOMPACTD_PID = 48;
/** Worker w of a policy's migration daemon has this pid and w. */
const MIGRATION_DAEMON_PID = 80;

export class KernelTrace {
  readonly points: Tracepoints;
  /** The running task or kernel thread, 0 = none, and its CPU. */
  pid = 0;
  cpu = 0;
  /** Nodes whose kswapd was heard to wake and not yet to sleep. */
  kswapdAwake = 0;
  /** Names by pid, as far as somebody gave one: comm. */
  readonly comms: Map<number, string> = new Map();
  readonly compaction: CompactionTrace;
  readonly mmMigratePages;
  readonly mmMigratePagesStart;
  readonly setMigrationPte;
  readonly removeMigrationPte;
  readonly setMigrationPmd;
  readonly removeMigrationPmd;
  readonly wakeupKswapd;
  readonly kswapdWake;
  readonly kswapdSleep;
  readonly directReclaimBegin;
  readonly directReclaimEnd;
  readonly memcgReclaimBegin;
  readonly memcgReclaimEnd;
  readonly nodeReclaimBegin;
  readonly nodeReclaimEnd;
  readonly lruIsolate;
  readonly lruShrinkInactive;
  readonly lruShrinkActive;

  constructor(clock: Clock) {
    const points = new Tracepoints(clock);
    this.points = points;
    this.compaction = new CompactionTrace(points);
    this.mmMigratePages = points.define('migrate:mm_migrate_pages', [
      'succeeded',
      'failed',
      'thp_succeeded',
      'thp_failed',
      'thp_split',
      'large_folio_split',
      'mode',
      'reason',
    ]);
    this.mmMigratePagesStart = points.define('migrate:mm_migrate_pages_start', ['mode', 'reason']);
    this.setMigrationPte = points.define('migrate:set_migration_pte', MIGRATION_PTE);
    this.removeMigrationPte = points.define('migrate:remove_migration_pte', MIGRATION_PTE);
    this.setMigrationPmd = points.define('thp:set_migration_pmd', ['addr', 'pmd']);
    this.removeMigrationPmd = points.define('thp:remove_migration_pmd', ['addr', 'pmd']);
    const vmscan = <const F extends readonly string[]>(event: string, fields: F) =>
      points.define(`vmscan:mm_vmscan_${event}`, fields);
    this.wakeupKswapd = vmscan('wakeup_kswapd', ['nid', 'zid', 'order', 'gfp_flags']);
    this.kswapdWake = vmscan('kswapd_wake', ['nid', 'zid', 'order']);
    this.kswapdSleep = vmscan('kswapd_sleep', ['nid']);
    this.directReclaimBegin = vmscan('direct_reclaim_begin', RECLAIM_BEGIN);
    this.directReclaimEnd = vmscan('direct_reclaim_end', RECLAIM_END);
    this.memcgReclaimBegin = vmscan('memcg_reclaim_begin', RECLAIM_BEGIN);
    this.memcgReclaimEnd = vmscan('memcg_reclaim_end', RECLAIM_END);
    this.nodeReclaimBegin = vmscan('node_reclaim_begin', ['nid', 'order', 'gfp_flags']);
    this.nodeReclaimEnd = vmscan('node_reclaim_end', RECLAIM_END);
    this.lruIsolate = vmscan('lru_isolate', [
      'highest_zoneidx',
      'order',
      'nr_requested',
      'nr_scanned',
      'nr_skipped',
      'nr_taken',
      'lru',
    ]);
    this.lruShrinkInactive = vmscan('lru_shrink_inactive', [
      'nid',
      'nr_scanned',
      'nr_reclaimed',
      'nr_dirty',
      'nr_writeback',
      'nr_congested',
      'nr_immediate',
      'nr_activate0',
      'nr_activate1',
      'nr_ref_keep',
      'nr_unmap_fail',
      'priority',
      'reclaim_flags',
    ]);
    this.lruShrinkActive = vmscan('lru_shrink_active', [
      'nid',
      'nr_taken',
      'nr_active',
      'nr_deactivated',
      'nr_referenced',
      'priority',
      'reclaim_flags',
    ]);
  }

  /** From now on `pid` runs on `cpu`. */
  run(pid: number, cpu: number): void {
    this.pid = pid;
    this.cpu = cpu;
  }

  /** kswapd of a node runs. */
  runKswapd(nid: number): void {
    this.#runNamed(KSWAPD_PID + nid, `kswapd${nid}`);
  }

  /** kcompactd of a node runs. */
  runKcompactd(nid: number): void {
    this.#runNamed(KCOMPACTD_PID + nid, `kcompactd${nid}`);
  }

  /** A worker of the migration daemon runs. */
  runMigrationDaemon(worker: number): void {
    this.#runNamed(MIGRATION_DAEMON_PID + worker, `migrated/${worker}`);
  }

  #runNamed(pid: number, comm: string): void {
    this.run(pid, 0);
    if (!this.comms.has(pid)) this.comms.set(pid, comm);
  }
}

/** trace_reclaim_flags: file or anonymous pages, written asynchronously. */
export const RECLAIM_WB_ANON = 0x0001;
export const RECLAIM_WB_FILE = 0x0002;
export const RECLAIM_WB_ASYNC = 0x0008;

export function traceReclaimFlags(isFile: boolean): number {
  return (isFile ? RECLAIM_WB_FILE : RECLAIM_WB_ANON) | RECLAIM_WB_ASYNC;
}
