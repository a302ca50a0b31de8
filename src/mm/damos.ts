/**
 * DAMON-based operation schemes: which regions, how much (mm/damon/core.c:
 * kdamond_apply_schemes, damos_apply_scheme, damos_adjust_quota, damos_wmark_wait_us).
 * HS-79..HS-83, HS-86.
 *
 * Deviates: the time that applying takes, which a quota in ms limits, is a constant per folio.
 * Not modelled: goals by memory pressure (PSI) and by memory cgroups: their current value is 0.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { NR_FREE_PAGES, NR_INACTIVE_ANON } from '../uapi/vmstat.ts';
import {
  applySamples,
  DAMON_MIN_REGION,
  type DamonContext,
  type DamonRegion,
  type DamonTarget,
  type DamosGoal,
  type DamosQuota,
  type DamosScheme,
  maxNrAccesses,
  U64_MAX,
} from './damonContext.ts';
import { sizeOfRegion, splitRegionAt } from './damonRegions.ts';
import { applyDamosAction } from './damosActions.ts';
import { isRegionFilteredOut } from './damosFilters.ts';
import type { Kernel } from './kernel.ts';

/** Active lists come behind the inactive ones, lists of files behind those of anonymous memory. */
const NR_ACTIVE_ANON = NR_INACTIVE_ANON + 1;
const FILE_LISTS = 2;
const BP = 10000;
const SCORE_MAX = 99;
/** Time to look at a folio and to change it. */
const NS_PER_FOLIO = 1000;
/** Throughput assumed before anything was applied: bytes per ms. */
const FIRST_BYTES_PER_MS = PAGE_SIZE * 1024;

/** kdamond_apply_schemes, for those schemes whose interval is over. */
export function applySchemes(k: Kernel, ctx: DamonContext): void {
  const due = ctx.schemes.filter(
    (scheme) => ctx.passedSamples >= scheme.nextApplySample && scheme.watermarks.isActive,
  );
  if (due.length === 0) return;
  for (const scheme of due) adjustQuota(k, ctx, scheme);
  for (const target of ctx.targets) {
    // A region that is cut while schemes work on it has its right part looked at, too.
    for (let n = 0; n < target.regions.length; n++) {
      for (const scheme of due) n = applyToRegion(k, ctx, target, n, scheme);
    }
  }
  for (const scheme of due) {
    scheme.nextApplySample = ctx.passedSamples + applySamples(ctx.attrs, scheme);
    scheme.lastApplied = -1;
    const tried = ctx.tried?.[ctx.schemes.indexOf(scheme)];
    if (tried !== undefined) tried.isDone = true;
  }
}

/** damos_walk_call_walk: for whoever waits to be told. */
function keepTried(
  ctx: DamonContext,
  region: DamonRegion,
  scheme: DamosScheme,
  passed: number,
): void {
  const tried = ctx.tried?.[ctx.schemes.indexOf(scheme)];
  if (tried === undefined || tried.isDone) return;
  tried.totalBytes += sizeOfRegion(region);
  tried.regions.push({ region: { ...region }, passed });
}

/** damon_do_apply_schemes for one scheme; returns the index of the region it looked at. */
function applyToRegion(
  k: Kernel,
  ctx: DamonContext,
  target: DamonTarget,
  n: number,
  scheme: DamosScheme,
): number {
  const { quota } = scheme;
  if (quota.esz > 0 && quota.chargedBytes >= quota.esz) return n;
  const at = skipCharged(ctx, target, n, quota);
  if (at < 0) return n;
  const region = target.regions[at];
  if (!matchesPattern(region, scheme)) return at;
  if (quota.esz > 0 && scoreOf(ctx, region, scheme) < quota.minScore) return at;
  applyScheme(k, ctx, target, region, scheme);
  return at;
}

/**
 * damos_skip_charged_region: a new charge window goes on where the last one stopped. Returns the
 * region to look at, or -1 if this one had its turn.
 */
function skipCharged(ctx: DamonContext, target: DamonTarget, n: number, quota: DamosQuota): number {
  if (quota.chargeTarget < 0) return n;
  if (ctx.targets.indexOf(target) !== quota.chargeTarget) return -1;
  const region = target.regions[n];
  const from = quota.chargeAddr;
  if (n < target.regions.length - 1 && region.end <= from) return -1;
  quota.chargeTarget = -1;
  quota.chargeAddr = -1;
  if (n === target.regions.length - 1) return -1;
  if (region.start >= from) return n;
  const size = sizeOfRegion(region);
  const gone = from - region.start;
  const skipped = Math.max(DAMON_MIN_REGION, gone - (gone % DAMON_MIN_REGION));
  if (skipped >= size) return -1;
  splitRegionAt(target, region, skipped);
  return n + 1;
}

