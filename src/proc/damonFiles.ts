/**
 * /sys/kernel/mm/damon/admin: DAMON's control files (mm/damon/sysfs.c, sysfs-schemes.c).
 * HS-110..HS-112.
 *
 * The directories hold what was written; `on` and `commit` hand it to a context, and wrong values
 * show there. What a context knows (statistics, tried regions) is copied into the directories by
 * the update commands, which wait for the context to come to its next point.
 *
 * Not modelled: memcg_path is kept and has no effect; refresh_ms.
 */
import {
  type ContextRow,
  DAMOS_ACTIONS,
  DAMOS_FILTERS,
  DAMOS_GOAL_METRICS,
  type DamonAttrs,
  type DamonContext,
  type DamonRegion,
  type DamonTarget,
  type DamosFilter,
  type DamosGoal,
  type DamosScheme,
  isCoreFilter,
  type KdamondRow,
  type Kernel,
  newContextRow,
  newDamonContext,
  newDamonRegion,
  newDamosFilter,
  newDamosStat,
  newKdamondRow,
  newSchemeRow,
  newTargetRow,
  newTriedRegions,
  type SchemeRow,
  startDamon,
  stopDamon,
  type TargetRow,
  type TriedRegions,
} from '../mm/index.ts';
import { EBUSY, EINVAL, ENOENT } from '../uapi/errno.ts';
import {
  boolLeaf,
  type Directory,
  directory,
  type Leaf,
  leafAt,
  leavesOf,
  numberLeaf,
  readOnly,
  rowDirectory,
  wordLeaf,
  writeLeaf,
} from './damonTree.ts';
import { lineFile, type TextFile } from './kernelFile.ts';

export const DAMON_ROOT = '/sys/kernel/mm/damon/admin';
const OPERATIONS = ['vaddr', 'fvaddr', 'paddr'] as const;

