/**
 * Accessed bits as a heat source: a thread walks the page tables every interval, sees which entries
 * the hardware marked as accessed since the last walk and clears the mark (idle page tracking,
 * mm/page_idle.c; HS-1..HS-10). One sighting a folio and walk, however often it was accessed.
 *
 * What it costs: `pageNs` of background time for every mapped page looked at: idle page tracking
 * goes through rmap from the frame. What it cannot see: counts, and whether it was a write.
 * Reclaim loses nothing: a cleared mark is kept as PG_young (HS-6).
 *
 * Deviates: the walk goes over page tables and not over frames, so that it is a scan of columns;
 * a folio mapped twice is seen once for each process. Folios off the LRU take part (HS-3).
 * Not modelled: the write that sets the idle flags and the read that reports them as two steps; a
 * mark that a TLB entry hides from the walk (HS-9).
 */
import type { FrameId, Nanoseconds, Vpn } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { type Kernel, PG_HEAD, PG_TAIL } from '../../mm/index.ts';
import { AccessedWalk } from './accessedWalk.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export interface IdleBitsOptions {
  readonly intervalNs: Nanoseconds;
  /** Background time for each mapped page looked at. */
  readonly pageNs: Nanoseconds;
}

export class IdleBitsMonitor implements Monitor, EventHandler {
  readonly source = 'idle-bits';
  readonly isPhysical = false;
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: IdleBitsOptions;
  readonly #seen = new HeatTable();
  #samples = 0;
  readonly #walk: AccessedWalk;
  /** Of the walk at hand. */
  #nowNs: Nanoseconds = 0;

  constructor(k: Kernel, queue: EventQueue, options: IdleBitsOptions) {
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
    this.#walk = new AccessedWalk(k, this);
  }

  get stats(): MonitorStats {
    const backgroundNs = this.#walk.nrScanned * this.#options.pageNs;
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  onHintFault(): void {}

  onEvent(nowNs: Nanoseconds): void {
    this.scan(nowNs);
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(pid: number): void {
    this.#seen.forget(pid);
  }

  /** One walk over all address spaces. */
  scan(nowNs: Nanoseconds): void {
    this.#nowNs = nowNs;
    this.#walk.walk();
  }

  /** HS-7: one page of a large folio makes the whole folio accessed, once a walk. */
  onAccessed(pid: number, vpn: Vpn, page: FrameId, nrPages: number): void {
    const { frames, folios } = this.#k;
    const isLarge = (frames.flags[page] & (PG_HEAD | PG_TAIL)) !== 0;
    if (!isLarge || nrPages > 1) {
      this.#see(pid, vpn, nrPages, page);
      return;
    }
    const head = frames.headOf(page);
    const first = vpn - (page - head);
    const row = this.#seen.find(pid, first);
    if (row >= 0 && this.#seen.lastSeenNs[row] === this.#nowNs) return;
    this.#see(pid, first, folios.nrPages(head), head);
  }

  #see(pid: number, vpn: Vpn, nrPages: number, head: FrameId): void {
    this.#samples++;
    this.#seen.see(pid, vpn, nrPages, 1, 0, this.#k.pm.nidOf(head), this.#nowNs);
  }
}
