/**
 * Pages that go to and fro: round trips between the tiers by page (mission C6, TI-92), with the
 * worst of them by name.
 */
import type { FrameId } from '../base/units.ts';
import { type Kernel, rmapCollect } from '../mm/index.ts';
import type { RestlessPage } from './runResult.ts';

const RESTLESS_MAX = 8;

export class RoundTrips {
  readonly #k: Kernel;
  /** Identity of a folio (mapping and index) -> its round trips. */
  readonly #trips: Map<number, number> = new Map();
  /** The worst, unordered. */
  readonly #worst: Map<number, RestlessPage> = new Map();

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** A folio of `nr` pages was promoted soon after its demotion; it is at `head` now. */
  add(identity: number, head: FrameId, nr: number): void {
    const roundTrips = (this.#trips.get(identity) ?? 0) + 1;
    this.#trips.set(identity, roundTrips);
    if (!this.#worst.has(identity) && this.#worst.size === RESTLESS_MAX) {
      const [least, page] = [...this.#worst].reduce((a, b) => {
        return b[1].roundTrips < a[1].roundTrips ? b : a;
      });
      if (page.roundTrips >= roundTrips) return;
      this.#worst.delete(least);
    }
    this.#worst.set(identity, { ...this.#place(head), nrPages: nr, roundTrips });
  }

  /** Folios by round trips: 1, 2 to 3, 4 to 7, ... */
  histogram(): number[] {
    const bins: number[] = [];
    for (const trips of this.#trips.values()) {
      const bin = 31 - Math.clz32(trips);
      while (bins.length <= bin) bins.push(0);
      bins[bin]++;
    }
    return bins;
  }

  /** Most round trips first. */
  restless(): RestlessPage[] {
    const pages = [...this.#worst.values()];
    return pages.sort((a, b) => b.roundTrips - a.roundTrips || a.pid - b.pid || a.vpn - b.vpn);
  }

  #place(head: FrameId): { pid: number; vpn: number } {
    const k = this.#k;
    if (rmapCollect(k, head) > 0) {
      const { mm } = k.rmap.vma[0];
      for (const task of k.tasks.values()) {
        if (task.mm === mm) return { pid: task.tgid, vpn: k.rmap.vpn[0] };
      }
    }
    return { pid: -1, vpn: k.frames.indexOf(head) };
  }
}
