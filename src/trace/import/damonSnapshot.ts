/**
 * From DAMON's region snapshots to accesses: what the importers of damo's formats share.
 *
 * A snapshot says of each region of one target in how many of the sampling intervals a page of it
 * was seen accessed (nr_accesses). Made up from that: rounds, spread evenly over the snapshot's
 * time; in round r every region with nr_accesses > r has its pages read once, in address order. Of
 * large regions only every n-th page is taken, another n-th each snapshot, so that no snapshot
 * gives more than ACCESSES_MAX accesses.
 * Not modelled: writes, lines and the order within a snapshot, none of which DAMON knows; `age`.
 * Targets of physical address spaces keep physical addresses, as if one process mapped them so.
 */
import { makeHeader, type TraceHeader } from '../header.ts';
import { type ImportFeed, MAPPINGS_NOTE } from './importFeed.ts';

/** Accesses made up for one snapshot at most. */
const ACCESSES_MAX = 65536;
const PAGE_BYTES = 4096;

export interface DamonRegion {
  readonly start: number;
  readonly end: number;
  readonly nrAccesses: number;
}

export interface DamonSnapshot {
  readonly startNs: number;
  readonly endNs: number;
  readonly target: number;
  readonly regions: readonly DamonRegion[];
}

export function damonHeader(): TraceHeader {
  return makeHeader({
    recorder: { name: 'damo', version: '' },
    accessKind: 'synthetic',
    timeBase: { unit: 'nanoseconds', unitsPerSecond: 1e9 },
    notes: [
      MAPPINGS_NOTE,
      'made up from DAMON regions: nr_accesses reads of every n-th page per snapshot',
    ],
  });
}

/** Feeds snapshots in the order of their time. */
export class DamonFeed {
  readonly #feed: ImportFeed;
  #originNs = -1;
  #nrSnapshots = 0;
  // target id -> number from 1, which stands for a pid
  readonly #targets = new Map<number, number>();

  constructor(feed: ImportFeed) {
    this.#feed = feed;
  }

  snapshot(snapshot: DamonSnapshot): void {
    if (this.#originNs < 0) this.#originNs = snapshot.startNs;
    const number = this.#nrSnapshots++;
    if (!this.#targets.has(snapshot.target)) {
      this.#targets.set(snapshot.target, this.#targets.size + 1);
    }
    let nrRounds = 0;
    let nrAccesses = 0;
    for (const region of snapshot.regions) {
      nrRounds = Math.max(nrRounds, region.nrAccesses);
      nrAccesses += pagesOf(region) * Math.max(0, region.nrAccesses);
    }
    const every = Math.max(1, Math.ceil(nrAccesses / ACCESSES_MAX));
    const startNs = snapshot.startNs - this.#originNs;
    const roundNs = Math.max(0, snapshot.endNs - snapshot.startNs) / Math.max(1, nrRounds);
    for (let round = 0; round < nrRounds; round++) {
      const first = (number + round) % every;
      const accessed = snapshot.regions.filter((region) => region.nrAccesses > round);
      this.#round(snapshot.target, accessed, first, every, startNs + roundNs * round, roundNs);
    }
  }

  /** Reads each `every`-th page of `regions` from the `first`, evenly over `spanNs`. */
  #round(
    target: number,
    regions: readonly DamonRegion[],
    first: number,
    every: number,
    startNs: number,
    spanNs: number,
  ): void {
    const pid = this.#targets.get(target)!;
    const nrPages = regions.reduce((sum, region) => sum + pagesOf(region), 0);
    // `page` counts over all regions, so that small ones are not always left out
    let page = first;
    let before = 0;
    for (const region of regions) {
      const after = before + pagesOf(region);
      const start = Math.floor(region.start / PAGE_BYTES) - before;
      for (; page < after; page += every) {
        const clock = Math.max(0, Math.floor(startNs + (spanNs * page) / nrPages));
        const addr = (start + page) * PAGE_BYTES;
        this.#feed.access(pid, pid, clock, addr, 1, 0, `target ${target}`);
      }
      before = after;
    }
  }
}

function pagesOf(region: DamonRegion): number {
  const nrPages = Math.ceil(region.end / PAGE_BYTES) - Math.floor(region.start / PAGE_BYTES);
  return Math.max(0, nrPages);
}
