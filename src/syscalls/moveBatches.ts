/**
 * The batches of calls that name pages one by one (mm/migrate.c: do_pages_move,
 * move_pages_and_store_status). MP-10..MP-15, MP-34..MP-43, PP-26.
 *
 * Consecutive pages for one node form a batch. A batch ends when the node changes, right after any
 * page that was not queued, at the end, and on a fatal error (MP-34).
 */
import type { FrameId, Nid } from '../base/units.ts';
import { type Kernel, migratePages, putbackMovablePages, type Task } from '../mm/index.ts';
import { EFAULT, ENODEV } from '../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MAX_NUMNODES } from '../uapi/mempolicy.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import type { UserAddresses, UserInts } from './userMemory.ts';

/** No batch is open (NUMA_NO_NODE). */
const NO_NODE = -1;

/** addFolio: the folio was queued. Nothing else it answers is positive. */
export const QUEUED = 1;

/** One do_pages_move: what an address means is the caller's to say. */
export abstract class MoveBatches {
  protected readonly k: Kernel;
  protected readonly list: FrameId[] = [];
  readonly #callerMems: number;
  readonly #count: number;
  readonly #status: UserInts;

  constructor(k: Kernel, caller: Task, count: number, status: UserInts) {
    this.k = k;
    this.#callerMems = caller.memsAllowed;
    this.#count = count;
    this.#status = status;
  }

  /** 0, or a fatal errno besides -ENODEV. */
  protected abstract checkNode(node: Nid): number;

  /** QUEUED, 0 if the folio is on the node already, or the page's errno. */
  protected abstract addFolio(address: number, node: Nid): number;

  /** 0, the number of pages not migrated (MP-37), or a fatal errno. */
  run(pages: UserAddresses, nodes: UserInts): number {
    let batchNode = NO_NODE;
    let start = 0;
    for (let i = 0; i < this.#count; i++) {
      if (pages.faults(i) || nodes.faults(i)) return this.#fatal(-EFAULT, batchNode, start, i);
      const node = nodes.get(i);
      const refused = this.#refusal(node);
      if (refused !== 0) return this.#fatal(refused, batchNode, start, i);
      if (node !== batchNode) {
        if (batchNode !== NO_NODE) {
          const result = this.#flush(batchNode, start, i);
          if (result !== 0) return result;
        }
        batchNode = node;
        start = i;
      }
      const outcome = this.addFolio(pages.get(i), node);
      if (outcome === QUEUED) continue;
      const settled = outcome === 0 ? node : outcome;
      if (this.#status.put(i, settled) !== 0) return this.#fatal(-EFAULT, batchNode, start, i);
      const result = this.#flush(batchNode, start, i);
      // Page i is settled: it does not count among those not tried (MP-37).
      if (result !== 0) return result > 0 ? result - 1 : result;
      batchNode = NO_NODE;
    }
    return batchNode === NO_NODE ? 0 : this.#flush(batchNode, start, this.#count);
  }

  /** MP-15: what is queued is still migrated, but only the fatal error is reported. */
  #fatal(error: number, batchNode: Nid, start: number, i: number): number {
    if (batchNode !== NO_NODE) this.#flush(batchNode, start, i);
    return error;
  }

  /** MP-13, MP-14, PP-7. */
  #refusal(node: number): number {
    if (node < 0 || node >= MAX_NUMNODES) return -ENODEV;
    const { nodesWithMemory, capable } = this.k.pm;
    if ((nodesWithMemory & capable.migrate_in & (1 << node)) === 0) return -ENODEV;
    return this.checkNode(node);
  }

  /** MP-34..MP-39 (move_pages_and_store_status) for the batch of entries [start, i). */
  #flush(node: Nid, start: number, i: number): number {
    const { list } = this;
    if (list.length === 0) return 0;
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    const destination = { nid: node, mask: this.#callerMems, gfp };
    const result = migratePages(this.k, list, destination, MIGRATE_SYNC, MR_SYSCALL);
    if (result !== 0) putbackMovablePages(this.k, list);
    if (result > 0) return result + this.#count - i;
    return result < 0 ? result : this.#status.fill(start, i, node);
  }
}
