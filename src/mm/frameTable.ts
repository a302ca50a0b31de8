/**
 * The frame table: one row per frame, as struct page / struct folio (include/linux/mm_types.h).
 *
 * Columns are flat typed arrays over dense frame ids. The host commits their pages only when a row
 * is first written, so a machine costs what it touches (docs/decisions/0002). PFN <-> frame id is
 * a section look-up: frames of a present section are consecutive ids.
 *
 * All state shared by a folio lives in the row of its head. Tail rows carry: the head in `mapping`,
 * their own page's mapcount, their own anon-exclusive and hwpoison flags and their generation.
 * The first two tail rows also hold the fields that only large folios have (folio.ts), as Linux
 * keeps them in struct folio's second and third page.
 *
 * Size: 39 bytes a frame, 43 with `content`. Invariant (OV-53): a frame is in one free block, or
 * in one folio, or reserved.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, PAGES_PER_SECTION, type Pfn, SECTION_SHIFT } from '../base/units.ts';

export const PG_LOCKED = 1 << 0;
export const PG_WRITEBACK = 1 << 1;
export const PG_REFERENCED = 1 << 2;
export const PG_UPTODATE = 1 << 3;
export const PG_DIRTY = 1 << 4;
export const PG_LRU = 1 << 5;
export const PG_HEAD = 1 << 6;
export const PG_TAIL = 1 << 7;
export const PG_ACTIVE = 1 << 8;
export const PG_WORKINGSET = 1 << 9;
export const PG_RESERVED = 1 << 10;
export const PG_PRIVATE = 1 << 11;
export const PG_PRIVATE_2 = 1 << 12;
export const PG_RECLAIM = 1 << 13;
export const PG_SWAPBACKED = 1 << 14;
export const PG_UNEVICTABLE = 1 << 15;
export const PG_MLOCKED = 1 << 16;
export const PG_SWAPCACHE = 1 << 17;
/** Per page, also on tails (OV-18). */
export const PG_ANON_EXCLUSIVE = 1 << 18;
/** Per page, also on tails. */
export const PG_HWPOISON = 1 << 19;
export const PG_YOUNG = 1 << 20;
export const PG_IDLE = 1 << 21;
/** Set for large folios that rmap handles: THP and mTHP, not hugetlb. */
export const PG_LARGE_RMAPPABLE = 1 << 22;
export const PG_PARTIALLY_MAPPED = 1 << 23;
export const PG_HUGETLB = 1 << 24;
export const PG_MOVABLE_OPS = 1 << 25;
export const PG_MOVABLE_OPS_ISOLATED = 1 << 26;
/** Head of a free block in the buddy allocator; order in orderOf (OV-8d). */
export const PG_BUDDY = 1 << 27;
/** On the deferred split queue. */
export const PG_DEFERRED_SPLIT = 1 << 28;
/** Queued in a per-cpu lru-add batch, which holds one reference (OV-24). */
export const PG_LRU_BATCH = 1 << 29;
/** MADV_FREE queued this page; it becomes lazyfree when the batch is drained (OV-24b). */
export const PG_LAZYFREE_BATCH = 1 << 30;

/** Page types of frames that are never mapped, stored as negative mapcount (OV-9). */
export const PGTY_NONE = 0;
export const PGTY_OFFLINE = -2;
export const PGTY_TABLE = -3;
export const PGTY_SLAB = -4;
export const PGTY_ZSMALLOC = -5;
export const PGTY_KERNEL = -6;

/** mapping column: low two bits say which kind, the rest is the id. OV-22. */
export const MAPPING_NONE = 0;
export const MAPPING_ANON = 1;
export const MAPPING_FILE = 2;
export const MAPPING_KSM = 3;

/** Largest number of frames of one machine: a page table entry has 28 bits for the frame. */
export const FRAMES_MAX = 2 ** 28;

