/**
 * Memory tiers: which node is fast, and where a node's pages are demoted to.
 *
 * Real thing: mm/memory-tiers.c (abstract distance, tiers, demotion targets, toptier) and
 * find_next_best_node() of mm/page_alloc.c. Rules TI-1 to TI-7.
 * How we model it: pure functions of the machine as it stands; whoever changes the machine (node
 * online or offline) calls them again (TI-7). Integer arithmetic in the kernel's order.
 */
import type { Nid } from '../base/units.ts';
import { kernelProfile } from './kernelProfile.ts';
import type { MachineSpec, NodeSpec } from './machineSpec.ts';
import { type NodeGraph, nearestNodes, nodeOrders } from './nodeOrder.ts';
import { type AccessCoordinates, closestCoordinates, nodePresentPages } from './topology.ts';

/** Width of a tier in abstract distance (MEMTIER_CHUNK_SIZE). */
export const MEMTIER_CHUNK_SIZE = 128;
/** MEMTIER_ADISTANCE_DRAM: the middle of tier 4. */
export const MEMTIER_ADISTANCE_DRAM = 4 * MEMTIER_CHUNK_SIZE + (MEMTIER_CHUNK_SIZE >> 1);
/** What dax/kmem gives memory without performance data. */
export const MEMTIER_DEFAULT_DAX_ADISTANCE = MEMTIER_ADISTANCE_DRAM * 5;

/** Firmware tables count in whole nanoseconds and MB/s. */
function toFirmwareUnits(c: AccessCoordinates): [number, number, number, number] {
  return [
    Math.round(c.readLatencyNs),
    Math.round(c.writeLatencyNs),
    Math.round(c.readBandwidth * 1000),
    Math.round(c.writeBandwidth * 1000),
  ];
}

/** Coordinates of the default DRAM node; undefined = none, or DRAM nodes disagree by > 10 %. */
function dramReference(spec: MachineSpec): [number, number, number, number] | undefined {
  let reference: [number, number, number, number] | undefined;
  for (const node of spec.nodes) {
    if (node.cpus.length === 0 || nodePresentPages(node) === 0) continue;
    const own = toFirmwareUnits(closestCoordinates(spec, node.nid));
    if (reference === undefined) {
      reference = own;
      continue;
    }
    const isOff = reference.some((value, i) => Math.abs(own[i]! - value) * 10 > value);
    if (isOff) return undefined;
  }
  return reference;
}

/**
 * Abstract distance of each node, -1 for a node without memory.
 * TI-2: 576 * (rl+wl)/(RL+WL) * (RB+WB)/(rb+wb), integers, left to right; a driver's fixed value
 * wins; without a usable reference, and on 6.1, which has no performance data, DRAM's.
 */
export function abstractDistance(spec: MachineSpec): Float64Array {
  const distances = new Float64Array(spec.nodes.length).fill(-1);
  const reference = kernelProfile(spec.kernel).performanceTiers ? dramReference(spec) : undefined;
  for (const node of spec.nodes) {
    if (nodePresentPages(node) === 0) continue;
    if (node.abstractDistance !== undefined) {
      distances[node.nid] = node.abstractDistance;
      continue;
    }
    distances[node.nid] = MEMTIER_ADISTANCE_DRAM;
    if (reference === undefined) continue;
    const [rl, wl, rb, wb] = toFirmwareUnits(closestCoordinates(spec, node.nid));
    const [refRl, refWl, refRb, refWb] = reference;
    if (rl + wl === 0 || rb + wb === 0 || refRl + refWl === 0 || refRb + refWb === 0) continue;
    const byLatency = Math.floor((MEMTIER_ADISTANCE_DRAM * (rl + wl)) / (refRl + refWl));
    distances[node.nid] = Math.floor((byLatency * (refRb + refWb)) / (rb + wb));
  }
  return distances;
}

/** Tier id (memory_tierN) of each node, -1 for a node without memory. Smaller = faster. TI-1. */
export function memoryTiers(spec: MachineSpec): Int32Array {
  return Int32Array.from(abstractDistance(spec), (adist) =>
    adist < 0 ? -1 : Math.floor(adist / MEMTIER_CHUNK_SIZE),
  );
}

/** Toptier flag of each node (1 or 0): no promotion from there. TI-6. */
export function toptierNodes(spec: MachineSpec): Uint8Array {
  const tiers = memoryTiers(spec);
  let slowest = -1;
  for (const node of spec.nodes) {
    if (node.cpus.length > 0 && tiers[node.nid]! > slowest) slowest = tiers[node.nid]!;
  }
  return Uint8Array.from(tiers, (tier) =>
    tier !== -1 && (slowest < 0 || tier <= slowest) ? 1 : 0,
  );
}

/** The machine's nodes as their orders see them, with node_load of all zonelists. */
function graphOf(spec: MachineSpec): { readonly graph: NodeGraph; readonly orders: Int32Array[] } {
  const mask = (isIn: (node: NodeSpec) => boolean) =>
    spec.nodes.reduce((all, node) => (isIn(node) ? all | (1 << node.nid) : all), 0);
  const graph = {
    distance: spec.distance,
    nodesWithMemory: mask((node) => nodePresentPages(node) > 0),
    nodesWithCpu: mask((node) => node.cpus.length > 0),
    nodeLoad: new Int32Array(spec.nodes.length),
  };
  return { graph, orders: nodeOrders(graph, spec.nodes.length) };
}

/** Nodes with memory in the order in which each node prefers them, by nid: TI-5. */
export function fallbackOrders(spec: MachineSpec): Nid[][] {
  return graphOf(spec).orders.map((order) => [...order]);
}

export interface DemotionTargets {
  /** Chosen at random among these; empty in the last tier. */
  readonly preferred: readonly Nid[];
  /** All nodes of all slower tiers, ascending. */
  readonly fallback: readonly Nid[];
}

/** Demotion targets of each node, by nid. TI-4. */
export function demotionTargets(spec: MachineSpec): DemotionTargets[] {
  const tiers = memoryTiers(spec);
  const { graph } = graphOf(spec);
  return spec.nodes.map(({ nid }) => {
    const own = tiers[nid]!;
    const slower = spec.nodes.filter((n) => own !== -1 && tiers[n.nid]! > own).map((n) => n.nid);
    const nextTier = slower.reduce((least, n) => Math.min(least, tiers[n]!), Infinity);
    const candidates = slower.filter((n) => tiers[n] === nextTier);
    const targets = nearestNodes(
      graph,
      nid,
      candidates.reduce((all, n) => all | (1 << n), 0),
    );
    return { preferred: slower.filter((n) => ((targets >>> n) & 1) !== 0), fallback: slower };
  });
}
