/**
 * KSM: anonymous pages of equal content in MADV_MERGEABLE areas become one read-only page
 * (mm/ksm.c: ksm_do_scan, cmp_and_merge_page, unmerge_and_remove_all_rmap_items). OV-31h, MP-87.
 *
 * A stable node is one merged page and the places that were merged into it; rmap goes through it. A
 * page is a candidate once two scans have seen the same content.
 * Deviates: the page met first keeps its frame; Linux takes that of the page that found it.
 * Not modelled: splitting huge pages to merge them, locked areas, zero pages (use_zero_pages),
 * chains of duplicates, advisor. Needs content of pages (KernelOptions.trackContent).
 */
import type { FrameId, Nid, Vpn } from '../base/units.ts';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { EBUSY } from '../uapi/errno.ts';
import type { AddressSpace } from './addressSpace.ts';
import { FAULT_COPIED, FAULT_ERROR } from './fault.ts';
import { copyToAnon } from './faultCow.ts';
import { MAPPING_KSM, PG_ANON_EXCLUSIVE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
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
import { addRmapPte, removeRmapPtes } from './rmap.ts';
import type { Task } from './task.ts';
import { type AnonVma, VM_LOCKED, VM_MERGEABLE, VM_SHARED, type Vma } from './vma.ts';

/** A place whose page was merged (struct ksm_rmap_item). */
interface RmapItem {
  readonly anonVma: AnonVma;
  readonly mm: AddressSpace;
  readonly vpn: Vpn;
}

/** One merged page (struct ksm_stable_node). */
export interface StableNode {
  readonly id: number;
  frame: FrameId;
  readonly items: RmapItem[];
}

export class Ksm {
  /** By id; index 0 unused. A node whose frame has another mapping now is stale. */
  readonly nodes: StableNode[] = [{ id: 0, frame: -1, items: [] }];
  /** /sys/kernel/mm/ksm/merge_across_nodes. */
  mergeAcrossNodes = true;
  /** Content seen by the last scan: mm id and page number -> word. */
  seen: Map<number, number> = new Map();

  add(frame: FrameId): StableNode {
    const node = { id: this.nodes.length, frame, items: [] };
    this.nodes.push(node);
    return node;
  }
}

/** What /sys/kernel/mm/ksm shows. */
export interface KsmPages {
  /** Merged pages. */
  readonly shared: number;
  /** Further places that map them. */
  readonly sharing: number;
}

export function ksmPages(k: Kernel): KsmPages {
  let shared = 0;
  let sharing = 0;
  for (const node of k.ksm.nodes) {
    if (!isLive(k, node)) continue;
    const places = node.items.filter((item) => maps(k, item, node.frame)).length;
    shared++;
    sharing += places - 1;
  }
  return { shared, sharing };
}

function isLive(k: Kernel, node: StableNode): boolean {
  return node.frame >= 0 && k.frames.mapping[node.frame] === mappingOf(node);
}

function mappingOf(node: StableNode): number {
  return (node.id << 2) | MAPPING_KSM;
}

function maps(k: Kernel, { mm, vpn }: RmapItem, frame: FrameId): boolean {
  if (k.spaces[mm.id] !== mm) return false;
  const slot = mm.slotOf(vpn);
  if (slot < 0 || mm.pmd[slot] !== 0 || mm.leaf[slot] < 0) return false;
  const word = k.ptes.words[mm.pteIndex(vpn)];
  return (word & PTE_FAST) !== 0 && ptePayload(word) === frame;
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
  return scan.merged;
}

function isMergeable(vma: Vma): boolean {
  return vma.has(VM_MERGEABLE) && vma.isAnonymous() && !vma.has(VM_SHARED | VM_LOCKED);
}

class Scan {
  merged = 0;
  readonly seen: Map<number, number> = new Map();
  readonly #k: Kernel;
  /** The stable tree: content and node -> merged page. */
  readonly #stable: Map<string, StableNode> = new Map();
  /** The unstable tree: content and node -> a candidate of this scan. */
  readonly #unstable: Map<string, { vma: Vma; vpn: Vpn }> = new Map();

  constructor(k: Kernel) {
    this.#k = k;
    for (const node of k.ksm.nodes)
      if (isLive(k, node)) this.#stable.set(this.#key(node.frame), node);
  }

  /** Pages of equal key may be merged. */
  #key(frame: FrameId): string {
    const { ksm, frames, pm } = this.#k;
    const nid: Nid = ksm.mergeAcrossNodes ? -1 : pm.nidOf(frame);
    return `${frames.content![frame]} ${nid}`;
  }

  scanVma(vma: Vma): void {
    const mm = vma.mm;
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      const slot = mm.slotOf(vpn);
      const absent = slot < 0 || mm.pmd[slot] !== 0 || mm.leaf[slot] < 0;
      if (absent) vpn += HPAGE_PMD_NR - 1 - (vpn % HPAGE_PMD_NR);
      else this.#scanPage(vma, vpn, mm.pteIndex(vpn));
    }
  }

  #scanPage(vma: Vma, vpn: Vpn, i: number): void {
    const k = this.#k;
    const word = k.ptes.words[i];
    if ((word & PTE_FAST) === 0 || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) return;
    const page = ptePayload(word);
    if (!k.folios.isAnon(page) || k.folios.isKsm(page) || k.pm.isZoneDevice(page)) return;
    if (k.frames.headOf(page) !== page || k.folios.isLarge(page)) return;
    const key = this.#key(page);
    const stable = this.#stable.get(key);
    if (stable !== undefined) {
      this.#mergeInto(stable, vma, vpn, i, page);
      return;
    }
    const place = vma.mm.id * 2 ** 36 + vpn;
    const content = k.frames.content![page];
    this.seen.set(place, content);
    if (k.ksm.seen.get(place) !== content || !isUnused(k, page)) return;
    const twin = this.#unstable.get(key);
    if (twin === undefined) {
      this.#unstable.set(key, { vma, vpn });
      return;
    }
    this.#unstable.delete(key);
    const node = this.#makeStable(twin.vma, twin.vpn);
    this.#stable.set(key, node);
    this.#mergeInto(node, vma, vpn, i, page);
  }

  /** The candidate's page becomes the merged one: read-only, exclusive to nobody. */
  #makeStable(vma: Vma, vpn: Vpn): StableNode {
    const k = this.#k;
    const i = vma.mm.pteIndex(vpn);
    const page = ptePayload(k.ptes.words[i]);
    mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
    const node = k.ksm.add(page);
    k.frames.mapping[page] = mappingOf(node);
    k.frames.flags[page] &= ~PG_ANON_EXCLUSIVE;
    k.ptes.set(i, (k.ptes.words[i] & ~PTE_W) >>> 0, k.ptes.bytes[i]);
    node.items.push({ anonVma: vma.anonVma!, mm: vma.mm, vpn });
    return node;
  }

  /** replace_page: the entry maps the merged page; its own is let go. */
  #mergeInto(node: StableNode, vma: Vma, vpn: Vpn, i: number, page: FrameId): void {
    const k = this.#k;
    if (!isUnused(k, page)) return;
    mmuNotifierInvalidate(vma.mm, vpn, vpn + 1, MMU_NOTIFY_CLEAR);
    const kept = k.ptes.bytes[i] & (PTEB_SOFT_DIRTY | PTEB_UFFD_WP);
    k.frames.refcount[node.frame]++;
    addRmapPte(k, node.frame, vma.mm);
    removeRmapPtes(k, page, 1, vma.mm, false);
    k.ptes.set(i, pteFast(node.frame, PTE_A), kept);
    k.putFolio(page);
    node.items.push({ anonVma: vma.anonVma!, mm: vma.mm, vpn });
    this.merged++;
  }
}

