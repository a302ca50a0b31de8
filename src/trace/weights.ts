/**
 * The weight column of a chunk: how many accesses each run has.
 *
 * Random streams have ones only (WEIGHTS_ONE) or nearly so (WEIGHTS_SPARSE: where the others are);
 * streams with locality take a byte a run, weight - 1, and two more bytes for weights above 255.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { WEIGHTS_BYTES, WEIGHTS_ONE, WEIGHTS_SPARSE } from './layout.ts';

/** Weight byte that says: the weight is in the list after the bytes. */
const ESCAPE = 255;
/** Sparse is chosen when at most one run in so many is longer than 1. */
const SPARSE_EVERY = 16;

export interface WeightColumn {
  readonly encoding: number;
  readonly bytes: Uint8Array;
}

/** Encodes `weight[0..nrRuns)`, each 1 or more. */
export function encodeWeights(weight: Uint16Array, nrRuns: number): WeightColumn {
  let nrLong = 0;
  let nrOverOne = 0;
  for (let i = 0; i < nrRuns; i++) {
    if (weight[i]! > ESCAPE) nrLong++;
    if (weight[i]! > 1) nrOverOne++;
  }
  if (nrOverOne === 0) return { encoding: WEIGHTS_ONE, bytes: new Uint8Array(0) };
  if (nrOverOne * SPARSE_EVERY <= nrRuns) return encodeSparse(weight, nrRuns);
  const bytes = new Uint8Array(nrRuns + nrLong * 2);
  let at = nrRuns;
  for (let i = 0; i < nrRuns; i++) {
    const value = weight[i]!;
    bytes[i] = Math.min(value - 1, ESCAPE);
    if (value > ESCAPE) {
      bytes[at++] = value;
      bytes[at++] = value >>> 8;
    }
  }
  return { encoding: WEIGHTS_BYTES, bytes };
}

function encodeSparse(weight: Uint16Array, nrRuns: number): WeightColumn {
  const out = new ByteWriter();
  let next = 0;
  for (let i = 0; i < nrRuns; i++) {
    if (weight[i] === 1) continue;
    out.varint(i - next);
    out.varint(weight[i]!);
    next = i + 1;
  }
  return { encoding: WEIGHTS_SPARSE, bytes: out.view() };
}

/** Decodes a weight column slice by slice. */
export class WeightDecoder {
  #encoding = WEIGHTS_ONE;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #longAt = 0;
  // sparse: the column's rest, and the next run that is not 1
  #sparse = new ByteReader(new Uint8Array(0));
  #next = 0;
  /** Entries of the slice's array that are known to be 1: most slices need no work. */
  #nrOnes = 0;

  /** Starts at the first of a chunk's `nrRuns` runs. Errors: OutOfBytes. */
  start(encoding: number, bytes: Uint8Array, nrRuns: number): void {
    this.#encoding = encoding;
    this.#bytes = bytes;
    this.#at = 0;
    this.#longAt = nrRuns;
    this.#sparse = new ByteReader(bytes);
    this.#next = Number.POSITIVE_INFINITY;
    if (encoding === WEIGHTS_SPARSE && bytes.length > 0) this.#next = this.#sparse.varint();
  }

  /** Decodes the next `count` weights; `weight` is the same array each time. */
  decode(count: number, weight: Uint16Array): void {
    if (this.#encoding === WEIGHTS_BYTES) {
      this.#decodeBytes(count, weight);
      return;
    }
    if (count > this.#nrOnes) {
      weight.fill(1, this.#nrOnes, count);
      this.#nrOnes = count;
    }
    const start = this.#at;
    this.#at = start + count;
    if (this.#next >= this.#at) return;
    this.#nrOnes = this.#next - start;
    while (this.#next < this.#at) {
      weight[this.#next - start] = this.#sparse.varint();
      const isLast = this.#sparse.isAtEnd;
      this.#next = isLast ? Number.POSITIVE_INFINITY : this.#next + 1 + this.#sparse.varint();
    }
  }

  #decodeBytes(count: number, weight: Uint16Array): void {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let i = 0; i < count; i++) {
      const byte = bytes[at + i]!;
      weight[i] = byte === ESCAPE ? this.#long() : byte + 1;
    }
    this.#at = at + count;
    this.#nrOnes = 0;
  }

  #long(): number {
    const at = this.#longAt;
    this.#longAt = at + 2;
    return this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
  }
}
