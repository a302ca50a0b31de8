/**
 * Room in nodes while a plan is being made: free pages minus what stays free, less what the plan
 * has taken, plus what it gives back. Demotion and promotion targets are chosen from it.
 */
import type { Nid } from '../base/units.ts';
import { fastNids, type NodeTable, slowNids } from './hostView.ts';

export class Room {
  readonly fast: readonly Nid[];
  readonly slow: readonly Nid[];
  readonly nodes: NodeTable;
  /** nid -> pages that a plan may still bring to the node. */
  readonly pages: Float64Array;

  /**
   * `reservePages(nid)` of a fast node stay free, and never less than its high watermark: below it
   * an allocation would wake kswapd. Slow nodes keep their high watermark.
   */
  constructor(nodes: NodeTable, reservePages: (nid: Nid) => number) {
    this.nodes = nodes;
    this.fast = fastNids(nodes);
    this.slow = slowNids(nodes);
    this.pages = new Float64Array(nodes.nrNodes);
    for (let nid = 0; nid < nodes.nrNodes; nid++) {
      const reserve = nodes.isToptier[nid] === 1 ? reservePages(nid) : 0;
      const kept = Math.max(nodes.high[nid], reserve) + nodes.incoming[nid];
      this.pages[nid] = nodes.free[nid] - kept;
    }
  }

  /** Accounts for `nrPages` planned to leave `from` (-1 = several or unknown) for `to`. */
  take(from: Nid, to: Nid, nrPages: number): void {
    if (from >= 0) this.pages[from] += nrPages;
    this.pages[to] -= nrPages;
  }

  /** The fast node with room for `nrPages` that is nearest to CPUs, or -1. */
  promotionTarget(nrPages: number): Nid {
    let best = -1;
    for (const nid of this.fast) {
      if (this.pages[nid] < nrPages) continue;
      if (best < 0 || this.nodes.latencyNs[nid] < this.nodes.latencyNs[best]) best = nid;
    }
    return best;
  }

  /** Where pages of `from` are demoted to: its demotion target, else the nearest with room; -1. */
  demotionTarget(from: Nid, nrPages: number): Nid {
    const preferred = from >= 0 ? this.nodes.demotionNid[from] : -1;
    if (preferred >= 0 && this.pages[preferred] >= nrPages) return preferred;
    let best = -1;
    for (const nid of this.slow) {
      if (this.pages[nid] < nrPages) continue;
      if (best < 0 || this.nodes.latencyNs[nid] < this.nodes.latencyNs[best]) best = nid;
    }
    return best;
  }
}
