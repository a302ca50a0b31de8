/**
 * Tiering by DAMON alone, auto-tuned (samples/damon/mtier.c, Linux 6.16; the series "DAMON-based
 * memory tiering" and its self-tuned version, node_mem_used_bp; HS-70..HS-87, field 3.2, 3.4): the
 * kernel's own threads look at physical memory and migrate by schemes whose quotas follow goals.
 *
 * Decides on: access rates of regions of physical memory, and how full the fast node is. All of it
 * in kdamonds (mm/kdamond.ts, mm/damos.ts): this only sets them up through DAMON's files. The first
 * fast node and the first slow one take part.
 *
 * The defaults are the sample's: 5 ms and 100 ms to begin with, tuned between 5 ms and 10 s until
 * 4 % of accesses are seen (HS-87), quotas of 200 MiB/s. Times are ms of the run.
 */
import type { DamonTiering } from './damonFileWrites.ts';
import { booleanOf, integerKnob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

const MIB = 1 << 20;

export const damonTiering: PolicyDescription = {
  name: 'damon',
  summary: 'DAMON: migrate_hot and migrate_cold by the kernel, quotas tuned to fill the fast node',
  source: 'samples/damon/mtier.c (Linux 6.16); node_mem_used_bp goals',
  requires: 'Linux 6.16',
  knobs: [
    numberKnob('sample', 5, 0.001, 60_000, 'ms', 'between two looks at a page of each region'),
    numberKnob('aggregation', 100, 0.001, 600_000, 'ms', 'after which accesses are judged'),
    integerKnob(
      'accessGoal',
      400,
      0,
      10_000,
      'bp',
      'of all accesses to be seen: sample and aggregation grow from those above; 0: they stay',
    ),
    numberKnob('sampleMax', 10_000, 0.001, 60_000, 'ms', 'most that sample grows to'),
    numberKnob('applyInterval', 1000, 0, 600_000, 'ms', 'between two turns of the schemes'),
    integerKnob('minRegions', 10, 3, 10_000, 'regions', 'at least, a node'),
    integerKnob('maxRegions', 1000, 3, 100_000, 'regions', 'at most, a node'),
    numberKnob('quota', 200, 0.001, 1e6, 'MiB/s', 'most that a direction migrates'),
    integerKnob(
      'resetInterval',
      1000,
      1,
      600_000,
      'ms',
      'after which a quota is full again, tuned',
    ),
    {
      kind: 'boolean',
      name: 'tuned',
      default: true,
      doc: 'quotas follow the goals, doubling from one byte at each reset; false: the quota alone',
    },
    integerKnob('usedGoal', 9970, 0, 10_000, 'bp', 'of the fast node used: promotion aims at it'),
    integerKnob('freeGoal', 50, 0, 10_000, 'bp', 'of the fast node free: demotion aims at it'),
    {
      kind: 'boolean',
      name: 'demotion',
      default: false,
      doc: 'demotion_enabled as well: reclaim demotes when promotion fills the fast node',
    },
  ],
  sooner: ['aggregation', 'sampleMax', 'applyInterval', 'resetInterval'],
  make: (values) => makeDamonTiering(values),
};

function makeDamonTiering(values: KnobValues): Policy {
  const us = (name: string): number => Math.max(1, Math.round(numberOf(values, name) * 1000));
  const resetMs = numberOf(values, 'resetInterval');
  const damon: DamonTiering = {
    sampleUs: us('sample'),
    aggrUs: us('aggregation'),
    accessBp: numberOf(values, 'accessGoal'),
    sampleMaxUs: us('sampleMax'),
    minNrRegions: numberOf(values, 'minRegions'),
    maxNrRegions: numberOf(values, 'maxRegions'),
    applyIntervalUs: Math.round(numberOf(values, 'applyInterval') * 1000),
    quotaBytes: Math.max(1, Math.round((numberOf(values, 'quota') * MIB * resetMs) / 1000)),
    resetMs,
    isTuned: booleanOf(values, 'tuned'),
    usedBp: numberOf(values, 'usedGoal'),
    freeBp: numberOf(values, 'freeGoal'),
  };
  const sysctl = { numa_balancing: 0, demotion_enabled: booleanOf(values, 'demotion') };
  return {
    name: 'damon',
    needs: NO_NEEDS,
    settings: { ...NO_SETTINGS, sysctl, damon },
    periodNs: 0,
    planCapacity: 1,
    decide: () => {},
  };
}
