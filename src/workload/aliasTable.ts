/**
 * Drawing from any distribution over up to 2^24 outcomes with one look-up: Walker's alias method,
 * built as Vose does (1991). Column i stands for outcome i up to its threshold and for its alias
 * above; both lie side by side, so that a draw touches one cache line.
 */
import { assert } from '../base/assert.ts';

export class AliasTable {
  readonly nrOutcomes: number;
  /** Column * 2: threshold in 1/2^32; column * 2 + 1: alias. */
  readonly columns: Uint32Array;

  /** `weights` are positive or 0, not all 0; at most 2^24. Takes them over and destroys them. */
  constructor(weights: Float64Array) {
    const n = weights.length;
    assert(n >= 1 && n <= 2 ** 24, `an alias table over ${n} outcomes`);
    this.nrOutcomes = n;
    this.columns = new Uint32Array(n * 2);
    let total = 0;
    for (let i = 0; i < n; i++) total += weights[i];
    assert(total > 0, 'an alias table of zeros');
    for (let i = 0; i < n; i++) weights[i] = (weights[i] * n) / total;
    this.#build(weights);
  }

  /** Small columns from the front of `stack`, large ones from its end. */
  #build(scaledWeights: Float64Array): void {
    const n = this.nrOutcomes;
    const stack = new Uint32Array(n);
    let small = 0;
    let large = n;
    for (let i = 0; i < n; i++) {
      if (scaledWeights[i] < 1) stack[small++] = i;
      else stack[--large] = i;
    }
    while (small > 0 && large < n) {
      const under = stack[--small];
      const over = stack[large++];
      this.#set(under, scaledWeights[under], over);
      scaledWeights[over] -= 1 - scaledWeights[under];
      if (scaledWeights[over] < 1) stack[small++] = over;
      else stack[--large] = over;
    }
    // What rounding left over is full.
    while (small > 0) this.#setFull(stack[--small]);
    while (large < n) this.#setFull(stack[large++]);
  }

  #set(column: number, share: number, alias: number): void {
    this.columns[column * 2] = Math.min(4294967295, Math.floor(share * 4294967296));
    this.columns[column * 2 + 1] = alias;
  }

  #setFull(column: number): void {
    this.columns[column * 2] = 4294967295;
    this.columns[column * 2 + 1] = column;
  }
}
