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
import { type Column, formatTable } from './table.ts';

interface HeatColumn extends Column {
  readonly cell: (heat: HeatAccuracy, result: RunResult) => string;
}

const COLUMNS: readonly HeatColumn[] = [
  column('precision', ({ precision }) => percent(precision)),
  column('recall', ({ recall }) => percent(recall)),
  column('found', ({ found }) => percent(found)),
  column('lag', ({ lagNs }) => (lagNs === null ? '–' : formatNs(lagNs))),
  column('90 %', ({ lag90Ns }) => (lag90Ns === null ? '–' : formatNs(lag90Ns))),
  column('samples', ({ samples }) => formatCount(samples)),
  column('lost', ({ lost }) => orDash(lost)),
  column('stale', ({ stale }) => orDash(stale)),
  column('program pays', ({ programNs }, { time }) => percent(programNs / time.totalNs)),
  column('background', ({ backgroundNs }, { time }) => percent(backgroundNs / time.totalNs)),
];

/** Everything that is printed for people. */
export function heatText(comparison: Comparison): string {
  const parts = comparison.groups.map((group) => groupText(comparison, group));
  parts.push(...failureText(comparison));
  const warnings = [...new Set(comparison.warnings)];
  for (const warning of warnings) parts.push(`${paint('yellow', 'Beware:')} ${warning}\n`);
  parts.push(`${comparison.verdict}\n`);
  parts.push(
    'Times of the program and of background CPUs are shares of the run; 100% = one CPU.\n',
  );
  return parts.join('\n');
}

function groupText(comparison: Comparison, group: GroupRecord): string {
  const { runs, policies } = comparison;
  const rows = group.outcomes.map(({ policy, representative }) => {
    const result = runs[representative]?.result ?? null;
    const heat = result?.heat ?? null;
    const label = policies[policy]!.label;
    if (result === null || heat === null) return [label, ...COLUMNS.map(() => '')];
    return [label, ...COLUMNS.map(({ cell }) => cell(heat, result))];
  });
  const heading = paint('bold', groupLabel(comparison, group));
  return `${heading}\n${formatTable([{ title: 'source' }, ...COLUMNS], rows)}`;
}

function column(title: string, cell: HeatColumn['cell']): HeatColumn {
  return { title, align: 'right', cell };
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
