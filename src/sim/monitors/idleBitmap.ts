/**
 * /sys/kernel/mm/page_idle/bitmap as a heat source: a program writes ones to all bits, waits, reads
 * which have become 0, and writes ones again (mm/page_idle.c; HS-1..HS-10, the sweep of section
 * 11). It reports frames: one sighting a folio and sweep, by its head (HS-7).
 *
 * A bit of 0 is taken for an access where kpageflags says that the frame is the head of a folio on
 * the LRU, as others read 0 always (HS-3): so a page that is new since the last sweep is seen, too.
 *
 * What it costs: an rmap walk (`pageNs`) for each bit set and for each bit read that is still 1
 * (HS-5, HS-6), of background time. What it cannot see: counts, writes, DMA.
 * Not modelled: a mark that a TLB entry hides from the sweep (HS-9).
 */
import type { FrameId, Nanoseconds } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { isPageIdle, type Kernel, PG_IDLE, PG_LRU, PG_TAIL, setPageIdle } from '../../mm/index.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export interface IdleBitmapOptions {
  readonly intervalNs: Nanoseconds;
  /** Background time of a walk over a folio's mappings. */
  readonly pageNs: Nanoseconds;
}

export class IdleBitmapMonitor implements Monitor, EventHandler {
  readonly source = 'page-idle';
  readonly isPhysical = true;
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: IdleBitmapOptions;
  readonly #seen = new HeatTable();
  #samples = 0;
  #walks = 0;
  #isSet = false;

  constructor(k: Kernel, queue: EventQueue, options: IdleBitmapOptions) {
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
  }

  get stats(): MonitorStats {
    const backgroundNs = this.#walks * this.#options.pageNs;
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs };
  }

  /** The bits are set before the programs start: there is nothing yet to set them of. */
  start(nowNs: Nanoseconds): void {
    this.sweep(nowNs);
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  onHintFault(): void {}

  onEvent(nowNs: Nanoseconds): void {
    this.sweep(nowNs);
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(): void {}

  /** Reads all bits, then sets them. */
  sweep(nowNs: Nanoseconds): void {
    const { frames } = this.#k;
    const { flags, refcount } = frames;
    for (let frame = 0; frame < flags.length; frame++) {
      if ((flags[frame] & (PG_TAIL | PG_LRU)) !== PG_LRU || refcount[frame] === 0) continue;
      if (this.#isSet) this.#read(frame, nowNs);
      setPageIdle(this.#k, frame);
      this.#walks++;
    }
    this.#isSet = true;
  }

  #read(head: FrameId, nowNs: Nanoseconds): void {
    const { frames, folios, pm } = this.#k;
    if ((frames.flags[head] & PG_IDLE) !== 0) {
      this.#walks++;
      if (isPageIdle(this.#k, head)) return;
    }
    this.#samples++;
    const pfn = frames.pfnOf(head);
    const nr = folios.nrPages(head);
    this.#seen.seeFrame(pfn, nr, frames.generation[head], 1, 0, pm.nidOf(head), nowNs);
  }
}
