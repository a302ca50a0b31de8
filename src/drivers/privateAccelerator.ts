/**
 * An accelerator whose memory the CPU cannot reach (DEVICE_PRIVATE), as GPUs behind PCIe have it: a
 * CPU access brings the page back. DM-40..DM-42, DM-62, DM-64.
 */
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import { piecewiseNs } from '../hw/index.ts';
import {
  type DeviceFault,
  DeviceMigration,
  FAULT_DONE,
  FAULT_OOM,
  FAULT_SIGBUS,
  MIGRATE_VMA_SELECT_COMPOUND,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
  type Task,
} from '../mm/index.ts';
import { ENOMEM } from '../uapi/errno.ts';
import { Accelerator } from './accelerator.ts';
import type { Bounces } from './bounces.ts';
import { copyToSystem } from './deviceCopy.ts';
import { returnMerged } from './mergedReturn.ts';
import { countMoved, type Moved } from './movedPages.ts';

export class PrivateAccelerator extends Accelerator {
  get isCoherent(): boolean {
    return false;
  }

  isReachableByPeers(): boolean {
    return this.spec.isReachableByPeers === true;
  }

  /** Experimental: a look-up in the page cache found a page here. */
  pageCacheLookup(task: Task, page: FrameId): number {
    this.stats.cpuFaults++;
    const pages = this.sendHome(task, this.k.frames.headOf(page));
    if (pages === -ENOMEM) return FAULT_OOM;
    return pages > 0 ? FAULT_DONE : FAULT_SIGBUS;
  }

  /** Experimental: the data of a dirty file page goes over the link, the page stays. */
  pageCacheWriteback(head: FrameId): void {
    const pages = this.k.folios.nrPages(head);
    this.stats.pagesWrittenBack += pages;
    this.syncClock();
    this.engine.copy(this.clockNs, false, pages, 1);
  }

  /** A large page comes back whole, or only the page that is touched: splitsOnReturn, bounces. */
  migrateToRam(fault: DeviceFault): number {
    const bounces = this.#bouncesOf(fault);
    if (!fault.isHuge && bounces?.merges(fault.vpn) === true) {
      const merged = returnMerged(this, fault);
      if (merged !== null) {
        bounces.noteMergedReturn(fault.vpn);
        this.stats.pagesMerged += HPAGE_PMD_NR;
        this.#chargeFault(merged);
        return FAULT_DONE;
      }
    }
    const isWhole =
      fault.isHuge && !this.spec.splitsOnReturn && bounces?.splits(fault.vpn) !== true;
    if (isWhole) bounces?.noteWholeReturn(fault.vpn);
    else bounces?.notePageReturn(fault.vpn);
    return this.#bringBack(fault, isWhole);
  }

  /** What is remembered of the process, if it has the device open and the driver remembers. */
  #bouncesOf({ vma }: DeviceFault): Bounces | null {
    if (this.spec.bounces === undefined) return null;
    for (const user of this.users) if (user.mm === vma.mm) return user.bounces;
    return null;
  }

  #chargeFault(moved: Moved): void {
    this.stats.cpuFaults++;
    this.stats.cpuFaultNs += piecewiseNs(this.spec.cost.fault, 1) + this.chargeReturn(moved);
  }

  #bringBack(fault: DeviceFault, isWhole: boolean): number {
    const { task, vma, page } = fault;
    const nr = isWhole ? HPAGE_PMD_NR : 1;
    const start = fault.vpn - (fault.vpn % nr);
    const select = this.select | (isWhole ? MIGRATE_VMA_SELECT_COMPOUND : 0);
    const m = new DeviceMigration(task, vma, start, start + nr, this, select, page);
    if (migrateVmaSetup(this.k, m) !== 0) return FAULT_SIGBUS;
    const isGiven = copyToSystem(this.k, m, this);
    if (isGiven) {
      for (const user of this.users) if (user.mm === vma.mm) user.forget(m);
      migrateVmaPages(this.k, m);
    }
    const moved = countMoved(m);
    migrateVmaFinalize(this.k, m);
    this.#chargeFault(moved);
    if (!isGiven) return FAULT_OOM;
    return moved.pages > 0 ? FAULT_DONE : FAULT_SIGBUS;
  }
}
