/**
 * A set of small integers, one bit each: node masks beyond 32, CPUs, "seen" marks of frames.
 * Capacity is fixed; nothing is allocated after construction.
 */
import { assert } from './assert.ts';

export class Bitset {
  /** Members are integers in [0, capacity). */
  readonly capacity: number;
  /** Bit i & 31 of word i >>> 5. Invariant: bits at and beyond `capacity` are 0. */
  readonly words: Uint32Array;

  constructor(capacity: number) {
    assert(Number.isInteger(capacity) && capacity >= 0, `capacity of a bitset: ${capacity}`);
    assert(capacity <= 2 ** 31, `a bitset holds at most 2^31 members, not ${capacity}`);
    this.capacity = capacity;
    this.words = new Uint32Array(Math.ceil(capacity / 32));
  }

  /** False for anything that is no member, out of range included. */
  has(member: number): boolean {
    return ((this.words[member >>> 5] ?? 0) & (1 << (member & 31))) !== 0;
  }

  /** Preconditions: `member` in [0, capacity). */
  add(member: number): void {
    assert(member >= 0 && member < this.capacity, `${member} is beyond ${this.capacity}`);
    this.words[member >>> 5] |= 1 << (member & 31);
  }

  delete(member: number): void {
    if (member < 0 || member >= this.capacity) return;
    this.words[member >>> 5] &= ~(1 << (member & 31));
  }

  clear(): void {
    this.words.fill(0);
  }

  /** Number of members; counts all words. */
  count(): number {
    let nr = 0;
    for (const word of this.words) nr += popcount(word);
    return nr;
  }

  /**
   * The smallest member >= `from`, or -1. Visits all members:
   * `for (let i = set.next(0); i >= 0; i = set.next(i + 1))`.
   */
  next(from: number): number {
    if (from < 0 || from >= this.capacity) return from < 0 ? this.next(0) : -1;
    let at = from >>> 5;
    let word = this.words[at] & (-1 << (from & 31));
    while (word === 0) {
      at++;
      if (at === this.words.length) return -1;
      word = this.words[at];
    }
    return at * 32 + (31 - Math.clz32(word & -word));
  }
}

/** Bits set in the low 32 bits of `word`. */
export function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
