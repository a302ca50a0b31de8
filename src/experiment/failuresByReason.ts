/**
 * Why runs failed, for tables and reports: each reason once, with the runs it stopped. A reason
 * that the machine or the workload gives stops all policies alike, and is told as one.
 */
import {
  type Comparison,
  failedRuns,
  type GroupRecord,
  groupLabel,
  type RunRecord,
  runLabel,
} from './comparison.ts';
import { nameList } from './nameList.ts';

export interface ReasonOfFailures {
  readonly message: string;
  /** "redis on DRAM:CXL 1:2, all policies", "redis, all-DRAM, seed 1". */
  readonly who: readonly string[];
}

/** In the order of the first run that each one stopped. */
export function failuresByReason(comparison: Comparison): ReasonOfFailures[] {
  const byMessage = new Map<string, Set<RunRecord>>();
  for (const run of failedRuns(comparison)) {
    const { message } = run.failure!;
    const stopped = byMessage.get(message);
    if (stopped === undefined) byMessage.set(message, new Set([run]));
    else stopped.add(run);
  }
  return [...byMessage].map(([message, stopped]) => {
    const groups = comparison.groups.flatMap((group) => stoppedOf(comparison, group, stopped));
    // What is left has not all its seeds in it, or is an all-DRAM run.
    const alone = [...stopped].map((run) => runLabel(comparison, run));
    return { message, who: [...groups, ...alone] };
  });
}

/** Policies of the group that have no run but stopped ones; these are taken out of `stopped`. */
function stoppedOf(comparison: Comparison, group: GroupRecord, stopped: Set<RunRecord>): string[] {
  const runsOf = (runs: readonly number[]) => runs.map((run) => comparison.runs[run]!);
  const whole = group.outcomes.filter(({ runs }) => runsOf(runs).every((run) => stopped.has(run)));
  if (whole.length === 0) return [];
  for (const { runs } of whole) for (const run of runsOf(runs)) stopped.delete(run);
  const labels = whole.map(({ policy }) => comparison.policies[policy]!.label);
  const isAll = whole.length === group.outcomes.length && whole.length > 1;
  return [`${groupLabel(comparison, group)}, ${isAll ? 'all policies' : nameList(labels)}`];
}
