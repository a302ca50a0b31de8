/**
 * A policy in the loop: applies its settings, runs its heat source, asks it at its period and hands
 * its plans to the host. What the replay loop needs of all that, in one place.
 */
import { assert } from '../base/assert.ts';
import type { RandomStream } from '../base/prng.ts';
import type { FrameId, Nanoseconds, Nid, Vpn } from '../base/units.ts';
import type { EventHandler, EventQueue } from '../engine/index.ts';
import type { AccessCost } from '../hw/index.ts';
import { type AddressSpace, type Kernel, pteIsPresent, ptePayload } from '../mm/index.ts';
import { MigrationPlan, type Policy, REASON_DEMOTE, REASON_RESERVE } from '../policy/index.ts';
import type { TraceSource } from '../trace/index.ts';
import { demoteUnmappedCache } from './host/cacheDemotion.ts';
import { FutureRecorder } from './monitors/futureRecorder.ts';
import type { AccessObserver, AccessSampler, Monitor } from './monitors/monitor.ts';
import { makeMonitor } from './monitors/monitorList.ts';
import type { HeatAccuracy } from './runResult.ts';
import { SimHost } from './simHost.ts';
import type { TracePrograms } from './traceProgram.ts';
import type { Truth } from './truth.ts';

export interface PolicyDriverParts {
  readonly kernel: Kernel;
  readonly queue: EventQueue;
  readonly cost: AccessCost;
  readonly programs: TracePrograms;
  readonly source: TraceSource;
  readonly truth: Truth;
  readonly random: RandomStream;
}

export class PolicyDriver implements EventHandler {
  readonly #parts: PolicyDriverParts;
  readonly #policy: Policy;
  readonly #monitor: Monitor | null;
  readonly #host: SimHost;
  readonly #plan: MigrationPlan;
  readonly #future: FutureRecorder | null;
  /** Accesses replayed so far, told by the simulation. */
  accesses = 0;
  decisions = 0;
  /** Rows of all its plans that are no demotions. */
  plannedRows = 0;

  constructor(parts: PolicyDriverParts, policy: Policy) {
    const { kernel, queue, cost, programs, source, random } = parts;
    this.#parts = parts;
    this.#policy = policy;
    this.#monitor = makeMonitor(policy.needs, { kernel, queue, random });
    const windows = policy.needs.futureWindows;
    const future = windows > 0 ? new FutureRecorder(source, windows, futureRows(kernel)) : null;
    this.#future = future;
    const pidOf = (process: number): number => programs.processes[process]?.task.tgid ?? -1;
    const monitor = this.#monitor;
    this.#host = new SimHost({ kernel, queue, cost, policy, monitor, future, pidOf });
    this.#plan = new MigrationPlan(Math.max(1, policy.planCapacity));
  }

  /** What limits the policy's knowledge and a reader must know. */
  notes(): string[] {
    const notes: string[] = [];
    if (this.#future?.isTruncated === true) {
      const only = 'holds only the hottest pages of each window';
      notes.push(`the future that the policy was given ${only}`);
    }
    const { shadows } = this.#parts.kernel;
    if (shadows.committed + shadows.aborted > 0) {
      notes.push(
        `transactions: ${shadows.committed} pages committed, ${shadows.aborted} aborted; ` +
          `shadows: ${shadows.kept} kept, ${shadows.droppedByWrite} dropped by a write, ` +
          `${shadows.remapped} demoted to without a copy, ${shadows.reclaimed} reclaimed`,
      );
    }
    return notes;
  }

  get deferredPages(): number {
    return this.#policy.deferredPages ?? 0;
  }

  get policy(): Policy {
    return this.#policy;
  }

  get sampler(): AccessSampler | null {
    return this.#monitor?.sampler ?? null;
  }

  get observer(): AccessObserver | null {
    return this.#monitor?.observer ?? null;
  }

