/**
 * write(2) and fsync(2) of files: filling the page cache under the writer's policy
 * (mm/filemap.c: generic_perform_write, __filemap_get_folio; fs/iomap, mm/shmem.c). OV-24a.
 */
import type { FrameId } from '../base/units.ts';
import { EIO, ENOMEM, ENOSPC } from '../uapi/errno.ts';
import { GFP_HIGHUSER, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { writeDaxPages } from './daxFault.ts';
import { lookUpCached, NO_ROOM_FOR_RETURN, STAYS_ON_DEVICE } from './devicePageCache.ts';
import { FAULT_ERROR } from './fault.ts';
import { cacheRead } from './faultFile.ts';
import { addToPageCache, cacheAccessed, setFolioDirty, writeBack } from './fileFolio.ts';
import { PG_DIRTY, PG_IDLE, PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { allocFolioPolicy, NO_INTERLEAVE_INDEX } from './policyNode.ts';
import type { Task } from './task.ts';

/** Largest folio of the page cache: a PMD's. */
const MAX_PAGECACHE_ORDER = 9;

/**
 * One write(2) of whole pages [index, index + words.length); words are the pages' contents. The
 * file grows as needed. Returns 0 or -ENOMEM, -ENOSPC with the pages before written.
 */
export function writeFilePages(
  k: Kernel,
  task: Task,
  file: MappedFile,
  index: number,
  words: Uint32Array,
): number {
  if (file.kind === 'dax') return writeDaxPages(k, file, index, words);
  const end = index + words.length;
  let at = index;
  while (at < end) {
    const head = folioForWrite(k, task, file, at, end);
    if (head < 0) return head;
    const first = k.frames.indexOf(head);
    const last = Math.min(end, first + k.folios.nrPages(head));
    if (k.frames.content !== null) {
      k.frames.content.set(words.subarray(at - index, last - index), head + (at - first));
    }
    setFolioDirty(k, head);
    // Only shmem counts a write as an access (SGP_WRITE); others no longer look idle.
    if (file.isShmem()) cacheAccessed(k, head);
    else k.frames.clear(head, PG_IDLE);
    at = last;
    file.sizePages = Math.max(file.sizePages, at);
  }
  return 0;
}

/** The cached folio of a page, or a new one as large as the write allows; a negative errno. */
function folioForWrite(
  k: Kernel,
  task: Task,
  file: MappedFile,
  index: number,
  end: number,
): FrameId {
  const found = lookUpCached(k, task, file, index);
  if (found === STAYS_ON_DEVICE) return -EIO;
  if (found === NO_ROOM_FOR_RETURN) return -ENOMEM;
  const cached = lockedPage(k, file, index);
  if (cached >= 0) return k.frames.headOf(cached);
  if (file.swapSlotAt(index) >= 0) {
    const read = cacheRead(k, task, file, index);
    return (read.outcome & FAULT_ERROR) !== 0 ? -ENOMEM : k.frames.headOf(read.page);
  }
  const gfp = file.gfpZone === ZONE_MOVABLE ? GFP_HIGHUSER_MOVABLE : GFP_HIGHUSER;
  const own = file.isShmem() ? file.policyAt(index) : null;
  const ilx = own === null ? NO_INTERLEAVE_INDEX : index;
  let head = -1;
  for (let order = largestOrder(k, file, index, end); order >= 0 && head < 0; order--) {
    // Anonymous memory has no order 1, and the page cache makes none either.
    if (order !== 1) head = allocFolioPolicy(k, task, own ?? task.policy, ilx, order, gfp);
  }
  if (head < 0) return file.isShmem() ? -ENOSPC : -ENOMEM;
  addToPageCache(k, file, index, head);
  k.lru.addBatched(task.cpu, head);
  k.putFolio(head);
  return head;
}

/** The cached page of an index once nobody migrates it any more (folio_lock, MC-90), or -1. */
function lockedPage(k: Kernel, file: MappedFile, index: number): FrameId {
  const page = file.frameAt(index);
  if (page < 0) return -1;
  const holder = k.inFlight.get(k.frames.headOf(page));
  if (holder === undefined) return page;
  holder.finish();
  return file.frameAt(index);
}

/** OV-24a: naturally aligned, no larger than what is left of the write, nothing cached inside. */
function largestOrder(k: Kernel, file: MappedFile, index: number, end: number): number {
  if (!file.traits.largeFolios || !k.profile.largeFileFolios) return 0;
  let order = 0;
  while (order < MAX_PAGECACHE_ORDER) {
    const nr = 2 << order;
    if (index % nr !== 0 || index + nr > end) break;
    order++;
  }
  for (let n = 1; n < 1 << order; n++) if (file.pages.has(index + n)) return 0;
  return order;
}

/** fsync: writes every dirty folio of the file to its backing store. */
export function syncFile(k: Kernel, file: MappedFile): void {
  if (!file.traits.writeback) return;
  const seen = new Set<FrameId>();
  for (const index of [...file.pages.keys()]) {
    const page = lockedPage(k, file, index);
    if (page >= 0) seen.add(k.frames.headOf(page));
  }
  for (const head of seen) {
    if ((k.frames.flags[head] & PG_WRITEBACK) !== 0) k.waitOnWriteback(head);
    if ((k.frames.flags[head] & PG_DIRTY) !== 0) writeBack(k, head);
  }
}
