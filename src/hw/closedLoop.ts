/**
 * A bandwidth benchmark on the model: cores that always keep the same number of bytes in flight,
 * as MLC, STREAM and GUPS do.
 *
 * How we model it: quantum by quantum, throughput = bytes in flight / mean latency (Little), spread
 * over the nodes by weight; AccessCost answers with the latencies of the next quantum, until both
 * agree. Used by the validation, and for what runs beside a replay (RunSpec.background).
 */
import type { Bytes, Nanoseconds, Nid } from '../base/units.ts';
import { AccessCost } from './accessCost.ts';
import type { MachineSpec } from './machineSpec.ts';

export interface Stream {
  /** Node whose CPUs run it. */
  readonly cpuNid: Nid;
  readonly inFlightBytes: Bytes;
  /** Share of the accesses that read. */
  readonly readShare: number;
  /** By nid: how many pages of a round go there; need not be normalised. */
  readonly weights: readonly number[];
}

export interface SteadyState {
  /** By stream: bytes per ns. */
  readonly bandwidths: readonly number[];
  /** Sum of them. */
  readonly bandwidth: number;
  /** By stream: mean latency of an access, ns. */
  readonly latenciesNs: readonly number[];
  /** The model as the last quantum left it. */
  readonly cost: AccessCost;
}

const QUANTUM_NS = 1e6;
const QUANTA = 200;

/** Runs `streams` side by side until the model has settled. */
export function runClosedLoop(spec: MachineSpec, streams: readonly Stream[]): SteadyState {
  const cost = new AccessCost(spec);
  let state = step(cost, streams);
  for (let i = 1; i < QUANTA; i++) {
    cost.endQuantum(QUANTUM_NS);
    state = step(cost, streams);
  }
  return { ...state, bandwidth: state.bandwidths.reduce((sum, x) => sum + x, 0), cost };
}

/** One quantum: what each stream gets done at the present latencies. */
function step(cost: AccessCost, streams: readonly Stream[]) {
  const bandwidths: number[] = [];
  const latenciesNs: number[] = [];
  for (const stream of streams) {
    const { bandwidth, latencyNs } = addStream(cost, stream, QUANTUM_NS);
    bandwidths.push(bandwidth);
    latenciesNs.push(latencyNs);
  }
  return { bandwidths, latenciesNs };
}

/**
 * Adds what `stream` gets done in `durationNs` at the present latencies to the running quantum.
 * Returns its bytes per ns and the mean latency of its accesses.
 */
export function addStream(cost: AccessCost, stream: Stream, durationNs: Nanoseconds) {
  const { cpuNid, inFlightBytes, readShare, weights } = stream;
  const base = cost.cpuNodeOfNid[cpuNid]! * cost.nrNodes;
  const total = weights.reduce((sum, w) => sum + w, 0);
  let latencyNs = 0;
  for (const [nid, weight] of weights.entries()) {
    if (weight === 0) continue;
    const readNs = cost.readNs[base + nid]!;
    const writeNs = cost.writeNs[base + nid]!;
    latencyNs += (weight / total) * (readShare * readNs + (1 - readShare) * writeNs);
  }
  const bandwidth = inFlightBytes / latencyNs;
  for (const [nid, weight] of weights.entries()) {
    if (weight === 0) continue;
    const bytes = (bandwidth * durationNs * weight) / total;
    cost.addAccess(base + nid, bytes * readShare, bytes * (1 - readShare));
  }
  return { bandwidth, latencyNs };
}
