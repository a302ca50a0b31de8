/**
 * What one run is asked and what it answers. Plain data: runs go to workers and results to files
 * as they are; reports are drawn from nothing else. Units: nanoseconds of virtual time, bytes,
 * base pages of 4 KiB.
 */
import type { Bytes, Nanoseconds, Nid } from '../base/units.ts';
import type { MachineSpec, Stream } from '../hw/index.ts';

/** Everything that decides a run's result, byte for byte. */
export interface RunSpec {
  readonly machine: MachineSpec;
  readonly policy: PolicyChoice;
  readonly workload: WorkloadSpec;
  readonly seed: number;
  /** Points in the time series and columns of the heat map; 0 = neither is collected. */
  readonly seriesPoints: number;
  /**
   * Benchmarks on other cores that keep memory of their own busy all the time. Their traffic loads
   * the nodes; nobody sees or migrates their pages, and results have none of their accesses.
   */
  readonly background?: readonly Stream[];
}

export interface PolicyChoice {
  readonly name: string;
  /** Knobs by name; unknown names are an error of the experiment file. */
  readonly params: Readonly<Record<string, number | string | boolean>>;
}

/** A trace file, or a synthetic workload by name. */
export interface WorkloadSpec {
  readonly name: string;
  /** Path of a trace file, or '' for a synthetic workload. */
  readonly trace: string;
  readonly generator: string;
  readonly params: Readonly<Record<string, number | string | boolean>>;
  /** Programs that run at the same time instead; the fields above are '' then. */
  readonly together?: readonly WorkloadSpec[];
  /** The control group that the program runs in; left out = none of its own. */
  readonly cgroup?: CgroupChoice;
}

export interface CgroupChoice {
  readonly name: string;
  /** cpuset.mems, ascending; none = all nodes. */
  readonly mems: readonly Nid[];
}

/** The programs of a workload, one or several at the same time. */
export function programsOf(workload: WorkloadSpec): readonly WorkloadSpec[] {
  return workload.together ?? [workload];
}

export interface RunResult {
  readonly format: 1;
  readonly hetmem: string;
  readonly machine: string;
  readonly policy: PolicyChoice;
  readonly workload: string;
  readonly seed: number;
  readonly time: TimeSplit;
  readonly nodes: readonly NodeResult[];
  readonly migration: MigrationResult;
  /** Share of accesses served by top-tier nodes. */
  readonly toptierHitRatio: number;
  /** Distinct pages touched. */
  readonly footprintPages: number;
  readonly accesses: number;
  readonly instructions: number;
  readonly faults: { readonly minor: number; readonly major: number; readonly hint: number };
  readonly heat: HeatAccuracy | null;
  /** Processes that accessed memory, in the order of the trace. */
  readonly processes: readonly ProcessResult[];
  /** Control groups, when several programs ran or one was in a group. */
  readonly cgroups: readonly CgroupResult[];
  /** /proc/vmstat just before the last program exits, by name. */
  readonly vmstat: Readonly<Record<string, number>>;
  readonly series: SeriesResult | null;
  readonly heatMap: HeatMapResult | null;
  /** Things the user must know to read the numbers: what was clipped, skipped, not followed. */
  readonly notes: readonly string[];
  /** What makes the numbers mean something else than the policy's name promises. */
  readonly warnings: readonly string[];
}

/** Where the program's time went; the parts add up to total (threads summed, then scaled). */
export interface TimeSplit {
  /** Virtual time until the last thread is done. */
  readonly totalNs: Nanoseconds;
  readonly computeNs: Nanoseconds;
  /** Stall on memory, by node: index = nid. */
  readonly stallNs: readonly Nanoseconds[];
  /** Page faults and hint faults, with what they allocate, zero and copy. */
  readonly faultNs: Nanoseconds;
  /** Waiting for a migration entry to go, or migrating in a hint fault. */
  readonly migrationNs: Nanoseconds;
  /** Sampling, scanning and other work of heat sources that the program pays. */
  readonly observationNs: Nanoseconds;
  /** Kernel threads' work (kswapd, migration daemon): not in total, but it takes a CPU. */
  readonly backgroundNs: Nanoseconds;
}

export interface NodeResult {
  readonly nid: Nid;
  readonly kind: string;
  readonly isToptier: boolean;
  readonly capacityBytes: Bytes;
  readonly reads: number;
  readonly writes: number;
  /** Program traffic. */
  readonly readBytes: Bytes;
  readonly writeBytes: Bytes;
  readonly migrationReadBytes: Bytes;
  readonly migrationWriteBytes: Bytes;
  /** Accesses weighted mean of the loaded read latency. */
  readonly meanLatencyNs: Nanoseconds;
  readonly peakUtilisation: number;
  /** Pages of the program on the node at the end, and the most ever. */
  readonly residentPages: number;
  readonly residentPagesMax: number;
}

