/**
 * The simulator as a host of policies: observes the modelled kernel, carries plans out on it in
 * virtual time. The other side of policy/policy.ts.
 *
 * observe() fills one view that is used again and again; apply() hands a plan to the migration
 * daemon. A program that runs into a migration entry asks completionNs() how long it must wait.
 *
 * What migrations do to traffic, promotion counts and round trips is counted where folios migrate
 * (Kernel.onMigrated), not here; here is the time of the daemon and of what it needs to see.
 */
import { assert } from '../base/assert.ts';
import type { FrameId, Nanoseconds } from '../base/units.ts';
import type { EventQueue } from '../engine/index.ts';
import { HeatTable } from '../heat/index.ts';
import type { AccessCost } from '../hw/index.ts';
import type { Kernel } from '../mm/index.ts';
import type {
  FrameRangeTable,
  FutureTable,
  HostView,
  MigrationPlan,
  Policy,
} from '../policy/index.ts';

import { HeatJudge } from './heatJudge.ts';
import { FrameHeat } from './host/frameHeat.ts';
import { frameRanges } from './host/frameRanges.ts';
import { MigrationDaemon } from './host/migrationDaemon.ts';
import { NodeRows } from './host/nodeRows.ts';
import { OutcomeRows } from './host/outcomeRows.ts';
import { PlanQueue } from './host/planQueue.ts';
import { ResidencyWalk } from './host/residencyWalk.ts';
import type { FutureRecorder } from './monitors/futureRecorder.ts';
import type { Monitor } from './monitors/monitor.ts';

export interface SimHostOptions {
  /** Threads of the migration daemon. */
  readonly workers: number;
  /** Bytes per nanosecond (GB/s) that it migrates at most; 0 = no limit. */
  readonly bandwidthLimit: number;
  /** Folios mapped by several processes migrate too (MPOL_MF_MOVE_ALL, MP-26). */
  readonly isMoveAll: boolean;
}

export const SIM_HOST_DEFAULTS: SimHostOptions = {
  workers: 1,
  bandwidthLimit: 0,
  isMoveAll: true,
};

/** What a host is wired to. */
export interface SimHostParts {
  readonly kernel: Kernel;
  readonly queue: EventQueue;
  readonly cost: AccessCost;
  readonly policy: Policy;
  readonly monitor: Monitor | null;
  readonly future: FutureRecorder | null;
  /** The pid of a process of the trace, -1 while it does not run. */
  readonly pidOf: (process: number) => number;
}

export class SimHost {
  readonly #parts: SimHostParts;
  readonly #plans: PlanQueue;
  readonly #daemon: MigrationDaemon;
  readonly #nodes: NodeRows;
  readonly #walk: ResidencyWalk;
  readonly #outcome = new OutcomeRows();
  readonly #heat = new HeatTable();
  /** By frames; empty unless the source reports physical addresses. */
  readonly #frameHeat = new HeatTable();
  readonly #frames: FrameHeat;
  readonly #ranges: FrameRangeTable;
  /** Everything the heat source reported so far: what its worth is judged by. */
  readonly judge = new HeatJudge();
  readonly #vmstat = new Map<string, number>();
  readonly #vmstatBefore = new Map<string, number>();
  #observedNs: Nanoseconds = -1;
  #walkDueNs: Nanoseconds = 0;
  #future: FutureTable | null = null;
  /** The pids that it was made with, by process of the trace. */
  #futurePids: readonly number[] = [];
  #accesses = 0;
  #walkNs: Nanoseconds = 0;

