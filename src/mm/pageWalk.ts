/**
 * Walking page tables: one address, or a range of an address space VMA by VMA and PMD by PMD
 * (mm/pagewalk.c: folio_walk_start, walk_page_range). Everything that looks at the entries of a
 * range goes through here.
 *
 * Not modelled: page table locks. Hugetlb entries are PMD leaves like those of THPs.
 * Order: testVma of each VMA before its entries; ascending addresses.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { PTEB_SPECIAL, pteIsPresent, ptePayload } from './pageTable.ts';
import type { Vma } from './vma.ts';

/** Answers of pageAt besides a frame. */
export const PAGE_NOT_PRESENT = -1;
/** The shared zero page, or part of the huge zero folio. */
export const PAGE_ZERO = -2;
/** A raw frame without a folio (VM_PFNMAP). */
export const PAGE_SPECIAL = -3;

/**
 * folio_walk_start with FW_ZEROPAGE: the frame (a tail, if the page is one) mapped at `vpn`, or
 * PAGE_*. Present includes PROT_NONE and NUMA hints (MP-30).
 */
export function pageAt(k: Kernel, mm: AddressSpace, vpn: Vpn): FrameId {
  const slot = mm.slotOf(vpn);
  if (slot < 0) return PAGE_NOT_PRESENT;
  const offset = vpn - mm.slotVpn[slot];
  const pmd = mm.pmd[slot];
  if (pmd !== 0) {
    if (!pteIsPresent(pmd)) return PAGE_NOT_PRESENT;
    return (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0 ? PAGE_ZERO : ptePayload(pmd) + offset;
  }
  const table = mm.leaf[slot];
  if (table < 0) return PAGE_NOT_PRESENT;
  const i = table * HPAGE_PMD_NR + offset;
  const word = k.ptes.words[i];
  if (!pteIsPresent(word)) return PAGE_NOT_PRESENT;
  return presentPage(k, word, k.ptes.bytes[i]);
}

/** vm_normal_page of a present entry: its frame, PAGE_ZERO or PAGE_SPECIAL. */
export function presentPage(k: Kernel, word: number, byte: number): FrameId {
  const page = ptePayload(word);
  if ((byte & PTEB_SPECIAL) === 0) return page;
  return page === k.zeroFrame ? PAGE_ZERO : PAGE_SPECIAL;
}

/** Whether the entry of `vpn` holds anything at all, present or not (pte_none is false). */
export function entryIsNone(k: Kernel, mm: AddressSpace, vpn: Vpn): boolean {
  const slot = mm.slotOf(vpn);
  if (slot < 0) return true;
  if (mm.pmd[slot] !== 0) return false;
  const table = mm.leaf[slot];
  return table < 0 || k.ptes.words[table * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot])] === 0;
}

/** folio_pte_batch: how many entries from `i` map consecutive pages of `head`, from `page` on. */
export function folioPteBatch(
  k: Kernel,
  i: number,
  limit: number,
  head: FrameId,
  page: FrameId,
): number {
  const last = head + k.folios.nrPages(head);
  let run = 1;
  while (run < limit && page + run < last) {
    const word = k.ptes.words[i + run];
    if (!pteIsPresent(word) || ptePayload(word) !== page + run) break;
    run++;
  }
  return run;
}

/** Answers of PageWalker.testVma: look at its entries, or go on with the next VMA. */
export const WALK_VMA = 0;
export const SKIP_VMA = 1;

/** What is done at each step of a range walk. A negative answer ends the walk and is its result. */
export interface PageWalker {
  /** [start, end) is the part of the range in `vma`: WALK_VMA, SKIP_VMA or a negative errno. */
  testVma(vma: Vma, start: Vpn, end: Vpn): number;
  /** A PMD leaf of any kind; [start, end) is the part of the range under it. */
  pmdEntry(vma: Vma, slot: number, start: Vpn, end: Vpn): number;
  /** `nr` entries of one leaf table from index `i` of PteTables on, for `start` and up. */
  pteEntries(vma: Vma, i: number, nr: number, start: Vpn): number;
}

/** walk_page_range over [start, end): 0, or what a step answered that was negative. */
export function walkPageRange(mm: AddressSpace, start: Vpn, end: Vpn, walker: PageWalker): number {
  const vmas = mm.vmas;
  for (let n = mm.indexAtOrAfter(start); n < vmas.length && vmas[n].start < end; n++) {
    const vma = vmas[n];
    const from = Math.max(start, vma.start);
    const to = Math.min(end, vma.end);
    const test = walker.testVma(vma, from, to);
    if (test < 0) return test;
    if (test === SKIP_VMA) continue;
    const result = walkVma(mm, vma, from, to, walker);
    if (result < 0) return result;
  }
  return 0;
}

function walkVma(mm: AddressSpace, vma: Vma, start: Vpn, end: Vpn, walker: PageWalker): number {
  let vpn = start;
  while (vpn < end) {
    const next = Math.min(end, vpn - (vpn % HPAGE_PMD_NR) + HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    if (slot >= 0) {
      let result = 0;
      if (mm.pmd[slot] !== 0) {
        result = walker.pmdEntry(vma, slot, vpn, next);
      } else if (mm.leaf[slot] >= 0) {
        const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
        result = walker.pteEntries(vma, i, next - vpn, vpn);
      }
      if (result < 0) return result;
    }
    vpn = next;
  }
  return 0;
}
