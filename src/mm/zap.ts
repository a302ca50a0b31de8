/**
 * Taking pages out of a range of addresses (mm/memory.c: zap_page_range, free_pgtables).
 * OV section 6, MC-35, MC-91, PM-10.
 */

import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import { cacheAccessed, setFolioDirty } from './fileFolio.ts';
import { PG_MLOCKED } from './frameTable.ts';
import { zapHugetlb } from './hugetlb.ts';
import type { Kernel } from './kernel.ts';
import { munlockFolio } from './mlock.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTEB_SPECIAL,
  pteIsDirty,
  pteIsGuard,
  pteIsPresent,
  pteIsYoung,
  pteKind,
  pteMapsPage,
  ptePayload,
} from './pageTable.ts';
import { splitPmd } from './pteSetup.ts';
import { removeRmapPmd, removeRmapPtes } from './rmap.ts';
import { freeUnmappedSwapCache } from './swapCache.ts';
import { VM_HUGETLB, VM_LOCKED, type Vma } from './vma.ts';

/**
 * Empties all entries of [start, end), which lies in one VMA. Page tables stay. Mirrors hear UNMAP
 * where the area goes (unmap_vmas), CLEAR where it stays (zap_page_range_single): DM-1; then guards
 * stay, too (zap_drop_markers).
 */
