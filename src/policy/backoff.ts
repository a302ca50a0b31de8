/**
 * Which units a policy leaves alone after a migration failed (TI-91): a busy one for a few rounds,
 * longer each time, one that may not move at all for many.
 */
import { resized } from '../heat/index.ts';
import { EACCES, EAGAIN, EBUSY, EPERM } from '../uapi/errno.ts';

/** Tries of a row that says -EAGAIN or -EBUSY before it is given up for a while. */
const TRIES_MAX = 3;

export class Backoff {
  readonly #blacklistRounds: number;
  #tries: Uint8Array;
  /** Row -> round before which it is left alone. */
  #notBefore: Float64Array;

  constructor(capacity: number, blacklistRounds: number) {
    this.#blacklistRounds = blacklistRounds;
    this.#tries = new Uint8Array(capacity);
    this.#notBefore = new Float64Array(capacity);
  }

  reserve(capacity: number): void {
    this.#tries = resized(this.#tries, new Uint8Array(capacity));
    this.#notBefore = resized(this.#notBefore, new Float64Array(capacity));
  }

  /** A new unit took the row. */
  forget(row: number): void {
    this.#tries[row] = 0;
    this.#notBefore[row] = 0;
  }

  isReady(row: number, round: number): boolean {
    return this.#notBefore[row] <= round;
  }

  /** The row's plan ended with `status` (OutcomeTable.status) in `round`. */
  settle(row: number, status: number, round: number): void {
    if (status === -EAGAIN || status === -EBUSY) {
      this.#tries[row]++;
      const isGivenUp = this.#tries[row] > TRIES_MAX;
      const rounds = isGivenUp ? this.#blacklistRounds : 1 << this.#tries[row];
      if (isGivenUp) this.#tries[row] = 0;
      this.#notBefore[row] = round + rounds;
    } else if (status === -EACCES || status === -EPERM) {
      this.#notBefore[row] = round + this.#blacklistRounds;
    } else {
      this.#tries[row] = 0;
    }
  }
}
