import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { CountedPages, type PageCounts, SeenPages } from './pageCounts.ts';

/** Random runs over `places`, counted here as well; checks what count() says of fresh places. */
function play(counts: PageCounts, places: number): Map<number, { n: number; firstNs: number }> {
  const random = new RandomStream(1, 'page counts');
  const expected = new Map<number, { n: number; firstNs: number }>();
  for (let step = 0; step < 400; step++) {
    const limit = step < 200 ? places / 2 : places;
    counts.grow(limit);
    const from = random.below(5);
    const to = from + 1 + random.below(30);
    const page = Uint32Array.from({ length: to }, () => random.below(limit * 2));
    const weight = Uint16Array.from({ length: to }, () => 1 + random.below(65535));
    let fresh = 0;
    for (let i = from; i < to; i++) {
      const known = expected.get(page[i] >>> 1);
      if (known === undefined) fresh++;
      const { n, firstNs } = known ?? { n: 0, firstNs: step };
      expected.set(page[i] >>> 1, { n: n + weight[i], firstNs });
    }
    expect(counts.count(page, weight, from, to, step)).toBe(fresh);
  }
  return expected;
}

describe('CountedPages', () => {
  it('counts each page as adding up one by one does, and knows the first access', () => {
    const counts = new CountedPages();
    const expected = play(counts, 300);
    for (let at = 0; at < 300; at++) {
      expect([at, counts.of(at)]).toEqual([at, expected.get(at)?.n ?? 0]);
      if (expected.has(at)) expect(counts.firstNs(at)).toBe(expected.get(at)!.firstNs);
    }
  });

  it('a count that comes to 65536 is not a page without accesses', () => {
    const counts = new CountedPages();
    counts.grow(1);
    const page = Uint32Array.of(0, 1, 0, 1);
    expect(counts.count(page, Uint16Array.of(65535, 1, 1, 1), 0, 2, 5)).toBe(1);
    expect([counts.of(0), counts.count(page, Uint16Array.of(0, 0, 1, 1), 2, 4, 9)]).toEqual([
      65536, 0,
    ]);
    expect([counts.of(0), counts.firstNs(0)]).toEqual([65538, 5]);
  });
});

describe('SeenPages', () => {
  it('knows which pages were accessed, and counts each once', () => {
    const counts = new SeenPages();
    const expected = play(counts, 300);
    for (let at = 0; at < 300; at++) expect(counts.of(at)).toBe(expected.has(at) ? 1 : 0);
  });
});
