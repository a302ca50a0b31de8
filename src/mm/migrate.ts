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
  MR_NUMA_MISPLACED,
} from '../uapi/migrate.ts';
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
import { migrateHugetlbs } from './migrateHugetlb.ts';
import { allocMigrationTarget, type Destination } from './migrateTarget.ts';
import { countMigration, type MigrationCounts, zeroCounts } from './migrationCounts.ts';
import { removeMigrationPtes, tryToMigrate, UNMAP_DONE } from './migrationEntries.ts';
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
  readonly #k: Kernel;
  readonly #list: FrameId[];
  readonly #destination: Destination;
  readonly #mode: MigrateMode;
  readonly #reason: MigrateReason;
  readonly #steps: Generator<void, number>;
  /** Folios between unmap and move, and their destinations. */
  readonly #unmapped: FrameId[] = [];
  readonly #dst: FrameId[] = [];
  readonly #wasMapped: boolean[] = [];
  #failed: FrameId[] = [];
  readonly #split: FrameId[] = [];
  readonly #total: MigrationCounts = zeroCounts();
  #cause = 0;
  #done = false;
  #isSteppedThrough = true;
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
    this.#list = list;
    this.#destination = destination;
    this.#mode = mode;
    this.#reason = reason;
    this.#steps = this.#run();
  }

  get isDone(): boolean {
    return this.#done;
  }

  /** Base pages moved so far. */
  get movedPages(): number {
    return this.#total.succeededPages;
  }

  /** Source frames whose entries are migration entries now. */
  get inFlight(): readonly FrameId[] {
    return this.#unmapped;
  }

  /** Runs to the next point where others may come in between; true when the call is over. */
  step(): boolean {
    if (this.#done) return true;
    const next = this.#steps.next();
    if (next.done === true) {
      this.#done = true;
      this.result = next.value;
    }
    return this.#done;
  }

  finish(): void {
    while (!this.step());
  }

  /** All steps at once: nobody can come in between, so nobody needs to find this operation. */
  runWhole(): void {
    this.#isSteppedThrough = false;
    this.finish();
  }

  *#run(): Generator<void, number> {
    const from = this.#list.splice(0);
    const left: FrameId[] = [];
    const hugetlb = this.#hugetlb(from, left);
    let gathered = hugetlb;
    let position = 0;
    while (gathered >= 0 && position < from.length) {
      const batch: FrameId[] = [];
      let pages = 0;
      while (position < from.length && pages < BATCH_PAGES) {
        pages += this.#k.folios.nrPages(from[position]);
        batch.push(from[position++]);
      }
      const result: number =
        this.#mode === MIGRATE_ASYNC
          ? yield* this.#batch(batch, MIGRATE_ASYNC, PASSES_ASYNC, this.#total, true)
          : yield* this.#sync(batch);
      left.push(...this.#failed, ...batch);
      this.#failed.length = 0;
      if (result < 0) {
        left.push(...this.#split);
        gathered = result;
        break;
      }
      gathered += result;
      if (this.#split.length > 0) yield* this.#children(left);
    }
    for (; position < from.length; position++) left.push(from[position]);
    this.#list.push(...left);
    countMigration(this.#k.vmstat, this.#total);
    return left.length === 0 ? 0 : gathered;
  }

  /** MC-54: hugetlb pages leave `from` first; those that stay go to `left`. */
  #hugetlb(from: FrameId[], left: FrameId[]): number {
    const total = this.#total;
    return migrateHugetlbs(this.#k, from, this.#destination, this.#mode, this.#reason, total, left);
  }

  /** MC-50: one ASYNC pass over the children of split folios; failures are not returned. */
  *#children(left: FrameId[]): Generator<void, void> {
    const children = this.#split.splice(0);
    yield* this.#batch(children, MIGRATE_ASYNC, 1, this.#total, false);
    left.push(...this.#failed, ...children);
    this.#failed.length = 0;
  }

  /** MC-52 (migrate_pages_sync): the batch ASYNC, then every leftover alone in the real mode. */
  *#sync(batch: FrameId[]): Generator<void, number> {
    const first = zeroCounts();
    const asyncResult: number = yield* this.#batch(
      batch,
      MIGRATE_ASYNC,
      PASSES_ASYNC_FIRST,
      first,
      true,
    );
    const total = this.#total;
    total.succeededPages += first.succeededPages;
    total.thpSucceeded += first.thpSucceeded;
    total.thpSplit += first.thpSplit;
    total.split += first.split;
    if (asyncResult < 0) {
      total.failedPages += first.failedPages;
      total.thpFailed += first.thpFailed;
      return asyncResult;
    }
    total.thpFailed += first.thpSplit;
    let failed = first.split;
    const again = [...this.#failed, ...batch.splice(0)];
    const kept: FrameId[] = [];
    this.#failed = [];
    for (let n = 0; n < again.length; n++) {
      const single = [again[n]];
      const result: number = yield* this.#batch(single, this.#mode, PASSES_SYNC, total, true);
      kept.push(...this.#failed, ...single);
      this.#failed.length = 0;
      if (result < 0) {
        this.#failed = [...kept, ...again.slice(n + 1)];
        return result;
      }
      failed += result;
    }
    this.#failed = kept;
    return failed;
  }

  /**
   * migrate_pages_batch. Folios that are done leave `batch`; permanent failures go to #failed;
   * those that kept saying -EAGAIN stay in `batch`. Returns failed folios or -ENOMEM.
   */
  *#batch(
    batch: FrameId[],
    mode: MigrateMode,
    passes: number,
    counts: MigrationCounts,
    maySplit: boolean,
  ): Generator<void, number> {
    const state = { failed: 0, saved: 0 };
    this.#unmapPasses(batch, mode, passes, counts, maySplit, state);
    if (this.#unmapped.length > 0) {
      yield;
      this.#movePasses(batch, mode, passes, counts, state);
    }
    return state.saved !== 0 ? state.saved : state.failed;
  }

  #unmapPasses(
    batch: FrameId[],
    mode: MigrateMode,
    passes: number,
    counts: MigrationCounts,
    maySplit: boolean,
    state: { failed: number; saved: number },
  ): void {
    let pending = batch.splice(0);
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
        const result = this.#unmapOrSplit(head, mode, counts, maySplit, state);
        if (result === -EAGAIN) {
          again.push(head);
          retryPages += nr;
          retryThp += thp;
        } else if (result === -ENOMEM) {
          counts.failedPages += nr + retryPages;
          counts.thpFailed += retryThp;
          state.saved = -ENOMEM;
          batch.push(...again, ...pending.slice(n));
          return;
        } else if (result < 0) {
          state.failed++;
          counts.thpFailed += thp;
          counts.failedPages += nr;
          this.#fail(head, nr);
          this.#failed.push(head);
        }
      }
      pending = again;
    }
    state.failed += pending.length;
    counts.thpFailed += retryThp;
    counts.failedPages += retryPages;
    for (const head of pending) this.#fail(head, this.#k.folios.nrPages(head));
    batch.push(...pending);
  }

  /** One folio's way through the unmap loop; 0 when it needs nothing more from that loop. */
  #unmapOrSplit(
    head: FrameId,
    mode: MigrateMode,
    counts: MigrationCounts,
    maySplit: boolean,
    state: { failed: number },
  ): number {
    const k = this.#k;
    const thp = k.folios.isThp(head) ? 1 : 0;
    const large = k.folios.isLarge(head);
    // MC-12: 6.1 moved partially mapped folios whole.
    const mayBePartial = large && k.spec.kernel !== '6.1';
    const partial = mayBePartial && (k.frames.flags[head] & PG_PARTIALLY_MAPPED) !== 0;
    if (partial && maySplit && this.#trySplit(head, mode) === 0) {
      this.#countSplit(counts, thp, state);
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
    this.#cause = CAUSE_NO_MEMORY;
    if (large && maySplit && this.#reason !== MR_NUMA_MISPLACED) {
      const split = this.#trySplit(head, mode);
      if (split === 0) {
        this.#countSplit(counts, thp, state);
        return 0;
      }
      if (split === -EAGAIN && this.#reason === MR_LONGTERM_PIN) return -EAGAIN;
      this.#cause = CAUSE_SPLIT_FAILED;
    }
    state.failed++;
    counts.thpFailed += thp;
    this.#fail(head, nr);
    return -ENOMEM;
  }

  #countSplit(counts: MigrationCounts, thp: number, state: { failed: number }): void {
    state.failed++;
    counts.thpFailed += thp;
    counts.thpSplit += thp;
    counts.split++;
  }

  #trySplit(head: FrameId, mode: MigrateMode): number {
    if (mode === MIGRATE_ASYNC && this.#k.frames.has(head, PG_LOCKED)) return -EAGAIN;
    return splitFolio(this.#k, head, this.#split);
  }

  /** MC-14..MC-24 (migrate_folio_unmap). 0: unmapped and queued for the move phase. */
  #unmapFolio(head: FrameId, mode: MigrateMode): number {
    const k = this.#k;
    const f = k.frames;
    if (f.refcount[head] === 1) {
      f.flags[head] &= ~(PG_ACTIVE | PG_UNEVICTABLE);
      if (this.#reason !== MR_DEMOTION) k.lru.countIsolated(head, -1);
      k.putFolio(head);
      return UNMAP_FREED;
    }
    const dst = allocMigrationTarget(k, head, this.#destination);
    if (dst < 0) return -ENOMEM;
    const result = this.#lockAndUnmap(head, mode);
    if (result < 0) {
      k.putFolio(dst);
      return result;
    }
    f.flags[dst] |= PG_LOCKED;
    this.#unmapped.push(head);
    this.#dst.push(dst);
    this.#wasMapped.push(result > 0);
    if (this.#isSteppedThrough) k.inFlight.set(head, this);
    return 0;
  }

  /** MC-16..MC-23. 1 if it was mapped, 0 if not, or a negative errno with everything undone. */
  #lockAndUnmap(head: FrameId, mode: MigrateMode): number {
    const k = this.#k;
    const f = k.frames;
    if ((f.flags[head] & PG_LOCKED) !== 0) {
      this.#cause = CAUSE_LOCKED;
      const uptodate = (f.flags[head] & PG_UPTODATE) !== 0;
      if (mode === MIGRATE_ASYNC || k.pm.hooks.inReclaim) return -EAGAIN;
      if (mode === MIGRATE_SYNC_LIGHT && !uptodate) return -EAGAIN;
      const holder = k.inFlight.get(head);
      if (holder === undefined || holder === this) return -EAGAIN;
      holder.finish();
    }
    if ((f.flags[head] & PG_WRITEBACK) !== 0) {
      this.#cause = CAUSE_WRITEBACK;
      if (mode !== MIGRATE_SYNC) return -EBUSY;
      k.waitOnWriteback(head);
    }
    if (f.mapping[head] === MAPPING_NONE && (f.flags[head] & PG_PRIVATE) !== 0) {
      this.#cause = CAUSE_BUFFERS_BUSY;
      return -EAGAIN;
    }
    f.flags[head] |= PG_LOCKED;
    if (k.folios.mapcount(head) === 0) return 0;
    const unmapped = tryToMigrate(k, head, false);
    if (unmapped === UNMAP_DONE && k.folios.mapcount(head) === 0) return 1;
    this.#cause = unmapped === UNMAP_DONE ? CAUSE_STILL_MAPPED : CAUSE_PINNED;
    removeMigrationPtes(k, head, head);
    f.flags[head] &= ~PG_LOCKED;
    return -EAGAIN;
  }

  /** MC-37..MC-47 over everything unmapped; what cannot move is undone. */
  #movePasses(
    batch: FrameId[],
    mode: MigrateMode,
    passes: number,
    counts: MigrationCounts,
    state: { failed: number },
  ): void {
    const k = this.#k;
    let count = this.#unmapped.length;
    for (let pass = 0; pass < passes && count > 0; pass++) {
      let kept = 0;
      for (let n = 0; n < count; n++) {
        const src = this.#unmapped[n];
        const dst = this.#dst[n];
        const mapped = this.#wasMapped[n];
        const nr = k.folios.nrPages(src);
        const thp = k.folios.isThp(src) ? 1 : 0;
        const result = moveToNewFolio(k, src, dst, mode, this.#reason, mapped);
        if (result === 0) {
          counts.succeededPages += nr;
          counts.thpSucceeded += thp;
          if (this.#isSteppedThrough) k.inFlight.delete(src);
        } else if (result === -EAGAIN) {
          this.#unmapped[kept] = src;
          this.#dst[kept] = dst;
          this.#wasMapped[kept] = mapped;
          kept++;
        } else {
          state.failed++;
          counts.thpFailed += thp;
          counts.failedPages += nr;
          this.#undo(src, dst, mapped);
          this.#failed.push(src);
        }
      }
      count = kept;
    }
    for (let n = 0; n < count; n++) {
      const src = this.#unmapped[n];
      state.failed++;
      counts.thpFailed += k.folios.isThp(src) ? 1 : 0;
      counts.failedPages += k.folios.nrPages(src);
      this.#undo(src, this.#dst[n], this.#wasMapped[n]);
      batch.push(src);
    }
    this.#unmapped.length = 0;
    this.#dst.length = 0;
    this.#wasMapped.length = 0;
  }

  /** migrate_folio_undo_src and _dst: mappings come back, destination is freed. */
  #undo(src: FrameId, dst: FrameId, wasMapped: boolean): void {
    const k = this.#k;
    if (wasMapped) removeMigrationPtes(k, src, src);
    k.frames.flags[src] &= ~PG_LOCKED;
    k.frames.flags[dst] &= ~PG_LOCKED;
    assert(k.frames.refcount[dst] === 1, 'an unused destination has one reference');
    k.putFolio(dst);
    if (this.#isSteppedThrough) k.inFlight.delete(src);
  }

  #fail(head: FrameId, nr: number): void {
    this.#k.failures.record(head, this.#cause, this.#reason, nr);
  }
}
