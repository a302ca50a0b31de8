/** A table with our figures in it: the result of its runs as plain data, and what it says. */
import type { RunResult } from '../sim/index.ts';
import { cellsOf } from './cellRuns.ts';
import { type Figures, type Judgement, judge } from './judge.ts';
import { programMetric } from './metrics.ts';
import type { PublishedTable } from './publishedTable.ts';

export const REPRODUCTION_FORMAT = 'reproduction/1';

/** What a cell gave: a figure before scaling, a run, or why there is neither. */
export type CellOutcome =
  | { readonly figure: number }
  | { readonly result: RunResult }
  | { readonly failure: string };

/** `hetmem published NAME --json`, and all that docs/published.md is made of. */
export interface Reproduction {
  readonly format: typeof REPRODUCTION_FORMAT;
  readonly table: PublishedTable;
  /** In the columns' units. */
  readonly ours: Figures;
  readonly judgement: Judgement;
  /** Cells that gave nothing, with their reason; and what the runs warn of. */
  readonly failures: readonly string[];
  readonly warnings: readonly string[];
}

/** `outcomes` are those of cellsOf(table), in that order. */
export function reproduction(
  table: PublishedTable,
  outcomes: readonly CellOutcome[],
): Reproduction {
  const { columns, rows } = table;
  const raw: (number | null)[][] = rows.map(() => columns.map(() => null));
  for (const [i, { row, column }] of cellsOf(table).entries()) {
    const { metric, times } = columns[column]!;
    const figure = figureOf(outcomes[i]!, metric);
    raw[row]![column] = figure === null ? null : figure * times;
  }
  const ours = raw.map((line) => line.map((value, i) => relative(table, raw, value, i)));
  const failures = cellsOf(table).flatMap(({ row, column }, i) => {
    const outcome = outcomes[i]!;
    const name = `${rows[row]!.name} / ${columns[column]!.name}`;
    return 'failure' in outcome ? [`${name}: ${outcome.failure}`] : [];
  });
  const warnings = outcomes.flatMap((outcome) => {
    return 'result' in outcome ? outcome.result.warnings : [];
  });
  const judgement = judge(table, ours);
  const distinct = [...new Set(warnings)];
  return { format: REPRODUCTION_FORMAT, table, ours, judgement, failures, warnings: distinct };
}

function figureOf(outcome: CellOutcome, metric: string): number | null {
  if ('figure' in outcome) return outcome.figure;
  return 'result' in outcome ? programMetric(metric, outcome.result) : null;
}

function relative(
  { rows, columns }: PublishedTable,
  raw: Figures,
  value: number | null,
  column: number,
): number | null {
  const { relativeTo } = columns[column]!;
  if (relativeTo === null || value === null) return value;
  const base = raw[rows.findIndex(({ name }) => name === relativeTo)]?.[column] ?? null;
  return base === null ? null : value / base;
}
