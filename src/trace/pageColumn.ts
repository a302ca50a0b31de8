/**
 * The page column of a chunk: for each run the index of its page in the chunk's sorted dictionary
 * and the write flag, as byte planes that compress well.
 *
 * PAGES_PLAIN: `index << 1 | write`, low and high bytes apart. Best where pages come at random.
 * PAGES_HISTORY: a byte a run, `(step * 42 + back - 1) << 1 | write`: the page of `back` runs ago
 * (1 to 42; step 0), the one after it (step 1) or before it (step 2). 254 | write stands for the
 * next literal index, low and high bytes apart. So interleaved streams become periods. Measured on
 * cache misses of sort, SQLite, CPython, cc1 and a graph kernel, it needs up to 1/3 less than
 * plain, as little as a move-to-front list does, and decodes without one.
 * The writer tries all on a sample of the chunk and takes the smallest.
 */
import type { Codec } from './codec.ts';
import { CHUNK_PAGES_MAX, PAGES_HISTORY, PAGES_PLAIN } from './layout.ts';
import { SLICE_ACCESSES_MAX } from './source.ts';

const BACK_MAX = 42;
/** step number -> distance from the page of the past run. */
const STEPS = [0, 1, -1];
/** First symbol of a literal. */
const LITERAL = 254;

/** Runs of a chunk that are encoded every way to choose one. */
const SAMPLE_RUNS = 65536;
/** Plain decodes fastest: the history has to save at least 1/32. */
const PLAIN_BIAS = 1 - 1 / 32;

export interface PageColumn {
  readonly encoding: number;
  readonly planes: readonly [Uint8Array, Uint8Array, Uint8Array];
}

/** Encodes `column[0..nrRuns)`, each `index << 1 | write`, the way that `codec` compresses best. */
export function encodePages(column: Uint16Array, nrRuns: number, codec: Codec): PageColumn {
  const start = nrRuns > SAMPLE_RUNS ? (nrRuns - SAMPLE_RUNS) >>> 1 : 0;
  const sample = column.subarray(start, Math.min(nrRuns, start + SAMPLE_RUNS));
  let best = plain(sample);
  let bestBytes = storedBytes(best, codec) * PLAIN_BIAS;
  let bestSteps = 0;
  for (let nrSteps = 2; nrSteps <= STEPS.length; nrSteps++) {
    const tried = history(sample, nrSteps);
    const bytes = storedBytes(tried, codec);
    if (bytes < bestBytes) {
      best = tried;
      bestBytes = bytes;
      bestSteps = nrSteps;
    }
  }
  if (sample.length === nrRuns) return best;
  const all = column.subarray(0, nrRuns);
  return bestSteps === 0 ? plain(all) : history(all, bestSteps);
}

function storedBytes(column: PageColumn, codec: Codec): number {
  let sum = 0;
  for (const plane of column.planes) {
    sum += plane.length === 0 ? 0 : Math.min(plane.length, codec.compress(plane).length);
  }
  return sum;
}

function plain(column: Uint16Array): PageColumn {
  const low = new Uint8Array(column.length);
  const high = new Uint8Array(column.length);
  for (let i = 0; i < column.length; i++) {
    low[i] = column[i]!;
    high[i] = column[i]! >>> 8;
  }
  return { encoding: PAGES_PLAIN, planes: [low, high, new Uint8Array(0)] };
}

/** `nrSteps`: how many of STEPS to use. */
function history(column: Uint16Array, nrSteps: number): PageColumn {
  const symbols = new Uint8Array(column.length);
  const low = new Uint8Array(column.length);
  const high = new Uint8Array(column.length);
  // index + 1 -> its last run; far before the start when there is none
  const lastRun = new Int32Array(CHUNK_PAGES_MAX + 2).fill(-BACK_MAX - 1);
  let nrLiterals = 0;
  for (let i = 0; i < column.length; i++) {
    const index = column[i]! >>> 1;
    const write = column[i]! & 1;
    let step = 0;
    let back = i - lastRun[index + 1]!;
    while (back > BACK_MAX && step + 1 < nrSteps) {
      step++;
      back = i - lastRun[index + 1 - STEPS[step]!]!;
    }
    if (back > BACK_MAX) {
      symbols[i] = LITERAL | write;
      low[nrLiterals] = index;
      high[nrLiterals++] = index >>> 8;
    } else {
      symbols[i] = ((step * BACK_MAX + back - 1) << 1) | write;
    }
    lastRun[index + 1] = i;
  }
  return {
    encoding: PAGES_HISTORY,
    planes: [symbols, low.subarray(0, nrLiterals), high.subarray(0, nrLiterals)],
  };
}

