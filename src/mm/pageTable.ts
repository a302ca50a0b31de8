/**
 * Page tables: 512-entry leaf tables in one pool, and the kinds of leaf entries
 * (arch/x86/include/asm/pgtable*.h, include/linux/leafops.h; OV section 6).
 *
 * An entry is a word of 32 bits and a byte. The word alone decides the fast path of an access:
 *   word bit 0  PTE_FAST: present and accessible          bits 4..31  frame
 *        bit 1  accessed (A)   bit 2  dirty (D)   bit 3  writable (W)
 * Without PTE_FAST, bits 1..3 are the kind, bits 4..31 its payload (frame, swap slot, marker), and
 * A, D, W, exclusive live in the byte. Soft-dirty, uffd-wp and special are always in the byte.
 *
 * Not modelled: page table levels above the PMD as memory of their own.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';

export const PTE_FAST = 1;
export const PTE_A = 2;
export const PTE_D = 4;
export const PTE_W = 8;
export const PTE_PAYLOAD_SHIFT = 4;

export const PTE_KIND_NONE = 0;
/** Present but PROT_NONE: VMA without access, or NUMA hint. Keeps rmap, rss and its reference. */
export const PTE_KIND_PROTNONE = 1 << 1;
export const PTE_KIND_SWAP = 2 << 1;
/** Migration entry; PTEB_WRITE = write kind, PTEB_EXCLUSIVE alone = read-exclusive (OV-33). */
export const PTE_KIND_MIGRATION = 3 << 1;
export const PTE_KIND_DEVICE_PRIVATE = 4 << 1;
export const PTE_KIND_DEVICE_EXCLUSIVE = 5 << 1;
export const PTE_KIND_MARKER = 6 << 1;
export const PTE_KIND_HWPOISON = 7 << 1;
const PTE_KIND_MASK = 7 << 1;

export const PTEB_YOUNG = 1;
export const PTEB_DIRTY = 2;
export const PTEB_WRITE = 4;
export const PTEB_EXCLUSIVE = 8;
export const PTEB_SOFT_DIRTY = 16;
export const PTEB_UFFD_WP = 32;
/** Zero page or raw PFN: no folio behind it for rmap purposes. */
export const PTEB_SPECIAL = 64;

export const MARKER_UFFD_WP = 0;
export const MARKER_POISONED = 1;
export const MARKER_GUARD = 2;

/** Frame of entries of raw memory (VM_PFNMAP): stands for all of it, is no row of the table. */
export const PTE_RAW_FRAME: FrameId = 2 ** 28 - 1;

export const TABLE_ENTRIES = 512;

/** The payload: frame of present, migration, device and hwpoison entries; slot of swap entries. */
export function ptePayload(word: number): number {
  return word >>> PTE_PAYLOAD_SHIFT;
}

/** PTE_KIND_*; meaningless for PTE_FAST words. */
export function pteKind(word: number): number {
  return word & PTE_KIND_MASK;
}

/** Present for Linux: accessible, or PROT_NONE (pte_present of x86 counts both). */
export function pteIsPresent(word: number): boolean {
  return (word & PTE_FAST) !== 0 || ((word & PTE_KIND_MASK) === PTE_KIND_PROTNONE && word !== 0);
}

export function pteIsKind(word: number, kind: number): boolean {
  return (word & (PTE_FAST | PTE_KIND_MASK)) === kind && word !== 0;
}

/** Whether a guard stands there (guardRegion.ts). */
export function pteIsGuard(word: number): boolean {
  return pteIsKind(word, PTE_KIND_MARKER) && ptePayload(word) === MARKER_GUARD;
}

/** A device-private or device-exclusive entry: not present, and yet mapped (OV section 6). */
export function pteIsDevice(word: number): boolean {
  const kind = word & (PTE_FAST | PTE_KIND_MASK);
  return kind === PTE_KIND_DEVICE_PRIVATE || kind === PTE_KIND_DEVICE_EXCLUSIVE;
}

/** The entry holds rmap, rss and a reference of the page it names, unless it is special. */
export function pteMapsPage(word: number): boolean {
  return pteIsPresent(word) || pteIsDevice(word);
}

/** A fast entry with the given PTE_A, PTE_D, PTE_W bits. */
export function pteFast(frame: FrameId, adw: number): number {
  return ((frame << PTE_PAYLOAD_SHIFT) | adw | PTE_FAST) >>> 0;
}

