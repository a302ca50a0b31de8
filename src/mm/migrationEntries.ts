/**
 * Migration entries: put in place of every mapping of a folio before it moves, and replaced by
 * mappings of the destination (or of the source again) afterwards (mm/rmap.c: try_to_migrate,
 * mm/migrate.c: remove_migration_ptes). MC-22, MC-26..MC-36, OV-33.
 */
import { type FrameId, HPAGE_PMD_NR, PAGE_SIZE, type Vpn } from '../base/units.ts';
import type { Tracepoint } from '../engine/index.ts';
import type { AddressSpace } from './addressSpace.ts';
import { setFolioDirty } from './fileFolio.ts';
import { PG_ANON_EXCLUSIVE, PG_DIRTY, PG_HWPOISON } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { isDevicePrivate } from './memremap.ts';
import { mlockFolio, munlockFolio } from './mlock.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_HWPOISON,
  PTE_KIND_MIGRATION,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_DIRTY,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  PTEB_YOUNG,
  pteFast,
  pteIsDirty,
  pteIsKind,
  pteIsWrite,
  pteIsYoung,
  pteMapsPage,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { migrationKindByte, migrationWord, splitPmd } from './pteSetup.ts';
import { addRmapPmd, addRmapPte, removeRmapPmd, removeRmapPtes, rmapCollect } from './rmap.ts';
import { VM_LOCKED, type Vma } from './vma.ts';
import { addRss } from './zap.ts';

/** Outcome of tryToMigrate. */
export const UNMAP_DONE = 0;
/** An anon-exclusive page may be DMA-pinned: its entry stays (MC-27). */
export const UNMAP_PINNED = 1;

/**
 * Installs migration entries in every mapping of the folio. `splitHuge`: PMD mappings are split
 * first (TTU_SPLIT_HUGE_PMD). Stops at the first entry that cannot be converted.
 */
export function tryToMigrate(k: Kernel, head: FrameId, splitHuge: boolean): number {
  const n = rmapCollect(k, head);
  const scratch = k.rmap;
  for (let r = 0; r < n; r++) {
    const vma = scratch.vma[r];
    const first = scratch.vpn[r];
    const sub = scratch.sub[r];
    const count = scratch.nr[r];
    mmuNotifierInvalidate(vma.mm, first, first + count, MMU_NOTIFY_CLEAR);
    if (unmapRange(k, vma, head, first, sub, count, splitHuge) !== UNMAP_DONE) return UNMAP_PINNED;
  }
  return UNMAP_DONE;
}

