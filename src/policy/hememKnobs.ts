/**
 * The knobs of HeMem with the paper's values (TI-41..TI-44); where the public code has others, the
 * text says so.
 */
import { HPAGE_PMD_NR, PAGE_SIZE } from '../base/units.ts';
import { type HeatNeeds, heatNeeds, heatSourceKnobs } from './heatSources.ts';
import { choiceOf, integerKnob, type Knob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { BACKOFF_KNOB } from './promotionBackoff.ts';

const MILLION = 1_000_000;

export const HEMEM_KNOBS: readonly Knob[] = [
  {
    kind: 'choice',
    name: 'unit',
    default: '2MiB',
    choices: ['2MiB', '4KiB'],
    doc: 'what is counted and migrated as one',
  },
  numberKnob('scanInterval', 20, 0.001, 100_000, 'ms', 'between two scans of the accessed bits'),
  integerKnob(
    'samplePeriod',
    5000,
    1,
    MILLION,
    'accesses',
    'one in so many is sampled (code: 19997)',
  ),
  integerKnob('hotReads', 8, 1, MILLION, 'samples', 'reads of a hot unit (code: 4)'),
  integerKnob('hotWrites', 4, 1, MILLION, 'samples', 'writes of a hot unit'),
  integerKnob(
    'coolingThreshold',
    18,
    2,
    MILLION,
    'samples',
    'of one unit that halve all (code: 10)',
  ),
  integerKnob('coolingScan', 8192, 0, MILLION, 'units', 'cooled a round without being touched'),
  numberKnob('period', 10, 0.001, 10_000, 'ms', 'time between two rounds'),
  numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that a round migrates'),
  numberKnob('reserveShare', 0.005, 0, 0.5, '', 'of each fast node, kept free'),
  numberKnob(
    'walkPeriod',
    100,
    0.001,
    100_000,
    'ms',
    'time between two walks over the page tables',
  ),
  integerKnob(
    'blacklistRounds',
    100,
    1,
    MILLION,
    'rounds',
    'that a unit which cannot move is left',
  ),
  BACKOFF_KNOB,
  ...heatSourceKnobs('pebs', ['period', 'interval']),
];

export interface HememKnobs {
  readonly unitPages: number;
  readonly heat: HeatNeeds;
  readonly hotReads: number;
  readonly hotWrites: number;
  readonly coolingThreshold: number;
  readonly coolingScan: number;
  readonly periodNs: number;
  readonly migratePagesPerNs: number;
  readonly reserveShare: number;
  readonly residencyPeriodNs: number;
  readonly blacklistRounds: number;
  readonly backoffMs: number;
}

export function hememKnobs(values: KnobValues): HememKnobs {
  return {
    unitPages: choiceOf(values, 'unit') === '2MiB' ? HPAGE_PMD_NR : 1,
    heat: heatNeeds(values, {
      period: numberOf(values, 'samplePeriod'),
      interval: numberOf(values, 'scanInterval'),
    }),
    hotReads: numberOf(values, 'hotReads'),
    hotWrites: numberOf(values, 'hotWrites'),
    coolingThreshold: numberOf(values, 'coolingThreshold'),
    coolingScan: numberOf(values, 'coolingScan'),
    periodNs: Math.round(numberOf(values, 'period') * MILLION),
    // GB/s are bytes per nanosecond.
    migratePagesPerNs: numberOf(values, 'migrateRate') / PAGE_SIZE,
    reserveShare: numberOf(values, 'reserveShare'),
    residencyPeriodNs: Math.round(numberOf(values, 'walkPeriod') * MILLION),
    blacklistRounds: numberOf(values, 'blacklistRounds'),
    backoffMs: numberOf(values, BACKOFF_KNOB.name),
  };
}
