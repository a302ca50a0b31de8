/**
 * Plan rows that split large folios where they are, as a write to
 * /sys/kernel/debug/split_huge_pages does (mm/huge_memory.c: split_huge_pages_pid): page by page of
 * the range, each large folio once. MC-85..MC-88, TI-55.
 *
 * Order: look the page up, refuse areas that hold no folios, lock, split, step behind the folio.
 *
 * Deviates: the file counts what it could not split and goes on without a word; here the row's
 * status is the first error.
 * Deviates: folios are split in the first moment of the CPU time that it takes, so no program waits
 * for the migration entries that stand in the meantime.
 * Not modelled: all-zero pages that become the zero page (MC-87): a replay knows no contents.
 */
import type { FrameId, Nanoseconds } from '../../base/units.ts';
import { migrateOverheadNs } from '../../hw/index.ts';
import {
  type AddressSpace,
  type Kernel,
  PAGE_SPECIAL,
  PAGE_ZERO,
  pageAt,
  splitMappedFolio,
  VM_HUGETLB,
} from '../../mm/index.ts';
import { EFAULT, EINVAL, ENOENT, ESRCH } from '../../uapi/errno.ts';
import type { PlanQueue } from './planQueue.ts';

export class FolioSplitter {
  readonly #k: Kernel;
  /** Folios split so far. */
  nrSplit = 0;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /**
   * Splits the large folio at the cursor of the queue's next row and steps behind it, or over the
   * page. Returns the CPU time it took, with an interrupt for each of `nrCpus` CPUs a split.
   */
  step(queue: PlanQueue, nrCpus: number): Nanoseconds {
    const row = queue.next;
    const i = queue.at(row);
    const vpn = queue.page[i] + queue.cursor[i];
    const mm = this.#k.tasks.get(queue.pid[i])?.mm ?? null;
    if (mm === null) {
      queue.fail(row, -ESRCH);
      queue.advance(queue.nrPages[i] - queue.cursor[i], false);
      return 0;
    }
    const page = this.#lookUp(mm, vpn);
    if (page < 0) {
      queue.fail(row, page);
      queue.advance(1, false);
      return 0;
    }
    return this.#split(queue, page, nrCpus);
  }

  /** The frame of a page, or -EFAULT, -EINVAL (hugetlb), -ENOENT. */
  #lookUp(mm: AddressSpace, vpn: number): number {
    const vma = mm.findVma(vpn);
    if (vma === null) return -EFAULT;
    if (vma.has(VM_HUGETLB)) return -EINVAL;
    const page = pageAt(this.#k, mm, vpn);
    if (page === PAGE_ZERO || page === PAGE_SPECIAL) return -EFAULT;
    return page < 0 ? -ENOENT : page;
  }

  #split(queue: PlanQueue, page: FrameId, nrCpus: number): Nanoseconds {
    const k = this.#k;
    const head = k.frames.headOf(page);
    const nr = k.folios.isLarge(head) ? k.folios.nrPages(head) : 1;
    // Entries go and come for every page, whatever mapped the folio before.
    const entire = k.folios.entireMapcount(head);
    const entries = entire * nr + k.folios.mapcount(head) - entire;
    const row = queue.next;
    if (nr > 1) {
      const result = splitMappedFolio(k, head);
      if (result !== 0) queue.fail(row, result);
      else this.nrSplit++;
    }
    queue.advance(head + nr - page, false);
    if (nr === 1) return 0;
    return migrateOverheadNs(k.spec.costs, 1, entries, 1, nrCpus);
  }
}
