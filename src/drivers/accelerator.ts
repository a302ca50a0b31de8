/**
 * An accelerator with memory of its own: what its driver does for private and for coherent memory
 * alike. It hands pages out, takes the longest unused back to system memory when none is free, and
 * keeps the device's time (D14, DM-28, DM-35, DM-53).
 *
 * Real thing: what nouveau, amdgpu and xe share with lib/test_hmm.c, in small.
 * Deviates: eviction happens in the name of the task that the device works for; drivers have
 * workers for it.
 */
import { assert } from '../base/assert.ts';
import {
  type FrameId,
  HPAGE_PMD_ORDER,
  type Nanoseconds,
  type Nid,
  type Order,
  type Pfn,
} from '../base/units.ts';
import { type DeviceCostSpec, type DeviceLink, piecewiseNs } from '../hw/index.ts';
import {
  type AddressSpace,
  type DeviceMigration,
  type DevPagemap,
  type DevPagemapOps,
  type Kernel,
  MEMORY_DEVICE_COHERENT,
  MEMORY_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  memremapPages,
  memunmapPages,
  migrateDevicePfns,
  migrateDeviceRange,
  migrateVmaFinalize,
  migrateVmaPages,
  type Task,
  zoneDevicePageInit,
} from '../mm/index.ts';
import { EBUSY, ENOMEM, EOPNOTSUPP } from '../uapi/errno.ts';
import { type BounceSpec, type Bounces, featuresOf } from './bounces.ts';
import { CopyEngine } from './copyEngine.ts';
import { allocateSystemFolio, copyToSystem, type DeviceFolios } from './deviceCopy.ts';
import { DevicePages } from './devicePages.ts';
import type { PciPlace } from './dmaRoute.ts';
import { countMoved, type Moved } from './movedPages.ts';
import type { PlacementName } from './placement.ts';

/** Oldest folios that are tried before an allocation fails. */
const EVICT_TRIES = 16;

export interface AcceleratorSpec {
  readonly name: string;
  readonly nid: Nid;
  /** Whole sections. */
  readonly nrPages: number;
  readonly placement: PlacementName;
  /** Unit of migration and of counters: a power of two, at most 512 pages. */
  readonly rangePages: number;
  readonly counterThreshold: number;
  /** A large page comes back one base page at a time, not whole (DM-64). */
  readonly splitsOnReturn: boolean;
  readonly cost: DeviceCostSpec;
  /**
   * Makes room in the order of arrival: what an LRU of the kernel would do, which sees no accesses
   * of the device. Omitted = by the device's own LRU.
   */
  readonly evictsByArrival?: boolean;
  /** Links to the memory of single nodes; omitted = one link to all, that of the costs. */
  readonly links?: readonly DeviceLink[];
  /** Where it is plugged in; omitted = it reaches every device, and every device it. */
  readonly place?: PciPlace;
  /** Experimental (device_peer_ranges): other devices use its private pages where they are. */
  readonly isReachableByPeers?: boolean;
  /** Experimental: what is done about pages that bounce; omitted = nothing is remembered. */
  readonly bounces?: BounceSpec;
}

/** What a device was busy with. */
export interface AcceleratorStats {
  deviceFaults: number;
  cpuFaults: number;
  pagesToDevice: number;
  pagesFromDevice: number;
  /** Of these, those that had to make room. */
  pagesEvicted: number;
  /** In large pages that small ones came back as. */
  pagesMerged: number;
  /** Sent to be written to their files. */
  pagesWrittenBack: number;
  localAccesses: number;
  remoteAccesses: number;
  /** Of these, those to the memory of other devices. */
  peerAccesses: number;
  /** Pages of host memory that went to the node nearest to the device. */
  pagesNear: number;
  /** Pages that the device had exclusively until somebody wanted them. */
  exclusiveEnded: number;
  /** The device stood still. */
  stalledNs: Nanoseconds;
  /** CPUs waited for pages. */
  cpuFaultNs: Nanoseconds;
}

/** A process that uses the device, as the device sees it (acceleratorContext.ts). */
export interface DeviceUser {
  readonly mm: AddressSpace;
  readonly bounces: Bounces;
  /** What leaves the device is no longer in the process's device page table. */
  forget(m: DeviceMigration): void;
  close(): void;
}

export abstract class Accelerator implements DevPagemapOps, DeviceFolios {
  readonly k: Kernel;
  readonly spec: AcceleratorSpec;
  /** Both from probe on. */
  pagemap!: DevPagemap;
  pages!: DevicePages;
  readonly engine: CopyEngine;
  readonly users: Set<DeviceUser> = new Set();
  /** Accesses to host memory by its node. */
  readonly remoteByNode: Map<Nid, number> = new Map();
  /** The device's time; never before the kernel's. */
  clockNs: Nanoseconds = 0;
  /** Memory is going: nothing migrates there any more. */
  isDying = false;
  readonly stats: AcceleratorStats = {
    deviceFaults: 0,
    cpuFaults: 0,
    pagesToDevice: 0,
    pagesFromDevice: 0,
    pagesEvicted: 0,
    pagesMerged: 0,
    pagesWrittenBack: 0,
    localAccesses: 0,
    remoteAccesses: 0,
    peerAccesses: 0,
    pagesNear: 0,
    exclusiveEnded: 0,
    stalledNs: 0,
    cpuFaultNs: 0,
  };

  /** A device without memory: see probe. */
  constructor(k: Kernel, spec: AcceleratorSpec) {
    this.k = k;
    this.spec = spec;
    this.engine = new CopyEngine(spec.cost);
  }

  abstract get isCoherent(): boolean;

