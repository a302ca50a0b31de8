/**
 * Kernel threads in virtual time: kswapd of each node runs when it was woken, one pass at a time,
 * and each pass takes the time that its scanning, swapping and demoting cost (TI-17).
 *
 * kcompactd runs when a pass of kswapd wakes it, as part of that pass.
 * Deviates: the passes themselves are instantaneous; their cost delays the next pass. kswapd's
 * demotions therefore cannot be raced (a policy's migrations can).
 * Not modelled: proactive compaction during runs; kcompactd woken by an allocation, not by kswapd.
 */
import type { Nanoseconds, Nid } from '../base/units.ts';
import type { EventHandler, EventQueue } from '../engine/index.ts';
import type { CostSpec } from '../hw/index.ts';
import { type Kernel, KernelReclaim, kcompactdStep } from '../mm/index.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import type { TierMoves } from './tierMoves.ts';

const COMPACTISOLATED = vmEvent('compact_isolated');
const PGSCAN_KSWAPD = vmEvent('pgscan_kswapd');
const PSWPOUT = vmEvent('pswpout');

/** Time from waking kswapd to its first pass: a context switch. */
const WAKE_NS = 5_000;

export class KernelThreads implements EventHandler {
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #costs: CostSpec;
  readonly #moves: TierMoves;
  #scheduled = 0;
  backgroundNs: Nanoseconds = 0;

  constructor(k: Kernel, queue: EventQueue, costs: CostSpec, moves: TierMoves) {
    this.#k = k;
    this.#queue = queue;
    this.#costs = costs;
    this.#moves = moves;
  }

  /** Schedules kswapd of nodes that were woken since the last call. Cheap when none was. */
  poll(): void {
    const fresh = this.#k.kswapdWoken & ~this.#scheduled;
    if (fresh === 0) return;
    for (let nid = 0; nid < this.#k.pm.nodes.length; nid++) {
      if ((fresh & (1 << nid)) === 0) continue;
      this.#scheduled |= 1 << nid;
      this.#queue.scheduleAfter(WAKE_NS, this, nid);
    }
  }

  onEvent(_nowNs: Nanoseconds, nid: Nid): void {
    const reclaim = this.#k.pm.hooks;
    if (!(reclaim instanceof KernelReclaim)) return;
    const event = this.#k.vmstat.event;
    const scanned = event[PGSCAN_KSWAPD];
    const swapped = event[PSWPOUT];
    const migratedNs = this.#moves.cpuNs;
    const isolated = event[COMPACTISOLATED];
    const more = reclaim.kswapdStep(nid);
    if ((this.#k.compaction.kcompactdWoken & (1 << nid)) !== 0) kcompactdStep(this.#k, nid);
    const ns =
      (event[COMPACTISOLATED] - isolated) * this.#costs.scanFolioNs +
      (event[PGSCAN_KSWAPD] - scanned) * this.#costs.scanFolioNs +
      (event[PSWPOUT] - swapped) * this.#k.spec.swap.writeNs +
      (this.#moves.cpuNs - migratedNs);
    this.backgroundNs += ns;
    if (more) this.#queue.scheduleAfter(Math.ceil(ns) + 1000, this, nid);
    else this.#scheduled &= ~(1 << nid);
  }
}
