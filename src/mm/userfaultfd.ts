/**
 * Areas registered with a userfaultfd, and write protection of their pages (fs/userfaultfd.c:
 * userfaultfd_register, handle_userfault; mm/userfaultfd.c: mwriteprotect_range). The bit stays
 * with the page wherever it moves.
 *
 * Deviates: a fault on such a page is served at once, as if a reader of the userfaultfd answered: a
 * write lifts the protection (faultCow.ts), a missing page is zero. Who acts out programs without a
 * reader asks waitsForUserfault first.
 * Not modelled: minor faults, events of fork, mremap and munmap, marks on pages not there yet.
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
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { type PageWalker, WALK_VMA, walkPageRange } from './pageWalk.ts';
import { splitPmd } from './pteSetup.ts';
import { VM_HUGETLB, VM_UFFD_MISSING, VM_UFFD_WP, type Vma } from './vma.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';

/**
 * UFFDIO_REGISTER for missing pages or for write protection: -EINVAL where nothing is mapped, and
 * for areas of files that are neither shmem nor hugetlb (vma_can_userfault).
 */
export function userfaultRegister(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  flag: number = VM_UFFD_WP,
): number {
  if (!isMapped(mm, start, end)) return -EINVAL;
  const areas = mm.vmas.filter((vma) => vma.end > start && vma.start < end);
  if (!areas.every(canUserfault)) return -EINVAL;
  splitAtEnds(k, mm, start, end);
  for (const vma of mm.vmas) if (vma.end > start && vma.start < end) vma.flags |= flag;
  mergeRange(k, mm, start, end);
  return 0;
}

function canUserfault(vma: Vma): boolean {
  return vma.isAnonymous() || vma.has(VM_HUGETLB) || vma.file?.isShmem() === true;
}

/**
 * handle_userfault: whether an access waits for somebody to read the userfaultfd, for as long as
 * nobody does: to a page that is not there, or by a store to a protected one.
 */
export function waitsForUserfault(k: Kernel, mm: AddressSpace, vpn: Vpn, write: boolean): boolean {
  const vma = mm.findVma(vpn);
  if (vma === null || !vma.has(VM_UFFD_MISSING | VM_UFFD_WP)) return false;
  const slot = mm.slotOf(vpn);
  const huge = slot >= 0 && mm.pmd[slot] !== 0;
  const i = huge ? -1 : mm.pteIndex(vpn);
  const word = huge ? mm.pmd[slot] : i < 0 ? 0 : k.ptes.words[i];
  const byte = huge ? mm.pmdByte[slot] : i < 0 ? 0 : k.ptes.bytes[i];
  if (word === 0) {
    const isCached = vma.file?.pages.has(vma.indexOf(vpn));
    return vma.has(VM_UFFD_MISSING) && !isCached;
  }
  return write && vma.has(VM_UFFD_WP) && (byte & PTEB_UFFD_WP) !== 0 && pteIsPresent(word);
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
