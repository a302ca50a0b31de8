import { describe, expect, it } from 'vitest';
import { FIRST_SHARES, nextShare, smallestShare, type TriedShare } from './dramSearch.ts';

function tried(points: Readonly<Record<string, number>>): TriedShare[] {
  return Object.entries(points).map(([share, median]) => {
    const slowdown = { median, min: median, max: median, count: 1 };
    return { share: Number(share), slowdown, confidence: 1, warnings: [] };
  });
}

describe('the smallest share of fast memory', () => {
  it('is the smallest that holds the bound', () => {
    expect(smallestShare(tried({ 0.25: 1.2, 0.5: 1.04, 0.75: 1.01 }), 1.05)?.share).toBe(0.5);
    expect(smallestShare(tried({ 0.5: 1.2 }), 1.05)).toBeNull();
  });

  it('does not count where a larger one does not hold it', () => {
    expect(smallestShare(tried({ 0.25: 1.04, 0.5: 1.2, 0.75: 1.01 }), 1.05)?.share).toBe(0.75);
  });
});

describe('the next share to try', () => {
  it('lies between the largest that fails and the smallest that holds', () => {
    expect(nextShare(tried({ 0.25: 1.2, 0.5: 1.04 }), 1.05, 0.03)).toBe(0.375);
    expect(nextShare(tried({ 0.75: 1.2 }), 1.05, 0.03)).toBe(0.875);
  });

  it('is none when the gap is small enough, or the smallest holds', () => {
    expect(nextShare(tried({ 0.48: 1.2, 0.5: 1.04 }), 1.05, 0.03)).toBeNull();
    expect(nextShare(tried({ 0.0625: 1.01, 0.5: 1 }), 1.05, 0.03)).toBeNull();
  });

  it('finds a step to within the resolution', () => {
    const at = 0.337;
    const points = new Map(FIRST_SHARES.map((share) => [share, share >= at ? 1 : 2]));
    const all = () => tried(Object.fromEntries(points));
    for (let n = 0; n < 20; n++) {
      const next = nextShare(all(), 1.05, 0.01);
      if (next === null) break;
      points.set(next, next >= at ? 1 : 2);
    }
    const found = smallestShare(all(), 1.05)!.share;
    expect(found - at).toBeGreaterThanOrEqual(0);
    expect(found - at).toBeLessThan(0.01);
  });
});
