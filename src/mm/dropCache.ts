/**
 * Giving up page cache that can be read again (mm/truncate.c: mapping_try_invalidate,
 * mapping_evict_folio; mm/fadvise.c; fs/drop_caches.c). OV-23, OV-24.
 *
 * Clean folios that nobody maps, holds or writes back go; all others stay. Files without a backing
 * store (tmpfs, ramfs, secret memory) keep everything.
 */
import type { FrameId } from '../base/units.ts';
import { removeFromPageCache, writeBack } from './fileFolio.ts';
import { PG_DIRTY, PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';

/** POSIX_FADV_DONTNEED of the whole file: clean folios go; dirty ones are written and stay. */
export function dropCleanCache(k: Kernel, file: MappedFile): void {
  if (!file.traits.writeback) return;
  k.lru.drainAll();
  for (const head of foliosOf(k, file)) {
    if (mayEvict(k, head)) removeFromPageCache(k, head, false);
    else if (k.frames.has(head, PG_DIRTY)) writeBack(k, head);
  }
}

/** vm.drop_caches = 1: of every file. */
export function dropPagecache(k: Kernel): void {
  k.lru.drainAll();
  for (const file of k.files) {
    if (file === null || !file.traits.writeback) continue;
    for (const head of foliosOf(k, file)) {
      if (mayEvict(k, head)) removeFromPageCache(k, head, false);
    }
  }
}

function foliosOf(k: Kernel, file: MappedFile): Set<FrameId> {
  const heads = [...file.pages.keys()].map((index) => file.frameAt(index));
  return new Set(heads.filter((page) => page >= 0).map((page) => k.frames.headOf(page)));
}

/** mapping_evict_folio: nobody but the cache refers to it. */
function mayEvict(k: Kernel, head: FrameId): boolean {
  const busy = k.frames.has(head, PG_DIRTY | PG_WRITEBACK) || k.inFlight.has(head);
  if (busy || k.folios.mapcount(head) > 0) return false;
  return k.frames.refcount[head] === k.folios.expectedRefs(head);
}
