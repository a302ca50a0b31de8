/**
 * Taking pages off their lists for migration, and giving back those that stayed
 * (mm/migrate.c: isolate_folio_to_list, putback_movable_pages). MC-5, MC-6, MC-62, MC-71, OV-27.
 */
import type { FrameId } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import { isolateHugetlb, putbackHugetlb } from './migrateHugetlb.ts';
import { hasMovableOps, isolateMovableOpsPage, putbackMovableOpsPage } from './movableOps.ts';

/**
 * isolate_folio_to_list: takes a folio off its LRU list, a hugetlb page off the active list, a page
 * of a driver out of the driver's reach, and appends it to `list`; false if that cannot be. Folios
 * of LRU lists are counted in NR_ISOLATED.
 */
export function isolateFolio(k: Kernel, head: FrameId, list: FrameId[]): boolean {
  if (k.folios.isHugetlb(head)) {
    if (!isolateHugetlb(k, head)) return false;
    list.push(head);
    return true;
  }
  if (hasMovableOps(k, head)) {
    if (!isolateMovableOpsPage(k, head)) return false;
    list.push(head);
    return true;
  }
  if (!k.lru.isolate(head)) return false;
  k.lru.countIsolated(head, 1);
  list.push(head);
  return true;
}

/** Leftovers of a migration go back to the LRU their flags select; `list` is empty afterwards. */
export function putbackMovablePages(k: Kernel, list: FrameId[]): void {
  for (let n = 0; n < list.length; n++) {
    if (k.folios.isHugetlb(list[n])) {
      putbackHugetlb(k, list[n]);
      continue;
    }
    if (hasMovableOps(k, list[n])) {
      putbackMovableOpsPage(k, list[n]);
      continue;
    }
    k.lru.countIsolated(list[n], -1);
    k.lru.putback(0, list[n]);
  }
  list.length = 0;
}
