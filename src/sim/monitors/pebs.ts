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
 * Not modelled: skid (PEBS is precise), blindness to prefetches and DMA, buffers in memory whose
 * writing takes bandwidth.
 */
import { assert } from '../../base/assert.ts';
import type { RandomStream } from '../../base/prng.ts';
import type { Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import type { AccessSampler, Monitor, MonitorStats } from './monitor.ts';

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
}

/** Smallest period whose low bits are randomised. */
const RANDOMISED_FROM = 16;

export class PebsMonitor implements Monitor, AccessSampler, EventHandler {
  readonly source = 'pebs';
  readonly isPhysical = false;
  readonly untilSample: Float64Array;
  readonly programNsPerSample: Nanoseconds;
  readonly #options: PebsOptions;
  readonly #queue: EventQueue;
  readonly #random: RandomStream;
  /** Record at cpu * bufferRecords + i: pid, page, node and kind. */
  readonly #pid: Int32Array;
  readonly #vpn: Float64Array;
  readonly #nid: Int8Array;
  readonly #isWrite: Uint8Array;
  readonly #atNs: Float64Array;
  /** CPU -> records in its buffer. */
  readonly #filled: Int32Array;
  /** Drained and not yet collected. */
  readonly #drained = new HeatTable();
  #samples = 0;
  #lost = 0;
  #drainedRecords = 0;

  constructor(nrCpus: number, queue: EventQueue, random: RandomStream, options: PebsOptions) {
    assert(options.period >= 1 && options.bufferRecords >= 1, 'pebs: period and buffer');
    const capacity = nrCpus * options.bufferRecords;
    this.#options = options;
    this.#queue = queue;
    this.#random = random;
    this.programNsPerSample = options.programNs;
    this.#pid = new Int32Array(capacity);
    this.#vpn = new Float64Array(capacity);
    this.#nid = new Int8Array(capacity);
    this.#isWrite = new Uint8Array(capacity);
    this.#atNs = new Float64Array(capacity);
    this.#filled = new Int32Array(nrCpus);
    this.untilSample = new Float64Array(nrCpus);
    // CPUs do not sample in step: each begins somewhere in its first period.
    for (let cpu = 0; cpu < nrCpus; cpu++) {
      this.untilSample[cpu] = 1 + this.#random.below(Math.ceil(options.period));
    }
  }

  get sampler(): AccessSampler {
    return this;
  }

  get stats(): MonitorStats {
    const { programNs, drainNs } = this.#options;
    return {
      samples: this.#samples,
      lost: this.#lost,
      programNs: this.#samples * programNs,
      backgroundNs: this.#drainedRecords * drainNs,
    };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.drainIntervalNs, this);
  }

  onSample(
    cpu: number,
    _tid: number,
    pid: number,
    vpn: Vpn,
    nid: Nid,
    isWrite: boolean,
    nowNs: Nanoseconds,
  ): number {
    this.#samples++;
    const { bufferRecords } = this.#options;
    const filled = this.#filled[cpu];
    if (filled === bufferRecords) {
      this.#lost++;
    } else {
      const at = cpu * bufferRecords + filled;
      this.#pid[at] = pid;
      this.#vpn[at] = vpn;
      this.#nid[at] = nid;
      this.#isWrite[at] = isWrite ? 1 : 0;
      this.#atNs[at] = nowNs;
      this.#filled[cpu] = filled + 1;
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
    this.#drain();
    this.#queue.schedule(nowNs + this.#options.drainIntervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#drained);
    this.#drained.clear();
  }

  forget(pid: number): void {
    this.#drained.forget(pid);
    const { bufferRecords } = this.#options;
    for (let cpu = 0; cpu < this.#filled.length; cpu++) {
      const base = cpu * bufferRecords;
      let kept = 0;
      for (let i = 0; i < this.#filled[cpu]; i++) {
        if (this.#pid[base + i] === pid) continue;
        this.#pid[base + kept] = this.#pid[base + i];
        this.#vpn[base + kept] = this.#vpn[base + i];
        this.#nid[base + kept] = this.#nid[base + i];
        this.#isWrite[base + kept] = this.#isWrite[base + i];
        this.#atNs[base + kept] = this.#atNs[base + i];
        kept++;
      }
      this.#filled[cpu] = kept;
    }
  }

  #drain(): void {
    const { bufferRecords } = this.#options;
    for (let cpu = 0; cpu < this.#filled.length; cpu++) {
      const base = cpu * bufferRecords;
      const end = base + this.#filled[cpu];
      for (let at = base; at < end; at++) {
        const write = this.#isWrite[at];
        const pid = this.#pid[at];
        this.#drained.see(pid, this.#vpn[at], 1, 1 - write, write, this.#nid[at], this.#atNs[at]);
      }
      this.#drainedRecords += this.#filled[cpu];
      this.#filled[cpu] = 0;
    }
  }

  #nextPeriod(): number {
    const { period } = this.#options;
    if (period < RANDOMISED_FROM) return Math.max(1, Math.round(period));
    const spread = Math.floor(period / 16);
    return Math.round(period) - spread + this.#random.below(2 * spread + 1);
  }
}
