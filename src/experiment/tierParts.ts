/** A run by its tiers: the nodes that Linux calls toptier, and the others. */
import type { Nanoseconds } from '../base/units.ts';
import { formatBytes } from './format.ts';
import type { RunResult } from './runTypes.ts';

/** Stall on the memory of a tier. */
export function stallNs({ time, nodes }: RunResult, isToptier: boolean): Nanoseconds {
  return nodes.reduce((sum, node) => {
    return node.isToptier === isToptier ? sum + (time.stallNs[node.nid] ?? 0) : sum;
  }, 0);
}

/** "DRAM", "HBM+DRAM", "CXL": the kinds of the nodes of a tier; '' = it has none. */
export function tierName({ nodes }: RunResult, isToptier: boolean): string {
  const kinds = nodes.filter((node) => node.isToptier === isToptier).map(({ kind }) => kind);
  return [...new Set(kinds)].join('+').toUpperCase();
}

/** "114 MiB DRAM", "728 MiB CXL": what there was of each kind of memory. */
export function capacities({ nodes }: RunResult): string[] {
  const sizes = new Map<string, number>();
  for (const { kind, capacityBytes } of nodes) {
    sizes.set(kind, (sizes.get(kind) ?? 0) + capacityBytes);
  }
  return [...sizes].map(([kind, bytes]) => `${formatBytes(bytes)} ${kind.toUpperCase()}`);
}
