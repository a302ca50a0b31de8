/**
 * Time series of a run whose length nobody knows beforehand: starts with a fine interval and
 * halves its resolution whenever it is full, so that it ends with `points` to 2 * `points` values.
 */
import type { Nanoseconds } from '../base/units.ts';
import type { Kernel } from '../mm/index.ts';
import { NR_ANON_MAPPED, NR_FILE_MAPPED } from '../uapi/vmstat.ts';
import type { SeriesResult } from './runResult.ts';
import type { TierMoves } from './tierMoves.ts';

const FIRST_INTERVAL_NS = 1_000_000;

export class Series {
  readonly #k: Kernel;
  readonly #moves: TierMoves;
  readonly #capacity: number;
  readonly #nrNodes: number;
  readonly #traffic: number[][];
  readonly #resident: number[][];
  readonly #promoted: number[] = [];
  readonly #demoted: number[] = [];
  readonly #accesses: number[] = [];
  readonly #openTraffic: Float64Array;
  #openAccesses = 0;
  #seenPromoted = 0;
  #seenDemoted = 0;
  intervalNs: Nanoseconds = FIRST_INTERVAL_NS;
  /** End of the open interval. */
  nextNs: Nanoseconds = FIRST_INTERVAL_NS;
  readonly residentMax: Float64Array;
  /** Called when two neighbours become one: the heat map follows. */
  onMerge: () => void = () => {};
  onClose: () => void = () => {};

  constructor(k: Kernel, moves: TierMoves, points: number) {
    this.#k = k;
    this.#moves = moves;
    this.#capacity = points * 2;
    this.#nrNodes = k.pm.nodes.length;
    this.#traffic = Array.from({ length: this.#nrNodes }, () => []);
    this.#resident = Array.from({ length: this.#nrNodes }, () => []);
    this.#openTraffic = new Float64Array(this.#nrNodes);
    this.residentMax = new Float64Array(this.#nrNodes);
  }

  addTraffic(nid: number, bytes: number): void {
    this.#openTraffic[nid] += bytes;
  }

  addAccesses(n: number): void {
    this.#openAccesses += n;
  }

  /** Closes every interval that ended at or before `nowNs`. */
  advance(nowNs: Nanoseconds): void {
    while (nowNs >= this.nextNs) this.#close();
  }

  /** Mapped pages of programs on a node. */
  residentPages(nid: number): number {
    const { vmstat } = this.#k;
    return vmstat.nodeItem(nid, NR_ANON_MAPPED) + vmstat.nodeItem(nid, NR_FILE_MAPPED);
  }

  result(): SeriesResult {
    this.#close();
    return {
      intervalNs: this.intervalNs,
      residentPages: this.#resident,
      trafficBytes: this.#traffic,
      promotedPages: this.#promoted,
      demotedPages: this.#demoted,
      accesses: this.#accesses,
    };
  }

  #close(): void {
    for (let nid = 0; nid < this.#nrNodes; nid++) {
      const resident = this.residentPages(nid);
      if (resident > this.residentMax[nid]) this.residentMax[nid] = resident;
      this.#resident[nid].push(resident);
      this.#traffic[nid].push(this.#openTraffic[nid]);
      this.#openTraffic[nid] = 0;
    }
    this.#accesses.push(this.#openAccesses);
    this.#openAccesses = 0;
    this.#promoted.push(this.#moves.promotedPages - this.#seenPromoted);
    this.#demoted.push(this.#moves.demotedPages - this.#seenDemoted);
    this.#seenPromoted = this.#moves.promotedPages;
    this.#seenDemoted = this.#moves.demotedPages;
    this.onClose();
    if (this.#accesses.length === this.#capacity) this.#merge();
    this.nextNs += this.intervalNs;
  }

  #merge(): void {
    this.intervalNs *= 2;
    for (const column of [...this.#traffic, this.#promoted, this.#demoted, this.#accesses]) {
      mergePairs(column, (a, b) => a + b);
    }
    for (const column of this.#resident) mergePairs(column, (_a, b) => b);
    // The open interval starts at a multiple of the new length, since the count is even.
    this.onMerge();
  }
}

/** Every two neighbours become one. Preconditions: an even number of them. */
export function mergePairs(column: number[], merge: (a: number, b: number) => number): void {
  const half = column.length / 2;
  for (let i = 0; i < half; i++) column[i] = merge(column[2 * i], column[2 * i + 1]);
  column.length = half;
}
