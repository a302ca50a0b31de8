/**
 * Write protection of pages by userfaultfd (fs/userfaultfd.c: userfaultfd_register in WP mode;
 * mm/userfaultfd.c: mwriteprotect_range). The bit stays with the page wherever it moves.
 *
 * Deviates: a write to a protected page succeeds and lifts the protection (faultCow.ts), as if a
 * reader of the userfaultfd answered at once.
 * Not modelled: missing and minor faults, events, marks on pages that are not there yet.
 */
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { EINVAL, ENOENT } from '../uapi/errno.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_PROTECTION_VMA, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_FAST,
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTE_W,
  PTEB_EXCLUSIVE,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  pteIsKind,
  ptePayload,
} from './pageTable.ts';
import { type PageWalker, WALK_VMA, walkPageRange } from './pageWalk.ts';
import { splitPmd } from './pteSetup.ts';
import { VM_UFFD_WP, type Vma } from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';

/** UFFDIO_REGISTER in mode WP: -EINVAL where nothing is mapped. */
export function userfaultRegister(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): number {
  if (!isMapped(mm, start, end)) return -EINVAL;
  splitAtEnds(k, mm, start, end);
  for (const vma of mm.vmas) if (vma.end > start && vma.start < end) vma.flags |= VM_UFFD_WP;
  mergeRange(k, mm, start, end);
  return 0;
}

/** UFFDIO_WRITEPROTECT: what is there is protected. -ENOENT unless all of it is registered. */
export function userfaultProtect(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn): number {
  if (!isMapped(mm, start, end)) return -ENOENT;
  mmuNotifierInvalidate(mm, start, end, MMU_NOTIFY_PROTECTION_VMA);
  return walkPageRange(mm, start, end, new Protector(k));
}

function isMapped(mm: AddressSpace, start: Vpn, end: Vpn): boolean {
  let vpn = start;
  for (const vma of mm.vmas) if (vma.start <= vpn && vma.end > vpn) vpn = vma.end;
  return vpn >= end;
}

class Protector implements PageWalker {
  readonly #k: Kernel;

  constructor(k: Kernel) {
    this.#k = k;
  }

  testVma(vma: Vma): number {
    return vma.has(VM_UFFD_WP) ? WALK_VMA : -ENOENT;
  }

  pmdEntry(vma: Vma, slot: number, start: Vpn, end: Vpn): number {
    const { mm } = vma;
    if (end - start < HPAGE_PMD_NR) {
      splitPmd(this.#k, mm, slot);
      if (mm.leaf[slot] < 0) return 0;
      const i = mm.leaf[slot] * HPAGE_PMD_NR + (start - mm.slotVpn[slot]);
      return this.pteEntries(vma, i, end - start);
    }
    mm.pmd[slot] = readOnly(mm.pmd[slot]);
    mm.pmdByte[slot] = protectedByte(this.#k, mm.pmd[slot], mm.pmdByte[slot]);
    return 0;
  }

  pteEntries(_vma: Vma, i: number, nr: number): number {
    const { ptes } = this.#k;
    for (let at = i; at < i + nr; at++) {
      const word = ptes.words[at];
      if (word === 0 || pteIsKind(word, PTE_KIND_MARKER)) continue;
      ptes.set(at, readOnly(word), protectedByte(this.#k, word, ptes.bytes[at]));
    }
    return 0;
  }
}

/** A migration entry of the write kind becomes read-exclusive for anonymous memory (OV-33). */
function protectedByte(k: Kernel, word: number, byte: number): number {
  const isMigration = pteIsKind(word, PTE_KIND_MIGRATION);
  const isFile = isMigration && !k.folios.isAnon(k.frames.headOf(ptePayload(word)));
  return (byte & ~(PTEB_WRITE | (isFile ? PTEB_EXCLUSIVE : 0))) | PTEB_UFFD_WP;
}

function readOnly(word: number): number {
  return (word & PTE_FAST) !== 0 ? (word & ~PTE_W) >>> 0 : word;
}
