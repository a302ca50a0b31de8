/**
 * Files of 64-bit words: which words a read or write of an offset and a length means, and the words
 * themselves as pairs of Uint32. HS-2, HS-11, HS-23.
 */
import { EINVAL } from '../uapi/errno.ts';

export const WORD_BYTES = 8;

/** Bits of one word: low half, high half. */
export interface Word64 {
  readonly low: number;
  readonly high: number;
}

/** Words of a file: word i is at [2 i] (low half) and [2 i + 1] (high half). */
export type Words = Uint32Array;

/** A word from a sum of powers of two below 2^53. */
export function wordOf(value: number): Word64 {
  return { low: value >>> 0, high: Math.floor(value / 2 ** 32) };
}

/** Whether bit `bit` of word `i` is set. */
export function wordHasBit(words: Words, i: number, bit: number): boolean {
  const half = words[2 * i + (bit >= 32 ? 1 : 0)];
  return ((half >>> (bit & 31)) & 1) !== 0;
}

/** Words [first, end), at most `nrWords`, or -EINVAL when a position is not a multiple of 8. */
export function wordRange(
  offset: number,
  length: number,
  nrWords: number,
): { readonly first: number; readonly end: number } | number {
  if (offset % WORD_BYTES !== 0 || length % WORD_BYTES !== 0) return -EINVAL;
  const first = offset / WORD_BYTES;
  return { first, end: Math.max(first, Math.min(first + length / WORD_BYTES, nrWords)) };
}

/** The words [first, end) of a range, each from `wordAt`; a negative range is passed on. */
export function readWords(
  range: { readonly first: number; readonly end: number } | number,
  wordAt: (index: number) => Word64,
): Words | number {
  if (typeof range === 'number') return range;
  const words = new Uint32Array(2 * (range.end - range.first));
  for (let i = range.first; i < range.end; i++) {
    const { low, high } = wordAt(i);
    words[2 * (i - range.first)] = low;
    words[2 * (i - range.first) + 1] = high;
  }
  return words;
}
