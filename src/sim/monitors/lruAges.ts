/**
 * Ages of the multi-generational LRU as a heat source: every interval a generation is made, as a
 * write of `+ memcg node max_gen` to lru_gen does; aging walks page tables, and folios that were
 * accessed go to the youngest generation (mm/vmscan.c: try_to_inc_max_seq, walk_mm, folio_inc_gen).
 * HS-60..HS-63. Folios of the two youngest generations are reported, the youngest with weight 2.
 *
 * There are at most four generations: what is older is in the oldest. A folio that is new since the
 * last walk is in the generation that was youngest when it was faulted in.
 *
 * It costs `scanPteNs` of background time for each present entry, and `frameNs` for each frame when
 * ages are read. Linux shows counts by generation only (debugfs lru_gen); the age of each folio is
 * known in the kernel.
 *
 * Not modelled: reclaim by generations (the model's reclaim has active and inactive lists), tiers
 * of accesses through file descriptors, Bloom filters that leave out tables with few accesses, and
 * generations by memory cgroup and node: there is one count of them.
 */
import type { FrameId, Nanoseconds } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { type Kernel, PG_LRU, PG_TAIL } from '../../mm/index.ts';
import { AccessedWalk } from './accessedWalk.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export interface LruAgesOptions {
  readonly intervalNs: Nanoseconds;
  /** Background time of an entry in a walk. */
  readonly pteNs: Nanoseconds;
  /** Background time of a frame whose age is read. */
  readonly frameNs: Nanoseconds;
}

/** MAX_NR_GENS. */
const GENERATIONS_MAX = 4;
/** Generations that count as hot (HS-63). */
const HOT_AGES = 2;

export class LruAgesMonitor implements Monitor, EventHandler {
  readonly source = 'mglru';
  readonly isPhysical = true;
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: LruAgesOptions;
  readonly #walk: AccessedWalk;
  /** Head -> sequence number of its generation, and the content that it is about. */
  readonly #seq: Int32Array;
  readonly #content: Uint32Array;
  readonly #seen = new HeatTable();
  #maxSeq = GENERATIONS_MAX - 1;
  #samples = 0;
  #read = 0;

  constructor(k: Kernel, queue: EventQueue, options: LruAgesOptions) {
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
    this.#walk = new AccessedWalk(k, this);
    this.#seq = new Int32Array(k.frames.nrFrames);
    this.#content = new Uint32Array(k.frames.nrFrames);
  }

  get stats(): MonitorStats {
    const { pteNs, frameNs } = this.#options;
    const backgroundNs = this.#walk.nrScanned * pteNs + this.#read * frameNs;
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  onHintFault(): void {}

  onEvent(nowNs: Nanoseconds): void {
    this.age(nowNs);
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(): void {}

  /** try_to_inc_max_seq, then a look at all ages. */
  age(nowNs: Nanoseconds): void {
    this.#maxSeq++;
    this.#walk.walk();
    const { frames, folios, pm } = this.#k;
    const { flags, generation } = frames;
    this.#read += flags.length;
    for (let head = 0; head < flags.length; head++) {
      if ((flags[head] & (PG_TAIL | PG_LRU)) !== PG_LRU) continue;
      const age = this.ageOf(head);
      if (age >= HOT_AGES) continue;
      this.#samples++;
      const pages = folios.nrPages(head);
      const [pfn, nid] = [frames.pfnOf(head), pm.nidOf(head)];
      this.#seen.seeFrame(pfn, pages, generation[head], HOT_AGES - age, 0, nid, nowNs);
    }
  }

  onAccessed(_pid: number, _vpn: number, page: FrameId): void {
    const { frames } = this.#k;
    const head = frames.headOf(page);
    this.#seq[head] = this.#maxSeq;
    this.#content[head] = frames.generation[head];
  }

  /** Generations since the folio was accessed, 0 to 3. */
  ageOf(head: FrameId): number {
    const generation = this.#k.frames.generation[head];
    if (this.#content[head] !== generation) {
      // lru_gen_in_fault: a folio that was faulted in begins in the youngest, which this was then.
      this.#seq[head] = this.#maxSeq - 1;
      this.#content[head] = generation;
    }
    return Math.min(GENERATIONS_MAX - 1, this.#maxSeq - this.#seq[head]);
  }
}
