/**
 * What a policy can see: read-only tables, filled by a host before each decision (STYLE.md,
 * policies-decide). The simulator fills them from the model, a real machine from /proc, /sys and
 * perf; nothing in here tells which.
 *
 * All tables are columns of equal length; the host reuses them, so what a policy wants to remember
 * it copies. Units: pages of 4 KiB, nanoseconds, bytes per nanosecond (= GB/s).
 */
import type { Nanoseconds, Nid } from '../base/units.ts';
import type { HeatView } from '../heat/index.ts';

export interface HostView {
  readonly nowNs: Nanoseconds;
  /** Since the last decision; 0 at the first. */
  readonly intervalNs: Nanoseconds;
  readonly nodes: NodeTable;
  /** What the heat source saw since the last decision. */
  readonly heat: HeatView;
  /**
   * The same by frames, of a source that reports physical addresses: PFN and generation, what
   * nobody maps included. Empty for other sources.
   */
  readonly frameHeat: HeatView;
  /** Which frames the nodes have, as /proc/zoneinfo tells (HS-25). */
  readonly frameRanges: FrameRangeTable;
  /**
   * Where the pages of the programs are, or null in a decision without a fresh walk: walks are
   * taken as often as PolicyNeeds.residencyPeriodNs asks.
   */
  readonly residency: ResidencyTable | null;
  /** Growth since the last decision of the counters that PolicyNeeds.vmstat names. */
  readonly vmstat: ReadonlyMap<string, number>;
  /** Rows of earlier plans that were finished since the last decision. */
  readonly outcome: OutcomeTable;
  /** Pages of earlier plans that are still to be migrated. */
  readonly pendingPages: number;
  /** Coming accesses; null wherever nobody knows the future, which is on every real machine. */
  readonly future: FutureTable | null;
}

/** Nodes by nid. */
export interface NodeTable {
  readonly nrNodes: number;
  /** 1 = the node has CPUs. */
  readonly hasCpu: Uint8Array;
  /** 1 = in the top tiers (node_is_toptier, TI-6); 0 also for a node without memory. */
  readonly isToptier: Uint8Array;
  /** Managed pages; 0 = no memory. */
  readonly capacity: Float64Array;
  readonly free: Float64Array;
  /** Pages of earlier plans that are still to come to the node. */
  readonly incoming: Float64Array;
  /** Sums of the zones' watermarks. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly promo: Float64Array;
  /** Unloaded read latency from the nearest CPUs. */
  readonly latencyNs: Float64Array;
  /** Read latency now, with what waits in the queues: on Linux uncore occupancy / arrivals. */
  readonly loadedLatencyNs: Float64Array;
  /** Bytes read and written since the last decision, copies of migrations included. */
  readonly trafficBytes: Float64Array;
  /** Read bandwidth. */
  readonly bandwidth: Float64Array;
  /**
   * The node's weight for interleaving: /sys/kernel/mm/mempolicy/weighted_interleave/nodeN, from
   * bandwidths unless somebody set it (TI-82, TI-83).
   */
  readonly interleaveWeight: Uint8Array;
  /** Where the node's pages are demoted to: the first preferred target (TI-4), -1 = none. */
  readonly demotionNid: Int8Array;
}

/** Present frames [pfn, pfn + nrPages) of a node; ascending by pfn. */
export interface FrameRangeTable {
  readonly nrRows: number;
  readonly pfn: Float64Array;
  readonly nrPages: Float64Array;
  readonly nid: Int8Array;
}

/**
 * Runs of mapped pages of programs: `nrPages` from `vpn` on, all on `nid`, all in folios of
 * `folioPages`. Ascending by pid, then vpn; a folio is in one run. Shared pages appear once for
 * each process.
 */
export interface ResidencyTable {
  readonly nrRows: number;
  readonly pid: Int32Array;
  readonly vpn: Float64Array;
  readonly nrPages: Int32Array;
  readonly folioPages: Int32Array;
  readonly nid: Int8Array;
}

/** Plan rows with their results; the keys are those of MigrationPlan. */
export interface OutcomeTable {
  readonly nrRows: number;
  readonly keyKind: Uint8Array;
  readonly pid: Int32Array;
  /** VPN or PFN, as keyKind says. */
  readonly page: Float64Array;
  readonly nrPages: Int32Array;
  readonly targetNid: Int8Array;
  readonly reason: Uint8Array;
  /**
   * As move_pages reports pages: the target nid when every page is there now, else the first
   * negative errno in page order (-ENOENT: no page, -EBUSY, -EACCES: shared, -ENOMEM: no memory on
   * the target, -EFAULT, -ESRCH: no such process, -ESTALE: the frame has another content now).
   * Of a row that splits: 0, or why a folio stayed large (-EAGAIN: references, pins or locked,
   * -EBUSY: writeback, -EINVAL: hugetlb).
   */
  readonly status: Int16Array;
  /** Pages that this row migrated. */
  readonly migratedPages: Int32Array;
}

/** Accesses to pages in the window of the future that begins now; pages with none are left out. */
export interface FutureTable {
  /** Counts windows from 0. Within one, only pids change: -1 while a process does not run. */
  readonly window: number;
  /** Rows in descending order of accesses; ties by pid, then vpn. */
  readonly nrRows: number;
  readonly pid: Int32Array;
  readonly vpn: Float64Array;
  readonly accesses: Float64Array;
}

/** Nodes with memory in the top tiers. */
export function fastNids(nodes: NodeTable): Nid[] {
  return nidsWhere(nodes, (nid) => nodes.isToptier[nid] === 1);
}

/** Nodes with memory below the top tiers. */
export function slowNids(nodes: NodeTable): Nid[] {
  return nidsWhere(nodes, (nid) => nodes.isToptier[nid] === 0);
}

function nidsWhere(nodes: NodeTable, wanted: (nid: Nid) => boolean): Nid[] {
  const nids: Nid[] = [];
  for (let nid = 0; nid < nodes.nrNodes; nid++) {
    if (nodes.capacity[nid] > 0 && wanted(nid)) nids.push(nid);
  }
  return nids;
}
