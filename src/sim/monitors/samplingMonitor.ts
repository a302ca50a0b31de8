/**
 * What monitors that sample accesses in hardware have in common: a countdown a CPU, records in
 * buffers that a thread drains now and then, heat of what was drained. HS-33, HS-35.
 */
import { assert } from '../../base/assert.ts';
import type { FrameId, Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import type { HeatTable } from '../../heat/index.ts';
import type { Kernel } from '../../mm/index.ts';
import type { AccessSampler, Monitor, MonitorStats } from './monitor.ts';
import { RecordBuffers } from './recordBuffers.ts';

export interface SamplingOptions {
  /** Records that a CPU's buffer holds. */
  readonly bufferRecords: number;
  readonly drainIntervalNs: Nanoseconds;
  /** Time of the draining thread, a record. */
  readonly drainNs: Nanoseconds;
  /**
   * Accesses of a run on one page that train the prefetcher. The lines that follow hit the cache
   * and raise no event (HS-34). 0 = no prefetcher: the time that they take has none either.
   */
  readonly prefetchAfter: number;
  /** Records name frames, not pages. */
  readonly isPhysical: boolean;
}

export abstract class SamplingMonitor implements Monitor, AccessSampler, EventHandler {
  abstract readonly source: 'pebs' | 'ibs';
  readonly observer = null;
  readonly untilSample: Float64Array;
  costNs: Nanoseconds = 0;
  /** Charged to programs so far. */
  protected programNs: Nanoseconds = 0;
  readonly #options: SamplingOptions;
  readonly #queue: EventQueue;
  readonly #buffers: RecordBuffers;
  #samples = 0;

  constructor(k: Kernel, nrCpus: number, queue: EventQueue, options: SamplingOptions) {
    assert(options.bufferRecords >= 1, 'a buffer of no records');
    this.#options = options;
    this.#queue = queue;
    this.#buffers = new RecordBuffers(k, nrCpus, options.bufferRecords, options.isPhysical);
    this.untilSample = new Float64Array(nrCpus);
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
      programNs: this.programNs,
      backgroundNs: this.#buffers.nrDrained * this.#options.drainNs,
    };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.drainIntervalNs, this);
  }

  abstract onInstructions(instructions: number, accesses: number): Nanoseconds;

  abstract onSample(
    cpu: number,
    pid: number,
    vpn: Vpn,
    frame: FrameId,
    nid: Nid,
    isWrite: boolean,
    placeInRun: number,
    nowNs: Nanoseconds,
  ): number;

  /** Whether the access missed the caches, as the `placeInRun`-th of its run. */
  protected isMiss(placeInRun: number): boolean {
    const { prefetchAfter } = this.#options;
    return prefetchAfter === 0 || placeInRun <= prefetchAfter;
  }

  protected record(
    cpu: number,
    pid: number,
    vpn: Vpn,
    frame: FrameId,
    nid: Nid,
    isWrite: boolean,
    nowNs: Nanoseconds,
  ): void {
    this.#samples++;
    this.#buffers.push(cpu, pid, vpn, frame, nid, isWrite, nowNs);
  }

  setUntilSample(cpu: number, until: number): void {
    assert(until >= 1, 'countdown given back at', until);
    this.untilSample[cpu] = until;
  }

  onHintFault(): void {}

  /** The draining thread's turn. */
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
}
