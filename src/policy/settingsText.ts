/**
 * A policy's settings as commands for a real machine: what to write to /proc and /sys, how to start
 * programs, and the configuration of the daemon whose policy it is.
 */
import { RandomStream } from '../base/prng.ts';
import { MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import { type DamonTiering, damonFileWrites } from './damonFileWrites.ts';
import type { KnobValues } from './knob.ts';
import type { HostSettings, PolicyDescription, TierNodes } from './policy.ts';

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

/** Lines for a root shell: everything that is known of how to run a policy on Linux. */
export function machineSettings(
  description: PolicyDescription,
  values: KnobValues,
  nodes: TierNodes,
): string[] {
  const policy = description.make(values, new RandomStream(0, description.name));
  const { requires } = description;
  const needs = requires === undefined ? [] : [`# needs ${requires.replaceAll('`', '')}`];
  const lines = [...needs, ...settingsText(policy.settings)];
  if (description.configuration !== undefined) {
    return [...lines, ...description.configuration(values, nodes)];
  }
  if (policy.periodNs === 0) return lines;
  return [...lines, `# what decides is no part of Linux: ${description.source}`];
}

/** Lines for a root shell. Errors: none; a setting without a file has a line that says so. */
export function settingsText({ sysctl, mempolicy, damon }: HostSettings): string[] {
  const lines = Object.entries(sysctl).map(([name, value]) => {
    const file = FILES[name];
    return file === undefined ? `# ${name} = ${value}` : `echo ${value} > ${file}`;
  });
  if (mempolicy?.mode === MPOL_INTERLEAVE) lines.push('numactl --interleave=all PROGRAM');
  if (mempolicy?.mode === MPOL_WEIGHTED_INTERLEAVE) {
    lines.push('numactl --weighted-interleave=all PROGRAM');
  }
  if (damon !== null) lines.push(...damonText(damon));
  return lines;
}

/** Nodes 0 and 1 stand for the fast and the slow one; their frames the user must know. */
function damonText(damon: DamonTiering): string[] {
  const range = [{ pfn: 0, nrPages: 1 }];
  const writes = damonFileWrites(damon, { nid: 0, ranges: range }, { nid: 1, ranges: range });
  const lines = ['# physical ranges in bytes, from start_pfn and spanned of /proc/zoneinfo:'];
  lines.push('FAST_START= FAST_END= SLOW_START= SLOW_END=');
  for (const { path, value } of writes) {
    const node = path.includes('/kdamonds/0/') ? 'SLOW' : 'FAST';
    const isRange = /\/regions\/0\/(start|end)$/.exec(path);
    const text = isRange === null ? value : `$${node}_${isRange[1].toUpperCase()}`;
    lines.push(`echo ${text} > ${path}`);
  }
  return lines;
}
