/**
 * Counters beside the events of a run: free memory, and what programs and migrations read and wrote
 * of each node, as they are drawn over time (events/).
 */
import { type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import type { CounterTrack, EventRecorder } from '../events/index.ts';
import type { Kernel } from '../mm/index.ts';
import { NR_FREE_PAGES } from '../uapi/vmstat.ts';
import type { TierMoves } from './tierMoves.ts';

/** Time between two values of a counter. */
const PERIOD_NS = 1_000_000;
/** Of an access: a cache line. */
const LINE_BYTES = 64;
const KIB = 1024;

interface NodeCounters {
  readonly nid: number;
  readonly free: CounterTrack;
  readonly accessed: CounterTrack;
  readonly migratedFrom: CounterTrack;
  readonly migratedTo: CounterTrack;
}

/** Sums since the beginning, by node. */
export interface NodeSums {
  readonly reads: ArrayLike<number>;
  readonly writes: ArrayLike<number>;
}

export class EventCounters {
  readonly #k: Kernel;
  readonly #moves: TierMoves;
  readonly #sums: NodeSums;
  readonly #recorder: EventRecorder;
  readonly #nodes: readonly NodeCounters[];
  /** Last value of each track, by name: an equal one is not told again. */
  readonly #told: Map<string, number> = new Map();
  /** Sums at the last call, by name of the track. */
  readonly #before: Map<string, number> = new Map();
  #lastNs: Nanoseconds = -1;

  constructor(k: Kernel, moves: TierMoves, sums: NodeSums, recorder: EventRecorder) {
    this.#k = k;
    this.#moves = moves;
    this.#sums = sums;
    this.#recorder = recorder;
    this.#nodes = k.pm.nodes.filter((node) => node.online).map(({ nid }) => countersOf(nid));
  }

  /** Tells all counters, at most once a period. */
  advance(nowNs: Nanoseconds): void {
    if (this.#lastNs >= 0 && nowNs - this.#lastNs < PERIOD_NS) return;
    const elapsedNs = this.#lastNs < 0 ? 0 : nowNs - this.#lastNs;
    const sinceNs = Math.max(this.#lastNs, 0);
    this.#lastNs = nowNs;
    const { readBytes, writeBytes } = this.#moves;
    for (const { nid, free, accessed, migratedFrom, migratedTo } of this.#nodes) {
      this.#tell(nowNs, free, (this.#freePages(nid) * PAGE_SIZE) / KIB);
      if (elapsedNs === 0) continue;
      const lines = this.#sums.reads[nid] + this.#sums.writes[nid];
      this.#rate(sinceNs, elapsedNs, accessed, lines * LINE_BYTES);
      this.#rate(sinceNs, elapsedNs, migratedFrom, readBytes[nid]);
      this.#rate(sinceNs, elapsedNs, migratedTo, writeBytes[nid]);
    }
  }

  /** The last values; nothing comes after. */
  end(nowNs: Nanoseconds): void {
    this.#lastNs = Math.min(this.#lastNs, nowNs - PERIOD_NS);
    this.advance(nowNs);
    this.#recorder.end();
  }

  #freePages(nid: number): number {
    let pages = 0;
    for (const zone of this.#k.pm.nodes[nid].zones) {
      pages += this.#k.vmstat.zoneItem(zone.id, NR_FREE_PAGES);
    }
    return pages;
  }

  /** The mean rate of an interval stands at its beginning. */
  #rate(atNs: Nanoseconds, elapsedNs: Nanoseconds, track: CounterTrack, sum: number): void {
    const bytes = sum - (this.#before.get(track.name) ?? 0);
    this.#before.set(track.name, sum);
    this.#tell(atNs, track, (bytes * 1000) / elapsedNs);
  }

  #tell(atNs: Nanoseconds, track: CounterTrack, value: number): void {
    if (this.#told.get(track.name) === value) return;
    this.#told.set(track.name, value);
    this.#recorder.counter(atNs, track, value);
  }
}

function countersOf(nid: number): NodeCounters {
  return {
    nid,
    free: { name: `node ${nid} free`, unit: 'KiB' },
    accessed: { name: `node ${nid} accessed by programs`, unit: 'MB/s' },
    migratedFrom: { name: `node ${nid} migrated from`, unit: 'MB/s' },
    migratedTo: { name: `node ${nid} migrated to`, unit: 'MB/s' },
  };
}
