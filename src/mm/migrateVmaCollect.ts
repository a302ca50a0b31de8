/**
 * The first step of a device migration: which pages of a range move, and migration entries in their
 * place at once (mm/migrate_device.c: migrate_vma_collect_pmd, _hole, _huge_pmd). DM-22..DM-24.
 *
 * A page that is left out (locked, pinned, of the wrong kind) leaves an empty slot and its entry as
 * it was.
 *
 * Deviates: a merged page is left out where rmap does not find it: in relatives of who merged it.
 *   Linux takes it, and nothing turns that migration entry back into a mapping.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import {
  type DeviceMigration,
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_ENTRIES,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratesCompound,
} from './deviceMigration.ts';
import { MAPPING_NONE, PG_LOCKED } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { isDeviceCoherent } from './memremap.ts';
import { setPmdMigration, setPteMigration } from './migrationEntries.ts';
import { MMU_NOTIFY_MIGRATE, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_KIND_DEVICE_PRIVATE,
  PTEB_SPECIAL,
  pteIsKind,
  pteIsPresent,
  pteIsWrite,
  ptePayload,
} from './pageTable.ts';
import { PAGE_ZERO, presentPage } from './pageWalk.ts';
import { rmapFindsPlace } from './rmap.ts';
import { splitFolio } from './splitFolio.ts';
import type { Vma } from './vma.ts';

/** A PMD leaf is gone: its entries must be looked at one by one. */
const LOOK_AT_ENTRIES = 1;
const DONE = 0;

/** migrate_vma_collect: fills the slots of the range, which lies in `vma`. */
export function collectVma(k: Kernel, m: DeviceMigration, vma: Vma): void {
  mmuNotifierInvalidate(vma.mm, m.start, m.end, MMU_NOTIFY_MIGRATE, m.owner);
  const mm = vma.mm;
  for (let vpn = m.start; vpn < m.end; ) {
    const next = Math.min(m.end, (Math.floor(vpn / HPAGE_PMD_NR) + 1) * HPAGE_PMD_NR);
    const slot = mm.slotOf(vpn);
    const isEmpty = slot < 0 || (mm.pmd[slot] === 0 && mm.leaf[slot] < 0);
    if (isEmpty) {
      collectHole(k, m, vma, vpn, next);
    } else if (mm.pmd[slot] === 0 || collectHuge(k, m, vma, slot, vpn, next) === LOOK_AT_ENTRIES) {
      // What cannot be split keeps the rest of its table from moving.
      for (let v = vpn; v < next && collectEntry(k, m, vma, v); v++);
    }
    m.npages = next - m.start;
    vpn = next;
  }
}

function selects(m: DeviceMigration, flag: number): boolean {
  return (m.select & flag) !== 0;
}

/** Slots of memory that has no page yet: the device may fill it (DM-22.1, DM-23). */
function collectHole(k: Kernel, m: DeviceMigration, vma: Vma, start: Vpn, end: Vpn): void {
  if (!vma.isAnonymous() || selects(m, MIGRATE_VMA_SELECT_ENTRIES)) return;
  const first = start - m.start;
  if (isWhole(k, m, start, end)) {
    m.srcBits[first] = MIGRATE_PFN_MIGRATE | MIGRATE_PFN_COMPOUND;
    m.cpages++;
    return;
  }
  for (let i = first; i < end - m.start; i++) m.srcBits[i] = MIGRATE_PFN_MIGRATE;
  m.cpages += end - start;
}

/** An aligned 2 MiB that may move as one. */
function isWhole(k: Kernel, m: DeviceMigration, start: Vpn, end: Vpn): boolean {
  if (!selects(m, MIGRATE_VMA_SELECT_COMPOUND) || !migratesCompound(k)) return false;
  return end - start === HPAGE_PMD_NR;
}

