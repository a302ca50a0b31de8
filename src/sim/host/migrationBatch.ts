/**
 * One batch of folios on their way to one node: a MigrationOp with the plan rows its folios came
 * from, and when each of them is over. MC-4, MC-12.
 *
 * Time: all folios are unmapped when the batch starts; overhead and copy then pass evenly over its
 * pages, so that folio i of n is over after its share. That is what a program waits for that runs
 * into a migration entry (MC-35). The last one ends the batch.
 */
import { type FrameId, type Nanoseconds, type Nid, PAGE_SIZE } from '../../base/units.ts';
import { type AccessCost, type CostSpec, migrateOverheadNs } from '../../hw/index.ts';
import { CAUSE_NO_MEMORY, type Kernel, MigrationOp, putbackMovablePages } from '../../mm/index.ts';
import { EAGAIN, EBUSY, ENOMEM } from '../../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../../uapi/gfp.ts';
import { MIGRATE_ASYNC, MR_SYSCALL } from '../../uapi/migrate.ts';
import type { PlanQueue } from './planQueue.ts';

/** Pages of a batch: NR_MAX_BATCHED_MIGRATION (MC-4). */
export const BATCH_PAGES_MAX = 512;

export class MigrationBatch {
  readonly target: Nid;
  readonly #k: Kernel;
  /** Isolated folios; after the migration those left. */
  readonly list: FrameId[] = [];
  /** By folio in the order of isolation: head, its pages, its source, its row, pages it covers. */
  readonly #head: FrameId[] = [];
  readonly #nrPages: number[] = [];
  readonly #source: Nid[] = [];
  readonly #row: number[] = [];
  readonly #covered: number[] = [];
  #op: MigrationOp | null = null;
  nrPages = 0;
  startNs: Nanoseconds = 0;
  durationNs: Nanoseconds = 0;

  /** nid -> pages that were copied in vain: written meanwhile (TI-71). */
  readonly abortedPages: Float64Array;
  readonly #isTransactional: boolean;

  constructor(k: Kernel, target: Nid, isTransactional = false) {
    this.#k = k;
    this.target = target;
    this.#isTransactional = isTransactional;
    this.abortedPages = new Float64Array(k.pm.nodes.length);
  }

  get nrFolios(): number {
    return this.#head.length;
  }

  /** The operation while it runs. */
  get op(): MigrationOp | null {
    return this.#op;
  }

  /** A folio that was isolated onto `list` for `covered` pages of a plan row. */
  add(head: FrameId, row: number, covered: number): void {
    const nr = this.#k.folios.nrPages(head);
    this.#head.push(head);
    this.#nrPages.push(nr);
    this.#source.push(this.#k.pm.nidOf(head));
    this.#row.push(row);
    this.#covered.push(covered);
    this.nrPages += nr;
  }

  /** CPU time of the whole batch: one flush a batch, an interrupt for each of `nrCpus` CPUs. */
  cpuNs(cost: AccessCost, costs: CostSpec, nrCpus: number): Nanoseconds {
    const k = this.#k;
    const pages = new Float64Array(k.pm.nodes.length);
    let entries = 0;
    for (let i = 0; i < this.#head.length; i++) {
      entries += k.folios.mapcount(this.#head[i]);
      pages[this.#source[i]] += this.#nrPages[i];
    }
    const flushes = k.profile.batchedTlbFlush ? 1 : this.nrFolios;
    let ns = migrateOverheadNs(costs, this.nrFolios, entries, flushes, nrCpus);
    for (let nid = 0; nid < pages.length; nid++) {
      if (pages[nid] > 0) ns += cost.copyNs(nid, this.target, pages[nid] * PAGE_SIZE);
    }
    return ns;
  }

  /**
   * Unmaps all folios, or makes their entries clean and leaves them mapped. The batch ends
   * `durationNs` later.
   */
  start(nowNs: Nanoseconds, durationNs: Nanoseconds): void {
    this.startNs = nowNs;
    this.durationNs = durationNs;
    if (this.#isTransactional) {
      for (const head of this.#head) this.#k.shadows.begin(head);
      return;
    }
    this.#op = this.#newOp();
    this.#op.step();
  }

  #newOp(): MigrationOp {
    const to = { nid: this.target, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    return new MigrationOp(this.#k, this.list, to, MIGRATE_ASYNC, MR_SYSCALL);
  }

  /** When the folio with this head is over; the end of the batch for others. */
  completionNs(head: FrameId): Nanoseconds {
    let pages = 0;
    for (let i = 0; i < this.#head.length; i++) {
      pages += this.#nrPages[i];
      if (this.#head[i] === head) break;
    }
    return this.startNs + Math.ceil((this.durationNs * pages) / Math.max(1, this.nrPages));
  }

  /** Migrates what is unmapped or clean, puts back what is left, settles the plan rows. */
  end(queue: PlanQueue): void {
    const aborted = this.#isTransactional ? this.#abortWritten() : [];
    if (this.#isTransactional) this.#k.shadows.beginCommit(this.list);
    const op = this.#op ?? (this.#isTransactional ? this.#newOp() : null);
    if (op === null) return;
    op.finish();
    this.#op = null;
    if (this.#isTransactional) this.#k.shadows.endCommit();
    const left = new Int32Array(this.nrFolios);
    const errno = new Int16Array(this.nrFolios);
    for (const frame of this.list) {
      const i = this.#folioOf(frame);
      left[i] += this.#k.folios.nrPages(frame);
      const isNoMemory =
        op.result === -ENOMEM || this.#k.failures.lastCauseOf(frame) === CAUSE_NO_MEMORY;
      errno[i] = isNoMemory ? -ENOMEM : -EBUSY;
    }
    for (const frame of aborted) {
      const i = this.#folioOf(frame);
      left[i] = this.#nrPages[i];
      errno[i] = -EAGAIN;
      this.list.push(frame);
    }
    putbackMovablePages(this.#k, this.list);
    for (let i = 0; i < this.nrFolios; i++) {
      if (errno[i] < 0) queue.fail(this.#row[i], errno[i]);
      queue.settle(this.#row[i], this.#covered[i], this.#nrPages[i] - left[i]);
    }
  }

  /** Takes folios off the list that were written while they were copied. TI-71. */
  #abortWritten(): FrameId[] {
    const { shadows, pm } = this.#k;
    const written = this.list.filter((head) => shadows.isDirty(head));
    const clean = this.list.filter((head) => !written.includes(head));
    this.list.length = 0;
    this.list.push(...clean);
    shadows.aborted += written.length;
    for (const head of written) this.abortedPages[pm.nidOf(head)]++;
    return written;
  }

  /** The folio that a frame left over belongs to, or belonged to before it was split. */
  #folioOf(frame: FrameId): number {
    for (let i = 0; i < this.#head.length; i++) {
      if (frame >= this.#head[i] && frame < this.#head[i] + this.#nrPages[i]) return i;
    }
    return 0;
  }
}