/** Files that only newer kernels have; the others are on every version that is modelled. */
const NEWER_FILES: readonly (readonly [RegExp, Exclude<keyof Kernel['profile'], 'version'>])[] = [
  [/\/intervals_goal\//, 'damonIntervalsGoal'],
  [/\/(core|ops)_filters\/|\/filters\/\d+\/allow$/, 'damosLayerFilters'],
  [/\/goals\/\d+\/nid$/, 'damosNodeGoals'],
  [/\/target_nid$/, 'damosMigration'],
  [/\/dests\//, 'damosVirtualMigration'],
];

/** Lets some time go by in which DAMON and others run; changes nothing if nobody runs them. */
export type WaitForDamon = () => void;

/** Writes a file: 0 or a negative errno. Update commands wait for the context with `wait`. */
export function writeDamonFile(k: Kernel, path: string, value: string, wait: WaitForDamon): number {
  const { profile } = k;
  if (!isOnVersion(k, path)) return -ENOENT;
  const migrates = path.endsWith('/action') && value.startsWith('migrate_');
  if (migrates && !profile.damosMigration) return -EINVAL;
  const isNodeGoal = path.endsWith('/target_metric') && value.startsWith('node_');
  if (isNodeGoal && !profile.damosNodeGoals) return -EINVAL;
  return writeLeaf(leafAt(rootOf(k, wait), path.slice(DAMON_ROOT.length + 1)), value);
}

function isOnVersion({ profile }: Kernel, path: string): boolean {
  return NEWER_FILES.every(([pattern, behaviour]) => !pattern.test(path) || profile[behaviour]);
}

/** Every file that is there now. */
export function damonFiles(k: Kernel): TextFile[] {
  const root = rootOf(k, () => {});
  const leaves = leavesOf(root, DAMON_ROOT).filter(({ path }) => isOnVersion(k, path));
  return leaves.map(({ path, leaf }) => lineFile(path, leaf.read));
}

function rootOf(k: Kernel, wait: WaitForDamon): Directory {
  const { kdamonds } = k.damon;
  const isBusy = () => (kdamonds.some(isOn) ? -EBUSY : 0);
  const entry = (row: KdamondRow) => kdamondDirectory(k, row, wait);
  return directory(() => ({
    kdamonds: rowDirectory('kdamonds', kdamonds, newKdamondRow, entry, isBusy),
  }));
}

function isOn(row: KdamondRow): boolean {
  return row.running?.isRunning === true;
}

function kdamondDirectory(k: Kernel, row: KdamondRow, wait: WaitForDamon): Directory {
  // One context a thread; while it runs its directory stays.
  const check = (nr: number) => (nr > 1 ? -EINVAL : isOn(row) ? -EBUSY : 0);
  const state: Leaf = {
    kind: 'leaf',
    read: () => (isOn(row) ? 'on' : 'off'),
    write: (value) => command(k, row, value, wait),
  };
  return directory(() => ({
    contexts: rowDirectory('contexts', row.contexts, newContextRow, contextDirectory, check),
    pid: readOnly(() => (isOn(row) ? kdamondPid(k, row) : -1)),
    state,
  }));
}

/** Threads of the kernel have no tasks of their own here; the number only tells them apart. */
function kdamondPid(k: Kernel, row: KdamondRow): number {
  return 3 + k.damon.kdamonds.indexOf(row);
}

function contextDirectory(row: ContextRow): Directory {
  const { attrs } = row;
  const { goal } = attrs;
  return directory(() => ({
    avail_operations: readOnly(() => OPERATIONS.join('\n')),
    operations: wordLeaf(row, 'operations', OPERATIONS),
    addr_unit: numberLeaf(row, 'addrUnit'),
    monitoring_attrs: directory(() => ({
      intervals: directory(() => ({
        sample_us: numberLeaf(attrs, 'sampleUs'),
        aggr_us: numberLeaf(attrs, 'aggrUs'),
        update_us: numberLeaf(attrs, 'updateUs'),
        intervals_goal: directory(() => ({
          access_bp: numberLeaf(goal, 'accessBp'),
          aggrs: numberLeaf(goal, 'aggrs'),
          min_sample_us: numberLeaf(goal, 'minSampleUs'),
          max_sample_us: numberLeaf(goal, 'maxSampleUs'),
        })),
      })),
      nr_regions: directory(() => ({
        min: numberLeaf(attrs, 'minNrRegions'),
        max: numberLeaf(attrs, 'maxNrRegions'),
      })),
    })),
    targets: rowDirectory('targets', row.targets, newTargetRow, targetDirectory),
    schemes: rowDirectory('schemes', row.schemes, newSchemeRow, schemeDirectory),
  }));
}

function targetDirectory(row: TargetRow): Directory {
  const newRegion = () => ({ start: 0, end: 0 });
  const region = (range: { start: number; end: number }) =>
    directory(() => ({ start: numberLeaf(range, 'start'), end: numberLeaf(range, 'end') }));
  return directory(() => ({
    pid_target: numberLeaf(row, 'pid', true),
    obsolete_target: boolLeaf(row, 'isObsolete'),
    regions: rowDirectory('regions', row.regions, newRegion, region),
  }));
}

function schemeDirectory(row: SchemeRow): Directory {
  const s = row.scheme;
  const range = (min: 'minSize' | 'minNrAccesses' | 'minAge', max: keyof DamosScheme) =>
    directory(() => ({ min: numberLeaf(s, min), max: numberLeaf(s, max as 'maxSize') }));
  return directory(() => ({
    action: wordLeaf(s, 'action', DAMOS_ACTIONS),
    target_nid: numberLeaf(s, 'targetNid', true),
    apply_interval_us: numberLeaf(s, 'applyIntervalUs'),
    access_pattern: directory(() => ({
      sz: range('minSize', 'maxSize'),
      nr_accesses: range('minNrAccesses', 'maxNrAccesses'),
      age: range('minAge', 'maxAge'),
    })),
    quotas: quotaDirectory(row),
    watermarks: directory(() => ({
      metric: wordLeaf(s.watermarks, 'metric', ['none', 'free_mem_rate'] as const),
      interval_us: numberLeaf(s.watermarks, 'intervalUs'),
      high: numberLeaf(s.watermarks, 'high'),
      mid: numberLeaf(s.watermarks, 'mid'),
      low: numberLeaf(s.watermarks, 'low'),
    })),
    core_filters: filterRows(s.coreFilters),
    ops_filters: filterRows(s.opsFilters),
    filters: filterRows(row.filters),
    dests: rowDirectory(
      'dests',
      s.dests,
      () => ({ id: 0, weight: 0 }),
      (dest) =>
        directory(() => ({ id: numberLeaf(dest, 'id'), weight: numberLeaf(dest, 'weight') })),
    ),
    stats: statDirectory(row),
    tried_regions: triedDirectory(row.tried),
  }));
}

function quotaDirectory(row: SchemeRow): Directory {
  const { quota } = row.scheme;
  const newGoal = (): DamosGoal => ({ metric: 'user_input', target: 0, current: 0, nid: 0 });
  const goal = (one: DamosGoal) =>
    directory(() => ({
      target_metric: wordLeaf(one, 'metric', DAMOS_GOAL_METRICS),
      target_value: numberLeaf(one, 'target'),
      current_value: numberLeaf(one, 'current'),
      nid: numberLeaf(one, 'nid', true),
    }));
  return directory(() => ({
    ms: numberLeaf(quota, 'ms'),
    bytes: numberLeaf(quota, 'bytes'),
    reset_interval_ms: numberLeaf(quota, 'resetIntervalMs'),
    effective_bytes: readOnly(() => row.effectiveBytes),
    weights: directory(() => ({
      sz_permil: numberLeaf(quota, 'weightSize'),
      nr_accesses_permil: numberLeaf(quota, 'weightNrAccesses'),
      age_permil: numberLeaf(quota, 'weightAge'),
    })),
    goals: rowDirectory('goals', quota.goals, newGoal, goal),
  }));
}

function filterRows(filters: DamosFilter[]): Directory {
  const entry = (filter: DamosFilter) =>
    directory(() => ({
      type: wordLeaf(filter, 'type', DAMOS_FILTERS),
      matching: boolLeaf(filter, 'matching'),
      allow: boolLeaf(filter, 'allow'),
      addr_start: numberLeaf(filter, 'addrStart'),
      addr_end: numberLeaf(filter, 'addrEnd'),
      min: numberLeaf(filter, 'min'),
      max: numberLeaf(filter, 'max'),
      target_idx: numberLeaf(filter, 'targetIdx'),
    }));
  return rowDirectory('filters', filters, newDamosFilter, entry);
}

function statDirectory(row: SchemeRow): Directory {
  return directory(() => ({
    nr_tried: readOnly(() => row.stat.nrTried),
    sz_tried: readOnly(() => row.stat.szTried),
    nr_applied: readOnly(() => row.stat.nrApplied),
    sz_applied: readOnly(() => row.stat.szApplied),
    sz_ops_filter_passed: readOnly(() => row.stat.szOpsFilterPassed),
    qt_exceeds: readOnly(() => row.stat.qtExceeds),
  }));
}

function triedDirectory(tried: TriedRegions): Directory {
  const entries = tried.regions.map(({ region, passed }, i) => {
    const files = directory(() => ({
      start: readOnly(() => region.start),
      end: readOnly(() => region.end),
      nr_accesses: readOnly(() => region.nrAccesses),
      age: readOnly(() => region.age),
      sz_filter_passed: readOnly(() => passed),
    }));
    return [String(i), files] as const;
  });
  return directory(() => ({
    total_bytes: readOnly(() => tried.totalBytes),
    ...Object.fromEntries(entries),
  }));
}

/** Writes to `state`: HS-111. */
function command(k: Kernel, row: KdamondRow, value: string, wait: WaitForDamon): number {
  if (value === 'on') return turnOn(k, row);
  const ctx = row.running;
  if (!COMMANDS.includes(value) || ctx === null || !ctx.isRunning) return -EINVAL;
  const schemes = row.contexts[0].schemes;
  switch (value) {
    case 'off':
      stopDamon(k, ctx);
      return 0;
    case 'commit':
      return commit(k, row, ctx);
    case 'commit_schemes_quota_goals':
      for (const [i, { scheme }] of schemes.entries()) {
        if (ctx.schemes[i] === undefined) continue;
        ctx.schemes[i].quota.goals = scheme.quota.goals.map((goal) => ({ ...goal }));
      }
      return 0;
    case 'update_schemes_stats':
      for (const [i, scheme] of schemes.entries()) {
        if (ctx.schemes[i] !== undefined) scheme.stat = { ...ctx.schemes[i].stat };
      }
      return 0;
    case 'update_schemes_effective_quotas':
      for (const [i, scheme] of schemes.entries()) {
        scheme.effectiveBytes = ctx.schemes[i]?.quota.esz ?? 0;
      }
      return 0;
    case 'clear_schemes_tried_regions':
      for (const scheme of schemes) scheme.tried = newTriedRegions();
      return 0;
    case 'update_tuned_intervals':
      row.contexts[0].attrs.sampleUs = ctx.attrs.sampleUs;
      row.contexts[0].attrs.aggrUs = ctx.attrs.aggrUs;
      return 0;
    default:
      return updateTried(k, ctx, schemes, value === 'update_schemes_tried_regions', wait);
  }
}

const COMMANDS: readonly string[] = [
  'off',
  'commit',
  'update_tuned_intervals',
  'commit_schemes_quota_goals',
  'update_schemes_stats',
  'update_schemes_tried_regions',
  'update_schemes_tried_bytes',
  'clear_schemes_tried_regions',
  'update_schemes_effective_quotas',
];

function turnOn(k: Kernel, row: KdamondRow): number {
  if (isOn(row)) return -EBUSY;
  if (row.contexts.length !== 1) return -EINVAL;
  const ctx = newDamonContext(row.contexts[0].operations, copyAttrs(row.contexts[0].attrs));
  const refused = fill(ctx, row.contexts[0]);
  if (refused !== 0) return refused;
  const result = startDamon(k, ctx);
  if (result === 0) row.running = ctx;
  return result;
}

function copyAttrs(attrs: DamonAttrs): DamonAttrs {
  return { ...attrs, goal: { ...attrs.goal } };
}

/** damon_sysfs_apply_inputs: 0 or -EINVAL. */
function fill(ctx: DamonContext, row: ContextRow): number {
  const targets: DamonTarget[] = [];
  for (const target of row.targets) {
    if (target.isObsolete) continue;
    const pid = row.operations === 'paddr' ? -1 : target.pid;
    const regions: DamonRegion[] = [];
    for (const { start, end } of target.regions) {
      const before = regions[regions.length - 1];
      if (start > end || (before !== undefined && before.end > start)) return -EINVAL;
      regions.push(newDamonRegion(start * row.addrUnit, end * row.addrUnit));
    }
    targets.push({ pid, regions });
  }
  const schemes: DamosScheme[] = [];
  for (const { scheme, filters } of row.schemes) {
    if (scheme.coreFilters.some(({ type }) => !isCoreFilter(type))) return -EINVAL;
    if (scheme.opsFilters.some(({ type }) => isCoreFilter(type))) return -EINVAL;
    schemes.push(copyScheme(scheme, filters));
  }
  ctx.targets = targets;
  ctx.schemes = schemes;
  return 0;
}

/** A scheme of a context: its filters sorted into the two layers, its statistics at 0. */
function copyScheme(scheme: DamosScheme, both: readonly DamosFilter[]): DamosScheme {
  const copies = (filters: readonly DamosFilter[]) => filters.map((filter) => ({ ...filter }));
  const core = both.filter(({ type }) => isCoreFilter(type));
  const ops = both.filter(({ type }) => !isCoreFilter(type));
  return {
    ...scheme,
    dests: scheme.dests.map((dest) => ({ ...dest })),
    quota: { ...scheme.quota, goals: scheme.quota.goals.map((goal) => ({ ...goal })) },
    watermarks: { ...scheme.watermarks },
    coreFilters: copies([...scheme.coreFilters, ...core]),
    opsFilters: copies([...scheme.opsFilters, ...ops]),
    stat: newDamosStat(),
  };
}

/** damon_commit_ctx: new attributes, schemes and targets; regions and statistics are kept. */
function commit(k: Kernel, row: KdamondRow, ctx: DamonContext): number {
  const { attrs, operations } = row.contexts[0];
  const next = newDamonContext(operations, copyAttrs(attrs));
  const refused = fill(next, row.contexts[0]);
  if (refused !== 0) return refused;
  const { targets, schemes } = ctx;
  for (const [i, target] of next.targets.entries()) {
    const isSame = targets[i]?.pid === target.pid && target.regions.length === 0;
    if (isSame) target.regions = targets[i].regions;
  }
  for (const [i, scheme] of next.schemes.entries()) {
    if (schemes[i] !== undefined) scheme.stat = schemes[i].stat;
  }
  stopDamon(k, ctx);
  const result = startDamon(k, next);
  if (result === 0) row.running = next;
  else startDamon(k, ctx);
  return result;
}

/** damos_walk: waits until every scheme came to its next turn, and keeps what each worked on. */
function updateTried(
  k: Kernel,
  ctx: DamonContext,
  rows: readonly SchemeRow[],
  keepsRegions: boolean,
  wait: WaitForDamon,
): number {
  const tried = ctx.schemes.map(newTriedRegions);
  ctx.tried = tried;
  while (ctx.isRunning && tried.some(({ isDone }) => !isDone)) {
    const at = k.nowNs;
    wait();
    if (k.nowNs === at) break;
  }
  ctx.tried = null;
  for (const [i, row] of rows.entries()) {
    row.tried = tried[i] ?? newTriedRegions();
    if (!keepsRegions) row.tried.regions.length = 0;
  }
  return 0;
}
