/**
 * DAMON's intervals while it runs (mm/damon/core.c: damon_set_attrs, kdamond_tune_intervals,
 * Linux 6.15): tuned towards a share of all possible access events that sampling is to see. HS-87.
 *
 * A sampling interval more sees: too few events make intervals longer, too many shorter. The
 * number of samples in an aggregation stays as it was.
 */
import {
  applySamples,
  checkDamonAttrs,
  type DamonAttrs,
  type DamonContext,
  type DamonRegion,
  maxNrAccesses,
  samplesOf,
} from './damonContext.ts';
import { sizeOfRegion } from './damonRegions.ts';
import { nextInput } from './damos.ts';

const BP = 10000;
/** What nextInput() starts from: its answer, in 1/10000, is that of no change in 1/10000. */
const NO_CHANGE = BP * BP;

/**
 * damon_set_attrs at the end of an aggregation: what regions know is put in terms of the new
 * intervals, and all that is counted in samples begins anew. 0 or -EINVAL.
 */
export function setDamonAttrs(ctx: DamonContext, attrs: DamonAttrs): number {
  const invalid = checkDamonAttrs(attrs);
  if (invalid !== 0) return invalid;
  for (const target of ctx.targets) {
    for (const region of target.regions) convertRegion(region, ctx.attrs, attrs);
  }
  ctx.attrs = attrs;
  ctx.nextAggregationSample = ctx.passedSamples + samplesOf(attrs, attrs.aggrUs);
  ctx.nextUpdateSample = ctx.passedSamples + samplesOf(attrs, attrs.updateUs);
  for (const scheme of ctx.schemes) {
    scheme.nextApplySample = ctx.passedSamples + applySamples(attrs, scheme);
  }
  return 0;
}

/** damon_update_monitoring_result: rates stay, ages are aggregations of the new length. */
function convertRegion(region: DamonRegion, from: DamonAttrs, to: DamonAttrs): void {
  const rate = Math.floor((region.nrAccesses * BP) / maxNrAccesses(from));
  region.nrAccesses = Math.floor((rate * maxNrAccesses(to)) / BP);
  region.nrAccessesBp = region.nrAccesses * BP;
  region.age = Math.floor((region.age * from.aggrUs) / to.aggrUs);
}

/** kdamond_tune_intervals, at the end of an aggregation. */
export function tuneIntervals(ctx: DamonContext): void {
  const factor = adaptation(ctx);
  if (factor === BP) return;
  const { attrs, aggrSamples } = ctx;
  const { minSampleUs, maxSampleUs } = attrs.goal;
  const wanted = Math.floor((attrs.sampleUs * factor) / BP);
  const sampleUs = Math.max(minSampleUs, Math.min(maxSampleUs, wanted));
  setDamonAttrs(ctx, { ...attrs, sampleUs, aggrUs: sampleUs * aggrSamples });
}

/** damon_get_intervals_adaptation_bp: 5000..20000; intervals shrink by half at most. */
function adaptation(ctx: DamonContext): number {
  const factor = Math.floor(nextInput(NO_CHANGE, score(ctx)) / BP);
  return factor <= BP ? 5000 + Math.floor(factor / 2) : factor;
}

/** damon_get_intervals_score: events seen of those aimed at, in 1/10000. */
function score(ctx: DamonContext): number {
  let most = 0;
  let seen = 0;
  for (const target of ctx.targets) {
    for (const region of target.regions) {
      most += sizeOfRegion(region) * ctx.aggrSamples;
      seen += sizeOfRegion(region) * region.nrAccesses;
    }
  }
  const aim = Math.max(1, Math.floor((most * ctx.attrs.goal.accessBp) / BP));
  return Math.floor((seen * BP) / aim);
}
