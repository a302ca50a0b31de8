/**
 * What reclaim asks of rmap: was the folio referenced, and take it out of all page tables
 * (mm/rmap.c: folio_referenced, try_to_unmap). TI-12, TI-16, HS-8, PM-10.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import { setFolioDirty } from './fileFolio.ts';
import {
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_IDLE,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_YOUNG,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { mlockFolio } from './mlock.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_KIND_SWAP,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  PTEB_YOUNG,
  pteIsDirty,
  pteIsPresent,
  pteIsYoung,
  pteMapsPage,
  pteMkold,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { splitPmd } from './pteSetup.ts';
import { removeRmapPtes, rmapCollect } from './rmap.ts';
import { VM_EXEC, VM_LOCKED, type Vma } from './vma.ts';

/** Flags of VMAs met by the last folioReferenced call (its vm_flags argument). */
export class ReferencedFlags {
  locked = false;
  exec = false;
}

export const referencedFlags: ReferencedFlags = new ReferencedFlags();

/**
 * In how many areas the folio was accessed since the last look; clears the accessed bits. Idle is
 * cleared if there is any (HS-8).
 */
export function folioReferenced(k: Kernel, head: FrameId): number {
  const flags = referencedFlags;
  flags.locked = false;
  flags.exec = false;
  let young = 0;
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const vma = k.rmap.vma[r];
    const [vpn, sub, nr] = [k.rmap.vpn[r], k.rmap.sub[r], k.rmap.nr[r]];
    const isLocked = vma.has(VM_LOCKED);
    if (isLocked && isMappedWhole(k, vma, head, vpn, nr)) {
      // Restores the mlock that was missed; the folio will not be reclaimed.
      flags.locked = true;
      mlockFolio(k, head);
      break;
    }
    const found = isLocked ? 0 : youngInRange(k, vma, head, vpn, sub, nr);
    if (found < 0) continue;
    const marked = (k.frames.flags[head] & PG_YOUNG) !== 0;
    if (found === 0 && !marked) continue;
    k.frames.flags[head] &= ~(PG_YOUNG | PG_IDLE);
    if (vma.has(VM_EXEC)) flags.exec = true;
    young++;
  }
  return young;
}

/**
 * Whether the area maps all of the folio at `vpn`, by one PMD or page by page. Accessed bits of a
 * locked area are neither asked for nor cleared.
 */
function isMappedWhole(k: Kernel, vma: Vma, head: FrameId, vpn: Vpn, count: number): boolean {
  if (count !== k.folios.nrPages(head)) return false;
  const { mm } = vma;
  for (let n = 0; n < count; n++) {
    const slot = mm.slotOf(vpn + n);
    const pmd = slot < 0 ? 0 : mm.pmd[slot];
    if (pmd !== 0) return pteIsPresent(pmd) && ptePayload(pmd) === head;
    const i = mm.pteIndex(vpn + n);
    const word = i < 0 ? 0 : k.ptes.words[i];
    if (!pteIsPresent(word) || ptePayload(word) !== head + n) return false;
  }
  return true;
}

