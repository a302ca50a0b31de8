/**
 * Write to a present read-only entry (mm/memory.c: do_wp_page, wp_page_copy, wp_page_reuse).
 * OV-18, OV-18a, OV-31h.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import {
  addToLruVma,
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_DONE,
  FAULT_OOM,
  wantsWriteNotify,
} from './fault.ts';
import { setFolioDirty } from './fileFolio.ts';
import { PG_ANON_EXCLUSIVE, PG_LRU, PG_SWAPBACKED, PG_SWAPCACHE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { munlockFolio } from './mlock.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_A,
  PTE_D,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteFast,
  ptePayload,
} from './pageTable.ts';
import { allocVmaFolio } from './policyNode.ts';
import { anonVmaPrepare } from './pteSetup.ts';
import { addRmapPte, removeRmapPtes } from './rmap.ts';
import { freeSwapCache, freeUnmappedSwapCache } from './swapCache.ts';
import type { Task } from './task.ts';
import { VM_LOCKED, VM_SHARED, type Vma } from './vma.ts';

const PGREUSE = vmEvent('pgreuse');
const COW_KSM = vmEvent('cow_ksm');

/** Makes the entry at `i` writable, by reuse or by copying the page. */
export function doWpPage(k: Kernel, task: Task, vma: Vma, vpn: Vpn, i: number): number {
  const word = k.ptes.words[i];
  const byte = k.ptes.bytes[i];
  const page = ptePayload(word);
  if ((byte & PTEB_UFFD_WP) !== 0) k.ptes.bytes[i] = byte & ~PTEB_UFFD_WP;
  if ((byte & PTEB_SPECIAL) !== 0) {
    // Raw frames (wp_pfn_shared) have no content here: a private copy of one starts empty.
    if (vma.has(VM_SHARED)) return reuse(k, i, page);
    return copyToAnon(k, task, vma, vpn, i, -1);
  }
  const head = k.frames.headOf(page);
  if (vma.has(VM_SHARED)) {
    if (wantsWriteNotify(vma)) setFolioDirty(k, head);
    return reuse(k, i, page);
  }
  if (k.folios.isAnon(head) && canReuseAnon(k, task.cpu, head, page)) return reuse(k, i, page);
  return copyToAnon(k, task, vma, vpn, i, page);
}

function reuse(k: Kernel, i: number, page: FrameId): number {
  k.ptes.set(i, pteFast(page, PTE_A | PTE_D | PTE_W), k.ptes.bytes[i] | PTEB_SOFT_DIRTY);
  k.vmstat.count(PGREUSE, 1);
  if (k.shadows.size > 0) k.shadows.dropByWrite(page); // TI-72
  return FAULT_DONE;
}

/** OV-18a: nobody else holds a reference. Drains batches (wp_can_reuse_anon_folio). */
export function canReuseAnon(k: Kernel, cpu: number, head: FrameId, page: FrameId): boolean {
  if (k.folios.isAnonExclusive(page)) return true;
  if (k.folios.isKsm(head)) return false;
  const f = k.frames;
  const large = k.folios.isLarge(head);
  if (large) {
    // Until 6.14 a page of a large folio that PTEs map was never reused.
    if (!k.profile.sharedByMmIds && k.folios.entireMapcount(head) === 0) return false;
    const alone = !k.folios.maybeMappedShared(head);
    if (!alone || f.refcount[head] !== k.folios.mapcount(head)) return false;
    f.flags[page] |= PG_ANON_EXCLUSIVE;
    return true;
  }
  if (f.refcount[head] > 3) return false;
  if ((f.flags[head] & PG_LRU) === 0) k.lru.drainCpu(cpu);
  const cached = (f.flags[head] & PG_SWAPCACHE) !== 0 ? 1 : 0;
  if (f.refcount[head] > 1 + cached) return false;
  if (cached === 1) {
    freeSwapCache(k, head);
    if ((f.flags[head] & PG_SWAPCACHE) !== 0) return false;
  }
  f.flags[page] |= PG_ANON_EXCLUSIVE;
  return true;
}

/**
 * wp_page_copy: a fresh anonymous page replaces `page` (-1: the zero page). The allocation may
 * reclaim, which can take the old page out of the entry; then nothing is done and the access
 * starts over.
 */
export function copyToAnon(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  i: number,
  page: FrameId,
): number {
  anonVmaPrepare(k, vma);
  const f = k.frames;
  const before = k.ptes.words[i];
  const old = page < 0 ? -1 : f.headOf(page);
  if (old >= 0) k.folios.get(old);
  const copy = allocVmaFolio(k, task, vma, vpn, 0, GFP_HIGHUSER_MOVABLE);
  const same = ((k.ptes.words[i] ^ before) & ~PTE_A) === 0;
  if (copy < 0 || !same) {
    if (copy >= 0) k.putFolio(copy);
    if (old >= 0) k.putFolio(old);
    return copy < 0 ? FAULT_OOM : FAULT_DONE;
  }
  if (page >= 0 && f.content !== null) f.content[copy] = f.content[page];
  f.flags[copy] |= PG_SWAPBACKED | PG_ANON_EXCLUSIVE;
  k.folios.setAnonMapping(copy, vma.anonVma!.id);
  f.setIndex(copy, vma.indexOf(vpn));
  mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
  if (old >= 0) {
    if (k.folios.isKsm(old)) k.vmstat.count(COW_KSM, 1);
    unmapOld(k, vma, i, page);
    k.putFolio(old);
  }
  addRmapPte(k, copy, vma.mm);
  vma.mm.rssAnon++;
  k.ptes.set(i, pteFast(copy, PTE_A | PTE_D | PTE_W), PTEB_SOFT_DIRTY);
  addToLruVma(k, task, vma, copy);
  return old >= 0 ? FAULT_COPIED : FAULT_CLEARED;
}

/** The page that was copied leaves the entry; the caller holds a reference. */
function unmapOld(k: Kernel, vma: Vma, i: number, page: FrameId): void {
  const head = k.frames.headOf(page);
  if (k.folios.isAnon(head)) vma.mm.rssAnon--;
  else if (k.folios.isFileLru(head)) vma.mm.rssFile--;
  else vma.mm.rssShmem--;
  removeRmapPtes(k, page, 1, vma.mm, false);
  k.ptes.set(i, 0, 0);
  if (vma.has(VM_LOCKED)) munlockFolio(k, head);
  k.putFolio(head);
  freeUnmappedSwapCache(k, head);
}