/** __damos_valid_target. All bounds are inclusive. */
function matchesPattern(region: DamonRegion, scheme: DamosScheme): boolean {
  const size = sizeOfRegion(region);
  const nr = Math.floor(region.nrAccessesBp / BP);
  return (
    scheme.minSize <= size &&
    size <= scheme.maxSize &&
    scheme.minNrAccesses <= nr &&
    nr <= scheme.maxNrAccesses &&
    scheme.minAge <= region.age &&
    region.age <= scheme.maxAge
  );
}

/** damos_apply_scheme. */
function applyScheme(
  k: Kernel,
  ctx: DamonContext,
  target: DamonTarget,
  region: DamonRegion,
  scheme: DamosScheme,
): void {
  const { quota, stat } = scheme;
  let size = sizeOfRegion(region);
  if (quota.esz > 0 && quota.chargedBytes + size > quota.esz) {
    const left = quota.esz - quota.chargedBytes;
    size = left - (left % DAMON_MIN_REGION);
    if (size === 0) {
      stat.nrTried++;
      return;
    }
    splitRegionAt(target, region, size);
  }
  if (isRegionFilteredOut(ctx, target, region, scheme)) return;
  size = sizeOfRegion(region);
  const before = ctx.work.schemeFolios;
  const outcome = applyDamosAction(k, ctx, target, region, scheme);
  keepTried(ctx, region, scheme, outcome.passed);
  quota.totalChargedNs += (ctx.work.schemeFolios - before) * NS_PER_FOLIO;
  quota.chargedBytes += size;
  if (quota.esz > 0 && quota.chargedBytes >= quota.esz) {
    quota.chargeTarget = ctx.targets.indexOf(target);
    quota.chargeAddr = region.end + 1;
  }
  if (scheme.action !== 'stat') region.age = 0; // HS-86
  stat.nrTried++;
  stat.szTried += size;
  if (outcome.applied > 0) stat.nrApplied++;
  stat.szApplied += outcome.applied;
  stat.szOpsFilterPassed += outcome.passed;
}

/** damos_adjust_quota: HS-80, HS-82. */
function adjustQuota(k: Kernel, ctx: DamonContext, scheme: DamosScheme): void {
  const { quota } = scheme;
  if (quota.ms === 0 && quota.bytes === 0 && quota.goals.length === 0) return;
  if (quota.chargedFromNs < 0) {
    quota.chargedFromNs = k.nowNs;
    quota.esz = effectiveQuota(k, quota);
  }
  if (k.nowNs >= quota.chargedFromNs + quota.resetIntervalMs * 1e6) {
    if (quota.esz > 0 && quota.chargedBytes >= quota.esz) scheme.stat.qtExceeds++;
    quota.totalChargedBytes += quota.chargedBytes;
    quota.chargedFromNs = k.nowNs;
    quota.chargedBytes = 0;
    quota.esz = effectiveQuota(k, quota);
  }
  quota.minScore = lowestScore(ctx, scheme);
}

/** damos_set_effective_quota: the least of time, size and what goals ask for. */
function effectiveQuota(k: Kernel, quota: DamosQuota): number {
  if (quota.ms === 0 && quota.goals.length === 0) return quota.bytes;
  let esz = U64_MAX;
  if (quota.goals.length > 0) {
    const score = Math.max(...quota.goals.map((goal) => goalScore(k, goal)));
    quota.eszBp = nextInput(Math.max(quota.eszBp, BP), score);
    esz = Math.floor(quota.eszBp / BP);
  }
  if (quota.ms > 0) {
    const { totalChargedBytes, totalChargedNs } = quota;
    const perMs =
      totalChargedNs > 0
        ? Math.floor((totalChargedBytes * 1e6) / totalChargedNs)
        : FIRST_BYTES_PER_MS;
    esz = Math.min(esz, Math.max(DAMON_MIN_REGION, perMs * quota.ms));
  }
  return quota.bytes > 0 ? Math.min(esz, quota.bytes) : esz;
}

/** damon_feed_loop_next_input: HS-81. */
export function nextInput(last: number, score: number): number {
  if (score >= 2 * BP) return BP;
  const change = Math.floor((last * Math.abs(BP - score)) / BP);
  if (score > BP) return Math.max(last - change, BP);
  return Math.min(last + change, U64_MAX);
}

function goalScore(k: Kernel, goal: DamosGoal): number {
  if (goal.metric !== 'user_input') goal.current = goalMetric(k, goal);
  return goal.target === 0 ? 0 : Math.floor((goal.current * BP) / goal.target);
}

