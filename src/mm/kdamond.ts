/**
 * The thread that runs a DAMON context (mm/damon/core.c: kdamond_fn, damon_start, damon_stop).
 * HS-70..HS-75.
 *
 * Order per sampling interval: check the places marked before -> at the end of an aggregation
 * merge -> apply schemes -> at the end of an aggregation tune intervals, reset and split -> update
 * targets -> mark new places. Who drives the kernel calls runDamon whenever time has gone by.
 */
import { RandomStream } from '../base/prng.ts';
import type { Nanoseconds } from '../base/units.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import type { KdamondRow } from './damonAdmin.ts';
import { applySamples, checkDamonAttrs, type DamonContext, samplesOf } from './damonContext.ts';
import { tuneIntervals } from './damonIntervals.ts';
import {
  mergeRegions,
  regionSizeLimit,
  resetAggregated,
  setRegions,
  splitRegions,
  splitToMinimum,
} from './damonRegions.ts';
import { checkAccesses, prepareAccessChecks, spaceOf, threeRegions } from './damonSampling.ts';
import { applySchemes, watermarkWaitUs } from './damos.ts';
import type { Kernel } from './kernel.ts';

const US = 1000;

/** DAMON of one kernel: its control files, the contexts that run, its own randomness. */
export interface Damon {
  readonly kdamonds: KdamondRow[];
  readonly contexts: DamonContext[];
  readonly random: RandomStream;
}

export function newDamon(seed: number): Damon {
  return { kdamonds: [], contexts: [], random: new RandomStream(seed, 'damon') };
}

/** damon_start: 0, -EINVAL (attributes, a target without a process), -EBUSY (it runs). */
export function startDamon(k: Kernel, ctx: DamonContext): number {
  if (ctx.isRunning) return -EBUSY;
  const invalid = checkDamonAttrs(ctx.attrs);
  if (invalid !== 0) return invalid;
  if (ctx.operations !== 'paddr' && ctx.targets.some((target) => spaceOf(k, target) === null)) {
    return -EINVAL;
  }
  ctx.isRunning = true;
  ctx.passedSamples = 0;
  ctx.nextAggregationSample = samplesOf(ctx.attrs, ctx.attrs.aggrUs);
  ctx.nextUpdateSample = samplesOf(ctx.attrs, ctx.attrs.updateUs);
  ctx.aggrSamples = ctx.nextAggregationSample;
  ctx.nextTuneSample = ctx.aggrSamples * ctx.attrs.goal.aggrs;
  for (const scheme of ctx.schemes) {
    scheme.nextApplySample = applySamples(ctx.attrs, scheme);
  }
  if (ctx.operations === 'vaddr') updateTargets(k, ctx, true);
  splitToMinimum(ctx);
  ctx.sizeLimit = regionSizeLimit(ctx);
  k.damon.contexts.push(ctx);
  beginSample(k, ctx, k.nowNs);
  return 0;
}

/** damon_stop. */
export function stopDamon(k: Kernel, ctx: DamonContext): void {
  ctx.isRunning = false;
  const at = k.damon.contexts.indexOf(ctx);
  if (at >= 0) k.damon.contexts.splice(at, 1);
}

/** When the next context wants to run; infinite if none does. */
export function nextDamonNs(k: Kernel): Nanoseconds {
  return k.damon.contexts.reduce(
    (next, ctx) => Math.min(next, ctx.nextSampleNs),
    Number.POSITIVE_INFINITY,
  );
}

/** Runs everything that is due by now. */
export function runDamon(k: Kernel): void {
  for (;;) {
    const due = k.damon.contexts.find((ctx) => ctx.nextSampleNs <= k.nowNs);
    if (due === undefined) return;
    step(k, due);
  }
}

/** The end of a sampling interval, and the beginning of the next one. */
function step(k: Kernel, ctx: DamonContext): void {
  const at = ctx.nextSampleNs;
  if (ctx.targets.length === 0 || isTargetGone(k, ctx)) {
    stopDamon(k, ctx);
    return;
  }
  ctx.passedSamples++;
  const highest = checkAccesses(k, ctx);
  const isAggregated = ctx.passedSamples >= ctx.nextAggregationSample;
  const isUpdate = ctx.passedSamples >= ctx.nextUpdateSample;
  if (isAggregated) mergeRegions(ctx, highest);
  applySchemes(k, ctx);
  if (isAggregated) {
    const { aggrs } = ctx.attrs.goal;
    if (aggrs > 0 && ctx.passedSamples >= ctx.nextTuneSample) {
      ctx.nextTuneSample += ctx.aggrSamples * aggrs;
      tuneIntervals(ctx);
    }
    ctx.nextAggregationSample = ctx.passedSamples + samplesOf(ctx.attrs, ctx.attrs.aggrUs);
    resetAggregated(ctx);
    splitRegions(ctx, k.damon.random);
  }
  if (isUpdate) {
    ctx.nextUpdateSample = ctx.passedSamples + samplesOf(ctx.attrs, ctx.attrs.updateUs);
    if (ctx.operations === 'vaddr') updateTargets(k, ctx, false);
    ctx.sizeLimit = regionSizeLimit(ctx);
  }
  beginSample(k, ctx, at);
}

/** Marks places old, unless all schemes wait for memory to run short (HS-83). */
function beginSample(k: Kernel, ctx: DamonContext, at: Nanoseconds): void {
  const waitUs = watermarkWaitUs(k, ctx);
  ctx.nextSampleNs = at + waitUs * US + Math.max(1, ctx.attrs.sampleUs) * US;
  prepareAccessChecks(k, ctx, k.damon.random);
}

/** kdamond_need_stop: the processes it looked at are gone. */
function isTargetGone(k: Kernel, ctx: DamonContext): boolean {
  if (ctx.operations === 'paddr') return false;
  return ctx.targets.every((target) => spaceOf(k, target) === null);
}

/** damon_va_init and damon_va_update: three ranges; given regions are the user's to begin with. */
function updateTargets(k: Kernel, ctx: DamonContext, isFirst: boolean): void {
  for (const target of ctx.targets) {
    if (isFirst && target.regions.length > 0) continue;
    const mm = spaceOf(k, target);
    const ranges = mm === null ? null : threeRegions(mm);
    if (ranges !== null) setRegions(target, ranges);
  }
}
