/**
 * Heat that CXL memory devices measure themselves: each device counts the accesses it serves and
 * lists its hot units; software reads the lists at the end of each epoch and goes from the device's
 * addresses through the HDM decoders to frames. CHMU; HS-40..HS-59.
 *
 * It costs programs nothing, and a CPU `entryNs` an entry read. It misses what a full list drops,
 * units below the threshold, and all accesses to other memory: a device knows nothing of DRAM. It
 * sees prefetches and DMA as well as loads. A frame whose content changed during the epoch is
 * ambiguous and left out (PP-72): the count may be the earlier content's.
 *
 * In always-on mode lists are read as often, and counts are the threshold.
 * Deviates: the counts of a unit larger than a page are spread over its pages, rounded up.
 */
import type { Nanoseconds } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import type { Kernel } from '../../mm/index.ts';
import { CxlSet, type CxlSetOptions } from './cxlSet.ts';
import type { AccessObserver, Monitor, MonitorStats } from './monitor.ts';
import { PlainCounts } from './plainCounts.ts';

export interface CxlHeatOptions extends CxlSetOptions {
  /** Epoch, or time between two readings in always-on mode. */
  readonly periodNs: Nanoseconds;
  /** Background time of an entry: an uncached read of the device. */
  readonly entryNs: Nanoseconds;
}

export class CxlHeatMonitor implements Monitor, AccessObserver, EventHandler {
  readonly source = 'cxl';
  readonly isPhysical = true;
  readonly sampler = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: CxlHeatOptions;
  readonly #sets: readonly CxlSet[];
  /** Node -> index of its set, -1 = no CXL memory. */
  readonly #setOf: Int8Array;
  /** By set: generations of the frames at the start of the epoch. */
  readonly #generations: readonly Uint32Array[];
  readonly #pages: Int32Array;
  /** null = devices are told of each access as it happens. */
  readonly #plain: PlainCounts | null;
  readonly #seen = new HeatTable();
  /** Part of the page that the next access of a page in several parts goes to. */
  #part = 0;
  #entries = 0;
  #ambiguous = 0;

  /** Errors: UserError, of CxlSet. */
  constructor(k: Kernel, queue: EventQueue, options: CxlHeatOptions) {
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
    this.#setOf = new Int8Array(k.pm.nodes.length).fill(-1);
    const sets: CxlSet[] = [];
    for (const { nid, kind, zones } of k.spec.nodes) {
      if (kind !== 'cxl' || zones.length === 0) continue;
      const first = k.frames.frameOfPfn(zones[0].startPfn);
      const last = k.frames.frameOfPfn(zones[zones.length - 1].endPfn - 1);
      this.#setOf[nid] = sets.length;
      sets.push(new CxlSet(nid, first, last + 1 - first, options));
    }
    this.#sets = sets;
    this.#generations = sets.map(({ nrFrames }) => new Uint32Array(nrFrames));
    this.#pages = new Int32Array(Math.max(1, ...sets.map((set) => set.pagesOfUnitMax)));
    const first = Math.min(...sets.map(({ firstFrame }) => firstFrame));
    const end = Math.max(...sets.map(({ firstFrame, nrFrames }) => firstFrame + nrFrames));
    const isPlain = sets.length > 0 && sets.every((set) => set.isPlain);
    this.#plain = isPlain ? new PlainCounts(first, end) : null;
  }

  get observer(): AccessObserver {
    return this;
  }

  get stats(): MonitorStats {
    let lost = this.#ambiguous;
    for (const { devices } of this.#sets) for (const { dropped } of devices) lost += dropped;
    const backgroundNs = this.#entries * this.#options.entryNs;
    return { samples: this.#entries, lost, programNs: 0, backgroundNs };
  }

  start(nowNs: Nanoseconds): void {
    this.#beginEpoch();
    this.#queue.schedule(nowNs + this.#options.periodNs, this);
  }

  onHintFault(): void {}

  /** What the devices see of runs [from, to). */
  onRuns(
    served: Int32Array,
    page: Uint32Array,
    weight: Uint16Array,
    from: number,
    to: number,
  ): void {
    const plain = this.#plain;
    if (plain !== null) {
      if (plain.isFullFor(to - from)) this.#tellDevices(plain);
      plain.add(served, weight, from, to);
      return;
    }
    for (let i = from; i < to; i++) {
      const frame = served[i - from];
      const set = this.#setOf[this.#k.pm.nidOf(frame)];
      if (set >= 0) this.#count(this.#sets[set], frame, weight[i], page[i] & 1);
    }
  }

  #tellDevices(plain: PlainCounts): void {
    for (const set of this.#sets) {
      for (let frame = set.firstFrame; frame < set.firstFrame + set.nrFrames; frame++) {
        const n = plain.of(frame);
        if (n > 0) this.#count(set, frame, n, 0);
      }
    }
    plain.clear();
  }

  #count(set: CxlSet, frame: number, n: number, isWrite: number): void {
    const { partsPerPage, deviceOf, unitOf, devices } = set;
    const first = (frame - set.firstFrame) * partsPerPage;
    if (partsPerPage === 1) {
      devices[deviceOf[first]].count(unitOf[first], n, isWrite);
      return;
    }
    const mask = partsPerPage - 1;
    const each = Math.floor(n / partsPerPage);
    const rest = n - each * partsPerPage;
    const parts = each > 0 ? partsPerPage : rest;
    for (let i = 0; i < parts; i++) {
      const at = first + ((this.#part + i) & mask);
      devices[deviceOf[at]].count(unitOf[at], i < rest ? each + 1 : each, isWrite);
    }
    this.#part = (this.#part + rest) & mask;
  }

  /** The end of an epoch: lists are filled and read. */
  onEvent(nowNs: Nanoseconds): void {
    if (this.#plain !== null) this.#tellDevices(this.#plain);
    for (const [s, set] of this.#sets.entries()) {
      for (const [position, device] of set.devices.entries()) {
        device.endEpoch();
        while (device.nrWaiting > 0) {
          const entry = device.take();
          this.#entries++;
          this.#report(s, position, device.unitOf(entry), device.countOf(entry), nowNs);
        }
      }
    }
    this.#beginEpoch();
    this.#queue.schedule(nowNs + this.#options.periodNs, this);
  }

  #beginEpoch(): void {
    const { generation } = this.#k.frames;
    for (const [s, { firstFrame, nrFrames }] of this.#sets.entries()) {
      this.#generations[s].set(generation.subarray(firstFrame, firstFrame + nrFrames));
    }
  }

  #report(s: number, position: number, unit: number, count: number, nowNs: Nanoseconds): void {
    const set = this.#sets[s];
    const { frames, pm } = this.#k;
    const n = set.pagesOfUnit(position, unit, this.#pages);
    for (let i = 0; i < n; i++) {
      const frame = set.firstFrame + this.#pages[i];
      const generation = frames.generation[frame];
      if (generation !== this.#generations[s][this.#pages[i]]) {
        this.#ambiguous++;
        continue;
      }
      const share = Math.ceil(count / n);
      const pfn = frames.pfnOf(frame);
      this.#seen.seeFrame(pfn, 1, generation, share, 0, pm.nidOf(frame), nowNs);
    }
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(): void {}
}
