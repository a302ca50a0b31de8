/**
 * Named, seeded random streams: xoroshiro128+ of pure-rand, one generator per name, so that adding
 * a component shifts nobody else's randomness (design 3.9).
 */

import { xoroshiro128plus, xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { JumpableRandomGenerator } from 'pure-rand/types/JumpableRandomGenerator';

/** A stream of random numbers. Same seed and name: same numbers, on any machine. */
export class RandomStream {
  #generator: JumpableRandomGenerator;

  /** Where the stream is, as four words; for saved states (src/state). */
  static privateFields(stream: RandomStream): object {
    return {
      get generator(): string {
        return stream.#generator.getState().join(' ');
      },
      set generator(words: string) {
        stream.#generator = xoroshiro128plusFromState(words.split(' ').map(Number));
      },
    };
  }

  constructor(seed: number, name: string) {
    this.#generator = xoroshiro128plus((seed ^ hashName(name)) | 0);
  }

  /** A uniform integer of 32 bits, as an unsigned number. */
  uint32(): number {
    return this.#generator.next() >>> 0;
  }

  /** A uniform integer in [0, bound). `bound` is 1 to 2^32. */
  below(bound: number): number {
    const limit = 4294967296 - (4294967296 % bound);
    let value = this.uint32();
    while (value >= limit) value = this.uint32();
    return value % bound;
  }

  /** A uniform number in [0, 1) with 32 random bits. */
  unit(): number {
    return this.uint32() / 4294967296;
  }
}

/** FNV-1a over the UTF-16 code units of `name`, as a signed 32-bit integer. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    hash ^= name.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash | 0;
}
