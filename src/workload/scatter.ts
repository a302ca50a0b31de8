/**
 * Spreads 0..n-1 over 0..n-1, one to one and without a table: what is hot should not lie together.
 * A bijection of the next power of two (odd multiplications and shifted xors), walked until the
 * result is below n (cycle walking, as in format-preserving encryption).
 */
import { assert } from '../base/assert.ts';
import type { RandomStream } from '../base/prng.ts';

export class Scatter {
  readonly #n: number;
  readonly #mask: number;
  readonly #shift: number;
  readonly #multiplyA: number;
  readonly #multiplyB: number;
  readonly #add: number;

  /** Preconditions: 1 <= n <= 2^24. */
  constructor(n: number, random: RandomStream) {
    assert(n >= 1 && n <= 2 ** 24, `a permutation of ${n}`);
    const bits = n === 1 ? 1 : 32 - Math.clz32(n - 1);
    this.#n = n;
    this.#mask = (1 << bits) - 1;
    this.#shift = Math.max(1, bits >>> 1);
    this.#multiplyA = random.uint32() | 1;
    this.#multiplyB = random.uint32() | 1;
    this.#add = random.uint32();
  }

  /** Renames the pages of the first `count` words `page * 2 + write`; all pages are below n. */
  rename(words: Uint32Array, count: number): void {
    const n = this.#n;
    const mask = this.#mask;
    const shift = this.#shift;
    const a = this.#multiplyA;
    const b = this.#multiplyB;
    const add = this.#add;
    for (let i = 0; i < count; i++) {
      const word = words[i];
      let x = word >>> 1;
      do {
        x = (Math.imul(x, a) + add) & mask;
        x = Math.imul(x ^ (x >>> shift), b) & mask;
        x ^= x >>> shift;
      } while (x >= n);
      words[i] = (x << 1) | (word & 1);
    }
  }
}
