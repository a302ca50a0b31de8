/**
 * How DAMON sees accesses (mm/damon/paddr.c, vaddr.c, ops-common.c): a random page of each region
 * is marked old and looked at one sampling interval later. HS-72..HS-74.
 *
 * Not modelled: the accessed bits of secondary MMUs; translations that a TLB still holds.
 */
import type { RandomStream } from '../base/prng.ts';
import { type FrameId, HPAGE_PMD_NR, PAGE_SIZE } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { DamonContext, DamonRange, DamonTarget } from './damonContext.ts';
import { countAccess } from './damonRegions.ts';
import { PG_IDLE, PG_LRU, PG_YOUNG } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import {
  PTEB_SPECIAL,
  PTEB_YOUNG,
  pteIsPresent,
  pteIsYoung,
  pteMkold,
  ptePayload,
} from './pageTable.ts';
import { rmapCollect } from './rmap.ts';
import { youngInRange } from './unmapFolio.ts';

/** prepare_access_checks: a new random place in every region is marked old. */
export function prepareAccessChecks(k: Kernel, ctx: DamonContext, random: RandomStream): void {
  for (const target of ctx.targets) {
    const mm = spaceOf(k, target);
    for (const region of target.regions) {
      region.samplingAddr = randomAddress(region, random);
      ctx.work.accessChecks++;
      if (ctx.operations === 'paddr') markFolioOld(k, damonFolio(k, region.samplingAddr));
      else if (mm !== null) markEntryOld(k, mm, region.samplingAddr);
    }
  }
}

function randomAddress(region: DamonRange, random: RandomStream): number {
  const pages = Math.floor((region.end - region.start) / PAGE_SIZE);
  return region.start + random.below(Math.max(1, pages)) * PAGE_SIZE;
}

/** check_accesses: counts for every region whether its place was accessed. Returns the most. */
export function checkAccesses(k: Kernel, ctx: DamonContext): number {
  let most = 0;
  ctx.lastAddr = -1;
  for (const target of ctx.targets) {
    const mm = spaceOf(k, target);
    for (const region of target.regions) {
      ctx.work.regionSamples++;
      countAccess(ctx, region, isAccessed(k, ctx, mm, region.samplingAddr));
      most = Math.max(most, region.nrAccesses);
    }
  }
  return most;
}

/** A place in the folio that was looked at last has the same answer. */
function isAccessed(k: Kernel, ctx: DamonContext, mm: AddressSpace | null, addr: number): boolean {
  const { lastAddr, lastFolioBytes } = ctx;
  const place = (address: number) => Math.floor(address / lastFolioBytes);
  if (lastAddr >= 0 && place(lastAddr) === place(addr)) return ctx.lastAccessed;
  ctx.work.accessChecks++;
  ctx.lastAddr = addr;
  ctx.lastFolioBytes = PAGE_SIZE;
  if (ctx.operations === 'paddr') {
    const head = damonFolio(k, addr);
    if (head >= 0) ctx.lastFolioBytes = k.folios.nrPages(head) * PAGE_SIZE;
    ctx.lastAccessed = head >= 0 && isFolioYoung(k, head);
  } else ctx.lastAccessed = mm !== null && isEntryYoung(k, ctx, mm, addr);
  return ctx.lastAccessed;
}

export function spaceOf(k: Kernel, target: DamonTarget): AddressSpace | null {
  return target.pid < 0 ? null : (k.tasks.get(target.pid)?.mm ?? null);
}

/** damon_get_folio: head of the online LRU folio at a physical address, or -1. */
export function damonFolio(k: Kernel, addr: number): FrameId {
  const page = k.frames.frameOfPfn(Math.floor(addr / PAGE_SIZE));
  if (page < 0 || !k.pm.isPresent(page)) return -1;
  if (!k.pm.isCapable('damon', page)) return -1;
  const head = k.frames.headOf(page);
  return (k.frames.flags[head] & PG_LRU) !== 0 && k.frames.refcount[head] > 0 ? head : -1;
}

/** damon_folio_mkold: accessed bits go from all mappings; what is not mapped is set idle. */
export function markFolioOld(k: Kernel, head: FrameId): void {
  if (head < 0) return;
  let isYoung = false;
  const n = k.folios.mapcount(head) === 0 ? 0 : rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const { vma, vpn, sub, nr } = k.rmap;
    if (youngInRange(k, vma[r], head, vpn[r], sub[r], nr[r]) > 0) isYoung = true;
  }
  // Reclaim must not lose what is taken from it here.
  k.frames.set(head, isYoung ? PG_IDLE | PG_YOUNG : PG_IDLE);
}

