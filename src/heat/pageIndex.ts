/**
 * Which row a page has: a hash table from (pid, vpn) to dense row numbers, for tables of heat.
 *
 * Linear probing over typed columns; rows are stable until removed and reused last-freed first.
 * Columns double when full, so owners keep their own columns as long as `capacity`.
 * A key may stand for more than a base page (a 2 MiB range by its first page): the owner decides.
 *
 * Order: rows are given out in the order of insertion, so walking rows is deterministic. Walks over
 * memory come by in one order: where the row after the last one is asked for, nothing is hashed.
 */
import { assert } from '../base/assert.ts';
import type { Vpn } from '../base/units.ts';

/** pid of a row that is not in use. */
export const NO_PID = -1;

/** Rows a table has room for at first, unless told otherwise. */
export const ROWS_INITIAL = 1024;

export class PageIndex {
  /** Row -> pid | NO_PID. */
  pid: Int32Array;
  /** Row -> first page. */
  vpn: Float64Array;
  /** Rows that were ever in use: walk [0, nrRows) and skip those with pid NO_PID. */
  nrRows = 0;
  /** Rows in use. */
  nrPages = 0;
  /** Slot -> row | -1; twice the capacity, a power of two. */
  #slots: Int32Array;
  #mask: number;
  /** Free row -> next free row | -1. */
  #nextFree: Int32Array;
  #firstFree = -1;
  /** Row that was asked for last. */
  #last = 0;

  /** `capacity` rows to begin with, a power of two. */
  constructor(capacity = ROWS_INITIAL) {
    assert(capacity > 0 && (capacity & (capacity - 1)) === 0, `capacity ${capacity}: power of two`);
    this.pid = new Int32Array(capacity).fill(NO_PID);
    this.vpn = new Float64Array(capacity);
    this.#nextFree = new Int32Array(capacity);
    this.#slots = new Int32Array(capacity * 2).fill(-1);
    this.#mask = capacity * 2 - 1;
  }

  /** Rows there is room for; owners' columns have this length. */
  get capacity(): number {
    return this.pid.length;
  }

  /** The row of a page, or -1. */
  find(pid: number, vpn: Vpn): number {
    const near = this.#near(pid, vpn);
    if (near >= 0) return near;
    for (let slot = hashPage(pid, vpn) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const row = this.#slots[slot];
      if (row < 0) return -1;
      if (this.vpn[row] === vpn && this.pid[row] === pid) return this.#asked(row);
    }
  }

  /** The row of a page if it is the last one that was asked for, or the one after it; or -1. */
  #near(pid: number, vpn: Vpn): number {
    for (let row = this.#last; row < this.#last + 2 && row < this.nrRows; row++) {
      if (this.vpn[row] === vpn && this.pid[row] === pid) return this.#asked(row);
    }
    return -1;
  }

  #asked(row: number): number {
    this.#last = row;
    return row;
  }

  /**
   * The row of a page, made if needed: compare `nrPages` before and after to know which. May
   * double `capacity`.
   */
  insert(pid: number, vpn: Vpn): number {
    const near = this.#near(pid, vpn);
    if (near >= 0) return near;
    let slot = hashPage(pid, vpn) & this.#mask;
    for (; ; slot = (slot + 1) & this.#mask) {
      const row = this.#slots[slot];
      if (row < 0) break;
      if (this.vpn[row] === vpn && this.pid[row] === pid) return this.#asked(row);
    }
    let row = this.#firstFree;
    if (row >= 0) {
      this.#firstFree = this.#nextFree[row];
    } else {
      if (this.nrRows === this.capacity) {
        this.#grow();
        slot = this.#freeSlot(pid, vpn);
      }
      row = this.nrRows++;
    }
    this.#slots[slot] = row;
    this.pid[row] = pid;
    this.vpn[row] = vpn;
    this.nrPages++;
    return this.#asked(row);
  }

  /** Forgets the page of a row. Preconditions: the row is in use. */
  remove(row: number): void {
    let hole = hashPage(this.pid[row], this.vpn[row]) & this.#mask;
    while (this.#slots[hole] !== row) hole = (hole + 1) & this.#mask;
    // Entries behind the hole move up, unless they would pass their own home slot.
    for (let slot = (hole + 1) & this.#mask; this.#slots[slot] >= 0; ) {
      const other = this.#slots[slot];
      const home = hashPage(this.pid[other], this.vpn[other]) & this.#mask;
      if (((slot - home) & this.#mask) >= ((slot - hole) & this.#mask)) {
        this.#slots[hole] = other;
        hole = slot;
      }
      slot = (slot + 1) & this.#mask;
    }
    this.#slots[hole] = -1;
    this.pid[row] = NO_PID;
    this.#nextFree[row] = this.#firstFree;
    this.#firstFree = row;
    this.nrPages--;
  }

  /** Forgets everything; keeps the memory. */
  clear(): void {
    this.pid.fill(NO_PID, 0, this.nrRows);
    if (this.nrPages > 0) this.#slots.fill(-1);
    this.nrRows = 0;
    this.nrPages = 0;
    this.#firstFree = -1;
  }

  #freeSlot(pid: number, vpn: Vpn): number {
    let slot = hashPage(pid, vpn) & this.#mask;
    while (this.#slots[slot] >= 0) slot = (slot + 1) & this.#mask;
    return slot;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    this.pid = resized(this.pid, new Int32Array(capacity).fill(NO_PID));
    this.vpn = resized(this.vpn, new Float64Array(capacity));
    this.#nextFree = resized(this.#nextFree, new Int32Array(capacity));
    this.#slots = new Int32Array(capacity * 2).fill(-1);
    this.#mask = capacity * 2 - 1;
    for (let row = 0; row < this.nrRows; row++) {
      if (this.pid[row] === NO_PID) continue;
      this.#slots[this.#freeSlot(this.pid[row], this.vpn[row])] = row;
    }
  }
}

/** `to`, which is at least as long, with the contents of `from` in front. */
export function resized<T extends TypedColumn>(from: T, to: T): T {
  to.set(from as never);
  return to;
}

export type TypedColumn =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float64Array;

/** Mixes all bits of pid and page number (35 bits); multiplicative, with a final avalanche. */
function hashPage(pid: number, vpn: Vpn): number {
  const high = Math.floor(vpn / 4294967296);
  const low = vpn - high * 4294967296;
  let h = Math.imul(low | 0, 0x9e3779b1) ^ Math.imul(pid * 64 + high, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}
