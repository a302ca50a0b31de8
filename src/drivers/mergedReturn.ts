/**
 * All of 2 MiB comes back from a device at once, as one large page, wherever its pages are:
 * experimental (device_merge_on_return). D8.
 */
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER } from '../base/units.ts';
import {
  clearPages,
  copyPages,
  type DeviceFault,
  DeviceMigration,
  MIGRATE_VMA_SELECT_SYSTEM,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
} from '../mm/index.ts';
import type { Accelerator } from './accelerator.ts';
import type { Moved } from './movedPages.ts';

/**
 * The 2 MiB around a CPU fault on a small page. What came from the device; null: it cannot be one
 * page, and nothing has changed.
 */
export function returnMerged(device: Accelerator, fault: DeviceFault): Moved | null {
  const { k } = device;
  const { task, vma, vpn, page } = fault;
  const start = vpn - (vpn % HPAGE_PMD_NR);
  const select = device.select | MIGRATE_VMA_SELECT_SYSTEM;
  const m = new DeviceMigration(task, vma, start, start + HPAGE_PMD_NR, device, select, page);
  if (migrateVmaSetup(k, m) !== 0) return null;
  const pages = copyMerged(device, m);
  if (pages > 0) {
    for (const user of device.users) if (user.mm === vma.mm) user.forget(m);
    migrateVmaPages(k, m);
  }
  const isMerged = pages > 0 && m.wants(0);
  migrateVmaFinalize(k, m);
  return isMerged ? { pieces: pages, pages, copied: pages } : null;
}

/** A large page for slot 0 with the content of all. How many are the device's; 0 = not possible. */
function copyMerged(device: Accelerator, m: DeviceMigration): number {
  const { k } = device;
  if (m.npages !== HPAGE_PMD_NR) return 0;
  for (let i = 0; i < m.npages; i++) if (!m.wants(i)) return 0;
  const head = device.allocateSystem(m, 0, HPAGE_PMD_ORDER);
  if (head < 0) return 0;
  let pages = 0;
  for (let i = 0; i < m.npages; i++) {
    const src = m.src[i];
    if (src < 0) clearPages(k, head + i, 1);
    else copyPages(k, head + i, src, 1);
    if (src >= 0 && device.owns(src)) pages++;
  }
  m.setDestination(0, head, true);
  return pages;
}
