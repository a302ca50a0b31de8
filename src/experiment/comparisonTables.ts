/**
 * A comparison as flat tables, one row a run, a node of a run, a process, a control group, a cause
 * of failure, a counter or a point in time. `run` joins them. Described in docs/reports.md.
 */
import type { Comparison, RunRecord } from './comparison.ts';
import { type FlatField, type FlatTable, type FlatType, flatTable } from './flatTable.ts';
import type { MachineShare, NodeResult, RunResult } from './runTypes.ts';
import { stallNs } from './tierParts.ts';

interface Run {
  readonly run: number;
  readonly record: RunRecord;
  readonly comparison: Comparison;
  /** Time over that of the all-DRAM run of the same seed; null = one of the two failed. */
  readonly slowdown: number | null;
}

/** A run that finished, with one of its parts. */
interface Part<P> {
  readonly run: number;
  readonly part: P;
}

/** Every table, in the order of the documentation; all are there, if need be without rows. */
export function comparisonTables(comparison: Comparison): FlatTable[] {
  const slowdowns = slowdownsOf(comparison);
  const runs = comparison.runs.map((record, run): Run => {
    return { run, record, comparison, slowdown: slowdowns[run] ?? null };
  });
  return [
    flatTable('runs', runs, RUN),
    flatTable('nodes', parts(comparison, nodesOf), NODE),
    flatTable(
      'processes',
      parts(comparison, ({ processes }) => processes),
      [
        ['run', 'integer', ({ run }) => run],
        ['process', 'integer', ({ part }) => part.process],
        ['name', 'string', ({ part }) => part.name],
        ['program', 'string', ({ part }) => part.program],
        ...SHARE,
      ],
    ),
    flatTable(
      'cgroups',
      parts(comparison, ({ cgroups }) => cgroups),
      [
        ['run', 'integer', ({ run }) => run],
        ['cgroup', 'string', ({ part }) => part.name],
        ['mems', 'string', ({ part }) => part.mems.join(',')],
        ['processes', 'integer', ({ part }) => part.processes],
        ...SHARE,
      ],
    ),
    flatTable(
      'failures',
      parts(comparison, ({ migration }) => pairs(migration.failures)),
      [
        ['run', 'integer', ({ run }) => run],
        ['cause', 'string', ({ part }) => part[0]],
        ['pages', 'integer', ({ part }) => part[1]],
      ],
    ),
    flatTable(
      'vmstat',
      parts(comparison, ({ vmstat }) => pairs(vmstat)),
      [
        ['run', 'integer', ({ run }) => run],
        ['name', 'string', ({ part }) => part[0]],
        ['value', 'integer', ({ part }) => part[1]],
      ],
    ),
    flatTable('series', parts(comparison, pointsOf), [
      ['run', 'integer', ({ run }) => run],
      ['end_ns', 'number', ({ part }) => part.endNs],
      ['accesses', 'integer', ({ part }) => part.accesses],
      ['promoted_pages', 'integer', ({ part }) => part.promoted],
      ['demoted_pages', 'integer', ({ part }) => part.demoted],
    ]),
    flatTable('node_series', parts(comparison, nodePointsOf), [
      ['run', 'integer', ({ run }) => run],
      ['end_ns', 'number', ({ part }) => part.endNs],
      ['nid', 'integer', ({ part }) => part.nid],
      ['resident_pages', 'integer', ({ part }) => part.resident],
      ['traffic_bytes', 'number', ({ part }) => part.traffic],
    ]),
  ];
}

/** By run. Runs of all-DRAM take as long as themselves. */
function slowdownsOf({ groups, runs }: Comparison): (number | null)[] {
  const slowdowns: (number | null)[] = [];
  const timeOf = (run: number) => runs[run]!.result?.time.totalNs ?? null;
  for (const { baseline, outcomes } of groups) {
    for (const run of baseline) slowdowns[run] = timeOf(run) === null ? null : 1;
    for (const outcome of outcomes) {
      for (const [seed, run] of outcome.runs.entries()) {
        const [own, base] = [timeOf(run), timeOf(baseline[seed]!)];
        slowdowns[run] = own === null || base === null ? null : own / base;
      }
    }
  }
  return slowdowns;
}

