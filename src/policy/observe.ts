/**
 * Observe: a heat source looks on and nobody migrates. What a source costs and what it sees, apart
 * from any policy (B7).
 *
 * Decides on nothing. `period` is how often what the source has seen is taken over: a sighting is
 * late by half of it on average, besides what the source itself is late.
 */
import { heatNeeds, heatSettings, heatSourceKnobs } from './heatSources.ts';
import { type KnobValues, numberKnob, numberOf } from './knob.ts';
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

export const observe: PolicyDescription = {
  name: 'observe',
  summary: 'nothing moves; a heat source looks on: its cost and what it sees',
  source: '–',
  knobs: [
    numberKnob('period', 10, 0.001, 10_000, 'ms', 'time between two looks at what was seen'),
    ...heatSourceKnobs('pebs', []),
  ],
  sooner: ['hint-faults.scanDelay'],
  make: makeObserve,
};

function makeObserve(values: KnobValues): Policy {
  const needs = heatNeeds(values, {});
  const off = { numa_balancing: 0, demotion_enabled: false };
  return {
    name: 'observe',
    needs: { ...NO_NEEDS, ...needs },
    settings: { ...NO_SETTINGS, sysctl: { ...off, ...heatSettings(needs) } },
    periodNs: Math.round(numberOf(values, 'period') * 1_000_000),
    planCapacity: 0,
    decide: () => {},
  };
}
