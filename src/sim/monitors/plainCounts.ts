/**
 * Accesses by frame of devices that count every one alike until the end of their epoch: added up
 * here in the hot loop, and told to the devices when the epoch ends.
 */
import type { FrameId } from '../../base/units.ts';

/** Of a run: traces hold 16 bits. */
const WEIGHT_MAX = 2 ** 16 - 1;
const COUNT_MAX = 2 ** 32 - 1;
/** Places of accesses to other memory. */
const OTHERS = 4;

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
    // 4 is OTHERS: the loop takes 2 to 6 % longer with its name.
    const nrFrames = (counts.length - 4) | 0;
    const runs = (to - from) | 0;
    let sum = 0;
    let j = 0;
    // Four at a time, as their look-ups need not wait for each other: a third less time.
    for (const groupEnd = runs - 4; j <= groupEnd; j += 4) {
      const at0 = served[j + 0] - first;
      const at1 = served[j + 1] - first;
      const at2 = served[j + 2] - first;
      const at3 = served[j + 3] - first;
      const n0 = weight[from + j + 0];
      const n1 = weight[from + j + 1];
      const n2 = weight[from + j + 2];
      const n3 = weight[from + j + 3];
      const isOther0 = (at0 | (nrFrames - 1 - at0)) >> 31;
      const isOther1 = (at1 | (nrFrames - 1 - at1)) >> 31;
      const isOther2 = (at2 | (nrFrames - 1 - at2)) >> 31;
      const isOther3 = (at3 | (nrFrames - 1 - at3)) >> 31;
      const place0 = (at0 + 4) & ~isOther0;
      const place1 = ((at1 + 4) & ~isOther1) | (isOther1 & 1);
      const place2 = ((at2 + 4) & ~isOther2) | (isOther2 & 2);
      const place3 = ((at3 + 4) & ~isOther3) | (isOther3 & 3);
      const next0 = counts[place0] + n0;
      counts[place0] = next0;
      if (next0 > 0xffff) high[place0]++;
      const next1 = counts[place1] + n1;
      counts[place1] = next1;
      if (next1 > 0xffff) high[place1]++;
      const next2 = counts[place2] + n2;
      counts[place2] = next2;
      if (next2 > 0xffff) high[place2]++;
      const next3 = counts[place3] + n3;
      counts[place3] = next3;
      if (next3 > 0xffff) high[place3]++;
      sum = (sum + n0 + n1 + n2 + n3) | 0;
    }
    for (; j < runs; j++) {
      const at = served[j] - first;
      const n = weight[from + j];
      const isOther = (at | (nrFrames - 1 - at)) >> 31;
      const place = (at + 4) & ~isOther;
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
