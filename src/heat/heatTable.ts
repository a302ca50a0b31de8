/**
 * What a heat source saw of pages: one row per page with reads, writes, the time of the last one
 * and where the page was. The table a monitor fills and a policy reads through its view.
 *
 * Counts are what was *seen* (samples, hint faults, accessed bits), not estimates of accesses: to
 * estimate, multiply by the source's period (HS-30).
 * A row's page may be a base page or, for what is seen a huge page at a time, the first page of
 * `nrPages`.
 *
 * Sources that report by physical address (HS-99) have tables of frames: pid is PHYSICAL_PID and
 * vpn the PFN. Such rows can become false; the generation of the frame tells (PP-60).
 */
import type { Nanoseconds, Nid, Pfn, Vpn } from '../base/units.ts';
import { PageIndex, ROWS_INITIAL, resized } from './pageIndex.ts';

/** pid of rows that name frames: no process has it. */
export const PHYSICAL_PID = 0;

/** Read-only side: what views hand to policies. Valid rows: [0, nrRows) with pid >= 0. */
export interface HeatView {
  readonly nrRows: number;
  /** Rows in use. */
  readonly nrSeen: number;
  readonly pid: Int32Array;
  readonly vpn: Float64Array;
  /** Base pages that the row stands for. */
  readonly nrPages: Int32Array;
  readonly reads: Uint32Array;
  readonly writes: Uint32Array;
  readonly lastSeenNs: Float64Array;
  /** Node at the time of the last sighting; -1 = the source cannot tell. */
  readonly nid: Int8Array;
  /** What the frame held when it was seen first; 0 = not known, as in rows of processes. */
  readonly generation: Uint32Array;
  /** The row of a page, or -1. */
  find(pid: number, vpn: Vpn): number;
}

export class HeatTable implements HeatView {
  readonly #index: PageIndex;
  nrPages: Int32Array;
  reads: Uint32Array;
  writes: Uint32Array;
  lastSeenNs: Float64Array;
  nid: Int8Array;
  generation: Uint32Array;

  /** `capacity` rows to begin with, a power of two; doubles when full. */
  constructor(capacity = ROWS_INITIAL) {
    this.#index = new PageIndex(capacity);
    this.nrPages = new Int32Array(capacity);
    this.reads = new Uint32Array(capacity);
    this.writes = new Uint32Array(capacity);
    this.lastSeenNs = new Float64Array(capacity);
    this.nid = new Int8Array(capacity);
    this.generation = new Uint32Array(capacity);
  }

  get nrRows(): number {
    return this.#index.nrRows;
  }

  get nrSeen(): number {
    return this.#index.nrPages;
  }

  get pid(): Int32Array {
    return this.#index.pid;
  }

  get vpn(): Float64Array {
    return this.#index.vpn;
  }

  find(pid: number, vpn: Vpn): number {
    return this.#index.find(pid, vpn);
  }

  /** Adds sightings of a page; returns its row. */
  see(
    pid: number,
    vpn: Vpn,
    nrPages: number,
    reads: number,
    writes: number,
    nid: Nid,
    nowNs: Nanoseconds,
  ): number {
    const before = this.#index.nrPages;
    const row = this.#index.insert(pid, vpn);
    if (this.#index.nrPages > before) this.#open(row);
    this.nrPages[row] = nrPages;
    this.reads[row] += reads;
    this.writes[row] += writes;
    this.nid[row] = nid;
    this.lastSeenNs[row] = nowNs;
    return row;
  }

  /**
   * Adds sightings of the content that a frame had then; returns its row. What was seen of an
   * earlier content is forgotten.
   */
  seeFrame(
    pfn: Pfn,
    nrPages: number,
    generation: number,
    reads: number,
    writes: number,
    nid: Nid,
    nowNs: Nanoseconds,
  ): number {
    const page: number = pfn;
    const known = this.find(PHYSICAL_PID, page);
    if (known >= 0 && this.generation[known] !== generation) this.#open(known);
    const row = this.see(PHYSICAL_PID, page, nrPages, reads, writes, nid, nowNs);
    this.generation[row] = generation;
    return row;
  }

  /** Adds every row of `other`. */
  addAll(other: HeatView): void {
    const { pid, vpn, nrPages, generation, reads, writes, nid, lastSeenNs } = other;
    for (let r = 0; r < other.nrRows; r++) {
      if (pid[r] < 0) continue;
      if (pid[r] === PHYSICAL_PID) {
        const content = generation[r];
        this.seeFrame(vpn[r], nrPages[r], content, reads[r], writes[r], nid[r], lastSeenNs[r]);
      } else this.see(pid[r], vpn[r], nrPages[r], reads[r], writes[r], nid[r], lastSeenNs[r]);
    }
  }

  /** Forgets the pages of a process that is gone. */
  forget(pid: number): void {
    for (let row = 0; row < this.nrRows; row++) {
      if (this.pid[row] === pid) this.#index.remove(row);
    }
  }

  clear(): void {
    this.#index.clear();
  }

  #open(row: number): void {
    if (row >= this.reads.length) this.#grow();
    this.reads[row] = 0;
    this.writes[row] = 0;
    this.generation[row] = 0;
  }

  #grow(): void {
    const capacity = this.#index.capacity;
    this.nrPages = resized(this.nrPages, new Int32Array(capacity));
    this.reads = resized(this.reads, new Uint32Array(capacity));
    this.writes = resized(this.writes, new Uint32Array(capacity));
    this.lastSeenNs = resized(this.lastSeenNs, new Float64Array(capacity));
    this.nid = resized(this.nid, new Int8Array(capacity));
    this.generation = resized(this.generation, new Uint32Array(capacity));
  }
}
