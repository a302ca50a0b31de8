/**
 * Heat sources in the simulator: what can be seen of a program's accesses, at what cost, how late,
 * and with which losses. HS-1..HS-10, HS-30..HS-35; hint faults TI-21.
 *
 * The replay loop never calls a monitor per access: a sampling monitor has a countdown per CPU (see
 * AccessSampler). Hint faults are reported when handleFault says FAULT_HINT. Everything else a
 * monitor does (drain a buffer, scan page tables) it does in events of its own.
 *
 * `pid` is the kernel's (Task.tgid), `vpn` the page accessed, `nid` the node that served it.
 */
import type { FrameId, Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import type { HeatTable } from '../../heat/index.ts';
import type { HeatSourceName } from '../../policy/index.ts';

/**
 * What the replay loop sees of a sampling monitor: a countdown in accesses. The loop subtracts its
 * accesses from a local copy and calls `onSample` only when that runs out.
 *
 *     let until = sampler.untilSample[cpu];          // once a slice
 *     ... until -= weight;                           // per run
 *     while (until <= 0) {                           // rare
 *       until += sampler.onSample(cpu, pid, vpn, frame, nid, isWrite, placeInRun, nowNs);
 *       observationNs += sampler.costNs;
 *     }
 *     sampler.setUntilSample(cpu, until);            // at the end of the slice
 */
export interface AccessSampler {
  /** CPU -> accesses until the next sample, at least 1. Read by the loop. */
  readonly untilSample: Float64Array;
  /** What the last call of onSample cost the program (HS-35): charged to the thread. */
  readonly costNs: Nanoseconds;

  /**
   * A slice with so many instructions and accesses is to come. Returns what sampling costs the
   * program besides its samples of accesses: interrupts that tell nothing.
   */
  onInstructions(instructions: number, accesses: number): Nanoseconds;

  /**
   * The countdown of `cpu` ran out at this access, the `placeInRun`-th (from 1) in a row to its
   * page, which `frame` holds. Returns the accesses until the next one, at least 1: the loop adds
   * them to its countdown (a run may hold several samples).
   */
  onSample(
    cpu: number,
    pid: number,
    vpn: Vpn,
    frame: FrameId,
    nid: Nid,
    isWrite: boolean,
    placeInRun: number,
    nowNs: Nanoseconds,
  ): number;

  /** Gives the countdown of a CPU back at the end of a slice. Preconditions: until >= 1. */
  setUntilSample(cpu: number, until: number): void;
}

/** What is told of all accesses, a batch at a time: a device that counts what it serves. */
export interface AccessObserver {
  /**
   * Runs [from, to) of a batch were served: run i by frame served[i - from], with weight[i]
   * accesses, writes if page[i] is odd.
   */
  onRuns(
    served: Int32Array,
    page: Uint32Array,
    weight: Uint16Array,
    from: number,
    to: number,
  ): void;
}

/** What a monitor cost and lost so far. */
export interface MonitorStats {
  /** Records, faults or set accessed bits that were seen. */
  readonly samples: number;
  /** Records dropped because a buffer was full. */
  readonly lost: number;
  /** Time taken from programs (already charged by the loop). */
  readonly programNs: Nanoseconds;
  /** CPU time of the monitor's own threads: drains and scans. */
  readonly backgroundNs: Nanoseconds;
}

export interface Monitor {
  /** As policies name it in their needs (policy/heatSources.ts). */
  readonly source: HeatSourceName;
  /** Rows of collect() name frames (PHYSICAL_PID, PFN, generation), not pages of processes. */
  readonly isPhysical: boolean;
  /** Not null: the loop counts accesses down. At most one monitor of a run samples. */
  readonly sampler: AccessSampler | null;
  /** Not null: the simulation tells it of every batch. */
  readonly observer: AccessObserver | null;
  readonly stats: MonitorStats;

  /** Schedules the monitor's first event. Called once, before the first access. */
  start(nowNs: Nanoseconds): void;

  /** A hint fault was handled; `nid` is where the page was when it faulted. */
  onHintFault(pid: number, vpn: Vpn, nid: Nid, isWrite: boolean, nowNs: Nanoseconds): void;

  /**
   * Adds to `heat` what became visible since the last call, in the order in which it was seen.
   * What still lies in a buffer that nobody drained is not visible.
   */
  collect(heat: HeatTable, nowNs: Nanoseconds): void;

  /** A process is gone: its page numbers mean nothing any more. Frames are told by generation. */
  forget(pid: number): void;
}
