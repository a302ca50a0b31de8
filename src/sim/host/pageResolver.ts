/**
 * What a plan row's next page is: a folio that can be isolated, or why not, with the statuses of
 * move_pages (MP-20..MP-29) and, for physical rows, of its extension (PP-67).
 *
 * Nodes that a cpuset forbids are not gone to: MP-14, PP-14b.
 *
 * Resolved when the row's turn comes, not when it was planned: virtual rows cannot be stale.
 * A folio met twice in one batch is not migrated twice and is no error (PP-76).
 */
import { assert } from '../../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, type Nid, type Vpn } from '../../base/units.ts';
import {
  type AddressSpace,
  CAUSE_NOT_IN_CPUSET,
  CAUSE_NOT_ON_LRU,
  CAUSE_SHARED,
  CAUSE_VMA_NOT_MIGRATABLE,
  isolateFolio,
  type Kernel,
  mappersVerdict,
  PAGE_SPECIAL,
  PAGE_ZERO,
  PG_HEAD,
  PG_LRU,
  PG_TAIL,
  pageAt,
  vmaMigratable,
} from '../../mm/index.ts';
import { GENERATION_UNCHECKED, KEY_VIRTUAL } from '../../policy/index.ts';
import { memsAllowedOf } from '../../syscalls/index.ts';
import { EACCES, EBUSY, EFAULT, ENOENT, ESRCH, ESTALE } from '../../uapi/errno.ts';
import { MR_SYSCALL } from '../../uapi/migrate.ts';
import type { PlanQueue } from './planQueue.ts';

/** Verdicts besides a negative errno. */
export const PAGE_QUEUED = 1;
export const PAGE_THERE = 0;

export class PageResolver {
  readonly #k: Kernel;
  readonly #isAll: boolean;
  /** The folio found, or -1; pages from the row's cursor on that the verdict is about. */
  head: FrameId = -1;
  pages = 1;

  /** `isAll`: shared folios migrate too, as with MPOL_MF_MOVE_ALL (MP-26). */
  constructor(k: Kernel, isAll: boolean) {
    this.#k = k;
    this.#isAll = isAll;
  }

  /**
   * Looks at the page at the cursor of the queue's next row; isolates its folio onto `list` and
   * answers PAGE_QUEUED, or PAGE_THERE if nothing is to be done, or a negative errno.
   */
  resolve(queue: PlanQueue, list: FrameId[]): number {
    const i = queue.at(queue.next);
    const page = queue.page[i] + queue.cursor[i];
    const left = queue.nrPages[i] - queue.cursor[i];
    const target = queue.targetNid[i];
    this.pages = 1;
    this.head = -1;
    if (queue.keyKind[i] !== KEY_VIRTUAL) {
      const isFirst = queue.cursor[i] === 0;
      return this.#physical(page, left, isFirst ? queue.generation[i] : 0, target, list);
    }
    const task = this.#k.tasks.get(queue.pid[i]);
    const mm = task?.mm ?? null;
    if (task === undefined || mm === null) {
      this.pages = left;
      return -ESRCH;
    }
    // MP-14: the call answers for all its pages.
    if ((memsAllowedOf(this.#k, task) & (1 << target)) === 0) {
      this.pages = left;
      return this.#refuse(-1, left, -EACCES, CAUSE_NOT_IN_CPUSET);
    }
    return this.#virtual(mm, page, left, target, list);
  }

  #virtual(mm: AddressSpace, vpn: Vpn, left: number, target: Nid, list: FrameId[]): number {
    const k = this.#k;
    const vma = mm.findVma(vpn);
    if (vma === null) return -EFAULT;
    const page = pageAt(k, mm, vpn);
    if (page === PAGE_ZERO || page === PAGE_SPECIAL) return -EFAULT;
    if (page < 0) {
      this.pages = this.#absentPages(mm, vpn, Math.min(left, vma.end - vpn));
      return -ENOENT;
    }
    const head = k.frames.headOf(page);
    this.#cover(head, page);
    if (!vmaMigratable(vma)) return this.#refuseFolio(head, -EFAULT, CAUSE_VMA_NOT_MIGRATABLE);
    return this.#queue(head, target, list);
  }

  /** PP-67: online, generation, areas and cpusets of all who map it, then as a virtual page. */
  #physical(pfn: number, left: number, generation: number, target: Nid, list: FrameId[]): number {
    const k = this.#k;
    const frame = k.frames.frameOfPfn(pfn);
    if (frame < 0 || !k.pm.isPresent(frame)) return -ENOENT;
    if (generation !== GENERATION_UNCHECKED && k.frames.generation[frame] !== generation) {
      // The row named another content: none of its pages is meant any more.
      this.pages = left;
      return -ESTALE;
    }
    const head = k.frames.headOf(frame);
    if (k.frames.refcount[head] === 0) return -ENOENT;
    this.#cover(head, frame);
    // Unmapped page cache has nobody to ask (PP-78).
    const verdict = mappersVerdict(k, head, target, true);
    // The kernel's own pages are on no LRU list, and nothing failed (PP-12).
    const isOnLru = (k.frames.flags[head] & PG_LRU) !== 0;
    if (verdict === -ENOENT && !isOnLru && !list.includes(head)) return -ENOENT;
    if (verdict === -EACCES) return this.#refuseFolio(head, verdict, CAUSE_NOT_IN_CPUSET);
    if (verdict === -EFAULT) return this.#refuseFolio(head, verdict, CAUSE_VMA_NOT_MIGRATABLE);
    return this.#queue(head, target, list);
  }

  /** MP-25..MP-28. */
  #queue(head: FrameId, target: Nid, list: FrameId[]): number {
    const k = this.#k;
    if (k.pm.nidOf(head) === target) return PAGE_THERE;
    if (!this.#isAll && k.folios.maybeMappedShared(head)) {
      return this.#refuseFolio(head, -EACCES, CAUSE_SHARED);
    }
    if (!isolateFolio(k, head, list)) {
      if (list.includes(head)) return PAGE_THERE;
      return this.#refuseFolio(head, -EBUSY, CAUSE_NOT_ON_LRU);
    }
    this.head = head;
    return PAGE_QUEUED;
  }

  #refuseFolio(head: FrameId, errno: number, cause: number): number {
    return this.#refuse(head, this.#k.folios.nrPages(head), errno, cause);
  }

  #refuse(head: FrameId, nrPages: number, errno: number, cause: number): number {
    this.#k.failures.record(head, cause, MR_SYSCALL, nrPages);
    return errno;
  }

  /** The verdict is about the rest of the folio from `page` on (MP-29). */
  #cover(head: FrameId, page: FrameId): void {
    const isLarge = (this.#k.frames.flags[head] & (PG_HEAD | PG_TAIL)) !== 0;
    this.pages = isLarge ? head + this.#k.folios.nrPages(head) - page : 1;
    assert(this.pages > 0, `frame ${page} is not in the folio of ${head}`);
  }

  /** Pages from `vpn` on, at most `left`, that certainly have no entry: the rest of the table. */
  #absentPages(mm: AddressSpace, vpn: Vpn, left: number): number {
    const slot = mm.slotOf(vpn);
    if (slot >= 0 && (mm.pmd[slot] !== 0 || mm.leaf[slot] >= 0)) return 1;
    return Math.min(left, HPAGE_PMD_NR - (vpn % HPAGE_PMD_NR));
  }
}
