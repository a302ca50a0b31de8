/**
 * Counts of all accesses by page, in the hot loop: as little memory as will do, since most of the
 * time goes into waiting for it. A page is a place in a table that grows.
 */
import type { Nanoseconds } from '../base/units.ts';

export interface PageCounts {
  /** Places. */
  readonly length: number;
  /** Makes room for places [0, length). */
  grow(length: number): void;
  /**
   * Runs [from, to): weight[i] accesses to place page[i] >>> 1. Returns how many places had none
   * before.
   */
  count(
    page: Uint32Array,
    weight: Uint16Array,
    from: number,
    to: number,
    nowNs: Nanoseconds,
  ): number;
  /** Accesses of a place. */
  of(at: number): number;
  /** When it was accessed first. Preconditions: it was. */
  firstNs(at: number): Nanoseconds;
}

/** Whether a page was accessed: a bit. */
export class SeenPages implements PageCounts {
  #seen: Uint32Array = new Uint32Array(0);

  get length(): number {
    return this.#seen.length * 32;
  }

  grow(length: number): void {
    if (length <= this.length) return;
    const words = new Uint32Array(Math.max(Math.ceil(length / 32), 2 * this.#seen.length));
    words.set(this.#seen);
    this.#seen = words;
  }

  count(page: Uint32Array, _weight: Uint16Array, from: number, to: number): number {
    const seen = this.#seen;
    let fresh = 0;
    let i = from;
    // Four at a time while all of them were seen; shifts take the low five bits of a place.
    for (const groupEnd = to - 4; i <= groupEnd; i += 4) {
      const at0 = page[i + 0] >>> 1;
      const at1 = page[i + 1] >>> 1;
      const at2 = page[i + 2] >>> 1;
      const at3 = page[i + 3] >>> 1;
      const first = (seen[at0 >>> 5] >>> at0) & (seen[at1 >>> 5] >>> at1);
      const second = (seen[at2 >>> 5] >>> at2) & (seen[at3 >>> 5] >>> at3);
      if ((first & second & 1) === 0) fresh += this.#see(page, i, i + 4);
    }
    return fresh + this.#see(page, i, to);
  }

  #see(page: Uint32Array, from: number, to: number): number {
    const seen = this.#seen;
    let fresh = 0;
    for (let i = from; i < to; i++) {
      const at = page[i] >>> 1;
      const bit = 1 << (at & 31);
      const word = seen[at >>> 5];
      if ((word & bit) !== 0) continue;
      seen[at >>> 5] = word | bit;
      fresh++;
    }
    return fresh;
  }

  /** At least 1 for a page that was accessed. */
  of(at: number): number {
    return (this.#seen[at >>> 5] >>> (at & 31)) & 1;
  }

  firstNs(): Nanoseconds {
    return 0;
  }
}

/** How often a page was accessed, and when first. */
export class CountedPages implements PageCounts {
  /** The low 16 bits of counts; the bits above them, seldom needed. */
  #low: Uint16Array = new Uint16Array(0);
  #high: Uint16Array = new Uint16Array(0);
  #firstNs: Float64Array = new Float64Array(0);

  get length(): number {
    return this.#low.length;
  }

  grow(length: number): void {
    if (length <= this.length) return;
    const places = Math.max(length, 2 * this.length);
    const [low, high] = [new Uint16Array(places), new Uint16Array(places)];
    const firstNs = new Float64Array(places);
    low.set(this.#low);
    high.set(this.#high);
    firstNs.set(this.#firstNs);
    this.#low = low;
    this.#high = high;
    this.#firstNs = firstNs;
  }

  count(
    page: Uint32Array,
    weight: Uint16Array,
    from: number,
    to: number,
    nowNs: Nanoseconds,
  ): number {
    const low = this.#low;
    let fresh = 0;
    let i = from;
    // Four at a time, as their look-ups need not wait for each other.
    for (const groupEnd = to - 4; i <= groupEnd; i += 4) {
      const at0 = page[i + 0] >>> 1;
      const at1 = page[i + 1] >>> 1;
      const at2 = page[i + 2] >>> 1;
      const at3 = page[i + 3] >>> 1;
      const n0 = weight[i + 0];
      const n1 = weight[i + 1];
      const n2 = weight[i + 2];
      const n3 = weight[i + 3];
      const before0 = low[at0];
      const next0 = before0 + n0;
      low[at0] = next0;
      if (before0 === 0 || next0 > 0xffff) fresh += this.#countRare(at0, before0, next0, nowNs);
      const before1 = low[at1];
      const next1 = before1 + n1;
      low[at1] = next1;
      if (before1 === 0 || next1 > 0xffff) fresh += this.#countRare(at1, before1, next1, nowNs);
      const before2 = low[at2];
      const next2 = before2 + n2;
      low[at2] = next2;
      if (before2 === 0 || next2 > 0xffff) fresh += this.#countRare(at2, before2, next2, nowNs);
      const before3 = low[at3];
      const next3 = before3 + n3;
      low[at3] = next3;
      if (before3 === 0 || next3 > 0xffff) fresh += this.#countRare(at3, before3, next3, nowNs);
    }
    for (; i < to; i++) {
      const at = page[i] >>> 1;
      const before = low[at];
      const next = before + weight[i];
      low[at] = next;
      if (before === 0 || next > 0xffff) fresh += this.#countRare(at, before, next, nowNs);
    }
    return fresh;
  }

  /** 1 if the place had no access before. */
  #countRare(at: number, before: number, next: number, nowNs: Nanoseconds): number {
    const isFresh = before === 0 && this.#high[at] === 0;
    if (isFresh) this.#firstNs[at] = nowNs;
    if (next > 0xffff) this.#high[at]++;
    return isFresh ? 1 : 0;
  }

  of(at: number): number {
    return this.#high[at] * 2 ** 16 + this.#low[at];
  }

  firstNs(at: number): Nanoseconds {
    return this.#firstNs[at];
  }
}
