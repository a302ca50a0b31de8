/**
 * Knobs of the kernel's scanner of NUMA balancing, for the policies that switch it on, and the
 * settings they stand for.
 */
import { integerKnob, type KnobValues, type NumberKnob, numberOf } from './knob.ts';

interface SettingKnob {
  readonly knob: NumberKnob;
  readonly sysctl: string;
}

const SCAN: readonly SettingKnob[] = [
  {
    knob: integerKnob('scanDelay', 1000, 0, 60_000, 'ms', 'age of a program at its first scan'),
    sysctl: 'numa_balancing_scan_delay_ms',
  },
  {
    knob: integerKnob('scanPeriodMin', 1000, 1, 60_000, 'ms', 'shortest time between two scans'),
    sysctl: 'numa_balancing_scan_period_min_ms',
  },
  {
    knob: integerKnob('scanPeriodMax', 60_000, 1, 600_000, 'ms', 'longest time between two scans'),
    sysctl: 'numa_balancing_scan_period_max_ms',
  },
  {
    knob: integerKnob('scanSize', 256, 1, 1 << 20, 'MiB', 'memory marked in one scan'),
    sysctl: 'numa_balancing_scan_size_mb',
  },
];

export const NUMA_SCAN_KNOBS: readonly NumberKnob[] = SCAN.map(({ knob }) => knob);

/** Settings by their sysctl names. */
export function numaScanSettings(values: KnobValues): Record<string, number> {
  return Object.fromEntries(SCAN.map(({ knob, sysctl }) => [sysctl, numberOf(values, knob.name)]));
}