/** write_protect_page: nobody but page tables and the swap cache refers to it (PM-10). */
function isUnused(k: Kernel, page: FrameId): boolean {
  return k.frames.refcount[page] === k.folios.expectedRefs(page);
}

/**
 * Every merged page of the range becomes a page of its own again, by the policy of its place and of
 * `task` (break_ksm). Returns 0 or -ENOMEM's fault bits.
 */
export function unmergeRange(
  k: Kernel,
  task: Task,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
): number {
  for (let n = mm.indexAtOrAfter(start); n < mm.vmas.length && mm.vmas[n].start < end; n++) {
    const vma = mm.vmas[n];
    if (!vma.isAnonymous()) continue;
    for (let vpn = Math.max(start, vma.start); vpn < Math.min(end, vma.end); vpn++) {
      const i = mm.pteIndex(vpn);
      if (i < 0 || mm.pmd[mm.slotOf(vpn)] !== 0) continue;
      const word = k.ptes.words[i];
      if ((word & PTE_FAST) === 0 || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) continue;
      const page = ptePayload(word);
      if (!k.folios.isKsm(k.frames.headOf(page))) continue;
      const outcome = copyToAnon(k, task, vma, vpn, i, page);
      if ((outcome & FAULT_ERROR) !== 0) return outcome;
      if ((outcome & FAULT_COPIED) === 0) continue; // reclaim took it out of the entry meanwhile
      k.ptes.set(i, (k.ptes.words[i] & ~(PTE_W | PTE_D)) >>> 0, k.ptes.bytes[i]);
    }
  }
  return 0;
}

/** /sys/kernel/mm/ksm/run = 2: unmerges everything; the writer's policy places the copies. */
export function ksmUnmergeAll(k: Kernel, writer: Task): void {
  for (const mm of k.spaces) {
    if (mm === null || mm === undefined) continue;
    for (const vma of mm.vmas) {
      if (vma.has(VM_MERGEABLE)) unmergeRange(k, writer, mm, vma.start, vma.end);
    }
  }
  k.ksm.seen.clear();
}

/** A write to merge_across_nodes: 0, or -EBUSY while anything is merged. */
export function setMergeAcrossNodes(k: Kernel, across: boolean): number {
  if (k.ksm.mergeAcrossNodes === across) return 0;
  if (ksmPages(k).shared > 0) return -EBUSY;
  k.ksm.mergeAcrossNodes = across;
  return 0;
}
