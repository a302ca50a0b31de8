/**
 * Which folios of a range are in the wrong place, isolated onto a list where they shall move
 * (mm/mempolicy.c: queue_pages_range and below). Shared by mbind, migrate_pages and cpusets.
 * MP-66, MP-76, MP-80, MP-81, MP-85..MP-89.
 * Device pages are not looked at (DM section 9).
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { EFAULT, EIO } from '../uapi/errno.ts';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, MPOL_MF_STRICT } from '../uapi/mempolicy.ts';
import type { MigrateReason } from '../uapi/migrate.ts';
import type { AddressSpace } from './addressSpace.ts';
import { CAUSE_NOT_ON_LRU, CAUSE_SHARED, CAUSE_VMA_NOT_MIGRATABLE } from './failureLog.ts';
import { PG_RESERVED } from './frameTable.ts';
import { isolateFolio } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import {
  PTE_KIND_MIGRATION,
  PTEB_SPECIAL,
  pteIsKind,
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { type PageWalker, presentPage, SKIP_VMA, WALK_VMA, walkPageRange } from './pageWalk.ts';
import { type Vma, vmaMigratable } from './vma.ts';

/** Holes in the range are no error (MP-76). */
export const MPOL_MF_DISCONTIG_OK = 1 << 4;
/** Folios outside the mask are wanted, not those inside (MP-80). */
export const MPOL_MF_INVERT = 1 << 5;

const MOVE_FLAGS = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL;

/**
 * Isolates the wanted folios of [start, end) onto `list`. Returns how many could not be, or
 * -EFAULT for a hole, -EIO for the first misplaced folio when STRICT comes without MOVE.
 * `nodes` is the mask as the caller gave it. What is isolated stays in `list` in any case.
 */
export function queuePagesRange(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  nodes: number,
  flags: number,
  reason: MigrateReason,
  list: FrameId[],
): number {
  const walker = new QueuePages(k, mm, start, end, nodes, flags, reason, list);
  const result = walkPageRange(mm, start, end, walker);
  if (!walker.metVma) return -EFAULT;
  return result < 0 ? result : walker.failed;
}

class QueuePages implements PageWalker {
  /** Folios that could not be queued; runs of entries of a large one count each (MP-67). */
  failed = 0;
  metVma = false;
  readonly #k: Kernel;
  readonly #mm: AddressSpace;
  readonly #start: Vpn;
  readonly #end: Vpn;
  readonly #nodes: number;
  readonly #flags: number;
  readonly #reason: MigrateReason;
  readonly #list: FrameId[];
  /** The large folio met last: met again at once, it is not tried twice (MP-86). */
  #large = -1;
  #movable = false;

  constructor(
    k: Kernel,
    mm: AddressSpace,
    start: Vpn,
    end: Vpn,
    nodes: number,
    flags: number,
    reason: MigrateReason,
    list: FrameId[],
  ) {
    this.#k = k;
    this.#mm = mm;
    this.#start = start;
    this.#end = end;
    this.#nodes = nodes;
    this.#flags = flags;
    this.#reason = reason;
    this.#list = list;
  }

  /** queue_pages_test_walk: holes, then whether the entries are looked at (MP-76, MP-81). */
  testVma(vma: Vma): number {
    const flags = this.#flags;
    const first = !this.metVma;
    this.metVma = true;
    if ((flags & MPOL_MF_DISCONTIG_OK) === 0) {
      if (first && this.#start < vma.start) return -EFAULT;
      if (vma.end < this.#end && this.#mm.findVma(vma.end) === null) return -EFAULT;
    }
    this.#movable = (flags & MOVE_FLAGS) !== 0 && vmaMigratable(vma);
    const strict = (flags & MPOL_MF_STRICT) !== 0;
    return strict || this.#movable ? WALK_VMA : SKIP_VMA;
  }

  /** queue_folios_pmd: MP-88. */
  pmdEntry(vma: Vma, slot: number): number {
    const word = vma.mm.pmd[slot];
    if (!pteIsPresent(word)) {
      if (pteIsKind(word, PTE_KIND_MIGRATION)) this.failed++;
    } else if ((vma.mm.pmdByte[slot] & PTEB_SPECIAL) === 0) {
      const head = ptePayload(word);
      const wanted = !this.#k.pm.isZoneDevice(head) && this.#isWanted(head);
      if (wanted && !this.#queue(head)) this.failed++;
    }
    return this.#verdict();
  }

  /** queue_folios_pte_range: MP-85..MP-87. */
  pteEntries(_vma: Vma, i: number, nr: number): number {
    const k = this.#k;
    const words = k.ptes.words;
    const bytes = k.ptes.bytes;
    for (let at = i; at < i + nr; at++) {
      const word = words[at];
      if (word === 0) continue;
      if (!pteIsPresent(word)) {
        if (pteIsKind(word, PTE_KIND_MIGRATION)) this.failed++;
        continue;
      }
      const page = presentPage(k, word, bytes[at]);
      if (page < 0 || k.pm.isZoneDevice(page)) continue;
      const head = k.frames.headOf(page);
      let run = 1;
      if (k.folios.isLarge(head)) {
        run = this.#runOf(head, page, at, i + nr);
        at += run - 1;
        if (head === this.#large || !this.#isWanted(head)) continue;
        this.#large = head;
      } else if ((k.frames.flags[head] & PG_RESERVED) !== 0 || !this.#isWanted(head)) {
        continue;
      }
      if (this.#queue(head)) continue;
      this.failed += run;
      if (this.#verdict() < 0) break;
    }
    return this.#verdict();
  }

  /** folio_pte_batch: entries from `at` on that map consecutive pages of the folio. */
  #runOf(head: FrameId, page: FrameId, at: number, end: number): number {
    const words = this.#k.ptes.words;
    const last = head + this.#k.folios.nrPages(head);
    let run = 1;
    while (at + run < end && page + run < last) {
      const word = words[at + run];
      if (!pteIsPresent(word) || ptePayload(word) !== page + run) break;
      run++;
    }
    return run;
  }

  /** queue_folio_required: on a node that makes it one of those to move. */
  #isWanted(head: FrameId): boolean {
    if (!this.#k.pm.isCapable('migrate_out', head)) return false;
    const inside = (this.#nodes & (1 << this.#k.pm.nidOf(head))) !== 0;
    return inside === ((this.#flags & MPOL_MF_INVERT) === 0);
  }

  /** migrate_folio_add: MP-87. True if there is nothing to count against it. */
  #queue(head: FrameId): boolean {
    const k = this.#k;
    if (!this.#movable) {
      if ((this.#flags & MOVE_FLAGS) !== 0) this.#record(head, CAUSE_VMA_NOT_MIGRATABLE);
      return false;
    }
    if ((this.#flags & MPOL_MF_MOVE_ALL) === 0 && k.folios.maybeMappedShared(head)) {
      this.#record(head, CAUSE_SHARED);
      return true;
    }
    if (isolateFolio(k, head, this.#list)) return true;
    this.#record(head, CAUSE_NOT_ON_LRU);
    return false;
  }

  #record(head: FrameId, cause: number): void {
    this.#k.failures.record(head, cause, this.#reason, this.#k.folios.nrPages(head));
  }

  /** STRICT without MOVE ends the walk at the first misplaced folio (strictly_unmovable). */
  #verdict(): number {
    const strictOnly = (this.#flags & (MPOL_MF_STRICT | MOVE_FLAGS)) === MPOL_MF_STRICT;
    return strictOnly && this.failed > 0 ? -EIO : 0;
  }
}
