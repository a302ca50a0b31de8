import { describe, expect, it } from 'vitest';
import { BasePageHistogram, SplitDecision, skewBin } from './memtisSplit.ts';
import { makePolicy, NaiveHost } from './naiveHost.ts';

const SITUATION = {
  hitRatio: 0.4,
  baseHitRatio: 0.9,
  samples: 1000,
  samplesPerHugePage: 10,
  fastNs: 100,
  slowNs: 250,
};

describe('MEMTIS decides on splits', () => {
  it('TI-55: the number grows with the gap, the samples and the difference of latencies', () => {
    const splits = (change: object) => new SplitDecision().decide({ ...SITUATION, ...change });
    // (0.95 * 0.9 - 0.4) * 1000 / 10 * (250 - 100) / 100 * 0.4
    expect(splits({})).toBe(27);
    expect(splits({ hitRatio: 0.6 })).toBe(15);
    expect(splits({ samples: 2000 })).toBe(54);
    expect(splits({ samplesPerHugePage: 20 })).toBe(13);
    expect(splits({ slowNs: 400 })).toBe(54);
    // However small, it is one at least.
    expect(splits({ samples: 1 })).toBe(1);
  });

  it('TI-55: none where 0.95 of the predicted ratio is no more than the measured one', () => {
    expect(new SplitDecision().decide({ ...SITUATION, hitRatio: 0.9 * 0.95 })).toBe(0);
    expect(new SplitDecision().decide({ ...SITUATION, samplesPerHugePage: 0 })).toBe(0);
  });

  it('TI-56: stops when the last round raised the ratio by less than 3 %', () => {
    const decision = new SplitDecision();
    expect(decision.decide(SITUATION)).toBeGreaterThan(0);
    expect(decision.decide({ ...SITUATION, hitRatio: 0.411 })).toBe(0);
    expect(decision.decide({ ...SITUATION, hitRatio: 0.413 })).toBeGreaterThan(0);
    expect(decision.decide({ ...SITUATION, hitRatio: 0.42 })).toBe(0);
  });

  it('TI-55: the ratio if the hottest base pages filled fast memory', () => {
    const histogram = new BasePageHistogram();
    expect(histogram.hitRatio(10)).toBe(0);
    histogram.add(70, 70);
    for (let page = 0; page < 10; page++) histogram.add(3, 3);
    expect(histogram.hitRatio(1)).toBe(0.7);
    // Half of a bin that does not fit as a whole.
    expect(histogram.hitRatio(6)).toBeCloseTo(0.85);
    expect(histogram.hitRatio(100)).toBe(1);
  });

  it('TI-55: skewness is the sum of squares over the square of what was accessed', () => {
    const of = (...counts: number[]) => skewBin(Float64Array.from(counts));
    expect(of(0, 0)).toBe(-1);
    expect(of(8, 0)).toBe(6); // 64 / 1
    expect(of(8, 8)).toBe(5); // 128 / 4
    expect(of(1, 1)).toBe(0); // 2 / 4
    expect(of(1e6, 0)).toBe(20); // the last bin
  });
});

describe('MEMTIS splits', () => {
  const knobs = { reserveShare: 0, adaptSamples: 20, coolingSamples: 10_000, migrateRate: 1000 };

  /** A full fast node; huge pages in slow memory: 1024 with one hot subpage, 2048 evenly warm. */
  function skewedHost(): NaiveHost {
    const host = new NaiveHost(512, 8192);
    host.touchHuge(0);
    host.touchHuge(1024);
    host.touchHuge(2048);
    return host;
  }

  function sampleSkewed(host: NaiveHost): void {
    host.sample(1024 + 7, 20, 0);
    for (let page = 0; page < 20; page++) host.sample(2048 + page * 20, 1, 0);
  }

  it('TI-55: a huge page with skewed accesses first; its hot part is promoted alone', () => {
    const host = skewedHost();
    const policy = makePolicy('memtis', knobs);
    host.round(policy);
    sampleSkewed(host);
    const rows = host.round(policy);
    expect(rows.filter((row) => row.startsWith('split'))[0]).toBe('split 1024+512');
    expect(host.huge.has(1024)).toBe(false);
    for (let round = 0; round < 4; round++) {
      sampleSkewed(host);
      host.round(policy);
    }
    expect(host.where.get(1024 + 7)).toBe(0);
    expect(host.where.get(1024 + 8)).toBe(1);
  });

  it('TI-50: subpages keep their samples as base pages', () => {
    const host = skewedHost();
    const policy = makePolicy('memtis', { ...knobs, adaptSamples: 10 });
    host.round(policy);
    host.sample(1024 + 7, 15, 0);
    expect(host.round(policy)).toContain('split 1024+512');
    // Samples of something else bring on the next adaptation: the page is hot by its old ones.
    for (let page = 0; page < 10; page++) host.sample(2048 + page, 1, 0);
    host.round(policy);
    expect(host.where.get(1024 + 7)).toBe(0);
  });

  it('nothing where it is told not to, or counts units of one size', () => {
    for (const change of [{ split: false }, { unit: '2MiB' }, { unit: '4KiB' }]) {
      const host = skewedHost();
      const policy = makePolicy('memtis', { ...knobs, ...change });
      const rows: string[] = [];
      for (let round = 0; round < 4; round++) {
        rows.push(...host.round(policy));
        sampleSkewed(host);
      }
      expect(rows.filter((row) => row.startsWith('split'))).toEqual([]);
    }
  });

  it('TI-50: huge pages and base pages are counted side by side, base pages times 512', () => {
    const host = new NaiveHost(512, 8192);
    host.touchHuge(0);
    host.touchHuge(1024);
    host.where.set(4096, 1).set(4097, 1);
    const policy = makePolicy('memtis', { ...knobs, split: false });
    host.round(policy);
    // 25 samples of 512 pages are colder than 10 samples of one.
    for (let page = 0; page < 25; page++) host.sample(1024 + page, 1, 0);
    host.sample(4096, 10, 0);
    expect(host.round(policy)).toEqual(['demote 0+512>1', 'promote 4096+1>0']);
  });
});
