/**
 * Zonelists: where an allocation that prefers a node looks, in order (mm/page_alloc.c
 * find_next_best_node, build_zonelists). PM-32, TI-5.
 *
 * Nodes by distance; among equals the next higher number, then those without CPUs, then the one
 * that leads fewer other lists (node_load, which spreads the first fallback over equals). Inside a
 * node zones from high to low. One list per preferred node and highest usable zone type, so that
 * the allocation loop tests only the node mask. Lists hold dense zone ids.
 */
import { assert } from '../base/assert.ts';
import type { Nid } from '../base/units.ts';
import { MAX_NR_ZONES } from '../uapi/zone.ts';
import type { Zone } from './zone.ts';

/** Highest node number + 1 that node masks in 32-bit integers can hold, and stay non-negative. */
export const NODES_MAX = 31;

/** MAX_NUMNODES of the model: only weighs distance against node_load (OV-1). */
const MAX_NUMNODES = 64;
const PENALTY_FOR_NODE_WITH_CPUS = 1;

/** The facts about nodes that node orders depend on. Masks are bit masks by nid. */
export interface NodeGraph {
  readonly distance: readonly (readonly number[])[];
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

export class Zonelists {
  /** At nid * MAX_NR_ZONES + highest zone type: zone ids in the order of trial. */
  readonly fallback: Uint8Array[] = [];
  /** The same for __GFP_THISNODE. */
  readonly thisNode: Uint8Array[] = [];
  /** By nid: nodes with memory, in order. */
  readonly nodeOrder: Int32Array[] = [];

  /**
   * __build_all_zonelists for nodes 0 to `nrNodes` - 1. Resets and fills graph.nodeLoad.
   * `zones` by id.
   */
  constructor(graph: NodeGraph, nrNodes: number, zones: readonly Zone[]) {
    assert(nrNodes <= NODES_MAX, `node numbers must be below ${NODES_MAX}`);
    this.rebuild(graph, nrNodes, zones);
  }

  /** The same after a zone gained its first or lost its last memory. */
  rebuild(graph: NodeGraph, nrNodes: number, zones: readonly Zone[]): void {
    graph.nodeLoad.fill(0);
    this.nodeOrder.length = 0;
    this.fallback.length = 0;
    this.thisNode.length = 0;
    for (let nid = 0; nid < nrNodes; nid++) {
      const isOnline = graph.distance[nid] !== undefined;
      const order = isOnline ? nodeOrder(graph, nid) : new Int32Array(0);
      this.nodeOrder.push(order);
      for (let highest = 0; highest < MAX_NR_ZONES; highest++) {
        this.fallback.push(zoneIds(order, highest, zones));
        this.thisNode.push(zoneIds(Int32Array.of(nid), highest, zones));
      }
    }
  }
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

function zoneIds(order: Int32Array, highest: number, zones: readonly Zone[]): Uint8Array {
  const ids: number[] = [];
  for (const nid of order) {
    const usable = zones.filter(
      (zone) => zone.nid === nid && zone.type <= highest && zone.managedPages > 0,
    );
    usable.sort((a, b) => b.type - a.type);
    for (const zone of usable) ids.push(zone.id);
  }
  return Uint8Array.from(ids);
}
