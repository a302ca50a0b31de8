/**
 * Splitting a large folio into order-0 folios (mm/huge_memory.c: split_huge_page_to_list).
 * MC-85..MC-88, OV-16.
 *
 * Not modelled: splits to orders above 0.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { EAGAIN, EBUSY, EINVAL } from '../uapi/errno.ts';
import { vmEvent } from '../uapi/vmstat.ts';
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
  PG_PRIVATE,
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

/**
 * Splits `head` to base pages. The caller holds one reference of its own. With `list`, the folio
 * was isolated: children stay isolated on the list with one isolation reference each; without,
 * they go to the LRU. Returns 0, or -EAGAIN (references, pins), -EBUSY (writeback), -EINVAL.
 */
export function splitFolio(k: Kernel, head: FrameId, list: FrameId[] | null): number {
  const f = k.frames;
  const wasThp = k.folios.isThp(head);
  const result = checkSplit(k, head);
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
  breakUp(k, head, nr);
  remapChildren(k, head, nr);
  for (let i = 0; i < nr; i++) {
    if (list !== null) list.push(head + i);
    else {
      if (listed) k.lru.lruAdd(head + i);
      // The caller keeps its reference on the first child only.
      if (i > 0) k.putFolio(head + i);
    }
  }
  tellDriver(k, head, nr);
  if (wasThp) k.vmstat.count(THP_SPLIT_PAGE, 1);
  return 0;
}

/** DM-51: the driver hears of every new folio of its memory, and then that there are no more. */
function tellDriver(k: Kernel, head: FrameId, nr: number): void {
  if (!k.pm.isZoneDevice(head)) return;
  const { folioSplit } = k.devices.pagemapOf(head).ops;
  for (let i = 1; i < nr; i++) folioSplit?.(head, head + i);
  folioSplit?.(head, -1);
}

/**
 * folio_split_unmapped (6.19): splits a folio in the middle of a device migration, whose entries
 * are migration entries and which the caller alone holds. 0 or -EAGAIN. Counts no thp_split_page.
 */
export function splitUnmappedFolio(k: Kernel, head: FrameId): number {
  const nr = k.folios.nrPages(head);
  if (k.frames.refcount[head] !== k.folios.expectedRefs(head) + 1) return -EAGAIN;
  if ((k.frames.flags[head] & PG_MLOCKED) !== 0) k.clearMlocked(head);
  breakUp(k, head, nr);
  tellDriver(k, head, nr);
  return 0;
}

/** Splits a folio on the LRU that nobody isolated: the walk over its entries holds a reference. */
export function splitMappedFolio(k: Kernel, head: FrameId): number {
  if ((k.frames.flags[head] & PG_LOCKED) !== 0) return -EAGAIN;
  k.folios.get(head);
  const result = splitFolio(k, head, null);
  k.putFolio(head);
  return result;
}

/** MC-85, in order. */
function checkSplit(k: Kernel, head: FrameId): number {
  const f = k.frames;
  if (!k.folios.isLarge(head) || k.folios.isHugetlb(head)) return -EINVAL;
  if (head === k.hugeZeroHead) return -EINVAL;
  if (!k.folios.isAnon(head) && !k.folios.hasFileMapping(head)) return -EBUSY;
  if ((f.flags[head] & PG_WRITEBACK) !== 0) return -EBUSY;
  if ((f.flags[head] & PG_PRIVATE) !== 0) {
    // filemap_release_folio: buffers go unless they are dirty.
    if ((f.flags[head] & PG_DIRTY) !== 0) return -EBUSY;
    f.flags[head] &= ~PG_PRIVATE;
    f.refcount[head]--;
  }
  if (f.refcount[head] !== k.folios.expectedRefs(head) + 1) return -EAGAIN;
  return 0;
}

/** __split_huge_page: one compound page becomes nr small folios with one caller reference each. */
function breakUp(k: Kernel, head: FrameId, nr: number): void {
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
  const own = 1 + (cached || swapSlot >= 0 ? 1 : 0);
  f.refcount[head] = own;
  for (let i = 1; i < nr; i++) {
    const page = head + i;
    f.flags[page] = (f.flags[page] & ~PG_TAIL) | (flags & INHERITED);
    f.mapping[page] = mapping;
    f.orderIndexHigh[page] = 0;
    f.setIndex(page, index + i);
    f.private_[page] = swapSlot >= 0 ? swapSlot + i : 0;
    f.lastCpupid[page] = f.lastCpupid[head];
    f.mapcount[page] = 0;
    f.refcount[page] = own;
  }
  if (cached) dropBehindEnd(k, head, nr);
}

/** Pages of a file folio behind the end of the file leave the cache. */
function dropBehindEnd(k: Kernel, head: FrameId, nr: number): void {
  const file = k.files[k.folios.mappingId(head)]!;
  const kept = Math.max(0, file.sizePages - k.frames.indexOf(head));
  for (let i = kept; i < nr; i++) removeFromPageCache(k, head + i, false);
}

/** Entries are restored to the children; all-zero anonymous children give way to the zero page. */
function remapChildren(k: Kernel, head: FrameId, nr: number): void {
  const content = k.profile.splitDropsZeroPages ? k.frames.content : null;
  for (let i = 0; i < nr; i++) {
    const page = head + i;
    const mayBeZero = k.folios.isAnon(page) && !k.pm.isZoneDevice(page); // DM-65
    const zero = content !== null && content[page] === 0 && mayBeZero;
    if (zero && (k.frames.flags[page] & (PG_MLOCKED | PG_SWAPCACHE)) === 0) mapZeroInstead(k, page);
    removeMigrationPtes(k, page, page);
  }
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
