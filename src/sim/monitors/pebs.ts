/**
 * Hardware sampling as PEBS does it: every P-th access of a CPU leaves a record in that CPU's
 * buffer, a full buffer drops records, a thread drains the buffers now and then. HS-30, HS-33,
 * HS-35. The accesses of a trace are those that missed the caches, which is what is counted.
 *
 * What it costs: the program `programNs` a record (microcode assist, write to the buffer), the
 * draining thread `drainNs` a record. What it loses: records of a full buffer, and accesses between
 * samples: the relative error of a page with k samples is about 1 / sqrt(k).
 *
 * The period is randomised in its low bits, as perf does against programs in step with it: uniform
 * in [P - P/16, P + P/16], drawn from the monitor's own stream.
 *
 * Deviates: one counter a CPU for loads and stores together, where HeMem programs three events of
 * one period; each kind gets the same expected number of samples.
 * Not modelled: accesses of devices (DMA raises no event of a CPU); buffers in memory whose writing
 * takes bandwidth.
 */
import { assert } from '../../base/assert.ts';
import type { RandomStream } from '../../base/prng.ts';
import type { FrameId, Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import type { HeatTable } from '../../heat/index.ts';
import type { Kernel } from '../../mm/index.ts';
import type { AccessSampler, Monitor, MonitorStats } from './monitor.ts';
import { RecordBuffers } from './recordBuffers.ts';

export interface PebsOptions {
  /** Mean accesses from sample to sample. */
  readonly period: number;
  /** Records that a CPU's buffer holds. */
  readonly bufferRecords: number;
  readonly drainIntervalNs: Nanoseconds;
  /** Charged to the program, a record. */
  readonly programNs: Nanoseconds;
  /** Time of the draining thread, a record. */
  readonly drainNs: Nanoseconds;
  /**
   * Accesses that the recorded one may come after the counted one, as with an event that is not
   * precise; 0 = precise.
   */
  readonly skid: number;
  /**
   * Accesses of a run on one page that train the prefetcher. The lines that follow hit the cache
   * and raise no event (HS-34). 0 = no prefetcher: the time that they take has none either.
   */
  readonly prefetchAfter: number;
  /** Records name frames, not pages. */
  readonly isPhysical: boolean;
}

/** Smallest period whose low bits are randomised. */
const RANDOMISED_FROM = 16;

export class PebsMonitor implements Monitor, AccessSampler, EventHandler {
  readonly source = 'pebs';
  readonly observer = null;
  readonly untilSample: Float64Array;
  costNs: Nanoseconds = 0;
  readonly #options: PebsOptions;
  readonly #queue: EventQueue;
  readonly #random: RandomStream;
  readonly #buffers: RecordBuffers;
  /** CPU -> 1 while the counted access has happened and the recorded one has not. */
  readonly #isArmed: Uint8Array;
  #samples = 0;

  constructor(
    k: Kernel,
    nrCpus: number,
    queue: EventQueue,
    random: RandomStream,
    options: PebsOptions,
  ) {
    assert(options.period >= 1 && options.bufferRecords >= 1, 'pebs: period and buffer');
    this.#options = options;
    this.#queue = queue;
    this.#random = random;
    this.#buffers = new RecordBuffers(k, nrCpus, options.bufferRecords, options.isPhysical);
    this.#isArmed = new Uint8Array(nrCpus);
    this.untilSample = new Float64Array(nrCpus);
    // CPUs do not sample in step: each begins somewhere in its first period.
    for (let cpu = 0; cpu < nrCpus; cpu++) {
      this.untilSample[cpu] = 1 + this.#random.below(Math.ceil(options.period));
    }
  }

  get isPhysical(): boolean {
    return this.#options.isPhysical;
  }

  get sampler(): AccessSampler {
    return this;
  }

  get stats(): MonitorStats {
    const { programNs, drainNs } = this.#options;
    return {
      samples: this.#samples,
      lost: this.#buffers.lost,
      programNs: this.#samples * programNs,
      backgroundNs: this.#buffers.nrDrained * drainNs,
    };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.drainIntervalNs, this);
  }

  onInstructions(): Nanoseconds {
    return 0;
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
    const { skid, prefetchAfter, programNs } = this.#options;
    this.costNs = 0;
    if (skid > 0 && this.#isArmed[cpu] === 0) {
      const delay = this.#random.below(skid + 1);
      if (delay > 0) {
        this.#isArmed[cpu] = 1;
        return delay;
      }
    }
    this.#isArmed[cpu] = 0;
    if (prefetchAfter === 0 || placeInRun <= prefetchAfter) {
      this.#samples++;
      this.costNs = programNs;
      this.#buffers.push(cpu, pid, vpn, frame, nid, isWrite, nowNs);
    }
    return this.#nextPeriod();
  }

  setUntilSample(cpu: number, until: number): void {
    assert(until >= 1, 'pebs: countdown given back at', until);
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

  #nextPeriod(): number {
    const { period } = this.#options;
    if (period < RANDOMISED_FROM) return Math.max(1, Math.round(period));
    const spread = Math.floor(period / 16);
    return Math.round(period) - spread + this.#random.below(2 * spread + 1);
  }
}
