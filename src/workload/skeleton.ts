/**
 * Copy me: a whole workload, as small as it gets. One program whose threads access all pages
 * evenly. Say at this place what real program yours stands for, and what it leaves out.
 */

import { RUN_KNOBS, runPart, SIZE_KNOB, sizePages } from './commonKnobs.ts';
import { DrawStream, scaled } from './drawStream.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';

export const skeleton: WorkloadDescription = {
  name: 'skeleton',
  summary: 'all pages evenly; an example to copy',
  source: 'none',
  memoryParallelism: null,
  knobs: [SIZE_KNOB, ...RUN_KNOBS],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    // A random stream of its own for every thread: one thread more shifts nobody's accesses.
    const stream = (thread: number): PageStream =>
      new EvenPages(nrPages, new DrawStream(seed, `workload/skeleton/thread${thread}`));
    return [{ ...runPart(values), name: 'skeleton', nrPages, stream }];
  },
};

class EvenPages implements PageStream {
  readonly weight = 1;
  readonly #nrPages: number;
  readonly #draw: DrawStream;

  constructor(nrPages: number, draw: DrawStream) {
    this.#nrPages = nrPages;
    this.#draw = draw;
  }

  fill(words: Uint32Array, n: number): void {
    this.#draw.fill(words, n);
    for (let i = 0; i < n; i++) words[i] = scaled(words[i], this.#nrPages) << 1;
  }
}
