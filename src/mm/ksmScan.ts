/**
 * What the KSM thread does in one scan (mm/ksm.c: ksm_do_scan, cmp_and_merge_page,
 * try_to_merge_two_pages, try_to_merge_one_page, break_cow). OV-31h, MP-87, PM-10.
 *
 * A page is a candidate once two scans have seen the same content. The page that finds a twin
 * becomes the merged page, and the twin's place maps it. Huge pages are split for it.
 * Not modelled: the advisor, zero pages (use_zero_pages), the order in which chains of duplicates
 * fill up again, the CPU of ksmd: what it copies lies on the first node unless the area's policy
 * says otherwise. Needs content of pages (KernelOptions.trackContent).
 *
 * Deviates: nothing is merged with a merged page that migrated to a device. Linux looks for that in
 *   neither kind of device memory; the CPU cannot read the private one.
 */
import { type FrameId, HPAGE_PMD_NR, type Nid, type Vpn } from '../base/units.ts';
import type { AddressSpace } from './addressSpace.ts';
import { accountFault } from './fault.ts';
import { copyToAnon } from './faultCow.ts';
import { PG_ANON_EXCLUSIVE, PG_DIRTY } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { isLiveNode, ksmMapping, placesOf, type StableNode } from './ksm.ts';
import { mlockFolio, munlockFolio } from './mlock.ts';
import { MMU_NOTIFY_CLEAR, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  pteFast,
  ptePayload,
} from './pageTable.ts';
import { pageAt } from './pageWalk.ts';
import { addRmapPte, removeRmapPtes } from './rmap.ts';
import { splitFolio } from './splitFolio.ts';
import { freeUnmappedSwapCache } from './swapCache.ts';
import { Task } from './task.ts';
import { VM_LOCKED, VM_MERGEABLE, VM_SHARED, type Vma } from './vma.ts';

/** Scans that look at every page before smart_scan skips any. */
const YOUNG_SCANS = 3;
/** ages: scans in the upper part, skips left in the lower. */
const SKIPS = 16;

/** Where a page is mapped. */
interface Place {
  readonly vma: Vma;
  readonly vpn: Vpn;
}

/** One full scan of all mergeable areas. Returns the pages merged into others. */
export function ksmScan(k: Kernel): number {
  if (k.frames.content === null) return 0;
  k.lru.drainAll();
  const scan = new Scan(k);
  for (const mm of k.spaces) {
    if (mm === null || mm === undefined) continue;
    for (const vma of mm.vmas) if (isMergeable(vma)) scan.scanVma(vma);
  }
  k.ksm.seen = scan.seen;
  k.ksm.ages = scan.ages;
  return scan.merged;
}

function isMergeable(vma: Vma): boolean {
  return vma.has(VM_MERGEABLE) && vma.isAnonymous() && !vma.has(VM_SHARED);
}

class Scan {
  merged = 0;
  readonly seen: Map<number, number> = new Map();
  readonly ages: Map<number, number> = new Map();
  readonly #k: Kernel;
  /** The stable tree: content and node -> merged pages, the first with room is taken. */
  readonly #stable: Map<string, StableNode[]> = new Map();
  /** The unstable tree: content and node -> a candidate of this scan. */
  readonly #unstable: Map<string, Place> = new Map();

  constructor(k: Kernel) {
    this.#k = k;
    for (const node of k.ksm.nodes) {
      const isUsable = isLiveNode(k, node) && !k.pm.isZoneDevice(node.frame);
      if (isUsable) this.#addStable(this.#key(node.frame), node);
    }
  }

