/**
 * Heat sources on the terminal: a table for each workload and machine, of the run with the median
 * time over the seeds. The figures are told in docs/model/heat.md.
 */
import {
  type Comparison,
  formatCount,
  formatNs,
  type GroupRecord,
  groupLabel,
  type HeatAccuracy,
  type RunResult,
} from '../experiment/index.ts';
import { failureText } from './failureText.ts';
import { paint } from './paint.ts';
import { fitted, formatTable, type RankedColumn } from './table.ts';
import { wrapped } from './textWidth.ts';

interface HeatColumn extends RankedColumn {
  readonly cell: (heat: HeatAccuracy, result: RunResult) => string;
}

const COLUMNS: readonly HeatColumn[] = [
  column('precision', 0, ({ precision }) => percent(precision)),
  column('recall', 0, ({ recall }) => percent(recall)),
  column('found', 1, ({ found }) => percent(found)),
  column('lag', 0, ({ lagNs }) => (lagNs === null ? '–' : formatNs(lagNs))),
  column('90 %', 5, ({ lag90Ns }) => (lag90Ns === null ? '–' : formatNs(lag90Ns))),
  column('samples', 4, ({ samples }) => formatCount(samples)),
  column('lost', 3, ({ lost }) => orDash(lost)),
  column('stale', 2, ({ stale }) => orDash(stale)),
  column('program pays', 0, ({ programNs }, { time }) => percent(programNs / time.totalNs)),
  column('background', 0, ({ backgroundNs }, { time }) => percent(backgroundNs / time.totalNs)),
];

/** Everything that is printed for people. */
export function heatText(comparison: Comparison, widthMax: number): string {
  const parts = comparison.groups.map((group) => groupText(comparison, group, widthMax));
  parts.push(...failureText(comparison));
  const warnings = [...new Set(comparison.warnings)];
  for (const warning of warnings) parts.push(`${paint('yellow', 'Beware:')} ${warning}\n`);
  parts.push(`${wrapped(comparison.verdict, widthMax)}\n`);
  const shares =
    'Times of the program and of background CPUs are shares of the run; 100% = one CPU.';
  parts.push(`${wrapped(shares, widthMax)}\n`);
  return parts.join('\n');
}

function groupText(comparison: Comparison, group: GroupRecord, widthMax: number): string {
  const { runs, policies } = comparison;
  const rowsOf = (shown: readonly HeatColumn[]) =>
    group.outcomes.map(({ policy, representative }) => {
      const result = runs[representative]?.result ?? null;
      const heat = result?.heat ?? null;
      const label = policies[policy]!.label;
      if (result === null || heat === null) return [label, ...shown.map(() => '')];
      return [label, ...shown.map(({ cell }) => cell(heat, result))];
    });
  const build = (shown: readonly HeatColumn[]) =>
    formatTable([{ title: 'source' }, ...shown], rowsOf(shown));
  const heading = paint('bold', groupLabel(comparison, group));
  return `${heading}\n${fitted(COLUMNS, build, widthMax)}`;
}

function column(title: string, rank: number, cell: HeatColumn['cell']): HeatColumn {
  return { title, rank, align: 'right', cell };
}

/** What is there but rounds to nothing is said. */
function percent(share: number): string {
  if (share === 0) return '–';
  if (share < 0.0005) return '<0.1%';
  return share < 0.0995 ? `${(100 * share).toFixed(1)}%` : `${Math.round(100 * share)}%`;
}

function orDash(count: number): string {
  return count === 0 ? '–' : formatCount(count);
}
