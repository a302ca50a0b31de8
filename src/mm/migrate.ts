/**
 * The migration engine (mm/migrate.c: migrate_pages, migrate_pages_batch, migrate_pages_sync).
 * MC-1..MC-62, in the order of the reference algorithm of MC section 12.
 *
 * One MigrationOp is one migrate_pages call. Its steps can be taken apart in time: after the unmap
 * step of a batch the migration entries are in place and anything may happen before the move step
 * (design 3.4). Called from a system call, all steps run at once.
 *
 * Order: allocate dst -> lock src -> unmap -> flush TLB -> check references -> copy -> switch
 * mapping -> put dst on the LRU -> remap -> unlock -> free src.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { EAGAIN, EBUSY, ENOMEM } from '../uapi/errno.ts';
import {
  MIGRATE_ASYNC,
  MIGRATE_SYNC,
  MIGRATE_SYNC_LIGHT,
  type MigrateMode,
  type MigrateReason,
  MR_DEMOTION,
  MR_LONGTERM_PIN,
  MR_MEMORY_FAILURE,
  MR_NUMA_MISPLACED,
} from '../uapi/migrate.ts';
import { tryToFreeBuffers } from './bufferHeads.ts';
import {
  CAUSE_BUFFERS_BUSY,
  CAUSE_LOCKED,
  CAUSE_NO_MEMORY,
  CAUSE_PINNED,
  CAUSE_SPLIT_FAILED,
  CAUSE_STILL_MAPPED,
  CAUSE_WRITEBACK,
} from './failureLog.ts';
import {
  MAPPING_NONE,
  PG_ACTIVE,
  PG_LOCKED,
  PG_PARTIALLY_MAPPED,
  PG_PRIVATE,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WRITEBACK,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import {
  type Batch,
  CHILDREN,
  countSplit,
  FIRST,
  type MigrationCall,
  newBatch,
  newCall,
  SINGLE,
  WHOLE,
} from './migrateBatch.ts';
import { migrateHugetlbs } from './migrateHugetlb.ts';
import { allocMigrationTarget, type Destination } from './migrateTarget.ts';
import { runCallerOf, traceMigrationEnd, traceMigrationStart } from './migrateTrace.ts';
import { countMigration, zeroCounts } from './migrationCounts.ts';
import { restoreMappings, tryToMigrate, UNMAP_DONE } from './migrationEntries.ts';
import { hasMovableOps } from './movableOps.ts';
import { moveToNewFolio } from './moveFolio.ts';
import { splitFolio } from './splitFolio.ts';

/** MC-4. */
const BATCH_PAGES = 512;
const PASSES_ASYNC = 10;
const PASSES_ASYNC_FIRST = 3;
const PASSES_SYNC = 7;

/** unmap outcome besides negative errno: the folio was freed meanwhile (MC-14). */
const UNMAP_FREED = 1;

/**
 * migrate_pages: moves the isolated folios of `list` to where `destination` says.
 * Returns the number of folios left, or -ENOMEM; those left stay in `list` and the caller must put
 * them back (MC-51). pgmigrate_* and thp_migration_* are counted here (MC-60).
 */
export function migratePages(
  k: Kernel,
  list: FrameId[],
  destination: Destination,
  mode: MigrateMode,
  reason: MigrateReason,
): number {
  const op = new MigrationOp(k, list, destination, mode, reason);
  op.runWhole();
  return op.result;
}

/** One migrate_pages call in progress. */
export class MigrationOp {
  #k: Kernel;
  #call: MigrationCall;
  /** Folios left or -ENOMEM; valid when done. */
  result = 0;

  constructor(
    k: Kernel,
    list: FrameId[],
    destination: Destination,
    mode: MigrateMode,
    reason: MigrateReason,
  ) {
    this.#k = k;
    this.#call = newCall(list, destination, mode, reason);
  }

  /** Private fields, for saved states (src/state). */
  static privateFields(op: MigrationOp): object {
    return {
      get k() {
        return op.#k;
      },
      set k(value) {
        op.#k = value;
      },
      get call() {
        return op.#call;
      },
      set call(value) {
        op.#call = value;
      },
    };
  }

  get isDone(): boolean {
    return this.#call.done;
  }

  /** Source frames whose entries are migration entries now. */
  get inFlight(): readonly FrameId[] {
    return this.#call.unmapped;
  }