function unmapRange(
  k: Kernel,
  vma: Vma,
  head: FrameId,
  first: number,
  sub: number,
  count: number,
  splitHuge: boolean,
): number {
  const mm = vma.mm;
  for (let j = 0; j < count; ) {
    const vpn = first + j;
    const slot = mm.slotOf(vpn);
    if (slot < 0) {
      j += 1;
      continue;
    }
    if (mm.pmd[slot] !== 0) {
      const maps = pteMapsPage(mm.pmd[slot]) && ptePayload(mm.pmd[slot]) === head;
      const zero = (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0;
      if (maps && !zero) {
        if (!splitHuge) {
          if (!setPmdMigration(k, mm, slot, head)) return UNMAP_PINNED;
        } else {
          splitPmd(k, mm, slot);
          continue;
        }
      }
      j += HPAGE_PMD_NR - ((vpn - mm.slotVpn[slot]) % HPAGE_PMD_NR);
      continue;
    }
    const table = mm.leaf[slot];
    if (table >= 0) {
      const i = table * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
      const page = head + sub + j;
      if (ptePayload(k.ptes.words[i]) === page && !setPteMigration(k, mm, vpn, i, head, page)) {
        return UNMAP_PINNED;
      }
    }
    j += 1;
  }
  return UNMAP_DONE;
}

/** Converts one entry if it maps `page`; false if a pin forbids it. MC-26, DM-22.10. */
export function setPteMigration(
  k: Kernel,
  mm: AddressSpace,
  vpn: Vpn,
  i: number,
  head: FrameId,
  page: FrameId,
): boolean {
  const word = k.ptes.words[i];
  const byte = k.ptes.bytes[i];
  if (!pteMapsPage(word) || (byte & PTEB_SPECIAL) !== 0) return true;
  const f = k.frames;
  const anon = k.folios.isAnon(head);
  const exclusive = anon && (f.flags[page] & PG_ANON_EXCLUSIVE) !== 0;
  if (exclusive && k.folios.maybeDmaPinned(head)) return false;
  if (pteIsDirty(word, byte)) setFolioDirty(k, head);
  if ((f.flags[page] & PG_HWPOISON) !== 0) {
    // MC-30: what touches it again gets SIGBUS.
    k.ptes.set(i, pteOther(PTE_KIND_HWPOISON, page), 0);
    addRss(k, mm, head, -1);
  } else {
    k.ptes.set(i, migrationWord(page), entryByte(word, byte, exclusive));
  }
  f.flags[page] &= ~PG_ANON_EXCLUSIVE;
  removeRmapPtes(k, page, 1, mm, true);
  f.refcount[head]--;
  if (k.trace.setMigrationPte.isEnabled) tracePte(k, k.trace.setMigrationPte, vpn, head, page);
  return true;
}

/** set_migration_pte and remove_migration_pte: address, physical address of the page, order. */
function tracePte(
  k: Kernel,
  point: Tracepoint<readonly ['addr', 'pte', 'order']>,
  vpn: Vpn,
  head: FrameId,
  page: FrameId,
): void {
  point.emit(vpn * PAGE_SIZE, k.frames.pfnOf(page) * PAGE_SIZE, k.frames.orderOf(head));
}

/** Kind, young, dirty, soft-dirty, uffd-wp of a migration entry (MC-26, MC-31). */
function entryByte(word: number, byte: number, exclusive: boolean): number {
  const hasWrite = (word & PTE_FAST) !== 0 || pteIsKind(word, PTE_KIND_DEVICE_PRIVATE);
  const writable = hasWrite && pteIsWrite(word, byte);
  return (
    migrationKindByte(writable, exclusive) |
    (pteIsYoung(word, byte) ? PTEB_YOUNG : 0) |
    (pteIsDirty(word, byte) ? PTEB_DIRTY : 0) |
    (byte & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP))
  );
}

/** MC-32: one PMD migration entry of the same kinds; false if a pin forbids it. */
export function setPmdMigration(k: Kernel, mm: AddressSpace, slot: number, head: FrameId): boolean {
  const word = mm.pmd[slot];
  const byte = mm.pmdByte[slot];
  const exclusive = k.folios.isAnon(head) && k.folios.isAnonExclusive(head);
  if (exclusive && k.folios.maybeDmaPinned(head)) return false;
  mm.pmd[slot] = migrationWord(head);
  mm.pmdByte[slot] = entryByte(word, byte, exclusive);
  if (pteIsDirty(word, byte)) setFolioDirty(k, head);
  k.frames.flags[head] &= ~PG_ANON_EXCLUSIVE;
  removeRmapPmd(k, head, mm, true);
  k.frames.refcount[head]--;
  const { setMigrationPmd } = k.trace;
  if (setMigrationPmd.isEnabled) {
    setMigrationPmd.emit(mm.slotVpn[slot] * PAGE_SIZE, k.frames.pfnOf(head) * PAGE_SIZE);
  }
  return true;
}

/** A migration that fails maps the source again; a locked area may have let go of it meanwhile. */
export function restoreMappings(k: Kernel, head: FrameId): void {
  removeMigrationPtes(k, head, head);
  munlockFolio(k, head);
}

/**
 * Replaces every migration entry that points to `src` by a mapping of `dst` (MC-36). `src` and
 * `dst` are folio heads of the same order; they may be equal (undo). Returns mappings restored.
 * Small folios in locked areas are mlocked again; large ones wait for reclaim (mlock.ts).
 */
