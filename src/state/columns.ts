/**
 * Typed arrays as bytes: runs of zeros by their length, everything else as it lies in memory,
 * little endian. A machine's columns are mostly zeros, and compression of gigabytes of them would
 * take long.
 *
 * An array is a sequence of (zero bytes, literal bytes, the literal bytes) until its size is
 * reached.
 */
import { assert } from '../base/assert.ts';
import { type ByteReader, type ByteWriter, OutOfBytes } from '../trace/index.ts';

export const COLUMN_TYPES = [
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
] as const;

export type Column = InstanceType<(typeof COLUMN_TYPES)[number]>;

/** Shorter runs of zeros are part of the literals. */
const ZERO_RUN_WORDS = 4;

/** The number of an array's type, -1 if it is no typed array. */
export function columnType(value: object): number {
  return COLUMN_TYPES.findIndex((type) => value instanceof type);
}

export function writeColumn(out: ByteWriter, column: Column): void {
  const bytes = new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
  const words = wordsOf(bytes);
  const end = words.length;
  let at = 0;
  while (at < end) {
    const literal = nonZero(words, at);
    const stop = zeroRun(words, literal);
    // The last bytes of a column whose size is no multiple of 4 are literals.
    const last = stop === end ? bytes.length : stop * 4;
    out.varint((literal - at) * 4);
    out.varint(last - literal * 4);
    out.raw(bytes.subarray(literal * 4, last));
    at = stop;
  }
  if (end === 0 && bytes.length > 0) {
    out.varint(0);
    out.varint(bytes.length);
    out.raw(bytes);
  }
}

/** Fills the whole column. Errors: OutOfBytes. */
export function readColumn(from: ByteReader, column: Column): void {
  const bytes = new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
  let at = 0;
  while (at < bytes.length) {
    const zeros = from.varint();
    const literals = from.varint();
    const isInside = literals <= from.bytes.length - from.at && zeros + literals > 0;
    if (!isInside || at + zeros + literals > bytes.length) throw new OutOfBytes('column');
    bytes.fill(0, at, at + zeros);
    at += zeros;
    bytes.set(from.bytes.subarray(from.at, from.at + literals), at);
    from.at += literals;
    at += literals;
  }
}

/** The whole words of the bytes. */
function wordsOf(bytes: Uint8Array): Int32Array {
  assert(bytes.byteOffset % 4 === 0, 'a column that is not aligned');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}

/** The first word from `at` that is not 0. */
function nonZero(words: Int32Array, at: number): number {
  let i = at;
  while (i < words.length && words[i] === 0) i++;
  return i;
}

/** Where the next run of zeros worth its own entry begins; the end if none does. */
function zeroRun(words: Int32Array, at: number): number {
  let zeros = 0;
  for (let i = at; i < words.length; i++) {
    zeros = words[i] === 0 ? zeros + 1 : 0;
    if (zeros === ZERO_RUN_WORDS) return i + 1 - ZERO_RUN_WORDS;
  }
  return words.length;
}
