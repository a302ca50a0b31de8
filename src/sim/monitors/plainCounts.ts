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
   * need ask; by turns, as an addition has to wait for the one before it to the same place. The
   * low 16 bits: of half the memory caches hold twice as much.
   */
  readonly #counts: Uint16Array;
  /** The bits above them. */
  readonly #high: Uint16Array;
  /** Accesses since the last clear(): no count can be larger. */
  #total = 0;

  /** Of frames [first, end). */
  constructor(first: FrameId, end: FrameId) {
    this.#first = first;
    this.#counts = new Uint16Array(OTHERS + end - first);
    this.#high = new Uint16Array(OTHERS + end - first);
  }

  /** Whether a count might not hold `runs` more. */
  isFullFor(runs: number): boolean {
    return this.#total + runs * WEIGHT_MAX > COUNT_MAX;
  }

  /** Runs [from, to) as AccessObserver.onRuns has them: 32768 at most. */
  add(served: Int32Array, weight: Uint16Array, from: number, to: number): void {
    const counts = this.#counts;
    const high = this.#high;
    const first = this.#first | 0;
    // 8 is OTHERS: the loop takes 2 to 6 % longer with its name.
    const nrFrames = (counts.length - 8) | 0;
    const runs = (to - from) | 0;
    let sum = 0;
    for (let j = 0; j < runs; j++) {
      const at = served[j] - first;
      const n = weight[from + j];
      const isOther = (at | (nrFrames - 1 - at)) >> 31;
      const place = ((at + 8) & ~isOther) | (isOther & j & 7);
      const next = counts[place] + n;
      counts[place] = next;
      if (next > 0xffff) high[place]++;
      sum = (sum + n) | 0;
    }
    this.#total += sum;
  }

  /** Accesses to a frame since the last clear(). */
  of(frame: FrameId): number {
    const place = OTHERS + frame - this.#first;
    return this.#counts[place] + this.#high[place] * 2 ** 16;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#high.fill(0);
    this.#total = 0;
  }
}
