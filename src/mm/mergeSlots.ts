/**
 * 512 small pages become one large page on their way to system memory: experimental
 * (device_merge_on_return). Linux refuses a large destination for small sources (DM-30), and
 * khugepaged passes over device memory (DM-66). D8.
 *
 * The driver collects an aligned 2 MiB page by page, those of the system and its own, gives the
 * first slot a large destination with the content of all, and the others none. All of them become
 * one page, or none: each must be a hole or a page that only this entry maps and nobody else holds.
 */
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import { MR_TYPES } from '../uapi/migrate.ts';
import {
  type DeviceMigration,
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_MIGRATE,
} from './deviceMigration.ts';
import { PG_LOCKED, PG_SWAPCACHE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { releaseSource } from './moveFolio.ts';
import {
  PTE_KIND_MIGRATION,
  PTEB_EXCLUSIVE,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  pteIsKind,
  ptePayload,
} from './pageTable.ts';
import { anonVmaPrepare } from './pteSetup.ts';
import { freeSwapCache } from './swapCache.ts';
import { mapNewHuge } from './thpFault.ts';
import { VM_NOHUGEPAGE, type Vma } from './vma.ts';

/**
 * Maps the destination of slot `first` in place of it and of the 511 after it, and lets their pages
 * go. False: nothing has changed.
 */
export function mergeSlots(k: Kernel, m: DeviceMigration, first: number): boolean {
  const { vma } = m;
  if (vma === null || !mayMerge(k, m, vma, first)) return false;
  const { mm } = vma;
  const slot = mm.slotOf(m.start + first);
  if (slot < 0 || mm.leaf[slot] < 0 || mm.pmd[slot] !== 0) return false;
  const table = mm.leaf[slot] * HPAGE_PMD_NR;
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    if (!canJoin(k, m, first + n, table + n, n === 0)) return false;
  }
  for (let n = 0; n < HPAGE_PMD_NR; n++) {
    k.ptes.set(table + n, 0, 0);
    if (m.src[first + n] >= 0) mm.rssAnon--;
    letSourceGo(k, m, first + n);
  }
  anonVmaPrepare(k, vma);
  mm.deposit[slot] = mm.leaf[slot];
  mm.leaf[slot] = -1;
  k.folios.get(m.dst[first]);
  mapNewHuge(k, m.task, vma, slot, m.dst[first]);
  m.srcBits[first] = MIGRATE_PFN_MIGRATE | MIGRATE_PFN_COMPOUND;
  return true;
}

function mayMerge(k: Kernel, m: DeviceMigration, vma: Vma, first: number): boolean {
  if (!k.hasExperimental('device_merge_on_return')) return false;
  const vpn = m.start + first;
  if (vpn % HPAGE_PMD_NR !== 0 || first + HPAGE_PMD_NR > m.npages) return false;
  if (vpn + HPAGE_PMD_NR > vma.end || !vma.isAnonymous() || vma.has(VM_NOHUGEPAGE)) return false;
  return !k.pm.isZoneDevice(m.dst[first]);
}

/** Whether a slot and its entry `i` can become part of the large page. */
function canJoin(
  k: Kernel,
  m: DeviceMigration,
  slot: number,
  i: number,
  isFirst: boolean,
): boolean {
  if (!m.wants(slot) || m.isCompound(slot) || (!isFirst && m.dst[slot] >= 0)) return false;
  const word = k.ptes.words[i];
  const byte = k.ptes.bytes[i];
  const src = m.src[slot];
  if (src < 0) return word === 0 || isZeroPage(k, word, byte);
  const isAlone = (byte & (PTEB_WRITE | PTEB_EXCLUSIVE)) !== 0 && (byte & PTEB_UFFD_WP) === 0;
  if (!pteIsKind(word, PTE_KIND_MIGRATION) || ptePayload(word) !== src || !isAlone) return false;
  return isUnheld(k, m, src);
}

function isZeroPage(k: Kernel, word: number, byte: number): boolean {
  return (byte & PTEB_SPECIAL) !== 0 && ptePayload(word) === k.zeroFrame;
}

/** Nobody but the migration, and the fault that it is for, refers to a source. */
function isUnheld(k: Kernel, m: DeviceMigration, src: FrameId): boolean {
  if (!k.folios.isAnon(src)) return false;
  if (k.frames.has(src, PG_SWAPCACHE)) freeSwapCache(k, src);
  if (k.frames.has(src, PG_SWAPCACHE)) return false;
  const extra = m.isFaultFolio(k, src) ? 1 : 0;
  return k.frames.refcount[src] === k.folios.expectedRefs(src) + 1 + extra;
}

/** As migrate_vma_finalize does with the source of a page that moved. */
function letSourceGo(k: Kernel, m: DeviceMigration, slot: number): void {
  const src = m.src[slot];
  m.src[slot] = -1;
  m.srcBits[slot] = 0;
  if (src < 0) return;
  if (!m.isFaultFolio(k, src)) k.frames.clear(src, PG_LOCKED);
  if (k.pm.isZoneDevice(src)) k.putFolio(src);
  else releaseSource(k, src, MR_TYPES);
}
