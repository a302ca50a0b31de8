/**
 * Pages with uncorrectable errors (mm/memory-failure.c: memory_failure, hwpoison_user_mappings,
 * soft_offline_page; mm/madvise.c: madvise_inject_error). MC-82a, MC-82b, MC-30, MC-39.
 *
 * Hard: every entry that maps the page becomes a hwpoison entry, the page leaves its lists and
 * caches and is never freed again; who made the access gets SIGBUS if the data is lost. Soft: the
 * page is migrated within its node, and the old frame stays out of use with its last flags.
 *
 * Order: mark -> drain LRU batches -> free page or reference -> split -> write-back -> unmap ->
 * signal -> what the kind of page needs.
 * Not modelled: unpoisoning, vm.memory_failure_early_kill (SIGBUS for those who did not access
 *   the page).
 */
import { type FrameId, HPAGE_PMD_NR, type Pfn, type Vpn } from '../base/units.ts';
import { EBUSY, EHWPOISON, EIO, ENXIO, EPERM } from '../uapi/errno.ts';
import { __GFP_RETRY_MAYFAIL, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_MEMORY_FAILURE } from '../uapi/migrate.ts';
import { removeFromPageCache, setFolioDirty } from './fileFolio.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_HWPOISON,
  PG_LRU,
  PG_MLOCKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WRITEBACK,
} from './frameTable.ts';
import { getUserPagesFast } from './gup.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { isDaxMemory, isPciP2pdma } from './memremap.ts';
import { migratePages } from './migrate.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import { PTE_KIND_HWPOISON, pteIsDirty, pteIsPresent, pteOther, ptePayload } from './pageTable.ts';
import { pageAt } from './pageWalk.ts';
import { forEachEntry, isDirtyAnywhere } from './pteOfFolio.ts';
import { removeRmapPmd, removeRmapPtes, rmapCollect } from './rmap.ts';
import { splitFolio, TO_BASE_PAGES } from './splitFolio.ts';
import { deleteFromSwapCache } from './swapCache.ts';
import { CAP_SYS_ADMIN, SIGBUS, type Task } from './task.ts';
import type { Vma } from './vma.ts';
import { addRss, zapRange } from './zap.ts';

/** madvise_inject_error over [start, end): 0 or the first errno. */
export function injectError(k: Kernel, task: Task, start: Vpn, end: Vpn, soft: boolean): number {
  if (!task.capable(CAP_SYS_ADMIN)) return -EPERM;
  for (let vpn = start; vpn < end; ) {
    const got: FrameId[] = [];
    const result = getUserPagesFast(k, task, vpn, 1, 0, got);
    if (result < 0) return result;
    const page = got[0];
    // A large folio takes one error, whatever part of it is named.
    const step = k.folios.nrPages(k.frames.headOf(page));
    const failed = soft ? softOffline(k, page, true) : memoryFailure(k, page, task, true);
    if (failed !== 0) return failed;
    vpn += step;
  }
  return 0;
}

/** hard_offline_page and soft_offline_page of /sys/devices/system/memory. */
export function offlinePfn(k: Kernel, pfn: Pfn, soft: boolean): number {
  const page = k.frames.frameOfPfn(pfn);
  if (page < 0 || !(k.pm.isPresent(page) || k.pm.isZoneDevice(page))) return -ENXIO;
  return soft ? softOffline(k, page, false) : memoryFailure(k, page, null, false);
}

/**
 * memory_failure. `accessor`: who touched the page, null if the error was found without an access.
 * `hasRef`: the caller holds a reference, which the page keeps. Returns 0 if the page is out of
 * use and nobody can see its data; -EBUSY if it stays in use; -EHWPOISON if it was known or could
 * not be split.
 */
