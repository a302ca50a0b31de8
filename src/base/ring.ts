/**
 * The last N rows of something: a table of numbers that forgets its oldest row when it is full and
 * counts what it forgot, as the kernel's trace buffers do (kernel/trace/ring_buffer.c in overwrite
 * mode). Rows are `width` numbers in one Float64Array; nothing is allocated per row.
 */
import { assert } from './assert.ts';

export class Ring {
  readonly width: number;
  /** Most rows that are kept. */
  readonly capacity: number;
  readonly #cells: Float64Array;
  /** Rows pushed since construction or clear. */
  #nrPushed = 0;

  constructor(width: number, capacity: number) {
    assert(width > 0 && capacity > 0, `a ring of ${capacity} rows of ${width}`);
    this.width = width;
    this.capacity = capacity;
    this.#cells = new Float64Array(width * capacity);
  }

  /** Rows that can be read. */
  get length(): number {
    return Math.min(this.#nrPushed, this.capacity);
  }

  /** Rows that were overwritten. */
  get nrLost(): number {
    return this.#nrPushed - this.length;
  }

  /** Opens a row, overwriting the oldest if full; fill it with `set`. All columns are 0. */
  push(): void {
    const start = (this.#nrPushed % this.capacity) * this.width;
    this.#cells.fill(0, start, start + this.width);
    this.#nrPushed++;
  }

  /** Writes a column of the newest row. */
  set(column: number, value: number): void {
    assert(this.#nrPushed > 0 && column < this.width, `column ${column} of a ring`);
    this.#cells[((this.#nrPushed - 1) % this.capacity) * this.width + column] = value;
  }

  /** A column of row `row`, where row 0 is the oldest that is kept. */
  get(row: number, column: number): number {
    assert(row >= 0 && row < this.length && column < this.width, `row ${row} of a ring`);
    const at = (this.#nrPushed - this.length + row) % this.capacity;
    return this.#cells[at * this.width + column];
  }

  clear(): void {
    this.#nrPushed = 0;
  }
}
