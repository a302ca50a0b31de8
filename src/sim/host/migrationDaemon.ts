/**
 * The thread that carries plans out: takes rows in order, a batch of up to 512 pages for one node
 * at a time, and needs the CPU time of the batch before it takes the next (design 3.4). What a
 * tiering daemon that calls move_pages in a loop does, with one thread by default. Rows that split
 * folios take their time in the same way (folioSplitter.ts).
 *
 * Per-cpu LRU batches are off while it works, as during move_pages (MP-11), so that pages just
 * touched can be isolated. Turning them off takes time before each batch (costs.migrateCallNs), but
 * not before transactions, which are the work of a kernel thread.
 *
 * Deviates: all pages are unmapped in the first moment of a batch, where the kernel spreads the
 * unmapping over its first part; folios that had to be split migrate at its end in no time.
 * Deviates: MIGRATE_ASYNC, where move_pages waits for locks and writeback (MIGRATE_SYNC).
 * Deviates: a TLB flush interrupts every CPU that runs a program, not only those of its own mm.
 * Not modelled: the CPUs the threads run on being taken from programs.
 */
import { type FrameId, type Nanoseconds, PAGE_SIZE } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import type { AccessCost } from '../../hw/index.ts';
import type { Kernel } from '../../mm/index.ts';
import { ACTION_SPLIT, ACTION_TRANSACT } from '../../policy/index.ts';
import { FolioSplitter } from './folioSplitter.ts';
import { BATCH_PAGES_MAX, MigrationBatch } from './migrationBatch.ts';
import { PAGE_QUEUED, PageResolver } from './pageResolver.ts';
import type { PlanQueue } from './planQueue.ts';

export interface DaemonOptions {
  /** Threads that migrate at the same time. */
  readonly workers: number;
  /** Bytes per nanosecond (GB/s) that all of them migrate at most; 0 = no limit. */
  readonly bandwidthLimit: number;
  /** Shared folios migrate too (MPOL_MF_MOVE_ALL). */
  readonly isMoveAll: boolean;
  /** At once and for nothing. */
  readonly isFree: boolean;
}

export class MigrationDaemon implements EventHandler {
  readonly #k: Kernel;
  readonly #events: EventQueue;
  readonly #cost: AccessCost;
  readonly #queue: PlanQueue;
  readonly #options: DaemonOptions;
  readonly #resolver: PageResolver;
  readonly #splitter: FolioSplitter;
  /** Worker -> its batch, null = idle. */
  readonly #batches: (MigrationBatch | null)[];
  /** Worker -> 1 while it waits for the bandwidth limit. */
  readonly #isPaused: Uint8Array;
  /** Worker -> 1 once the time that its next call takes before it moves anything is over. */
  readonly #isInCall: Uint8Array;
  #nrBusy = 0;
  /** The bandwidth limit allows the next batch from here on. */
  #allowedNs: Nanoseconds = 0;
  /** CPU time spent so far. */
  backgroundNs: Nanoseconds = 0;

  constructor(
    k: Kernel,
    events: EventQueue,
    cost: AccessCost,
    queue: PlanQueue,
    options: DaemonOptions,
  ) {
    this.#k = k;
    this.#events = events;
    this.#cost = cost;
    this.#queue = queue;
    this.#options = options;
    this.#resolver = new PageResolver(k, options.isMoveAll);
    this.#splitter = new FolioSplitter(k);
    this.#batches = new Array<MigrationBatch | null>(options.workers).fill(null);
    this.#isPaused = new Uint8Array(options.workers);
    this.#isInCall = new Uint8Array(options.workers);
  }

  /** There may be rows to carry out: starts idle workers. */
  kick(nowNs: Nanoseconds): void {
    for (let worker = 0; worker < this.#batches.length; worker++) {
      if (this.#batches[worker] === null && this.#isPaused[worker] === 0) {
        this.#startNext(worker, nowNs);
      }
    }
  }

  /** A worker's batch is over, or its pause. */
  onEvent(nowNs: Nanoseconds, worker: number): void {
    this.#isPaused[worker] = 0;
    this.#k.trace.runMigrationDaemon(worker);
    this.#endBatch(worker);
    this.#startNext(worker, nowNs);
  }

  /** When the migration of the folio with this head is over; `nowNs` if none of ours has it. */
  completionNs(head: FrameId, nowNs: Nanoseconds): Nanoseconds {
    const op = this.#k.inFlight.get(head);
    if (op === undefined) return nowNs;
    for (const batch of this.#batches) {
      if (batch !== null && batch.op === op) return Math.max(nowNs, batch.completionNs(head));
    }
    return nowNs;
  }

