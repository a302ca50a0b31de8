/**
 * Taking folios off their lists for migration, and giving back those that stayed
 * (mm/folio_isolate_lru, mm/migrate.c: putback_movable_pages). MC-5, MC-6,
 * MC-62, OV-27.
 *
 * Not modelled: movable_ops pages (MC-71).
 */
import type { FrameId } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import { isolateHugetlb, putbackHugetlb } from './migrateHugetlb.ts';

/** Isolates a folio onto `list` and counts it in NR_ISOLATED; false if it is on no LRU list. */
export function isolateFolio(k: Kernel, head: FrameId, list: FrameId[]): boolean {
  if (k.folios.isHugetlb(head)) {
    if (!isolateHugetlb(k, head)) return false;
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
    k.lru.countIsolated(list[n], -1);
    k.lru.putback(0, list[n]);
  }
  list.length = 0;
}
