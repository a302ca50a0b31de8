/**
 * A policy's settings as commands for a real machine: what to write to /proc and /sys, how to start
 * programs, and the configuration of the daemon whose policy it is.
 */
import { assert } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import { MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import { type DamonTiering, damonFileWrites } from './damonFileWrites.ts';
import type { KnobValues } from './knob.ts';
import type { HostSettings, PolicyDescription, ProgramMempolicy, TierNodes } from './policy.ts';

const WEIGHTS = '/sys/kernel/mm/mempolicy/weighted_interleave';
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
  const lines = [...needs, ...settingsText(policy.settings, nodes)];
  if (description.configuration !== undefined) {
    return [...lines, ...description.configuration(values, nodes)];
  }
  if (policy.periodNs === 0) return lines;
  return [...lines, `# not set up by these lines, what decides: ${description.source}`];
}

/** Lines for a root shell. Errors: none; a setting without a file has a line that says so. */
export function settingsText(settings: HostSettings, nodes: TierNodes): string[] {
  const { sysctl, mempolicy, damon } = settings;
  const lines = Object.entries(sysctl).map(([name, value]) => {
    const file = FILES[name];
    return file === undefined ? `# ${name} = ${value}` : `echo ${value} > ${file}`;
  });
  if (mempolicy !== null) lines.push(...mempolicyText(mempolicy, nodes));
  if (damon !== null) lines.push(...damonText(damon, nodes));
  return lines;
}

/** Weights, and the program under numactl. TI-82. */
function mempolicyText(mempolicy: ProgramMempolicy, { fast, slow }: TierNodes): string[] {
  const { mode, weights } = mempolicy;
  const list = mempolicy.nodes === 'all' ? 'all' : fast.join(',');
  if (mode === MPOL_INTERLEAVE) return [`numactl --interleave=${list} PROGRAM`];
  assert(mode === MPOL_WEIGHTED_INTERLEAVE, 'a memory policy that numactl has', mode);
  const start = `numactl --weighted-interleave=${list} PROGRAM`;
  if (weights === 'auto') return [`echo true > ${WEIGHTS}/auto`, start];
  return [
    ...fast.map((nid) => `echo ${weights.toptier} > ${WEIGHTS}/node${nid}`),
    ...slow.map((nid) => `echo ${weights.slow} > ${WEIGHTS}/node${nid}`),
    start,
  ];
}

/** The first fast and the first slow node; their frames the user must know. */
function damonText(damon: DamonTiering, { fast, slow }: TierNodes): string[] {
  const range = [{ pfn: 0, nrPages: 1 }];
  const writes = damonFileWrites(
    damon,
    { nid: fast[0] ?? 0, ranges: range },
    { nid: slow[0] ?? 1, ranges: range },
  );
  const lines = ['# physical ranges in bytes, from start_pfn and spanned of /proc/zoneinfo:'];
  lines.push(`# fast is node ${fast[0] ?? 0}, slow is node ${slow[0] ?? 1}`);
  lines.push('FAST_START= FAST_END= SLOW_START= SLOW_END=');
  for (const { path, value } of writes) {
    const node = path.includes('/kdamonds/0/') ? 'SLOW' : 'FAST';
    const isRange = /\/regions\/0\/(start|end)$/.exec(path);
    const text = isRange === null ? value : `$${node}_${isRange[1].toUpperCase()}`;
    lines.push(`echo ${text} > ${path}`);
  }
  return lines;
}
