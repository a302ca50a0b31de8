/**
 * Pointer chase: every access depends on the one before, over all pages in an order that looks
 * random and comes round only when every page was visited (lmbench lat_mem_rd, Intel MLC idle
 * latency). Each access waits its full latency: memory parallelism 1.
 *
 * The order is that of a linear congruential generator of full period over the next power of two
 * (Hull and Dobell, 1962), leaving out what lies above the last page.
 */
import { RandomStream } from '../base/prng.ts';
import { RUN_KNOBS, runPart, SIZE_KNOB, sizePages } from './commonKnobs.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';

export const chase: WorkloadDescription = {
  name: 'chase',
  summary: 'every access depends on the one before; all pages in turn',
  source: 'lmbench lat_mem_rd',
  memoryParallelism: 1,
  knobs: [SIZE_KNOB, ...RUN_KNOBS],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const stream = (thread: number): PageStream =>
      new ChasePages(nrPages, new RandomStream(seed, `workload/chase/thread${thread}`));
    return [{ ...runPart(values), name: 'chase', nrPages, stream }];
  },
};

class ChasePages implements PageStream {
  readonly weight = 1;
  readonly #nrPages: number;
  readonly #mask: number;
  readonly #multiplier: number;
  readonly #increment: number;
  #page: number;

  constructor(nrPages: number, random: RandomStream) {
    this.#nrPages = nrPages;
    this.#mask = nrPages === 1 ? 0 : 0xffffffff >>> Math.clz32(nrPages - 1);
    // Full period: the multiplier is 1 modulo 4, the increment odd.
    this.#multiplier = ((random.uint32() & ~3) | 5) >>> 0;
    this.#increment = (random.uint32() | 1) >>> 0;
    this.#page = random.below(nrPages);
  }

  fill(words: Uint32Array, n: number): void {
    let page = this.#page;
    for (let i = 0; i < n; i++) {
      words[i] = page << 1;
      do page = (Math.imul(page, this.#multiplier) + this.#increment) & this.#mask;
      while (page >= this.#nrPages);
    }
    this.#page = page;
  }
}
