/** The node table of a view: what does not change at construction, the rest at each refresh. */
import type { Nid } from '../../base/units.ts';
import type { AccessCost } from '../../hw/index.ts';
import { closestCoordinates } from '../../hw/index.ts';
import {
  firstNode,
  freeCount,
  type Kernel,
  WMARK_HIGH,
  WMARK_LOW,
  WMARK_PROMO,
  type Wmark,
  wmarkPages,
} from '../../mm/index.ts';
import type { NodeTable } from '../../policy/index.ts';

export class NodeRows implements NodeTable {
  readonly nrNodes: number;
  readonly hasCpu: Uint8Array;
  readonly isToptier: Uint8Array;
  readonly capacity: Float64Array;
  readonly free: Float64Array;
  readonly incoming: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly promo: Float64Array;
  readonly latencyNs: Float64Array;
  readonly bandwidth: Float64Array;
  readonly demotionNid: Int8Array;
  readonly #k: Kernel;

  constructor(k: Kernel, cost: AccessCost) {
    const n = k.pm.nodes.length;
    this.#k = k;
    this.nrNodes = n;
    this.hasCpu = new Uint8Array(n);
    this.isToptier = new Uint8Array(n);
    this.capacity = new Float64Array(n);
    this.free = new Float64Array(n);
    this.incoming = new Float64Array(n);
    this.low = new Float64Array(n);
    this.high = new Float64Array(n);
    this.promo = new Float64Array(n);
    this.latencyNs = new Float64Array(n);
    this.bandwidth = new Float64Array(n);
    this.demotionNid = new Int8Array(n).fill(-1);
    for (const node of k.spec.nodes) {
      const { nid } = node;
      this.hasCpu[nid] = node.cpus.length > 0 ? 1 : 0;
      this.bandwidth[nid] = closestCoordinates(k.spec, nid).readBandwidth;
      this.latencyNs[nid] = nearestLatencyNs(cost, nid);
    }
  }

  /** `incoming` by nid: pages that plans are still to bring. */
  refresh(incoming: Float64Array): void {
    const { pm, tiers } = this.#k;
    this.incoming.set(incoming);
    for (let nid = 0; nid < this.nrNodes; nid++) {
      const { managed, zones } = pm.nodes[nid];
      this.capacity[nid] = managed;
      this.isToptier[nid] = managed > 0 && tiers.isToptier(nid) ? 1 : 0;
      this.demotionNid[nid] = firstNode(tiers.preferredTargets(nid));
      let free = 0;
      for (const zone of zones) free += freeCount(pm, zone);
      this.free[nid] = free;
      this.low[nid] = this.#marks(nid, WMARK_LOW);
      this.high[nid] = this.#marks(nid, WMARK_HIGH);
      this.promo[nid] = this.#marks(nid, WMARK_PROMO);
    }
  }

  #marks(nid: Nid, mark: Wmark): number {
    let pages = 0;
    for (const zone of this.#k.pm.nodes[nid].zones) pages += wmarkPages(zone, mark);
    return pages;
  }
}

function nearestLatencyNs(cost: AccessCost, nid: Nid): number {
  let best = Number.POSITIVE_INFINITY;
  for (let cpuNode = 0; cpuNode < cost.nrCpuNodes; cpuNode++) {
    best = Math.min(best, cost.unloadedReadNs[cpuNode * cost.nrNodes + nid]);
  }
  return best;
}
