/**
 * The heat sources by name, with their knobs: makes the one that a policy needs.
 */

import { assert } from '../../base/assert.ts';
import type { RandomStream } from '../../base/prng.ts';
import type { EventQueue } from '../../engine/index.ts';
import type { Kernel } from '../../mm/index.ts';
import {
  type KnobValues,
  type NumberKnob,
  numberOf,
  type PolicyNeeds,
  resolveKnobs,
} from '../../policy/index.ts';
import { HintFaultMonitor } from './hintFaults.ts';
import { IdleBitsMonitor } from './idleBits.ts';
import type { Monitor } from './monitor.ts';
import { PebsMonitor } from './pebs.ts';

const MILLION = 1_000_000;

/** Knobs of each source. Times of 0 or less than 0 mean: as the machine's costs say. */
export const MONITOR_KNOBS: Readonly<Record<'pebs' | 'hint-faults' | 'idle-bits', NumberKnob[]>> = {
  pebs: [
    knob('period', 5000, 1, 1e9, 'accesses', 'mean accesses from sample to sample'),
    knob('bufferRecords', 2048, 1, 1 << 20, 'records', 'that the buffer of a CPU holds'),
    knob('drainInterval', 1, 0.001, 10_000, 'ms', 'time between two drains'),
    knob('programNs', -1, -1, 1e6, 'ns', 'cost of a record; -1 = the sampleNs of the machine'),
    knob('drainNs', 50, 0, 1e6, 'ns', 'time of the draining thread, a record (assumption)'),
  ],
  'hint-faults': [],
  'idle-bits': [
    knob('interval', 100, 0.001, 1e6, 'ms', 'time between two walks'),
    knob('pageNs', -1, -1, 1e6, 'ns', 'cost of a page; -1 = the scanFolioNs of the machine'),
  ],
};

/** What a monitor is built from. */
export interface MonitorContext {
  readonly kernel: Kernel;
  readonly queue: EventQueue;
  /** The monitors' own stream. */
  readonly random: RandomStream;
}

/** The monitor that a policy needs, or null. Preconditions: its knobs are allowed (asserted). */
export function makeMonitor(needs: PolicyNeeds, context: MonitorContext): Monitor | null {
  if (needs.heat === 'none') return null;
  const { values, problems } = resolveKnobs(MONITOR_KNOBS[needs.heat], needs.heatKnobs);
  assert(problems.length === 0, problems.map(({ problem }) => problem).join('; '));
  switch (needs.heat) {
    case 'pebs':
      return makePebs(values, context);
    case 'hint-faults':
      return new HintFaultMonitor();
    case 'idle-bits':
      return makeIdleBits(values, context);
  }
}

function makePebs(values: KnobValues, context: MonitorContext): Monitor {
  const { kernel, queue, random } = context;
  let nrCpus = 1;
  for (const { cpus } of kernel.spec.nodes)
    for (const cpu of cpus) nrCpus = Math.max(nrCpus, cpu + 1);
  return new PebsMonitor(nrCpus, queue, random, {
    period: numberOf(values, 'period'),
    bufferRecords: Math.round(numberOf(values, 'bufferRecords')),
    drainIntervalNs: Math.round(numberOf(values, 'drainInterval') * MILLION),
    programNs: costOf(values, 'programNs', kernel.spec.costs.sampleNs),
    drainNs: numberOf(values, 'drainNs'),
  });
}

function makeIdleBits(values: KnobValues, context: MonitorContext): Monitor {
  const { kernel, queue } = context;
  return new IdleBitsMonitor(kernel, queue, {
    intervalNs: Math.round(numberOf(values, 'interval') * MILLION),
    pageNs: costOf(values, 'pageNs', kernel.spec.costs.scanFolioNs),
  });
}

function costOf(values: KnobValues, name: string, ofMachine: number): number {
  const value = numberOf(values, name);
  return value < 0 ? ofMachine : value;
}

function knob(
  name: string,
  initial: number,
  min: number,
  max: number,
  unit: string,
  doc: string,
): NumberKnob {
  return { kind: 'number', name, default: initial, min, max, unit, doc };
}
