/**
 * pmbench with the pattern normal_ih: accesses by a bell curve over the memory, so that heat falls
 * off smoothly around a centre instead of ending at an edge. What Linux's series of NUMA balancing
 * for tiering was measured with.
 *
 * The bell is a sum of four uniform numbers (Irwin-Hall, as pmbench draws it). Its centre is the
 * middle of the memory.
 * Deviates: pmbench lets each page's place be permuted; here neighbours are equally hot.
 */
import {
  number,
  RUN_KNOBS,
  runPart,
  SIZE_KNOB,
  sizePages,
  WRITE_KNOB,
  writesOf256,
} from './commonKnobs.ts';
import { DrawStream } from './drawStream.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';

const BLOCK = 4096;
/** Sum of four halves of words, at most. */
const SUM_END = 4 * 65536;

export const pmbench: WorkloadDescription = {
  name: 'pmbench',
  summary: 'a bell curve over the memory',
  source: 'pmbench, pattern normal_ih',
  // Each access is timed (access.c, measure_read), and rdtscp waits for the load before it.
  memoryParallelism: 1,
  knobs: [
    SIZE_KNOB,
    number('width', 1, 0.01, 1, '', 'of the bell, over the memory; standard deviation 0.144 of it'),
    { ...WRITE_KNOB, default: 0.2 },
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const width = values.width as number;
    const stream = (thread: number): PageStream => {
      const draw = new DrawStream(seed, `workload/pmbench/thread${thread}`);
      return new BellPages(nrPages, width, writesOf256(values), draw);
    };
    return [{ ...runPart(values), name: 'pmbench', nrPages, stream }];
  },
};

class BellPages implements PageStream {
  readonly weight = 1;
  readonly #first: number;
  readonly #scale: number;
  readonly #writesOf256: number;
  readonly #draw: DrawStream;
  readonly #words: Uint32Array = new Uint32Array(BLOCK * 3);

  constructor(nrPages: number, width: number, writes: number, draw: DrawStream) {
    const bellPages = Math.max(1, Math.round(nrPages * width));
    this.#first = Math.floor((nrPages - bellPages) / 2);
    this.#scale = bellPages / SUM_END;
    this.#writesOf256 = writes;
    this.#draw = draw;
  }

  fill(words: Uint32Array, n: number): void {
    const random = this.#words;
    this.#draw.fill(random, n * 3);
    const [first, scale, writes] = [this.#first, this.#scale, this.#writesOf256];
    for (let i = 0; i < n; i++) {
      const [a, b, c] = [random[3 * i], random[3 * i + 1], random[3 * i + 2]];
      // The third word's upper bits fill in between two sums; its lowest byte decides to write.
      const between = (c >>> 8) / 16777216;
      const sum = (a & 65535) + (a >>> 16) + (b & 65535) + (b >>> 16) + between;
      const at = sum < SUM_END ? sum : SUM_END - 1;
      words[i] = ((first + Math.floor(at * scale)) << 1) | ((c & 255) < writes ? 1 : 0);
    }
  }
}