export interface MigrationResult {
  readonly promotedPages: number;
  readonly demotedPages: number;
  readonly movedPages: number;
  readonly swappedOutPages: number;
  readonly swappedInPages: number;
  /** Base pages that failed to move, by cause (failureLog.ts). */
  readonly failures: Readonly<Record<string, number>>;
  /** The same causes explained, with examples, most pages first. */
  readonly reasons: readonly FailureReason[];
  /** Pages demoted and promoted again within the window (TI-92), and the bytes copied for it. */
  readonly pingPongPages: number;
  readonly wastedBytes: Bytes;
  /** Pages whose promotion the policy's back-off put off, once for each time that it did. */
  readonly deferredPages: number;
  /** Pages that made round trips, by how many: 1, 2 to 3, 4 to 7, ... */
  readonly roundTrips: readonly number[];
  /** Those with most, at most eight. */
  readonly restless: readonly RestlessPage[];
}

/** A folio that was demoted and promoted again and again. */
export interface RestlessPage {
  /** Who maps it, and its page there; -1: nobody any more, then `vpn` is its index. */
  readonly pid: number;
  readonly vpn: number;
  readonly nrPages: number;
  readonly roundTrips: number;
}

/** What one or several processes had of the machine. */
export interface MachineShare {
  readonly accesses: number;
  /** Share of its accesses served by top-tier nodes. */
  readonly toptierHitRatio: number;
  /** Means over the run of its mapped pages, and of those in the top tiers. */
  readonly residentPagesMean: number;
  readonly toptierPagesMean: number;
  /** Base pages that it mapped first when they were promoted, and demoted. */
  readonly promotedPages: number;
  readonly demotedPages: number;
  readonly majorFaults: number;
  /** When its last thread was done. */
  readonly endNs: Nanoseconds;
}

export interface ProcessResult extends MachineShare {
  /** Index in the trace; programs that ran together have a name each. */
  readonly process: number;
  readonly name: string;
  readonly program: string;
}

/** What the processes of a control group had together; means are over the time that it had any. */
export interface CgroupResult extends MachineShare {
  readonly name: string;
  /** cpuset.mems; none = all nodes. */
  readonly mems: readonly Nid[];
  readonly processes: number;
}

/** Why pages did not move, for a reader who has nothing but the result. */
export interface FailureReason {
  readonly cause: string;
  /** Rule ids. */
  readonly rules: string;
  readonly sentence: string;
  /** What would free such pages; '' = nothing needs to, or can. */
  readonly remedy: string;
  /** Pages with their owners, soon after they failed to move. */
  readonly examples: readonly string[];
}

/** The heat source against the truth that only the model knows (B7). */
export interface HeatAccuracy {
  readonly source: string;
  /** Of the pages the source ranks hottest (as many as the top tier holds), the share that is. */
  readonly precision: number;
  readonly recall: number;
  /** Of the hottest pages, the share that the source ever reported. */
  readonly found: number;
  /** First access to first report of those, median and 90th percentile; null = none was found. */
  readonly lagNs: Nanoseconds | null;
  readonly lag90Ns: Nanoseconds | null;
  readonly samples: number;
  readonly lost: number;
  /** Reports by frame whose frame had another content when they were to be used. */
  readonly stale: number;
  /** Taken from the program, and CPU time of others. */
  readonly programNs: Nanoseconds;
  readonly backgroundNs: Nanoseconds;
  /** Sum of the two. */
  readonly costNs: Nanoseconds;
}

/** Time series, one value per interval. */
export interface SeriesResult {
  readonly intervalNs: Nanoseconds;
  /** [node][point]: resident pages at the end of the interval. */
  readonly residentPages: readonly (readonly number[])[];
  /** [node][point]: program bytes in the interval. */
  readonly trafficBytes: readonly (readonly number[])[];
  /** [point]. */
  readonly promotedPages: readonly number[];
  readonly demotedPages: readonly number[];
  readonly accesses: readonly number[];
}

/** Address x time. Rows are ranges of touched memory in address order, columns points in time. */
export interface HeatMapResult {
  readonly rows: number;
  readonly columns: number;
  readonly pagesPerRow: number;
  /** First virtual page of each row, for labels. */
  readonly rowVpn: readonly number[];
  /** Row-major: accesses in the cell. */
  readonly accesses: readonly number[];
  /** Row-major: node that served most accesses, or else holds most of the row; -1 = none. */
  readonly node: readonly number[];
}
