/**
 * A walk over all page tables that takes the hardware's accessed marks: each marked entry is told
 * and its mark cleared; what it takes away from reclaim it keeps as PG_young (HS-6). What idle
 * page tracking by page tables and the aging of MGLRU (walk_mm) have in common.
 */
import { type FrameId, HPAGE_PMD_NR, type Vpn } from '../../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  PG_YOUNG,
  PTE_A,
  PTE_FAST,
  PTEB_SPECIAL,
  ptePayload,
} from '../../mm/index.ts';

export interface AccessedVisitor {
  /** A page was accessed through an entry of its own, or through one of a PMD: a head. */
  onAccessed(pid: number, vpn: Vpn, page: FrameId, nrPages: number): void;
}

const ACCESSED = PTE_FAST | PTE_A;

export class AccessedWalk {
  readonly #k: Kernel;
  readonly #visitor: AccessedVisitor;
  /** Present entries looked at so far. */
  nrScanned = 0;

  constructor(k: Kernel, visitor: AccessedVisitor) {
    this.#k = k;
    this.#visitor = visitor;
  }

  /** One walk over all address spaces. */
  walk(): void {
    for (const task of this.#k.tasks.values()) {
      if (task.pid === task.tgid && task.mm !== null) this.#walkSpace(task.tgid, task.mm);
    }
  }

  #walkSpace(pid: number, mm: AddressSpace): void {
    for (let slot = 0; slot < mm.nrSlots; slot++) {
      if (mm.pmd[slot] !== 0) this.#walkPmd(pid, mm, slot);
      else if (mm.leaf[slot] >= 0) this.#walkTable(pid, mm, slot);
    }
  }

  #walkPmd(pid: number, mm: AddressSpace, slot: number): void {
    const word = mm.pmd[slot];
    if ((word & PTE_FAST) === 0 || (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) return;
    this.nrScanned++;
    if ((word & PTE_A) === 0) return;
    // The hardware owns this bit as much as mm does: what software may do to it is clear it.
    const { pmd } = mm;
    pmd[slot] = (word & ~PTE_A) >>> 0;
    const head = ptePayload(word);
    this.#k.frames.set(head, PG_YOUNG);
    this.#visitor.onAccessed(pid, mm.slotVpn[slot], head, HPAGE_PMD_NR);
  }

  #walkTable(pid: number, mm: AddressSpace, slot: number): void {
    const { words, bytes } = this.#k.ptes;
    const { frames } = this.#k;
    const first = mm.leaf[slot] * HPAGE_PMD_NR;
    const vpn = mm.slotVpn[slot] - first;
    let mapped = 0;
    for (let i = first; i < first + HPAGE_PMD_NR; i++) {
      const word = words[i];
      mapped += word & PTE_FAST;
      if ((word & ACCESSED) !== ACCESSED || (bytes[i] & PTEB_SPECIAL) !== 0) continue;
      words[i] = word & ~PTE_A;
      const page = ptePayload(word);
      frames.set(frames.headOf(page), PG_YOUNG);
      this.#visitor.onAccessed(pid, vpn + i, page, 1);
    }
    this.nrScanned += mapped;
  }
}
