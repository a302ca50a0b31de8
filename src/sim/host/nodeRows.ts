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
  readonly loadedLatencyNs: Float64Array;
  readonly trafficBytes: Float64Array;
  readonly bandwidth: Float64Array;
  readonly interleaveWeight: Uint8Array;
  readonly demotionNid: Int8Array;
  readonly #k: Kernel;
  readonly #cost: AccessCost;
  /** nid -> AccessCost.totalBytes at the last refresh. */
  readonly #before: Float64Array;

  constructor(k: Kernel, cost: AccessCost) {
    const n = k.pm.nodes.length;
    this.#k = k;
    this.#cost = cost;
    this.#before = new Float64Array(n);
    this.loadedLatencyNs = new Float64Array(n);
    this.trafficBytes = new Float64Array(n);
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
    this.interleaveWeight = new Uint8Array(n);
    this.demotionNid = new Int8Array(n).fill(-1);
    for (const node of k.spec.nodes) {
      const { nid } = node;
      this.hasCpu[nid] = node.cpus.length > 0 ? 1 : 0;
      this.bandwidth[nid] = closestCoordinates(k.spec, nid).readBandwidth;
      this.latencyNs[nid] = nearest(cost, cost.unloadedReadNs, nid);
    }
  }

  /** `incoming` by nid: pages that plans are still to bring. */
  refresh(incoming: Float64Array): void {
    const { pm, tiers } = this.#k;
    const cost = this.#cost;
    this.incoming.set(incoming);
    for (let nid = 0; nid < this.nrNodes; nid++) {
      const { managed, zones } = pm.nodes[nid];
      this.capacity[nid] = managed;
      this.isToptier[nid] = managed > 0 && tiers.isToptier(nid) ? 1 : 0;
      this.interleaveWeight[nid] = this.#k.interleaveWeights[nid];
      this.demotionNid[nid] = firstNode(tiers.preferredTargets(nid));
      let free = 0;
      for (const zone of zones) free += freeCount(pm, zone);
      this.free[nid] = free;
      this.loadedLatencyNs[nid] = nearest(cost, cost.readNs, nid);
      this.trafficBytes[nid] = cost.totalBytes[nid] - this.#before[nid];
      this.#before[nid] = cost.totalBytes[nid];
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

/** The least of a node's latencies by CPU node. */
function nearest(cost: AccessCost, latencyNs: Float64Array, nid: Nid): number {
  let best = Number.POSITIVE_INFINITY;
  for (let cpuNode = 0; cpuNode < cost.nrCpuNodes; cpuNode++) {
    best = Math.min(best, latencyNs[cpuNode * cost.nrNodes + nid]);
  }
  return best;
}