  /**
   * Registers the memory, at `startPfn` or, -1, where there is room. 0, the errno of it, or
   * -EOPNOTSUPP: the driver is to do what the kernel is not switched to (`bounces`).
   */
  probe(startPfn: Pfn): number {
    const needed = featuresOf(this.spec.bounces ?? {});
    if (!needed.every((feature) => this.k.hasExperimental(feature))) return -EOPNOTSUPP;
    const pagemap = memremapPages(this.k, {
      type: this.isCoherent ? MEMORY_DEVICE_COHERENT : MEMORY_DEVICE_PRIVATE,
      owner: this,
      nid: this.spec.nid,
      startPfn,
      nrPages: this.spec.nrPages,
      ops: this,
    });
    if (typeof pagemap === 'number') return pagemap;
    this.pagemap = pagemap;
    this.pages = new DevicePages(pagemap.start, pagemap.nrPages);
    return 0;
  }

  get place(): PciPlace | undefined {
    return this.spec.place;
  }

  /** Which pages of a VMA are the device's. */
  get select(): number {
    return this.isCoherent ? MIGRATE_VMA_SELECT_DEVICE_COHERENT : MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
  }

  folioFree(head: FrameId, order: Order): void {
    this.pages.give(head, order);
  }

  /** The parts of a large page count as used just now. */
  folioSplit(_original: FrameId, created: FrameId): void {
    if (created >= 0) this.pages.touch(created);
  }

  owns(frame: FrameId): boolean {
    const { start, nrPages } = this.pagemap;
    return frame >= start && frame < start + nrPages;
  }

  /**
   * A locked folio with one reference, or -1. Small pages make room by eviction; for a large one
   * only the oldest goes, if it is large: 512 small ones are no worse.
   */
  allocate(isLarge: boolean, task: Task): FrameId {
    let head = this.isDying ? -1 : this.pages.take(isLarge);
    for (let tries = 0; head < 0 && !this.isDying && tries < EVICT_TRIES; tries++) {
      const oldest = this.pages.oldest;
      if (oldest < 0 || (isLarge && !this.k.folios.isLarge(oldest))) return -1;
      this.#makeRoom(task, oldest);
      head = this.pages.take(isLarge);
    }
    if (head >= 0) zoneDevicePageInit(this.k, head, isLarge ? HPAGE_PMD_ORDER : 0);
    return head;
  }

  allocateSystem(m: DeviceMigration, slot: number, order: number): FrameId {
    return allocateSystemFolio(this.k, m, slot, order);
  }

  /**
   * The oldest folio goes to system memory if it is large; else as many small ones as a range has,
   * in one batch. What cannot go comes to the end of the list.
   */
  #makeRoom(task: Task, oldest: FrameId): void {
    const { folios } = this.k;
    const heads = folios.isLarge(oldest)
      ? [oldest]
      : this.pages.oldestSmall(this.spec.rangePages, (head) => folios.isLarge(head));
    const pages = this.#evict(migrateDevicePfns(this.k, task, heads));
    if (pages > 0) this.stats.pagesEvicted += pages;
    for (const head of heads) if (this.pages.used.has(head)) this.pages.touch(head);
  }

  /** A folio goes to system memory, whoever maps it. How many pages did: all or 0, or -ENOMEM. */
  sendHome(task: Task, head: FrameId): number {
    return this.#evict(migrateDevicePfns(this.k, task, [head]));
  }

  /** How many pages went to system memory, or -ENOMEM: it has no room. */
  #evict(m: DeviceMigration): number {
    const isGiven = copyToSystem(this.k, m, this);
    if (isGiven) migrateVmaPages(this.k, m);
    const moved = countMoved(m);
    migrateVmaFinalize(this.k, m);
    this.stall(this.chargeReturn(moved));
    return isGiven ? moved.pages : -ENOMEM;
  }

  /** Pages went to system memory: what that takes from now on. */
  chargeReturn(moved: Moved): Nanoseconds {
    this.stats.pagesFromDevice += moved.pages;
    if (moved.pieces === 0) return 0;
    this.syncClock();
    const workNs = piecewiseNs(this.spec.cost.migrate, moved.pieces);
    return workNs + this.engine.copy(this.clockNs + workNs, false, moved.copied, moved.pieces);
  }

  /** Pages came to the device. */
  chargeArrival(moved: Moved): Nanoseconds {
    this.stats.pagesToDevice += moved.pages;
    if (moved.pieces === 0) return 0;
    this.syncClock();
    const workNs = piecewiseNs(this.spec.cost.migrate, moved.pieces);
    return workNs + this.engine.copy(this.clockNs + workNs, true, moved.copied, moved.pieces);
  }

  syncClock(): void {
    this.clockNs = Math.max(this.clockNs, this.k.nowNs);
  }

  stall(ns: Nanoseconds): void {
    this.clockNs += ns;
    this.stats.stalledNs += ns;
  }

  /**
   * The device goes away, in use or not: its users lose their mirrors, its pages go to system
   * memory. 0, or -EBUSY when some cannot: then it gives out nothing more and this can be called
   * again (Linux would wait, DM-53).
   */
  remove(task: Task): number {
    this.isDying = true;
    for (const user of [...this.users]) user.close();
    const { start, nrPages } = this.pagemap;
    this.#evict(migrateDeviceRange(this.k, task, start, nrPages));
    if (this.k.devices.livePages(this.pagemap) > 0) return -EBUSY;
    assert(this.pages.nrFree === nrPages, 'a device page is neither live nor free');
    memunmapPages(this.k, this.pagemap);
    return 0;
  }
}
