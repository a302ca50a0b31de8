/**
 * What DAMON's control files hold between two commands (mm/damon/sysfs.c): rows as they were
 * written, not yet checked. proc/damonFiles.ts shows them at their paths. HS-110.
 */
import {
  type DamonAttrs,
  type DamonContext,
  type DamonIntervalsGoal,
  type DamonOperations,
  type DamosFilter,
  type DamosScheme,
  type DamosStat,
  NO_INTERVALS_GOAL,
  newDamosScheme,
  newDamosStat,
  newTriedRegions,
  type TriedRegions,
} from './damonContext.ts';

export interface TargetRow {
  pid: number;
  isObsolete: boolean;
  readonly regions: { start: number; end: number }[];
}

export interface SchemeRow {
  /** As written; a context gets a copy. */
  readonly scheme: DamosScheme;
  /** The directory `filters` takes both kinds. */
  readonly filters: DamosFilter[];
  stat: DamosStat;
  effectiveBytes: number;
  tried: TriedRegions;
}

export interface ContextRow {
  operations: DamonOperations;
  addrUnit: number;
  readonly attrs: DamonAttrs & { readonly goal: DamonIntervalsGoal };
  readonly targets: TargetRow[];
  readonly schemes: SchemeRow[];
}

export interface KdamondRow {
  readonly contexts: ContextRow[];
  /** The context that `on` made; null before. */
  running: DamonContext | null;
}

export function newKdamondRow(): KdamondRow {
  return { contexts: [], running: null };
}

export function newTargetRow(): TargetRow {
  return { pid: 0, isObsolete: false, regions: [] };
}

export function newContextRow(): ContextRow {
  return {
    operations: 'vaddr',
    addrUnit: 1,
    attrs: {
      sampleUs: 5000,
      aggrUs: 100000,
      goal: { ...NO_INTERVALS_GOAL },
      updateUs: 60000000,
      minNrRegions: 10,
      maxNrRegions: 1000,
    },
    targets: [],
    schemes: [],
  };
}

export function newSchemeRow(): SchemeRow {
  return {
    scheme: newDamosScheme(),
    filters: [],
    stat: newDamosStat(),
    effectiveBytes: 0,
    tried: newTriedRegions(),
  };
}
