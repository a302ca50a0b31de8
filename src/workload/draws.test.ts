import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { AliasTable } from './aliasTable.ts';
import { DrawStream, scaled } from './drawStream.ts';
import { expOf, lnOf, powerOf } from './power.ts';
import { Scatter } from './scatter.ts';
import { ZipfStream } from './zipfStream.ts';

describe('power', () => {
  it('agrees with Math within 1e-14', () => {
    for (const x of [1, 2, 3, 7, 10, 63, 64, 65, 1000, 65_537, 2 ** 24, 2 ** 31 - 1]) {
      expect(Math.abs(lnOf(x) - Math.log(x))).toBeLessThan(1e-14 * Math.max(1, Math.log(x)));
      for (const exponent of [-4, -0.99, -0.5, 0, 0.5, 1, 3]) {
        const exact = x ** exponent;
        expect(Math.abs(powerOf(x, exponent) / exact - 1)).toBeLessThan(2e-14);
      }
    }
    for (const y of [-99, -1, -0.1, 0, 0.3, 1, 50]) {
      expect(Math.abs(expOf(y) / Math.exp(y) - 1)).toBeLessThan(2e-14);
    }
  });
});

describe('DrawStream', () => {
  it('gives the same words for a seed and name, in blocks of any size', () => {
    const whole = new Uint32Array(100);
    new DrawStream(1, 'a').fill(whole, 100);
    const parts = new Uint32Array(100);
    const draw = new DrawStream(1, 'a');
    draw.fill(parts, 37);
    draw.fill(parts.subarray(37), 63);
    expect([...parts]).toEqual([...whole]);
    const other = new Uint32Array(100);
    new DrawStream(1, 'b').fill(other, 100);
    expect([...other]).not.toEqual([...whole]);
  });

  it('is even over ranges and bits', () => {
    const n = 200_000;
    const words = new Uint32Array(n);
    new DrawStream(5, 'even').fill(words, n);
    const counts = new Float64Array(10);
    const bits = new Float64Array(32);
    for (const word of words) {
      counts[scaled(word, 10)]++;
      for (let bit = 0; bit < 32; bit++) bits[bit] += (word >>> bit) & 1;
    }
    for (const count of counts)
      expect(Math.abs(count - n / 10)).toBeLessThan(5 * Math.sqrt(n / 10));
    for (const count of bits) expect(Math.abs(count - n / 2)).toBeLessThan(5 * Math.sqrt(n / 4));
  });
});

describe('AliasTable', () => {
  it('keeps every weight', () => {
    const weights = [0, 1, 5, 0.25, 100, 3, 0, 7];
    const { columns } = new AliasTable(Float64Array.from(weights));
    const mass = new Float64Array(weights.length);
    for (let column = 0; column < weights.length; column++) {
      const own = columns[column * 2] / 2 ** 32;
      mass[column] += own / weights.length;
      mass[columns[column * 2 + 1]] += (1 - own) / weights.length;
    }
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, weight] of weights.entries()) expect(mass[i]).toBeCloseTo(weight / total, 8);
  });
});

describe('Scatter', () => {
  function renamed(n: number): number[] {
    const words = Uint32Array.from({ length: n }, (_, page) => page * 2 + (page % 3 === 0 ? 1 : 0));
    new Scatter(n, new RandomStream(3, 'scatter')).rename(words, n);
    for (const [page, word] of words.entries()) expect(word & 1).toBe(page % 3 === 0 ? 1 : 0);
    return Array.from(words, (word) => word >>> 1);
  }

  it.each([1, 2, 3, 100, 512, 1000, 65_537])('is one to one over %i pages', (n) => {
    const pages = renamed(n);
    expect(new Set(pages).size).toBe(n);
    expect(Math.max(...pages)).toBe(n - 1);
  });

  it('leaves few neighbours together', () => {
    const pages = renamed(10_000);
    let neighbours = 0;
    for (let i = 1; i < 10_000; i++) if (Math.abs(pages[i] - pages[i - 1]) <= 16) neighbours++;
    expect(neighbours).toBeLessThan(200);
  });
});

describe('ZipfStream', () => {
  /** Chi square of the first ranks and of octaves, against r^-theta. */
  function check(nrRanks: number, theta: number): void {
    const n = 1_000_000;
    const ranks = new Uint32Array(4096);
    const zipf = new ZipfStream(nrRanks, theta, new DrawStream(7, `zipf${nrRanks}`));
    const counts = new Float64Array(nrRanks);
    for (let done = 0; done < n; done += 4000) {
      zipf.fill(ranks, 4000);
      for (let i = 0; i < 4000; i++) counts[ranks[i]]++;
    }
    let total = 0;
    for (let rank = 1; rank <= nrRanks; rank++) total += rank ** -theta;
    // Groups of at least 200 expected draws: one rank each at first, whole stretches later.
    let chiSquare = 0;
    let groups = 0;
    let expected = 0;
    let seen = 0;
    for (let rank = 1; rank <= nrRanks; rank++) {
      expected += (n * rank ** -theta) / total;
      seen += counts[rank - 1];
      if (expected < 200 && rank < nrRanks) continue;
      chiSquare += (seen - expected) ** 2 / expected;
      groups++;
      expected = 0;
      seen = 0;
    }
    // Mean groups - 1, standard deviation sqrt(2 groups); five of them.
    expect(groups).toBeGreaterThan(1);
    expect(chiSquare).toBeLessThan(groups + 5 * Math.sqrt(2 * groups));
  }

  it.each([
    [10, 0.99],
    [1000, 0.99],
    [100_000, 0.99],
    [5000, 0],
    [5000, 0.5],
    [3000, 1.5],
  ])('draws %i ranks with theta %f as the formula has it', (nrRanks, theta) => {
    check(nrRanks, theta);
  });

  it('draws all ranks, and none besides', () => {
    const ranks = new Uint32Array(4096);
    const zipf = new ZipfStream(70, 0.5, new DrawStream(1, 'all'));
    const seen = new Set<number>();
    for (let block = 0; block < 20; block++) {
      zipf.fill(ranks, 4096);
      for (const rank of ranks) seen.add(rank);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 70 }, (_, i) => i));
  });
});