  /** Pages of equal key may be merged. */
  #key(page: FrameId): string {
    const { ksm, frames, pm } = this.#k;
    const nid: Nid = ksm.mergeAcrossNodes ? -1 : pm.nidOf(page);
    return `${frames.content![page]} ${nid}`;
  }

  #addStable(key: string, node: StableNode): void {
    const nodes = this.#stable.get(key);
    if (nodes === undefined) this.#stable.set(key, [node]);
    else nodes.push(node);
  }

  scanVma(vma: Vma): void {
    const mm = vma.mm;
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      const slot = mm.slotOf(vpn);
      const absent = slot < 0 || (mm.pmd[slot] === 0 && mm.leaf[slot] < 0);
      if (absent) vpn += HPAGE_PMD_NR - 1 - (vpn % HPAGE_PMD_NR);
      else this.#scanPage({ vma, vpn });
    }
  }

  /** cmp_and_merge_page. */
  #scanPage(place: Place): void {
    const k = this.#k;
    const page = mergeablePage(k, place);
    if (page < 0) return;
    const id = placeId(place);
    const before = k.ksm.seen.get(id);
    if (k.folios.isKsm(k.frames.headOf(page))) {
      if (before !== undefined) this.seen.set(id, before);
      this.#joinAsFork(place, page);
      return;
    }
    const content = k.frames.content![page];
    if (this.#isSkipped(id, before)) return;
    this.seen.set(id, content);
    const isSteady = before === content;
    if (k.profile.ksmWaitsForChecksum && !isSteady) return;
    const key = this.#key(page);
    const node = this.#stable.get(key)?.find((one) => placesOf(k, one) < k.ksm.maxPageSharing);
    if (node !== undefined) {
      if (this.#mergeInto(place, node.frame)) this.#append(node, place);
      return;
    }
    if (isSteady) this.#meetTwin(place, page, key);
  }

  /** should_skip_rmap_item: pages that never merge are looked at every 2nd, 3rd, 5th, 9th scan. */
  #isSkipped(id: number, before: number | undefined): boolean {
    const { ksm } = this.#k;
    if (!ksm.smartScan) return false;
    const known = ksm.ages.get(id) ?? 0;
    const age = Math.floor(known / SKIPS);
    const left = known % SKIPS;
    const next = Math.min(age + 1, 255) * SKIPS;
    if (age < YOUNG_SCANS) this.ages.set(id, next + left);
    else if (left === 0) this.ages.set(id, next + skipsAt(age));
    else {
      this.ages.set(id, next + left - 1);
      if (before !== undefined) this.seen.set(id, before);
      return true;
    }
    return false;
  }

  /** A page that was merged before its process forked: the child's place counts too. */
  #joinAsFork(place: Place, page: FrameId): void {
    const node = this.#k.ksm.nodes[this.#k.folios.mappingId(page)];
    const { mm } = place.vma;
    const isThere = node.items.some((item) => item.mm === mm && item.vpn === place.vpn);
    if (!isThere) this.#append(node, place);
  }

  #append(node: StableNode, { vma, vpn }: Place): void {
    node.items.push({ anonVma: vma.anonVma!, mm: vma.mm, vpn });
  }

  /** The unstable tree: waits there, or merges with who waits. */
  #meetTwin(place: Place, page: FrameId, key: string): void {
    const k = this.#k;
    const twin = this.#unstable.get(key);
    const other = twin === undefined ? -1 : mergeablePage(k, twin);
    if (twin === undefined || other < 0 || k.frames.content![other] !== k.frames.content![page]) {
      this.#unstable.set(key, place);
      return;
    }
    if (other === page) return; // of a relative: nothing to gain
    if (k.frames.headOf(other) === k.frames.headOf(page)) {
      this.#splitShared(page);
      return;
    }
    const frame = this.#makeKsm(place);
    if (frame < 0) return;
    const node = k.ksm.add(frame);
    k.frames.mapping[frame] = ksmMapping(node);
    this.#append(node, place);
    if (!this.#mergeInto(twin, frame)) {
      this.#breakCow(place, frame);
      return;
    }
    this.#append(node, twin);
    this.#unstable.delete(key);
    this.#addStable(key, node);
  }

  /** Two pages of one huge page: it is split now, they merge in the next scan. */
  #splitShared(page: FrameId): void {
    const k = this.#k;
    const head = k.frames.headOf(page);
    k.folios.get(head);
    k.folios.get(head); // the twin's: the first try to split fails for it
    splitFolio(k, head, null);
    k.putFolio(head);
    splitFolio(k, head, null);
    k.putFolio(head);
  }

  /** Splits the folio if it is large. The page, or -1 if it cannot be had alone. */
  #singlePage(place: Place): FrameId {
    const k = this.#k;
    const page = mergeablePage(k, place);
    if (page < 0) return -1;
    const head = k.frames.headOf(page);
    if (!k.folios.isLarge(head)) return page;
    k.folios.get(head);
    const result = splitFolio(k, head, null);
    k.putFolio(head);
    return result === 0 && mergeablePage(k, place) === page ? page : -1;
  }

  /** write_protect_page: the page, read-only and exclusive to nobody; -1 if others hold it. */
  #protect(place: Place): FrameId {
    const k = this.#k;
    const page = this.#singlePage(place);
    if (page < 0 || !isUnused(k, page)) return -1;
    const { vma, vpn } = place;
    mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
    const i = vma.mm.pteIndex(vpn);
    const word = k.ptes.words[i];
    if ((word & PTE_D) !== 0) k.frames.flags[page] |= PG_DIRTY;
    k.frames.flags[page] &= ~PG_ANON_EXCLUSIVE;
    k.ptes.set(i, (word & ~(PTE_W | PTE_D)) >>> 0, k.ptes.bytes[i]);
    return page;
  }

  /** The page of the place becomes a merged one. */
  #makeKsm(place: Place): FrameId {
    const page = this.#protect(place);
    // Without it reclaim would drop the page, as no entry is dirty any more.
    if (page >= 0) this.#k.frames.flags[page] |= PG_DIRTY;
    return page;
  }

  /** replace_page: the place maps `frame`; its own page is let go. */
  #mergeInto(place: Place, frame: FrameId): boolean {
    const k = this.#k;
    const page = this.#protect(place);
    if (page < 0) return false;
    const { vma, vpn } = place;
    const i = vma.mm.pteIndex(vpn);
    const kept = k.ptes.bytes[i] & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP);
    k.frames.refcount[frame]++;
    addRmapPte(k, frame, vma.mm);
    removeRmapPtes(k, page, 1, vma.mm, false);
    k.ptes.set(i, pteFast(frame, PTE_A), kept);
    if (vma.has(VM_LOCKED)) {
      munlockFolio(k, page);
      mlockFolio(k, frame);
    }
    freeUnmappedSwapCache(k, page);
    k.putFolio(page);
    this.merged++;
    return true;
  }

  /** break_cow: a merged page with one place only becomes an ordinary one again, a copy. */
  #breakCow({ vma, vpn }: Place, frame: FrameId): void {
    const k = this.#k;
    const i = vma.mm.pteIndex(vpn);
    const ksmd = new Task(0, 0, null, k.pm.nodesWithMemory);
    accountFault(k, copyToAnon(k, ksmd, vma, vpn, i, frame));
    const word = k.ptes.words[i];
    if (ptePayload(word) !== frame) k.ptes.set(i, (word & ~(PTE_W | PTE_D)) >>> 0, k.ptes.bytes[i]);
  }
}

