/**
 * Nomad's transactional migration and shadow pages (Xiang et al., OSDI'24), which no release of
 * Linux has. TI-71..TI-74.
 *
 * A transaction: the entry's dirty bit is cleared, the page is copied while it stays mapped, then
 * the entry is looked at again. Dirty: the copy is worth nothing (abort). Clean: the folio is
 * migrated in one moment (commit), its entry is write-protected, and slow memory keeps a copy, the
 * shadow. A first write drops the shadow; demoting a folio that still has one copies nothing.
 * Shadows are the first to go when memory runs short.
 *
 * For anonymous base pages with one mapping (TI-71). Invariant: a shadow is of use while the frame
 * it belongs to has the generation it had at the commit.
 *
 * Deviates: the shadow is any frame of the old node, not the very one that the page lay in.
 * Deviates: a shadow whose page was freed goes only when shadows are looked for.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { __GFP_NOWARN, __GFP_RECLAIM, __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { setFolioDirty } from './fileFolio.ts';
import type { Kernel } from './kernel.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import {
  PTE_D,
  PTE_FAST,
  PTE_W,
  PTEB_DIRTY,
  PTEB_WRITE,
  pteIsDirty,
  pteIsPresent,
  ptePayload,
} from './pageTable.ts';
import { rmapCollect } from './rmap.ts';

const SHADOW_GFP = (GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) | __GFP_THISNODE | __GFP_NOWARN;

export class ShadowPages {
  readonly #k: Kernel;
  /** Frame of fast memory -> its shadow and its own generation, oldest first. */
  readonly #shadow: Map<FrameId, FrameId> = new Map();
  readonly #generation: Map<FrameId, number> = new Map();
  /** Sources of the commit under way -> where they went, -1 = not yet. */
  readonly #committing: Map<FrameId, FrameId> = new Map();
  /** The migration that is being reported copied nothing. */
  isRemap = false;
  committed = 0;
  aborted = 0;
  kept = 0;
  droppedByWrite = 0;
  remapped = 0;
  reclaimed = 0;

  /** Private fields, for saved states (src/state). */
  static privateFields(shadows: ShadowPages): object {
    return {
      k: shadows.#k,
      shadow: shadows.#shadow,
      generation: shadows.#generation,
      committing: shadows.#committing,
    };
  }

  constructor(k: Kernel) {
    this.#k = k;
  }

  get size(): number {
    return this.#shadow.size;
  }

  /** Whether a folio can be migrated by a transaction; then its entry is clean from here on. */
  begin(head: FrameId): boolean {
    const k = this.#k;
    if (!k.folios.isAnon(head) || k.folios.nrPages(head) > 1) return false;
    const at = this.#entryOf(head);
    if (at < 0) return false;
    const { words, bytes } = k.ptes;
    if (pteIsDirty(words[at], bytes[at])) setFolioDirty(k, head);
    if ((words[at] & PTE_FAST) !== 0) words[at] = (words[at] & ~PTE_D) >>> 0;
    bytes[at] &= ~PTEB_DIRTY;
    return true;
  }

  /** Whether a folio of begin() was written since; one that is not mapped any more was not. */
  isDirty(head: FrameId): boolean {
    const at = this.#entryOf(head);
    return at >= 0 && pteIsDirty(this.#k.ptes.words[at], this.#k.ptes.bytes[at]);
  }

  /** Clean folios are about to migrate: those that do get a shadow in endCommit. */
  beginCommit(heads: readonly FrameId[]): void {
    for (const head of heads) this.#committing.set(head, -1);
  }

  /** The migration is over: shadows where there is memory for them. TI-72. */
  endCommit(): void {
    const k = this.#k;
    for (const [src, dst] of this.#committing) {
      if (dst < 0) continue;
      this.committed++;
      const at = this.#entryOf(dst);
      if (at < 0) continue;
      const shadow = allocPages(k.pm, 0, SHADOW_GFP, k.pm.nidOf(src), -1);
      if (shadow < 0) continue;
      this.#keep(dst, shadow);
      const { words, bytes } = k.ptes;
      if ((words[at] & PTE_FAST) !== 0) words[at] = (words[at] & ~PTE_W) >>> 0;
      bytes[at] &= ~PTEB_WRITE;
    }
    this.#committing.clear();
  }

  /** moveFolio has moved a folio; its source is not freed yet. */
  migrated(src: FrameId, dst: FrameId): void {
    this.isRemap = false;
    if (this.#committing.has(src)) this.#committing.set(src, dst);
    const shadow = this.#valid(src);
    if (shadow < 0) return;
    // TI-73: the shadow is the copy. It went to another node: it is of no use any more.
    this.isRemap = this.#k.pm.nidOf(shadow) === this.#k.pm.nidOf(dst);
    if (this.isRemap) this.remapped++;
    this.#free(src);
  }

  /** The first write to a page since its commit. */
  dropByWrite(page: FrameId): void {
    if (this.#valid(page) < 0) return;
    this.droppedByWrite++;
    this.#free(page);
  }

  /** TI-74: frees up to `nrPages` shadows on a node, oldest first (-1 = any); how many. */
  reclaim(nid: Nid, nrPages: number): number {
    let freed = 0;
    for (const [page, shadow] of this.#shadow) {
      if (freed >= nrPages) break;
      if (nid >= 0 && this.#k.pm.nidOf(shadow) !== nid) continue;
      this.#free(page);
      freed++;
    }
    this.reclaimed += freed;
    return freed;
  }

  #keep(page: FrameId, shadow: FrameId): void {
    if (this.#shadow.has(page)) this.#free(page);
    this.#shadow.set(page, shadow);
    this.#generation.set(page, this.#k.frames.generation[page]);
    this.kept++;
  }

  /** The shadow of a page, or -1; one of a former content goes. */
  #valid(page: FrameId): FrameId {
    const shadow = this.#shadow.get(page);
    if (shadow === undefined) return -1;
    if (this.#generation.get(page) === this.#k.frames.generation[page]) return shadow;
    this.#free(page);
    return -1;
  }

  #free(page: FrameId): void {
    const shadow = this.#shadow.get(page);
    if (shadow === undefined) return;
    this.#shadow.delete(page);
    this.#generation.delete(page);
    freePages(this.#k.pm, shadow, 0);
  }

  /** Index of the only entry that maps a base page, or -1. */
  #entryOf(page: FrameId): number {
    const k = this.#k;
    if (k.folios.mapcount(page) !== 1) return -1;
    const n = rmapCollect(k, page);
    for (let r = 0; r < n; r++) {
      const at = k.rmap.vma[r].mm.pteIndex(k.rmap.vpn[r]);
      if (at < 0) continue;
      const word = k.ptes.words[at];
      if (pteIsPresent(word) && ptePayload(word) === page) return at;
    }
    return -1;
  }
}