function parts<P>({ runs }: Comparison, of: (result: RunResult) => readonly P[]): Part<P>[] {
  return runs.flatMap(({ result }, run) => {
    return result === null ? [] : of(result).map((part) => ({ run, part }));
  });
}

function pairs(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts);
}

const label = ({ record, comparison }: Run): string => {
  return comparison.policies[record.policy]?.label ?? 'all-DRAM';
};

/** A column of what a finished run has. */
function had(
  name: string,
  type: FlatType,
  of: (result: RunResult) => number | null,
): FlatField<Run> {
  return [name, type, ({ record: { result } }) => (result === null ? null : of(result))];
}

const RUN: readonly FlatField<Run>[] = [
  ['run', 'integer', ({ run }) => run],
  ['workload', 'string', ({ record, comparison }) => comparison.workloads[record.workload]!.name],
  ['machine', 'string', ({ record, comparison }) => comparison.machines[record.machine]!.label],
  ['ratio', 'string', ({ record, comparison }) => comparison.machines[record.machine]!.ratio],
  ['policy', 'string', label],
  ['policy_name', 'string', ({ record }) => record.result?.policy.name ?? null],
  ['params', 'string', ({ record }) => textOf(record.result?.policy.params)],
  ['is_all_dram', 'boolean', ({ record }) => record.policy < 0],
  ['is_oracle', 'boolean', ({ record, comparison }) => isOracle(comparison, record.policy)],
  ['seed', 'integer', ({ record }) => record.seed],
  ['failure', 'string', ({ record }) => record.failure?.message ?? null],
  ['slowdown', 'number', ({ slowdown }) => slowdown],
  had('total_ns', 'number', ({ time }) => time.totalNs),
  had('compute_ns', 'number', ({ time }) => time.computeNs),
  had('fast_stall_ns', 'number', (result) => stallNs(result, true)),
  had('slow_stall_ns', 'number', (result) => stallNs(result, false)),
  had('fault_ns', 'number', ({ time }) => time.faultNs),
  had('migration_ns', 'number', ({ time }) => time.migrationNs),
  had('observation_ns', 'number', ({ time }) => time.observationNs),
  had('background_ns', 'number', ({ time }) => time.backgroundNs),
  had('hit_ratio', 'number', ({ toptierHitRatio }) => toptierHitRatio),
  had('accesses', 'integer', ({ accesses }) => accesses),
  had('instructions', 'integer', ({ instructions }) => instructions),
  had('footprint_pages', 'integer', ({ footprintPages }) => footprintPages),
  had('minor_faults', 'integer', ({ faults }) => faults.minor),
  had('major_faults', 'integer', ({ faults }) => faults.major),
  had('hint_faults', 'integer', ({ faults }) => faults.hint),
  had('promoted_pages', 'integer', ({ migration }) => migration.promotedPages),
  had('demoted_pages', 'integer', ({ migration }) => migration.demotedPages),
  had('moved_pages', 'integer', ({ migration }) => migration.movedPages),
  had('swapped_out_pages', 'integer', ({ migration }) => migration.swappedOutPages),
  had('swapped_in_pages', 'integer', ({ migration }) => migration.swappedInPages),
  had('ping_pong_pages', 'integer', ({ migration }) => migration.pingPongPages),
  had('wasted_bytes', 'integer', ({ migration }) => migration.wastedBytes),
  had('deferred_pages', 'integer', ({ migration }) => migration.deferredPages),
  ['heat_source', 'string', ({ record }) => record.result?.heat?.source ?? null],
  had('heat_precision', 'number', ({ heat }) => heat?.precision ?? null),
  had('heat_recall', 'number', ({ heat }) => heat?.recall ?? null),
  had('heat_found', 'number', ({ heat }) => heat?.found ?? null),
  had('heat_lag_ns', 'number', ({ heat }) => heat?.lagNs ?? null),
  had('heat_lag90_ns', 'number', ({ heat }) => heat?.lag90Ns ?? null),
  had('heat_samples', 'integer', ({ heat }) => heat?.samples ?? null),
  had('heat_lost', 'integer', ({ heat }) => heat?.lost ?? null),
  had('heat_stale', 'integer', ({ heat }) => heat?.stale ?? null),
  had('heat_program_ns', 'number', ({ heat }) => heat?.programNs ?? null),
  had('heat_background_ns', 'number', ({ heat }) => heat?.backgroundNs ?? null),
];

