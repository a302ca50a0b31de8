/**
 * Folios: what is shared by the base pages of one allocation (include/linux/mm.h, mm/rmap.c).
 * Order 0 folios use their row only. Large folios keep extra counts in their first two tail rows:
 *   tail 1: refcount = large_mapcount, private_ = entire_mapcount, indexLow = pincount,
 *           lruNext / lruPrev = mm id slots 0 and 1 (mm id << 16 | mappings of that mm)
 * Rules: OV-11..OV-18, OV-39. mapcounts here start at 0 where Linux starts at -1.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import {
  type FrameTable,
  MAPPING_ANON,
  MAPPING_FILE,
  MAPPING_KSM,
  MAPPING_NONE,
  PG_ANON_EXCLUSIVE,
  PG_HEAD,
  PG_HUGETLB,
  PG_HWPOISON,
  PG_LARGE_RMAPPABLE,
  PG_PRIVATE,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
} from './frameTable.ts';

/** A short pin of a small folio adds this to its refcount (OV-15). */
export const GUP_PIN_COUNTING_BIAS = 1024;

export class Folios {
  readonly frames: FrameTable;

  /** As KernelProfile has it. */
  readonly sharedByMmIds: boolean;

  constructor(frames: FrameTable, sharedByMmIds: boolean) {
    this.frames = frames;
    this.sharedByMmIds = sharedByMmIds;
  }

  nrPages(head: FrameId): number {
    return this.isLarge(head) ? 1 << this.frames.orderOf(head) : 1;
  }

  isLarge(head: FrameId): boolean {
    return (this.frames.flags[head] & PG_HEAD) !== 0;
  }

  /** folio_contain_hwpoisoned_page: some page of it has an uncorrectable error. */
  containsPoison(head: FrameId): boolean {
    const { flags } = this.frames;
    const end = head + this.nrPages(head);
    for (let i = head; i < end; i++) if ((flags[i] & PG_HWPOISON) !== 0) return true;
    return false;
  }

  /** PMD-mappable huge page of the rmappable kind. */
  isThp(head: FrameId): boolean {
    return (this.frames.flags[head] & PG_LARGE_RMAPPABLE) !== 0 && this.frames.orderOf(head) === 9;
  }

  isHugetlb(head: FrameId): boolean {
    return (this.frames.flags[head] & PG_HUGETLB) !== 0;
  }

  /** Anonymous, KSM included (OV-22). */
  isAnon(head: FrameId): boolean {
    return (this.frames.mapping[head] & 1) !== 0;
  }

  isKsm(head: FrameId): boolean {
    return (this.frames.mapping[head] & 3) === MAPPING_KSM;
  }

  /** Not swapbacked: counted in the file LRUs (folio_is_file_lru). */
  isFileLru(head: FrameId): boolean {
    return (this.frames.flags[head] & PG_SWAPBACKED) === 0;
  }

  hasFileMapping(head: FrameId): boolean {
    return (this.frames.mapping[head] & 3) === MAPPING_FILE;
  }

  mappingId(head: FrameId): number {
    return this.frames.mapping[head] >> 2;
  }

  setAnonMapping(head: FrameId, anonVmaId: number): void {
    this.frames.mapping[head] = (anonVmaId << 2) | MAPPING_ANON;
  }

  setFileMapping(head: FrameId, fileId: number): void {
    this.frames.mapping[head] = (fileId << 2) | MAPPING_FILE;
  }

  clearMapping(head: FrameId): void {
    this.frames.mapping[head] = MAPPING_NONE;
  }

  get(head: FrameId): void {
    this.frames.refcount[head]++;
  }

  /** OV-12: fails at zero (free, being freed, or frozen). */
  tryGet(head: FrameId): boolean {
    if (this.frames.refcount[head] === 0) return false;
    this.frames.refcount[head]++;
    return true;
  }

  /** Prepares the large-folio fields of a fresh compound page. */
  initLarge(head: FrameId, rmappable: boolean): void {
    const f = this.frames;
    assert((f.flags[head] & PG_HEAD) !== 0, 'initLarge of a small page');
    const t1 = head + 1;
    f.refcount[t1] = 0;
    f.private_[t1] = 0;
    f.indexLow[t1] = 0;
    f.lruNext[t1] = 0;
    f.lruPrev[t1] = 0;
    if (rmappable) f.flags[head] |= PG_LARGE_RMAPPABLE;
  }

  /** Total mappings of the folio (OV-13). */
  mapcount(head: FrameId): number {
    return this.isLarge(head) ? this.frames.refcount[head + 1] : this.frames.mapcount[head];
  }

  entireMapcount(head: FrameId): number {
    return this.isLarge(head) ? this.frames.private_[head + 1] : 0;
  }

  /** Mappings of exactly this page, as /proc/kpagecount has it (HS-12). */
  pageMapcount(page: FrameId): number {
    const head = this.frames.headOf(page);
    const own = this.frames.mapcount[page];
    return this.isLarge(head) ? own + this.frames.private_[head + 1] : own;
  }