function goalMetric(k: Kernel, goal: DamosGoal): number {
  const node = k.pm.nodes[goal.nid];
  switch (goal.metric) {
    case 'node_mem_used_bp':
    case 'node_mem_free_bp': {
      if (node === undefined || node.managed === 0) return 0;
      const free = freePagesOf(k, node.zones);
      const pages = goal.metric === 'node_mem_free_bp' ? free : node.managed - free;
      return Math.floor((pages * BP) / node.managed);
    }
    case 'active_mem_bp':
    case 'inactive_mem_bp': {
      const active = lruPages(k, NR_ACTIVE_ANON);
      const inactive = lruPages(k, NR_INACTIVE_ANON);
      const pages = goal.metric === 'active_mem_bp' ? active : inactive;
      return active + inactive === 0 ? 0 : Math.floor((pages * BP) / (active + inactive));
    }
    default:
      return 0;
  }
}

function lruPages(k: Kernel, item: number): number {
  const sum = (name: number) =>
    k.pm.nodes.reduce((pages, node) => pages + k.vmstat.nodeItem(node.nid, name), 0);
  return sum(item) + sum(item + FILE_LISTS);
}

function freePagesOf(k: Kernel, zones: readonly { readonly id: number }[]): number {
  return zones.reduce((pages, zone) => pages + k.vmstat.zoneItem(zone.id, NR_FREE_PAGES), 0);
}

/** The lowest score such that all regions from the highest down to it fill the quota. */
function lowestScore(ctx: DamonContext, scheme: DamosScheme): number {
  const bytes = new Float64Array(SCORE_MAX + 1);
  let highest = 0;
  for (const target of ctx.targets) {
    for (const region of target.regions) {
      if (!matchesPattern(region, scheme)) continue;
      const score = scoreOf(ctx, region, scheme);
      bytes[score] += sizeOfRegion(region);
      highest = Math.max(highest, score);
    }
  }
  let total = 0;
  for (let score = highest; ; score--) {
    total += bytes[score];
    if (total >= scheme.quota.esz || score === 0) return score;
  }
}

/** ops.get_scheme_score: who goes first when there is not room for all. */
function scoreOf(ctx: DamonContext, region: DamonRegion, scheme: DamosScheme): number {
  switch (scheme.action) {
    case 'lru_prio':
    case 'migrate_hot':
      return hotScore(ctx, region, scheme.quota);
    case 'pageout':
    case 'lru_deprio':
    case 'migrate_cold':
      return SCORE_MAX - hotScore(ctx, region, scheme.quota);
    default:
      return SCORE_MAX;
  }
}

/** damon_hot_score: HS-82, integers throughout. */
export function hotScore(ctx: DamonContext, region: DamonRegion, quota: DamosQuota): number {
  const freq = Math.min(
    100,
    Math.floor((100 * Math.floor(region.nrAccessesBp / BP)) / maxNrAccesses(ctx.attrs)),
  );
  let log = 0;
  for (let s = Math.floor((region.age * ctx.attrs.aggrUs) / 1e6); s > 0 && log < 32; log++) {
    s = Math.floor(s / 2);
  }
  if (freq === 0) log = -log;
  const age = Math.floor(Math.floor(((log + 32) * 100) / 32) / 2);
  const { weightNrAccesses, weightAge } = quota;
  const weights = weightNrAccesses + weightAge;
  const sum = weightNrAccesses * freq + weightAge * age;
  const hotness = weights === 0 ? sum : Math.floor(sum / weights);
  return Math.min(SCORE_MAX, Math.floor((hotness * SCORE_MAX) / 100));
}

/** damos_wmark_wait_us for all schemes: 0 if any is active, else how long nothing is done. */
export function watermarkWaitUs(k: Kernel, ctx: DamonContext): number {
  let wait = -1;
  for (const { watermarks } of ctx.schemes) {
    if (watermarks.metric === 'none') {
      watermarks.isActive = true;
      return 0;
    }
    const free = freePerMille(k);
    const isOutside = free > watermarks.high || free < watermarks.low;
    watermarks.isActive = !isOutside && (watermarks.isActive || free < watermarks.mid);
    const one = watermarks.isActive ? 0 : watermarks.intervalUs;
    wait = wait < 0 ? one : Math.min(wait, one);
  }
  return Math.max(0, wait);
}

function freePerMille(k: Kernel): number {
  const managed = k.pm.nodes.reduce((pages, node) => pages + node.managed, 0);
  return Math.floor((freePagesOf(k, k.pm.zones) * 1000) / Math.max(1, managed));
}
