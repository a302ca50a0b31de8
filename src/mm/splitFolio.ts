/**
 * Splitting a large folio (mm/huge_memory.c: __folio_split, split_huge_page_to_list_to_order).
 * MC-85..MC-88, OV-16.
 *
 * A uniform split makes pieces of one order. A split at a page halves again and again the piece
 * that has the page, as the buddy allocator does, so that the others stay as large as can be.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { EAGAIN, EBUSY, EINVAL } from '../uapi/errno.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { tryToFreeBuffers } from './bufferHeads.ts';
import { forgetHugeCache, removeFromPageCache } from './fileFolio.ts';
import {
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_DEFERRED_SPLIT,
  PG_DIRTY,
  PG_HEAD,
  PG_IDLE,
  PG_LARGE_RMAPPABLE,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_PARTIALLY_MAPPED,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WORKINGSET,
  PG_WRITEBACK,
  PG_YOUNG,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { removeMigrationPtes, tryToMigrate } from './migrationEntries.ts';
import {
  PTE_KIND_MIGRATION,
  PTE_KIND_PROTNONE,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteFast,
  pteIsKind,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { rmapCollect } from './rmap.ts';
import { VM_LOCKED } from './vma.ts';

const THP_SPLIT_PAGE = vmEvent('thp_split_page');
const THP_SPLIT_PAGE_FAILED = vmEvent('thp_split_page_failed');

/** Flags of the head that every child gets. */
const INHERITED =
  PG_REFERENCED |
  PG_UPTODATE |
  PG_DIRTY |
  PG_ACTIVE |
  PG_WORKINGSET |
  PG_SWAPBACKED |
  PG_UNEVICTABLE |
  PG_SWAPCACHE |
  PG_YOUNG |
  PG_IDLE;

/** What the pieces are to be: all of one order, or only the one that has page `at`. */
export interface SplitTo {
  readonly order: number;
  /** Page of the folio whose piece gets that order; -1 = every piece (uniform). */
  readonly at: FrameId;
}

export const TO_BASE_PAGES: SplitTo = { order: 0, at: -1 };

/**
 * Splits `head`, by default to base pages. The caller holds one reference of its own. With `list`,
 * the folio was isolated: children stay isolated on the list with one isolation reference each;
 * without, they go to the LRU, and the caller's reference is then that of the piece with `kept`.
 * Returns 0, or -EAGAIN (references, pins), -EBUSY (writeback, private data in use), -EINVAL (an
 * order that cannot be).
 */
export function splitFolio(
  k: Kernel,
  head: FrameId,
  list: FrameId[] | null,
  to: SplitTo = TO_BASE_PAGES,
  kept: FrameId = head,
): number {
  const f = k.frames;
  const wasThp = k.folios.isThp(head);
  const result = checkSplit(k, head, to);
  if (result !== 0) {
    if (wasThp) k.vmstat.count(THP_SPLIT_PAGE_FAILED, 1);
    return result;
  }
  const nr = k.folios.nrPages(head);
  const unmapped = tryToMigrate(k, head, true);
  const frozen = unmapped === 0 && f.refcount[head] === k.folios.expectedRefs(head) + 1;
  if (!frozen) {
    removeMigrationPtes(k, head, head);
    if (wasThp) k.vmstat.count(THP_SPLIT_PAGE_FAILED, 1);
    return -EAGAIN;
  }
  const listed = (f.flags[head] & PG_LRU) !== 0;
  if (listed) k.lru.remove(head);
  // Unmapping unlocked it; areas that are locked mark their pages again at the remap.
  if ((f.flags[head] & PG_MLOCKED) !== 0) k.clearMlocked(head);
  const pieces = piecesOf(head, f.orderOf(head), to, k.folios.isAnon(head));
  breakUp(k, head, nr, pieces);
  // Before any of them can be freed again.
  tellDriver(k, pieces);
  for (const piece of pieces) {
    remapPiece(k, piece);
    if (list !== null) list.push(piece);
    else {
      if (listed) k.lru.lruAdd(piece);
      if (kept < piece || kept >= piece + k.folios.nrPages(piece)) k.putFolio(piece);
    }
  }
  if (wasThp) k.vmstat.count(THP_SPLIT_PAGE, 1);
  return 0;
}

