/**
 * Sequential scan: all memory from the first page to the last, line by line, again and again (a
 * table scan, STREAM). No page is hotter than another: whoever migrates here only loses.
 */
import {
  RUN_KNOBS,
  runPart,
  SIZE_KNOB,
  sizePages,
  WRITE_KNOB,
  writesOf256,
} from './commonKnobs.ts';
import { DrawStream } from './drawStream.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';

/** Lines of a page. */
const LINES = 64;

export const scan: WorkloadDescription = {
  name: 'scan',
  summary: 'all memory in order, again and again: nothing is hot',
  source: 'table scans, STREAM',
  memoryParallelism: null,
  knobs: [
    SIZE_KNOB,
    { ...WRITE_KNOB, default: 0, doc: 'pages that are written, to 1/256' },
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const part = runPart(values);
    const stream = (thread: number): PageStream => {
      const name = `workload/scan/thread${thread}`;
      // Threads begin at different places, as a divided scan does.
      const first = Math.floor((nrPages * thread) / part.nrThreads);
      return new ScanPages(nrPages, first, writesOf256(values), new DrawStream(seed, name));
    };
    return [{ ...part, name: 'scan', nrPages, stream }];
  },
};

/** Pages in order from `first` on, line by line, around and around. */
export class ScanPages implements PageStream {
  readonly weight = LINES;
  readonly #nrPages: number;
  readonly #writesOf256: number;
  readonly #draw: DrawStream;
  readonly #random: Uint32Array = new Uint32Array(LINES);
  #next: number;

  constructor(nrPages: number, first: number, writes: number, draw: DrawStream) {
    this.#nrPages = nrPages;
    this.#next = first;
    this.#writesOf256 = writes;
    this.#draw = draw;
  }

  fill(words: Uint32Array, n: number): void {
    this.#draw.fill(this.#random, n);
    for (let i = 0; i < n; i++) {
      words[i] = (this.#next << 1) | ((this.#random[i] & 255) < this.#writesOf256 ? 1 : 0);
      this.#next++;
      if (this.#next === this.#nrPages) this.#next = 0;
    }
  }
}
