/**
 * Plan rows on their way: accepted from plans, carried out in order, reported in order. A row is
 * done when each of its pages was looked at and none of them is in a migration any more.
 *
 * A ring of columns that doubles when full. Rows have ids that count up and are never reused; the
 * columns are indexed by `at(id)`. Invariant: head <= next <= tail.
 */
import { assert } from '../../base/assert.ts';
import type { Nid } from '../../base/units.ts';
import type { MigrationPlan } from '../../policy/index.ts';
import { ENOENT } from '../../uapi/errno.ts';

const CAPACITY_INITIAL = 1024;

export class PlanQueue {
  keyKind = new Uint8Array(CAPACITY_INITIAL);
  pid = new Int32Array(CAPACITY_INITIAL);
  /** VPN or PFN. */
  page = new Float64Array(CAPACITY_INITIAL);
  nrPages = new Int32Array(CAPACITY_INITIAL);
  generation = new Uint32Array(CAPACITY_INITIAL);
  targetNid = new Int8Array(CAPACITY_INITIAL);
  reason = new Uint8Array(CAPACITY_INITIAL);
  action = new Uint8Array(CAPACITY_INITIAL);
  /** Pages looked at, from the front. */
  cursor = new Int32Array(CAPACITY_INITIAL);
  /** Folios in migrations that run. */
  running = new Int32Array(CAPACITY_INITIAL);
  /** The target (0 = split), or the errno to report. */
  status = new Int16Array(CAPACITY_INITIAL);
  migratedPages = new Int32Array(CAPACITY_INITIAL);
  /** First row not reported, first not looked at to its end, end. */
  head = 0;
  next = 0;
  tail = 0;
  /** nid -> pages of rows that are not looked at yet, or in migrations that run. */
  readonly incoming: Float64Array;
  /** Sum of `incoming`. */
  pendingPages = 0;
  #mask = CAPACITY_INITIAL - 1;

  constructor(nrNodes: number) {
    this.incoming = new Float64Array(nrNodes);
  }

  /** Where the columns hold a row. Preconditions: head <= id < tail. */
  at(id: number): number {
    return id & this.#mask;
  }

  /** Is there a row with pages to look at? */
  get hasWork(): boolean {
    return this.next < this.tail;
  }

  /** Takes over all rows of a plan. */
  accept(plan: MigrationPlan): void {
    while (this.tail - this.head + plan.nrRows > this.#mask + 1) this.#grow();
    for (let row = 0; row < plan.nrRows; row++) {
      const i = this.at(this.tail++);
      this.keyKind[i] = plan.keyKind[row];
      this.pid[i] = plan.pid[row];
      this.page[i] = plan.page[row];
      this.nrPages[i] = plan.nrPages[row];
      this.generation[i] = plan.generation[row];
      this.targetNid[i] = plan.targetNid[row];
      this.reason[i] = plan.reason[row];
      this.action[i] = plan.action[row];
      this.cursor[i] = 0;
      this.running[i] = 0;
      this.status[i] = Math.max(0, plan.targetNid[row]);
      this.migratedPages[i] = 0;
      this.#pend(plan.targetNid[row], plan.nrPages[row]);
    }
  }

  /** `pages` more of the row `next` were looked at; of these, a folio was queued for migration. */
  advance(pages: number, isQueued: boolean): void {
    const i = this.at(this.next);
    const step = Math.min(pages, this.nrPages[i] - this.cursor[i]);
    this.cursor[i] += step;
    if (isQueued) this.running[i]++;
    else this.#pend(this.targetNid[i], -step);
    if (this.cursor[i] === this.nrPages[i]) this.next++;
  }

  /** Pages of the row `next` that a folio of `pages` from the cursor on covers. */
  covered(pages: number): number {
    const i = this.at(this.next);
    return Math.min(pages, this.nrPages[i] - this.cursor[i]);
  }

  /** A folio, queued with `covered` pages of the row, is out of its migration. */
  settle(id: number, covered: number, migratedPages: number): void {
    const i = this.at(id);
    assert(id >= this.head && this.running[i] > 0, `plan row ${id} settles what it did not queue`);
    this.running[i]--;
    this.migratedPages[i] += migratedPages;
    this.#pend(this.targetNid[i], -covered);
  }

  /** An error of a page: the first counts, and a missing page only if nothing else failed. */
  fail(id: number, errno: number): void {
    const i = this.at(id);
    const before = this.status[i];
    if (before >= 0 || (before === -ENOENT && errno !== -ENOENT)) this.status[i] = errno;
  }

  /** Is the first unreported row done? */
  get isHeadDone(): boolean {
    return this.head < this.next && this.running[this.at(this.head)] === 0;
  }

  #pend(nid: Nid, pages: number): void {
    if (nid < 0) return; // a row that splits brings nothing
    this.incoming[nid] += pages;
    this.pendingPages += pages;
  }

  #grow(): void {
    const before = this.#mask;
    const capacity = (before + 1) * 2;
    this.#mask = capacity - 1;
    this.keyKind = this.#laid(this.keyKind, new Uint8Array(capacity), before);
    this.pid = this.#laid(this.pid, new Int32Array(capacity), before);
    this.page = this.#laid(this.page, new Float64Array(capacity), before);
    this.nrPages = this.#laid(this.nrPages, new Int32Array(capacity), before);
    this.generation = this.#laid(this.generation, new Uint32Array(capacity), before);
    this.targetNid = this.#laid(this.targetNid, new Int8Array(capacity), before);
    this.reason = this.#laid(this.reason, new Uint8Array(capacity), before);
    this.action = this.#laid(this.action, new Uint8Array(capacity), before);
    this.cursor = this.#laid(this.cursor, new Int32Array(capacity), before);
    this.running = this.#laid(this.running, new Int32Array(capacity), before);
    this.status = this.#laid(this.status, new Int16Array(capacity), before);
    this.migratedPages = this.#laid(this.migratedPages, new Int32Array(capacity), before);
  }

  #laid<T extends { [index: number]: number }>(from: T, to: T, maskBefore: number): T {
    for (let id = this.head; id < this.tail; id++) to[id & this.#mask] = from[id & maskBefore];
    return to;
  }
}