/** DM-51: the driver hears of every new folio of its memory, and then that there are no more. */
function tellDriver(k: Kernel, pieces: readonly FrameId[]): void {
  const [head, ...rest] = pieces;
  if (!k.pm.isZoneDevice(head)) return;
  const { ops } = k.devices.pagemapOf(head);
  for (const piece of rest) ops.folioSplit?.(head, piece);
  ops.folioSplit?.(head, -1);
}

/**
 * folio_split_unmapped (6.19): splits a folio in the middle of a device migration, whose entries
 * are migration entries and which the caller alone holds. 0 or -EAGAIN. Counts no thp_split_page.
 */
export function splitUnmappedFolio(k: Kernel, head: FrameId): number {
  const nr = k.folios.nrPages(head);
  if (k.frames.refcount[head] !== k.folios.expectedRefs(head) + 1) return -EAGAIN;
  if ((k.frames.flags[head] & PG_MLOCKED) !== 0) k.clearMlocked(head);
  const pieces = piecesOf(head, k.frames.orderOf(head), TO_BASE_PAGES, true);
  breakUp(k, head, nr, pieces);
  tellDriver(k, pieces);
  return 0;
}

/** Splits a folio on the LRU that nobody isolated: the walk over its entries holds a reference. */
export function splitMappedFolio(k: Kernel, head: FrameId, to = TO_BASE_PAGES): number {
  if ((k.frames.flags[head] & PG_LOCKED) !== 0) return -EAGAIN;
  k.folios.get(head);
  const result = splitFolio(k, head, null, to);
  k.putFolio(head);
  return result;
}

/** MC-85, in order. */
function checkSplit(k: Kernel, head: FrameId, to: SplitTo): number {
  const f = k.frames;
  if (!k.folios.isLarge(head) || k.folios.isHugetlb(head)) return -EINVAL;
  if (to.order >= f.orderOf(head) || head === k.hugeZeroHead) return -EINVAL;
  const anon = k.folios.isAnon(head);
  if (!anon && !k.folios.hasFileMapping(head)) return -EBUSY;
  const leavesLarge = to.order > 0 || to.at >= 0;
  if (leavesLarge && !mayStayLarge(k, head, to.order)) return -EINVAL;
  if ((f.flags[head] & PG_WRITEBACK) !== 0) return -EBUSY;
  // filemap_release_folio: buffers go unless they are in use.
  if (!tryToFreeBuffers(k, head)) return -EBUSY;
  if (f.refcount[head] !== k.folios.expectedRefs(head) + 1) return -EAGAIN;
  return 0;
}

/** Whether pieces above order 0 may be: not of order 1 in anonymous memory, not in swap cache. */
function mayStayLarge(k: Kernel, head: FrameId, order: number): boolean {
  if ((k.frames.flags[head] & PG_SWAPCACHE) !== 0) return false;
  if (k.folios.isAnon(head)) return order !== 1;
  const file = k.files[k.folios.mappingId(head)];
  return file !== null && (file.isShmem() || file.traits.largeFolios);
}

/** Heads of the pieces, ascending: one ends where the next begins. */
function piecesOf(head: FrameId, order: number, to: SplitTo, anon: boolean): FrameId[] {
  const pieces: FrameId[] = [];
  const cut = (start: FrameId, size: number): void => {
    const has = to.at < 0 || (to.at >= start && to.at < start + (1 << size));
    if (!has || size <= to.order) {
      pieces.push(start);
      return;
    }
    // Anonymous memory has no order 1: its pieces of order 2 fall into single pages.
    const next = anon && size === 2 && to.order === 0 ? 0 : size - 1;
    for (let at = start; at < start + (1 << size); at += 1 << next) {
      if (next === 0) pieces.push(at);
      else cut(at, next);
    }
  };
  cut(head, order);
  return pieces;
}

