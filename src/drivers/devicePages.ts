/**
 * The pages of one device: which are free, as 2 MiB blocks and as single pages, and which of those
 * in use the device has not used for longest (D14: the LRU is the driver's, the kernel has none for
 * device memory).
 *
 * A block is broken into pages when no page is left, and whole again when all its pages are free.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, type Order } from '../base/units.ts';

export class DevicePages {
  readonly start: FrameId;
  readonly nrPages: number;
  /** Free blocks, first page of each; and free pages of broken ones. Last in, first out. */
  readonly freeBlocks: FrameId[] = [];
  readonly freePages: FrameId[] = [];
  /** Block -> its free single pages. */
  readonly freeInBlock: Uint16Array;
  /** Folios in use, in the order of their last use. */
  readonly used: Set<FrameId> = new Set();

  constructor(start: FrameId, nrPages: number) {
    assert(nrPages % HPAGE_PMD_NR === 0, 'device memory in whole blocks', nrPages);
    this.start = start;
    this.nrPages = nrPages;
    this.freeInBlock = new Uint16Array(nrPages / HPAGE_PMD_NR);
    for (let at = nrPages - HPAGE_PMD_NR; at >= 0; at -= HPAGE_PMD_NR) {
      this.freeBlocks.push(start + at);
    }
  }

  get nrFree(): number {
    return this.freeBlocks.length * HPAGE_PMD_NR + this.freePages.length;
  }

  /** A free page or block, or -1. */
  take(isLarge: boolean): FrameId {
    if (isLarge) return this.freeBlocks.pop() ?? -1;
    if (this.freePages.length === 0) this.#breakBlock();
    const page = this.freePages.pop() ?? -1;
    if (page >= 0) this.freeInBlock[this.#blockOf(page)]--;
    return page;
  }

  #blockOf(page: FrameId): number {
    return Math.floor((page - this.start) / HPAGE_PMD_NR);
  }

  #breakBlock(): void {
    const first = this.freeBlocks.pop();
    if (first === undefined) return;
    this.freeInBlock[this.#blockOf(first)] = HPAGE_PMD_NR;
    for (let n = HPAGE_PMD_NR - 1; n >= 0; n--) this.freePages.push(first + n);
  }

  /** A folio is free again. */
  give(head: FrameId, order: Order): void {
    this.used.delete(head);
    if (order > 0) {
      this.freeBlocks.push(head);
      return;
    }
    this.freePages.push(head);
    const block = this.#blockOf(head);
    if (++this.freeInBlock[block] < HPAGE_PMD_NR) return;
    this.freeInBlock[block] = 0;
    const others = this.freePages.filter((page) => this.#blockOf(page) !== block);
    this.freePages.length = 0;
    for (const page of others) this.freePages.push(page);
    this.freeBlocks.push(this.start + block * HPAGE_PMD_NR);
  }

  /** The device has just used a folio. */
  touch(head: FrameId): void {
    this.used.delete(head);
    this.used.add(head);
  }

  /** The folio that was not used for longest, or -1. */
  get oldest(): FrameId {
    for (const head of this.used) return head;
    return -1;
  }

  /** At most `max` small folios, those first that were not used for longest, up to a large one. */
  oldestSmall(max: number, isLarge: (head: FrameId) => boolean): FrameId[] {
    const heads: FrameId[] = [];
    for (const head of this.used) {
      if (heads.length === max || isLarge(head)) break;
      heads.push(head);
    }
    return heads;
  }
}
