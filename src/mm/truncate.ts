/**
 * Cutting a file and punching holes (mm/truncate.c: truncate_pagecache, truncate_inode_pages_range;
 * mm/memory.c: unmap_mapping_pages). MC-90, PM-10.
 *
 * Order: entries go first, locked areas included, and of a cut file private copies, too; then each
 * folio of the range, once a migration that holds its lock is over.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { removeFromPageCache } from './fileFolio.ts';
import { PG_WRITEBACK } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { pageAt } from './pageWalk.ts';
import { splitMappedFolio } from './splitFolio.ts';
import { VM_SHARED, type Vma } from './vma.ts';
import { zapRange } from './zap.ts';

/**
 * truncate(2): sets the size, and drops everything from page `size` on: mappings, private copies,
 * cached and swapped pages, backing store. What comes back if the file grows again is zero.
 */
export function truncateFile(k: Kernel, file: MappedFile, size: number): void {
  file.sizePages = size;
  for (const vma of file.vmas)
    unmapPart(vma, size, Infinity, (from, to) => zapRange(k, vma, from, to));
  removePages(k, file, size, Infinity);
}

/**
 * FALLOC_FL_PUNCH_HOLE of the pages [first, end): they are zero from then on. Private copies stay;
 * a large folio that is partly in the hole and cannot be split keeps its memory.
 */
export function punchHole(k: Kernel, file: MappedFile, first: number, end: number): void {
  unmapMappingPages(k, file, first, end);
  removePages(k, file, first, end);
}

/** unmap_mapping_pages without even_cows: who maps these pages of the file loses them. */
export function unmapMappingPages(k: Kernel, file: MappedFile, first: number, end: number): void {
  for (const vma of file.vmas) {
    unmapPart(vma, first, end, (from, to) => {
      if (vma.has(VM_SHARED)) zapRange(k, vma, from, to);
      else zapFilePages(k, vma, from, to);
    });
  }
}

/** The addresses of an area that show the pages [first, end) of its file. */
function unmapPart(
  vma: Vma,
  first: number,
  end: number,
  unmap: (from: Vpn, to: Vpn) => void,
): void {
  const from = Math.max(vma.start, vma.start + (first - vma.pgoff));
  const to = Math.min(vma.end, vma.start + (end - vma.pgoff));
  if (from < to) unmap(from, to);
}

function zapFilePages(k: Kernel, vma: Vma, from: Vpn, to: Vpn): void {
  const { mm } = vma;
  for (let vpn = from; vpn < to; ) {
    const page = pageAt(k, mm, vpn);
    const isFile = page >= 0 && !k.folios.isAnon(k.frames.headOf(page));
    const isHuge = isFile && mm.pmd[mm.slotOf(vpn)] !== 0;
    const next = isHuge ? Math.min(to, mm.slotVpn[mm.slotOf(vpn)] + HPAGE_PMD_NR) : vpn + 1;
    if (isFile) zapRange(k, vma, vpn, next);
    vpn = next;
  }
}

/** truncate_inode_pages_range: cached and swapped pages and the backing store. */
function removePages(k: Kernel, file: MappedFile, first: number, end: number): void {
  for (const index of [...file.pages.keys()]) {
    if (index < first || index >= end) continue;
    const slot = file.swapSlotAt(index);
    if (slot >= 0) {
      file.pages.delete(index);
      k.swap.release(slot);
      continue;
    }
    const head = lockedFolioAt(k, file, index);
    if (head < 0) continue;
    if (!isWithin(k, head, first, end)) truncatePartialFolio(k, head, first, end);
    const left = file.frameAt(index);
    if (left < 0) continue;
    const folio = k.frames.headOf(left);
    if (isWithin(k, folio, first, end)) removeFromPageCache(k, folio, false);
  }
  for (const index of [...file.backing.keys()]) {
    if (index >= first && index < end) file.backing.delete(index);
  }
}

function isWithin(k: Kernel, head: FrameId, first: number, end: number): boolean {
  const index = k.frames.indexOf(head);
  return index >= first && index + k.folios.nrPages(head) <= end;
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

/** truncate_inode_partial_folio: what is in the range becomes zero and leaves, if it splits. */
function truncatePartialFolio(k: Kernel, head: FrameId, first: number, end: number): void {
  const index = k.frames.indexOf(head);
  const from = head + Math.max(0, first - index);
  const to = head + Math.min(k.folios.nrPages(head), end - index);
  k.frames.content?.fill(0, from, to);
  if (!k.profile.truncateKeepsLargePieces) {
    splitMappedFolio(k, head, { order: 0, at: -1 });
    return;
  }
  if (splitMappedFolio(k, head, { order: 0, at: from }) !== 0) return;
  const last = k.frames.headOf(to - 1);
  if (last + k.folios.nrPages(last) > to) splitMappedFolio(k, last, { order: 0, at: to });
}
