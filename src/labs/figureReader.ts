/**
 * Figures as verdicts read them: a value by figure, row and column. A name that is not there is a
 * bug of the lab, not a missing value.
 */
import { assert } from '../base/assert.ts';
import type { Cell, Figure, PublishedFigure } from './lab.ts';

export class FigureReader {
  readonly #figures: readonly Figure[];
  readonly published: readonly PublishedFigure[];

  constructor(figures: readonly Figure[], published: readonly PublishedFigure[] = []) {
    this.#figures = figures;
    this.published = published;
  }

  figure(id: string): Figure {
    const found = this.#figures.find((figure) => figure.id === id);
    assert(found !== undefined, `a lab has no figure ${id}`);
    return found;
  }

  /** The number in `column` of the first row that begins with `key`. */
  number(id: string, key: readonly Cell[], column: string): number {
    const cell = this.#cell(id, key, column);
    assert(typeof cell === 'number', `${id}, ${key.join(' ')}: ${column} is no number`);
    return cell;
  }

  text(id: string, key: readonly Cell[], column: string): string {
    return String(this.#cell(id, key, column) ?? '');
  }

  /** A whole column of numbers, top to bottom; what was not measured is left out. */
  column(id: string, column: string): number[] {
    const figure = this.figure(id);
    const at = placeOf(figure, column);
    return figure.rows.flatMap((row) => (typeof row[at] === 'number' ? [row[at]] : []));
  }

  #cell(id: string, key: readonly Cell[], column: string): Cell {
    const figure = this.figure(id);
    const row = figure.rows.find((cells) => key.every((part, i) => cells[i] === part));
    assert(row !== undefined, `${id} has no row ${key.join(' ')}`);
    return row[placeOf(figure, column)];
  }
}

/** The index of a column. */
export function placeOf(figure: Figure, column: string): number {
  const at = figure.columns.findIndex(({ name }) => name === column);
  assert(at >= 0, `${figure.id} has no column ${column}`);
  return at;
}

/** A number with `digits` after the point at most: 12.50 -> "12.5". */
export function decimal(value: number, digits = 1): string {
  return String(Number(value.toFixed(digits)));
}

/** Rounded for a table. */
export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