export class FrameTable {
  /** Frames of present sections, holes included, and of the room for device memory. */
  readonly nrFrames: number;
  /** Sections of room for device memory, used or not. */
  readonly spareSections: number;

  /** PG_*. Written by mm only. */
  readonly flags: Uint32Array;
  /** Head: references; 0 = free or frozen (OV-12). Tail 1: large_mapcount. */
  readonly refcount: Int32Array;
  /** Mappings of exactly this page by page table entries; PGTY_* (negative) on typed frames. */
  readonly mapcount: Int32Array;
  /** Head: id << 2 | MAPPING_*. Tail: the head's frame id. */
  readonly mapping: Int32Array;
  /** Head: low 32 bits of the page offset in the file or of the linear anon index. */
  readonly indexLow: Uint32Array;
  /** Head: swap entry while PG_SWAPCACHE (else -1, or fs private). Tail 1: entire_mapcount. */
  readonly private_: Int32Array;
  /** LRU list or free list links: frame id, -1 = end. Tail 1: mm id slots. */
  readonly lruNext: Int32Array;
  readonly lruPrev: Int32Array;
  /** Changes whenever the frame's logical content changes owner (PP-60, PP-61). Never 0. */
  readonly generation: Uint32Array;
  /** Last cpu and pid that faulted, or scan time in ms in a slow tier (TI-27); 0xffff = none. */
  readonly lastCpupid: Uint16Array;
  /** Order (low 4 bits; head or buddy head) and index bits 32..35 (high 4 bits). */
  readonly orderIndexHigh: Uint8Array;
  /** One word of page content, or null when the model does not track contents. */
  readonly content: Uint32Array | null;

  #frameSectionOf: Int32Array; // PFN section at boot -> frame section | -1
  #pfnSectionOf: Int32Array; // frame section -> PFN section | -1
  /** PFN section -> frame section of device memory. */
  #added: Map<number, number> = new Map();

  /** Private fields, for saved states (src/state). */
  static privateFields(frames: FrameTable): object {
    return {
      get frameSectionOf() {
        return frames.#frameSectionOf;
      },
      set frameSectionOf(value) {
        frames.#frameSectionOf = value;
      },
      get pfnSectionOf() {
        return frames.#pfnSectionOf;
      },
      set pfnSectionOf(value) {
        frames.#pfnSectionOf = value;
      },
      get added() {
        return frames.#added;
      },
      set added(value) {
        frames.#added = value;
      },
    };
  }

  /**
   * `sections` are the PFN section numbers present, ascending; `spare` is room for so many sections
   * of device memory behind them, which costs nothing until it is used.
   * Preconditions: at most FRAMES_MAX frames.
   */
  constructor(sections: readonly number[], trackContent: boolean, spare: number = 0) {
    const n = (sections.length + spare) * PAGES_PER_SECTION;
    assert(n <= FRAMES_MAX, `a machine has at most ${FRAMES_MAX} frames (1 TiB), not ${n}`);
    this.nrFrames = n;
    this.spareSections = spare;
    this.flags = new Uint32Array(n);
    this.refcount = new Int32Array(n);
    this.mapcount = new Int32Array(n);
    this.mapping = new Int32Array(n);
    this.indexLow = new Uint32Array(n);
    this.private_ = new Int32Array(n);
    this.lruNext = new Int32Array(n);
    this.lruPrev = new Int32Array(n);
    this.generation = new Uint32Array(n);
    this.lastCpupid = new Uint16Array(n);
    this.orderIndexHigh = new Uint8Array(n);
    this.content = trackContent ? new Uint32Array(n) : null;
    const last = sections.length === 0 ? -1 : sections[sections.length - 1];
    this.#frameSectionOf = new Int32Array(last + 1).fill(-1);
    this.#pfnSectionOf = new Int32Array(sections.length + spare).fill(-1);
    this.#pfnSectionOf.set(sections);
    for (let i = 0; i < sections.length; i++) this.#frameSectionOf[sections[i]] = i;
  }

