/**
 * MADV_FREE (mm/madvise.c: madvise_free_pte_range, madvise_free_huge_pmd). Pages keep their content
 * until reclaim wants them; a store makes them ordinary again. OV-24b, OV-31g.
 *
 * Deviates: a small page that others map, too, is left alone; Linux gives up the caller's share of
 * it unless the folio is dirty or in the swap cache.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { PG_DIRTY, PG_LOCKED, PG_SWAPCACHE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  MARKER_POISONED,
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_HWPOISON,
  PTE_KIND_MARKER,
  PTE_KIND_SWAP,
  PTEB_DIRTY,
  PTEB_SPECIAL,
  PTEB_YOUNG,
  pteIsKind,
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { folioPteBatch } from './pageWalk.ts';
import { splitMappedFolio } from './splitFolio.ts';
import { freeSwapCache, freeUnmappedSwapCache } from './swapCache.ts';
import type { Vma } from './vma.ts';

/** Frees the pages of [start, end) lazily; the range lies in one anonymous area. */
export function freeLazily(k: Kernel, cpu: number, vma: Vma, start: Vpn, end: Vpn): void {
  const mm = vma.mm;
  mmuNotifierInvalidate(mm, start, end, MMU_NOTIFY_CLEAR);
  k.lru.drainCpu(cpu);
  for (let vpn = start; vpn < end; ) {
    const next = Math.min(end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    const huge = slot >= 0 && mm.pmd[slot] !== 0;
    if (!huge || !freeHuge(k, vma, slot, next - vpn === HPAGE_PMD_NR)) {
      if (slot >= 0 && mm.leaf[slot] >= 0) freeEntries(k, vma, mm.pteIndex(vpn), next - vpn);
    }
    vpn = next;
  }
}

/** A PMD leaf: freed whole, or split if only a part is meant. True if nothing is left to do. */
function freeHuge(k: Kernel, vma: Vma, slot: number, whole: boolean): boolean {
  const mm = vma.mm;
  const word = mm.pmd[slot];
  const special = (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0;
  const head = ptePayload(word);
  if (special || !pteIsPresent(word) || k.folios.maybeMappedShared(head)) return true;
  if (k.pm.isZoneDevice(head)) return true;
  if ((k.frames.flags[head] & PG_LOCKED) !== 0) return true;
  if (!whole) return splitMappedFolio(k, head) !== 0;
  k.frames.flags[head] &= ~PG_DIRTY;
  mm.pmd[slot] = withoutYoungDirty(word);
  mm.pmdByte[slot] &= ~(PTEB_YOUNG | PTEB_DIRTY);
  k.lru.markLazyfree(head);
  return true;
}

function freeEntries(k: Kernel, vma: Vma, first: number, nr: number): void {
  for (let n = 0; n < nr; ) {
    const i = first + n;
    const word = k.ptes.words[i];
    if (pteIsKind(word, PTE_KIND_SWAP)) freeSwapEntry(k, vma, i);
    else if (isPoisoned(word)) k.ptes.set(i, 0, 0);
    const special = (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0;
    if (!pteIsPresent(word) || special) {
      n++;
      continue;
    }
    const page = ptePayload(word);
    const head = k.frames.headOf(page);
    if (k.pm.isZoneDevice(head)) {
      n++;
      continue;
    }
    const run = folioPteBatch(k, i, nr - n, head, page);
    if (run < k.folios.nrPages(head)) {
      const may = !k.folios.maybeMappedShared(head) && (k.frames.flags[head] & PG_LOCKED) === 0;
      if (!may || splitMappedFolio(k, head) !== 0) n++;
      continue; // once split, the same entry again
    }
    freeFolio(k, head, i, run);
    n += run;
  }
}

/** is_hwpoison_entry or is_poisoned_swp_entry: nothing is lost with it. */
function isPoisoned(word: number): boolean {
  if (pteIsKind(word, PTE_KIND_HWPOISON)) return true;
  return pteIsKind(word, PTE_KIND_MARKER) && ptePayload(word) === MARKER_POISONED;
}

/** free_swap_and_cache of one entry. */
function freeSwapEntry(k: Kernel, vma: Vma, i: number): void {
  const slot = ptePayload(k.ptes.words[i]);
  k.ptes.set(i, 0, 0);
  vma.mm.swapEnts--;
  const cached = k.swap.cachedFrame(slot);
  k.swap.release(slot);
  if (cached >= 0) freeUnmappedSwapCache(k, k.frames.headOf(cached));
}

/** A folio that `nr` entries from `i` on map whole; shared ones are left alone. */
function freeFolio(k: Kernel, head: FrameId, i: number, nr: number): void {
  if (!k.folios.isAnon(head) || k.folios.mapcount(head) !== nr) return;
  const f = k.frames;
  if ((f.flags[head] & (PG_SWAPCACHE | PG_DIRTY)) !== 0) {
    if ((f.flags[head] & PG_LOCKED) !== 0) return;
    freeSwapCache(k, head);
    if ((f.flags[head] & PG_SWAPCACHE) !== 0) return; // another entry still means this page
    f.flags[head] &= ~PG_DIRTY;
  }
  for (let n = 0; n < nr; n++) {
    k.ptes.words[i + n] = withoutYoungDirty(k.ptes.words[i + n]);
    k.ptes.bytes[i + n] &= ~(PTEB_YOUNG | PTEB_DIRTY);
  }
  k.lru.markLazyfree(head);
}

/** Old and clean, in whichever form the entry holds these bits; the write bit stays. */
function withoutYoungDirty(word: number): number {
  return (word & PTE_FAST) !== 0 ? (word & ~(PTE_A | PTE_D)) >>> 0 : word;
}