/** __split_unmapped_folio: one compound page becomes `pieces` with one caller reference each. */
function breakUp(k: Kernel, head: FrameId, nr: number, pieces: readonly FrameId[]): void {
  const f = k.frames;
  const flags = f.flags[head];
  const mapping = f.mapping[head];
  const index = f.indexOf(head);
  const cached = !k.folios.isAnon(head) && k.folios.hasFileMapping(head);
  const swapSlot = (flags & PG_SWAPCACHE) !== 0 ? f.private_[head] : -1;
  assert(k.folios.mapcount(head) === 0, 'a folio is split unmapped');
  if (cached) forgetHugeCache(k, head);
  if ((flags & PG_DEFERRED_SPLIT) !== 0) k.deferredSplit.delete(head);
  const cleared = PG_HEAD | PG_LARGE_RMAPPABLE | PG_PARTIALLY_MAPPED | PG_DEFERRED_SPLIT | PG_LRU;
  f.flags[head] = flags & ~cleared;
  f.setOrder(head, 0);
  const inherited = flags & INHERITED;
  for (let n = 0; n < pieces.length; n++) {
    const piece = pieces[n];
    const size = (n + 1 < pieces.length ? pieces[n + 1] : head + nr) - piece;
    for (let page = piece; page < piece + size; page++) {
      if (page !== head) f.flags[page] &= ~PG_TAIL;
      f.mapping[page] = mapping;
      f.orderIndexHigh[page] = 0;
      f.setIndex(page, index + (page - head));
      if (page !== head) f.private_[page] = swapSlot >= 0 ? swapSlot + (page - head) : 0;
      f.lastCpupid[page] = f.lastCpupid[head];
      f.mapcount[page] = 0;
      f.refcount[page] = 0;
    }
    f.flags[piece] |= inherited;
    f.refcount[piece] = 1 + (cached || swapSlot >= 0 ? size : 0);
    if (size > 1) makeCompound(k, piece, size);
  }
  if (cached) dropBehindEnd(k, head, nr);
}

/** prep_compound_page of a piece that stays large. */
function makeCompound(k: Kernel, piece: FrameId, size: number): void {
  const f = k.frames;
  f.flags[piece] |= PG_HEAD;
  f.setOrder(piece, 31 - Math.clz32(size));
  for (let page = piece + 1; page < piece + size; page++) {
    f.flags[page] |= PG_TAIL;
    f.mapping[page] = piece;
  }
  k.folios.initLarge(piece, true);
}

/** Pages of a file folio behind the end of the file leave the cache. */
function dropBehindEnd(k: Kernel, head: FrameId, nr: number): void {
  const file = k.files[k.folios.mappingId(head)]!;
  const kept = Math.max(0, file.sizePages - k.frames.indexOf(head));
  for (let page = head + kept; page < head + nr; ) {
    const piece = k.frames.headOf(page);
    const next = piece + k.folios.nrPages(piece);
    if (piece >= head + kept) removeFromPageCache(k, piece, false);
    page = next;
  }
}

/** Entries are restored to a piece; an all-zero anonymous page gives way to the zero page. */
function remapPiece(k: Kernel, piece: FrameId): void {
  const content = k.frames.content;
  const mayBeZero = k.folios.isAnon(piece) && !k.pm.isZoneDevice(piece); // DM-65
  if (mayBeZero && k.profile.splitDropsZeroPages && !k.folios.isLarge(piece)) {
    const isKept = (k.frames.flags[piece] & (PG_MLOCKED | PG_SWAPCACHE)) !== 0;
    if (!isKept && content !== null && content[piece] === 0) mapZeroInstead(k, piece);
  }
  removeMigrationPtes(k, piece, piece);
}

/** MC-87: migration entries of an all-zero page become the shared zero page; rss falls. */
function mapZeroInstead(k: Kernel, page: FrameId): void {
  const n = rmapCollect(k, page);
  for (let r = 0; r < n; r++) {
    const vma = k.rmap.vma[r];
    if (vma.has(VM_LOCKED)) continue;
    const i = vma.mm.pteIndex(k.rmap.vpn[r]);
    if (i < 0) continue;
    const word = k.ptes.words[i];
    if (!pteIsKind(word, PTE_KIND_MIGRATION) || ptePayload(word) !== page) continue;
    const kept = k.ptes.bytes[i] & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP);
    const zero = vma.isAccessible()
      ? pteFast(k.zeroFrame, 0)
      : pteOther(PTE_KIND_PROTNONE, k.zeroFrame);
    k.ptes.set(i, zero, PTEB_SPECIAL | kept);
    vma.mm.rssAnon--;
  }
  k.frames.flags[page] &= ~PG_ANON_EXCLUSIVE;
}
