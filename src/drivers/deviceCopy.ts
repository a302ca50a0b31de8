/**
 * What drivers do between migrate_vma_setup and migrate_vma_pages: allocate a destination for each
 * page that can move, and copy (lib/test_hmm.c: dmirror_migrate_alloc_and_copy,
 * dmirror_devmem_fault_alloc_and_copy). DM-28, DM-41a, DM-61, DM-62.
 *
 * To the device, a page for which there is none stays where it is. To system memory, all move or,
 * when memory runs out, none.
 */
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Vpn } from '../base/units.ts';
import {
  allocFolioPolicy,
  allocVmaFolio,
  clearPages,
  copyPages,
  type DeviceMigration,
  type Kernel,
  NO_INTERLEAVE_INDEX,
  PG_LOCKED,
  type Task,
} from '../mm/index.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';

/** A driver's pages. */
export interface DeviceFolios {
  /** A locked folio with one reference, 2 MiB if `isLarge`, or -1. */
  allocate(isLarge: boolean, task: Task): FrameId;
  owns(frame: FrameId): boolean;
  /** A locked system folio for a slot, or -1; allocateSystemFolio does it. */
  allocateSystem(m: DeviceMigration, slot: number, order: number): FrameId;
}

/**
 * Device pages for system pages and holes; a page on a device already, or that `stays`, is left
 * where it is.
 */
export function copyToDevice(
  k: Kernel,
  m: DeviceMigration,
  device: DeviceFolios,
  stays: (vpn: Vpn) => boolean = () => false,
): void {
  for (let i = 0; i < m.npages; i++) {
    if (!m.wants(i) || stays(m.start + i)) continue;
    const src = m.src[i];
    if (src >= 0 && k.pm.isZoneDevice(src)) continue;
    const isLarge = m.isCompound(i);
    const large = isLarge ? device.allocate(true, m.task) : -1;
    if (large >= 0) {
      fillPages(k, large, src, HPAGE_PMD_NR);
      m.setDestination(i, large, true);
      continue;
    }
    for (let n = 0; n < (isLarge ? HPAGE_PMD_NR : 1); n++) {
      const small = device.allocate(false, m.task);
      if (small < 0) continue;
      fillPages(k, small, src < 0 ? -1 : src + n, 1);
      m.setDestination(i + n, small, false);
    }
  }
}

/** Content for fresh device pages: that of `src`, or zeroes for a hole. */
function fillPages(k: Kernel, to: FrameId, src: FrameId, nr: number): void {
  if (src < 0) clearPages(k, to, nr);
  else copyPages(k, to, src, nr);
}

/**
 * System pages by the policy of the addresses, and the content. False when memory ran out: then no
 * slot has one.
 */
export function copyToSystem(k: Kernel, m: DeviceMigration, device: DeviceFolios): boolean {
  for (let i = 0; i < m.npages; i++) {
    const src = m.src[i];
    if (!m.wants(i) || src < 0 || !device.owns(src)) continue;
    const isLarge = m.isCompound(i);
    const head = device.allocateSystem(m, i, isLarge ? HPAGE_PMD_ORDER : 0);
    if (head >= 0) {
      copyPages(k, head, src, isLarge ? HPAGE_PMD_NR : 1);
      m.setDestination(i, head, isLarge);
    } else if (!isLarge || !copySmall(k, m, device, i, src)) {
      takeBack(k, m);
      return false;
    }
  }
  return true;
}

/** 512 small pages for a large one. */
function copySmall(
  k: Kernel,
  m: DeviceMigration,
  device: DeviceFolios,
  slot: number,
  src: FrameId,
): boolean {
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    const small = device.allocateSystem(m, slot + n, 0);
    if (small < 0) return false;
    copyPages(k, small, src + n, 1);
    m.setDestination(slot + n, small, false);
  }
  return true;
}

function takeBack(k: Kernel, m: DeviceMigration): void {
  for (let i = 0; i < m.npages; i++) {
    if (m.dst[i] < 0) continue;
    k.frames.clear(m.dst[i], PG_LOCKED);
    k.putFolio(m.dst[i]);
    m.clearDestination(i);
  }
}

/** alloc_page_vma, or alloc_pages when no VMA is known; locked. -1 = no memory. */
export function allocateSystemFolio(
  k: Kernel,
  m: DeviceMigration,
  slot: number,
  order: number,
): FrameId {
  const { task, vma } = m;
  const gfp = GFP_HIGHUSER_MOVABLE;
  const head =
    vma === null
      ? allocFolioPolicy(k, task, task.policy, NO_INTERLEAVE_INDEX, order, gfp)
      : allocVmaFolio(k, task, vma, m.start + slot, order, gfp);
  if (head >= 0) k.frames.set(head, PG_LOCKED);
  return head;
}
