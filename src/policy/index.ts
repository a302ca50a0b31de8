/** Policies: the interface, the tables they see and write, and the list of them. */
import { bandwidthSpread } from './bandwidthSpread.ts';
import { colloid } from './colloid.ts';
import { damonTiering } from './damonTiering.ts';
import { demotionOnly } from './demotionOnly.ts';
import { firstTouch } from './firstTouch.ts';
import { hemem } from './hemem.ts';
import { interleave, weightedInterleave } from './interleave.ts';
import { memtierdAge } from './memtierdAge.ts';
import { memtierdHeat } from './memtierdHeat.ts';
import { memtis } from './memtis.ts';
import { nomad } from './nomad.ts';
import { numaBalancing } from './numaBalancing.ts';
import { observe } from './observe.ts';
import { oracle } from './oracle.ts';
import { physicalOnly } from './physicalOnly.ts';
import type { PolicyDescription } from './policy.ts';
import { tpp } from './tpp.ts';

export * from './damonFileWrites.ts';
export * from './heatSources.ts';
export * from './hostView.ts';
export * from './knob.ts';
export * from './migrationPlan.ts';
export * from './policy.ts';
export * from './settingsText.ts';

/** All policies, in the order of tables and help: base lines, kernel, research, bound. */
export const POLICIES: readonly PolicyDescription[] = [
  firstTouch,
  interleave,
  weightedInterleave,
  demotionOnly,
  numaBalancing,
  tpp,
  nomad,
  damonTiering,
  hemem,
  memtis,
  colloid,
  physicalOnly,
  bandwidthSpread,
  memtierdAge,
  memtierdHeat,
  observe,
  oracle,
];

/** The policy of that name, or null. */
export function findPolicy(name: string): PolicyDescription | null {
  return POLICIES.find((policy) => policy.name === name) ?? null;
}
