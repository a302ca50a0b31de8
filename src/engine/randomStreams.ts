/**
 * The random streams of one run: each component opens one under its own name, so that adding a
 * component shifts nobody else's numbers (design 3.9).
 *
 * Names are paths of the component and its instance: `policy/hemem`, `workload/gups/thread3`.
 */
import { assert } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';

export class RandomStreams {
  readonly seed: number;
  readonly #open = new Set<string>();

  /** Preconditions: `seed` is a whole number of 32 bits. */
  constructor(seed: number) {
    assert(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32, `a seed is 0 to 2^32-1: ${seed}`);
    this.seed = seed;
  }

  /** Preconditions: `name` is not open yet: two users of a stream would disturb each other. */
  open(name: string): RandomStream {
    assert(!this.#open.has(name), `random stream ${name} is open already`);
    this.#open.add(name);
    return new RandomStream(this.seed, name);
  }
}
