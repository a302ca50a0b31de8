/**
 * What DAMON works on (include/linux/damon.h): contexts with their attributes, targets, regions
 * and schemes. Plain rows; the files beside this one are the operations. HS-70..HS-84.
 *
 * Units: addresses are bytes, virtual or physical; intervals microseconds, as in the files.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { EINVAL } from '../uapi/errno.ts';

/** Regions are multiples of this (DAMON_MIN_REGION). */
export const DAMON_MIN_REGION: number = PAGE_SIZE;
/** 2^64, for 2^64 - 1: what limits hold that limit nothing. */
export const U64_MAX = 18446744073709552000;

export type DamonOperations = 'vaddr' | 'fvaddr' | 'paddr';

export const DAMOS_ACTIONS = [
  'willneed',
  'cold',
  'pageout',
  'hugepage',
  'nohugepage',
  'lru_prio',
  'lru_deprio',
  'migrate_hot',
  'migrate_cold',
  'stat',
] as const;
export type DamosAction = (typeof DAMOS_ACTIONS)[number];

export interface DamonRange {
  start: number;
  end: number;
}

export interface DamonRegion extends DamonRange {
  samplingAddr: number;
  /** Samples of this aggregation that saw an access; of the last one. */
  nrAccesses: number;
  lastNrAccesses: number;
  /** nrAccesses of the last whole aggregation interval in 1/10000, moving with each sample. */
  nrAccessesBp: number;
  /** Aggregations for which the region has been as it is. */
  age: number;
}

export interface DamonTarget {
  /** Whose memory; -1 for physical memory. */
  readonly pid: number;
  regions: DamonRegion[];
}

/** HS-87: intervals are tuned until sampling sees this share of all accesses it could see. */
export interface DamonIntervalsGoal {
  accessBp: number;
  /** Aggregations between two changes; 0 = intervals stay. */
  aggrs: number;
  minSampleUs: number;
  maxSampleUs: number;
}

export const NO_INTERVALS_GOAL: Readonly<DamonIntervalsGoal> = {
  accessBp: 0,
  aggrs: 0,
  minSampleUs: 0,
  maxSampleUs: 0,
};

export interface DamonAttrs {
  sampleUs: number;
  aggrUs: number;
  readonly goal: Readonly<DamonIntervalsGoal>;
  updateUs: number;
  minNrRegions: number;
  maxNrRegions: number;
}

export const DAMOS_FILTERS = [
  'anon',
  'active',
  'memcg',
  'young',
  'hugepage_size',
  'unmapped',
  'addr',
  'target',
] as const;
export type DamosFilterType = (typeof DAMOS_FILTERS)[number];

export interface DamosFilter {
  type: DamosFilterType;
  matching: boolean;
  allow: boolean;
  addrStart: number;
  addrEnd: number;
  /** Sizes in bytes of folios that hugepage_size matches. */
  min: number;
  max: number;
  targetIdx: number;
}

export const DAMOS_GOAL_METRICS = [
  'user_input',
  'some_mem_psi_us',
  'node_mem_used_bp',
  'node_mem_free_bp',
  'node_memcg_used_bp',
  'node_memcg_free_bp',
  'active_mem_bp',
  'inactive_mem_bp',
] as const;
export type DamosGoalMetric = (typeof DAMOS_GOAL_METRICS)[number];

export interface DamosGoal {
  metric: DamosGoalMetric;
  target: number;
  current: number;
  nid: number;
}

export interface DamosQuota {
  ms: number;
  bytes: number;
  resetIntervalMs: number;
  weightSize: number;
  weightNrAccesses: number;
  weightAge: number;
  goals: DamosGoal[];
  /** Bytes that may be charged in this interval; 0 = no limit. */
  esz: number;
  /** What goals ask for, in 1/10000 bytes. */
  eszBp: number;
  chargedBytes: number;
  /** When the interval began; -1 = not yet. */
  chargedFromNs: number;
  totalChargedBytes: number;
  totalChargedNs: number;
  /** Where the next interval goes on: target and address; -1 = at the beginning. */
  chargeTarget: number;
  chargeAddr: number;
  minScore: number;
}

export interface DamosWatermarks {
  metric: 'none' | 'free_mem_rate';
  intervalUs: number;
  /** Per mille of free memory. */
  high: number;
  mid: number;
  low: number;
  isActive: boolean;
}

export interface DamosStat {
  nrTried: number;
  szTried: number;
  nrApplied: number;
  szApplied: number;
  szOpsFilterPassed: number;
  qtExceeds: number;
}

export interface DamosScheme {
  action: DamosAction;
  minSize: number;
  maxSize: number;
  minNrAccesses: number;
  maxNrAccesses: number;
  minAge: number;
  maxAge: number;
  /** 0: the aggregation interval. */
  applyIntervalUs: number;
  nextApplySample: number;
  targetNid: number;
  /** Nodes with weights that migrate_hot and migrate_cold of virtual memory choose from. */
  dests: { id: number; weight: number }[];
  quota: DamosQuota;
  watermarks: DamosWatermarks;
  coreFilters: DamosFilter[];
  opsFilters: DamosFilter[];
  /** A core filter allowed the region at hand: no other filter is asked. */
  isCoreAllowed: boolean;
  stat: DamosStat;
  /** Head of the folio it worked on last, so that a folio in two regions counts once; -1 none. */
  lastApplied: number;
}

