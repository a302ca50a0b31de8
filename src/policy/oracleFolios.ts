/**
 * What the oracle ranks: all resident folios with their coming accesses, a row each, and the pages
 * that will be accessed but are not there yet. A page's accesses count for the folio that holds it,
 * since a folio migrates as a whole (MP-29).
 */
import { PageIndex, ROWS_INITIAL, resized } from '../heat/index.ts';
import type { FutureTable, ResidencyTable } from './hostView.ts';
import type { MigrationPlan } from './migrationPlan.ts';

export class OracleFolios {
  readonly #index = new PageIndex();
  nrPages: Int32Array = new Int32Array(ROWS_INITIAL);
  /** Row -> node, -1 = not resident yet. */
  nid: Int8Array = new Int8Array(ROWS_INITIAL);
  /** Row -> accesses in the window. */
  accesses: Float64Array = new Float64Array(ROWS_INITIAL);
  /** Row -> planned node; written by the oracle. */
  target: Int8Array = new Int8Array(ROWS_INITIAL);
  /** Rows by accesses per page, most first. */
  ranked: Int32Array = new Int32Array(0);
  /** Sizes of folios above a page that occur, ascending. */
  #largeSizes: number[] = [];

  /** Accesses per page. */
  density(row: number): number {
    return this.accesses[row] / this.nrPages[row];
  }

  take(residency: ResidencyTable, future: FutureTable): void {
    this.#index.clear();
    this.#takeFolios(residency);
    this.accesses.fill(0, 0, this.#index.nrRows);
    // Pages come hottest first, so folios of one page are met in the order wanted.
    const met: number[] = [];
    for (let i = 0; i < future.nrRows; i++) {
      // A process that does not run yet: nobody knows its pid.
      if (future.pid[i] < 0) continue;
      const row = this.#folioOf(future.pid[i], future.vpn[i]);
      if (this.accesses[row] === 0) met.push(row);
      this.accesses[row] += future.accesses[i];
    }
    const ranked = new Int32Array(this.#index.nrRows);
    ranked.set(met);
    let n = met.length;
    for (let row = 0; row < ranked.length; row++) if (this.accesses[row] === 0) ranked[n++] = row;
    if (this.#largeSizes.length > 0) {
      ranked.sort((a, b) => this.density(b) - this.density(a) || a - b);
    }
    this.ranked = ranked;
  }

  /**
   * Adds rows to a plan in address order, neighbours with one target as one row. False if the plan
   * is full; what is missing is left out.
   */
  write(plan: MigrationPlan, rows: readonly number[], reason: number): boolean {
    const { pid, vpn } = this.#index;
    const sorted = Int32Array.from(rows).sort((a, b) => pid[a] - pid[b] || vpn[a] - vpn[b]);
    for (let i = 0; i < sorted.length; ) {
      const first = sorted[i];
      let end = vpn[first] + this.nrPages[first];
      let next = i + 1;
      while (next < sorted.length) {
        const row = sorted[next];
        const continues =
          vpn[row] === end && pid[row] === pid[first] && this.target[row] === this.target[first];
        if (!continues) break;
        end += this.nrPages[row];
        next++;
      }
      const nrPages = end - vpn[first];
      if (!plan.migrateVirtual(pid[first], vpn[first], nrPages, this.target[first], reason)) {
        return false;
      }
      i = next;
    }
    return true;
  }

  #takeFolios(residency: ResidencyTable): void {
    const sizes = new Set<number>();
    for (let run = 0; run < residency.nrRows; run++) {
      const folioPages = residency.folioPages[run];
      if (folioPages > 1) sizes.add(folioPages);
      const end = residency.vpn[run] + residency.nrPages[run];
      for (let vpn = residency.vpn[run]; vpn < end; ) {
        const head = Math.floor(vpn / folioPages) * folioPages;
        this.#open(residency.pid[run], head, folioPages, residency.nid[run]);
        vpn = head + folioPages;
      }
    }
    this.#largeSizes = [...sizes].sort((a, b) => a - b);
  }

  /** The row of the folio that maps a page, a new one without a node if it is not mapped. */
  #folioOf(pid: number, vpn: number): number {
    const row = this.#index.find(pid, vpn);
    if (row >= 0) return row;
    // Folios are mapped naturally aligned.
    for (const size of this.#largeSizes) {
      const large = this.#index.find(pid, Math.floor(vpn / size) * size);
      if (large >= 0 && this.nrPages[large] === size) return large;
    }
    const coming = this.#open(pid, vpn, 1, -1);
    this.accesses[coming] = 0;
    return coming;
  }

  #open(pid: number, vpn: number, nrPages: number, nid: number): number {
    const row = this.#index.insert(pid, vpn);
    if (row >= this.nrPages.length) this.#grow();
    this.nrPages[row] = nrPages;
    this.nid[row] = nid;
    return row;
  }

  #grow(): void {
    const capacity = this.#index.capacity;
    this.nrPages = resized(this.nrPages, new Int32Array(capacity));
    this.nid = resized(this.nid, new Int8Array(capacity));
    this.accesses = resized(this.accesses, new Float64Array(capacity));
    this.target = resized(this.target, new Int8Array(capacity));
  }
}
