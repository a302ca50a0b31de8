/**
 * Taking folios off their lists for migration, and giving back those that stayed
 * (mm/folio_isolate_lru, mm/migrate.c: putback_movable_pages). MC-5, MC-62, OV-27.
 *
 * Not modelled: hugetlb folios (MC-6) and movable_ops pages (MC-71), which have ways of their own.
 */
import type { FrameId } from '../base/units.ts';
import type { Kernel } from './kernel.ts';

/** Isolates a folio onto `list` and counts it in NR_ISOLATED; false if it is on no LRU list. */
export function isolateFolio(k: Kernel, head: FrameId, list: FrameId[]): boolean {
  if (!k.lru.isolate(head)) return false;
  k.lru.countIsolated(head, 1);
  list.push(head);
  return true;
}

/** Leftovers of a migration go back to the LRU their flags select; `list` is empty afterwards. */
export function putbackMovablePages(k: Kernel, list: FrameId[]): void {
  for (let n = 0; n < list.length; n++) {
    k.lru.countIsolated(list[n], -1);
    k.lru.putback(0, list[n]);
  }
  list.length = 0;
}
