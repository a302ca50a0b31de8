import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { eachMapped, FrameTally } from './frameTally.ts';

describe('FrameTally', () => {
  it('counts frames of several pageblocks apart, in any order', () => {
    const tally = new FrameTally();
    for (const frame of [7, 600, 7, 511, 512, 268435455, 7]) tally.add(frame);
    expect([7, 511, 512, 600, 268435455].map((frame) => tally.get(frame))).toEqual([3, 1, 1, 1, 1]);
    expect([6, 8, 513, 100000].map((frame) => tally.has(frame))).toEqual(Array(4).fill(false));
    tally.add(100000);
    expect(tally.get(100000)).toBe(1);
    const seen: number[][] = [];
    tally.each((frame, count) => seen.push([frame, count]));
    expect(seen.sort(([a], [b]) => a - b)).toEqual([
      [7, 3],
      [511, 1],
      [512, 1],
      [600, 1],
      [100000, 1],
      [268435455, 1],
    ]);
  });

  it('visits a page once that a PTE and a PMD map', () => {
    const [pte, pmd] = [new FrameTally(), new FrameTally()];
    pmd.add(1024);
    pte.add(1030);
    pte.add(3);
    const seen: number[] = [];
    eachMapped({ pte, pmd }, (page) => seen.push(page));
    expect(seen.length).toBe(HPAGE_PMD_NR + 1);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toContain(3);
    expect(seen).toContain(1024 + HPAGE_PMD_NR - 1);
  });
});
