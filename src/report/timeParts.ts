/**
 * The parts of a program's time, in the order in which they are stacked and listed. Stall on memory
 * is given by tier: the nodes Linux calls toptier, and the others.
 */
import { type RunResult, stallNs, tierName } from '../experiment/index.ts';

export interface TimePart {
  /** Name of its colour (palette.ts). */
  readonly shade: string;
  readonly name: string;
  readonly ns: number;
}

/** The parts of `result`; they add up to its total. Parts that are 0 are there, too. */
export function timeParts(result: RunResult): TimePart[] {
  const { time } = result;
  const fast = tierName(result, true) || 'fast memory';
  const slow = tierName(result, false) || 'slow memory';
  return [
    { shade: 'compute', name: 'computing', ns: time.computeNs },
    { shade: 'fast', name: `waiting for ${fast}`, ns: stallNs(result, true) },
    { shade: 'slow', name: `waiting for ${slow}`, ns: stallNs(result, false) },
    { shade: 'fault', name: 'page faults', ns: time.faultNs },
    { shade: 'migration', name: 'migration', ns: time.migrationNs },
    { shade: 'observation', name: 'observation', ns: time.observationNs },
  ];
}
