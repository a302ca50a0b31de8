/**
 * The parts of a program's time, in the order in which they are stacked and listed. Stall on memory
 * is given by tier: the nodes Linux calls toptier, and the others.
 */
import type { RunResult } from '../experiment/index.ts';

export interface TimePart {
  /** Name of its colour (palette.ts). */
  readonly shade: string;
  readonly name: string;
  readonly ns: number;
}

/** The parts of `result`; they add up to its total. Parts that are 0 are there, too. */
export function timeParts(result: RunResult): TimePart[] {
  const { time, nodes } = result;
  const stall = (isToptier: boolean) =>
    nodes.reduce((sum, node) => {
      return node.isToptier === isToptier ? sum + (time.stallNs[node.nid] ?? 0) : sum;
    }, 0);
  return [
    { shade: 'compute', name: 'computing', ns: time.computeNs },
    { shade: 'fast', name: `waiting for ${tierName(result, true)}`, ns: stall(true) },
    { shade: 'slow', name: `waiting for ${tierName(result, false)}`, ns: stall(false) },
    { shade: 'fault', name: 'page faults', ns: time.faultNs },
    { shade: 'migration', name: 'migration', ns: time.migrationNs },
    { shade: 'observation', name: 'observation', ns: time.observationNs },
  ];
}

/** "DRAM", "HBM+DRAM", "CXL": the kinds of the nodes of a tier. */
export function tierName(result: RunResult, isToptier: boolean): string {
  const kinds = result.nodes
    .filter((node) => node.isToptier === isToptier)
    .map(({ kind }) => kind.toUpperCase());
  return [...new Set(kinds)].join('+') || (isToptier ? 'fast memory' : 'slow memory');
}
