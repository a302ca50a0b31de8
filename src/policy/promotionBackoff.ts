/**
 * Back-off from pages that go to and fro: a unit that was promoted soon after its demotion made a
 * round trip (TI-92), and its next promotions wait, twice as long after each further trip.
 *
 * Linux has nothing of the kind: NUMA balancing limits how hot a page must be and how many are
 * promoted a second (TI-25, TI-26), without memory of the single page; TPP marks demoted pages and
 * counts them (TI-33). Nor have the papers: policies have it as a knob that is off by default.
 *
 * Order: settle() as outcomes come in, mayPromote() before a promotion is planned.
 */
import type { Nanoseconds } from '../base/units.ts';
import { ROWS_INITIAL, resized } from '../heat/index.ts';
import { type Knob, numberKnob } from './knob.ts';

/** TI-92: promoted within so long of a demotion is a round trip; so long in fast memory ends it. */
const WINDOW_NS = 60_000_000_000;
/** Doublings of the wait at most. */
const DOUBLINGS_MAX = 20;

export const BACKOFF_KNOB: Knob = numberKnob(
  'backoff',
  0,
  0,
  600_000,
  'ms',
  'wait in slow memory of what made a round trip, doubled by each further one; 0 = none',
);

export class PromotionBackoff {
  /** Wait after the first round trip; 0 = never. */
  readonly #waitNs: Nanoseconds;
  /** Row -> time of the last demotion, and of the last promotion; -1 = none. */
  #demotedNs: Float64Array = new Float64Array(ROWS_INITIAL).fill(-1);
  #promotedNs: Float64Array = new Float64Array(ROWS_INITIAL).fill(-1);
  #trips: Uint8Array = new Uint8Array(ROWS_INITIAL);
  /** Row -> 1 once a promotion was put off since the last demotion. */
  #isDeferred: Uint8Array = new Uint8Array(ROWS_INITIAL);
  /** Base pages whose promotion was put off, once for each demotion. */
  deferredPages = 0;

  constructor(waitMs: number) {
    this.#waitNs = waitMs * 1_000_000;
  }

  reserve(capacity: number): void {
    this.#demotedNs = resized(this.#demotedNs, new Float64Array(capacity));
    this.#promotedNs = resized(this.#promotedNs, new Float64Array(capacity));
    this.#trips = resized(this.#trips, new Uint8Array(capacity));
    this.#isDeferred = resized(this.#isDeferred, new Uint8Array(capacity));
  }

  /** A new unit took the row. */
  forget(row: number): void {
    this.#demotedNs[row] = -1;
    this.#promotedNs[row] = -1;
    this.#trips[row] = 0;
    this.#isDeferred[row] = 0;
  }

  /** Pages of the unit have come to fast memory, or left it. */
  settle(row: number, isPromotion: boolean, nowNs: Nanoseconds): void {
    if (isPromotion) {
      const demotedNs = this.#demotedNs[row];
      const isTrip = demotedNs >= 0 && nowNs - demotedNs <= WINDOW_NS;
      if (isTrip && this.#trips[row] <= DOUBLINGS_MAX) this.#trips[row]++;
      this.#promotedNs[row] = nowNs;
      return;
    }
    const promotedNs = this.#promotedNs[row];
    if (promotedNs >= 0 && nowNs - promotedNs > WINDOW_NS) this.#trips[row] = 0;
    this.#demotedNs[row] = nowNs;
    this.#isDeferred[row] = 0;
  }

  /** Whether the unit's wait is over; `nrPages` of it would be promoted. */
  mayPromote(row: number, nrPages: number, nowNs: Nanoseconds): boolean {
    const trips = this.#trips[row];
    if (this.#waitNs === 0 || trips === 0) return true;
    let waitNs = this.#waitNs;
    for (let n = 1; n < trips; n++) waitNs *= 2;
    if (nowNs - this.#demotedNs[row] >= waitNs) return true;
    if (this.#isDeferred[row] === 0) this.deferredPages += nrPages;
    this.#isDeferred[row] = 1;
    return false;
  }
}
