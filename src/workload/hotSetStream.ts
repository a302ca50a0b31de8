/**
 * Accesses to a hot set and to the rest: a share of them goes evenly to the pages of the hot set,
 * the others evenly to all pages. What GUPS with a hot set and its relatives draw from.
 */
import { DrawStream } from './drawStream.ts';
import type { PageStream } from './workload.ts';

export interface HotSet {
  readonly nrPages: number;
  readonly hotPages: number;
  /** Share of the accesses that goes to the hot set, 0 to 1. */
  readonly hotShare: number;
  /** Of 256 accesses, those that write. */
  readonly writesOf256: number;
  /** First page of the hot set, by runs drawn so far; it wraps around at the end of the memory. */
  firstAt(runs: number): number;
}

const BLOCK = 4096;

export class HotSetStream implements PageStream {
  readonly weight = 1;
  readonly #set: HotSet;
  readonly #draw: DrawStream;
  readonly #words: Uint32Array = new Uint32Array(BLOCK * 2);
  #runs = 0;

  /** `name` is that of the random stream. */
  constructor(set: HotSet, seed: number, name: string) {
    this.#set = set;
    this.#draw = new DrawStream(seed, name);
  }

  fill(words: Uint32Array, n: number): void {
    const { nrPages, hotPages, hotShare, writesOf256 } = this.#set;
    const random = this.#words;
    this.#draw.fill(random, n * 2);
    const first = this.#set.firstAt(this.#runs);
    // 24 bits decide between hot and any, 8 between read and write.
    const hotBelow = Math.round(hotShare * 2 ** 24);
    const hotScale = hotPages / 4294967296;
    const anyScale = nrPages / 4294967296;
    for (let i = 0; i < n; i++) {
      const kind = random[2 * i];
      const place = random[2 * i + 1];
      let page: number;
      if (kind >>> 8 < hotBelow) {
        page = first + Math.floor(place * hotScale);
        if (page >= nrPages) page -= nrPages;
      } else {
        page = Math.floor(place * anyScale);
      }
      words[i] = (page << 1) | ((kind & 255) < writesOf256 ? 1 : 0);
    }
    this.#runs += n;
  }
}