  /** Schedules the heat source and the first decision. */
  start(): void {
    this.#monitor?.start(0);
    if (this.#policy.periodNs > 0) this.#parts.queue.schedule(this.#policy.periodNs, this);
  }

  /** One decision. */
  onEvent(nowNs: Nanoseconds): void {
    this.#host.setProgress(this.accesses);
    if (this.#policy.settings.isMigrationFree) demoteUnmappedCache(this.#parts.kernel);
    this.#plan.clear();
    this.#policy.decide(this.#host.observe(nowNs), this.#plan);
    this.decisions++;
    for (let row = 0; row < this.#plan.nrRows; row++) {
      const reason = this.#plan.reason[row];
      if (reason !== REASON_DEMOTE && reason !== REASON_RESERVE) this.plannedRows++;
    }
    this.#host.apply(this.#plan, nowNs);
    this.#parts.queue.schedule(nowNs + this.#policy.periodNs, this);
  }

  onHintFault(pid: number, vpn: Vpn, nid: Nid, isWrite: boolean, nowNs: Nanoseconds): void {
    this.#monitor?.onHintFault(pid, vpn, nid, isWrite, nowNs);
  }

  /** A process is about to go. */
  forget(pid: number): void {
    this.#host.forget(pid);
  }

  /** The node of a mapped page, -1 if it is not present. */
  nidOf(mm: AddressSpace, vpn: Vpn): Nid {
    const word = this.#entry(mm, vpn);
    return pteIsPresent(word) ? this.#parts.kernel.pm.nidOf(ptePayload(word)) : -1;
  }

  /** The frame of a page. Preconditions: it is present. */
  frameOf(mm: AddressSpace, vpn: Vpn): FrameId {
    const word = this.#entry(mm, vpn);
    assert(pteIsPresent(word), 'a sample of a page that is not there', vpn);
    const slot = mm.slotOf(vpn);
    return ptePayload(word) + (mm.pmd[slot] === 0 ? 0 : vpn - mm.slotVpn[slot]);
  }

  /** When the migration that holds a page is over. */
  completionNs(mm: AddressSpace, vpn: Vpn, nowNs: Nanoseconds): Nanoseconds {
    const { kernel } = this.#parts;
    return this.#host.completionNs(kernel.frames.headOf(ptePayload(this.#entry(mm, vpn))), nowNs);
  }

  #entry(mm: AddressSpace, vpn: Vpn): number {
    const slot = mm.slotOf(vpn);
    if (slot < 0) return 0;
    if (mm.pmd[slot] !== 0) return mm.pmd[slot];
    const at = mm.pteIndex(vpn);
    return at < 0 ? 0 : this.#parts.kernel.ptes.words[at];
  }

  /** CPU time of the migration daemon and of the heat source's own threads. */
  backgroundNs(): Nanoseconds {
    return this.#host.backgroundNs + (this.#monitor?.stats.backgroundNs ?? 0);
  }

  /** The heat source against the truth: its hottest pages, as many as the top tier holds. */
  heatAccuracy(nowNs: Nanoseconds): HeatAccuracy | null {
    const monitor = this.#monitor;
    if (monitor === null) return null;
    const { kernel, programs, truth } = this.#parts;
    let capacity = 0;
    for (const node of kernel.pm.nodes) {
      if (node.online && kernel.tiers.isToptier(node.nid)) capacity += node.managed;
    }
    this.#host.observe(nowNs); // takes what the source has seen since the last decision
    const table = truth.table((pid, region) => programs.regionOf(pid, region));
    const { judge, staleHeat } = this.#host;
    const accuracy = judge.accuracy(monitor.source, monitor.stats, table, capacity);
    return { ...accuracy, stale: staleHeat };
  }
}

/** Rows of a window of the future: what the machine can hold at most. */
function futureRows(k: Kernel): number {
  let pages = 0;
  for (const node of k.pm.nodes) pages += node.managed;
  return Math.min(pages, 1 << 22);
}