/** Regions that a scheme works on at its next turn, for somebody who asked (damos_walk). */
export interface TriedRegions {
  totalBytes: number;
  readonly regions: { readonly region: DamonRegion; readonly passed: number }[];
  isDone: boolean;
}

/** What monitoring cost: to be charged to a CPU by whoever runs DAMON. */
export interface DamonWork {
  /** Regions looked at, once per sample. */
  regionSamples: number;
  /** Places looked at through rmap or a page table. */
  accessChecks: number;
  /** Folios that schemes looked at. */
  schemeFolios: number;
}

export interface DamonContext {
  operations: DamonOperations;
  attrs: DamonAttrs;
  targets: DamonTarget[];
  schemes: DamosScheme[];
  passedSamples: number;
  nextAggregationSample: number;
  nextUpdateSample: number;
  nextTuneSample: number;
  /** Samples of an aggregation when it was started: tuning keeps them. */
  aggrSamples: number;
  lastNrRegions: number;
  /** Largest region that merging may make. */
  sizeLimit: number;
  /** The last place looked at, for regions that share a folio. */
  lastAddr: number;
  lastFolioBytes: number;
  lastAccessed: boolean;
  /** By scheme, while somebody waits for them. */
  tried: TriedRegions[] | null;
  isRunning: boolean;
  /** When the next sample is due. */
  nextSampleNs: number;
  work: DamonWork;
}

/** What damon_set_attrs refuses: HS-70, HS-87. 0 or -EINVAL. */
export function checkDamonAttrs(attrs: DamonAttrs): number {
  const { sampleUs } = attrs;
  const { aggrs, minSampleUs, maxSampleUs } = attrs.goal;
  if (aggrs > 0 && !(minSampleUs <= sampleUs && sampleUs <= maxSampleUs)) return -EINVAL;
  if (attrs.minNrRegions < 3 || attrs.minNrRegions > attrs.maxNrRegions) return -EINVAL;
  return sampleUs > attrs.aggrUs ? -EINVAL : 0;
}

/** Sampling intervals in `us`, at least 1. */
export function samplesOf(attrs: DamonAttrs, us: number): number {
  return Math.max(1, Math.floor(us / Math.max(1, attrs.sampleUs)));
}

/** Samples of one aggregation: the most accesses a region can have. */
export function maxNrAccesses(attrs: DamonAttrs): number {
  return samplesOf(attrs, attrs.aggrUs);
}

/** Sampling intervals between two turns of a scheme. */
export function applySamples(attrs: DamonAttrs, scheme: DamosScheme): number {
  return samplesOf(attrs, scheme.applyIntervalUs === 0 ? attrs.aggrUs : scheme.applyIntervalUs);
}

export function newDamonContext(operations: DamonOperations, attrs: DamonAttrs): DamonContext {
  return {
    operations,
    attrs,
    targets: [],
    schemes: [],
    passedSamples: 0,
    nextAggregationSample: 0,
    nextUpdateSample: 0,
    nextTuneSample: 0,
    aggrSamples: 1,
    lastNrRegions: 0,
    sizeLimit: DAMON_MIN_REGION,
    lastAddr: -1,
    lastFolioBytes: PAGE_SIZE,
    lastAccessed: false,
    tried: null,
    isRunning: false,
    nextSampleNs: 0,
    work: { regionSamples: 0, accessChecks: 0, schemeFolios: 0 },
  };
}

export function newDamonRegion(start: number, end: number): DamonRegion {
  return { start, end, samplingAddr: 0, nrAccesses: 0, lastNrAccesses: 0, nrAccessesBp: 0, age: 0 };
}

/** A scheme as its directory is made: every limit 0, no quota, no watermark. */
export function newDamosScheme(): DamosScheme {
  return {
    action: 'stat',
    minSize: 0,
    maxSize: 0,
    minNrAccesses: 0,
    maxNrAccesses: 0,
    minAge: 0,
    maxAge: 0,
    applyIntervalUs: 0,
    nextApplySample: 0,
    targetNid: -1,
    dests: [],
    quota: newDamosQuota(),
    watermarks: { metric: 'none', intervalUs: 0, high: 0, mid: 0, low: 0, isActive: true },
    coreFilters: [],
    opsFilters: [],
    isCoreAllowed: false,
    stat: newDamosStat(),
    lastApplied: -1,
  };
}

function newDamosQuota(): DamosQuota {
  return {
    ms: 0,
    bytes: 0,
    resetIntervalMs: 0,
    weightSize: 0,
    weightNrAccesses: 0,
    weightAge: 0,
    goals: [],
    esz: 0,
    eszBp: 0,
    chargedBytes: 0,
    chargedFromNs: -1,
    totalChargedBytes: 0,
    totalChargedNs: 0,
    chargeTarget: -1,
    chargeAddr: -1,
    minScore: 0,
  };
}

export function newDamosStat(): DamosStat {
  return { nrTried: 0, szTried: 0, nrApplied: 0, szApplied: 0, szOpsFilterPassed: 0, qtExceeds: 0 };
}

export function newTriedRegions(): TriedRegions {
  return { totalBytes: 0, regions: [], isDone: false };
}

export function newDamosFilter(): DamosFilter {
  const rest = { addrStart: 0, addrEnd: 0, min: 0, max: 0, targetIdx: 0 };
  return { type: 'anon', matching: false, allow: false, ...rest };
}