export function memoryFailure(
  k: Kernel,
  page: FrameId,
  accessor: Task | null,
  hasRef: boolean,
): number {
  const f = k.frames;
  const head = f.headOf(page);
  if (k.pm.isZoneDevice(page)) {
    if (hasRef) k.putFolio(head);
    return devicePageFailure(k, page);
  }
  if (f.has(k.folios.isHugetlb(head) ? head : page, PG_HWPOISON)) {
    signal(k, accessor);
    if (hasRef) k.putFolio(head);
    return -EHWPOISON;
  }
  if (!hasRef && takeFreePage(k, page)) return 0;
  if (k.folios.isHugetlb(head)) return hugetlbFailure(k, head, page, accessor, hasRef);
  poison(k, page);
  k.poisonedPages++;
  k.lru.drainAll();
  const isUserPage = f.has(head, PG_LRU) || f.has(head, PG_WRITEBACK);
  if (!isUserPage) return -EBUSY; // kernel memory, reserved pages, folios isolated by somebody
  if (!hasRef) k.folios.get(head);
  if (k.folios.isLarge(head) && splitFolio(k, head, null, TO_BASE_PAGES, page) !== 0) {
    signal(k, accessor);
    k.putFolio(head);
    return -EHWPOISON;
  }
  return poisonPage(k, page, accessor);
}

/**
 * memory_failure_dev_pagemap, mf_generic_kill_procs: nothing can take the place of a page of a DAX
 * device or file, so all who have it mapped get SIGBUS and lose the entry, a PMD as a whole. It can
 * be mapped again. Of a large folio the flag is the head's.
 * 0; -ENXIO (private and coherent pages are their driver's to look after); -EBUSY (pages of no
 * DAX file, P2P memory among them: dax_lock_folio).
 * Not modelled: a driver's or file system's own memory_failure; the machine check of whoever reads
 *   the page again.
 */
function devicePageFailure(k: Kernel, page: FrameId): number {
  k.poisonedPages++;
  if (!isDaxMemory(k, page)) return isPciP2pdma(k, page) ? -EBUSY : -ENXIO;
  const head = k.frames.headOf(page);
  if (!k.folios.hasFileMapping(head)) return -EBUSY;
  poison(k, head);
  const places: [Vma, Vpn][] = [];
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const vpn = k.rmap.vpn[r] + (page - head - k.rmap.sub[r]);
    if (vpn >= k.rmap.vpn[r] && vpn < k.rmap.vpn[r] + k.rmap.nr[r])
      places.push([k.rmap.vma[r], vpn]);
  }
  for (const [vma, vpn] of places) {
    const { mm } = vma;
    if (pageAt(k, mm, vpn) !== page) continue;
    for (const task of k.tasks.values()) if (task.mm === mm) task.pendingSignal = SIGBUS;
    const slot = mm.slotOf(vpn);
    const first = mm.pmd[slot] === 0 ? vpn : mm.slotVpn[slot];
    zapRange(k, vma, first, mm.pmd[slot] === 0 ? vpn + 1 : first + HPAGE_PMD_NR);
  }
  return 0;
}

/** The part of memory_failure that has a small folio of user memory in hand. */
function poisonPage(k: Kernel, page: FrameId, accessor: Task | null): number {
  const f = k.frames;
  if (f.has(page, PG_WRITEBACK)) k.waitOnWriteback(page);
  const file = k.folios.hasFileMapping(page) ? k.files[k.folios.mappingId(page)] : null;
  const mayReload = file?.traits.writeback === true && !isDirtyAnywhere(k, page);
  unmapPoisoned(k, page, !mayReload);
  if (f.has(page, PG_DIRTY)) signal(k, accessor);
  deleteFromLru(k, page);
  if (f.has(page, PG_SWAPCACHE)) {
    // A dirty copy stays in the cache: a later swap-in must find that its data is lost.
    if (!f.has(page, PG_DIRTY)) deleteFromSwapCache(k, page);
    else f.clear(page, PG_DIRTY | PG_UPTODATE);
    return 0;
  }
  if (file === null || file.isShmem()) return 0; // a shmem object keeps the page, to say EIO
  if (!file.traits.writeback && f.has(page, PG_DIRTY)) return -EBUSY; // no error_remove_folio
  removeFromPageCache(k, page, false);
  return 0;
}

