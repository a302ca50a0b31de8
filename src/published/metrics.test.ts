/** Figures of programs: what is read of a run's result. */
import { expect, it } from 'vitest';
import type { RunResult } from '../sim/index.ts';
import { programMetric } from './metrics.ts';

/** Ten intervals of 1 ms: slow at first, then 20 accesses each, the last one cut off. */
const accesses = [2, 2, 2, 2, 2, 20, 20, 20, 20, 5];
const result = {
  accesses: 93,
  time: { totalNs: 9_250_000 },
  nodes: [
    { nid: 0, isToptier: true, residentPages: 256, meanLatencyNs: 240 },
    { nid: 1, isToptier: false, residentPages: 512, meanLatencyNs: 160 },
  ],
  migration: { promotedPages: 1000, demotedPages: 0, movedPages: 1000 },
  series: {
    intervalNs: 1_000_000,
    accesses,
    // Filled in the fifth; then pages are promoted.
    residentPages: [
      [10, 10, 10, 10, 10, 20, 50, 90, 200, 256],
      [98, 248, 398, 548, 758, 748, 718, 678, 568, 512],
    ],
    trafficBytes: [accesses.map((n) => n * 48), accesses.map((n, i) => (i < 5 ? 0 : n * 16))],
  },
} as unknown as RunResult;

it('looks at the time after half of the accesses, not at how memory was filled', () => {
  // Half are made in the seventh interval; two whole ones follow.
  expect(programMetric('later_ns_per_access', result)).toBe(1_000_000 / 20);
  expect(programMetric('later_rate', result)).toBeCloseTo(0.02, 9);
  expect(programMetric('later_slow_share', result)).toBe(0.25);
});

it('leaves out the time in which memory was filled', () => {
  expect(programMetric('filled_rate', result)).toBeCloseTo(((93 - 10) / (9.25e6 - 5e6)) * 1e3, 9);
});

it('sums what lies where, and what was promoted a second', () => {
  expect(programMetric('slow_mib', result)).toBe(2);
  expect(programMetric('fast_mib', result)).toBe(1);
  expect(programMetric('mapped_on_top', result)).toBeCloseTo(1 / 3, 9);
  expect(programMetric('promotion_rate', result)).toBeCloseTo(4096e3 / 9250, 6);
});

it('says which of the tiers answers later', () => {
  expect(programMetric('latency_ratio', result)).toBe(1.5);
});

it('knows its names', () => {
  expect(() => programMetric('speed', result)).toThrow('no metric speed');
});
