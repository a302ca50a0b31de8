/**
 * Page cache operations: adding, removing, dirtying, reading folios of files and shmem objects
 * (mm/filemap.c, mm/shmem.c). OV-24, OV-24a, OV-44.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import {
  NR_DIRTIED,
  NR_FILE_DIRTY,
  NR_FILE_PAGES,
  NR_FILE_THPS,
  NR_SHMEM,
  NR_SHMEM_THPS,
  NR_WRITTEN,
  NR_ZONE_WRITE_PENDING,
  vmEvent,
} from '../uapi/vmstat.ts';
import { fetchForWriteback } from './devicePageCache.ts';
import {
  MAPPING_NONE,
  PG_ACTIVE,
  PG_DIRTY,
  PG_PRIVATE,
  PG_REFERENCED,
  PG_SWAPBACKED,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { isDaxMemory } from './memremap.ts';
import { folioMkclean } from './mkclean.ts';

const PGPGOUT = vmEvent('pgpgout');

/** Inserts a fresh folio at `index`: nr references for the cache, one more for private data. */
export function addToPageCache(k: Kernel, file: MappedFile, index: number, head: FrameId): void {
  const f = k.frames;
  const nr = k.folios.nrPages(head);
  for (let i = 0; i < nr; i++) file.pages.set(index + i, head + i);
  f.refcount[head] += nr;
  k.folios.setFileMapping(head, file.id);
  f.setIndex(head, index);
  if (file.traits.swapbacked) f.flags[head] |= PG_SWAPBACKED;
  if (file.traits.private_) {
    f.flags[head] |= PG_PRIVATE;
    f.refcount[head]++;
  }
  accountCache(k, head, 1);
}

/** Gauges of a cached folio, with sign. */
function accountCache(k: Kernel, head: FrameId, sign: number): void {
  const nr = k.folios.nrPages(head) * sign;
  const nid = k.pm.nidOf(head);
  const shmem = (k.frames.flags[head] & PG_SWAPBACKED) !== 0;
  k.vmstat.modNode(nid, NR_FILE_PAGES, nr);
  if (shmem) k.vmstat.modNode(nid, NR_SHMEM, nr);
  if (k.folios.isThp(head)) k.vmstat.modNode(nid, shmem ? NR_SHMEM_THPS : NR_FILE_THPS, nr);
}

/** A PMD-order folio of the cache is about to be split: its gauges of huge pages fall. */
export function forgetHugeCache(k: Kernel, head: FrameId): void {
  if (!k.folios.isThp(head)) return;
  const shmem = (k.frames.flags[head] & PG_SWAPBACKED) !== 0;
  const item = shmem ? NR_SHMEM_THPS : NR_FILE_THPS;
  k.vmstat.modNode(k.pm.nidOf(head), item, -k.folios.nrPages(head));
}

/**
 * Takes a folio out of the cache (filemap_remove_folio). The caller put back swap entries or
 * backing content first where the data must survive. Drops the cache's references.
 */
export function removeFromPageCache(k: Kernel, head: FrameId, keepEntries: boolean): void {
  const f = k.frames;
  const file = k.files[k.folios.mappingId(head)];
  assert(file !== null && k.folios.hasFileMapping(head), 'folio is in a page cache');
  const nr = k.folios.nrPages(head);
  const index = f.indexOf(head);
  if (!keepEntries) for (let i = 0; i < nr; i++) file.pages.delete(index + i);
  if ((f.flags[head] & PG_DIRTY) !== 0) clearFolioDirty(k, head);
  accountCache(k, head, -1);
  f.mapping[head] = MAPPING_NONE;
  let refs = nr;
  // A journal that still holds buffers keeps the folio alive, without a mapping (MC-21).
  if ((f.flags[head] & PG_PRIVATE) !== 0 && !k.buffers.isHeld(head)) {
    f.flags[head] &= ~PG_PRIVATE;
    k.buffers.unlock(head);
    refs++;
  }
  for (let i = 0; i < nr; i++) f.bumpGeneration(head + i);
  k.putFolioRefs(head, refs);
}

/** folio_mark_dirty, with the dirty accounting of file systems that write back. */
export function setFolioDirty(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_DIRTY) !== 0) return;
  if (isDaxMemory(k, head)) return; // noop_dirty_folio
  k.frames.flags[head] |= PG_DIRTY;
  const file = k.folios.hasFileMapping(head) ? k.files[k.folios.mappingId(head)] : null;
  if (file === null || !file.traits.writeback) return;
  const nr = k.folios.nrPages(head);
  k.vmstat.modNode(k.pm.nidOf(head), NR_FILE_DIRTY, nr);
  k.vmstat.modNode(k.pm.nidOf(head), NR_DIRTIED, nr);
  modPending(k, head, nr);
}

/** folio_clear_dirty_for_io and friends. */
export function clearFolioDirty(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_DIRTY) === 0) return;
  k.frames.flags[head] &= ~PG_DIRTY;
  const file = k.folios.hasFileMapping(head) ? k.files[k.folios.mappingId(head)] : null;
  if (file === null || !file.traits.writeback) return;
  const nr = k.folios.nrPages(head);
  k.vmstat.modNode(k.pm.nidOf(head), NR_FILE_DIRTY, -nr);
  modPending(k, head, -nr);
}

/**
 * Dirty pages of a zone.
 * Not modelled: the counters of ZONE_DEVICE.
 */
export function modPending(k: Kernel, head: FrameId, pages: number): void {
  if (k.pm.isZoneDevice(head)) return;
  k.vmstat.modZone(k.pm.zoneOf(head).id, NR_ZONE_WRITE_PENDING, pages);
}

/** Writes a dirty folio to its backing store, at once (fsync, reclaim of dirty file pages). */
export function writeBack(k: Kernel, head: FrameId): void {
  const file = k.files[k.folios.mappingId(head)]!;
  fetchForWriteback(k, head);
  if (k.folios.mapcount(head) > 0 && folioMkclean(k, head)) setFolioDirty(k, head);
  clearFolioDirty(k, head);
  const nr = k.folios.nrPages(head);
  storeContent(k, file, head);
  k.vmstat.modNode(k.pm.nidOf(head), NR_WRITTEN, nr);
  k.vmstat.count(PGPGOUT, nr * 4);
}

/** Keeps the folio's content words in the file's backing store. */
function storeContent(k: Kernel, file: MappedFile, head: FrameId): void {
  const content = k.frames.content;
  if (content === null) return;
  const index = k.frames.indexOf(head);
  const nr = k.folios.nrPages(head);
  for (let i = 0; i < nr; i++) file.backing.set(index + i, content[head + i]);
}

/**
 * folio_mark_accessed through read(2)/write(2) and mapped faults of the page cache.
 * Deviates: a page of a device, which is on no LRU, is not marked; Linux sets PG_referenced.
 */
export function cacheAccessed(k: Kernel, head: FrameId): void {
  if (k.pm.isZoneDevice(head)) return;
  if ((k.frames.flags[head] & (PG_REFERENCED | PG_ACTIVE)) === 0) {
    k.frames.flags[head] |= PG_REFERENCED;
  } else k.lru.markAccessed(head);
}