/** migrate_vma_collect_huge_pmd: DM-23. */
function collectHuge(
  k: Kernel,
  m: DeviceMigration,
  vma: Vma,
  slot: number,
  start: Vpn,
  end: Vpn,
): number {
  if (selects(m, MIGRATE_VMA_SELECT_ENTRIES)) return DONE;
  const mm = vma.mm;
  const word = mm.pmd[slot];
  const head = ptePayload(word);
  if (pteIsPresent(word)) {
    if (!selects(m, MIGRATE_VMA_SELECT_SYSTEM)) return DONE;
    if ((mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) {
      collectHole(k, m, vma, start, end);
      return DONE;
    }
  } else if (!pteIsKind(word, PTE_KIND_DEVICE_PRIVATE) || !isOwnPrivate(k, m, head)) {
    return DONE;
  }
  const f = k.frames;
  const isFault = m.isFaultFolio(k, head);
  if (!isFault && (f.flags[head] & PG_LOCKED) !== 0) return DONE;
  if (isWhole(k, m, start, end)) {
    const isWritable = pteIsWrite(word, mm.pmdByte[slot]);
    k.folios.get(head);
    f.flags[head] |= PG_LOCKED;
    if (setPmdMigration(k, mm, slot, head)) {
      take(m, start - m.start, head, isWritable, MIGRATE_PFN_COMPOUND);
      return DONE;
    }
    if (!isFault) f.flags[head] &= ~PG_LOCKED;
    k.putFolio(head);
  }
  return splitForMigration(k, m, head) === 0 ? LOOK_AT_ENTRIES : DONE;
}

function isOwnPrivate(k: Kernel, m: DeviceMigration, page: FrameId): boolean {
  if (!selects(m, MIGRATE_VMA_SELECT_DEVICE_PRIVATE)) return false;
  return k.devices.pagemapOf(page).owner === m.owner;
}

/** migrate_vma_split_folio: the lock and reference of a fault follow its page. */
function splitForMigration(k: Kernel, m: DeviceMigration, head: FrameId): number {
  const f = k.frames;
  const isFault = m.isFaultFolio(k, head);
  if (!isFault) {
    if ((f.flags[head] & PG_LOCKED) !== 0) return -1;
    k.folios.get(head);
    const result = splitFolio(k, head, null);
    k.putFolio(head);
    return result;
  }
  const result = splitFolio(k, head, null);
  if (result !== 0 || head === m.faultPage) return result;
  k.folios.get(m.faultPage);
  f.flags[m.faultPage] |= PG_LOCKED;
  f.flags[head] &= ~PG_LOCKED;
  k.putFolio(head);
  return 0;
}

/** One entry of a leaf table: DM-22. False: a large folio that cannot be split. */
function collectEntry(k: Kernel, m: DeviceMigration, vma: Vma, vpn: Vpn): boolean {
  const slot = vpn - m.start;
  const mm = vma.mm;
  const i = mm.pteIndex(vpn);
  const word = k.ptes.words[i];
  const page = selectedPage(k, m, word, k.ptes.bytes[i]);
  const isHole = word === 0 && vma.isAnonymous();
  if (isHole || page === PAGE_ZERO) {
    if (selects(m, MIGRATE_VMA_SELECT_ENTRIES)) return true;
    m.srcBits[slot] = MIGRATE_PFN_MIGRATE;
    m.cpages++;
    return true;
  }
  if (page < 0) return true;
  const head = k.frames.headOf(page);
  if (k.folios.isLarge(head)) {
    if (selects(m, MIGRATE_VMA_SELECT_ENTRIES)) return true;
    return splitForMigration(k, m, head) === 0 && collectEntry(k, m, vma, vpn);
  }
  if (k.frames.mapping[head] === MAPPING_NONE) return true;
  const isLocked = (k.frames.flags[head] & PG_LOCKED) !== 0;
  if (isLocked && m.faultPage !== head) return true;
  if (k.folios.isKsm(head) && !rmapFindsPlace(k, head, mm, vpn)) return true;
  const isWritable = pteIsWrite(word, k.ptes.bytes[i]);
  k.folios.get(head);
  if (setPteMigration(k, mm, vpn, i, head, head)) {
    k.frames.flags[head] |= PG_LOCKED;
    take(m, slot, head, isWritable, 0);
  } else {
    k.putFolio(head);
  }
  return true;
}

function take(
  m: DeviceMigration,
  slot: number,
  head: FrameId,
  isWritable: boolean,
  more: number,
): void {
  m.src[slot] = head;
  const write = isWritable ? MIGRATE_PFN_WRITE : 0;
  m.srcBits[slot] = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE | write | more;
  m.cpages++;
}

/** The page of an entry if the caller selected its kind; PAGE_ZERO for the zero page, else -1. */
function selectedPage(k: Kernel, m: DeviceMigration, word: number, byte: number): FrameId {
  if (word === 0) return -1;
  const page = ptePayload(word);
  if (!pteIsPresent(word)) {
    const isPrivate = pteIsKind(word, PTE_KIND_DEVICE_PRIVATE);
    return isPrivate && isOwnPrivate(k, m, page) ? page : -1;
  }
  const system = selects(m, MIGRATE_VMA_SELECT_SYSTEM);
  const normal = presentPage(k, word, byte);
  if (normal < 0) return normal === PAGE_ZERO && system ? PAGE_ZERO : -1;
  if (!k.pm.isZoneDevice(normal)) return system ? normal : -1;
  if (!isDeviceCoherent(k, normal)) return normal;
  const mayTake = selects(m, MIGRATE_VMA_SELECT_DEVICE_COHERENT);
  return mayTake && k.devices.pagemapOf(normal).owner === m.owner ? normal : -1;
}