/** damon_folio_young: accessed since it was marked, by any mapping or by the kernel. */
export function isFolioYoung(k: Kernel, head: FrameId): boolean {
  if ((k.frames.flags[head] & PG_IDLE) === 0) return true;
  const n = k.folios.mapcount(head) === 0 ? 0 : rmapCollect(k, head);
  for (let r = 0; r < n; r++) {
    const { vma, vpn, nr } = k.rmap;
    for (let j = 0; j < nr[r]; j++) {
      const entry = entryAt(k, vma[r].mm, vpn[r] + j);
      if (entry === null || k.frames.headOf(entry.page) !== head) continue;
      if (entry.isYoung) return true;
      if (entry.isHuge) break;
    }
  }
  return false;
}

interface Entry {
  readonly page: FrameId;
  readonly isYoung: boolean;
  readonly isHuge: boolean;
}

/** The present entry that maps a page of ordinary memory at `vpn`, or null. */
function entryAt(k: Kernel, mm: AddressSpace, vpn: number): Entry | null {
  const slot = mm.slotOf(vpn);
  if (slot < 0) return null;
  const isHuge = mm.pmd[slot] !== 0;
  if (!isHuge && mm.leaf[slot] < 0) return null;
  const i = mm.leaf[slot] * HPAGE_PMD_NR + (vpn - mm.slotVpn[slot]);
  const word = isHuge ? mm.pmd[slot] : k.ptes.words[i];
  const byte = isHuge ? mm.pmdByte[slot] : k.ptes.bytes[i];
  if (!pteIsPresent(word) || (byte & PTEB_SPECIAL) !== 0) return null;
  return { page: ptePayload(word), isYoung: pteIsYoung(word, byte), isHuge };
}

/** damon_va_mkold. */
function markEntryOld(k: Kernel, mm: AddressSpace, addr: number): void {
  const vpn = Math.floor(addr / PAGE_SIZE);
  const entry = entryAt(k, mm, vpn);
  if (entry === null) return;
  const slot = mm.slotOf(vpn);
  if (entry.isHuge) {
    mm.pmd[slot] = pteMkold(mm.pmd[slot]);
    mm.pmdByte[slot] &= ~PTEB_YOUNG;
  } else {
    const i = mm.pteIndex(vpn);
    k.ptes.set(i, pteMkold(k.ptes.words[i]), k.ptes.bytes[i] & ~PTEB_YOUNG);
  }
  const head = k.frames.headOf(entry.page);
  k.frames.set(head, entry.isYoung ? PG_IDLE | PG_YOUNG : PG_IDLE);
}

/** damon_va_young. */
function isEntryYoung(k: Kernel, ctx: DamonContext, mm: AddressSpace, addr: number): boolean {
  const entry = entryAt(k, mm, Math.floor(addr / PAGE_SIZE));
  if (entry === null) return false;
  const head = k.frames.headOf(entry.page);
  if (entry.isHuge) ctx.lastFolioBytes = k.folios.nrPages(head) * PAGE_SIZE;
  return entry.isYoung || (k.frames.flags[head] & PG_IDLE) === 0;
}

/**
 * __damon_va_three_regions: the mapped part of an address space without its two largest gaps.
 * Null: fewer than two gaps, and nothing to monitor.
 */
export function threeRegions(mm: AddressSpace): DamonRange[] | null {
  const gaps: DamonRange[] = [];
  for (let n = 1; n < mm.vmas.length; n++) {
    const gap = { start: mm.vmas[n - 1].end, end: mm.vmas[n].start };
    if (gap.end > gap.start) gaps.push(gap);
  }
  if (gaps.length < 2) return null;
  gaps.sort((a, b) => b.end - b.start - (a.end - a.start));
  const [first, second] = gaps.slice(0, 2).sort((a, b) => a.start - b.start);
  const range = (start: number, end: number) => ({
    start: start * PAGE_SIZE,
    end: end * PAGE_SIZE,
  });
  return [
    range(mm.vmas[0].start, first.start),
    range(first.end, second.start),
    range(second.end, mm.vmas[mm.vmas.length - 1].end),
  ];
}
