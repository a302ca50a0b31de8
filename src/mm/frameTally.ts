/**
 * Counts by frame, of recounts (invariants.ts): how often a frame is mapped, cached, listed. A
 * column for each pageblock that holds a counted frame, since pages in use lie side by side and
 * most of a machine has none.
 */
import { type FrameId, HPAGE_PMD_NR, PAGEBLOCK_NR, PAGEBLOCK_ORDER } from '../base/units.ts';

const NOTHING: Int32Array = new Int32Array(PAGEBLOCK_NR);

export class FrameTally {
  readonly #blocks: Map<number, Int32Array> = new Map();
  /** The block that was asked for last, and its counts. */
  #block = -1;
  #counts: Int32Array = NOTHING;

  get(frame: FrameId): number {
    const block = frame >>> PAGEBLOCK_ORDER;
    if (block !== this.#block) {
      this.#counts = this.#blocks.get(block) ?? NOTHING;
      this.#block = block;
    }
    return this.#counts[frame & (PAGEBLOCK_NR - 1)];
  }

  has(frame: FrameId): boolean {
    return this.get(frame) > 0;
  }

  add(frame: FrameId): void {
    this.get(frame);
    if (this.#counts === NOTHING) {
      this.#counts = new Int32Array(PAGEBLOCK_NR);
      this.#blocks.set(this.#block, this.#counts);
    }
    this.#counts[frame & (PAGEBLOCK_NR - 1)]++;
  }

  /** Frames that were counted, block by block, each with its count. */
  each(visit: (frame: FrameId, count: number) => void): void {
    for (const [block, counts] of this.#blocks) {
      for (let i = 0; i < PAGEBLOCK_NR; i++) {
        if (counts[i] > 0) visit((block << PAGEBLOCK_ORDER) + i, counts[i]);
      }
    }
  }
}

/** Mappings that a recount found: by page table entries, and of whole PMDs by their first frame. */
export interface CountedMaps {
  readonly pte: FrameTally;
  readonly pmd: FrameTally;
}

/** Each page that is mapped, in either way, once. */
export function eachMapped({ pte, pmd }: CountedMaps, visit: (page: FrameId) => void): void {
  pte.each(visit);
  pmd.each((head) => {
    for (let page = head; page < head + HPAGE_PMD_NR; page++) if (!pte.has(page)) visit(page);
  });
}
