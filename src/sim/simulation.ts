/**
 * One run: a trace replayed on a modelled machine under a policy. The only place where the clock,
 * the kernel, the cost model, the heat source, the host and the programs meet.
 *
 * Time: a thread pays compute time (instructions), stalls (loaded latency over the misses a core
 * keeps in flight), faults and waits. After every few hundred runs its clock is brought forward,
 * events that are due happen (kernel threads, migrations, the policy), and at the end of a quantum
 * the traffic becomes the next quantum's latencies (design 3.3, 4).
 *
 * Order within a step: replay runs -> charge the thread -> kernel threads woken -> events up to the
 * thread's time -> quantum -> series.
 *
 * Not modelled: more threads than CPUs sharing a CPU; TLB misses; time a program slept.
 */
import { assert, UserError } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import { MIB, type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import { EventQueue, VirtualClock } from '../engine/index.ts';
import { EventRecorder, type EventSink } from '../events/index.ts';
import { AccessCost, addStream, nodeList } from '../hw/index.ts';
import {
  FAULT_ERROR,
  FAULT_HINT,
  FAULT_MAJOR,
  FAULT_OOM,
  FAULT_RETRY,
  FAULT_WAIT,
  handleFault,
  Kernel,
  type Task,
  taskNumaWork,
  waitOnMigration,
} from '../mm/index.ts';
import type { Policy } from '../policy/index.ts';
import { type AccessSlice, END, SLICE, type TraceSource } from '../trace/index.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { DamonThreads } from './damonThreads.ts';
import { EventCounters } from './eventCounters.ts';
import { FailureExamples } from './failureExamples.ts';
import { faultNs, KernelWork } from './faultCost.ts';
import { HeatMap } from './heatMap.ts';
import { machineWithSettings, programMempolicy } from './host/hostSettings.ts';
import { KernelThreads } from './kernelThreads.ts';
import { LastLook } from './lastLook.ts';
import { PolicyDriver } from './policyDriver.ts';
import { ProcessShares } from './processShares.ts';
import { ReplayBatch, replayRuns, STOP_FAULT } from './replayLoop.ts';
import type { RunSpec } from './runResult.ts';
import { Series } from './series.ts';
import { ThreadClocks, type ThreadTime } from './threadClock.ts';
import { TierMoves } from './tierMoves.ts';
import { TraceCgroups } from './traceCgroups.ts';
import { type TraceProcessState, TracePrograms } from './traceProgram.ts';
import { Truth } from './truth.ts';

/** Runs replayed between two looks at the clock. */
const RUNS_PER_STEP = 512;
/** Traffic of one quantum decides the latencies of the next. */
const QUANTUM_NS = 500_000;
/** Bytes of one access: a cache line. */
const LINE_BYTES = 64;
/** No sampler: a countdown that never runs out (an integer, as the loop compares integers). */
const NO_LIMIT = 2 ** 30;

export class Simulation {
  readonly spec: RunSpec;
  readonly source: TraceSource;
  readonly k: Kernel;
  readonly clock: VirtualClock = new VirtualClock();
  readonly queue: EventQueue;
  readonly cost: AccessCost;
  readonly moves: TierMoves;
  readonly programs: TracePrograms;
  readonly kernelThreads: KernelThreads;
  readonly damonThreads: DamonThreads;
  readonly threads: ThreadClocks;
  readonly series: Series;
  readonly lastLook: LastLook;
  readonly heatMap: HeatMap | null;
  readonly cgroups: TraceCgroups;
  readonly processShares: ProcessShares;
  readonly truth: Truth;
  readonly driver: PolicyDriver;
  readonly failureExamples: FailureExamples = new FailureExamples();
  readonly #work: KernelWork;
  readonly #batch: ReplayBatch = new ReplayBatch();
  #quantumStartNs: Nanoseconds = 0;
  /** The thread of the latest item has come this far. */
  #ranNs: Nanoseconds = 0;
  readonly nodeReads: Float64Array;
  readonly nodeWrites: Float64Array;
  /** Sum over accesses of the loaded latency in force, by node. */
  readonly nodeLatencyNs: Float64Array;
  readonly peakUtilisation: Float64Array;
  /** null: nobody asked for events. */
  counters: EventCounters | null = null;
  accesses = 0;
  instructions = 0;
  minorFaults = 0;
  majorFaults = 0;
  hintFaults = 0;

  constructor(spec: RunSpec, source: TraceSource, policy: Policy) {
    this.spec = spec;
    this.source = source;
    const machine = machineWithSettings(spec.machine, policy.settings);
    this.k = new Kernel(machine, { seed: spec.seed, trackContent: false });
    this.queue = new EventQueue(this.clock);
    this.cost = new AccessCost(spec.machine);
    const { costs } = spec.machine;
    this.moves = new TierMoves(this.k, this.cost, costs);
    this.kernelThreads = new KernelThreads(this.k, this.queue, costs, this.moves);
    this.damonThreads = new DamonThreads(this.k, this.queue, this.moves);
    if (policy.settings.damon !== null) this.damonThreads.start(policy.settings.damon, this.cost);
    const mempolicy = programMempolicy(this.k, policy.settings);
    this.cgroups = new TraceCgroups(this.k, spec.workload, source);
    const enter = (process: number, task: Task) => this.cgroups.enter(process, task);
    this.programs = new TracePrograms(this.k, mempolicy, source.header.program, enter);
    this.moves.isFree = policy.settings.isMigrationFree;
    const nrNodes = this.k.pm.nodes.length;
    this.threads = new ThreadClocks(nrNodes);
    this.series = new Series(this.k, this.moves, Math.max(spec.seriesPoints, 16));
    this.lastLook = new LastLook(this.k, this.series);
    this.processShares = new ProcessShares(this.k, this.programs.processes, this.cgroups);
    this.moves.onTierMove = (head, isPromotion, nr) => {
      this.processShares.migrated(head, isPromotion, nr);
    };
    this.heatMap = spec.seriesPoints > 0 ? new HeatMap(this.k) : null;
    this.series.onClose = () => {
      this.heatMap?.close();
      this.processShares.pass(this.series.intervalNs);
    };
    this.series.onMerge = () => this.heatMap?.merge();
    this.#work = new KernelWork(this.k, costs);
    this.nodeReads = new Float64Array(nrNodes);
    this.nodeWrites = new Float64Array(nrNodes);
    this.nodeLatencyNs = new Float64Array(nrNodes);
    this.peakUtilisation = new Float64Array(nrNodes);
    this.truth = new Truth(policy.needs.heat !== 'none');
    const { k, queue, cost, programs, truth } = this;
    const random = new RandomStream(spec.seed, 'heat source');
    const parts = { kernel: k, queue, cost, programs, source, truth, random };
    this.driver = new PolicyDriver(parts, policy);
    if (this.driver.observer !== null) this.#batch.served = new Int32Array(RUNS_PER_STEP);
  }

  /**
   * Replays the trace, all of it or until the clock has reached `untilNs` between two of its items.
   * `onProgress` is called now and then with the accesses done.
   */
  run(onProgress: (accesses: number) => void = () => {}, untilNs = Number.POSITIVE_INFINITY): void {
    this.driver.start();
    let reported = 0;
    for (let kind = this.source.next(); kind !== END; kind = this.source.next()) {
      if (kind === SLICE) this.#slice(this.source.slice);
      else this.#event();
      this.source.ran?.(this.#ranNs);
      if (this.clock.nowNs >= untilNs) return;
      if (this.accesses - reported < 1_000_000) continue;
      reported = this.accesses;
      onProgress(reported);
    }
    this.#advance(this.threads.endNs());
    this.counters?.end(this.clock.nowNs);
  }

  /** Tracepoints and counters of the run go to `sink`. */
  recordEvents(sink: EventSink): void {
    const recorder = new EventRecorder(this.k, sink, this.spec.workload.name);
    const sums = { reads: this.nodeReads, writes: this.nodeWrites };
    this.counters = new EventCounters(this.k, this.moves, sums, recorder);
  }

  #event(): void {
    const { event } = this.source;
    const thread = this.threads.resume(event.tid, this.clock.nowNs);
    this.k.nowNs = this.clock.nowNs;
    this.#work.begin();
    const migratedNs = this.moves.cpuNs;
    const faultsBefore = this.#faultCount();
    const before = this.programs.processes[event.pid];
    if (event.kind === 'exit_group' && before) this.driver.forget(before.task.tgid);
    const { task } = this.programs.processOf(event.pid, event.tid);
    this.k.trace.run(task.pid, task.cpu);
    this.lastLook.before(event, this.programs);
    this.programs.run(event);
    const faults = this.#faultCount() - faultsBefore;
    const { costs } = this.spec.machine;
    const ns = this.#work.reclaimNs() + (this.moves.cpuNs - migratedNs);
    this.#charge(thread, 'faultNs', ns + faults * (costs.minorFaultNs + costs.clearPageNs));
    this.kernelThreads.poll();
    this.#advance(thread.nowNs);
    this.#ranNs = thread.nowNs;
  }

  #faultCount(): number {
    return this.k.vmstat.event[PGFAULT_COLUMN];
  }

  #slice(slice: AccessSlice): void {
    const state = this.programs.processOf(slice.pid, slice.tid);
    const { source } = this;
    const nrRegions = source.regionCount(slice.pid);
    this.programs.mapRegions(slice.pid, source.regionBase(slice.pid), nrRegions);
    this.driver.accesses = this.accesses;
    const task = this.programs.threads[slice.tid] ?? state.task;
    const thread = this.threads.resume(slice.tid, this.clock.nowNs);
    const insn = slice.insnEnd - slice.insnStart;
    this.instructions += insn;
    this.accesses += slice.accesses;
    this.series.addAccesses(slice.accesses);
    const { instructionNs } = this.spec.machine.costs;
    const computePerAccess = (insn * instructionNs) / Math.max(1, slice.accesses);
    const { sampler } = this.driver;
    if (sampler !== null) {
      this.#charge(thread, 'observationNs', sampler.onInstructions(insn, slice.accesses));
    }
    let until = sampler === null ? NO_LIMIT : sampler.untilSample[task.cpu];
    const batch = this.#batch;
    batch.at = 0;
    const { mm, slotOfRegion } = state;
    const { pid, accesses } = slice;
    const open = this.heatMap?.openOf(pid, mm, slotOfRegion, nrRegions, accesses);
    batch.ofRegion = open ?? null;
    batch.nodeBits = this.heatMap?.nodeBits ?? 0;
    while (batch.at < slice.count) {
      const from = batch.at;
      const end = Math.min(slice.count, from + RUNS_PER_STEP);
      const { page, weight } = slice;
      const stop = replayRuns(this.k, mm, slotOfRegion, page, weight, end, until, batch);
      this.#chargeAccesses(pid, thread, task, batch, computePerAccess);
      this.#countAccesses(slice, nrRegions, from);
      if (sampler !== null) {
        until -= batch.accesses;
        while (until <= 0) until += this.#sample(thread, task, state, slice, until);
      }
      if (stop === STOP_FAULT) this.#fault(thread, task, state, slice);
      this.#numaWork(thread, task);
      this.kernelThreads.poll();
      this.#advance(thread.nowNs);
    }
    if (slice.count === 0) this.#charge(thread, 'computeNs', insn * instructionNs);
    sampler?.setUntilSample(task.cpu, until);
    this.#ranNs = thread.nowNs;
  }

  /** What only the model knows of runs [from, batch.at). */
  #countAccesses(slice: AccessSlice, nrRegions: number, from: number): void {
    const { at } = this.#batch;
    if (at === from) return;
    const { pid, page, weight } = slice;
    this.truth.count(pid, nrRegions, page, weight, from, at, this.clock.nowNs);
    const { served } = this.#batch;
    if (served !== null) this.driver.observer?.onRuns(served, page, weight, from, at);
  }

  /** Compute and stall of the accesses in batch.counts; clears them. */
  #chargeAccesses(
    process: number,
    thread: ThreadTime,
    task: Task,
    batch: ReplayBatch,
    computePerAccess: Nanoseconds,
  ): void {
    if (batch.accesses === 0) return;
    const { cost } = this;
    const overlap = this.spec.machine.costs.memoryParallelism;
    const base = cost.cpuNodeOfNid[task.cpuNid] * cost.nrNodes;
    let stall = 0;
    for (let nid = 0; nid < cost.nrNodes; nid++) {
      const reads = batch.counts[nid * 2];
      const writes = batch.counts[nid * 2 + 1];
      if (reads + writes === 0) continue;
      batch.counts[nid * 2] = 0;
      batch.counts[nid * 2 + 1] = 0;
      const latency = reads * cost.readNs[base + nid] + writes * cost.writeNs[base + nid];
      thread.stallNs[nid] += latency / overlap;
      stall += latency / overlap;
      this.processShares.count(process, nid, reads + writes);
      this.nodeReads[nid] += reads;
      this.nodeWrites[nid] += writes;
      this.nodeLatencyNs[nid] += latency;
      cost.addAccess(base + nid, reads * LINE_BYTES, writes * LINE_BYTES);
      this.series.addTraffic(nid, (reads + writes) * LINE_BYTES);
    }
    const compute = batch.accesses * computePerAccess;
    thread.computeNs += compute;
    thread.nowNs += compute + stall;
  }

  /** A sample fell due in the run before batch.at. Returns the accesses until the next one. */
  #sample(
    thread: ThreadTime,
    task: Task,
    state: TraceProcessState,
    slice: AccessSlice,
    until: number,
  ): number {
    const { sampler } = this.driver;
    const at = this.#batch.at - 1;
    assert(sampler !== null, 'a sample without a sampler');
    const word = slice.page[at];
    const vpn = this.#vpnOf(state, word);
    const frame = this.driver.frameOf(state.mm, vpn);
    const nid = this.k.pm.nidOf(frame);
    const place = slice.weight[at] + until;
    const now = Math.max(this.clock.nowNs, Math.floor(thread.nowNs));
    const isWrite = (word & 1) !== 0;
    const { cpu, tgid } = task;
    const next = sampler.onSample(cpu, tgid, vpn, frame, nid, isWrite, place, now);
    this.#charge(thread, 'observationNs', sampler.costNs);
    return next;
  }

  #vpnOf(state: TraceProcessState, word: number): number {
    return state.mm.slotVpn[state.slotOfRegion[word >>> 10]] + ((word >>> 1) & 511);
  }

  /** The run at batch.at cannot go on: one fault, or the wait for a migration. */
  #fault(thread: ThreadTime, task: Task, state: TraceProcessState, slice: AccessSlice): void {
    const word = slice.page[this.#batch.at];
    const vpn = this.#vpnOf(state, word);
    const write = (word & 1) !== 0;
    this.#advance(thread.nowNs);
    this.k.nowNs = this.clock.nowNs;
    this.#work.begin();
    const migratedNs = this.moves.cpuNs;
    const before = this.driver.nidOf(state.mm, vpn);
    this.k.trace.run(task.pid, task.cpu);
    const outcome = handleFault(this.k, task, vpn, write);
    if ((outcome & FAULT_ERROR) !== 0) this.#fatal(task, vpn, outcome);
    if ((outcome & FAULT_WAIT) !== 0) {
      if ((outcome & FAULT_RETRY) === 0) this.minorFaults++;
      this.#wait(thread, state, vpn);
      return;
    }
    if ((outcome & FAULT_HINT) !== 0) {
      this.hintFaults++;
      this.driver.onHintFault(task.tgid, vpn, before, write, this.clock.nowNs);
    } else if ((outcome & FAULT_MAJOR) !== 0) {
      this.majorFaults++;
      this.processShares.majorFault(slice.pid);
    } else this.minorFaults++;
    const { costs } = this.spec.machine;
    const direct = faultNs(costs, this.cost, outcome) + this.#work.reclaimNs();
    // A hint fault's migration interrupts no CPU: no TLB has its entry, which is inaccessible until
    // the page has moved (b99a342d4f11, Linux 5.13).
    this.#charge(thread, 'faultNs', direct);
    this.#charge(thread, 'migrationNs', this.moves.cpuNs - migratedNs);
  }

  /** The page is being migrated: the thread sleeps until that is over (MC-35). */
  #wait(thread: ThreadTime, state: TraceProcessState, vpn: number): void {
    const readyNs = this.driver.completionNs(state.mm, vpn, this.clock.nowNs);
    if (readyNs > thread.nowNs) this.#charge(thread, 'migrationNs', readyNs - thread.nowNs);
    this.#advance(thread.nowNs);
    waitOnMigration(this.k, state.mm, vpn);
  }

  #fatal(task: Task, vpn: number, outcome: number): never {
    const where = `page 0x${(vpn * PAGE_SIZE).toString(16)} of process ${task.tgid}`;
    const { workload } = this.spec;
    if ((outcome & FAULT_OOM) !== 0) this.#outOfMemory(task, where);
    throw new UserError(
      workload.name,
      `access to ${where} that nothing maps`,
      'the trace lacks a mapping event: record it again, or import it with mappings',
    );
  }

  #outOfMemory(task: Task, where: string): never {
    const { machine, workload } = this.spec;
    const { pm } = this.k;
    const nodes = pm.nodes.filter(({ nid }) => (task.memsAllowed & (1 << nid)) !== 0);
    const mib = Math.round(nodes.reduce((sum, { managed }) => sum + managed * PAGE_SIZE, 0) / MIB);
    const isBound = (pm.nodesWithMemory & ~task.memsAllowed) !== 0;
    const has = isBound ? `its cpuset (mems ${nodeList(task.memsAllowed)}) has` : 'the machine has';
    throw new UserError(
      `${workload.name} on ${machine.name}`,
      `out of memory at ${where}: ${has} ${mib} MiB in all`,
      `give ${isBound ? 'it more nodes' : 'the machine more memory'} or swap; ` +
        'the OOM killer is not modelled',
    );
  }

  /** task_numa_work: the scan runs in the program's own time (TI-20). */
  #numaWork(thread: ThreadTime, task: Task): void {
    const { k } = this;
    if (k.sysctl.numa_balancing === 0 || task.mm === null) return;
    if (this.clock.nowNs < task.mm.numaNextScanNs) return;
    k.nowNs = this.clock.nowNs;
    k.trace.run(task.pid, task.cpu);
    const marked = taskNumaWork(k, task);
    this.#charge(thread, 'observationNs', marked * this.spec.machine.costs.scanPteNs);
  }

  #charge(
    thread: ThreadTime,
    part: 'computeNs' | 'faultNs' | 'migrationNs' | 'observationNs',
    ns: Nanoseconds,
  ): void {
    thread[part] += ns;
    thread.nowNs += ns;
  }

  /** Brings the machine's clock to a thread's: events, quantum, series. */
  #advance(threadNs: Nanoseconds): void {
    const now = Math.floor(threadNs);
    this.failureExamples.look(this.k);
    if (now <= this.clock.nowNs) return;
    while (this.queue.nextNs <= now) {
      this.k.nowNs = this.queue.nextNs;
      this.queue.step();
      this.kernelThreads.poll();
    }
    if (now > this.clock.nowNs) this.clock.advanceTo(now);
    this.k.nowNs = this.clock.nowNs;
    if (now - this.#quantumStartNs >= QUANTUM_NS) {
      const durationNs = now - this.#quantumStartNs;
      for (const stream of this.spec.background ?? []) addStream(this.cost, stream, durationNs);
      this.cost.endQuantum(durationNs);
      this.#quantumStartNs = now;
      for (let nid = 0; nid < this.peakUtilisation.length; nid++) {
        const busy = this.cost.utilisation(nid);
        if (busy > this.peakUtilisation[nid]) this.peakUtilisation[nid] = busy;
      }
    }
    this.series.advance(now);
    this.counters?.advance(now);
  }
}

const PGFAULT_COLUMN = vmEvent('pgfault');
