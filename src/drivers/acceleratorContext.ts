/**
 * A process that uses an accelerator: the device's page table for it, device faults, counters of
 * ranges, hints, and migration there and back (DM-3, DM-4, DM-13, DM-14a, DM-20a, D14).
 *
 * An access finds an entry, or the device faults: the driver decides where the range should be
 * (placement.ts), migrates it or not, and enters what hmm_range_fault says. Pages that do not
 * migrate (files, pins) are used over the link.
 */
import { type FrameId, HPAGE_PMD_NR, type Nanoseconds, type Nid, type Vpn } from '../base/units.ts';
import { deviceAccessNs, deviceLinksNs, linkTo, nearestNode, piecewiseNs } from '../hw/index.ts';
import {
  type AddressSpace,
  DeviceMigration,
  devicePageLoad,
  devicePageStore,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  type HmmRange,
  isDevicePrivate,
  type Kernel,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_SYSTEM,
  MMU_NOTIFY_EXCLUSIVE,
  MMU_NOTIFY_MIGRATE,
  MMU_NOTIFY_UNMAP,
  MmuInterval,
  type MmuListener,
  type MmuRange,
  makeDeviceExclusive,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
  mmuIntervalInsert,
  mmuIntervalRemove,
  noteDeviceStore,
  TASK_SIZE_PAGES,
  type Task,
  VM_READ,
} from '../mm/index.ts';
import { EFAULT, EINVAL, ENODEV, EREMOTEIO } from '../uapi/errno.ts';
import type { Accelerator, DeviceUser } from './accelerator.ts';
import { Bounces } from './bounces.ts';
import { copyToDevice, copyToSystem } from './deviceCopy.ts';
import { hmmDmaMapPfn } from './dmaRoute.ts';
import { mirrorRange } from './mirrorRange.ts';
import { countMoved } from './movedPages.ts';
import { migrateNear } from './nearMemory.ts';
import { PLACEMENTS, type PlacementHint, type RangeUse } from './placement.ts';

/** Accesses that a figure of throughput is taken of. */
const MANY_ACCESSES = 1 << 16;

/** The last hint for a range holds. */
interface HintedRange {
  readonly start: Vpn;
  readonly end: Vpn;
  readonly hint: PlacementHint;
}

export class AcceleratorContext implements MmuListener, DeviceUser {
  readonly device: Accelerator;
  readonly k: Kernel;
  readonly mm: AddressSpace;
  readonly notifier: MmuInterval;
  /** The device's page table: page number -> frame * 2 + writable. */
  readonly table: Map<Vpn, number> = new Map();
  /** First page of a range / rangePages -> accesses over the link. */
  readonly counters: Map<number, number> = new Map();
  readonly hints: HintedRange[] = [];
  readonly bounces: Bounces;
  /** Pages of system memory that the device has to itself. */
  readonly exclusive: Set<Vpn> = new Set();
  isOpen = true;

  /** Not open yet: see open. */
  constructor(device: Accelerator, k: Kernel, mm: AddressSpace) {
    this.device = device;
    this.k = k;
    this.mm = mm;
    this.notifier = new MmuInterval(mm, 0, TASK_SIZE_PAGES, this);
    this.bounces = new Bounces(device?.spec.bounces ?? {});
  }

  /** A process opens the device. Its context, or -ENODEV (going), -EINVAL (dying process). */
  static open(device: Accelerator, task: Task): AcceleratorContext | number {
    if (device.isDying) return -ENODEV;
    if (task.mm === null) return -EINVAL;
    const context = new AcceleratorContext(device, device.k, task.mm);
    const ret = mmuIntervalInsert(context.notifier);
    if (ret < 0) return ret;
    device.users.add(context);
    return context;
  }

  close(): void {
    mmuIntervalRemove(this.notifier);
    this.device.users.delete(this);
    this.table.clear();
    this.exclusive.clear();
    this.isOpen = false;
  }

  /** Entries change: the device's copies go, except for what it migrates itself (DM-4). */
  invalidate({ start, end, event, owner }: MmuRange): void {
    const isDevices = event === MMU_NOTIFY_MIGRATE || event === MMU_NOTIFY_EXCLUSIVE;
    if (isDevices && owner === this.device) return;
    if (event === MMU_NOTIFY_UNMAP) this.bounces.forget(start, end);
    this.#loseExclusive(start, end);
    if (end - start > this.table.size) {
      for (const vpn of [...this.table.keys()]) {
        if (vpn >= start && vpn < end) this.table.delete(vpn);
      }
      return;
    }
    for (let vpn = start; vpn < end; vpn++) this.table.delete(vpn);
  }

