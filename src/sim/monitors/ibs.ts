/**
 * AMD's instruction-based sampling of ops: one op in `maxCount` dispatched ones is tagged and
 * followed to its retirement, then interrupts the CPU; a tagged load or store tells its linear and
 * physical address (IbsDcLinAd, IbsDcPhysAd) and what served it. HS-32..HS-34.
 *
 * Ops that are no memory access, or hit the caches, are tagged, too: they interrupt for nothing,
 * unless the CPU filters for misses of the third level cache (`l3MissOnly`, from Zen 4 on), which
 * drops them in hardware. An access of the trace is a miss, so one in `maxCount` of them is tagged.
 * There is no skid: the tagged op itself is reported. Prefetched lines: as in pebs.ts.
 *
 * What it costs: the program an interrupt, `programNs`, for each tagged op that is not filtered;
 * the reading thread `drainNs` a record. What it loses: records of a full ring buffer of perf. By
 * default it reports frames (`physicalAddress`), with the content that the frame had.
 *
 * Deviates: gaps between tagged misses are uniform in [1, 2 * maxCount), where those of a program
 * that misses irregularly would be geometric: the same mean, a smaller spread.
 * Deviates: an op is an instruction.
 */
import { assert } from '../../base/assert.ts';
import type { RandomStream } from '../../base/prng.ts';
import type { FrameId, Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import type { EventQueue } from '../../engine/index.ts';
import type { Kernel } from '../../mm/index.ts';
import { SamplingMonitor, type SamplingOptions } from './samplingMonitor.ts';

export interface IbsOptions extends SamplingOptions {
  /** Ops from tag to tag. */
  readonly maxCount: number;
  /** Tagged ops that did not miss are dropped before they interrupt. */
  readonly isMissOnly: boolean;
  /** Charged to the program, an interrupt. */
  readonly programNs: Nanoseconds;
}

export class IbsMonitor extends SamplingMonitor {
  readonly source = 'ibs';
  readonly #options: IbsOptions;
  readonly #random: RandomStream;

  constructor(
    k: Kernel,
    nrCpus: number,
    queue: EventQueue,
    random: RandomStream,
    options: IbsOptions,
  ) {
    super(k, nrCpus, queue, options);
    assert(options.maxCount >= 1, 'ibs: maxCount', options.maxCount);
    this.#options = options;
    this.#random = random;
    for (let cpu = 0; cpu < nrCpus; cpu++) this.untilSample[cpu] = this.#gap();
  }

  /** Tagged ops without a miss. */
  onInstructions(instructions: number, accesses: number): Nanoseconds {
    const { isMissOnly, maxCount, programNs } = this.#options;
    if (isMissOnly) return 0;
    const ns = (Math.max(0, instructions - accesses) / maxCount) * programNs;
    this.programNs += ns;
    return ns;
  }

  onSample(
    cpu: number,
    pid: number,
    vpn: Vpn,
    frame: FrameId,
    nid: Nid,
    isWrite: boolean,
    placeInRun: number,
    nowNs: Nanoseconds,
  ): number {
    const { programNs, isMissOnly } = this.#options;
    const isMiss = this.isMiss(placeInRun);
    this.costNs = isMiss || !isMissOnly ? programNs : 0;
    this.programNs += this.costNs;
    if (isMiss) this.record(cpu, pid, vpn, frame, nid, isWrite, nowNs);
    return this.#gap();
  }

  #gap(): number {
    return 1 + this.#random.below(Math.max(1, 2 * Math.round(this.#options.maxCount) - 1));
  }
}
