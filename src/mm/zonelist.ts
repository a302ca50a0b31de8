/**
 * Zonelists: where an allocation that prefers a node looks, in order (mm/page_alloc.c
 * build_zonelists). PM-32, TI-5.
 *
 * Nodes in the order of src/hw (nodeOrder.ts), inside a node zones from high to low. One list per
 * preferred node and highest usable zone type, so that the allocation loop tests only the node
 * mask. Lists hold dense zone ids.
 */
import { type NodeGraph, nodeOrders } from '../hw/index.ts';
import { MAX_NR_ZONES } from '../uapi/zone.ts';
import type { Zone } from './zone.ts';

export class Zonelists {
  /** At nid * MAX_NR_ZONES + highest zone type: zone ids in the order of trial. */
  readonly fallback: Uint8Array[] = [];
  /** The same for __GFP_THISNODE. */
  readonly thisNode: Uint8Array[] = [];
  /** By nid: nodes with memory, in order. */
  readonly nodeOrder: Int32Array[] = [];
  /** Nodes that allocations preferring another one may end at, bit mask (DM-101). */
  readonly nodesInFallback: number;

  /**
   * __build_all_zonelists for nodes 0 to `nrNodes` - 1. Resets and fills graph.nodeLoad.
   * `zones` by id.
   */
  constructor(
    graph: NodeGraph,
    nrNodes: number,
    zones: readonly Zone[],
    nodesInFallback: number = -1,
  ) {
    this.nodesInFallback = nodesInFallback;
    this.rebuild(graph, nrNodes, zones);
  }

  /** The same after a zone gained its first or lost its last memory. */
  rebuild(graph: NodeGraph, nrNodes: number, zones: readonly Zone[]): void {
    const orders = nodeOrders(graph, nrNodes);
    this.nodeOrder.length = 0;
    this.fallback.length = 0;
    this.thisNode.length = 0;
    for (let nid = 0; nid < nrNodes; nid++) {
      const order = orders[nid];
      this.nodeOrder.push(order);
      for (let highest = 0; highest < MAX_NR_ZONES; highest++) {
        const open = order.filter((n) => n === nid || (this.nodesInFallback & (1 << n)) !== 0);
        this.fallback.push(zoneIds(open, highest, zones));
        this.thisNode.push(zoneIds(Int32Array.of(nid), highest, zones));
      }
    }
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
