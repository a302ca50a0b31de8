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
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import type { HeatTable } from '../../heat/index.ts';
import type { Kernel } from '../../mm/index.ts';
import type { AccessSampler, Monitor, MonitorStats } from './monitor.ts';
import { RecordBuffers } from './recordBuffers.ts';

export interface IbsOptions {
  /** Ops from tag to tag. */
  readonly maxCount: number;
  /** Tagged ops that did not miss are dropped before they interrupt. */
  readonly isMissOnly: boolean;
  readonly bufferRecords: number;
  readonly drainIntervalNs: Nanoseconds;
  /** Charged to the program, an interrupt. */
  readonly programNs: Nanoseconds;
  readonly drainNs: Nanoseconds;
  readonly prefetchAfter: number;
  readonly isPhysical: boolean;
}

export class IbsMonitor implements Monitor, AccessSampler, EventHandler {
  readonly source = 'ibs';
  readonly observer = null;
  readonly untilSample: Float64Array;
  costNs: Nanoseconds = 0;
  readonly #options: IbsOptions;
  readonly #queue: EventQueue;
  readonly #random: RandomStream;
  readonly #buffers: RecordBuffers;
  #samples = 0;
  #programNs: Nanoseconds = 0;

  constructor(
    k: Kernel,
    nrCpus: number,
    queue: EventQueue,
    random: RandomStream,
    options: IbsOptions,
  ) {
    assert(options.maxCount >= 1 && options.bufferRecords >= 1, 'ibs: maxCount and buffer');
    this.#options = options;
    this.#queue = queue;
    this.#random = random;
    this.#buffers = new RecordBuffers(k, nrCpus, options.bufferRecords, options.isPhysical);
    this.untilSample = new Float64Array(nrCpus);
    for (let cpu = 0; cpu < nrCpus; cpu++) this.untilSample[cpu] = this.#gap();
  }

  get isPhysical(): boolean {
    return this.#options.isPhysical;
  }

  get sampler(): AccessSampler {
    return this;
  }

  get stats(): MonitorStats {
    return {
      samples: this.#samples,
      lost: this.#buffers.lost,
      programNs: this.#programNs,
      backgroundNs: this.#buffers.nrDrained * this.#options.drainNs,
    };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.drainIntervalNs, this);
  }

  /** Tagged ops without a miss. */
  onInstructions(instructions: number, accesses: number): Nanoseconds {
    const { isMissOnly, maxCount, programNs } = this.#options;
    if (isMissOnly) return 0;
    const ns = (Math.max(0, instructions - accesses) / maxCount) * programNs;
    this.#programNs += ns;
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
    const { prefetchAfter, programNs, isMissOnly } = this.#options;
    const isMiss = prefetchAfter === 0 || placeInRun <= prefetchAfter;
    this.costNs = isMiss || !isMissOnly ? programNs : 0;
    this.#programNs += this.costNs;
    if (isMiss) {
      this.#samples++;
      this.#buffers.push(cpu, pid, vpn, frame, nid, isWrite, nowNs);
    }
    return this.#gap();
  }

  setUntilSample(cpu: number, until: number): void {
    assert(until >= 1, 'ibs: countdown given back at', until);
    this.untilSample[cpu] = until;
  }

  onHintFault(): void {}

  onEvent(nowNs: Nanoseconds): void {
    this.#buffers.drain();
    this.#queue.schedule(nowNs + this.#options.drainIntervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#buffers.drained);
    this.#buffers.drained.clear();
  }

  forget(pid: number): void {
    this.#buffers.forget(pid);
  }

  #gap(): number {
    return 1 + this.#random.below(Math.max(1, 2 * Math.round(this.#options.maxCount) - 1));
  }
}
