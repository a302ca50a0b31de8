/** One run from its description to its result. */
import { UserError } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import { type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import type { EventSink } from '../events/index.ts';
import { FAILURE_CAUSES, type Kernel } from '../mm/index.ts';
import { findPolicy, type Policy, resolveKnobs } from '../policy/index.ts';
import type { TraceSource } from '../trace/index.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { failureGroups } from '../why/index.ts';
import { idleWarnings } from './idleWarnings.ts';
import type { MigrationResult, NodeResult, RunResult, RunSpec, TimeSplit } from './runResult.ts';
import { Simulation } from './simulation.ts';

const PSWPIN = vmEvent('pswpin');
const PSWPOUT = vmEvent('pswpout');

/** Version of hetmem in results; given by whoever knows the package. */
export interface RunOptions {
  readonly hetmem: string;
  /** Called now and then with the accesses done. */
  readonly onProgress?: (accesses: number) => void;
  /** Hears the kernel's tracepoints and the counters of the run. */
  readonly events?: EventSink;
}

/**
 * Replays `source` as `spec` says. Same spec, source and version: same result, byte for byte.
 * Errors: UserError for an unknown policy or knob, a machine that is too small, a broken trace.
 */
export function runOne(spec: RunSpec, source: TraceSource, options: RunOptions): RunResult {
  const policy = makePolicy(spec);
  const simulation = new Simulation(spec, source, policy);
  if (options.events !== undefined) simulation.recordEvents(options.events);
  simulation.run(options.onProgress);
  return resultOf(simulation, options.hetmem);
}

/** The kernel of the same run at `atNs` of its time, or at its end. Errors: as of runOne. */
export function kernelAt(spec: RunSpec, source: TraceSource, atNs: Nanoseconds): Kernel {
  const simulation = new Simulation(spec, source, makePolicy(spec));
  simulation.run(() => {}, atNs);
  return simulation.k;
}

function makePolicy(spec: RunSpec): Policy {
  const description = findPolicy(spec.policy.name);
  if (description === null) {
    throw new UserError(`policy ${spec.policy.name}`, 'no such policy', 'see hetmem policies');
  }
  const { values, problems } = resolveKnobs(description.knobs, spec.policy.params);
  if (problems.length > 0) {
    const { name, problem, remedy } = problems[0];
    throw new UserError(`policy ${spec.policy.name}, ${name}`, problem, remedy);
  }
  return description.make(values, new RandomStream(spec.seed, `policy ${description.name}`));
}

function resultOf(sim: Simulation, hetmem: string): RunResult {
  const { spec } = sim;
  const nodes = nodeResults(sim);
  let top = 0;
  let all = 0;
  for (const node of nodes) {
    all += node.reads + node.writes;
    if (node.isToptier) top += node.reads + node.writes;
  }
  const toptierHitRatio = all === 0 ? 1 : top / all;
  const series = spec.seriesPoints > 0 ? sim.series.result() : null;
  return {
    format: 1,
    hetmem,
    machine: spec.machine.name,
    policy: spec.policy,
    workload: spec.workload.name,
    seed: spec.seed,
    time: timeSplit(sim),
    nodes,
    migration: migrationResult(sim),
    toptierHitRatio,
    footprintPages: sim.truth.pages,
    accesses: sim.accesses,
    instructions: sim.instructions,
    faults: { minor: sim.minorFaults, major: sim.majorFaults, hint: sim.hintFaults },
    heat: sim.driver.heatAccuracy(sim.clock.nowNs),
    ...sim.processShares.result(sim.source, sim.threads.threads),
    vmstat: Object.fromEntries(sim.lastLook.vmstat),
    series,
    heatMap: sim.heatMap === null ? null : sim.heatMap.result(),
    notes: notesOf(sim),
    warnings: [...policyWarnings(sim), ...idleWarnings(sim, toptierHitRatio)],
  };
}

/** Parts are summed over threads and scaled so that they add up to the total. */
function timeSplit(sim: Simulation): TimeSplit {
  const total = sim.threads.endNs();
  const nrNodes = sim.k.pm.nodes.length;
  const stall = new Array<number>(nrNodes).fill(0);
  let compute = 0;
  let fault = 0;
  let migration = 0;
  let observation = 0;
  let busy = 0;
  for (const thread of sim.threads.threads) {
    if (thread === undefined) continue;
    compute += thread.computeNs;
    fault += thread.faultNs;
    migration += thread.migrationNs;
    observation += thread.observationNs;
    busy += thread.busyNs();
    for (let nid = 0; nid < nrNodes; nid++) stall[nid] += thread.stallNs[nid];
  }
  const scale = busy === 0 ? 0 : total / busy;
  return {
    totalNs: total,
    computeNs: compute * scale,
    stallNs: stall.map((ns) => ns * scale),
    faultNs: fault * scale,
    migrationNs: migration * scale,
    observationNs: observation * scale,
    backgroundNs:
      sim.kernelThreads.backgroundNs + sim.damonThreads.backgroundNs + sim.driver.backgroundNs(),
  };
}

function nodeResults(sim: Simulation): NodeResult[] {
  return sim.spec.machine.nodes.map((node) => {
    const { nid } = node;
    const reads = sim.nodeReads[nid];
    const writes = sim.nodeWrites[nid];
    const resident = sim.lastLook.residentPages(nid);
    return {
      nid,
      kind: node.kind,
      isToptier: sim.k.tiers.isToptier(nid),
      capacityBytes: sim.k.pm.nodes[nid].managed * PAGE_SIZE,
      reads,
      writes,
      readBytes: reads * 64,
      writeBytes: writes * 64,
      migrationReadBytes: sim.moves.readBytes[nid],
      migrationWriteBytes: sim.moves.writeBytes[nid],
      meanLatencyNs: reads + writes === 0 ? 0 : sim.nodeLatencyNs[nid] / (reads + writes),
      peakUtilisation: sim.peakUtilisation[nid],
      residentPages: resident,
      residentPagesMax: Math.max(resident, sim.series.residentMax[nid]),
    };
  });
}

function migrationResult(sim: Simulation): MigrationResult {
  const failures: Record<string, number> = {};
  for (const [cause, name] of FAILURE_CAUSES.entries()) {
    if (sim.k.failures.pages[cause] > 0) failures[name] = sim.k.failures.pages[cause];
  }
  const { moves, k } = sim;
  const reasons = failureGroups(k).map(({ cause, rules, sentence, remedy }) => {
    const examples =
      sim.failureExamples.texts[(FAILURE_CAUSES as readonly string[]).indexOf(cause)];
    return { cause, rules, sentence, remedy, examples };
  });
  return {
    promotedPages: moves.promotedPages,
    demotedPages: moves.demotedPages,
    movedPages: moves.movedPages,
    swappedOutPages: k.vmstat.event[PSWPOUT],
    swappedInPages: k.vmstat.event[PSWPIN],
    failures,
    reasons,
    pingPongPages: moves.pingPongPages,
    wastedBytes: moves.wastedBytes,
    deferredPages: sim.driver.deferredPages,
    roundTrips: moves.roundTrips.histogram(),
    restless: moves.roundTrips.restless(),
  };
}

/** Pages of a program whose memory policy was refused are not where it wants them. */
function policyWarnings({ programs }: Simulation): string[] {
  return ['set_mempolicy', 'mbind']
    .filter((call) => programs.refused.has(call))
    .map((call) => `${call} of the program failed: does this machine have memory on its nodes?`);
}

function notesOf(sim: Simulation): string[] {
  const notes = [...sim.source.header.notes, ...sim.driver.notes()];
  for (const [kind, n] of sim.programs.refused) {
    notes.push(`${n} ${kind} calls of the program failed in the model but not when recorded`);
  }
  return notes;
}
