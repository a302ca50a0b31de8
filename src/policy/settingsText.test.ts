import { describe, expect, it } from 'vitest';
import { makePolicy } from './naiveHost.ts';
import { settingsText } from './settingsText.ts';

describe('settings for a real machine', () => {
  it('are written to the files that Linux has for them', () => {
    expect(settingsText(makePolicy('demotion-only').settings)).toEqual([
      'echo 0 > /proc/sys/kernel/numa_balancing',
      'echo true > /sys/kernel/mm/numa/demotion_enabled',
    ]);
    const balancing = settingsText(makePolicy('numa-balancing', { scanDelay: 50 }).settings);
    expect(balancing).toContain('echo 50 > /sys/kernel/debug/sched/numa_balancing/scan_delay_ms');
    expect(balancing.filter((line) => line.startsWith('#'))).toEqual([]);
  });

  it('start programs under their memory policy', () => {
    const lines = settingsText(makePolicy('weighted-interleave').settings);
    expect(lines.at(-1)).toBe('numactl --weighted-interleave=all PROGRAM');
  });
});
