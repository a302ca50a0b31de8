/**
 * Installing page tables and entries: the steps that every kind of fault shares
 * (mm/memory.c: pte_alloc, set_pte_range; mm/huge_memory.c: __split_huge_pmd).
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import type { AddressSpace } from './addressSpace.ts';
import { setFolioDirty } from './fileFolio.ts';
import { PG_ANON_EXCLUSIVE, PG_REFERENCED } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_KIND_MIGRATION,
  PTEB_EXCLUSIVE,
  PTEB_SPECIAL,
  PTEB_WRITE,
  pteIsDirty,
  pteIsPresent,
  pteIsYoung,
  pteMapsPage,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { addRmapPte, removeRmapPmd } from './rmap.ts';
import { anonVmaLink, type Vma } from './vma.ts';
import { reusableAnonVma } from './vmaList.ts';

const THP_SPLIT_PMD = vmEvent('thp_split_pmd');

/**
 * Index of the entry of `vpn`, making its leaf table if needed; -1 when no memory for a table.
 * Preconditions: no PMD leaf covers the page.
 */
export function pteAlloc(k: Kernel, mm: AddressSpace, vpn: Vpn, nid: number): number {
  const slot = mm.ensureSlot(vpn);
  assert(mm.pmd[slot] === 0, 'pteAlloc under a PMD leaf');
  if (mm.leaf[slot] < 0) {
    const table = k.allocPageTable(nid);
    if (table < 0) return -1;
    mm.leaf[slot] = table;
  }
  return mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
}

/** anon_vma_prepare: the VMA gets the anon_vma of a mergeable neighbour, or a new one. */
export function anonVmaPrepare(k: Kernel, vma: Vma): void {
  if (vma.anonVma !== null) return;
  const anonVma = reusableAnonVma(vma)?.anonVma ?? k.newAnonVma();
  vma.anonVma = anonVma;
  anonVmaLink(vma, anonVma);
}

/**
 * Replaces a PMD leaf by 512 entries in the deposited table (__split_huge_pmd): mappings of the
 * same folio, device-private entries (DM-63) or migration entries. A file's leaf is only taken out:
 * its pages fault in again. Counts thp_split_pmd. MC-86, OV-13.
 */
export function splitPmd(k: Kernel, mm: AddressSpace, slot: number): void {
  const word = mm.pmd[slot];
  if (word === 0) return;
  const byte = mm.pmdByte[slot];
  const table = mm.deposit[slot];
  assert(table >= 0, 'a PMD leaf has a deposited table');
  mm.deposit[slot] = -1;
  mm.pmd[slot] = 0;
  mm.pmdByte[slot] = 0;
  mm.leaf[slot] = table;
  k.vmstat.count(THP_SPLIT_PMD, 1);
  const start = mm.slotVpn[slot];
  mmuNotifierInvalidate(mm, start, start + HPAGE_PMD_NR, MMU_NOTIFY_CLEAR);
  const base = table * HPAGE_PMD_NR;
  if ((byte & PTEB_SPECIAL) !== 0) {
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      k.ptes.set(base + i, (k.zeroFrame << 4) | (word & 0xf), PTEB_SPECIAL);
    }
    return;
  }
  const head = ptePayload(word);
  const mapped = pteMapsPage(word);
  if (!k.folios.isAnon(head)) {
    takeFilePmdOut(k, mm, head, word, byte);
    return;
  }
  const exclusive = mapped && k.folios.isAnonExclusive(head);
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const low = word & 0xf;
    k.ptes.set(base + i, (((head + i) << 4) | low) >>> 0, byte);
  }
  if (!mapped) return;
  const f = k.frames;
  f.refcount[head] += HPAGE_PMD_NR - 1;
  if (exclusive) for (let i = 1; i < HPAGE_PMD_NR; i++) f.flags[head + i] |= PG_ANON_EXCLUSIVE;
  for (let i = 0; i < HPAGE_PMD_NR; i++) addRmapPte(k, head + i, mm);
  removeRmapPmd(k, head, mm, false);
}

/** The mapping that a file's PMD leaf was goes; a migration entry holds only rss. */
function takeFilePmdOut(
  k: Kernel,
  mm: AddressSpace,
  head: FrameId,
  word: number,
  byte: number,
): void {
  if (k.folios.isFileLru(head)) mm.rssFile -= HPAGE_PMD_NR;
  else mm.rssShmem -= HPAGE_PMD_NR;
  if (!pteIsPresent(word)) return;
  if (pteIsDirty(word, byte)) setFolioDirty(k, head);
  if (pteIsYoung(word, byte)) k.frames.flags[head] |= PG_REFERENCED;
  removeRmapPmd(k, head, mm, false);
  k.putFolio(head);
}

/** Splits the PMD leaf that covers `vpn`, if there is one (split_huge_pmd_address). */
export function splitPmdAt(k: Kernel, mm: AddressSpace, vpn: Vpn): void {
  const slot = mm.slotOf(vpn);
  if (slot >= 0 && mm.pmd[slot] !== 0) splitPmd(k, mm, slot);
}

/** A migration entry for `page` of the kind its old entry had (MC-26, OV-33). */
export function migrationWord(page: FrameId): number {
  return pteOther(PTE_KIND_MIGRATION, page);
}

/** PTEB_WRITE, PTEB_EXCLUSIVE of a migration entry: write implies exclusive for anon. */
export function migrationKindByte(writable: boolean, exclusive: boolean): number {
  if (writable) return PTEB_WRITE | PTEB_EXCLUSIVE;
  return exclusive ? PTEB_EXCLUSIVE : 0;
}
