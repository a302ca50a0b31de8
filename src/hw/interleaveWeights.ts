/**
 * Weights of MPOL_WEIGHTED_INTERLEAVE.
 *
 * Real thing: reduce_interleave_weights() of mm/mempolicy.c and
 * /sys/kernel/mm/mempolicy/weighted_interleave/{auto,nodeN}. Rules TI-82, TI-83.
 * How we model it: a function of the machine; integer arithmetic as in the kernel.
 */
import { kernelProfile } from './kernelProfile.ts';
import type { MachineSpec } from './machineSpec.ts';
import { closestCoordinates, nodePresentPages } from './topology.ts';

/** The largest share a node can be given before reduction ("weightiness"). */
const WEIGHTINESS = 32;

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * Automatic weight of each node, by nid; 0 for a node without memory.
 * Bandwidth is min(read, write) from the closest CPUs in MB/s. Hotplugged nodes get 1 and do not
 * count in the sum. Kernels before 6.16 have no automatic weights: all 1 (6.1 has no weighted
 * interleave at all; its syscalls refuse the mode).
 */
export function autoInterleaveWeights(spec: MachineSpec): Uint8Array {
  const weights = new Uint8Array(spec.nodes.length);
  const bandwidths = new Float64Array(spec.nodes.length);
  const hasAuto = kernelProfile(spec.kernel).autoInterleaveWeights;
  let sum = 0;
  for (const node of spec.nodes) {
    if (nodePresentPages(node) === 0) continue;
    weights[node.nid] = 1;
    if (!hasAuto || node.hotplugged) continue;
    const { readBandwidth, writeBandwidth } = closestCoordinates(spec, node.nid);
    bandwidths[node.nid] = Math.round(Math.min(readBandwidth, writeBandwidth) * 1000);
    sum += bandwidths[node.nid]!;
  }
  if (sum === 0) return weights;
  let divisor = 0;
  for (const node of spec.nodes) {
    if (bandwidths[node.nid] === 0) continue;
    const share = Math.floor((WEIGHTINESS * bandwidths[node.nid]!) / sum);
    weights[node.nid] = Math.max(1, share);
    divisor = greatestCommonDivisor(weights[node.nid]!, divisor);
  }
  for (const node of spec.nodes) {
    if (bandwidths[node.nid] !== 0) weights[node.nid] = weights[node.nid]! / divisor;
  }
  return weights;
}

/** The weights in force at boot: those of the machine file, automatic ones for the rest. */
export function interleaveWeights(spec: MachineSpec): Uint8Array {
  const weights = autoInterleaveWeights(spec);
  const given = spec.interleaveWeights ?? {};
  for (const node of spec.nodes) {
    const weight = given[node.nid];
    if (weight !== undefined && nodePresentPages(node) > 0) weights[node.nid] = weight;
  }
  return weights;
}
