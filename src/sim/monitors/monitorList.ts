/**
 * The heat sources by name: makes the one that a policy needs. Times of less than 0 mean: as the
 * machine's costs say. Their knobs are declared in policy/heatSources.ts.
 */

import { assert, UserError } from '../../base/assert.ts';
import type { RandomStream } from '../../base/prng.ts';
import type { EventQueue } from '../../engine/index.ts';
import { CHMU_ALWAYS_ON, CHMU_EPOCH, epochNs, epochRegister } from '../../hw/index.ts';
import { checkDamonAttrs, type Kernel, NO_INTERVALS_GOAL } from '../../mm/index.ts';
import {
  heatSource,
  type KnobValues,
  numberOf,
  type PolicyNeeds,
  resolveKnobs,
} from '../../policy/index.ts';
import { CxlHeatMonitor } from './cxlHeat.ts';
import { DamonHeatMonitor } from './damonHeat.ts';
import { HintFaultMonitor } from './hintFaults.ts';
import { IbsMonitor } from './ibs.ts';
import { IdleBitmapMonitor } from './idleBitmap.ts';
import { IdleBitsMonitor } from './idleBits.ts';
import { LruAgesMonitor } from './lruAges.ts';
import type { Monitor } from './monitor.ts';
import { PageFlagsMonitor } from './pageFlags.ts';
import { PebsMonitor } from './pebs.ts';

const MILLION = 1_000_000;

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
  const { values, problems } = resolveKnobs(heatSource(needs.heat).knobs, needs.heatKnobs);
  assert(problems.length === 0, problems.map(({ problem }) => problem).join('; '));
  switch (needs.heat) {
    case 'pebs':
      return makePebs(values, context);
    case 'ibs':
      return makeIbs(values, context);
    case 'hint-faults':
      return new HintFaultMonitor(context.kernel);
    case 'idle-bits':
      return makeIdleBits(values, context);
    case 'page-idle':
      return makePageIdle(values, context);
    case 'cxl':
      return makeCxlHeat(values, context);
    case 'damon-vaddr':
      return makeDamonHeat('vaddr', values, context);
    case 'damon-paddr':
      return makeDamonHeat('paddr', values, context);
    case 'mglru':
      return makeLruAges(values, context);
    case 'kpageflags':
      return makePageFlags(values, context);
  }
}

function makePebs(values: KnobValues, context: MonitorContext): Monitor {
  const { kernel, queue, random } = context;
  return new PebsMonitor(kernel, nrCpusOf(kernel), queue, random, {
    period: numberOf(values, 'period'),
    bufferRecords: Math.round(numberOf(values, 'bufferRecords')),
    drainIntervalNs: Math.round(numberOf(values, 'drainInterval') * MILLION),
    programNs: costOf(values, 'programNs', kernel.spec.costs.sampleNs),
    drainNs: numberOf(values, 'drainNs'),
    skid: Math.round(numberOf(values, 'skid')),
    prefetchAfter: numberOf(values, 'prefetchAfter'),
    isPhysical: numberOf(values, 'physicalAddress') === 1,
  });
}

function makeIbs(values: KnobValues, context: MonitorContext): Monitor {
  const { kernel, queue, random } = context;
  return new IbsMonitor(kernel, nrCpusOf(kernel), queue, random, {
    maxCount: numberOf(values, 'maxCount'),
    isMissOnly: numberOf(values, 'l3MissOnly') === 1,
    bufferRecords: Math.round(numberOf(values, 'bufferRecords')),
    drainIntervalNs: Math.round(numberOf(values, 'drainInterval') * MILLION),
    programNs: numberOf(values, 'programNs'),
    drainNs: numberOf(values, 'drainNs'),
    prefetchAfter: numberOf(values, 'prefetchAfter'),
    isPhysical: numberOf(values, 'physicalAddress') === 1,
  });
}

function nrCpusOf({ spec }: Kernel): number {
  let nrCpus = 1;
  for (const { cpus } of spec.nodes) for (const cpu of cpus) nrCpus = Math.max(nrCpus, cpu + 1);
  return nrCpus;
}

