/**
 * Zipf-distributed accesses to pages, as key-value benchmarks have them (YCSB, Cooper et al. 2010:
 * zipfian with theta 0.99). With `scatter`, as YCSB's scrambled variant, popular pages are spread
 * over the memory; without, the first page is the most popular.
 */
import {
  booleanOf,
  number,
  numberOf,
  RUN_KNOBS,
  runPart,
  SIZE_KNOB,
  sizePages,
  WRITE_KNOB,
  writesOf256,
} from './commonKnobs.ts';
import { DrawStream } from './drawStream.ts';
import { ScatteredStream } from './scatteredStream.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';
import { ZipfStream } from './zipfStream.ts';

export const zipf: WorkloadDescription = {
  name: 'zipf',
  summary: 'popularity of pages falls with a power of their rank',
  source: 'YCSB (SoCC 2010): zipfian, theta 0.99',
  memoryParallelism: null,
  knobs: [
    SIZE_KNOB,
    number('theta', 0.99, 0, 4, '', 'exponent: 0 is uniform'),
    WRITE_KNOB,
    { kind: 'boolean', name: 'scatter', default: true, doc: 'popular pages do not lie together' },
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const theta = numberOf(values, 'theta');
    const writes = writesOf256(values);
    const isScattered = booleanOf(values, 'scatter');
    const stream = (thread: number): PageStream => {
      const drawn = new ZipfPages(nrPages, theta, writes, seed, `workload/zipf/thread${thread}`);
      return isScattered
        ? new ScatteredStream(drawn, nrPages, seed, 'workload/zipf/scatter')
        : drawn;
    };
    return [{ ...runPart(values), name: 'zipf', nrPages, stream }];
  },
};

const BLOCK = 4096;

/** Pages by rank, with a share of writes. */
export class ZipfPages implements PageStream {
  readonly weight = 1;
  readonly #ranks: ZipfStream;
  readonly #writes: DrawStream;
  readonly #writesOf256: number;
  readonly #random: Uint32Array = new Uint32Array(BLOCK / 4);

  constructor(nrPages: number, theta: number, writes: number, seed: number, name: string) {
    this.#ranks = new ZipfStream(nrPages, theta, new DrawStream(seed, `${name}/rank`));
    this.#writes = new DrawStream(seed, `${name}/write`);
    this.#writesOf256 = writes;
  }

  fill(words: Uint32Array, n: number): void {
    this.#ranks.fill(words, n);
    const random = this.#random;
    const writes = this.#writesOf256;
    this.#writes.fill(random, (n + 3) >>> 2);
    for (let i = 0; i < n; i++) {
      const byte = (random[i >>> 2] >>> ((i & 3) << 3)) & 255;
      words[i] = (words[i] << 1) | (byte < writes ? 1 : 0);
    }
  }
}
