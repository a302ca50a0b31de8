/**
 * Accesses by frame of devices that count every one alike until the end of their epoch: added up
 * here in the hot loop, and told to the devices when the epoch ends.
 */
import type { FrameId } from '../../base/units.ts';

/** Of a run: traces hold 16 bits. */
const WEIGHT_MAX = 2 ** 16 - 1;
const COUNT_MAX = 2 ** 32 - 1;
/** Places of accesses to other memory: a power of two. */
const OTHERS = 8;

export class PlainCounts {
  readonly #first: FrameId;
  /**
   * At OTHERS + frame - #first. The first places take the accesses to other memory, so that nobody
   * need ask; by turns, as an addition has to wait for the one before it to the same place.
   */
  readonly #counts: Uint32Array;
  /** Accesses since the last clear(): no count can be larger. */
  #total = 0;

  /** Of frames [first, end). */
  constructor(first: FrameId, end: FrameId) {
    this.#first = first;
    this.#counts = new Uint32Array(OTHERS + end - first);
  }

  /** Whether a count might not hold `runs` more. */
  isFullFor(runs: number): boolean {
    return this.#total + runs * WEIGHT_MAX > COUNT_MAX;
  }

  /** Runs [from, to) as AccessObserver.onRuns has them. */
  add(served: Int32Array, weight: Uint16Array, from: number, to: number): void {
    const counts = this.#counts;
    const first = this.#first | 0;
    // 8 is OTHERS: the loop takes 2 to 6 % longer with its name.
    const nrFrames = (counts.length - 8) | 0;
    const runs = (to - from) | 0;
    let sum = 0;
    for (let j = 0; j < runs; j++) {
      const at = served[j] - first;
      const n = weight[from + j];
      const isOther = (at | (nrFrames - 1 - at)) >> 31;
      counts[((at + 8) & ~isOther) | (isOther & j & 7)] += n;
      sum = (sum + n) | 0;
    }
    this.#total += sum;
  }

  /** Accesses to a frame since the last clear(). */
  of(frame: FrameId): number {
    return this.#counts[OTHERS + frame - this.#first];
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}