  /** Runs to the next point where others may come in between; true when the call is over. */
  step(): boolean {
    if (this.#call.done) return true;
    let batch = this.#call.batch;
    if (batch === null) batch = this.#begin();
    else {
      this.#movePasses(batch);
      batch = this.#after(batch);
    }
    while (batch !== null) {
      this.#unmapPasses(batch);
      if (this.#call.unmapped.length > 0) {
        this.#call.batch = batch;
        return false;
      }
      batch = this.#after(batch);
    }
    this.#end();
    return true;
  }

  /** Whoever carries the call on does it for its caller. */
  finish(): void {
    const goOn = runCallerOf(this.#k.trace, this.#call);
    while (!this.step());
    goOn();
  }

  /** All steps at once: nobody can come in between, so nobody needs to find this operation. */
  runWhole(): void {
    this.#call.isSteppedThrough = false;
    this.finish();
  }

  /** The hugetlb pages at once (MC-54), then the first batch of the rest. */
  #begin(): Batch | null {
    traceMigrationStart(this.#k.trace, this.#call);
    const from = this.#call.list.splice(0);
    const args = [
      this.#call.destination,
      this.#call.mode,
      this.#call.reason,
      this.#call.total,
      this.#call.left,
    ] as const;
    this.#call.gathered = migrateHugetlbs(this.#k, from, ...args);
    this.#call.waiting = from;
    return this.#call.gathered < 0 ? null : this.#nextWaiting();
  }

  /** Up to BATCH_PAGES of those that still wait; null when none does. */
  #nextWaiting(): Batch | null {
    const folios: FrameId[] = [];
    let pages = 0;
    while (this.#call.position < this.#call.waiting.length && pages < BATCH_PAGES) {
      const head = this.#call.waiting[this.#call.position++];
      pages += this.#k.folios.nrPages(head);
      folios.push(head);
    }
    if (folios.length === 0) return null;
    if (this.#call.mode === MIGRATE_ASYNC) {
      return newBatch(WHOLE, folios, MIGRATE_ASYNC, PASSES_ASYNC, this.#call.total);
    }
    return newBatch(FIRST, folios, MIGRATE_ASYNC, PASSES_ASYNC_FIRST, zeroCounts());
  }

  /** What comes after a finished batch; null: nothing. */
  #after(batch: Batch): Batch | null {
    const result = batch.error !== 0 ? batch.error : batch.nrFailed;
    switch (batch.part) {
      case WHOLE:
        return this.#gather(batch.folios, result);
      case FIRST:
        return this.#afterFirst(batch, result);
      case SINGLE:
        return this.#afterSingle(batch, result);
      default:
        // MC-50: failures of children are not returned.
        this.#call.left.push(...this.#call.failed, ...batch.folios);
        this.#call.failed = [];
        return this.#nextWaiting();
    }
  }

  /** Those of a batch that stay are left; children of split folios get one ASYNC pass (MC-50). */
  #gather(folios: readonly FrameId[], result: number): Batch | null {
    this.#call.left.push(...this.#call.failed, ...folios);
    this.#call.failed = [];
    if (result < 0) {
      this.#call.left.push(...this.#call.split);
      this.#call.gathered = result;
      return null;
    }
    this.#call.gathered += result;
    if (this.#call.split.length === 0) return this.#nextWaiting();
    return newBatch(CHILDREN, this.#call.split.splice(0), MIGRATE_ASYNC, 1, this.#call.total);
  }

  /** MC-52 (migrate_pages_sync): after the ASYNC batch every leftover alone in the real mode. */
  #afterFirst({ counts, folios }: Batch, result: number): Batch | null {
    const total = this.#call.total;
    total.succeededPages += counts.succeededPages;
    total.thpSucceeded += counts.thpSucceeded;
    total.thpSplit += counts.thpSplit;
    total.split += counts.split;
    if (result < 0) {
      total.failedPages += counts.failedPages;
      total.thpFailed += counts.thpFailed;
      return this.#gather(folios, result);
    }
    total.thpFailed += counts.thpSplit;
    this.#call.singlesFailed = counts.split;
    this.#call.singles = [...this.#call.failed, ...folios];
    this.#call.failed = [];
    return this.#nextSingle();
  }

  #nextSingle(): Batch | null {
    const head = this.#call.singles.shift();
    if (head !== undefined) {
      return newBatch(SINGLE, [head], this.#call.mode, PASSES_SYNC, this.#call.total);
    }
    this.#call.failed = this.#call.kept;
    this.#call.kept = [];
    return this.#gather([], this.#call.singlesFailed);
  }

  #afterSingle({ folios }: Batch, result: number): Batch | null {
    this.#call.kept.push(...this.#call.failed, ...folios);
    this.#call.failed = [];
    if (result >= 0) {
      this.#call.singlesFailed += result;
      return this.#nextSingle();
    }
    this.#call.failed = [...this.#call.kept, ...this.#call.singles.splice(0)];
    this.#call.kept = [];
    return this.#gather([], result);
  }

