/**
 * FIFO lists over the rows of a table: every row is on one list or on none. Policies keep their
 * hot and cold pages in them (HeMem's {dram, nvm} x {hot, cold}, TI-40).
 *
 * Intrusive doubly linked lists in typed columns; all operations take constant time.
 */
import { assert } from '../base/assert.ts';
import { ROWS_INITIAL, resized } from './pageIndex.ts';

/** listOf a row that is on no list. */
export const NO_LIST = -1;

export class RowLists {
  /** Row -> list | NO_LIST. */
  listOf: Int8Array;
  /** List -> first and last row | -1, and its length. */
  readonly first: Int32Array;
  readonly last: Int32Array;
  readonly length: Int32Array;
  /** Row -> its neighbours on the list | -1. */
  #next: Int32Array;
  #prev: Int32Array;

  constructor(nrLists: number, capacity = ROWS_INITIAL) {
    this.listOf = new Int8Array(capacity).fill(NO_LIST);
    this.#next = new Int32Array(capacity);
    this.#prev = new Int32Array(capacity);
    this.first = new Int32Array(nrLists).fill(-1);
    this.last = new Int32Array(nrLists).fill(-1);
    this.length = new Int32Array(nrLists);
  }

  /** The row after `row` on its list, or -1. */
  next(row: number): number {
    return this.#next[row];
  }

  /** Takes the row off its list, if it is on one, and puts it at the end of `list`. */
  append(list: number, row: number): void {
    this.remove(row);
    const last = this.last[list];
    this.#prev[row] = last;
    this.#next[row] = -1;
    if (last >= 0) this.#next[last] = row;
    else this.first[list] = row;
    this.last[list] = row;
    this.listOf[row] = list;
    this.length[list]++;
  }

  /** As append, at the front. */
  prepend(list: number, row: number): void {
    this.remove(row);
    const first = this.first[list];
    this.#prev[row] = -1;
    this.#next[row] = first;
    if (first >= 0) this.#prev[first] = row;
    else this.last[list] = row;
    this.first[list] = row;
    this.listOf[row] = list;
    this.length[list]++;
  }

  /** Takes the row off its list, if it is on one. */
  remove(row: number): void {
    const list = this.listOf[row];
    if (list === NO_LIST) return;
    const next = this.#next[row];
    const prev = this.#prev[row];
    if (prev >= 0) this.#next[prev] = next;
    else this.first[list] = next;
    if (next >= 0) this.#prev[next] = prev;
    else this.last[list] = prev;
    this.listOf[row] = NO_LIST;
    this.length[list]--;
  }

  /** Makes room for rows below `capacity`. */
  reserve(capacity: number): void {
    const before = this.listOf.length;
    if (capacity <= before) return;
    assert(capacity < 2 ** 31, `lists over ${capacity} rows`);
    this.listOf = resized(this.listOf, new Int8Array(capacity).fill(NO_LIST));
    this.#next = resized(this.#next, new Int32Array(capacity));
    this.#prev = resized(this.#prev, new Int32Array(capacity));
  }
}
