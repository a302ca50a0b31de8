/** HS-87: intervals tuned by a goal, in steps computed by hand from the rules of the feed loop. */
import { describe, expect, it } from 'vitest';
import { EINVAL } from '../uapi/errno.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  checkDamonAttrs,
  type DamonAttrs,
  type DamonContext,
  newDamonContext,
  newDamonRegion,
  newDamosScheme,
} from './damonContext.ts';
import { setDamonAttrs, tuneIntervals } from './damonIntervals.ts';
import { runDamon, startDamon } from './kdamond.ts';
import { bootNodes } from './testProgram.ts';

const PAGE = 4096;
const MS = 1_000_000;
const GOAL = { accessBp: 400, aggrs: 3, minSampleUs: 5000, maxSampleUs: 10_000_000 };
const ATTRS: DamonAttrs = {
  sampleUs: 5000,
  aggrUs: 100_000,
  goal: GOAL,
  updateUs: 60_000_000,
  minNrRegions: 10,
  maxNrRegions: 1000,
};

/** A context at the end of an aggregation, with regions of so many pages and accesses. */
function context(attrs: Partial<DamonAttrs>, ...regions: readonly [pages: number, nr: number][]) {
  const ctx = newDamonContext('paddr', { ...ATTRS, ...attrs });
  ctx.aggrSamples = Math.floor(ctx.attrs.aggrUs / ctx.attrs.sampleUs);
  let at = 0;
  const rows = regions.map(([pages, nrAccesses]) => {
    const region = { ...newDamonRegion(at, at + pages * PAGE), nrAccesses, age: 7 };
    at += pages * PAGE;
    return region;
  });
  ctx.targets = [{ pid: -1, regions: rows }];
  ctx.passedSamples = 60;
  return ctx;
}

function intervals(ctx: DamonContext): [number, number] {
  return [ctx.attrs.sampleUs, ctx.attrs.aggrUs];
}

describe('a goal for intervals (HS-87)', () => {
  it('is refused if the sample interval is not between its limits, unless it is off', () => {
    const check = (more: Partial<typeof GOAL>) =>
      checkDamonAttrs({ ...ATTRS, goal: { ...GOAL, ...more } });
    expect(check({})).toBe(0);
    expect(check({ minSampleUs: 5001 })).toBe(-EINVAL);
    expect(check({ maxSampleUs: 4999 })).toBe(-EINVAL);
    expect(check({ minSampleUs: 6000, maxSampleUs: 5000 })).toBe(-EINVAL);
    expect(check({ aggrs: 0, minSampleUs: 6000, maxSampleUs: 5000 })).toBe(0);
  });

  it('doubles intervals that see nothing, up to the longest sample', () => {
    const ctx = context({}, [1000, 0]);
    tuneIntervals(ctx);
    expect(intervals(ctx)).toEqual([10_000, 200_000]);
    const long = context({ sampleUs: 6_000_000, aggrUs: 120_000_000 }, [1000, 0]);
    tuneIntervals(long);
    expect(intervals(long)).toEqual([10_000_000, 200_000_000]);
  });

  it('halves intervals that see far too much, down to the shortest sample', () => {
    // All of 20 samples: 10000 bp of 400, 25 times as many as wanted.
    const ctx = context({ sampleUs: 80_000, aggrUs: 1_600_000 }, [1000, 20]);
    tuneIntervals(ctx);
    expect(intervals(ctx)).toEqual([40_000, 800_000]);
    const short = context({ sampleUs: 6000, aggrUs: 120_000 }, [1000, 20]);
    tuneIntervals(short);
    expect(intervals(short)).toEqual([5000, 100_000]);
  });

  it('changes by what is missing, and half as fast downwards', () => {
    // 100 of 1000 pages seen in 6 of 20 samples: 300 bp, three quarters of 400.
    const fewer = context({ sampleUs: 80_000, aggrUs: 1_600_000 }, [900, 0], [100, 6]);
    tuneIntervals(fewer);
    expect(intervals(fewer)).toEqual([100_000, 2_000_000]);
    // In 10 of 20: 500 bp, a quarter too many.
    const more = context({ sampleUs: 80_000, aggrUs: 1_600_000 }, [900, 0], [100, 10]);
    tuneIntervals(more);
    expect(intervals(more)).toEqual([70_000, 1_400_000]);
    const right = context({ sampleUs: 80_000, aggrUs: 1_600_000 }, [900, 0], [100, 8]);
    tuneIntervals(right);
    expect(intervals(right)).toEqual([80_000, 1_600_000]);
  });

  it('keeps rates; ages are aggregations of the new length; turns are counted anew', () => {
    const ctx = context({}, [1000, 0]);
    ctx.schemes = [{ ...newDamosScheme(), applyIntervalUs: 1_000_000, nextApplySample: 61 }];
    ctx.targets[0].regions[0].nrAccesses = 5;
    expect(setDamonAttrs(ctx, { ...ATTRS, sampleUs: 10_000, aggrUs: 400_000 })).toBe(0);
    const [region] = ctx.targets[0].regions;
    expect([region.nrAccesses, region.nrAccessesBp, region.age]).toEqual([10, 100_000, 1]);
    expect([ctx.nextAggregationSample, ctx.nextUpdateSample]).toEqual([100, 6060]);
    expect(ctx.schemes[0].nextApplySample).toBe(160);
    expect(setDamonAttrs(ctx, { ...ATTRS, minNrRegions: 2 })).toBe(-EINVAL);
    expect(ctx.attrs.minNrRegions).toBe(10);
  });

  it('is looked at every third aggregation of a running context', () => {
    const k = bootNodes([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] }]);
    const zone = k.pm.zones.find((one) => one.presentPages > 0)!;
    const ctx = newDamonContext('paddr', ATTRS);
    const region = newDamonRegion(zone.startPfn * PAGE, zone.endPfn * PAGE);
    ctx.targets = [{ pid: -1, regions: [region] }];
    expect(startDamon(k, ctx)).toBe(0);
    const seen: [atMs: number, sampleUs: number][] = [];
    for (let ms = 1; ms <= 2200; ms++) {
      k.nowNs += MS;
      const before = ctx.attrs.sampleUs;
      runDamon(k);
      if (ctx.attrs.sampleUs !== before) seen.push([ms, ctx.attrs.sampleUs]);
    }
    // Nobody runs: 3 aggregations of 100 ms, 3 of 200, 3 of 400.
    expect(seen).toEqual([
      [300, 10_000],
      [900, 20_000],
      [2100, 40_000],
    ]);
  });
});
