/**
 * The weight column of a chunk: accesses in each run, a byte a run (weight - 1).
 *
 * WEIGHT_ESCAPE as a byte sends to the list of 16-bit weights after the bytes. A column of ones,
 * which random streams have, is no bytes at all.
 */
import { assert } from '../base/assert.ts';
import { RUN_WEIGHT_MAX } from './source.ts';

/** Weight byte that says: the weight is in the list after the bytes. */
export const WEIGHT_ESCAPE = 255;

/** The block of `weight[0..nrRuns)`. */
export function encodeWeights(weight: Uint16Array, nrRuns: number): Uint8Array {
  let nrLong = 0;
  let isAllOne = true;
  for (let i = 0; i < nrRuns; i++) {
    if (weight[i]! > WEIGHT_ESCAPE) nrLong++;
    if (weight[i] !== 1) isAllOne = false;
    assert(weight[i]! <= RUN_WEIGHT_MAX, 'run too long');
  }
  if (isAllOne) return new Uint8Array(0);
  const bytes = new Uint8Array(nrRuns + nrLong * 2);
  let at = nrRuns;
  for (let i = 0; i < nrRuns; i++) {
    const value = weight[i]!;
    if (value <= WEIGHT_ESCAPE) {
      bytes[i] = value - 1;
    } else {
      bytes[i] = WEIGHT_ESCAPE;
      bytes[at++] = value;
      bytes[at++] = value >>> 8;
    }
  }
  return bytes;
}
