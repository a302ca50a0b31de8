/**
 * In which order a node prefers others (mm/page_alloc.c: find_next_best_node, build_zonelists).
 * PM-32, TI-5.
 *
 * By distance; among equals the next higher number, then those without CPUs, then the one that
 * leads fewer other lists (node_load, which spreads the first fallback over equals). Sets of nodes
 * are bit masks by nid.
 */
import { assert } from '../base/assert.ts';
import type { Nid } from '../base/units.ts';

/** Highest node number + 1 that node masks in 32-bit integers can hold, and stay non-negative. */
export const NODES_MAX = 31;

/** MAX_NUMNODES of the model: only weighs distance against node_load (OV-1). */
const MAX_NUMNODES = 64;
const PENALTY_FOR_NODE_WITH_CPUS = 1;

/** The facts about nodes that node orders depend on. */
export interface NodeGraph {
  readonly distance: readonly (readonly number[])[];
  /** Changes as nodes gain and lose memory. */
  nodesWithMemory: number;
  readonly nodesWithCpu: number;
  /** How often a node is the first of its distance group in another node's order. */
  readonly nodeLoad: Int32Array;
}

/**
 * find_next_best_node: the best node with memory for `node` that is not in `used`, -1 if none.
 * `node` itself comes first.
 */
export function findNextBestNode(graph: NodeGraph, node: Nid, used: number): Nid {
  const candidates = graph.nodesWithMemory & ~used;
  if ((candidates & (1 << node)) !== 0) return node;
  let best = -1;
  let bestValue = Number.POSITIVE_INFINITY;
  for (let n = 0; n < NODES_MAX; n++) {
    if ((candidates & (1 << n)) === 0) continue;
    let value = graph.distance[node][n];
    if (n < node) value += 1;
    if ((graph.nodesWithCpu & (1 << n)) !== 0) value += PENALTY_FOR_NODE_WITH_CPUS;
    value = value * MAX_NUMNODES + graph.nodeLoad[n];
    if (value < bestValue) {
      bestValue = value;
      best = n;
    }
  }
  return best;
}

/**
 * The node orders of nodes 0 to `nrNodes` - 1, by nid; empty for those without distances. Resets
 * and fills graph.nodeLoad, which the orders of later nodes and demotion targets depend on.
 */
export function nodeOrders(graph: NodeGraph, nrNodes: number): Int32Array[] {
  assert(nrNodes <= NODES_MAX, `node numbers must be below ${NODES_MAX}`);
  graph.nodeLoad.fill(0);
  return Array.from({ length: nrNodes }, (_, nid) => {
    return graph.distance[nid] === undefined ? new Int32Array(0) : nodeOrder(graph, nid);
  });
}

function nodeOrder(graph: NodeGraph, local: Nid): Int32Array {
  const order: Nid[] = [];
  let used = 0;
  let previous = local;
  for (;;) {
    const node = findNextBestNode(graph, local, used);
    if (node < 0) return Int32Array.from(order);
    if (graph.distance[local][node] !== graph.distance[local][previous]) graph.nodeLoad[node]++;
    order.push(node);
    used |= 1 << node;
    previous = node;
  }
}

/**
 * Demotion targets among `candidates` (a mask): the nearest of them, and those as near (TI-4).
 * Preconditions: nodeOrders has filled graph.nodeLoad.
 */
export function nearestNodes(graph: NodeGraph, nid: Nid, candidates: number): number {
  let used = graph.nodesWithMemory & ~candidates;
  let targets = 0;
  let nearest = -1;
  for (;;) {
    const target = findNextBestNode(graph, nid, used);
    if (target < 0) return targets;
    const distance = graph.distance[nid][target];
    if (nearest >= 0 && distance !== nearest) return targets;
    nearest = distance;
    targets |= 1 << target;
    used |= 1 << target;
  }
}
