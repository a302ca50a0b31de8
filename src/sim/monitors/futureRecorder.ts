/**
 * The future as a source: reads a whole trace before it is replayed and keeps, for each window of
 * it, how often every page will be accessed. What the oracle plans with. Only the simulator can.
 *
 * A window is a stretch of the trace with the same number of accesses, so it does not depend on how
 * long they take. Of each window the `rowsMax` hottest pages are kept: what cannot fit the fast
 * memory anyway need not be ranked. Memory: 12 bytes a row and window.
 */
import { assert } from '../../base/assert.ts';
import type { FutureTable } from '../../policy/index.ts';
import { EVENT, REGION_PAGES, SLICE, type TraceSource } from '../../trace/index.ts';

/** One window's hottest pages, hottest first: process of the trace, page, accesses. */
interface Window {
  readonly process: Uint16Array;
  readonly vpn: Float64Array;
  readonly accesses: Uint32Array;
}

export class FutureRecorder {
  readonly #windows: Window[] = [];
  readonly #windowAccesses: number;
  /** Process of the trace -> accesses by dense page (region * 512 + page in region). */
  readonly #counts: Uint32Array[] = [];
  readonly #rowsMax: number;

  /**
   * Reads `source` to its end and rewinds it.
   * Preconditions: at least one window and one row.
   */
  constructor(source: TraceSource, nrWindows: number, rowsMax: number) {
    assert(nrWindows >= 1 && rowsMax >= 1, 'a future has windows and rows');
    this.#rowsMax = rowsMax;
    source.rewind();
    const total = source.totals?.accesses ?? countAccesses(source);
    this.#windowAccesses = Math.max(1, Math.ceil(total / nrWindows));
    this.#read(source);
    source.rewind();
  }

  get nrWindows(): number {
    return this.#windows.length;
  }

  /** The window that holds the access with this number, counted from 0. */
  windowAt(accesses: number): number {
    const window = Math.floor(accesses / this.#windowAccesses);
    return Math.min(window, Math.max(0, this.#windows.length - 1));
  }

  /** A window with pids for the trace's processes; pid -1 (not running yet) matches no page. */
  tableOf(window: number, pidOf: (process: number) => number): FutureTable {
    const rows = this.#windows[window];
    const nrRows = rows === undefined ? 0 : rows.vpn.length;
    const pid = new Int32Array(nrRows);
    const accesses = new Float64Array(nrRows);
    for (let i = 0; i < nrRows; i++) {
      pid[i] = pidOf(rows.process[i]);
      accesses[i] = rows.accesses[i];
    }
    return { window, nrRows, pid, vpn: rows?.vpn ?? new Float64Array(0), accesses };
  }

  #read(source: TraceSource): void {
    let left = this.#windowAccesses;
    for (let item = source.next(); item === SLICE || item === EVENT; item = source.next()) {
      if (item === EVENT) continue;
      const { pid, count, page, weight } = source.slice;
      this.#reserve(pid, source.regionCount(pid) * REGION_PAGES);
      const counts = this.#counts[pid];
      for (let i = 0; i < count; i++) {
        counts[page[i] >>> 1] += weight[i];
        left -= weight[i];
      }
      // A window ends with a slice: a slice is short against it.
      if (left > 0) continue;
      this.#close(source);
      left += this.#windowAccesses;
      while (left <= 0) {
        this.#windows.push({
          process: new Uint16Array(0),
          vpn: new Float64Array(0),
          accesses: new Uint32Array(0),
        });
        left += this.#windowAccesses;
      }
    }
    if (left < this.#windowAccesses) this.#close(source);
  }

  #reserve(process: number, pages: number): void {
    for (let p = this.#counts.length; p <= process; p++) this.#counts.push(new Uint32Array(0));
    const before = this.#counts[process];
    if (pages <= before.length) return;
    const larger = new Uint32Array(Math.max(pages, before.length * 2));
    larger.set(before);
    this.#counts[process] = larger;
  }

  /** Ranks what the window counted, and starts the next one at zero. */
  #close(source: TraceSource): void {
    const process: number[] = [];
    const vpn: number[] = [];
    const accesses: number[] = [];
    for (const [p, counts] of this.#counts.entries()) {
      const base = source.regionBase(p);
      for (let i = 0; i < counts.length; i++) {
        if (counts[i] === 0) continue;
        process.push(p);
        vpn.push(base[Math.floor(i / REGION_PAGES)] + (i % REGION_PAGES));
        accesses.push(counts[i]);
      }
      counts.fill(0);
    }
    this.#windows.push(this.#ranked(process, vpn, accesses));
  }

  /** Ties by process, then page: independent of the order in which regions appeared. */
  #ranked(process: number[], vpn: number[], accesses: number[]): Window {
    const order = Int32Array.from(vpn.keys());
    order.sort((a, b) => accesses[b] - accesses[a] || process[a] - process[b] || vpn[a] - vpn[b]);
    const n = Math.min(order.length, this.#rowsMax);
    const window = {
      process: new Uint16Array(n),
      vpn: new Float64Array(n),
      accesses: new Uint32Array(n),
    };
    for (let i = 0; i < n; i++) {
      window.process[i] = process[order[i]];
      window.vpn[i] = vpn[order[i]];
      window.accesses[i] = accesses[order[i]];
    }
    return window;
  }
}

/** For sources that do not know their length. */
function countAccesses(source: TraceSource): number {
  let total = 0;
  for (let item = source.next(); item === SLICE || item === EVENT; item = source.next()) {
    if (item === SLICE) total += source.slice.accesses;
  }
  source.rewind();
  return total;
}