/** symbol -> back, and twice the distance from that run's page. */
const BACK_OF = new Uint8Array(256).fill(1);
const STEP_OF = new Int8Array(256);
for (let symbol = 0; symbol < STEPS.length * BACK_MAX * 2; symbol++) {
  BACK_OF[symbol] = ((symbol >>> 1) % BACK_MAX) + 1;
  STEP_OF[symbol] = 2 * STEPS[Math.floor((symbol >>> 1) / BACK_MAX)]!;
}

/** Runs of the past that a decoder keeps before those of the present slice. */
export const PAST_RUNS = 64;

/** Decodes a page column slice by slice. */
export class PageDecoder {
  /** dictionary index -> page word of a read; filled by the owner for each chunk. */
  readonly wordOf = new Uint32Array(CHUNK_PAGES_MAX);
  /** PAST_RUNS runs of the past, then the slice decoded last: `index << 1 | write`. */
  readonly column = new Uint16Array(PAST_RUNS + SLICE_ACCESSES_MAX);
  #encoding = PAGES_PLAIN;
  #a: Uint8Array = new Uint8Array(0);
  #b: Uint8Array = new Uint8Array(0);
  #at = 0;
  // literal -> its run without write; Invariant: one more entry than literals, as the loop reads it
  #literals = new Uint16Array(1);
  #literal = 0;
  #nrLast = 0;

  /** Starts at the first run of a chunk. Preconditions: `b` and `c` are planes of one length. */
  start(encoding: number, a: Uint8Array, b: Uint8Array, c: Uint8Array): void {
    this.#encoding = encoding;
    this.#a = a;
    this.#b = b;
    this.#at = 0;
    this.#literal = 0;
    this.#nrLast = 0;
    if (encoding !== PAGES_HISTORY) return;
    if (this.#literals.length <= b.length) this.#literals = new Uint16Array(b.length * 2);
    const literals = this.#literals;
    for (let i = 0; i < b.length; i++) literals[i] = (b[i]! << 1) | (c[i]! << 9);
  }

  /** Decodes the next `count` runs into page words, and into `column` if that is wanted. */
  decode(count: number, page: Uint32Array, wantsColumn: boolean): void {
    if (this.#encoding === PAGES_HISTORY) {
      this.#history(count, page);
      return;
    }
    if (wantsColumn) this.#plainColumn(count);
    this.#plain(count, page);
  }

  #plainColumn(count: number): void {
    const column = this.column;
    const at = this.#at;
    for (let i = 0; i < count; i++) {
      column[PAST_RUNS + i] = (this.#b[at + i]! << 8) | this.#a[at + i]!;
    }
  }

  #plain(count: number, page: Uint32Array): void {
    const low = this.#a;
    const high = this.#b;
    const wordOf = this.wordOf;
    const at = this.#at;
    for (let i = 0; i < count; i++) {
      const lowByte = low[at + i]!;
      page[i] = wordOf[(high[at + i]! << 7) | (lowByte >>> 1)]! | (lowByte & 1);
    }
    this.#at = at + count;
  }

  /** Without a branch on literals: real streams make it unpredictable. */
  #history(count: number, page: Uint32Array): void {
    const symbols = this.#a;
    const literals = this.#literals;
    const wordOf = this.wordOf;
    const column = this.column;
    const at = this.#at;
    let literal = this.#literal;
    const nrLast = this.#nrLast;
    column.copyWithin(0, nrLast, nrLast + PAST_RUNS);
    for (let i = 0; i < count; i++) {
      const symbol = symbols[at + i]!;
      // all ones for a literal
      const mask = (LITERAL - 1 - symbol) >> 31;
      const past = column[PAST_RUNS + i - BACK_OF[symbol]!]! + STEP_OF[symbol]!;
      const run = (past & ~mask & 0xfffe) | (literals[literal]! & mask) | (symbol & 1);
      literal -= mask;
      column[PAST_RUNS + i] = run;
      page[i] = wordOf[run >>> 1]! | (symbol & 1);
    }
    this.#at = at + count;
    this.#literal = literal;
    this.#nrLast = count;
  }
}
