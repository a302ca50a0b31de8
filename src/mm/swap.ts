/**
 * One swap area: slots, their reference counts and the swap cache (mm/swapfile.c, swap_state.c).
 * OV-25. A slot's payload in a page table entry is its number; there is one swap type, 0.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';

export class SwapArea {
  readonly nrSlots: number;
  /** References from page tables and shmem indexes; 0 = free, 0xffff = being written. */
  readonly #counts: Uint16Array;
  /** Swap cache: slot -> frame of the page | -1 (kept as frame + 1 so that 0 = none). */
  readonly #cached: Int32Array;
  readonly #content: Uint32Array | null;
  #next = 0;
  used = 0;

  /** Private fields, for saved states (src/state). */
  static privateFields(swap: SwapArea): object {
    return {
      counts: swap.#counts,
      cached: swap.#cached,
      content: swap.#content,
      get next() {
        return swap.#next;
      },
      set next(value) {
        swap.#next = value;
      },
    };
  }

  constructor(nrSlots: number, trackContent: boolean) {
    this.nrSlots = nrSlots;
    this.#counts = new Uint16Array(nrSlots);
    this.#cached = new Int32Array(nrSlots);
    this.#content = trackContent ? new Uint32Array(nrSlots) : null;
  }

  get free(): number {
    return this.nrSlots - this.used;
  }

  /** `nr` consecutive naturally aligned free slots with count 0 and marked used, or -1. */
  allocate(nr: number): number {
    if (this.free < nr) return -1;
    const limit = this.nrSlots - (this.nrSlots % nr);
    for (let tried = 0; tried < limit; tried += nr) {
      if (this.#next + nr > limit) this.#next = 0;
      const slot = this.#next - (this.#next % nr);
      this.#next = slot + nr;
      if (this.#rangeIsFree(slot, nr)) {
        this.#counts.fill(RESERVED, slot, slot + nr);
        this.used += nr;
        return slot;
      }
    }
    return -1;
  }

  #rangeIsFree(slot: number, nr: number): boolean {
    for (let i = 0; i < nr; i++) {
      if (this.#counts[slot + i] !== 0 || this.#cached[slot + i] !== 0) return false;
    }
    return true;
  }

  /**
   * One more reference from a page table or shmem index (swap_duplicate). A slot that nobody refers
   * to any more may still hold its place for a page in the swap cache.
   */
  duplicate(slot: number): void {
    const count = this.#counts[slot];
    assert(count !== 0 || this.#cached[slot] !== 0, 'swap slot duplicated while free', slot);
    this.#counts[slot] = count === RESERVED ? 1 : count + 1;
  }

  /** One reference less; the slot is free when none is left and it is not in the swap cache. */
  release(slot: number): void {
    const count = this.#counts[slot];
    assert(count !== 0 && count !== RESERVED, 'swap slot released while free', slot);
    this.#counts[slot] = count - 1;
    this.#freeIfUnused(slot);
  }

  /** References, without the swap cache. */
  count(slot: number): number {
    return this.#counts[slot] === RESERVED ? 0 : this.#counts[slot];
  }

  cachedFrame(slot: number): FrameId {
    return this.#cached[slot] - 1;
  }

  addToCache(slot: number, frame: FrameId): void {
    assert(this.#cached[slot] === 0, 'swap slot is in the swap cache already', slot);
    this.#cached[slot] = frame + 1;
  }

  /** Migration replaces the cached page (MC-43). */
  replaceCached(slot: number, frame: FrameId): void {
    assert(this.#cached[slot] !== 0, 'swap slot is not in the swap cache', slot);
    this.#cached[slot] = frame + 1;
  }

  removeFromCache(slot: number): void {
    assert(this.#cached[slot] !== 0, 'swap slot is not in the swap cache', slot);
    this.#cached[slot] = 0;
    if (this.#counts[slot] === RESERVED) this.#counts[slot] = 0;
    this.#freeIfUnused(slot);
  }

  contentOf(slot: number): number {
    return this.#content === null ? 0 : this.#content[slot];
  }

  setContent(slot: number, word: number): void {
    if (this.#content !== null) this.#content[slot] = word;
  }

  /** Slots in use recounted from the columns, for the invariants. */
  recountUsed(): number {
    let used = 0;
    for (let i = 0; i < this.nrSlots; i++) {
      if (this.#counts[i] !== 0 || this.#cached[i] !== 0) used++;
    }
    return used;
  }

  #freeIfUnused(slot: number): void {
    if (this.#counts[slot] === 0 && this.#cached[slot] === 0) this.used--;
  }
}

const RESERVED = 0xffff;