  /** The folios left go back to the caller's list; the result is their number or -ENOMEM. */
  #end(): void {
    const left = this.#call.left;
    left.push(...this.#call.waiting.slice(this.#call.position));
    this.#call.list.push(...left);
    countMigration(this.#k.vmstat, this.#call.total);
    this.result = left.length === 0 ? 0 : this.#call.gathered;
    this.#call.done = true;
    traceMigrationEnd(this.#k.trace, this.#call);
  }

  /**
   * First half of migrate_pages_batch. Permanent failures go to #failed; those that kept saying
   * -EAGAIN, or were not reached before -ENOMEM, stay in the batch.
   */
  #unmapPasses(batch: Batch): void {
    const { passes, counts } = batch;
    let pending = batch.folios;
    let retryPages = 0;
    let retryThp = 0;
    for (let pass = 0; pass < passes && pending.length > 0; pass++) {
      const again: FrameId[] = [];
      retryPages = 0;
      retryThp = 0;
      for (let n = 0; n < pending.length; n++) {
        const head = pending[n];
        const nr = this.#k.folios.nrPages(head);
        const thp = this.#k.folios.isThp(head) ? 1 : 0;
        const result = this.#unmapOrSplit(head, batch);
        if (result === -EAGAIN) {
          again.push(head);
          retryPages += nr;
          retryThp += thp;
        } else if (result === -ENOMEM) {
          counts.failedPages += nr + retryPages;
          counts.thpFailed += retryThp;
          batch.error = -ENOMEM;
          batch.folios = [...again, ...pending.slice(n)];
          return;
        } else if (result < 0) {
          batch.nrFailed++;
          counts.thpFailed += thp;
          counts.failedPages += nr;
          this.#fail(head, nr);
          this.#call.failed.push(head);
        }
      }
      pending = again;
    }
    batch.nrFailed += pending.length;
    counts.thpFailed += retryThp;
    counts.failedPages += retryPages;
    for (const head of pending) this.#fail(head, this.#k.folios.nrPages(head));
    batch.folios = pending;
  }

  /** One folio's way through the unmap loop; 0 when it needs nothing more from that loop. */
  #unmapOrSplit(head: FrameId, batch: Batch): number {
    const k = this.#k;
    const { mode, counts } = batch;
    const maySplit = batch.part !== CHILDREN;
    const thp = k.folios.isThp(head) ? 1 : 0;
    const large = k.folios.isLarge(head);
    // MC-12: 6.1 moved partially mapped folios whole.
    const mayBePartial = large && k.profile.partialFoliosSplitFirst;
    const partial = mayBePartial && (k.frames.flags[head] & PG_PARTIALLY_MAPPED) !== 0;
    if (partial && maySplit && this.#trySplit(head, mode) === 0) {
      countSplit(batch, thp);
      return 0;
    }
    const nr = k.folios.nrPages(head);
    const result = this.#unmapFolio(head, mode);
    if (result === UNMAP_FREED) {
      counts.succeededPages += nr;
      counts.thpSucceeded += thp;
      return 0;
    }
    if (result !== -ENOMEM) return result;
    this.#call.cause = CAUSE_NO_MEMORY;
    if (large && maySplit && this.#call.reason !== MR_NUMA_MISPLACED) {
      const split = this.#trySplit(head, mode);
      if (split === 0) {
        countSplit(batch, thp);
        return 0;
      }
      if (split === -EAGAIN && this.#call.reason === MR_LONGTERM_PIN) return -EAGAIN;
      this.#call.cause = CAUSE_SPLIT_FAILED;
    }
    batch.nrFailed++;
    counts.thpFailed += thp;
    this.#fail(head, nr);
    return -ENOMEM;
  }

  #trySplit(head: FrameId, mode: MigrateMode): number {
    if (mode === MIGRATE_ASYNC && this.#k.frames.has(head, PG_LOCKED)) return -EAGAIN;
    return splitFolio(this.#k, head, this.#call.split);
  }

  /** MC-14..MC-24 (migrate_folio_unmap). 0: unmapped and queued for the move phase. */
  #unmapFolio(head: FrameId, mode: MigrateMode): number {
    const k = this.#k;
    const f = k.frames;
    // MC-72: only the driver knows whether a page of its own is still in use.
    if (f.refcount[head] === 1 && !hasMovableOps(k, head)) {
      f.flags[head] &= ~(PG_ACTIVE | PG_UNEVICTABLE);
      if (this.#call.reason !== MR_DEMOTION) k.lru.countIsolated(head, -1);
      // MC-82b: a frame that goes out of use keeps its last reference.
      if (this.#call.reason !== MR_MEMORY_FAILURE) k.putFolio(head);
      return UNMAP_FREED;
    }
    const dst = allocMigrationTarget(k, head, this.#call.destination);
    if (dst < 0) return -ENOMEM;
    const result = this.#lockAndUnmap(head, mode);
    if (result < 0) {
      k.putFolio(dst);
      return result;
    }
    f.flags[dst] |= PG_LOCKED;
    this.#call.unmapped.push(head);
    this.#call.dst.push(dst);
    this.#call.wasMapped.push(result > 0);
    if (this.#call.isSteppedThrough) k.inFlight.set(head, this);
    return 0;
  }

  /** MC-16..MC-23. 1 if it was mapped, 0 if not, or a negative errno with everything undone. */
  #lockAndUnmap(head: FrameId, mode: MigrateMode): number {
    const k = this.#k;
    const f = k.frames;
    if ((f.flags[head] & PG_LOCKED) !== 0) {
      this.#call.cause = CAUSE_LOCKED;
      const uptodate = (f.flags[head] & PG_UPTODATE) !== 0;
      if (mode === MIGRATE_ASYNC || k.pm.hooks.inReclaim) return -EAGAIN;
      if (mode === MIGRATE_SYNC_LIGHT && !uptodate) return -EAGAIN;
      const holder = k.inFlight.get(head);
      if (holder === undefined || holder === this) return -EAGAIN;
      holder.finish();
    }
    if ((f.flags[head] & PG_WRITEBACK) !== 0) {
      this.#call.cause = CAUSE_WRITEBACK;
      if (mode !== MIGRATE_SYNC) return -EBUSY;
      k.waitOnWriteback(head);
    }
    if (f.mapping[head] === MAPPING_NONE && (f.flags[head] & PG_PRIVATE) !== 0) {
      // MC-21: a truncated folio that its file system still knows.
      tryToFreeBuffers(k, head);
      this.#call.cause = CAUSE_BUFFERS_BUSY;
      return -EAGAIN;
    }
    f.flags[head] |= PG_LOCKED;
    // MC-20: a driver's page is never mapped; its mapcount column is its type.
    if (k.folios.mapcount(head) <= 0) return 0;
    const unmapped = tryToMigrate(k, head, false);
    if (unmapped === UNMAP_DONE && k.folios.mapcount(head) === 0) return 1;
    this.#call.cause = unmapped === UNMAP_DONE ? CAUSE_STILL_MAPPED : CAUSE_PINNED;
    restoreMappings(k, head);
    f.flags[head] &= ~PG_LOCKED;
    return -EAGAIN;
  }

  /** MC-37..MC-47 over everything unmapped; what cannot move is undone. */
  #movePasses(batch: Batch): void {
    const k = this.#k;
    const { mode, passes, counts } = batch;
    let count = this.#call.unmapped.length;
    for (let pass = 0; pass < passes && count > 0; pass++) {
      let kept = 0;
      for (let n = 0; n < count; n++) {
        const src = this.#call.unmapped[n];
        const dst = this.#call.dst[n];
        const mapped = this.#call.wasMapped[n];
        const nr = k.folios.nrPages(src);
        const thp = k.folios.isThp(src) ? 1 : 0;
        const result = moveToNewFolio(k, src, dst, mode, this.#call.reason, mapped);
        if (result === 0) {
          counts.succeededPages += nr;
          counts.thpSucceeded += thp;
          if (this.#call.isSteppedThrough) k.inFlight.delete(src);
        } else if (result === -EAGAIN) {
          this.#call.unmapped[kept] = src;
          this.#call.dst[kept] = dst;
          this.#call.wasMapped[kept] = mapped;
          kept++;
        } else {
          batch.nrFailed++;
          counts.thpFailed += thp;
          counts.failedPages += nr;
          this.#undo(src, dst, mapped);
          this.#call.failed.push(src);
        }
      }
      count = kept;
    }
    for (let n = 0; n < count; n++) {
      const src = this.#call.unmapped[n];
      batch.nrFailed++;
      counts.thpFailed += k.folios.isThp(src) ? 1 : 0;
      counts.failedPages += k.folios.nrPages(src);
      this.#undo(src, this.#call.dst[n], this.#call.wasMapped[n]);
      batch.folios.push(src);
    }
    this.#call.unmapped.length = 0;
    this.#call.dst.length = 0;
    this.#call.wasMapped.length = 0;
  }

  /** migrate_folio_undo_src and _dst: mappings come back, destination is freed. */
  #undo(src: FrameId, dst: FrameId, wasMapped: boolean): void {
    const k = this.#k;
    if (wasMapped) restoreMappings(k, src);
    k.frames.flags[src] &= ~PG_LOCKED;
    k.frames.flags[dst] &= ~PG_LOCKED;
    assert(k.frames.refcount[dst] === 1, 'an unused destination has one reference');
    k.putFolio(dst);
    if (this.#call.isSteppedThrough) k.inFlight.delete(src);
  }

  #fail(head: FrameId, nr: number): void {
    this.#k.failures.record(head, this.#call.cause, this.#call.reason, nr);
  }
}
