/**
 * A comparison on the terminal: a table for each workload and machine, failed runs, warnings and
 * the verdict. The best policy of each table is marked by a word and, where there is colour, by it.
 *
 * On a terminal that is too narrow the least important columns are left out; a file or a pipe gets
 * all of them.
 */
import {
  type Comparison,
  capacities,
  formatBytes,
  formatCount,
  formatNs,
  formatSlowdown,
  type GroupRecord,
  groupLabel,
  type PolicyOutcome,
  type RunResult,
  stallNs,
  tierName,
} from '../experiment/index.ts';
import { cgroupText } from './cgroupTable.ts';
import { failureText } from './failureText.ts';
import { paint } from './paint.ts';
import { fitted, formatTable, type RankedColumn } from './table.ts';
import { wrapped } from './textWidth.ts';

interface TableColumn extends RankedColumn {
  readonly cell: (outcome: PolicyOutcome, result: RunResult | null) => string;
}

/** Everything that is printed for people. */
export function comparisonText(comparison: Comparison, widthMax: number): string {
  const parts = comparison.groups.map((group) => groupText(comparison, group, widthMax));
  parts.push(...failureText(comparison));
  for (const warning of comparison.warnings)
    parts.push(`${paint('yellow', 'Beware:')} ${warning}\n`);
  parts.push(`${paint('bold', wrapped(comparison.verdict, widthMax))}\n`);
  return parts.join('\n');
}

function groupText(comparison: Comparison, group: GroupRecord, widthMax: number): string {
  const { runs, policies, seeds } = comparison;
  const results = group.outcomes.map(({ representative }) => runs[representative]?.result ?? null);
  const sample = results.find((result) => result !== null) ?? null;
  const nameOf = (outcome: PolicyOutcome) => policies[outcome.policy]!.label;
  const columns = columnsOf(results, nameOf, seeds.length > 1);
  const baseline = group.baselineNs === null ? 'failed' : formatNs(group.baselineNs.median);
  const heading = paint('bold', groupLabel(comparison, group));
  const sizes = sample === null ? '' : `, ${capacities(sample).join(' + ')}`;
  const build = (shown: readonly TableColumn[]) =>
    formatTable(
      shown,
      group.outcomes.map((outcome, i) => {
        const cells = shown.map(({ cell }) => cell(outcome, results[i]!));
        return outcome.isBest ? cells.map((cell) => paint(['bold', 'green'], cell)) : cells;
      }),
    );
  const shares = cgroupText(comparison, group, widthMax);
  const table = fitted(columns, build, widthMax);
  return `${heading}${sizes}; all-DRAM takes ${baseline}\n${table}${shares}`;
}

function columnsOf(
  results: readonly (RunResult | null)[],
  nameOf: (outcome: PolicyOutcome) => string,
  hasSeeds: boolean,
): TableColumn[] {
  const sample = results.find((result) => result !== null) ?? null;
  const isDeferring = results.some((result) => (result?.migration.deferredPages ?? 0) > 0);
  const tier = (isToptier: boolean) => {
    const name = sample === null ? '' : tierName(sample, isToptier);
    return name || (isToptier ? 'fast' : 'slow');
  };
  const share = (title: string, rank: number, of: (result: RunResult) => number): TableColumn =>
    column(title, rank, (result) => percent(of(result) / result.time.totalNs));
  const pages = (title: string, rank: number, of: (result: RunResult) => number): TableColumn =>
    column(title, rank, (result) => formatCount(of(result)));
  return [
    { title: 'policy', rank: 0, align: 'left', cell: nameOf },
    {
      title: 'slowdown',
      rank: 0,
      align: 'right',
      cell: ({ slowdown }) => (slowdown === null ? 'failed' : formatSlowdown(slowdown.median)),
    },
    { title: '', rank: 0, align: 'left', cell: ({ isBest }) => (isBest ? 'best' : '') },
    ...(hasSeeds ? [rangeColumn()] : []),
    share('compute', 5, ({ time }) => time.computeNs),
    share(tier(true), 4, (result) => stallNs(result, true)),
    share(tier(false), 3, (result) => stallNs(result, false)),
    share('faults', 9, ({ time }) => time.faultNs),
    share('migr.', 6, ({ time }) => time.migrationNs),
    share('obs.', 11, ({ time }) => time.observationNs),
    column('hits', 0, ({ toptierHitRatio }) => percent(toptierHitRatio)),
    pages('promoted', 2, ({ migration }) => migration.promotedPages),
    pages('demoted', 7, ({ migration }) => migration.demotedPages),
    pages('ping-pong', 10, ({ migration }) => migration.pingPongPages),
    ...(isDeferring ? [pages('put off', 10, ({ migration }) => migration.deferredPages)] : []),
    pages('failed', 8, ({ migration }) => sumOf(migration.failures)),
    column('migr. traffic', 13, (result) => formatBytes(migrationBytes(result))),
    column('heat prec.', 12, ({ heat }) => (heat === null ? '–' : percent(heat.precision))),
    column('recall', 12, ({ heat }) => (heat === null ? '–' : percent(heat.recall))),
  ];
}

function column(title: string, rank: number, text: (result: RunResult) => string): TableColumn {
  const cell = (_: PolicyOutcome, result: RunResult | null) =>
    result === null ? '' : text(result);
  return { title, rank, align: 'right', cell };
}

function rangeColumn(): TableColumn {
  const cell = ({ slowdown }: PolicyOutcome) =>
    slowdown === null ? '' : `${slowdown.min.toFixed(2)}–${slowdown.max.toFixed(2)}`;
  return { title: 'min–max', rank: 1, align: 'right', cell };
}

/** Whole percent; what is there but rounds to nothing is said. */
function percent(share: number): string {
  if (!Number.isFinite(share) || share === 0) return '–';
  return share < 0.005 ? '<1%' : `${Math.round(100 * share)}%`;
}

function migrationBytes({ nodes }: RunResult): number {
  return nodes.reduce((sum, node) => sum + node.migrationWriteBytes, 0);
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