export function zapRange(
  k: Kernel,
  vma: Vma,
  start: Vpn,
  end: Vpn,
  event: number = MMU_NOTIFY_CLEAR,
): void {
  const mm = vma.mm;
  mmuNotifierInvalidate(mm, start, end, event);
  if (vma.has(VM_HUGETLB)) {
    zapHugetlb(k, vma, start, end);
    return;
  }
  let vpn = start;
  while (vpn < end) {
    const next = Math.min(end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    if (slot >= 0) {
      if (mm.pmd[slot] !== 0) {
        if (next - vpn === HPAGE_PMD_NR) zapPmd(k, vma, slot);
        else splitPmd(k, mm, slot);
      }
      if (mm.leaf[slot] >= 0) {
        const base = mm.leaf[slot] * HPAGE_PMD_NR - mm.slotVpn[slot];
        zapEntries(k, vma, base + vpn, base + next, event === MMU_NOTIFY_CLEAR);
      }
    }
    vpn = next;
  }
}

/** One PMD leaf: its folio's mapping, its rss and its deposited table go. */
function zapPmd(k: Kernel, vma: Vma, slot: number): void {
  const mm = vma.mm;
  const word = mm.pmd[slot];
  const byte = mm.pmdByte[slot];
  mm.pmd[slot] = 0;
  mm.pmdByte[slot] = 0;
  const table = mm.deposit[slot];
  mm.deposit[slot] = -1;
  k.freePageTable(table);
  if ((byte & PTEB_SPECIAL) !== 0) return;
  const head = ptePayload(word);
  const file = !k.folios.isAnon(head);
  addRss(k, mm, head, -HPAGE_PMD_NR);
  if (!pteMapsPage(word)) {
    assert(pteKind(word) === PTE_KIND_MIGRATION, 'PMD leaves are mappings or migrating');
    return;
  }
  if (file && pteIsDirty(word, byte)) setFolioDirty(k, head);
  if (file && pteIsYoung(word, byte)) cacheAccessed(k, head);
  removeRmapPmd(k, head, mm, false);
  if (vma.has(VM_LOCKED) && (k.frames.flags[head] & PG_MLOCKED) !== 0) munlockFolio(k, head);
  k.putFolio(head);
}

/** rss of a mapping of `head`, by its kind. */
export function addRss(k: Kernel, mm: AddressSpace, head: FrameId, pages: number): void {
  if (k.folios.isAnon(head)) mm.rssAnon += pages;
  else if (k.folios.isFileLru(head)) mm.rssFile += pages;
  else mm.rssShmem += pages;
}

function zapEntries(k: Kernel, vma: Vma, first: number, last: number, keepsGuards: boolean): void {
  const words = k.ptes.words;
  const bytes = k.ptes.bytes;
  for (let i = first; i < last; ) {
    const word = words[i];
    if (word === 0) {
      bytes[i] = 0;
      i++;
    } else if (pteIsPresent(word)) {
      i += zapPresent(k, vma, i, last);
    } else {
      if (!keepsGuards || !pteIsGuard(word)) zapOther(k, vma, i);
      i++;
    }
  }
}

/** A run of entries that map consecutive pages of one folio; returns its length. */
function zapPresent(k: Kernel, vma: Vma, first: number, last: number): number {
  const words = k.ptes.words;
  const bytes = k.ptes.bytes;
  if ((bytes[first] & PTEB_SPECIAL) !== 0) {
    k.ptes.set(first, 0, 0);
    return 1;
  }
  const page = ptePayload(words[first]);
  const head = k.frames.headOf(page);
  const limit = Math.min(last - first, head + k.folios.nrPages(head) - page);
  const file = !k.folios.isAnon(head);
  let n = 0;
  let dirty = false;
  let young = false;
  while (n < limit && pteIsPresent(words[first + n]) && ptePayload(words[first + n]) === page + n) {
    if ((bytes[first + n] & PTEB_SPECIAL) !== 0) break;
    dirty ||= pteIsDirty(words[first + n], bytes[first + n]);
    young ||= pteIsYoung(words[first + n], bytes[first + n]);
    k.ptes.set(first + n, 0, 0);
    n++;
  }
  if (file && dirty) setFolioDirty(k, head);
  if (file && young) cacheAccessed(k, head);
  addRss(k, vma.mm, head, -n);
  removeRmapPtes(k, page, n, vma.mm, false);
  if (vma.has(VM_LOCKED) && (k.frames.flags[head] & PG_MLOCKED) !== 0) munlockFolio(k, head);
  freeUnmappedSwapCache(k, head);
  k.putFolioRefs(head, n);
  return n;
}

/** Swap, migration, device, marker and poison entries. */
function zapOther(k: Kernel, vma: Vma, i: number): void {
  const mm = vma.mm;
  const word = k.ptes.words[i];
  const payload = ptePayload(word);
  k.ptes.set(i, 0, 0);
  switch (pteKind(word)) {
    case PTE_KIND_SWAP: {
      mm.swapEnts--;
      const cached = k.swap.cachedFrame(payload);
      k.swap.release(payload);
      if (cached >= 0) freeUnmappedSwapCache(k, k.frames.headOf(cached));
      break;
    }
    case PTE_KIND_MIGRATION:
      addRss(k, mm, k.frames.headOf(payload), -1);
      break;
    case PTE_KIND_DEVICE_PRIVATE:
    case PTE_KIND_DEVICE_EXCLUSIVE: {
      const head = k.frames.headOf(payload);
      addRss(k, mm, head, -1);
      removeRmapPtes(k, payload, 1, mm, false);
      if (vma.has(VM_LOCKED) && (k.frames.flags[head] & PG_MLOCKED) !== 0) munlockFolio(k, head);
      freeUnmappedSwapCache(k, head);
      k.putFolio(head);
      break;
    }
  }
}

/** Frees the leaf tables of [start, end) whose 2 MiB no VMA touches any more (free_pgtables). */
export function freePageTables(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): void {
  const first = Math.floor(start / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  for (let vpn = first; vpn < end; vpn += HPAGE_PMD_NR) {
    const slot = mm.slotOf(vpn);
    if (slot < 0 || mm.leaf[slot] < 0) continue;
    const i = mm.indexAtOrAfter(vpn);
    if (i < mm.vmas.length && mm.vmas[i].start < vpn + HPAGE_PMD_NR) continue;
    k.freePageTable(mm.leaf[slot]);
    mm.leaf[slot] = -1;
  }
}

/** All tables of an address space whose VMAs are gone. */
export function freeAllPageTables(k: Kernel, mm: AddressSpace): void {
  for (let slot = 0; slot < mm.nrSlots; slot++) {
    assert(mm.pmd[slot] === 0, 'a PMD leaf outlived its VMA');
    if (mm.leaf[slot] >= 0) k.freePageTable(mm.leaf[slot]);
    mm.leaf[slot] = -1;
  }
}