function makeIdleBits(values: KnobValues, context: MonitorContext): Monitor {
  const { kernel, queue } = context;
  return new IdleBitsMonitor(kernel, queue, {
    intervalNs: Math.round(numberOf(values, 'interval') * MILLION),
    pageNs: costOf(values, 'pageNs', kernel.spec.costs.scanFolioNs),
  });
}

function makePageIdle(values: KnobValues, context: MonitorContext): Monitor {
  const { kernel, queue } = context;
  return new IdleBitmapMonitor(kernel, queue, {
    intervalNs: Math.round(numberOf(values, 'interval') * MILLION),
    pageNs: costOf(values, 'pageNs', kernel.spec.costs.scanFolioNs),
  });
}

function makePageFlags(values: KnobValues, { kernel, queue }: MonitorContext): Monitor {
  return new PageFlagsMonitor(kernel, queue, {
    intervalNs: Math.round(numberOf(values, 'interval') * MILLION),
    frameNs: numberOf(values, 'frameNs'),
  });
}

function makeCxlHeat(values: KnobValues, { kernel, queue }: MonitorContext): Monitor {
  const isAlwaysOn = numberOf(values, 'alwaysOn') === 1;
  const epoch = epochRegister(numberOf(values, 'epoch') * MILLION);
  const counterWidth = Math.round(numberOf(values, 'counterWidth'));
  return new CxlHeatMonitor(kernel, queue, {
    ways: numberOf(values, 'ways'),
    granularityBytes: numberOf(values, 'granularity'),
    isXor: numberOf(values, 'xor') === 1,
    periodNs: epochNs(epoch.scale, epoch.multiplier),
    entryNs: numberOf(values, 'entryNs'),
    capabilities: {
      hotlistSize: Math.round(numberOf(values, 'hotlist')),
      counterWidth,
      downsampleMax: 15,
      epochMinNs: epochNs(1, 1),
      epochMaxNs: epochNs(5, 4095),
    },
    config: {
      mode: isAlwaysOn ? CHMU_ALWAYS_ON : CHMU_EPOCH,
      unitBytes: numberOf(values, 'unit'),
      threshold: Math.round(numberOf(values, 'threshold')),
      downsample: Math.round(numberOf(values, 'downsample')),
      accessKinds: Math.round(numberOf(values, 'kinds')),
      epochScale: epoch.scale,
      epochMultiplier: epoch.multiplier,
    },
  });
}

function makeDamonHeat(
  operations: 'vaddr' | 'paddr',
  values: KnobValues,
  { kernel, queue }: MonitorContext,
): Monitor {
  const us = (name: string) => Math.max(1, Math.round(numberOf(values, name) * 1000));
  const attrs = {
    sampleUs: us('sample'),
    aggrUs: us('aggregation'),
    goal: NO_INTERVALS_GOAL,
    updateUs: us('update'),
    minNrRegions: Math.round(numberOf(values, 'minRegions')),
    maxNrRegions: Math.round(numberOf(values, 'maxRegions')),
  };
  if (checkDamonAttrs(attrs) !== 0) {
    const { sampleUs, aggrUs, minNrRegions: least, maxNrRegions: most } = attrs;
    throw new UserError(
      `sample ${sampleUs} us, aggregation ${aggrUs} us, regions ${least} to ${most}`,
      'DAMON refuses it (-EINVAL)',
      'sample at most the aggregation, least regions at most the most',
    );
  }
  const checkNs = costOf(values, 'checkNs', kernel.spec.costs.scanFolioNs);
  return new DamonHeatMonitor(kernel, queue, { operations, attrs, checkNs });
}

function makeLruAges(values: KnobValues, { kernel, queue }: MonitorContext): Monitor {
  return new LruAgesMonitor(kernel, queue, {
    intervalNs: Math.round(numberOf(values, 'interval') * MILLION),
    pteNs: costOf(values, 'pteNs', kernel.spec.costs.scanPteNs),
    frameNs: numberOf(values, 'frameNs'),
  });
}

function costOf(values: KnobValues, name: string, ofMachine: number): number {
  const value = numberOf(values, name);
  return value < 0 ? ofMachine : value;
}
