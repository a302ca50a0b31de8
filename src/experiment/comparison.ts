/**
 * The result of an experiment: every run, what they say together, and where all of it comes from.
 * This is what `--json` and `--out` write and what reports are drawn from, nothing else
 * (docs/reports.md). Plain data; the same experiment gives the same bytes, so no time of day and no
 * duration of the calculation is in it.
 */
import type { LabelledPolicy } from './experiment.ts';
import type { MachinePicture } from './machinePicture.ts';
import type { RunResult } from './runTypes.ts';
import type { Spread } from './statistics.ts';

export const COMPARISON_FORMAT = 'comparison/1';

export interface Comparison {
  readonly format: typeof COMPARISON_FORMAT;
  /** Version of hetmem that made it. */
  readonly hetmem: string;
  readonly name: string;
  readonly question: string;
  /** One sentence made from the numbers (verdict.ts). */
  readonly verdict: string;
  /** What makes numbers of this comparison doubtful, a sentence each; [] = nothing is known. */
  readonly warnings: readonly string[];
  /** The command line that makes it again. */
  readonly command: string;
  readonly seeds: readonly number[];
  readonly machines: readonly MachineRecord[];
  readonly workloads: readonly WorkloadRecord[];
  readonly policies: readonly PolicyRecord[];
  readonly groups: readonly GroupRecord[];
  readonly runs: readonly RunRecord[];
}

/** A machine and a way to size it. */
export interface MachineRecord {
  /** What tables call it: "DRAM:CXL 1:2", or the machine's name. */
  readonly label: string;
  /** "1:2"; '' = the sizes of the file. */
  readonly ratio: string;
  readonly picture: MachinePicture;
}

export interface WorkloadRecord extends ProgramRecord {
  /** Those that ran at the same time; [] = it is one program. */
  readonly programs: readonly ProgramRecord[];
}

export interface ProgramRecord {
  readonly name: string;
  /** '' for a trace. */
  readonly generator: string;
  readonly params: Readonly<Record<string, number | string | boolean>>;
  readonly footprintPages: number;
  /** null for a synthetic workload, and for several programs. */
  readonly provenance: TraceProvenance | null;
}

/** Where a trace comes from: its header and what identifies the file. */
export interface TraceProvenance {
  readonly file: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly recorder: string;
  readonly accessKind: string;
  /** Caches whose misses were recorded: "L1d 48 KiB 12-way, …"; '' = nothing was filtered. */
  readonly filter: string;
  readonly host: string;
  readonly date: string;
  readonly notes: readonly string[];
  readonly history: readonly string[];
}

export interface PolicyRecord extends LabelledPolicy {
  readonly purpose: string;
  /** Knows the future: a bound, not a competitor. */
  readonly isOracle: boolean;
}

/** One workload on one machine: its policies are compared with each other. */
export interface GroupRecord {
  /** Indices into workloads and machines. */
  readonly workload: number;
  readonly machine: number;
  /** Indices into runs, by seed: all-DRAM. */
  readonly baseline: readonly number[];
  /** Time of the all-DRAM run, over the seeds; null = none of them finished. */
  readonly baselineNs: Spread | null;
  /** By policy. */
  readonly outcomes: readonly PolicyOutcome[];
}

/** One policy in a group. */
export interface PolicyOutcome {
  /** Index into policies. */
  readonly policy: number;
  /** Indices into runs, by seed. */
  readonly runs: readonly number[];
  /** Time over that of the all-DRAM run of the same seed; null = no such pair finished. */
  readonly slowdown: Spread | null;
  /** Index into runs: the one with the median slowdown, drawn and listed; -1 = none finished. */
  readonly representative: number;
  /** Nothing but oracles is faster, to the hundredth. */
  readonly isBest: boolean;
}

export interface RunRecord {
  readonly workload: number;
  readonly machine: number;
  /** -1 = the all-DRAM run. */
  readonly policy: number;
  readonly seed: number;
  /** Exactly one of the two is there. */
  readonly result: RunResult | null;
  readonly failure: RunFailure | null;
}

export interface RunFailure {
  /** input: the user's to mend; bug: ours; crash: the process of the run died (memory). */
  readonly kind: 'input' | 'bug' | 'crash';
  readonly message: string;
}

/** Slowdowns are compared as they are printed: to the hundredth. */
export function hundredths(slowdown: number): number {
  return Math.round(slowdown * 100);
}

/** Failed runs, in order. */
export function failedRuns(comparison: Comparison): RunRecord[] {
  return comparison.runs.filter(({ failure }) => failure !== null);
}

/** The all-DRAM run of a group with a seed; null if it did not finish. */
export function allDramRun(
  { runs }: Comparison,
  group: GroupRecord,
  seed: number,
): RunResult | null {
  const run = group.baseline.find((one) => runs[one]!.seed === seed);
  return run === undefined ? null : runs[run]!.result;
}

/** "redis on DRAM:CXL 1:2". */
export function groupLabel(comparison: Comparison, group: GroupRecord): string {
  const { workloads, machines } = comparison;
  return `${workloads[group.workload]!.name} on ${machines[group.machine]!.label}`;
}

/** "redis on DRAM:CXL 1:2, hemem, seed 1": names a run in messages. */
export function runLabel(comparison: Comparison, run: RunRecord): string {
  const { workloads, machines, policies } = comparison;
  const policy = policies[run.policy]?.label ?? 'all-DRAM';
  const place = run.policy < 0 ? '' : ` on ${machines[run.machine]!.label}`;
  return `${workloads[run.workload]!.name}${place}, ${policy}, seed ${run.seed}`;
}