  /** The frame of a PFN, or -1 where no memmap exists. */
  frameOfPfn(pfn: Pfn): FrameId {
    const section = Math.floor(pfn / PAGES_PER_SECTION);
    if (section < 0) return -1;
    let base = section < this.#frameSectionOf.length ? this.#frameSectionOf[section] : -1;
    if (base < 0 && this.#added.size > 0) base = this.#added.get(section) ?? -1;
    return base < 0 ? -1 : (base << SECTION_SHIFT) | (pfn & (PAGES_PER_SECTION - 1));
  }

  /**
   * Gives `nr` PFN sections from `pfnSection` on rows of their own, consecutive ones. Returns the
   * first frame, or -1 when there is no room for so many in a row, or one of them has rows.
   */
  addSections(pfnSection: number, nr: number): FrameId {
    for (let i = 0; i < nr; i++) {
      if (this.frameOfPfn((pfnSection + i) * PAGES_PER_SECTION) >= 0) return -1;
    }
    const last = this.#pfnSectionOf.length;
    let run = 0;
    for (let section = 0; section < last; section++) {
      run = this.#pfnSectionOf[section] < 0 ? run + 1 : 0;
      if (run < nr) continue;
      const first = section + 1 - nr;
      for (let i = 0; i < nr; i++) {
        this.#pfnSectionOf[first + i] = pfnSection + i;
        this.#added.set(pfnSection + i, first + i);
      }
      return first << SECTION_SHIFT;
    }
    return -1;
  }

  /** Takes the rows of sections back that addSections gave. Preconditions: they are all zero. */
  removeSections(pfnSection: number, nr: number): void {
    for (let i = 0; i < nr; i++) {
      const section = this.#added.get(pfnSection + i);
      assert(section !== undefined, 'a section of device memory is removed twice', pfnSection + i);
      this.#added.delete(pfnSection + i);
      this.#pfnSectionOf[section] = -1;
    }
  }

  pfnOf(frame: FrameId): Pfn {
    return (
      this.#pfnSectionOf[frame >>> SECTION_SHIFT] * PAGES_PER_SECTION +
      (frame & (PAGES_PER_SECTION - 1))
    );
  }

  /** Order of a folio's head or of a buddy head. */
  orderOf(head: FrameId): number {
    return this.orderIndexHigh[head] & 15;
  }

  setOrder(head: FrameId, order: number): void {
    this.orderIndexHigh[head] = (this.orderIndexHigh[head] & 0xf0) | order;
  }

  /** Page offset in the file, or linear index for anonymous memory: up to 36 bits. */
  indexOf(head: FrameId): number {
    return this.indexLow[head] + (this.orderIndexHigh[head] >>> 4) * 4294967296;
  }

  setIndex(head: FrameId, index: number): void {
    this.indexLow[head] = index >>> 0;
    const high = Math.floor(index / 4294967296);
    this.orderIndexHigh[head] = (this.orderIndexHigh[head] & 15) | (high << 4);
  }

  has(frame: FrameId, flag: number): boolean {
    return (this.flags[frame] & flag) !== 0;
  }

  set(frame: FrameId, flag: number): void {
    this.flags[frame] |= flag;
  }

  clear(frame: FrameId, flag: number): void {
    this.flags[frame] &= ~flag;
  }

  /** The head of the folio or compound page that `frame` belongs to; itself if it is no tail. */
  headOf(frame: FrameId): FrameId {
    return (this.flags[frame] & PG_TAIL) !== 0 ? this.mapping[frame] : frame;
  }

  /** PP-61: the frame's logical content changed. Skips 0, which means "unchecked". */
  bumpGeneration(frame: FrameId): void {
    const next = (this.generation[frame] + 1) >>> 0;
    this.generation[frame] = next === 0 ? 1 : next;
  }
}
