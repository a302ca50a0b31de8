import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap } from './heap.ts';

function drained(heap: Heap): number[] {
  const items: number[] = [];
  while (heap.length > 0) items.push(heap.pop());
  return items;
}

describe('Heap', () => {
  it('yields by key, then by tie, for any mix of pushes and pops', () => {
    const key = fc.integer({ min: 0, max: 5 });
    fc.assert(
      fc.property(fc.array(fc.option(key, { freq: 3 })), (operations) => {
        const heap = new Heap(1);
        const model: { key: number; tie: number }[] = [];
        operations.forEach((operation, tie) => {
          if (operation === null) {
            expect(heap.pop()).toBe(model.shift()?.tie ?? -1);
            return;
          }
          heap.push(operation, tie, tie);
          model.push({ key: operation, tie });
          model.sort((a, b) => a.key - b.key || a.tie - b.tie);
          expect(heap.firstKey).toBe(model[0].key);
          expect(heap.firstItem).toBe(model[0].tie);
        });
        expect(drained(heap)).toEqual(model.map(({ tie }) => tie));
      }),
    );
  });

  it('orders equal keys by tie even when pushed the other way round', () => {
    const heap = new Heap();
    for (const tie of [3, 1, 2]) heap.push(10, tie, tie);
    expect(drained(heap)).toEqual([1, 2, 3]);
  });

  it('is empty at first and after clear', () => {
    const heap = new Heap();
    expect([heap.firstKey, heap.firstItem, heap.pop()]).toEqual([Infinity, -1, -1]);
    heap.push(1, 1, 1);
    heap.clear();
    expect([heap.length, heap.pop()]).toEqual([0, -1]);
  });
});
