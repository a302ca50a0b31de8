/**
 * hmm_migrate: migration to and from device memory as the HMM patches of 2016 had it (v13, v14;
 * never merged in this form), on the engine of migrate_vma. D1, DM-95..DM-98.
 *
 * Order: collect what has an entry into the pfn array -> lock, isolate, unmap, look for other
 * references -> the driver's allocAndCopy -> switch what can be -> v14: the driver's
 * finalizeAndMap, then the entries come back; v13: the entries, then the driver's cleanup.
 * What today's interface has and this has not: holes and the zero page, large folios (both are
 * left out), the page of a fault, a driver that works between calls instead of in callbacks.
 * Deviates: who owns device pages is compared as today; 2016 took those of any device.
 */
import type { Vpn } from '../base/units.ts';
import { EINVAL } from '../uapi/errno.ts';
import {
  DeviceMigration,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_ENTRIES,
  MIGRATE_VMA_SELECT_SYSTEM,
} from './deviceMigration.ts';
import type { Kernel } from './kernel.ts';
import { migrateVmaFinalize, migrateVmaSetup } from './migrateVma.ts';
import { migrateVmaPages } from './migrateVmaPages.ts';
import { MARKER_POISONED, PTE_KIND_MARKER, pteOther } from './pageTable.ts';
import type { Task } from './task.ts';
import type { Vma } from './vma.ts';
import { zapRange } from './zap.ts';

/** Of a destination: the driver lost the data, and the address gets SIGBUS from now on. */
export const HMM_PFN_MIGRATE_ERROR = 128;

export type HmmMigrateVersion = 'v13' | 'v14';

/** struct hmm_migrate_ops. */
export interface HmmMigrateOps {
  /**
   * For each slot that the migration wants: allocates a locked destination, copies, enters it. A
   * slot without a destination stays where it is.
   */
  allocAndCopy(m: DeviceMigration): void;
  /**
   * finalize_and_map (v14), cleanup (v13): slots that still want to migrate have done so; now the
   * device may update its own page table.
   */
  finalizeAndMap(m: DeviceMigration): void;
}

/**
 * hmm_vma_migrate: pages [start, end) of an area, in either direction. 0, also when nothing could
 * be moved; -EINVAL (outside the area, a special area).
 */
export function hmmVmaMigrate(
  k: Kernel,
  task: Task,
  vma: Vma,
  start: Vpn,
  end: Vpn,
  owner: object,
  ops: HmmMigrateOps,
  version: HmmMigrateVersion = 'v14',
): number {
  const select =
    MIGRATE_VMA_SELECT_SYSTEM |
    MIGRATE_VMA_SELECT_DEVICE_PRIVATE |
    MIGRATE_VMA_SELECT_DEVICE_COHERENT |
    MIGRATE_VMA_SELECT_ENTRIES;
  const m = new DeviceMigration(task, vma, start, end, owner, select);
  const ret = migrateVmaSetup(k, m);
  if (ret < 0) return -EINVAL;
  if (m.cpages === 0) return 0;
  ops.allocAndCopy(m);
  const lost = takeErrors(m);
  migrateVmaPages(k, m);
  if (version === 'v14') ops.finalizeAndMap(m);
  migrateVmaFinalize(k, m);
  for (const slot of lost) poison(k, vma, start + slot);
  if (version === 'v13') ops.finalizeAndMap(m);
  return 0;
}

/** The slots whose data is lost; nothing is moved there. */
function takeErrors(m: DeviceMigration): number[] {
  const lost: number[] = [];
  for (let i = 0; i < m.npages; i++) {
    if (!m.wants(i) || (m.dstBits[i] & HMM_PFN_MIGRATE_ERROR) === 0) continue;
    m.clearDestination(i);
    lost.push(i);
  }
  return lost;
}

/** The page goes, and whoever touches the address gets SIGBUS. */
function poison(k: Kernel, vma: Vma, vpn: Vpn): void {
  zapRange(k, vma, vpn, vpn + 1);
  const i = vma.mm.pteIndex(vpn);
  k.ptes.set(i, pteOther(PTE_KIND_MARKER, MARKER_POISONED), 0);
}
