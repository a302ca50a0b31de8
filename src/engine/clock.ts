/**
 * Virtual time: whole nanoseconds since boot, in a double (exact for 104 days).
 *
 * Only the event queue and the replay loop advance it; everyone else reads. Time never goes back.
 */
import { assert } from '../base/assert.ts';
import type { Nanoseconds } from '../base/units.ts';

/** Something that knows the time; most of the model needs no more than this. */
export interface Clock {
  readonly nowNs: Nanoseconds;
}

/** The clock of one simulated machine. */
export class VirtualClock implements Clock {
  #nowNs = 0;

  get nowNs(): Nanoseconds {
    return this.#nowNs;
  }

  /** Preconditions: `atNs` is whole and not before now. */
  advanceTo(atNs: Nanoseconds): void {
    assert(atNs >= this.#nowNs, 'time went back, to', atNs);
    assert(Number.isSafeInteger(atNs), 'no whole number of nanoseconds', atNs);
    this.#nowNs = atNs;
  }
}
