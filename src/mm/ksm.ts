/**
 * KSM: merged pages, and how they become pages of their own again (mm/ksm.c: ksm_stable_node,
 * unmerge_and_remove_all_rmap_items). OV-31h, MP-87. ksmScan.ts merges.
 *
 * A stable node is one merged page and the places that were merged into it; rmap goes through it.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import type { AddressSpace } from './addressSpace.ts';
import { accountFault, FAULT_COPIED, FAULT_ERROR, waitOnMigration } from './fault.ts';
import { copyToAnon } from './faultCow.ts';
import { MAPPING_KSM } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import {
  PTE_D,
  PTE_FAST,
  PTE_KIND_MIGRATION,
  PTE_W,
  PTEB_SPECIAL,
  pteIsKind,
  ptePayload,
} from './pageTable.ts';
import type { Task } from './task.ts';
import { type AnonVma, VM_MERGEABLE } from './vma.ts';

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
  /** Places that one merged page may have (max_page_sharing). */
  maxPageSharing = 256;
  /** Pages that do not merge are looked at less often (smart_scan). */
  smartScan: boolean;
  /** What the last scan knows of its places: mm id and page number -> content, or -1. */
  seen: Map<number, number> = new Map();
  /** Of the same places: scans that found no merged page, and how many are to be skipped. */
  ages: Map<number, number> = new Map();

  constructor(smartScan: boolean) {
    this.smartScan = smartScan;
  }

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
    if (!isLiveNode(k, node)) continue;
    const places = placesOf(k, node);
    if (places === 0) continue; // only relatives of who merged map it
    shared++;
    sharing += places - 1;
  }
  return { shared, sharing };
}

/** Is it the node of a merged page still? */
export function isLiveNode(k: Kernel, node: StableNode): boolean {
  return node.frame >= 0 && k.frames.mapping[node.frame] === ksmMapping(node);
}

/** folio->mapping of a merged page. */
export function ksmMapping(node: StableNode): number {
  return (node.id << 2) | MAPPING_KSM;
}

/** How many of the places merged into it still map the page. */
export function placesOf(k: Kernel, node: StableNode): number {
  return node.items.filter((item) => maps(k, item, node.frame)).length;
}

function maps(k: Kernel, { mm, vpn }: RmapItem, frame: FrameId): boolean {
  if (k.spaces[mm.id] !== mm) return false;
  const slot = mm.slotOf(vpn);
  if (slot < 0 || mm.pmd[slot] !== 0 || mm.leaf[slot] < 0) return false;
  const word = k.ptes.words[mm.pteIndex(vpn)];
  return (word & PTE_FAST) !== 0 && ptePayload(word) === frame;
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
      // break_ksm finds merged pages on their way, too, and its fault waits for them.
      const isMoving = pteIsKind(k.ptes.words[i], PTE_KIND_MIGRATION);
      if (isMoving && k.folios.isKsm(k.frames.headOf(ptePayload(k.ptes.words[i])))) {
        waitOnMigration(k, mm, vpn);
      }
      const word = k.ptes.words[i];
      if ((word & PTE_FAST) === 0 || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) continue;
      const page = ptePayload(word);
      if (!k.folios.isKsm(k.frames.headOf(page))) continue;
      const outcome = accountFault(k, copyToAnon(k, task, vma, vpn, i, page));
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
  k.ksm.ages.clear();
}

/** A write to merge_across_nodes: 0, or -EBUSY while anything is merged. */
export function setMergeAcrossNodes(k: Kernel, across: boolean): number {
  if (k.ksm.mergeAcrossNodes === across) return 0;
  if (ksmPages(k).shared > 0) return -EBUSY;
  k.ksm.mergeAcrossNodes = across;
  return 0;
}

/** A write to max_page_sharing: 0, -EINVAL, or -EBUSY while anything is merged. */
export function setMaxPageSharing(k: Kernel, places: number): number {
  if (places < 2) return -EINVAL;
  if (k.ksm.maxPageSharing === places) return 0;
  if (ksmPages(k).shared > 0) return -EBUSY;
  k.ksm.maxPageSharing = places;
  return 0;
}
