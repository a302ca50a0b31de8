/** A policy's settings as commands for a real machine: what to write, and how to start programs. */
import { MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import type { HostSettings } from './policy.ts';

const SCHED_DEBUG = '/sys/kernel/debug/sched/numa_balancing';

/** Where a setting of HostSettings.sysctl is written on Linux. */
const FILES: Readonly<Record<string, string>> = {
  numa_balancing: '/proc/sys/kernel/numa_balancing',
  numa_balancing_promote_rate_limit_MBps: '/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps',
  numa_balancing_hot_threshold_ms: `${SCHED_DEBUG}/hot_threshold_ms`,
  numa_balancing_scan_delay_ms: `${SCHED_DEBUG}/scan_delay_ms`,
  numa_balancing_scan_period_min_ms: `${SCHED_DEBUG}/scan_period_min_ms`,
  numa_balancing_scan_period_max_ms: `${SCHED_DEBUG}/scan_period_max_ms`,
  numa_balancing_scan_size_mb: `${SCHED_DEBUG}/scan_size_mb`,
  // Of TPP's kernel; no release has it.
  demote_scale_factor: '/proc/sys/vm/demote_scale_factor',
  demotion_enabled: '/sys/kernel/mm/numa/demotion_enabled',
};

/** Lines for a root shell. Errors: none; a setting without a file has a line that says so. */
export function settingsText({ sysctl, mempolicy }: HostSettings): string[] {
  const lines = Object.entries(sysctl).map(([name, value]) => {
    const file = FILES[name];
    return file === undefined ? `# ${name} = ${value}` : `echo ${value} > ${file}`;
  });
  if (mempolicy?.mode === MPOL_INTERLEAVE) lines.push('numactl --interleave=all PROGRAM');
  if (mempolicy?.mode === MPOL_WEIGHTED_INTERLEAVE) {
    lines.push('numactl --weighted-interleave=all PROGRAM');
  }
  return lines;
}
