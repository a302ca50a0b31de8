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
import type { EventQueue } from '../../engine/index.ts';
import type { Kernel } from '../../mm/index.ts';
import { SamplingMonitor, type SamplingOptions } from './samplingMonitor.ts';

export interface PebsOptions extends SamplingOptions {
  /** Mean accesses from sample to sample. */
  readonly period: number;
  /** Charged to the program, a record. */
  readonly programNs: Nanoseconds;
  /**
   * Accesses that the recorded one may come after the counted one, as with an event that is not
   * precise; 0 = precise.
   */
  readonly skid: number;
}

/** Smallest period whose low bits are randomised. */
const RANDOMISED_FROM = 16;

export class PebsMonitor extends SamplingMonitor {
  readonly source = 'pebs';
  readonly #options: PebsOptions;
  readonly #random: RandomStream;
  /** CPU -> 1 while the counted access has happened and the recorded one has not. */
  readonly #isArmed: Uint8Array;

  constructor(
    k: Kernel,
    nrCpus: number,
    queue: EventQueue,
    random: RandomStream,
    options: PebsOptions,
  ) {
    super(k, nrCpus, queue, options);
    assert(options.period >= 1, 'pebs: period', options.period);
    this.#options = options;
    this.#random = random;
    this.#isArmed = new Uint8Array(nrCpus);
    // CPUs do not sample in step: each begins somewhere in its first period.
    for (let cpu = 0; cpu < nrCpus; cpu++) {
      this.untilSample[cpu] = 1 + this.#random.below(Math.ceil(options.period));
    }
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
    const { skid, programNs } = this.#options;
    this.costNs = 0;
    if (skid > 0 && this.#isArmed[cpu] === 0) {
      const delay = this.#random.below(skid + 1);
      if (delay > 0) {
        this.#isArmed[cpu] = 1;
        return delay;
      }
    }
    this.#isArmed[cpu] = 0;
    if (this.isMiss(placeInRun)) {
      this.costNs = programNs;
      this.programNs += programNs;
      this.record(cpu, pid, vpn, frame, nid, isWrite, nowNs);
    }
    return this.#nextPeriod();
  }

  #nextPeriod(): number {
    const { period } = this.#options;
    if (period < RANDOMISED_FROM) return Math.max(1, Math.round(period));
    const spread = Math.floor(period / 16);
    return Math.round(period) - spread + this.#random.below(2 * spread + 1);
  }
}
