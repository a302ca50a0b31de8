/**
 * Random words by the block for generators that need hundreds of millions: xoroshiro64** (Blackman
 * and Vigna, 2018), seeded from a named random stream. Same seed and name, same words.
 */
import { RandomStream } from '../base/prng.ts';

export class DrawStream {
  #s0: number;
  #s1: number;

  constructor(seed: number, name: string) {
    const random = new RandomStream(seed, name);
    this.#s0 = random.uint32() | 0;
    // All zero is the one state it never leaves.
    this.#s1 = random.uint32() | 1;
  }

  /** Fills the first `n` places with uniform words of 32 bits. */
  fill(words: Uint32Array, n: number): void {
    let s0 = this.#s0;
    let s1 = this.#s1;
    for (let i = 0; i < n; i++) {
      const product = Math.imul(s0, 0x9e3779bb);
      words[i] = Math.imul((product << 5) | (product >>> 27), 5);
      s1 ^= s0;
      s0 = ((s0 << 26) | (s0 >>> 6)) ^ s1 ^ (s1 << 9);
      s1 = (s1 << 13) | (s1 >>> 19);
    }
    this.#s0 = s0;
    this.#s1 = s1;
  }
}

/** A uniform whole number in [0, bound) of a random word, for a bound up to 2^24. */
export function scaled(word: number, bound: number): number {
  return Math.floor((word * bound) / 4294967296);
}
