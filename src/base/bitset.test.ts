import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitset, popcount } from './bitset.ts';

const CAPACITY = 131;
const member = fc.integer({ min: 0, max: CAPACITY - 1 });

function membersOf(set: Bitset): number[] {
  const members: number[] = [];
  for (let i = set.next(0); i >= 0; i = set.next(i + 1)) members.push(i);
  return members;
}

describe('Bitset', () => {
  it('agrees with a Set after any additions and deletions', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), member)), (operations) => {
        const set = new Bitset(CAPACITY);
        const model = new Set<number>();
        for (const [isAdded, value] of operations) {
          if (isAdded) set.add(value);
          else set.delete(value);
          if (isAdded) model.add(value);
          else model.delete(value);
        }
        expect(membersOf(set)).toEqual([...model].sort((a, b) => a - b));
        expect(set.count()).toBe(model.size);
        for (let i = 0; i < CAPACITY; i++) expect(set.has(i)).toBe(model.has(i));
      }),
    );
  });

  it('finds the next member at or after a start, across empty words', () => {
    const set = new Bitset(CAPACITY);
    set.add(0);
    set.add(31);
    set.add(130);
    expect([set.next(-5), set.next(1), set.next(32), set.next(131)]).toEqual([0, 31, 130, -1]);
  });

  it('refuses members out of range and has none there', () => {
    const set = new Bitset(40);
    expect(() => set.add(40)).toThrow('40 is beyond 40');
    expect(() => set.add(-1)).toThrow('-1 is beyond 40');
    set.delete(63);
    expect([set.has(40), set.has(-1), set.has(1000)]).toEqual([false, false, false]);
  });

  it('is empty after clear', () => {
    const set = new Bitset(40);
    set.add(39);
    set.clear();
    expect([set.count(), set.next(0)]).toEqual([0, -1]);
  });
});

describe('popcount', () => {
  it.each([
    [0, 0],
    [1, 1],
    [0x80000000, 1],
    [-1, 32],
    [0x0f0f00ff, 16],
  ])('of %i is %i', (word, bits) => {
    expect(popcount(word)).toBe(bits);
  });
});