function textOf(params: object | undefined): string | null {
  return params === undefined ? null : JSON.stringify(params);
}

function isOracle({ policies }: Comparison, policy: number): boolean {
  return policies[policy]?.isOracle ?? false;
}

interface NodeOfRun extends NodeResult {
  readonly stallNs: number;
}

function nodesOf({ nodes, time }: RunResult): NodeOfRun[] {
  return nodes.map((node) => ({ ...node, stallNs: time.stallNs[node.nid] ?? 0 }));
}

const NODE: readonly FlatField<Part<NodeOfRun>>[] = [
  ['run', 'integer', ({ run }) => run],
  ['nid', 'integer', ({ part }) => part.nid],
  ['kind', 'string', ({ part }) => part.kind],
  ['is_toptier', 'boolean', ({ part }) => part.isToptier],
  ['capacity_bytes', 'integer', ({ part }) => part.capacityBytes],
  ['stall_ns', 'number', ({ part }) => part.stallNs],
  ['reads', 'integer', ({ part }) => part.reads],
  ['writes', 'integer', ({ part }) => part.writes],
  ['read_bytes', 'integer', ({ part }) => part.readBytes],
  ['write_bytes', 'integer', ({ part }) => part.writeBytes],
  ['migration_read_bytes', 'integer', ({ part }) => part.migrationReadBytes],
  ['migration_write_bytes', 'integer', ({ part }) => part.migrationWriteBytes],
  ['mean_latency_ns', 'number', ({ part }) => part.meanLatencyNs],
  ['peak_utilisation', 'number', ({ part }) => part.peakUtilisation],
  ['resident_pages', 'integer', ({ part }) => part.residentPages],
  ['resident_pages_max', 'integer', ({ part }) => part.residentPagesMax],
];

/** What processes and control groups have in common. */
const SHARE: readonly FlatField<Part<MachineShare>>[] = [
  ['accesses', 'integer', ({ part }) => part.accesses],
  ['hit_ratio', 'number', ({ part }) => part.toptierHitRatio],
  ['resident_pages_mean', 'number', ({ part }) => part.residentPagesMean],
  ['toptier_pages_mean', 'number', ({ part }) => part.toptierPagesMean],
  ['promoted_pages', 'integer', ({ part }) => part.promotedPages],
  ['demoted_pages', 'integer', ({ part }) => part.demotedPages],
  ['major_faults', 'integer', ({ part }) => part.majorFaults],
  ['end_ns', 'number', ({ part }) => part.endNs],
];

function pointsOf({ series }: RunResult) {
  if (series === null) return [];
  return series.accesses.map((accesses, point) => ({
    endNs: (point + 1) * series.intervalNs,
    accesses,
    promoted: series.promotedPages[point]!,
    demoted: series.demotedPages[point]!,
  }));
}

function nodePointsOf({ series }: RunResult) {
  if (series === null) return [];
  return series.residentPages.flatMap((pages, nid) => {
    return pages.map((resident, point) => ({
      endNs: (point + 1) * series.intervalNs,
      nid,
      resident,
      traffic: series.trafficBytes[nid]![point]!,
    }));
  });
}
