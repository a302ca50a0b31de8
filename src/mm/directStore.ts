/**
 * What direct I/O does to a file's page cache and store (mm/filemap.c: kiocb_write_and_wait,
 * kiocb_invalidate_pages; mm/truncate.c: invalidate_inode_pages2_range). OV-42.
 */
import type { FrameId } from '../base/units.ts';
import { removeFromPageCache, writeBack } from './fileFolio.ts';
import { PG_DIRTY, PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { tryToUnmap } from './unmapFolio.ts';

/**
 * Before the device: dirty folios of pages [index, index + nr) are written back, and for a write
 * the range leaves the cache, mappings first. Folios that somebody holds stay, and are stale then,
 * as on Linux.
 */
export function prepareDirectIo(
  k: Kernel,
  file: MappedFile,
  index: number,
  nr: number,
  isRead: boolean,
): void {
  for (let at = index; at < index + nr; at++) {
    const page = file.frameAt(at);
    if (page < 0) continue;
    k.inFlight.get(k.frames.headOf(page))?.finish();
    const head = k.frames.headOf(file.frameAt(at));
    if ((k.frames.flags[head] & PG_WRITEBACK) !== 0) k.waitOnWriteback(head);
    if ((k.frames.flags[head] & PG_DIRTY) !== 0) writeBack(k, head);
    if (!isRead) invalidateFolio(k, head);
  }
}

/** invalidate_complete_folio2. */
function invalidateFolio(k: Kernel, head: FrameId): void {
  k.lru.drainAll();
  k.folios.get(head);
  const unmapped = k.folios.mapcount(head) === 0 || tryToUnmap(k, head);
  if (unmapped && (k.frames.flags[head] & PG_DIRTY) !== 0) writeBack(k, head);
  const isAlone = k.frames.refcount[head] === k.folios.expectedRefs(head) + 1;
  if (unmapped && isAlone) removeFromPageCache(k, head, false);
  k.putFolio(head);
}

/** The device wrote what the file holds from page `index` on into `pages`. */
export function storeToPages(
  k: Kernel,
  file: MappedFile,
  index: number,
  pages: readonly FrameId[],
): void {
  const content = k.frames.content;
  if (content === null) return;
  for (let n = 0; n < pages.length; n++) content[pages[n]] = file.backing.get(index + n) ?? 0;
}

/** The device read `pages` into the file, which grows as needed. */
export function pagesToStore(
  k: Kernel,
  file: MappedFile,
  index: number,
  pages: readonly FrameId[],
): void {
  const content = k.frames.content;
  for (let n = 0; n < pages.length; n++) {
    if (content !== null) file.backing.set(index + n, content[pages[n]]);
  }
  file.sizePages = Math.max(file.sizePages, index + pages.length);
}
