/**
 * The middle step of a device migration: mappings are switched from source to destination, and
 * holes are filled (mm/migrate_device.c: __migrate_device_pages, migrate_vma_insert_page). DM-30.
 */
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import {
  type DeviceMigration,
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
} from './deviceMigration.ts';
import { mayCacheOnDevice } from './devicePageCache.ts';
import { addToLruVma } from './fault.ts';
import { PG_ANON_EXCLUSIVE, PG_LOCKED, PG_SWAPBACKED, PG_SWAPCACHE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { isDeviceCoherent, isDevicePrivate } from './memremap.ts';
import { mergeSlots } from './mergeSlots.ts';
import { MMU_NOTIFY_MIGRATE, mmuNotifierInvalidate } from './mmuNotifier.ts';
import { switchMapping, transferState } from './moveFolio.ts';
import {
  PTE_D,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_WRITE,
  pteFast,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { anonVmaPrepare, pteAlloc, splitPmd } from './pteSetup.ts';
import { addRmapPmd, addRmapPte, rmapCollect } from './rmap.ts';
import { splitUnmappedFolio } from './splitFolio.ts';
import { freeSwapCache } from './swapCache.ts';
import { VM_UFFD_MISSING, VM_WRITE, type Vma } from './vma.ts';

const THP_FAULT_ALLOC = vmEvent('thp_fault_alloc');

/**
 * migrate_vma_pages, migrate_device_pages: what has a destination is switched to it, slot by slot.
 * Those that could not be lose MIGRATE (DM-32).
 */
export function migrateVmaPages(k: Kernel, m: DeviceMigration): void {
  let isNotified = false;
  for (let i = 0; i < m.npages; i++) {
    if (m.dst[i] < 0) {
      m.srcBits[i] &= ~MIGRATE_PFN_MIGRATE;
    } else if (isLargeDestination(m, i) && !m.isCompound(i) && mergeSlots(k, m, i)) {
      i += HPAGE_PMD_NR - 1;
    } else if (m.src[i] < 0) {
      if (!m.wants(i) || m.vma === null) continue;
      if (!isNotified) {
        const { mm } = m.vma;
        mmuNotifierInvalidate(mm, m.start + i, m.end, MMU_NOTIFY_MIGRATE, m.owner);
        isNotified = true;
      }
      fillHole(k, m, m.vma, i);
    } else {
      switchSlot(k, m, i);
    }
  }
}

function isLargeDestination(m: DeviceMigration, i: number): boolean {
  return (m.dstBits[i] & MIGRATE_PFN_COMPOUND) !== 0;
}

function refuse(m: DeviceMigration, i: number): void {
  m.srcBits[i] &= ~MIGRATE_PFN_MIGRATE;
}

function fillHole(k: Kernel, m: DeviceMigration, vma: Vma, i: number): void {
  if (m.isCompound(i) && !isLargeDestination(m, i)) {
    // One hole of 2 MiB, small destinations: as many small holes; the loop comes to the others.
    m.srcBits.fill(MIGRATE_PFN_MIGRATE, i, i + HPAGE_PMD_NR);
  }
  const isDone = isLargeDestination(m, i) ? insertHuge(k, m, vma, i) : insertPage(k, m, vma, i);
  if (!isDone) refuse(m, i);
}

/** migrate_vma_insert_page. */
function insertPage(k: Kernel, m: DeviceMigration, vma: Vma, i: number): boolean {
  const page = m.dst[i];
  const vpn = m.start + i;
  const mm = vma.mm;
  if (!vma.isAnonymous() || !canBeAnonymous(k, page)) return false;
  const slot = mm.ensureSlot(vpn);
  if (mm.pmd[slot] !== 0) {
    if ((mm.pmdByte[slot] & PTEB_SPECIAL) === 0) return false;
    splitPmd(k, mm, slot);
  }
  const at = pteAlloc(k, mm, vpn, m.task.cpuNid);
  if (at < 0) return false;
  const word = k.ptes.words[at];
  const isZero = (k.ptes.bytes[at] & PTEB_SPECIAL) !== 0 && ptePayload(word) === k.zeroFrame;
  if ((word !== 0 && !isZero) || vma.has(VM_UFFD_MISSING)) return false;
  anonVmaPrepare(k, vma);
  const f = k.frames;
  f.flags[page] |= PG_SWAPBACKED | PG_ANON_EXCLUSIVE;
  k.folios.setAnonMapping(page, vma.anonVma!.id);
  f.setIndex(page, vma.indexOf(vpn));
  addRmapPte(k, page, mm);
  mm.rssAnon++;
  k.folios.get(page);
  k.ptes.set(at, freshWord(k, vma, page), freshByte(k, vma, page));
  if (!k.pm.isZoneDevice(page)) addToLruVma(k, m.task, vma, page);
  return true;
}

/** migrate_vma_insert_huge_pmd_page. */
function insertHuge(k: Kernel, m: DeviceMigration, vma: Vma, i: number): boolean {
  const head = m.dst[i];
  const vpn = m.start + i;
  const mm = vma.mm;
  if (!vma.isAnonymous() || vpn % HPAGE_PMD_NR !== 0 || vpn + HPAGE_PMD_NR > vma.end) return false;
  const slot = mm.ensureSlot(vpn);
  const isZero = mm.pmd[slot] !== 0 && (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0;
  if (mm.leaf[slot] >= 0 || (mm.pmd[slot] !== 0 && !isZero)) return false;
  if (vma.has(VM_UFFD_MISSING)) return false;
  if (!isZero) {
    const table = k.allocPageTable(m.task.cpuNid);
    if (table < 0) return false;
    mm.deposit[slot] = table;
  }
  anonVmaPrepare(k, vma);
  const f = k.frames;
  f.flags[head] |= PG_SWAPBACKED | PG_ANON_EXCLUSIVE;
  k.folios.setAnonMapping(head, vma.anonVma!.id);
  f.setIndex(head, vma.indexOf(vpn));
  addRmapPmd(k, head, mm);
  mm.rssAnon += HPAGE_PMD_NR;
  k.folios.get(head);
  mm.pmd[slot] = freshWord(k, vma, head);
  mm.pmdByte[slot] = freshByte(k, vma, head);
  if (!k.pm.isZoneDevice(head)) addToLruVma(k, m.task, vma, head);
  k.vmstat.count(THP_FAULT_ALLOC, 1);
  return true;
}

/** System memory, private and coherent pages; other device memory has no anonymous pages. */
function canBeAnonymous(k: Kernel, page: FrameId): boolean {
  return !k.pm.isZoneDevice(page) || isDevicePrivate(k, page) || isDeviceCoherent(k, page);
}

function freshWord(k: Kernel, vma: Vma, page: FrameId): number {
  if (isDevicePrivate(k, page)) return pteOther(PTE_KIND_DEVICE_PRIVATE, page);
  if (!vma.isAccessible()) return pteOther(PTE_KIND_PROTNONE, page);
  return pteFast(page, vma.has(VM_WRITE) ? PTE_W | PTE_D : 0);
}

function freshByte(k: Kernel, vma: Vma, page: FrameId): number {
  if (!isDevicePrivate(k, page)) return PTEB_SOFT_DIRTY;
  return vma.has(VM_WRITE) ? PTEB_WRITE : 0;
}

/** A slot with source and destination. */
function switchSlot(k: Kernel, m: DeviceMigration, i: number): void {
  if (!m.wants(i)) return;
  const head = k.frames.headOf(m.src[i]);
  if (m.isCompound(i) && !isLargeDestination(m, i)) {
    if (m.vma === null || !splitSource(k, m, i, head)) {
      m.srcBits[i] &= ~(MIGRATE_PFN_MIGRATE | MIGRATE_PFN_COMPOUND);
      return;
    }
  } else if (isLargeDestination(m, i) && !m.isCompound(i)) {
    refuse(m, i);
    return;
  }
  if (!mayReceive(k, head, m.dst[i]) || !migrateMapping(k, m, head, m.dst[i])) refuse(m, i);
}

/**
 * migrate_vma_split_unmapped_folio: 512 slots instead of one, small folios behind them.
 * Deviates: Linux splits the migration entry of the area that migrates alone; a folio that others
 *   map by a PMD keeps their entries huge over small folios. Here all of them are split.
 */
function splitSource(k: Kernel, m: DeviceMigration, i: number, head: FrameId): boolean {
  const f = k.frames;
  const isFault = m.isFaultFolio(k, head);
  if (isFault) f.refcount[head]--;
  splitEveryPmd(k, head);
  const isSplit = splitUnmappedFolio(k, head) === 0;
  if (isFault) f.refcount[isSplit ? m.faultPage : head]++;
  if (!isSplit) return false;
  const bits = m.srcBits[i] & ~MIGRATE_PFN_COMPOUND;
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    f.flags[head + n] |= PG_LOCKED;
    m.src[i + n] = head + n;
    m.srcBits[i + n] = bits | MIGRATE_PFN_VALID;
  }
  return true;
}

/** Every PMD migration entry of the folio becomes 512 entries. */
function splitEveryPmd(k: Kernel, head: FrameId): void {
  const n = rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const { mm } = k.rmap.vma[r];
    const slot = mm.slotOf(k.rmap.vpn[r]);
    if (slot >= 0 && mm.pmd[slot] !== 0 && ptePayload(mm.pmd[slot]) === head) splitPmd(k, mm, slot);
  }
}

/** Device memory holds anonymous pages only, and none that is in the swap cache. */
function mayReceive(k: Kernel, src: FrameId, dst: FrameId): boolean {
  if (!k.pm.isZoneDevice(dst)) return true;
  if (!isDevicePrivate(k, dst) && !isDeviceCoherent(k, dst)) return false;
  if (k.folios.hasFileMapping(src)) return mayCacheOnDevice(k, src, dst);
  if ((k.frames.flags[src] & PG_SWAPCACHE) !== 0) freeSwapCache(k, src);
  return (k.frames.flags[src] & PG_SWAPCACHE) === 0;
}

/** folio_migrate_mapping and folio_migrate_flags; false if somebody else has a reference. */
function migrateMapping(k: Kernel, m: DeviceMigration, src: FrameId, dst: FrameId): boolean {
  const f = k.frames;
  const extra = m.isFaultFolio(k, src) ? 1 : 0;
  if (f.refcount[src] !== k.folios.expectedRefs(src) + 1 + extra) return false;
  const file = k.folios.hasFileMapping(src) ? k.files[k.folios.mappingId(src)] : null;
  switchMapping(k, src, dst, k.folios.nrPages(src), file);
  transferState(k, src, dst);
  return true;
}