  /** Who takes pages back waits until the device has stopped using them. */
  #loseExclusive(start: Vpn, end: Vpn): void {
    const { stats, spec } = this.device;
    for (const vpn of this.exclusive) {
      if (vpn < start || vpn >= end) continue;
      this.exclusive.delete(vpn);
      stats.exclusiveEnded++;
      stats.cpuFaultNs += piecewiseNs(spec.cost.fault, 1);
    }
  }

  forget(m: DeviceMigration): void {
    for (let i = 0; i < m.npages; i++) {
      if (!m.wants(i) || m.src[i] < 0) continue;
      const nr = m.isCompound(i) ? HPAGE_PMD_NR : 1;
      for (let n = 0; n < nr; n++) this.table.delete(m.start + i + n);
    }
  }

  /** Where the program wants [start, start + nr) to be (placement `hint`). */
  advise(start: Vpn, nr: number, hint: PlacementHint): void {
    this.hints.push({ start, end: start + nr, hint });
  }

  /** The device reads a page: its content word, or a negative errno: see #fault, -ENODEV. */
  load(task: Task, vpn: Vpn): number {
    const frame = this.#find(task, vpn, false);
    if (frame < 0) return frame;
    const word = devicePageLoad(this.k, frame);
    this.#account(task, vpn, frame);
    return word;
  }

  /** The device writes a page: 0 or the errno. */
  store(task: Task, vpn: Vpn, word: number): number {
    const frame = this.#find(task, vpn, true);
    if (frame < 0) return frame;
    devicePageStore(this.k, frame, word);
    noteDeviceStore(this.k, frame);
    this.#account(task, vpn, frame);
    return 0;
  }

  /**
   * An atomic addition of the device, over a link that has no atomics: in its own memory, or to a
   * page that it takes exclusively (DM-70). The sum, or the errno; -EOPNOTSUPP: not anonymous.
   */
  atomicAdd(task: Task, vpn: Vpn, addend: number): number {
    let frame = this.#find(task, vpn, true);
    if (frame >= 0 && !this.device.owns(frame) && !this.exclusive.has(vpn)) {
      frame = this.#enterExclusive(task, vpn);
    }
    if (frame < 0) return frame;
    const sum = devicePageLoad(this.k, frame) + addend;
    devicePageStore(this.k, frame, sum);
    noteDeviceStore(this.k, frame);
    this.#account(task, vpn, frame);
    return sum;
  }

  /** The device takes a page of system memory to itself: the frame, or the errno. */
  #enterExclusive(task: Task, vpn: Vpn): FrameId {
    const page = makeDeviceExclusive(this.k, task, vpn, this.device);
    if (page < 0) return page;
    this.#map(vpn, page, true);
    this.exclusive.add(vpn);
    this.k.putFolio(this.k.frames.headOf(page));
    return page;
  }

  /** The frame that an access goes to, or the errno. */
  #find(task: Task, vpn: Vpn, write: boolean): FrameId {
    if (!this.isOpen) return -ENODEV;
    let entry = this.table.get(vpn);
    if (entry === undefined || (write && entry % 2 === 0)) {
      const ret = this.#fault(task, vpn, write);
      if (ret < 0) return ret;
      entry = this.table.get(vpn)!;
    }
    return Math.floor(entry / 2);
  }

  /** Order: after the access, whose page may migrate because of it. */
  #account(task: Task, vpn: Vpn, frame: FrameId): void {
    const { device } = this;
    const { stats } = device;
    const isLocal = device.owns(frame);
    const nid = this.k.pm.nidOf(frame);
    device.clockNs += this.#accessNs(isLocal ? -1 : nid);
    if (isLocal) {
      stats.localAccesses++;
      if (device.spec.evictsByArrival !== true) device.pages.touch(this.k.frames.headOf(frame));
      return;
    }
    stats.remoteAccesses++;
    if (this.k.pm.isZoneDevice(frame)) stats.peerAccesses++;
    device.remoteByNode.set(nid, (device.remoteByNode.get(nid) ?? 0) + 1);
    const range = Math.floor(vpn / device.spec.rangePages);
    this.counters.set(range, (this.counters.get(range) ?? 0) + 1);
    const { placement } = device.spec;
    if (PLACEMENTS[placement].onRemoteAccess(this.#rangeUse(vpn))) {
      this.counters.delete(range);
      // The device goes on meanwhile: only the link is busy.
      if (PLACEMENTS[placement].goes === 'near') this.#migrateNear(vpn);
      else this.#migrateRange(task, vpn);
    }
  }

  /** Throughput of accesses that do not wait for each other, to a node's memory; -1 = its own. */
  #accessNs(nid: Nid): Nanoseconds {
    const { cost, links = [] } = this.device.spec;
    if (nid < 0) return deviceAccessNs(cost, MANY_ACCESSES, false) / MANY_ACCESSES;
    const use = { link: linkTo(cost, links, nid), accesses: MANY_ACCESSES };
    return deviceLinksNs(cost, [use]) / MANY_ACCESSES;
  }

  /** The range's host memory goes to the node nearest to the device. */
  #migrateNear(vpn: Vpn): void {
    const { rangePages, links = [] } = this.device.spec;
    const nid = nearestNode(links);
    const first = vpn - (vpn % rangePages);
    if (nid < 0) return;
    this.device.stats.pagesNear += migrateNear(this.k, this.mm, first, first + rangePages, nid);
  }

  #rangeUse(vpn: Vpn): RangeUse {
    const { rangePages, counterThreshold } = this.device.spec;
    const said = this.hints.findLast(({ start, end }) => vpn >= start && vpn < end);
    return {
      hint: said?.hint ?? 'none',
      remoteAccesses: this.counters.get(Math.floor(vpn / rangePages)) ?? 0,
      threshold: counterThreshold,
    };
  }

  /** A device fault: 0, with an entry for the page, -EFAULT, -EPERM, -EBUSY, -EREMOTEIO. */
  #fault(task: Task, vpn: Vpn, write: boolean): number {
    const { device } = this;
    const { cost, placement } = device.spec;
    device.syncClock();
    device.stats.deviceFaults++;
    this.bounces.noteDeviceFault(vpn);
    const isShared = this.bounces.isShared(vpn);
    const migrates = !isShared && PLACEMENTS[placement].onFault(this.#rangeUse(vpn));
    const ns = piecewiseNs(cost.fault, 1) + (migrates ? this.#migrateRange(task, vpn) : 0);
    const isTaken = isShared && this.bounces.spec.shareBy === 'exclusive';
    const ret =
      isTaken && this.#enterExclusive(task, vpn) >= 0 ? 0 : this.#enterPage(task, vpn, write);
    device.stall(ns + piecewiseNs(cost.getPages, 1) + piecewiseNs(cost.bind, 1));
    return ret;
  }

  /** The page gets into the table, faulted in for the device if need be. */
  #enterPage(task: Task, vpn: Vpn, write: boolean): number {
    const request = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0);
    let range = this.#mirror(task, vpn, request);
    if (typeof range === 'number') return range;
    if (write && (range.bits[0] & HMM_PFN_WRITE) === 0) {
      // A page of the device that is shared after a fork: the copy is made in system memory.
      this.migrateToSystem(task, vpn, 1);
      range = this.#mirror(task, vpn, request);
      if (typeof range === 'number') return range;
    }
    const isWritable = (range.bits[0] & HMM_PFN_WRITE) !== 0;
    if ((range.bits[0] & HMM_PFN_VALID) === 0 || (write && !isWritable)) return -EFAULT;
    this.#map(vpn, range.pages[0], isWritable);
    return 0;
  }

  #mirror(task: Task, vpn: Vpn, request: number): HmmRange | number {
    const range = mirrorRange(this.k, task, this.notifier, this.device, vpn, vpn + 1, request);
    if (typeof range === 'number') return range;
    const page = range.pages[0];
    if (page < 0 || this.device.owns(page)) return range;
    if (typeof hmmDmaMapPfn(this.k, this.device.place, page) !== 'number') return range;
    return this.#bringInReach(task, page) ? this.#mirror(task, vpn, request) : -EREMOTEIO;
  }

  /** A private page of a device that this one cannot reach comes to system memory. */
  #bringInReach(task: Task, page: FrameId): boolean {
    if (!isDevicePrivate(this.k, page)) return false;
    const owner = this.k.devices.pagemapOf(page).owner as Accelerator;
    return owner.sendHome(task, this.k.frames.headOf(page)) > 0;
  }

  #map(vpn: Vpn, frame: FrameId, isWritable: boolean): void {
    this.table.set(vpn, frame * 2 + (isWritable ? 1 : 0));
  }

  /** The range around `vpn`, as far as its area goes. Time it takes. */
  #migrateRange(task: Task, vpn: Vpn): Nanoseconds {
    const { rangePages } = this.device.spec;
    const first = vpn - (vpn % rangePages);
    return this.#migratePart(task, vpn, first, first + rangePages);
  }

  /** The part of [start, end) in the area of `vpn`; at most 512 pages of one table. */
  #migratePart(task: Task, vpn: Vpn, start: Vpn, end: Vpn): Nanoseconds {
    const { k, device } = this;
    const vma = this.mm.findVma(vpn);
    if (vma === null || !vma.has(VM_READ) || device.isDying) return 0;
    const from = Math.max(start, vma.start);
    const to = Math.min(end, vma.end);
    const compound = this.bounces.sharesAny(from, to) ? 0 : MIGRATE_VMA_SELECT_COMPOUND;
    const select = MIGRATE_VMA_SELECT_SYSTEM | compound;
    const m = new DeviceMigration(task, vma, from, to, device, select);
    if (migrateVmaSetup(k, m) < 0) return 0;
    copyToDevice(k, m, device, (at) => this.bounces.isShared(at));
    migrateVmaPages(k, m);
    const moved = countMoved(m);
    const came = this.#enterMigrated(m);
    migrateVmaFinalize(k, m);
    for (const head of came) device.pages.touch(head);
    return device.chargeArrival(moved);
  }

  /** DM-32: what moved gets into the table. The folios. */
  #enterMigrated(m: DeviceMigration): FrameId[] {
    const came: FrameId[] = [];
    for (let i = 0; i < m.npages; i++) {
      if (!m.wants(i) || m.dst[i] < 0) continue;
      const isWritable = (m.dstBits[i] & MIGRATE_PFN_WRITE) !== 0;
      const nr = m.isCompound(i) ? HPAGE_PMD_NR : 1;
      for (let n = 0; n < nr; n++) this.#map(m.start + i + n, m.dst[i] + n, isWritable);
      came.push(m.dst[i]);
    }
    return came;
  }

  /**
   * The driver brings [start, start + nr) to the device before it is used. 0, -EINVAL at a hole or
   * an area that cannot be read (DM-20a), -ENODEV.
   */
  migrateToDevice(task: Task, start: Vpn, nr: number): number {
    if (!this.isOpen) return -ENODEV;
    return this.#eachPart(start, start + nr, (from, to) => {
      this.device.stall(this.#migratePart(task, from, from, to));
    });
  }

  /** And back to system memory; what cannot go, for want of memory, stays. Same errnos. */
  migrateToSystem(task: Task, start: Vpn, nr: number): number {
    if (!this.isOpen) return -ENODEV;
    const { k, device } = this;
    return this.#eachPart(start, start + nr, (from, to) => {
      const select = device.select | MIGRATE_VMA_SELECT_COMPOUND;
      const m = new DeviceMigration(task, this.mm.findVma(from), from, to, device, select);
      if (migrateVmaSetup(k, m) < 0) return;
      if (copyToSystem(k, m, device)) {
        this.forget(m);
        migrateVmaPages(k, m);
      }
      const moved = countMoved(m);
      migrateVmaFinalize(k, m);
      device.stall(device.chargeReturn(moved));
    });
  }

  /** Calls `move` for each piece that lies in one area and one leaf table. */
  #eachPart(start: Vpn, end: Vpn, move: (from: Vpn, to: Vpn) => void): number {
    for (let vpn = start; vpn < end; ) {
      const vma = this.mm.findVma(vpn);
      if (vma === null || !vma.has(VM_READ)) return -EINVAL;
      const table = (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR;
      const next = Math.min(end, table, vma.end);
      move(vpn, next);
      vpn = next;
    }
    return 0;
  }
}