/** try_to_unmap with TTU_HWPOISON: mlock and pins do not keep an entry. */
function unmapPoisoned(k: Kernel, page: FrameId, leaveEntry: boolean): void {
  forEachEntry(k, page, (vma, i, vpn) => {
    mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
    if (pteIsDirty(k.ptes.words[i], k.ptes.bytes[i])) setFolioDirty(k, page);
    k.ptes.set(i, leaveEntry ? pteOther(PTE_KIND_HWPOISON, page) : 0, 0);
    addRss(k, vma.mm, page, -1);
    removeRmapPtes(k, page, 1, vma.mm, false);
    k.frames.refcount[page]--;
  });
}

/** delete_from_lru_cache. */
function deleteFromLru(k: Kernel, page: FrameId): void {
  if (!k.lru.isolate(page)) return;
  if (k.frames.has(page, PG_MLOCKED)) k.clearMlocked(page);
  k.frames.clear(page, PG_ACTIVE | PG_UNEVICTABLE);
  k.putFolio(page);
}

/** MC-82a: 6.1 left the caller to find out at its next access. */
function signal(k: Kernel, task: Task | null): void {
  if (task !== null && k.profile.poisonSignalsAtOnce) task.pendingSignal = SIGBUS;
}

/** take_page_off_buddy: a free frame leaves the allocator for good. False: it is not free. */
function takeFreePage(k: Kernel, page: FrameId): boolean {
  const { buddy } = k.pm;
  let head = buddy.blockOf(page);
  if (head < 0) return false;
  const zone = k.pm.zoneOf(page);
  let order = buddy.takeBlock(zone, head);
  while (order > 0) {
    order--;
    const half = head + (1 << order);
    const rest = page < half ? half : head;
    if (page >= half) head = half;
    const type = k.pm.blocks.migratetypeOf(rest);
    buddy.add(zone, rest, order, type, false);
    buddy.account(zone, 1 << order, type);
  }
  poison(k, page);
  k.frames.refcount[page] = 1;
  k.poisonedPages++;
  return true;
}

/**
 * soft_offline_page: 0 if the frame is out of use; -EBUSY if it could not be migrated; -EIO for
 * pages that are no user memory.
 */
export function softOffline(k: Kernel, page: FrameId, hasRef: boolean): number {
  const f = k.frames;
  const head = f.headOf(page);
  if (k.pm.isZoneDevice(page)) {
    if (hasRef) k.putFolio(head);
    return -EIO;
  }
  if (f.has(page, PG_HWPOISON)) {
    if (hasRef) k.putFolio(head);
    return 0;
  }
  if (!hasRef && takeFreePage(k, page)) return 0;
  k.lru.drainAll();
  if (!f.has(head, PG_LRU) && !k.folios.isHugetlb(head)) {
    if (hasRef) k.putFolio(head);
    return -EIO;
  }
  if (!hasRef) k.folios.get(head);
  if (k.folios.isHugetlb(head)) return softOfflineHugetlb(k, head, page);
  if (k.folios.isLarge(head)) {
    if (splitFolio(k, head, null, TO_BASE_PAGES, page) !== 0) {
      k.putFolio(head);
      return -EBUSY;
    }
  }
  return softOfflineSmall(k, page);
}

/** soft_offline_in_use_page. The caller's reference is used up. */
function softOfflineSmall(k: Kernel, page: FrameId): number {
  const f = k.frames;
  if (f.has(page, PG_WRITEBACK)) k.waitOnWriteback(page);
  if (isCleanUnmappedCache(k, page)) {
    deleteFromLru(k, page);
    removeFromPageCache(k, page, false);
    keepOut(k, page);
    return 0;
  }
  const list: FrameId[] = [];
  const isIsolated = isolateFolio(k, page, list);
  k.putFolio(page);
  if (!isIsolated || !migrateAway(k, list)) return -EBUSY;
  keepOut(k, page);
  return 0;
}

