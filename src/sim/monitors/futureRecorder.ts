/**
 * The future as a source: reads a whole trace before it is replayed and keeps, for each window of
 * it, how often every page will be accessed. What the oracle plans with. Only the simulator can.
 *
 * A window is a stretch of the trace with the same number of accesses, so it does not depend on how
 * long they take. Of each window the hottest pages are kept, as many as asked for and as memory
 * allows (`ROWS_TOTAL` over all windows, 10 bytes each); `isTruncated` tells when that was fewer
 * than there were.
 */
import { assert } from '../../base/assert.ts';
import type { FutureTable } from '../../policy/index.ts';
import { EVENT, REGION_PAGES, SLICE, type TraceSource } from '../../trace/index.ts';

/** One window's hottest pages, hottest first: process of the trace, dense page, accesses. */
interface Window {
  readonly process: Uint16Array;
  readonly page: Uint32Array;
  readonly accesses: Uint32Array;
}

const EMPTY_WINDOW: Window = {
  process: new Uint16Array(0),
  page: new Uint32Array(0),
  accesses: new Uint32Array(0),
};

/** Rows of all windows together: 160 MB. */
const ROWS_TOTAL = 1 << 24;

export class FutureRecorder {
  /** A window had more pages than were kept. */
  isTruncated = false;
  readonly #windows: Window[] = [];
  readonly #windowAccesses: number;
  /** Process of the trace -> accesses by dense page (region * 512 + page in region). */
  readonly #counts: Uint32Array[] = [];
  /** Process of the trace -> first page of each region, as known at the end of the trace. */
  readonly #bases: Float64Array[] = [];
  readonly #rowsMax: number;

  /**
   * Reads `source` to its end and rewinds it.
   * Preconditions: at least one window and one row.
   */
  constructor(source: TraceSource, nrWindows: number, rowsMax: number) {
    assert(nrWindows >= 1 && rowsMax >= 1, 'a future has windows and rows');
    this.#rowsMax = Math.min(rowsMax, Math.ceil(ROWS_TOTAL / nrWindows));
    source.rewind();
    const total = source.totals?.accesses ?? countAccesses(source);
    this.#windowAccesses = Math.max(1, Math.ceil(total / nrWindows));
    this.#read(source);
    source.rewind();
  }

  get nrProcesses(): number {
    return this.#counts.length;
  }

  get nrWindows(): number {
    return this.#windows.length;
  }

  /** The window that holds the access with this number, counted from 0. */
  windowAt(accesses: number): number {
    const window = Math.floor(accesses / this.#windowAccesses);
    return Math.min(window, Math.max(0, this.#windows.length - 1));
  }

  /** A window with pids for the trace's processes; pid -1 (not running) matches no page. */
  tableOf(window: number, pidOf: (process: number) => number): FutureTable {
    const rows = this.#windows[window] ?? EMPTY_WINDOW;
    const nrRows = rows.page.length;
    const pids = Int32Array.from(this.#counts, (_, process) => pidOf(process));
    const pid = new Int32Array(nrRows);
    const vpn = new Float64Array(nrRows);
    for (let i = 0; i < nrRows; i++) {
      const page = rows.page[i];
      pid[i] = pids[rows.process[i]];
      vpn[i] =
        this.#bases[rows.process[i]][Math.floor(page / REGION_PAGES)] + (page % REGION_PAGES);
    }
    return { window, nrRows, pid, vpn, accesses: Float64Array.from(rows.accesses) };
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
      for (; left <= 0; left += this.#windowAccesses) this.#windows.push(EMPTY_WINDOW);
    }
    if (left < this.#windowAccesses) this.#close(source);
    for (let process = 0; process < this.#counts.length; process++) {
      this.#bases.push(source.regionBase(process).slice(0, source.regionCount(process)));
    }
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
    const page: number[] = [];
    const accesses: number[] = [];
    for (const [p, counts] of this.#counts.entries()) {
      for (const region of regionsByAddress(source, p)) {
        for (let i = region * REGION_PAGES; i < (region + 1) * REGION_PAGES; i++) {
          if (counts[i] === 0) continue;
          process.push(p);
          page.push(i);
          accesses.push(counts[i]);
        }
      }
      counts.fill(0);
    }
    this.#windows.push(this.#ranked(process, page, accesses));
  }

  /** Most accesses first, ties in the order given: by process, then address. */
  #ranked(process: number[], page: number[], accesses: number[]): Window {
    const all = accesses.length;
    // One number a row, exact below 2^53: what is left of the most a count can be, then its place.
    let places = 1;
    while (places < all) places *= 2;
    const most = 2 ** 53 / places - 1;
    const keys = new Float64Array(all);
    for (let i = 0; i < all; i++) keys[i] = Math.max(0, most - accesses[i]) * places + i;
    keys.sort();
    const n = Math.min(all, this.#rowsMax);
    if (n < all) this.isTruncated = true;
    const order = Int32Array.from({ length: n }, (_, row) => keys[row] % places);
    const column = (values: readonly number[]) => (_: unknown, row: number) => values[order[row]];
    return {
      process: Uint16Array.from(order, column(process)),
      page: Uint32Array.from(order, column(page)),
      accesses: Uint32Array.from(order, column(accesses)),
    };
  }
}

function regionsByAddress(source: TraceSource, process: number): Int32Array {
  const base = source.regionBase(process);
  const regions = Int32Array.from({ length: source.regionCount(process) }, (_, region) => region);
  return regions.sort((a, b) => base[a] - base[b]);
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
