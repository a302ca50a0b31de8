/**
 * What /proc/PID/pagemap says of a page of a process (fs/proc/task_mmu.c: pagemap_pmd_range).
 * HS-20..HS-22a.
 *
 * Not modelled: PM_SOFT_DIRTY (the kernels looked at were built without it), permissions.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import {
  MARKER_GUARD,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_HWPOISON,
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteIsKind,
  pteIsPresent,
  pteKind,
  ptePayload,
} from './pageTable.ts';
import { VM_PFNMAP } from './vma.ts';

/** Bits 56..63 of an entry, 56 of them taken off. */
export const PM_MMAP_EXCLUSIVE = 1 << 0;
export const PM_UFFD_WP = 1 << 1;
export const PM_GUARD_REGION = 1 << 2;
export const PM_FILE = 1 << 5;
export const PM_SWAP = 1 << 6;
export const PM_PRESENT = 1 << 7;

/** Bits 0..54 (a PFN, or what a swap entry encodes) and bits 56..63 of an entry. */
export interface PagemapEntry {
  readonly payload: number;
  readonly bits: number;
}

const NOTHING: PagemapEntry = { payload: 0, bits: 0 };

export function pagemapEntry(k: Kernel, mm: AddressSpace, vpn: Vpn): PagemapEntry {
  const slot = mm.slotOf(vpn);
  if (slot < 0 || (mm.findVma(vpn)?.has(VM_PFNMAP) ?? true)) return NOTHING;
  const offset = vpn - mm.slotVpn[slot];
  if (mm.pmd[slot] !== 0) return leafEntry(k, mm.pmd[slot], mm.pmdByte[slot], offset);
  if (mm.leaf[slot] < 0) return NOTHING;
  const i = mm.leaf[slot] * HPAGE_PMD_NR + offset;
  return k.ptes.words[i] === 0 ? NOTHING : leafEntry(k, k.ptes.words[i], k.ptes.bytes[i], 0);
}

function leafEntry(k: Kernel, word: number, byte: number, offset: number): PagemapEntry {
  const isPresent = pteIsPresent(word);
  const isMarker = pteIsKind(word, PTE_KIND_MARKER);
  let bits = isPresent ? PM_PRESENT : PM_SWAP;
  if ((byte & PTEB_UFFD_WP) !== 0) bits |= PM_UFFD_WP;
  if (isMarker) return { payload: 0, bits: bits | markerBits(ptePayload(word)) };
  if (!isPresent && !hasFrame(word)) return { payload: ptePayload(word), bits };
  const page = ptePayload(word) + offset;
  const payload = k.frames.pfnOf(page);
  if ((byte & PTEB_SPECIAL) !== 0) return { payload, bits };
  if (!k.folios.isAnon(k.frames.headOf(page))) bits |= PM_FILE;
  if (isPresent && k.folios.pageMapcount(page) === 1) bits |= PM_MMAP_EXCLUSIVE;
  return { payload, bits };
}

function markerBits(marker: number): number {
  return marker === MARKER_GUARD ? PM_GUARD_REGION : 0;
}

/** Entries that are not present and still stand for a frame. */
function hasFrame(word: number): boolean {
  switch (pteKind(word)) {
    case PTE_KIND_MIGRATION:
    case PTE_KIND_DEVICE_PRIVATE:
    case PTE_KIND_DEVICE_EXCLUSIVE:
    case PTE_KIND_HWPOISON:
      return true;
    default:
      return false;
  }
}
