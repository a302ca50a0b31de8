/** Synthetic workloads: the list of them, and how one becomes a trace. */
import { chase } from './chase.ts';
import { coldCache } from './coldCache.ts';
import { graph500 } from './graph500.ts';
import { gups } from './gups.ts';
import { hotCold } from './hotCold.ts';
import { phases } from './phases.ts';
import { pmbench } from './pmbench.ts';
import { scan } from './scan.ts';
import { stream } from './stream.ts';
import { SyntheticSource } from './syntheticSource.ts';
import type { WorkloadDescription, WorkloadValues } from './workload.ts';
import { xsbench } from './xsbench.ts';
import { zipf } from './zipf.ts';

export { MEMORY_VPN, SyntheticSource } from './syntheticSource.ts';
export * from './workload.ts';

/** All workloads, in the order of tables and help. */
export const WORKLOADS: readonly WorkloadDescription[] = [
  gups,
  zipf,
  pmbench,
  scan,
  phases,
  chase,
  hotCold,
  coldCache,
  stream,
  xsbench,
  graph500,
];

/** The workload of that name, or null. */
export function findWorkload(name: string): WorkloadDescription | null {
  return WORKLOADS.find((workload) => workload.name === name) ?? null;
}

/**
 * A workload as a trace. Same values and seed: the same items, byte for byte.
 * Preconditions: `values` has an allowed value for every knob.
 */
export function openWorkload(
  description: WorkloadDescription,
  values: WorkloadValues,
  seed: number,
): SyntheticSource {
  const args = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  args.push(`seed=${seed}`);
  return new SyntheticSource(description.name, args, description.programs(values, seed));
}