  constructor(parts: SimHostParts, options: SimHostOptions = SIM_HOST_DEFAULTS) {
    const { kernel, queue, cost, policy } = parts;
    assert(options.workers >= 1 && options.bandwidthLimit >= 0, 'a migration daemon has workers');
    this.#parts = parts;
    this.#plans = new PlanQueue(kernel.pm.nodes.length);
    this.#daemon = new MigrationDaemon(kernel, queue, cost, this.#plans, {
      ...options,
      isFree: policy.settings.isMigrationFree,
    });
    this.#nodes = new NodeRows(kernel, cost);
    this.#walk = new ResidencyWalk(kernel);
    this.#frames = new FrameHeat(kernel);
    this.#ranges = frameRanges(kernel.pm, kernel.frames);
  }

  /** CPU time of the host's own threads: migration daemon, walks over page tables and rmap. */
  get backgroundNs(): Nanoseconds {
    const rmapNs = this.#parts.policy.needs.isByFrame === true ? 0 : this.#frames.backgroundNs;
    return this.#daemon.backgroundNs + this.#walkNs + rmapNs;
  }

  /** Sightings by frame that could not be used: the frame has another content. */
  get staleHeat(): number {
    return this.#frames.stale;
  }

  /** Pages of plans that are still to be migrated. */
  get pendingPages(): number {
    return this.#plans.pendingPages;
  }

  /** Tells how many accesses of the trace are done: the future is ahead of them. */
  setProgress(accesses: number): void {
    this.#accesses = accesses;
  }

  /** What the policy may see now. The view and its tables are valid until the next call. */
  observe(nowNs: Nanoseconds): HostView {
    const { policy } = this.#parts;
    const intervalNs = this.#observedNs < 0 ? 0 : nowNs - this.#observedNs;
    this.#observedNs = nowNs;
    this.#nodes.refresh(this.#plans.incoming);
    this.#outcome.take(this.#plans);
    this.#collectHeat(nowNs);
    this.#readVmstat();
    return {
      nowNs,
      intervalNs,
      nodes: this.#nodes,
      heat: this.#heat,
      frameHeat: this.#frameHeat,
      frameRanges: this.#ranges,
      residency: this.#walkIfDue(nowNs, policy.needs.residencyPeriodNs) ? this.#walk : null,
      vmstat: this.#vmstat,
      outcome: this.#outcome,
      pendingPages: this.#plans.pendingPages,
      future: this.#readFuture(),
    };
  }

  /** Starts to carry out a plan; its rows come behind those of earlier plans. */
  apply(plan: MigrationPlan, nowNs: Nanoseconds): void {
    if (plan.nrRows === 0) return;
    this.#plans.accept(plan);
    this.#daemon.kick(nowNs);
  }

  /**
   * When the migration of a folio is over, for a program that waits for it (MC-35); `nowNs` if the
   * host does not migrate it. Whoever waited lets the migration finish: waitOnMigration.
   */
  completionNs(head: FrameId, nowNs: Nanoseconds): Nanoseconds {
    return this.#daemon.completionNs(head, nowNs);
  }

  /** A process is gone. */
  forget(pid: number): void {
    this.#parts.monitor?.forget(pid);
    this.#heat.forget(pid);
  }

  #collectHeat(nowNs: Nanoseconds): void {
    this.#heat.clear();
    const { monitor } = this.#parts;
    if (monitor === null) return;
    if (monitor.isPhysical) {
      this.#frameHeat.clear();
      monitor.collect(this.#frameHeat, nowNs);
      this.#frames.translate(this.#frameHeat, this.#heat);
    } else monitor.collect(this.#heat, nowNs);
    this.judge.take(this.#heat, nowNs);
  }

  #walkIfDue(nowNs: Nanoseconds, periodNs: Nanoseconds): boolean {
    if (periodNs === 0 || nowNs < this.#walkDueNs) return false;
    this.#walkDueNs = nowNs + periodNs;
    this.#walk.walk();
    const { kernel, future } = this.#parts;
    // Who knows the future needs nothing to be looked up.
    if (future === null) this.#walkNs += this.#walk.nrMapped * kernel.spec.costs.scanPteNs;
    return true;
  }

  #readVmstat(): void {
    const names = this.#parts.policy.needs.vmstat;
    if (names.length === 0) return;
    const now = this.#parts.kernel.vmstat.snapshot();
    for (const name of names) {
      const value = now.get(name);
      assert(value !== undefined, `policy needs counter ${name}, which /proc/vmstat does not have`);
      this.#vmstat.set(name, value - (this.#vmstatBefore.get(name) ?? 0));
      this.#vmstatBefore.set(name, value);
    }
  }

  /** The window of the future at hand; made again when processes of the trace start or end. */
  #readFuture(): FutureTable | null {
    const { future, pidOf } = this.#parts;
    if (future === null) return null;
    const window = future.windowAt(this.#accesses);
    const pids = Array.from({ length: future.nrProcesses }, (_, process) => pidOf(process));
    const isSame = pids.every((pid, process) => pid === this.#futurePids[process]);
    if (this.#future !== null && this.#future.window === window && isSame) return this.#future;
    this.#futurePids = pids;
    this.#future = future.tableOf(window, pidOf);
    return this.#future;
  }
}