  #startNext(worker: number, nowNs: Nanoseconds): void {
    while (this.#queue.hasWork) {
      if (nowNs < this.#allowedNs) {
        this.#pause(worker, this.#allowedNs);
        return;
      }
      this.#k.trace.runMigrationDaemon(worker);
      if (this.#isNext(ACTION_SPLIT)) {
        const ns = this.#splitNext();
        if (this.#options.isFree || ns === 0) continue;
        this.backgroundNs += ns;
        this.#pause(worker, nowNs + ns);
        return;
      }
      if (this.#enterCall(worker, nowNs)) return;
      const batch = this.#gather();
      this.#isInCall[worker] = 0;
      if (batch.nrFolios === 0) continue;
      this.#run(worker, batch, nowNs);
      if (!this.#options.isFree) return;
    }
  }

  #pause(worker: number, untilNs: Nanoseconds): void {
    this.#isPaused[worker] = 1;
    this.#events.schedule(untilNs, this, worker);
  }

  /** Whether the next batch has to wait for its call to begin. */
  #enterCall(worker: number, nowNs: Nanoseconds): boolean {
    const ns = this.#k.spec.costs.migrateCallNs;
    const isCall = !this.#options.isFree && ns > 0 && !this.#isNext(ACTION_TRANSACT);
    if (!isCall || this.#isInCall[worker] === 1) return false;
    this.#isInCall[worker] = 1;
    this.backgroundNs += ns;
    this.#pause(worker, nowNs + ns);
    return true;
  }

  #isNext(action: number): boolean {
    return this.#queue.hasWork && this.#queue.action[this.#queue.at(this.#queue.next)] === action;
  }

  /** Rows that split, until there is time to be passed. Returns it. */
  #splitNext(): Nanoseconds {
    const nrCpus = this.#nrCpusFlushed();
    let ns = 0;
    while (ns === 0 && this.#isNext(ACTION_SPLIT)) ns = this.#splitter.step(this.#queue, nrCpus);
    return Math.ceil(ns);
  }

  #run(worker: number, batch: MigrationBatch, nowNs: Nanoseconds): void {
    const { isFree, bandwidthLimit } = this.#options;
    this.#batches[worker] = batch;
    this.#setBusy(1);
    if (isFree) {
      batch.start(nowNs, 0);
      this.#endBatch(worker);
      return;
    }
    const ns = batch.cpuNs(this.#cost, this.#k.spec.costs, this.#nrCpusFlushed());
    const durationNs = Math.max(1, Math.ceil(ns));
    this.backgroundNs += durationNs;
    if (bandwidthLimit > 0) {
      const share = Math.ceil((batch.nrPages * PAGE_SIZE) / bandwidthLimit);
      this.#allowedNs = Math.max(nowNs, this.#allowedNs) + share;
    }
    batch.start(nowNs, durationNs);
    this.#events.schedule(nowNs + durationNs, this, worker);
  }

  /** Folios from the next rows with one target, isolated. May come out empty. */
  #gather(): MigrationBatch {
    const queue = this.#queue;
    const first = queue.at(queue.next);
    const target = queue.targetNid[first];
    const action = queue.action[first];
    const batch = new MigrationBatch(this.#k, target, action === ACTION_TRANSACT);
    // Drains the per-cpu batches: nothing is isolated otherwise.
    if (this.#nrBusy === 0) this.#k.lru.drainAll();
    while (queue.hasWork && batch.nrPages < BATCH_PAGES_MAX) {
      const at = queue.at(queue.next);
      if (queue.targetNid[at] !== target) break;
      if (queue.action[at] !== action) break;
      const row = queue.next;
      const verdict = this.#resolver.resolve(queue, batch.list);
      const { head, pages } = this.#resolver;
      if (verdict < 0) queue.fail(row, verdict);
      if (verdict === PAGE_QUEUED) batch.add(head, row, queue.covered(pages));
      queue.advance(pages, verdict === PAGE_QUEUED);
    }
    return batch;
  }

  #endBatch(worker: number): void {
    const batch = this.#batches[worker];
    if (batch === null) return;
    batch.end(this.#queue);
    for (let nid = 0; nid < batch.abortedPages.length; nid++) {
      const bytes = batch.abortedPages[nid] * PAGE_SIZE;
      if (bytes > 0) this.#cost.addCopyTraffic(nid, batch.target, bytes);
    }
    this.#batches[worker] = null;
    this.#setBusy(-1);
  }

  #setBusy(change: number): void {
    this.#nrBusy += change;
    this.#k.lru.setDisabled(change > 0);
  }

  /** CPUs that a flush interrupts. */
  #nrCpusFlushed(): number {
    const cpus = new Set<number>();
    for (const { mm, cpu } of this.#k.tasks.values()) if (mm !== null) cpus.add(cpu);
    return cpus.size;
  }
}
