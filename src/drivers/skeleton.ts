/**
 * Copy me: a whole driver for private device memory, as small as it gets. It brings pages to the
 * device when it is asked to, back when a CPU wants them, and all of them home before it goes.
 * docs/drivers.md has one that uses hetmem as a library.
 *
 * A driver of yours: name the device and what it is modelled on, say what is not modelled, and use
 * `mm` only through its index. To keep states of runs, add the class to src/state/classes.ts.
 */
import type { FrameId, Nid, Vpn } from '../base/units.ts';
import {
  type DeviceFault,
  DeviceMigration,
  type DevPagemap,
  type DevPagemapOps,
  FAULT_DONE,
  FAULT_OOM,
  FAULT_SIGBUS,
  type Kernel,
  MEMORY_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  memremapPages,
  memunmapPages,
  migrateDeviceRange,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
  type Task,
  zoneDevicePageInit,
} from '../mm/index.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import {
  allocateSystemFolio,
  copyToDevice,
  copyToSystem,
  type DeviceFolios,
} from './deviceCopy.ts';

export class SkeletonDriver implements DevPagemapOps, DeviceFolios {
  readonly k: Kernel;
  /** From probe on. */
  pagemap!: DevPagemap;
  readonly free: FrameId[] = [];

  constructor(k: Kernel) {
    this.k = k;
  }

  /** 0 or the errno of memremapPages. `nrPages`: whole sections of 128 MiB. */
  probe(nid: Nid, nrPages: number): number {
    const type = MEMORY_DEVICE_PRIVATE;
    const pagemap = memremapPages(this.k, {
      type,
      owner: this,
      nid,
      startPfn: -1,
      nrPages,
      ops: this,
    });
    if (typeof pagemap === 'number') return pagemap;
    this.pagemap = pagemap;
    for (let n = nrPages - 1; n >= 0; n--) this.free.push(pagemap.start + n);
    return 0;
  }

  /** The kernel gives a page back: its last reference is gone. */
  folioFree(head: FrameId): void {
    this.free.push(head);
  }

  /** Small pages only: a large one is split on its way. */
  allocate(isLarge: boolean): FrameId {
    const page = isLarge ? -1 : (this.free.pop() ?? -1);
    if (page >= 0) zoneDevicePageInit(this.k, page, 0);
    return page;
  }

  owns(frame: FrameId): boolean {
    const { start, nrPages } = this.pagemap;
    return frame >= start && frame < start + nrPages;
  }

  allocateSystem(m: DeviceMigration, slot: number, order: number): FrameId {
    return allocateSystemFolio(this.k, m, slot, order);
  }

  /**
   * Pages [start, start + nr) of one area go to the device. How many slots did: pages that are
   * pinned, swapped out or of a file stay, and are no error. -EINVAL if nothing is mapped there.
   */
  migrateToDevice(task: Task, start: Vpn, nr: number): number {
    const vma = task.mm?.findVma(start) ?? null;
    const select = MIGRATE_VMA_SELECT_SYSTEM;
    const m = new DeviceMigration(task, vma, start, start + nr, this, select);
    if (migrateVmaSetup(this.k, m) < 0) return -EINVAL;
    copyToDevice(this.k, m, this);
    migrateVmaPages(this.k, m);
    let moved = 0;
    for (let i = 0; i < m.npages; i++) if (m.wants(i)) moved++;
    migrateVmaFinalize(this.k, m);
    return moved;
  }

  /** A CPU touched a page that is here. */
  migrateToRam({ task, vma, vpn, page }: DeviceFault): number {
    const select = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
    const m = new DeviceMigration(task, vma, vpn, vpn + 1, this, select, page);
    if (migrateVmaSetup(this.k, m) < 0) return FAULT_SIGBUS;
    return this.#bringHome(m) ? FAULT_DONE : FAULT_OOM;
  }

  /**
   * The device goes, in use or not. 0, or -EBUSY: some pages could not leave, so the memory stays
   * (DM-53).
   */
  remove(task: Task): number {
    const { start, nrPages } = this.pagemap;
    this.#bringHome(migrateDeviceRange(this.k, task, start, nrPages));
    if (this.k.devices.livePages(this.pagemap) > 0) return -EBUSY;
    memunmapPages(this.k, this.pagemap);
    return 0;
  }

  /** False when system memory ran out; then nothing has moved. */
  #bringHome(m: DeviceMigration): boolean {
    const isGiven = copyToSystem(this.k, m, this);
    if (isGiven) migrateVmaPages(this.k, m);
    migrateVmaFinalize(this.k, m);
    return isGiven;
  }
}