/** mapping_evict_folio succeeds: clean page cache that nobody maps or holds. */
function isCleanUnmappedCache(k: Kernel, page: FrameId): boolean {
  const isCache = k.folios.hasFileMapping(page) && !k.frames.has(page, PG_DIRTY);
  const isOurs = k.frames.refcount[page] === k.folios.expectedRefs(page) + 1;
  return isCache && k.folios.mapcount(page) === 0 && isOurs;
}

/** True if everything on the list moved; what stayed is back on its lists. */
function migrateAway(k: Kernel, list: FrameId[]): boolean {
  const gfp = GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL;
  const left = migratePages(k, list, { nid: -1, mask: -1, gfp }, MIGRATE_SYNC, MR_MEMORY_FAILURE);
  putbackMovablePages(k, list);
  return left === 0;
}

/** Whatever the frame held is lost: heat that was measured for it is nobody's any more (PP-61). */
function poison(k: Kernel, frame: FrameId): void {
  k.frames.set(frame, PG_HWPOISON);
  k.frames.bumpGeneration(frame);
}

/** page_handle_poison: the frame keeps one reference, so that it is never allocated again. */
function keepOut(k: Kernel, page: FrameId): void {
  poison(k, page);
  k.frames.refcount[page] = 1;
  k.poisonedPages++;
}

/** The page moves, its old frames return to the buddy allocator but for the one that is bad. */
function softOfflineHugetlb(k: Kernel, head: FrameId, page: FrameId): number {
  const list: FrameId[] = [];
  const isIsolated = isolateFolio(k, head, list);
  k.putFolio(head);
  if (!isIsolated || !migrateAway(k, list)) return -EBUSY;
  return k.hugetlb.dissolveFree(head) && takeFreePage(k, page) ? 0 : -EBUSY;
}

/**
 * try_memory_failure_hugetlb: the whole huge page is lost to who maps it. Of anonymous memory the
 * 511 good frames return to the buddy allocator; a shared object keeps the page, to say SIGBUS.
 */
function hugetlbFailure(
  k: Kernel,
  head: FrameId,
  page: FrameId,
  accessor: Task | null,
  hasRef: boolean,
): number {
  const isPoolPage = k.frames.refcount[head] === 0;
  if (isPoolPage) return dissolve(k, head, page);
  if (!hasRef) k.folios.get(head);
  unmapHugetlb(k, head);
  signal(k, accessor);
  if (k.folios.hasFileMapping(head)) {
    poison(k, head);
    k.poisonedPages++;
    return 0;
  }
  k.putFolio(head);
  return dissolve(k, head, page);
}

/** __page_handle_poison. Pages that somebody still pins, or that are promised, stay. */
function dissolve(k: Kernel, head: FrameId, page: FrameId): number {
  if (k.hugetlb.dissolveFree(head) && takeFreePage(k, page)) return 0;
  poison(k, head);
  k.poisonedPages++;
  return -EBUSY;
}

/** try_to_unmap with TTU_HWPOISON of a hugetlb page: a hwpoison entry in every page table. */
function unmapHugetlb(k: Kernel, head: FrameId): void {
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const { mm } = k.rmap.vma[r];
    const slot = mm.slotOf(k.rmap.vpn[r]);
    if (slot < 0 || !pteIsPresent(mm.pmd[slot]) || ptePayload(mm.pmd[slot]) !== head) continue;
    const vpn = mm.slotVpn[slot];
    mmuNotifierInvalidate(mm, vpn, vpn + HPAGE_PMD_NR, MMU_NOTIFY_CLEAR);
    mm.pmd[slot] = pteOther(PTE_KIND_HWPOISON, head);
    mm.pmdByte[slot] = 0;
    mm.hugetlbPages -= HPAGE_PMD_NR;
    removeRmapPmd(k, head, mm, false);
    k.frames.refcount[head]--;
  }
}
