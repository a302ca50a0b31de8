/**
 * Threads' own clocks. A trace says in which order the threads ran but not when one waited for
 * another, so a thread that lags behind the machine by more than a window is taken to have waited.
 */
import type { Nanoseconds } from '../base/units.ts';

/** How far a running thread may lag behind the latest one before it counts as having waited. */
export const LAG_NS = 2_000_000;

/** Where a thread's time went. */
export class ThreadTime {
  nowNs: Nanoseconds;
  computeNs: Nanoseconds = 0;
  /** By nid. */
  readonly stallNs: Float64Array;
  faultNs: Nanoseconds = 0;
  migrationNs: Nanoseconds = 0;
  observationNs: Nanoseconds = 0;

  constructor(startNs: Nanoseconds, nrNodes: number) {
    this.nowNs = startNs;
    this.stallNs = new Float64Array(nrNodes);
  }

  /** All parts; the rest up to nowNs is waiting for others. */
  busyNs(): Nanoseconds {
    let sum = this.computeNs + this.faultNs + this.migrationNs + this.observationNs;
    for (const ns of this.stallNs) sum += ns;
    return sum;
  }
}

export class ThreadClocks {
  readonly threads: ThreadTime[] = [];
  readonly #nrNodes: number;

  constructor(nrNodes: number) {
    this.#nrNodes = nrNodes;
  }

  /** The thread's clock, caught up with the machine at `nowNs` if it lagged too far. */
  resume(tid: number, nowNs: Nanoseconds): ThreadTime {
    let thread = this.threads[tid];
    if (thread === undefined) {
      thread = new ThreadTime(nowNs, this.#nrNodes);
      this.threads[tid] = thread;
    }
    if (thread.nowNs < nowNs - LAG_NS) thread.nowNs = nowNs - LAG_NS;
    return thread;
  }

  /** When the last thread was done. */
  endNs(): Nanoseconds {
    let end = 0;
    for (const thread of this.threads) {
      if (thread !== undefined && thread.nowNs > end) end = thread.nowNs;
    }
    return end;
  }
}