export function removeMigrationPtes(k: Kernel, src: FrameId, dst: FrameId): number {
  const n = rmapCollect(k, dst);
  const scratch = k.rmap;
  let restored = 0;
  let locked = false;
  for (let r = 0; r < n; r++) {
    const vma = scratch.vma[r];
    const mm = vma.mm;
    const before = restored;
    for (let j = 0; j < scratch.nr[r]; ) {
      const vpn = scratch.vpn[r] + j;
      const slot = mm.slotOf(vpn);
      if (slot >= 0 && mm.pmd[slot] !== 0) {
        if (pteIsKind(mm.pmd[slot], PTE_KIND_MIGRATION) && ptePayload(mm.pmd[slot]) === src) {
          restorePmd(k, vma, slot, dst);
          restored++;
        }
        j += HPAGE_PMD_NR - ((vpn - mm.slotVpn[slot]) % HPAGE_PMD_NR);
        continue;
      }
      if (slot >= 0 && mm.leaf[slot] >= 0) {
        const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
        const sub = scratch.sub[r] + j;
        const word = k.ptes.words[i];
        if (pteIsKind(word, PTE_KIND_MIGRATION) && ptePayload(word) === src + sub) {
          restorePte(k, vma, vpn, i, dst, dst + sub);
          restored++;
        }
      }
      j++;
    }
    if (restored > before && vma.has(VM_LOCKED)) locked = true;
  }
  if (locked && !k.folios.isLarge(dst) && !k.pm.isZoneDevice(dst)) mlockFolio(k, dst);
  return restored;
}

/** The word and byte a migration entry turns into for a VMA. DM-31: a device-private entry. */
function restoredWord(k: Kernel, vma: Vma, byte: number, head: FrameId, page: FrameId): number {
  if (isDevicePrivate(k, head)) return pteOther(PTE_KIND_DEVICE_PRIVATE, page);
  let adw = 0;
  if ((byte & PTEB_YOUNG) !== 0) adw |= PTE_A;
  if ((byte & PTEB_DIRTY) !== 0 && (k.frames.flags[head] & PG_DIRTY) !== 0) adw |= PTE_D;
  if ((byte & PTEB_WRITE) !== 0) adw |= PTE_W;
  return vma.isAccessible() ? pteFast(page, adw) : pteOther(PTE_KIND_PROTNONE, page);
}

function restoredByte(k: Kernel, vma: Vma, byte: number, head: FrameId): number {
  if (isDevicePrivate(k, head)) {
    return byte & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP | PTEB_WRITE);
  }
  const kept = byte & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP);
  return vma.isAccessible() ? kept : kept | (byte & (PTEB_YOUNG | PTEB_DIRTY));
}

function restorePte(k: Kernel, vma: Vma, vpn: Vpn, i: number, head: FrameId, page: FrameId): void {
  const byte = k.ptes.bytes[i];
  const word = restoredWord(k, vma, byte, head, page);
  k.ptes.set(i, word, restoredByte(k, vma, byte, head));
  k.frames.refcount[head]++;
  addRmapPte(k, page, vma.mm);
  const exclusive = (byte & (PTEB_WRITE | PTEB_EXCLUSIVE)) !== 0;
  if (exclusive && k.folios.isAnon(head)) k.frames.flags[page] |= PG_ANON_EXCLUSIVE;
  const { removeMigrationPte } = k.trace;
  if (removeMigrationPte.isEnabled) tracePte(k, removeMigrationPte, vpn, head, page);
}

function restorePmd(k: Kernel, vma: Vma, slot: number, head: FrameId): void {
  const mm = vma.mm;
  const byte = mm.pmdByte[slot];
  const word = restoredWord(k, vma, byte, head, head);
  mm.pmd[slot] = word;
  mm.pmdByte[slot] = restoredByte(k, vma, byte, head);
  k.frames.refcount[head]++;
  addRmapPmd(k, head, mm);
  const exclusive = (byte & (PTEB_WRITE | PTEB_EXCLUSIVE)) !== 0;
  if (exclusive && k.folios.isAnon(head)) k.frames.flags[head] |= PG_ANON_EXCLUSIVE;
  const { removeMigrationPmd } = k.trace;
  if (removeMigrationPmd.isEnabled) {
    removeMigrationPmd.emit(mm.slotVpn[slot] * PAGE_SIZE, k.frames.pfnOf(head) * PAGE_SIZE);
  }
}
