import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { PageIndex } from './pageIndex.ts';

describe('PageIndex', () => {
  it('agrees with a Map under random insertions and removals', () => {
    const index = new PageIndex(4);
    const model = new Map<string, number>();
    const random = new RandomStream(1, 'pageIndex.test');
    for (let step = 0; step < 20_000; step++) {
      const pid = 100 + random.below(3);
      // Some page numbers differ in the bits above 32 only.
      const vpn = random.below(400) + random.below(3) * 4294967296;
      const key = `${pid}/${vpn}`;
      const row = index.find(pid, vpn);
      expect(row).toBe(model.get(key) ?? -1);
      if (random.below(3) > 0) {
        const inserted = index.insert(pid, vpn);
        if (row >= 0) expect(inserted).toBe(row);
        model.set(key, inserted);
      } else if (row >= 0) {
        index.remove(row);
        model.delete(key);
      }
      expect(index.nrPages).toBe(model.size);
    }
    expect(new Set(model.values()).size).toBe(model.size);
    for (const [key, row] of model) expect(`${index.pid[row]}/${index.vpn[row]}`).toBe(key);
  });

  it('gives rows in the order of insertion and reuses the last one removed', () => {
    const index = new PageIndex(2);
    expect([10, 11, 12, 13].map((vpn) => index.insert(1, vpn))).toEqual([0, 1, 2, 3]);
    index.remove(1);
    index.remove(2);
    expect(index.insert(1, 99)).toBe(2);
    expect(index.insert(1, 11)).toBe(1);
    expect(index.insert(1, 12)).toBe(4);
  });

  it('is empty after clear', () => {
    const index = new PageIndex(4);
    for (let vpn = 0; vpn < 100; vpn++) index.insert(7, vpn);
    index.clear();
    expect(index.nrPages).toBe(0);
    expect(index.find(7, 50)).toBe(-1);
    expect(index.insert(7, 50)).toBe(0);
  });
});
