/**
 * Cutting a file (mm/truncate.c: truncate_pagecache, truncate_inode_pages; mm/memory.c:
 * unmap_mapping_pages). MC-90, PM-10.
 *
 * Order: entries go first, private copies and locked areas included; then each folio behind the
 * cut, once a migration that holds its lock is over.
 */
import type { FrameId } from '../base/units.ts';
import { removeFromPageCache } from './fileFolio.ts';
import { PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { splitMappedFolio } from './splitFolio.ts';
import { zapRange } from './zap.ts';

/**
 * truncate(2): sets the size, and drops everything from page `size` on: mappings, private copies,
 * cached and swapped pages, backing store. What comes back if the file grows again is zero.
 */
export function truncateFile(k: Kernel, file: MappedFile, size: number): void {
  file.sizePages = size;
  unmapBehind(k, file, size);
  for (const index of [...file.pages.keys()]) {
    if (index < size) continue;
    const slot = file.swapSlotAt(index);
    if (slot >= 0) {
      file.pages.delete(index);
      k.swap.release(slot);
      continue;
    }
    const head = lockedFolioAt(k, file, index);
    if (head < 0) continue;
    if (k.frames.indexOf(head) < size) truncatePartialFolio(k, head, size);
    const left = file.frameAt(index);
    if (left < 0) continue;
    const folio = k.frames.headOf(left);
    if (k.frames.indexOf(folio) >= size) removeFromPageCache(k, folio, false);
  }
  for (const index of [...file.backing.keys()]) if (index >= size) file.backing.delete(index);
}

/** unmap_mapping_pages with even_cows: every area that shows the file lets go of what is behind. */
function unmapBehind(k: Kernel, file: MappedFile, size: number): void {
  for (const vma of file.vmas) {
    const start = Math.max(vma.start, vma.start + (size - vma.pgoff));
    if (start < vma.end) zapRange(k, vma, start, vma.end);
  }
}

/** The folio cached at an index, after whoever holds its lock or writes it back is done. */
function lockedFolioAt(k: Kernel, file: MappedFile, index: number): FrameId {
  const page = file.frameAt(index);
  if (page < 0) return -1;
  k.inFlight.get(k.frames.headOf(page))?.finish();
  const head = k.frames.headOf(file.frameAt(index));
  if ((k.frames.flags[head] & PG_WRITEBACK) !== 0) k.waitOnWriteback(head);
  return head;
}

/** truncate_inode_partial_folio: what is behind the cut becomes zero and leaves, if it splits. */
function truncatePartialFolio(k: Kernel, head: FrameId, size: number): void {
  const kept = size - k.frames.indexOf(head);
  const nr = k.folios.nrPages(head);
  k.frames.content?.fill(0, head + kept, head + nr);
  const at = k.profile.truncateKeepsLargePieces ? head + kept : -1;
  splitMappedFolio(k, head, { order: 0, at });
}