  pincount(head: FrameId): number {
    return this.isLarge(head) ? this.frames.indexLow[head + 1] : 0;
  }

  /** OV-15: may be a false positive for small folios with >= 1024 plain references. */
  maybeDmaPinned(head: FrameId): boolean {
    return this.isLarge(head)
      ? this.frames.indexLow[head + 1] > 0
      : this.frames.refcount[head] >= GUP_PIN_COUNTING_BIAS;
  }

  /** Takes `n` FOLL_PIN references (PM-6). */
  pin(head: FrameId, n: number): void {
    if (this.isLarge(head)) {
      this.frames.refcount[head] += n;
      this.frames.indexLow[head + 1] += n;
    } else {
      this.frames.refcount[head] += n * GUP_PIN_COUNTING_BIAS;
    }
  }

  /** Gives back `n` pins; true when the last reference is gone: free the folio. */
  unpin(head: FrameId, n: number): boolean {
    if (this.isLarge(head)) {
      this.frames.refcount[head] -= n;
      this.frames.indexLow[head + 1] -= n;
    } else {
      this.frames.refcount[head] -= n * GUP_PIN_COUNTING_BIAS;
    }
    assert(this.frames.refcount[head] >= 0, 'unpin drops below zero, frame', head);
    return this.frames.refcount[head] === 0;
  }

  /** OV-16: does more than one address space map it, as folio_maybe_mapped_shared answers. */
  maybeMappedShared(head: FrameId): boolean {
    const mapcount = this.mapcount(head);
    if (!this.isLarge(head) || this.isHugetlb(head)) return mapcount > 1;
    if (mapcount <= 1) return false;
    if (!this.sharedByMmIds) return this.#isLikelyMappedShared(head, mapcount);
    const t1 = head + 1;
    const slot0 = this.frames.lruNext[t1] & 0xffff;
    const slot1 = this.frames.lruPrev[t1] & 0xffff;
    return slot0 !== mapcount && slot1 !== mapcount;
  }

  /** folio_likely_mapped_shared, until 6.14: the first page stands for all. */
  #isLikelyMappedShared(head: FrameId, mapcount: number): boolean {
    if (this.entireMapcount(head) > 0 || mapcount > this.nrPages(head)) return true;
    return this.pageMapcount(head) > 1;
  }

  /** Counts `n` more mappings by mm `mmId` in the two mm id slots (OV-16). */
  addMmMappings(head: FrameId, mmId: number, n: number): void {
    const f = this.frames;
    const t1 = head + 1;
    if (f.lruNext[t1] >>> 16 === mmId) {
      f.lruNext[t1] += n;
    } else if (f.lruPrev[t1] >>> 16 === mmId) {
      f.lruPrev[t1] += n;
    } else if (f.lruNext[t1] === 0) {
      f.lruNext[t1] = (mmId << 16) | n;
    } else if (f.lruPrev[t1] === 0) {
      f.lruPrev[t1] = (mmId << 16) | n;
    }
  }

  removeMmMappings(head: FrameId, mmId: number, n: number): void {
    const f = this.frames;
    const t1 = head + 1;
    if (f.lruNext[t1] >>> 16 === mmId) {
      f.lruNext[t1] = (f.lruNext[t1] & 0xffff) <= n ? 0 : f.lruNext[t1] - n;
    } else if (f.lruPrev[t1] >>> 16 === mmId) {
      f.lruPrev[t1] = (f.lruPrev[t1] & 0xffff) <= n ? 0 : f.lruPrev[t1] - n;
    }
  }

  isAnonExclusive(page: FrameId): boolean {
    return (this.frames.flags[page] & PG_ANON_EXCLUSIVE) !== 0;
  }

  /** References the kernel can explain without its callers' own (OV-39). */
  expectedRefs(head: FrameId): number {
    const flags = this.frames.flags[head];
    const nr = this.nrPages(head);
    let refs = this.mapcount(head);
    if ((flags & PG_SWAPCACHE) !== 0) refs += nr;
    if (!this.isAnon(head)) {
      if (this.frames.mapping[head] !== MAPPING_NONE) refs += nr;
      if ((flags & PG_PRIVATE) !== 0) refs += 1;
    }
    return refs;
  }

  /** Base pages of the folio with at least one mapping; scans the tails only if PTE-mapped. */
  nrPagesMapped(head: FrameId): number {
    if (!this.isLarge(head)) return this.frames.mapcount[head] > 0 ? 1 : 0;
    const nr = 1 << this.frames.orderOf(head);
    const entire = this.frames.private_[head + 1];
    if (entire > 0) return nr;
    if (this.frames.refcount[head + 1] === 0) return 0;
    let mapped = 0;
    for (let i = 0; i < nr; i++) if (this.frames.mapcount[head + i] > 0) mapped++;
    return mapped;
  }
}
