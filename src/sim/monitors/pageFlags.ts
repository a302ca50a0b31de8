/**
 * /proc/kpageflags as a heat source: a program reads the flags of all frames every interval and
 * takes REFERENCED or ACTIVE heads of folios on the LRU for warm (fs/proc/page.c; HS-11..HS-16).
 *
 * It costs little, as nothing is walked: `frameNs` of background time a frame read. It sees little,
 * too: what reclaim and system calls noted, not what programs access through mappings. Without
 * memory pressure the flags of anonymous memory do not change.
 */
import type { Nanoseconds } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { type Kernel, PG_ACTIVE, PG_LRU, PG_REFERENCED, PG_TAIL } from '../../mm/index.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export interface PageFlagsOptions {
  readonly intervalNs: Nanoseconds;
  /** Background time of a frame's word. */
  readonly frameNs: Nanoseconds;
}

export class PageFlagsMonitor implements Monitor, EventHandler {
  readonly source = 'kpageflags';
  readonly isPhysical = true;
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: PageFlagsOptions;
  readonly #seen = new HeatTable();
  #samples = 0;
  #read = 0;

  constructor(k: Kernel, queue: EventQueue, options: PageFlagsOptions) {
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
  }

  get stats(): MonitorStats {
    const backgroundNs = this.#read * this.#options.frameNs;
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  onHintFault(): void {}

  onEvent(nowNs: Nanoseconds): void {
    this.look(nowNs);
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(): void {}

  /** Reads all flags once. */
  look(nowNs: Nanoseconds): void {
    const { frames, folios, pm } = this.#k;
    const { flags, generation } = frames;
    this.#read += flags.length;
    for (let frame = 0; frame < flags.length; frame++) {
      const flag = flags[frame];
      if ((flag & (PG_TAIL | PG_LRU)) !== PG_LRU) continue;
      if ((flag & (PG_REFERENCED | PG_ACTIVE)) === 0) continue;
      this.#samples++;
      const [pfn, nid] = [frames.pfnOf(frame), pm.nidOf(frame)];
      this.#seen.seeFrame(pfn, folios.nrPages(frame), generation[frame], 1, 0, nid, nowNs);
    }
  }
}
