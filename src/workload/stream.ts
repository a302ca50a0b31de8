/**
 * STREAM (McCalpin): three arrays as large as each other, gone through page by page, line by line,
 * each thread its own part. A write does not read its line first, as non-temporal stores do not.
 */
import { RUN_KNOBS, runPart, SIZE_KNOB, sizePages } from './commonKnobs.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';

/** Lines of a page. */
const LINES = 64;

/** Array read or written by a kernel's step, in order; `b` and `c` are read, `a` is written. */
const KERNELS: Readonly<Record<string, readonly { array: number; write: number }[]>> = {
  copy: [
    { array: 1, write: 0 },
    { array: 0, write: 1 },
  ],
  triad: [
    { array: 1, write: 0 },
    { array: 2, write: 0 },
    { array: 0, write: 1 },
  ],
};

export const stream: WorkloadDescription = {
  name: 'stream',
  summary: 'arrays copied or added up in order: bandwidth, nothing is hot',
  source: 'McCalpin, STREAM',
  memoryParallelism: null,
  knobs: [
    { ...SIZE_KNOB, doc: 'memory of the three arrays' },
    {
      kind: 'choice',
      name: 'kernel',
      default: 'copy',
      choices: Object.keys(KERNELS),
      doc: 'a = b, or a = b + s c',
    },
    ...RUN_KNOBS,
  ],
  programs: (values) => {
    const nrPages = Math.floor(sizePages(values) / 3) * 3;
    const part = runPart(values);
    const steps = KERNELS[values.kernel as string]!;
    const pages = nrPages / 3;
    const threads = part.nrThreads;
    const stream = (thread: number): PageStream => {
      const from = Math.floor((pages * thread) / threads);
      const to = Math.max(from + 1, Math.floor((pages * (thread + 1)) / threads));
      return new ArrayPages(steps, pages, from, to);
    };
    return [{ ...part, name: 'stream', nrPages, stream }];
  },
};

/** Pages [from, to) of each array in turn, around and around. */
class ArrayPages implements PageStream {
  readonly weight = LINES;
  readonly #steps: readonly { array: number; write: number }[];
  readonly #pages: number;
  readonly #from: number;
  readonly #to: number;
  #page: number;
  #step = 0;

  constructor(
    steps: readonly { array: number; write: number }[],
    pages: number,
    from: number,
    to: number,
  ) {
    this.#steps = steps;
    this.#pages = pages;
    this.#from = from;
    this.#to = to;
    this.#page = from;
  }

  fill(words: Uint32Array, n: number): void {
    for (let i = 0; i < n; i++) {
      const { array, write } = this.#steps[this.#step]!;
      words[i] = ((array * this.#pages + this.#page) << 1) | write;
      this.#step++;
      if (this.#step < this.#steps.length) continue;
      this.#step = 0;
      this.#page++;
      if (this.#page === this.#to) this.#page = this.#from;
    }
  }
}
