/** A stream whose pages are renamed one to one, so that neighbours are spread over the memory. */
import { RandomStream } from '../base/prng.ts';
import { Scatter } from './scatter.ts';
import type { PageStream } from './workload.ts';

export class ScatteredStream implements PageStream {
  readonly #inner: PageStream;
  readonly #scatter: Scatter;

  /** Streams with the same seed and `name` rename alike: threads of one program. */
  constructor(inner: PageStream, nrPages: number, seed: number, name: string) {
    this.#inner = inner;
    this.#scatter = new Scatter(nrPages, new RandomStream(seed, name));
  }

  get weight(): number {
    return this.#inner.weight;
  }

  fill(words: Uint32Array, n: number): void {
    this.#inner.fill(words, n);
    this.#scatter.rename(words, n);
  }
}
