/**
 * DAMON's adaptive regions (mm/damon/core.c: damon_set_regions, kdamond_merge_regions,
 * kdamond_split_regions, damon_update_region_access_rate). HS-71, HS-75..HS-78.
 */
import type { RandomStream } from '../base/prng.ts';
import {
  DAMON_MIN_REGION,
  type DamonContext,
  type DamonRange,
  type DamonRegion,
  type DamonTarget,
  maxNrAccesses,
  newDamonRegion,
} from './damonContext.ts';

const BP = 10000;

export function sizeOfRegion(region: DamonRange): number {
  return region.end - region.start;
}

export function nrRegionsOf(ctx: DamonContext): number {
  return ctx.targets.reduce((n, target) => n + target.regions.length, 0);
}

function alignDown(bytes: number): number {
  return bytes - (bytes % DAMON_MIN_REGION);
}

function alignUp(bytes: number): number {
  return alignDown(bytes + DAMON_MIN_REGION - 1);
}

/** damon_region_sz_limit: merging makes no region larger than an even share (HS-77). */
export function regionSizeLimit(ctx: DamonContext): number {
  let total = 0;
  for (const target of ctx.targets) for (const r of target.regions) total += sizeOfRegion(r);
  return Math.max(DAMON_MIN_REGION, Math.floor(total / ctx.attrs.minNrRegions));
}

/** Divides every region evenly, so that there are about min_nr_regions in all (HS-71). */
export function splitToMinimum(ctx: DamonContext): void {
  const limit = regionSizeLimit(ctx);
  for (const target of ctx.targets) {
    target.regions = target.regions.flatMap((region) => {
      return evenParts(region, Math.floor(sizeOfRegion(region) / limit));
    });
  }
}

/** damon_evenly_split_region: the last part takes what is left over. */
function evenParts(region: DamonRegion, parts: number): DamonRegion[] {
  const size = alignDown(Math.floor(sizeOfRegion(region) / Math.max(1, parts)));
  if (parts < 2 || size === 0) return [region];
  const out: DamonRegion[] = [];
  for (let n = 0; n < parts; n++) {
    const start = region.start + n * size;
    out.push(newDamonRegion(start, n === parts - 1 ? region.end : start + size));
  }
  return out;
}

/** damon_set_regions: the target now covers exactly `ranges`; what intersects them is kept. */
export function setRegions(target: DamonTarget, ranges: readonly DamonRange[]): void {
  const out: DamonRegion[] = [];
  for (const range of ranges) {
    const start = alignDown(range.start);
    const end = alignUp(range.end);
    const kept = target.regions.filter((r) => r.start < end && r.end > start && !out.includes(r));
    if (kept.length === 0) {
      out.push(newDamonRegion(start, end));
      continue;
    }
    kept[0].start = start;
    kept[kept.length - 1].end = end;
    for (const [n, region] of kept.entries()) {
      const next = kept[n + 1];
      out.push(region);
      if (next !== undefined && region.end < next.start) {
        out.push(newDamonRegion(region.end, next.start));
      }
    }
  }
  target.regions = out;
}

/** damon_update_region_access_rate: one sample's answer. */
export function countAccess(ctx: DamonContext, region: DamonRegion, accessed: boolean): void {
  const window = maxNrAccesses(ctx.attrs);
  const leaving = Math.floor((region.lastNrAccesses * BP) / window);
  region.nrAccessesBp = Math.max(0, region.nrAccessesBp - leaving) + (accessed ? BP : 0);
  if (accessed) region.nrAccesses++;
}

/** kdamond_merge_regions at the end of an aggregation: ages, then neighbours that are alike. */
export function mergeRegions(ctx: DamonContext, highest: number): void {
  const most = maxNrAccesses(ctx.attrs);
  let threshold = Math.floor(highest / 10);
  for (;;) {
    for (const target of ctx.targets) mergeRegionsOf(target, threshold, ctx.sizeLimit);
    const used = threshold;
    threshold = Math.max(1, threshold * 2);
    if (nrRegionsOf(ctx) <= ctx.attrs.maxNrRegions || used >= most) return;
  }
}

function mergeRegionsOf(target: DamonTarget, threshold: number, sizeLimit: number): void {
  const out: DamonRegion[] = [];
  for (const region of target.regions) {
    updateAge(region, threshold);
    const previous = out[out.length - 1];
    if (previous !== undefined && mayMerge(previous, region, threshold, sizeLimit)) {
      mergeTwo(previous, region);
    } else out.push(region);
  }
  target.regions = out;
}

/** HS-76. */
function updateAge(region: DamonRegion, threshold: number): void {
  const { nrAccesses, lastNrAccesses } = region;
  const changed = Math.abs(nrAccesses - lastNrAccesses) > threshold;
  if (changed || (nrAccesses === 0) !== (lastNrAccesses === 0)) region.age = 0;
  else region.age++;
}

function mayMerge(a: DamonRegion, b: DamonRegion, threshold: number, sizeLimit: number): boolean {
  if (a.end !== b.start || Math.abs(a.nrAccesses - b.nrAccesses) > threshold) return false;
  return sizeOfRegion(a) + sizeOfRegion(b) <= sizeLimit;
}

/** damon_merge_two_regions: averages weighted by size. */
function mergeTwo(left: DamonRegion, right: DamonRegion): void {
  const [l, r] = [sizeOfRegion(left), sizeOfRegion(right)];
  const average = (a: number, b: number) => Math.floor((a * l + b * r) / (l + r));
  left.nrAccesses = average(left.nrAccesses, right.nrAccesses);
  left.nrAccessesBp = left.nrAccesses * BP;
  left.age = average(left.age, right.age);
  left.end = right.end;
}

/** kdamond_reset_aggregated. */
export function resetAggregated(ctx: DamonContext): void {
  for (const target of ctx.targets) {
    for (const region of target.regions) {
      region.lastNrAccesses = region.nrAccesses;
      region.nrAccesses = 0;
    }
  }
}

/** damon_split_region_at: the region keeps its first `bytes`; the rest is a region of its own. */
export function splitRegionAt(target: DamonTarget, region: DamonRegion, bytes: number): void {
  const right = { ...region, start: region.start + bytes };
  region.end = right.start;
  target.regions.splice(target.regions.indexOf(region) + 1, 0, right);
}

/** kdamond_split_regions: HS-78. */
export function splitRegions(ctx: DamonContext, random: RandomStream): void {
  const nr = nrRegionsOf(ctx);
  const { maxNrRegions } = ctx.attrs;
  if (nr > Math.floor(maxNrRegions / 2)) return;
  // The middle of a region may differ, if halving it did not help.
  const parts = ctx.lastNrRegions === nr && nr < Math.floor(maxNrRegions / 3) ? 3 : 2;
  for (const target of ctx.targets) {
    for (const region of [...target.regions]) splitRandomly(target, region, parts, random);
  }
  ctx.lastNrRegions = nr;
}

function splitRandomly(
  target: DamonTarget,
  region: DamonRegion,
  parts: number,
  random: RandomStream,
): void {
  let size = sizeOfRegion(region);
  for (let n = 0; n < parts - 1 && size > 2 * DAMON_MIN_REGION; n++) {
    const left = alignDown(Math.floor(((1 + random.below(9)) * size) / 10));
    if (left === 0 || left >= size) continue;
    splitRegionAt(target, region, left);
    size = left;
  }
}
