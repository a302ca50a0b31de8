/**
 * Birth and death of folios: allocation for user memory, and what happens when the last reference
 * goes (mm/page_alloc.c, mm/swap.c: __folio_put).
 */
import { assert } from '../base/assert.ts';
import type { FrameId, Nid } from '../base/units.ts';
import { __GFP_COMP } from '../uapi/gfp.ts';
import { NR_MLOCK, vmEvent } from '../uapi/vmstat.ts';
import {
  PG_DEFERRED_SPLIT,
  PG_HEAD,
  PG_HUGETLB,
  PG_HWPOISON,
  PG_LRU,
  PG_MLOCKED,
  PG_SWAPCACHE,
  PG_UPTODATE,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { freeZoneDeviceFolio } from './memremap.ts';
import { allocPages, freePages } from './pageAlloc.ts';

const UNEVICTABLE_PGS_CLEARED = vmEvent('unevictable_pgs_cleared');

/**
 * A folio with one reference, up to date, zero content, not on an LRU; -1 when the allocator
 * gives up. Anonymous order 1 does not exist (OV-11).
 */
export function allocFolio(
  k: Kernel,
  order: number,
  gfp: number,
  nid: Nid,
  nodemask: number,
): FrameId {
  const head = allocPages(k.pm, order, order > 0 ? gfp | __GFP_COMP : gfp, nid, nodemask);
  if (head >= 0) initFolio(k, head, order);
  return head;
}

/** A block fresh from the allocator becomes such a folio. */
export function initFolio(k: Kernel, head: FrameId, order: number): void {
  if (order > 0) k.folios.initLarge(head, true);
  k.frames.flags[head] |= PG_UPTODATE;
  k.frames.lastCpupid[head] = 0xffff;
  if (k.frames.content !== null) k.frames.content.fill(0, head, head + (1 << order));
}

/** The last reference of a folio is gone: off its lists and back to the allocator it is from. */
export function releaseFolio(k: Kernel, head: FrameId): void {
  const f = k.frames;
  if (k.pm.isZoneDevice(head)) {
    freeZoneDeviceFolio(k, head);
    return;
  }
  let flags = f.flags[head];
  if ((flags & PG_HUGETLB) !== 0) {
    k.hugetlb.free(head);
    return;
  }
  assert((flags & PG_SWAPCACHE) === 0, 'folio freed while in the swap cache', head);
  if ((flags & PG_LRU) !== 0) k.lru.remove(head);
  const nr = k.folios.nrPages(head);
  const order = nr === 1 ? 0 : f.orderOf(head);
  if ((flags & PG_MLOCKED) !== 0) {
    k.vmstat.modZone(k.pm.zoneOf(head).id, NR_MLOCK, -nr);
    k.vmstat.count(UNEVICTABLE_PGS_CLEARED, nr);
  }
  if ((flags & PG_DEFERRED_SPLIT) !== 0) k.deferredSplit.delete(head);
  flags = f.flags[head];
  // Typed pages have negative mapcounts.
  assert(k.folios.mapcount(head) <= 0, 'folio freed while mapped', head);
  if (nr === 1 && (flags & PG_HWPOISON) !== 0) return;
  clearLargeFields(k, head, flags);
  f.mapping[head] = 0;
  f.flags[head] &= PG_HEAD;
  freePages(k.pm, head, order);
}

function clearLargeFields(k: Kernel, head: FrameId, flags: number): void {
  if ((flags & PG_HEAD) === 0) return;
  const f = k.frames;
  f.refcount[head + 1] = 0;
  f.private_[head + 1] = 0;
  f.indexLow[head + 1] = 0;
}
