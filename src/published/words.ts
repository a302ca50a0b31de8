/** Figures and marks as terminal and document print them. */
import type { Mark, PublishedTable, TableColumn } from './publishedTable.ts';
import type { Reproduction } from './reproduction.ts';

export const MARKS: Readonly<Record<Mark, string>> = {
  V: 'read in the source',
  R: 'recalled, not confirmed in the source',
  C: 'computed from figures that were read',
};

/** A line of a table: row, column, published, ours, deviation. */
export type FigureLine = readonly [string, string, string, string, string];

/**
 * Cells that were run or published, row by row; the column is '' where there is one. A published
 * figure carries its mark where that is not the table's.
 */
export function figureLines({ table, ours, judgement }: Reproduction): FigureLine[] {
  const { rows, columns } = table;
  return rows.flatMap(({ name, published, only, mark }, row) => {
    const shown = [...columns.keys()].filter((i) => {
      return published[i] !== null || only === null || only.includes(i);
    });
    return shown.map((i): FigureLine => {
      const column = columns[i]!;
      const theirs = figure(column, published[i] ?? null);
      const isMarked = mark !== table.mark && published[i] !== null;
      const own = figure(column, ours[row]![i] ?? null);
      const percent = deviationText(judgement.deviations[row]![i] ?? null);
      return [
        name,
        columnTitle(table, column),
        isMarked ? `${theirs} (${mark})` : theirs,
        own,
        percent,
      ];
    });
  });
}

export function columnTitle({ columns }: PublishedTable, { name, unit }: TableColumn): string {
  if (columns.length === 1) return unit;
  return unit === '' ? name : `${name}, ${unit}`;
}

export function figure({ digits }: TableColumn, value: number | null): string {
  return value === null ? '–' : value.toFixed(digits);
}

export function deviationText(share: number | null): string {
  if (share === null) return '–';
  const percent = (100 * share).toFixed(1);
  return `${Number(percent) > 0 ? '+' : ''}${Number(percent) === 0 ? '0.0' : percent} %`;
}

/** "agrees in shape: 4 of 4 rules hold; median deviation 3.2 %". */
export function agreementText({ judgement }: Reproduction): string {
  const { agreement, findings, medianDeviation } = judgement;
  const held = findings.filter(({ holds }) => holds).length;
  const size = medianDeviation === null ? '' : `; median deviation ${percentOf(medianDeviation)}`;
  return `${agreement}: ${held} of ${findings.length} rules hold${size}`;
}

function percentOf(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
