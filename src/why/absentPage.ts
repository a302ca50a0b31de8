/**
 * What the page table holds where there is no page: the entry, and the cause it is. MP-22, MP-23.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  PAGE_SPECIAL,
  PAGE_ZERO,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_HWPOISON,
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  pageAt,
  pteKind,
} from '../mm/index.ts';
import type { CauseName } from './causes.ts';

const CAUSE_OF_KIND: ReadonlyMap<number, CauseName> = new Map([
  [PTE_KIND_SWAP, 'swapped-out'],
  [PTE_KIND_MIGRATION, 'migration-entry'],
  [PTE_KIND_DEVICE_PRIVATE, 'device-entry'],
  [PTE_KIND_DEVICE_EXCLUSIVE, 'device-entry'],
  [PTE_KIND_MARKER, 'marker'],
  [PTE_KIND_HWPOISON, 'poison-entry'],
]);

/** The word of the entry of `vpn`, PMD leaf or PTE; 0 where there is none. */
export function entryWord(k: Kernel, mm: AddressSpace, vpn: Vpn): number {
  const slot = mm.slotOf(vpn);
  if (slot < 0) return 0;
  if (mm.pmd[slot] !== 0) return mm.pmd[slot];
  const table = mm.leaf[slot];
  return table < 0 ? 0 : k.ptes.words[table * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot])];
}

/** Precondition: pageAt finds no page there. */
export function absentCause(k: Kernel, mm: AddressSpace, vpn: Vpn): CauseName {
  const page = pageAt(k, mm, vpn);
  if (page === PAGE_ZERO) return 'zero-page';
  if (page === PAGE_SPECIAL) return 'raw-frame';
  const word = entryWord(k, mm, vpn);
  return word === 0 ? 'not-present' : (CAUSE_OF_KIND.get(pteKind(word)) ?? 'not-present');
}
