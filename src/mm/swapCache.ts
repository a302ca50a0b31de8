/**
 * The swap cache: anonymous (and shmem) folios associated with swap slots
 * (mm/swap_state.c). OV-25. private_ of the head holds the first slot.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { NR_FILE_PAGES, NR_SWAPCACHE } from '../uapi/vmstat.ts';
import { PG_LOCKED, PG_SWAPCACHE, PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';

/** Adds a folio at consecutive slots; takes nr references. */
export function addToSwapCache(k: Kernel, head: FrameId, slot: number): void {
  const f = k.frames;
  const nr = k.folios.nrPages(head);
  assert((f.flags[head] & PG_SWAPCACHE) === 0, 'folio is in the swap cache already');
  for (let i = 0; i < nr; i++) k.swap.addToCache(slot + i, head + i);
  f.refcount[head] += nr;
  f.private_[head] = slot;
  f.flags[head] |= PG_SWAPCACHE;
  const nid = k.pm.nidOf(head);
  k.vmstat.modNode(nid, NR_SWAPCACHE, nr);
  k.vmstat.modNode(nid, NR_FILE_PAGES, nr);
}

/** Removes a folio from the swap cache and drops the cache's references. */
export function deleteFromSwapCache(k: Kernel, head: FrameId): void {
  const f = k.frames;
  const nr = k.folios.nrPages(head);
  const slot = f.private_[head];
  f.flags[head] &= ~PG_SWAPCACHE;
  f.private_[head] = 0;
  const nid = k.pm.nidOf(head);
  k.vmstat.modNode(nid, NR_SWAPCACHE, -nr);
  k.vmstat.modNode(nid, NR_FILE_PAGES, -nr);
  for (let i = 0; i < nr; i++) k.swap.removeFromCache(slot + i);
  k.putFolioRefs(head, nr);
}

/** free_swap_cache: the last mapping went; the cached copy goes too if no slot is referred to. */
export function freeUnmappedSwapCache(k: Kernel, head: FrameId): void {
  const flags = k.frames.flags[head];
  if ((flags & PG_SWAPCACHE) === 0 || (flags & PG_LOCKED) !== 0) return;
  if (k.folios.mapcount(head) === 0) freeSwapCache(k, head);
}

/** folio_free_swap: drops the cache if no page table refers to the slots any more. */
export function freeSwapCache(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_SWAPCACHE) === 0) return;
  if ((k.frames.flags[head] & PG_WRITEBACK) !== 0) return;
  const nr = k.folios.nrPages(head);
  const slot = k.frames.private_[head];
  for (let i = 0; i < nr; i++) if (k.swap.count(slot + i) > 0) return;
  deleteFromSwapCache(k, head);
}
