/** Figures as drawings read them, on the terminal and in reports: bars, curves, units. */
import { placeOf } from './figureReader.ts';
import type { Cell, Drawing, Figure } from './lab.ts';

type Bars = Drawing & { readonly kind: 'bars' };
type Curves = Drawing & { readonly kind: 'curves' };

export interface Bar {
  readonly labels: readonly string[];
  /** By part; what was not measured is 0. */
  readonly values: readonly number[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A bar a row. */
export function barsOf(figure: Figure, { labels, parts }: Bars): Bar[] {
  return figure.rows.map((row) => ({
    labels: labels.map((name) => String(row[placeOf(figure, name)] ?? '')),
    values: parts.map(({ column }) => numberOf(row[placeOf(figure, column)])),
  }));
}

/** The points of each series; without those that logarithmic axes have no place for. */
export function curvesOf(figure: Figure, { x: across, series, isLog }: Curves): Point[][] {
  return series.map(({ column }) => {
    return figure.rows.flatMap((row): Point[] => {
      const [x, y] = [row[placeOf(figure, across)], row[placeOf(figure, column)]];
      if (typeof x !== 'number' || typeof y !== 'number') return [];
      return isLog === true && (x <= 0 || y <= 0) ? [] : [{ x, y }];
    });
  });
}

export function unitOf(figure: Figure, column: string): string {
  return figure.columns[placeOf(figure, column)].unit;
}

function numberOf(cell: Cell): number {
  return typeof cell === 'number' ? cell : 0;
}
