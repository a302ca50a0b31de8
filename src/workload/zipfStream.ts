/**
 * Zipf-distributed ranks: rank r of 1..n with a probability in proportion to r^-theta, what YCSB
 * calls zipfian (Gray et al., 1994; theta 0.99). Drawn by rejection from a step function, so that
 * no table of n entries is needed and everything stays in the first-level cache.
 *
 * Ranks fall into buckets: one each up to 64, then 64 to an octave. A bucket is drawn by its first
 * rank's weight (alias table), a rank in it evenly, and taken with probability (r / first)^-theta,
 * which is at least (64/65)^theta: exact but for the bits of a word (weights to 2^-21, acceptance
 * to 2^-13).
 * The power within a bucket is a polynomial: its argument is at most 1/64 above 1.
 */
import { assert } from '../base/assert.ts';
import { AliasTable } from './aliasTable.ts';
import type { DrawStream } from './drawStream.ts';
import { powerOf } from './power.ts';

const BUCKET_BITS = 11;
const NR_BUCKETS = 1 << BUCKET_BITS;
const PER_OCTAVE = 64;
/** Bits of a word behind the column. */
const THRESHOLD_MASK = 0xffffffff >>> BUCKET_BITS;
const BLOCK_WORDS = 4096;

export class ZipfStream {
  readonly nrRanks: number;
  readonly #draw: DrawStream;
  /** Bucket -> first rank (from 0), ranks in it / 2^32, 1 / first rank (from 1). */
  readonly #first: Int32Array = new Int32Array(NR_BUCKETS);
  readonly #scale: Float64Array = new Float64Array(NR_BUCKETS);
  readonly #inverse: Float64Array = new Float64Array(NR_BUCKETS);
  /** Column * 2: threshold of 21 bits; column * 2 + 1: the bucket above it. */
  readonly #alias: Int32Array;
  readonly #theta: number;
  /** Below this every rank of every bucket is taken. */
  readonly #alwaysBelow: number;
  readonly #words: Uint32Array = new Uint32Array(BLOCK_WORDS);
  #used = BLOCK_WORDS;

  /** Preconditions: 1 <= nrRanks <= 2^24, 0 <= theta <= 4. */
  constructor(nrRanks: number, theta: number, draw: DrawStream) {
    assert(nrRanks >= 1 && nrRanks <= 2 ** 24 && theta >= 0 && theta <= 4, 'zipf: ranks and theta');
    this.nrRanks = nrRanks;
    this.#theta = theta;
    this.#draw = draw;
    const weights = new Float64Array(NR_BUCKETS);
    let bucket = 0;
    for (let rank = 1; rank <= nrRanks; bucket++) {
      const octave = rank < PER_OCTAVE ? 0 : 31 - Math.clz32(rank / PER_OCTAVE);
      const size = Math.min(1 << octave, nrRanks - rank + 1);
      this.#first[bucket] = rank - 1;
      this.#scale[bucket] = size / 4294967296;
      this.#inverse[bucket] = 1 / rank;
      weights[bucket] = size * powerOf(rank, -theta);
      rank += size;
    }
    assert(bucket <= NR_BUCKETS, 'zipf: buckets');
    const { columns } = new AliasTable(weights);
    this.#alias = Int32Array.from(columns, (value, i) => ((i & 1) === 0 ? value >>> 11 : value));
    this.#alwaysBelow = powerOf(PER_OCTAVE + 1, -theta) / powerOf(PER_OCTAVE, -theta);
  }

  /** Fills the first `n` places with ranks counted from 0. */
  fill(ranks: Uint32Array, n: number): void {
    const words = this.#words;
    const alias = this.#alias;
    const first = this.#first;
    const scale = this.#scale;
    const always = this.#alwaysBelow;
    let used = this.#used;
    for (let i = 0; i < n; ) {
      if (used === BLOCK_WORDS) {
        this.#draw.fill(words, BLOCK_WORDS);
        used = 0;
      }
      const word = words[used];
      const column = word >>> (32 - BUCKET_BITS);
      // All ones if the bits behind the column are below its threshold: no branch to mispredict.
      const isOwn = ((word & THRESHOLD_MASK) - alias[column * 2]) >> 31;
      const bucket = (column & isOwn) | (alias[column * 2 + 1] & ~isOwn);
      const at = words[used + 1] * scale[bucket];
      used += 2;
      const offset = at | 0;
      ranks[i] = first[bucket] + offset;
      // The bits that chose no rank decide whether it is taken.
      const rest = at - offset;
      if (rest < always || rest < this.#ratio(offset * this.#inverse[bucket])) i++;
    }
    this.#used = used;
  }

  /** (1 + x)^-theta for 0 <= x <= 1/64; what the polynomial leaves out is below 2^-24. */
  #ratio(x: number): number {
    const c1 = this.#theta;
    const c2 = (c1 * (c1 + 1)) / 2;
    const c3 = (c2 * (c1 + 2)) / 3;
    const c4 = (c3 * (c1 + 3)) / 4;
    return 1 + x * (-c1 + x * (c2 + x * (-c3 + x * c4)));
  }
}
