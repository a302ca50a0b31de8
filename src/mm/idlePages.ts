/**
 * Idle page tracking: the bits behind /sys/kernel/mm/page_idle/bitmap (mm/page_idle.c). HS-3..HS-8.
 *
 * Not modelled: translations that a TLB still holds and that hide an access (HS-9).
 */
import type { FrameId } from '../base/units.ts';
import { PG_IDLE, PG_LOCKED, PG_LRU, PG_TAIL, PG_YOUNG } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { rmapCollect } from './rmap.ts';
import { youngInRange } from './unmapFolio.ts';

/** Writes 1 to the bit of a frame; frames that take no part ignore it (HS-3, HS-4). */
export function setPageIdle(k: Kernel, page: FrameId): void {
  if (!takesPart(k, page)) return;
  clearAccessed(k, page);
  k.frames.set(page, PG_IDLE);
}

/** Reads the bit of a frame: whether nobody accessed it since it was set. HS-5. */
export function isPageIdle(k: Kernel, page: FrameId): boolean {
  if (!takesPart(k, page) || (k.frames.flags[page] & PG_IDLE) === 0) return false;
  clearAccessed(k, page);
  return (k.frames.flags[page] & PG_IDLE) !== 0;
}

/** HS-3, HS-7: heads on the LRU. */
function takesPart(k: Kernel, page: FrameId): boolean {
  return (k.frames.flags[page] & (PG_TAIL | PG_LRU)) === PG_LRU && k.frames.refcount[page] > 0;
}

/** HS-6: the sweep over all mappings. What it takes away from reclaim it keeps in PG_young. */
function clearAccessed(k: Kernel, head: FrameId): void {
  if (k.folios.mapcount(head) === 0 || (k.frames.flags[head] & PG_LOCKED) !== 0) return;
  let isReferenced = false;
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const { vma, vpn, sub, nr } = k.rmap;
    if (youngInRange(k, vma[r], head, vpn[r], sub[r], nr[r]) > 0) isReferenced = true;
  }
  if (!isReferenced) return;
  k.frames.clear(head, PG_IDLE);
  k.frames.set(head, PG_YOUNG);
}
