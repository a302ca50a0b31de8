/**
 * Migration to and from device memory, driven by the device's driver (mm/migrate_device.c).
 * DM-20..DM-33, DM-35, DM-36, DM-112.
 *
 * Order: setup (collect the pages of a range behind migration entries, unmap them everywhere) ->
 * the driver allocates destinations and copies -> pages (switch what can be switched) -> the driver
 * looks which slots kept MIGRATE -> finalize (entries of the destination, or of the source again).
 * Between two of these anything may happen; who touches the pages waits.
 *
 * pgmigrate_* and nr_isolated_* are not touched (DM-26).
 */
import type { FrameId } from '../base/units.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import { __GFP_NOWARN, GFP_USER } from '../uapi/gfp.ts';
import { MR_TYPES } from '../uapi/migrate.ts';
import {
  DeviceMigration,
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
} from './deviceMigration.ts';
import { PG_LOCKED, PG_LRU, PG_PRIVATE, PG_SWAPCACHE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { copyPages, isDevicePrivate } from './memremap.ts';
import { collectVma } from './migrateVmaCollect.ts';
import { migrateVmaPages } from './migrateVmaPages.ts';
import { removeMigrationPtes, tryToMigrate } from './migrationEntries.ts';
import { releaseSource } from './moveFolio.ts';
import { allocFolioPolicy, NO_INTERLEAVE_INDEX } from './policyNode.ts';
import type { Task } from './task.ts';
import { VM_DAX, VM_HUGETLB, VM_SPECIAL } from './vma.ts';

/** migrate_vma_setup: 0, also when nothing was collected; -EINVAL (DM-20). */
export function migrateVmaSetup(k: Kernel, m: DeviceMigration): number {
  const { vma, start, end, faultPage } = m;
  if (vma === null || vma.has(VM_HUGETLB | VM_SPECIAL | VM_DAX)) return -EINVAL;
  if (end <= start || start < vma.start || end > vma.end) return -EINVAL;
  if (faultPage >= 0) {
    const isLocked = (k.frames.flags[k.frames.headOf(faultPage)] & PG_LOCKED) !== 0;
    if (!isDevicePrivate(k, faultPage) || !isLocked) return -EINVAL;
  }
  collectVma(k, m, vma);
  if (m.cpages > 0) unmapCollected(k, m);
  return 0;
}

/**
 * migrate_device_range: the folios of frames [start, start + npages), whoever maps them; for a
 * driver that gives memory back (DM-35).
 */
export function migrateDeviceRange(
  k: Kernel,
  task: Task,
  start: FrameId,
  npages: number,
): DeviceMigration {
  const heads: FrameId[] = [];
  for (let i = 0; i < npages; i += k.folios.nrPages(start + i)) heads.push(start + i);
  return migrateDevicePfns(k, task, heads);
}

/**
 * migrate_device_pfns (6.15+): folios that need not lie beside each other, by their heads, each
 * once; one slot for each of its pages, the first of which stands for all (DM-35).
 */
export function migrateDevicePfns(
  k: Kernel,
  task: Task,
  heads: readonly FrameId[],
): DeviceMigration {
  const f = k.frames;
  const npages = heads.reduce((sum, head) => sum + k.folios.nrPages(head), 0);
  const m = new DeviceMigration(task, null, 0, npages, null, 0);
  m.npages = npages;
  let i = 0;
  for (const head of heads) {
    const nr = k.folios.nrPages(head);
    if ((f.flags[head] & PG_LOCKED) === 0 && k.folios.tryGet(head)) {
      f.flags[head] |= PG_LOCKED;
      m.src[i] = head;
      const bits = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
      m.srcBits[i] = bits | (nr > 1 ? MIGRATE_PFN_COMPOUND : 0);
      m.cpages++;
    }
    i += nr;
  }
  unmapCollected(k, m);
  return m;
}

/** migrate_device_unmap: DM-25. What cannot be moved is put back as it was and its slot cleared. */
function unmapCollected(k: Kernel, m: DeviceMigration): void {
  const f = k.frames;
  let mayDrain = true;
  k.lru.drainCpu(m.task.cpu);
  for (let i = 0; i < m.npages; i++) {
    const page = m.src[i];
    if (page < 0 || !m.wants(i)) continue;
    const head = f.headOf(page);
    const isDevice = k.pm.isZoneDevice(head);
    if (!isDevice) {
      if ((f.flags[head] & PG_LRU) === 0 && mayDrain) {
        k.lru.drainAll();
        mayDrain = false;
      }
      if (!k.lru.isolate(head)) {
        deselect(k, m, i);
        continue;
      }
      k.putFolio(head);
    }
    if (k.folios.mapcount(head) > 0) tryToMigrate(k, head, false);
    if (k.folios.mapcount(head) > 0 || !hasNoOtherReference(k, m, head)) {
      if (!isDevice) {
        k.folios.get(head);
        k.lru.putback(m.task.cpu, head);
      }
      deselect(k, m, i);
    }
  }
}

/** migrate_vma_check_page: DM-25, DM-27. */
function hasNoOtherReference(k: Kernel, m: DeviceMigration, head: FrameId): boolean {
  const f = k.frames;
  let extra = 1;
  if (m.isFaultFolio(k, head)) extra++;
  if (k.pm.isZoneDevice(head)) extra++;
  const isCached = (f.flags[head] & PG_SWAPCACHE) !== 0;
  if (k.folios.hasFileMapping(head) || isCached) {
    extra += 1 + ((f.flags[head] & PG_PRIVATE) !== 0 ? 1 : 0);
  }
  return f.refcount[head] - extra <= k.folios.mapcount(head);
}

/** The entries come back, lock and reference go, the slot is empty. */
function deselect(k: Kernel, m: DeviceMigration, slot: number): void {
  const head = k.frames.headOf(m.src[slot]);
  removeMigrationPtes(k, head, head);
  m.src[slot] = -1;
  m.srcBits[slot] = 0;
  m.cpages--;
  unlockSource(k, m, head);
  k.putFolio(head);
}

function unlockSource(k: Kernel, m: DeviceMigration, head: FrameId): void {
  if (!m.isFaultFolio(k, head)) k.frames.clear(head, PG_LOCKED);
}

/** migrate_vma_finalize, migrate_device_finalize: DM-31. */
export function migrateVmaFinalize(k: Kernel, m: DeviceMigration): void {
  for (let i = 0; i < m.npages; i++) {
    const to = m.dst[i] < 0 ? -1 : k.frames.headOf(m.dst[i]);
    if (m.src[i] < 0) {
      if (to >= 0) letGo(k, to);
      continue;
    }
    finalizeSlot(k, m, k.frames.headOf(m.src[i]), m.wants(i) ? to : -1);
    if (to >= 0 && !m.wants(i)) letGo(k, to);
  }
}

/** `dst` -1: the source stays. */
function finalizeSlot(k: Kernel, m: DeviceMigration, src: FrameId, dst: FrameId): void {
  const now = dst < 0 ? src : dst;
  const isDevice = k.pm.isZoneDevice(now);
  if (!isDevice) k.lru.addBatched(m.task.cpu, now);
  removeMigrationPtes(k, src, now);
  unlockSource(k, m, src);
  if (dst < 0) {
    k.putFolio(src);
    return;
  }
  if (k.pm.isZoneDevice(src)) k.putFolio(src);
  else releaseSource(k, src, MR_TYPES);
  letGo(k, dst);
}

/** unlock_page and put_page of a destination. */
function letGo(k: Kernel, head: FrameId): void {
  k.frames.clear(head, PG_LOCKED);
  k.putFolio(head);
}

/**
 * migrate_device_coherent_folio: a coherent page comes to system memory so that it can be pinned
 * for long (DM-36). The caller holds one reference, which is used up. 0 or -EBUSY.
 *
 * Deviates: a large coherent folio stays where it is, -EBUSY; Linux 6.19 and newer warns
 * (WARN_ON_ONCE) and puts one small page in its place.
 */
export function migrateDeviceCoherentFolio(k: Kernel, task: Task, head: FrameId): number {
  const f = k.frames;
  if (k.folios.isLarge(head) || (f.flags[head] & PG_LOCKED) !== 0) {
    k.putFolio(head);
    return -EBUSY;
  }
  f.flags[head] |= PG_LOCKED;
  const m = new DeviceMigration(task, null, 0, 1, null, 0);
  m.npages = 1;
  m.src[0] = head;
  m.srcBits[0] = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
  unmapCollected(k, m);
  if (!m.wants(0)) return -EBUSY;
  const gfp = GFP_USER | __GFP_NOWARN;
  const fresh = allocFolioPolicy(k, task, task.policy, NO_INTERLEAVE_INDEX, 0, gfp);
  if (fresh >= 0) {
    f.flags[fresh] |= PG_LOCKED;
    m.setDestination(0, fresh, false);
  }
  migrateVmaPages(k, m);
  const moved = m.wants(0);
  if (moved) copyPages(k, fresh, head, 1);
  migrateVmaFinalize(k, m);
  return moved ? 0 : -EBUSY;
}