/** Young entries of a candidate range, cleared; -1 if the range maps nothing of the folio. */
export function youngInRange(
  k: Kernel,
  vma: Vma,
  head: FrameId,
  first: number,
  sub: number,
  count: number,
): number {
  const mm = vma.mm;
  let young = 0;
  let mapped = false;
  for (let j = 0; j < count; ) {
    const vpn = first + j;
    const slot = mm.slotOf(vpn);
    if (slot < 0) {
      j++;
      continue;
    }
    const pmd = mm.pmd[slot];
    if (pmd !== 0) {
      if (pteIsPresent(pmd) && ptePayload(pmd) === head) {
        mapped = true;
        if (pteIsYoung(pmd, mm.pmdByte[slot])) young++;
        mm.pmd[slot] = pteMkold(pmd);
        mm.pmdByte[slot] &= ~PTEB_YOUNG;
      }
      j += HPAGE_PMD_NR - (vpn - mm.slotVpn[slot]);
      continue;
    }
    if (mm.leaf[slot] >= 0) {
      const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
      const word = k.ptes.words[i];
      const special = (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0;
      if (pteIsPresent(word) && !special && ptePayload(word) === head + sub + j) {
        mapped = true;
        if (pteIsYoung(word, k.ptes.bytes[i])) young++;
        k.ptes.set(i, pteMkold(word), k.ptes.bytes[i] & ~PTEB_YOUNG);
      }
    }
    j++;
  }
  return mapped ? young : -1;
}

/**
 * try_to_unmap for reclaim: swap entries for swapbacked anon (the folio is in the swap cache),
 * nothing for file pages and clean lazyfree pages; device-exclusive entries like the rest (DM
 * section 9). PMD mappings are split. Returns true if no mapping is left.
 */
export function tryToUnmap(k: Kernel, head: FrameId): boolean {
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const vma = k.rmap.vma[r];
    const mm = vma.mm;
    if (vma.has(VM_LOCKED)) continue;
    const first = k.rmap.vpn[r];
    mmuNotifierInvalidate(mm, first, first + k.rmap.nr[r], MMU_NOTIFY_CLEAR);
    for (let j = 0; j < k.rmap.nr[r]; j++) {
      const vpn = k.rmap.vpn[r] + j;
      const slot = mm.slotOf(vpn);
      if (slot < 0) continue;
      if (mm.pmd[slot] !== 0) {
        if (!pteIsPresent(mm.pmd[slot]) || ptePayload(mm.pmd[slot]) !== head) continue;
        splitPmd(k, mm, slot);
      }
      if (mm.leaf[slot] < 0) continue;
      const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
      const page = head + k.rmap.sub[r] + j;
      if (!unmapEntry(k, vma, i, head, page)) return false;
    }
  }
  return k.folios.mapcount(head) === 0;
}

function unmapEntry(k: Kernel, vma: Vma, i: number, head: FrameId, page: FrameId): boolean {
  const word = k.ptes.words[i];
  const byte = k.ptes.bytes[i];
  if (!pteMapsPage(word) || ptePayload(word) !== page || (byte & PTEB_SPECIAL) !== 0) return true;
  const f = k.frames;
  const mm = vma.mm;
  const dirty = pteIsDirty(word, byte);
  if (!k.folios.isAnon(head)) {
    if (dirty) setFolioDirty(k, head);
    k.ptes.set(i, 0, 0);
    if (k.folios.isFileLru(head)) mm.rssFile--;
    else mm.rssShmem--;
  } else if ((f.flags[head] & PG_SWAPBACKED) === 0) {
    // Stored to since MADV_FREE: an ordinary page again. With a reference too many: not now.
    if (dirty || (f.flags[head] & PG_DIRTY) !== 0) {
      f.flags[head] |= PG_SWAPBACKED | PG_DIRTY;
      return false;
    }
    if (f.refcount[head] !== expectLazyfree(k, head)) return false;
    k.ptes.set(i, 0, 0);
    mm.rssAnon--;
  } else {
    if ((f.flags[head] & PG_SWAPCACHE) === 0) return false;
    const exclusive = (f.flags[page] & PG_ANON_EXCLUSIVE) !== 0;
    if (exclusive && k.folios.maybeDmaPinned(head)) return false;
    const slot = f.private_[head] + (page - head);
    k.swap.duplicate(slot);
    const kept = byte & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP);
    k.ptes.set(i, pteOther(PTE_KIND_SWAP, slot), kept | (exclusive ? PTEB_EXCLUSIVE : 0));
    mm.rssAnon--;
    mm.swapEnts++;
    f.flags[page] &= ~PG_ANON_EXCLUSIVE;
  }
  if (dirty && k.folios.isAnon(head)) f.flags[head] |= PG_DIRTY;
  removeRmapPtes(k, page, 1, mm, true);
  f.refcount[head]--;
  return true;
}

/** References of a lazyfree folio nobody else uses: its mappings and the isolation. */
function expectLazyfree(k: Kernel, head: FrameId): number {
  return k.folios.mapcount(head) + 1;
}