/** The anonymous page that the place maps, which may be part of a large folio; or -1. */
function mergeablePage(k: Kernel, { vma, vpn }: Place): FrameId {
  const mm: AddressSpace = vma.mm;
  const slot = mm.slotOf(vpn);
  if (slot < 0) return -1;
  if (mm.pmd[slot] === 0) {
    if (mm.leaf[slot] < 0) return -1;
    const i = mm.pteIndex(vpn);
    if ((k.ptes.words[i] & PTE_FAST) === 0 || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) return -1;
  }
  const page = pageAt(k, mm, vpn);
  if (page < 0 || k.pm.isZoneDevice(page)) return -1;
  if (!k.pm.isCapable('ksm', page)) return -1;
  return k.folios.isAnon(k.frames.headOf(page)) ? page : -1;
}

function placeId({ vma, vpn }: Place): number {
  return vma.mm.id * 2 ** 36 + vpn;
}

/** skip_age. */
function skipsAt(age: number): number {
  if (age <= 3) return 1;
  if (age <= 5) return 2;
  return age <= 8 ? 4 : 8;
}

/** Nobody but page tables and the swap cache refers to it (PM-10). */
function isUnused(k: Kernel, page: FrameId): boolean {
  return k.frames.refcount[page] === k.folios.expectedRefs(page);
}