/** A non-fast entry. Invariant: never 0, which is "none"; every kind above NONE has a bit set. */
export function pteOther(kind: number, payload: number): number {
  return ((payload << PTE_PAYLOAD_SHIFT) | kind) >>> 0;
}

/** A, D, W of a fast word as PTEB_* bits (the encodings are one shift apart). */
export function pteAdwToByte(word: number): number {
  return (word >>> 1) & (PTEB_YOUNG | PTEB_DIRTY | PTEB_WRITE);
}

/** PTEB_YOUNG, PTEB_DIRTY, PTEB_WRITE of a byte as PTE_A, PTE_D, PTE_W. */
export function pteByteToAdw(byte: number): number {
  return (byte & (PTEB_YOUNG | PTEB_DIRTY | PTEB_WRITE)) << 1;
}

/** True when the entry is writable, in whichever form it holds that bit. */
export function pteIsWrite(word: number, byte: number): boolean {
  return (word & PTE_FAST) !== 0 ? (word & PTE_W) !== 0 : (byte & PTEB_WRITE) !== 0;
}

/** pte_mkold of a word; an entry that is not fast has its bit in the byte (PTEB_YOUNG). */
export function pteMkold(word: number): number {
  return (word & PTE_FAST) !== 0 ? (word & ~PTE_A) >>> 0 : word;
}

/** fork: the child's areas are not registered with userfaultfd, and its entries not protected. */
export function pteChildByte(byte: number): number {
  return byte & ~PTEB_UFFD_WP;
}

export function pteIsYoung(word: number, byte: number): boolean {
  return (word & PTE_FAST) !== 0 ? (word & PTE_A) !== 0 : (byte & PTEB_YOUNG) !== 0;
}

export function pteIsDirty(word: number, byte: number): boolean {
  return (word & PTE_FAST) !== 0 ? (word & PTE_D) !== 0 : (byte & PTEB_DIRTY) !== 0;
}

/** The pool of leaf tables of all address spaces. Index of an entry = table * 512 + offset. */
export class PteTables {
  words: Uint32Array;
  bytes: Uint8Array;
  /** Frame of the page table page (NR_PAGETABLE). */
  frameOf: Int32Array;
  #nextFree: Int32Array;
  #firstFree = -1;
  #used = 0;
  nrTables = 0;

  /** Private fields, for saved states (src/state). */
  static privateFields(tables: PteTables): object {
    return {
      get nextFree() {
        return tables.#nextFree;
      },
      set nextFree(value) {
        tables.#nextFree = value;
      },
      get firstFree() {
        return tables.#firstFree;
      },
      set firstFree(value) {
        tables.#firstFree = value;
      },
      get used() {
        return tables.#used;
      },
      set used(value) {
        tables.#used = value;
      },
    };
  }

  /** `capacity` tables are reserved; the host commits what is written. */
  constructor(capacity: number) {
    this.words = new Uint32Array(capacity * TABLE_ENTRIES);
    this.bytes = new Uint8Array(capacity * TABLE_ENTRIES);
    this.frameOf = new Int32Array(capacity).fill(-1, 0, Math.min(capacity, 64));
    this.#nextFree = new Int32Array(capacity);
  }

  /** A cleared table backed by the page table page `frame`. */
  allocate(frame: FrameId): number {
    let table = this.#firstFree;
    if (table >= 0) {
      this.#firstFree = this.#nextFree[table];
    } else {
      table = this.#used++;
      if (table >= this.frameOf.length) this.#grow();
    }
    this.frameOf[table] = frame;
    this.nrTables++;
    return table;
  }

  /** Preconditions: every entry is none. Returns the frame of the page table page. */
  release(table: number): FrameId {
    const frame = this.frameOf[table];
    assert(frame >= 0, 'page table released twice', table);
    this.frameOf[table] = -1;
    this.#nextFree[table] = this.#firstFree;
    this.#firstFree = table;
    this.nrTables--;
    return frame;
  }

  set(index: number, word: number, byte: number): void {
    this.words[index] = word;
    this.bytes[index] = byte;
  }

  #grow(): void {
    const capacity = this.frameOf.length * 2;
    this.words = grown(this.words, new Uint32Array(capacity * TABLE_ENTRIES));
    this.bytes = grown(this.bytes, new Uint8Array(capacity * TABLE_ENTRIES));
    this.frameOf = grown(this.frameOf, new Int32Array(capacity));
    this.#nextFree = grown(this.#nextFree, new Int32Array(capacity));
  }
}

function grown<T extends Uint32Array | Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from as never);
  return to;
}
