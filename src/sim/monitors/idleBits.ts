/**
 * Accessed bits as a heat source: a thread walks the page tables every interval, sees which entries
 * the hardware marked as accessed since the last walk and clears the mark (idle page tracking,
 * mm/page_idle.c; HS-1..HS-10). One sighting a folio and walk, however often it was accessed.
 *
 * What it costs: `pageNs` of background time for every mapped page looked at: idle page tracking
 * goes through rmap from the frame. What it cannot see: counts, and whether it was a write.
 * Reclaim loses nothing: a cleared mark is kept as PG_young (HS-6).
 *
 * Deviates: the walk goes over page tables and not over frames, so that it is a scan of columns;
 * a folio mapped twice is seen once for each process. Folios off the LRU take part (HS-3).
 * Not modelled: the write that sets the idle flags and the read that reports them as two steps; a
 * mark that a TLB entry hides from the walk (HS-9).
 */
import type { Nanoseconds } from '../../base/units.ts';
import { HPAGE_PMD_NR } from '../../base/units.ts';
import type { EventHandler, EventQueue } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import {
  type AddressSpace,
  type Kernel,
  PG_HEAD,
  PG_TAIL,
  PG_YOUNG,
  PTE_A,
  PTE_FAST,
  PTEB_SPECIAL,
  ptePayload,
} from '../../mm/index.ts';
import type { Monitor, MonitorStats } from './monitor.ts';

export interface IdleBitsOptions {
  readonly intervalNs: Nanoseconds;
  /** Background time for each mapped page looked at. */
  readonly pageNs: Nanoseconds;
}

const ACCESSED = PTE_FAST | PTE_A;

export class IdleBitsMonitor implements Monitor, EventHandler {
  readonly source = 'idle-bits';
  readonly isPhysical = false;
  readonly sampler = null;
  readonly observer = null;
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #options: IdleBitsOptions;
  readonly #seen = new HeatTable();
  #samples = 0;
  #scanned = 0;

  constructor(k: Kernel, queue: EventQueue, options: IdleBitsOptions) {
    this.#k = k;
    this.#queue = queue;
    this.#options = options;
  }

  get stats(): MonitorStats {
    const backgroundNs = this.#scanned * this.#options.pageNs;
    return { samples: this.#samples, lost: 0, programNs: 0, backgroundNs };
  }

  start(nowNs: Nanoseconds): void {
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  onHintFault(): void {}

  onEvent(nowNs: Nanoseconds): void {
    this.scan(nowNs);
    this.#queue.schedule(nowNs + this.#options.intervalNs, this);
  }

  collect(heat: HeatTable): void {
    heat.addAll(this.#seen);
    this.#seen.clear();
  }

  forget(pid: number): void {
    this.#seen.forget(pid);
  }

  /** One walk over all address spaces. */
  scan(nowNs: Nanoseconds): void {
    for (const task of this.#k.tasks.values()) {
      if (task.pid === task.tgid && task.mm !== null) this.#scanSpace(task.tgid, task.mm, nowNs);
    }
  }

  #scanSpace(pid: number, mm: AddressSpace, nowNs: Nanoseconds): void {
    for (let slot = 0; slot < mm.nrSlots; slot++) {
      if (mm.pmd[slot] !== 0) this.#scanPmd(pid, mm, slot, nowNs);
      else if (mm.leaf[slot] >= 0) this.#scanTable(pid, mm, slot, nowNs);
    }
  }

  #scanPmd(pid: number, mm: AddressSpace, slot: number, nowNs: Nanoseconds): void {
    const word = mm.pmd[slot];
    if ((word & PTE_FAST) === 0 || (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) return;
    this.#scanned++;
    if ((word & PTE_A) === 0) return;
    // The hardware owns this bit as much as mm does: what software may do to it is clear it.
    const { pmd } = mm;
    pmd[slot] = (word & ~PTE_A) >>> 0;
    const head = ptePayload(word);
    this.#k.frames.set(head, PG_YOUNG);
    this.#see(pid, mm.slotVpn[slot], HPAGE_PMD_NR, head, nowNs);
  }

  #scanTable(pid: number, mm: AddressSpace, slot: number, nowNs: Nanoseconds): void {
    const { words, bytes } = this.#k.ptes;
    const first = mm.leaf[slot] * HPAGE_PMD_NR;
    const vpn = mm.slotVpn[slot] - first;
    let mapped = 0;
    for (let i = first; i < first + HPAGE_PMD_NR; i++) {
      const word = words[i];
      mapped += word & PTE_FAST;
      if ((word & ACCESSED) !== ACCESSED || (bytes[i] & PTEB_SPECIAL) !== 0) continue;
      words[i] = word & ~PTE_A;
      this.#seePage(pid, vpn + i, ptePayload(word), nowNs);
    }
    this.#scanned += mapped;
  }

  /** HS-7: one page of a large folio makes the whole folio accessed, once a walk. */
  #seePage(pid: number, vpn: number, frame: number, nowNs: Nanoseconds): void {
    const { frames, folios } = this.#k;
    if ((frames.flags[frame] & (PG_HEAD | PG_TAIL)) === 0) {
      frames.set(frame, PG_YOUNG);
      this.#see(pid, vpn, 1, frame, nowNs);
      return;
    }
    const head = frames.headOf(frame);
    const first = vpn - (frame - head);
    const row = this.#seen.find(pid, first);
    if (row >= 0 && this.#seen.lastSeenNs[row] === nowNs) return;
    frames.set(head, PG_YOUNG);
    this.#see(pid, first, folios.nrPages(head), head, nowNs);
  }

  #see(pid: number, vpn: number, nrPages: number, head: number, nowNs: Nanoseconds): void {
    this.#samples++;
    this.#seen.see(pid, vpn, nrPages, 1, 0, this.#k.pm.nidOf(head), nowNs);
  }
}
