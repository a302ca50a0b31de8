/**
 * DAMON set up for tiering, as writes to /sys/kernel/mm/damon/admin (mm/damon/sysfs.c; HS-110,
 * HS-111): what samples/damon/mtier.c of Linux 6.16 sets up inside the kernel. Two threads: one
 * looks at slow memory and migrates what is accessed up (migrate_hot), one looks at fast memory
 * and migrates what is not accessed down (migrate_cold). Quotas follow goals: so much of the fast
 * node used, so much of it free, a little more than what is left.
 *
 * The same writes set up the modelled kernel and a real one.
 */
import { type Nid, PAGE_SIZE } from '../base/units.ts';

const ROOT = '/sys/kernel/mm/damon/admin/kdamonds';
const U32_MAX = 4294967295;
/** Between two changes of the intervals, as in the sample. */
const GOAL_AGGREGATIONS = 3;

export interface DamonTiering {
  readonly sampleUs: number;
  readonly aggrUs: number;
  /**
   * Intervals are tuned from sampleUs up to sampleMaxUs until sampling sees this share of accesses,
   * 1/10000; 0 = they stay (monitoring_attrs/intervals/intervals_goal, Linux 6.15; HS-87).
   */
  readonly accessBp: number;
  readonly sampleMaxUs: number;
  readonly minNrRegions: number;
  readonly maxNrRegions: number;
  readonly applyIntervalUs: number;
  /** Most that each direction migrates in `resetMs`. */
  readonly quotaBytes: number;
  readonly resetMs: number;
  /** Quotas follow the goals; otherwise quotaBytes alone holds. */
  readonly isTuned: boolean;
  /** Goals for the fast node, 1/10000 of its memory. */
  readonly usedBp: number;
  readonly freeBp: number;
}

/** A node with its physical memory: pages from PFN, as text or numbers. */
export interface DamonNode {
  readonly nid: Nid;
  readonly ranges: readonly { readonly pfn: number; readonly nrPages: number }[];
}

export interface FileWrite {
  readonly path: string;
  readonly value: string;
}

/** Writes in order, to directories without kdamonds. */
export function damonFileWrites(
  tiering: DamonTiering,
  fast: DamonNode,
  slow: DamonNode,
): FileWrite[] {
  return [
    { path: `${ROOT}/nr_kdamonds`, value: '2' },
    ...contextWrites(0, tiering, slow, promotion(tiering, fast.nid)),
    ...contextWrites(1, tiering, fast, demotion(tiering, fast.nid, slow.nid)),
    { path: `${ROOT}/0/state`, value: 'on' },
    { path: `${ROOT}/1/state`, value: 'on' },
  ];
}

type Values = Readonly<Record<string, string | number>>;

/** Accessed at all, and by the filter in the last moment, too. */
function promotion(tiering: DamonTiering, fastNid: Nid): Values {
  return {
    action: 'migrate_hot',
    target_nid: fastNid,
    'access_pattern/nr_accesses/min': 1,
    'access_pattern/nr_accesses/max': U32_MAX,
    'ops_filters/0/allow': 'Y',
    ...goal(tiering, 'node_mem_used_bp', tiering.usedBp, fastNid),
  };
}

/** Not accessed; what the filter finds accessed stays. */
function demotion(tiering: DamonTiering, fastNid: Nid, slowNid: Nid): Values {
  return {
    action: 'migrate_cold',
    target_nid: slowNid,
    'access_pattern/nr_accesses/min': 0,
    'access_pattern/nr_accesses/max': 0,
    'ops_filters/0/allow': 'N',
    ...goal(tiering, 'node_mem_free_bp', tiering.freeBp, fastNid),
  };
}

function goal(tiering: DamonTiering, metric: string, value: number, nid: Nid): Values {
  if (!tiering.isTuned) return {};
  return {
    'quotas/goals/0/target_metric': metric,
    'quotas/goals/0/target_value': value,
    'quotas/goals/0/nid': nid,
  };
}

/** Files that kernels before 6.15 do not have are written only if asked for. */
function intervalsGoal({ accessBp, sampleUs, sampleMaxUs }: DamonTiering): Values {
  if (accessBp === 0) return {};
  const directory = 'monitoring_attrs/intervals/intervals_goal';
  return {
    [`${directory}/access_bp`]: accessBp,
    [`${directory}/aggrs`]: GOAL_AGGREGATIONS,
    [`${directory}/min_sample_us`]: sampleUs,
    [`${directory}/max_sample_us`]: Math.max(sampleUs, sampleMaxUs),
  };
}

function contextWrites(
  kdamond: number,
  tiering: DamonTiering,
  node: DamonNode,
  scheme: Values,
): FileWrite[] {
  const context = `${ROOT}/${kdamond}/contexts/0`;
  const counts: Values = {
    'targets/nr_targets': 1,
    'targets/0/regions/nr_regions': node.ranges.length,
    'schemes/nr_schemes': 1,
    'schemes/0/ops_filters/nr_filters': 1,
    'schemes/0/quotas/goals/nr_goals': tiering.isTuned ? 1 : 0,
  };
  const attributes: Values = {
    operations: 'paddr',
    'monitoring_attrs/intervals/sample_us': tiering.sampleUs,
    'monitoring_attrs/intervals/aggr_us': tiering.aggrUs,
    ...intervalsGoal(tiering),
    'monitoring_attrs/nr_regions/min': tiering.minNrRegions,
    'monitoring_attrs/nr_regions/max': tiering.maxNrRegions,
  };
  const common: Values = {
    apply_interval_us: tiering.applyIntervalUs,
    'access_pattern/sz/min': PAGE_SIZE,
    'access_pattern/sz/max': '18446744073709551615',
    'access_pattern/age/min': 0,
    'access_pattern/age/max': U32_MAX,
    'quotas/bytes': tiering.quotaBytes,
    'quotas/reset_interval_ms': tiering.resetMs,
    'quotas/weights/sz_permil': 0,
    'quotas/weights/nr_accesses_permil': 100,
    'quotas/weights/age_permil': 100,
    'ops_filters/0/type': 'young',
    'ops_filters/0/matching': 'Y',
  };
  const regions: Record<string, number> = {};
  for (const [i, { pfn, nrPages }] of node.ranges.entries()) {
    regions[`targets/0/regions/${i}/start`] = pfn * PAGE_SIZE;
    regions[`targets/0/regions/${i}/end`] = (pfn + nrPages) * PAGE_SIZE;
  }
  return [
    { path: `${ROOT}/${kdamond}/contexts/nr_contexts`, value: '1' },
    ...writes(context, counts),
    ...writes(context, attributes),
    ...writes(context, regions),
    ...writes(`${context}/schemes/0`, { ...common, ...scheme }),
  ];
}

function writes(directory: string, values: Values): FileWrite[] {
  return Object.entries(values).map(([name, value]) => {
    return { path: `${directory}/${name}`, value: String(value) };
  });
}
