/**
 * The pages that MEMTIS counts: huge pages and base pages side by side, each with its samples, huge
 * ones with those of their 512 subpages as well (TI-50). Or units of one size, whatever maps them.
 *
 * A page is named by a number: its row, and which of the two tables has it. The subpages of a huge
 * page that was split keep their counts as base pages.
 *
 * Deviates: a huge page that is made of base pages begins without samples.
 */
import { HPAGE_PMD_NR, type Nid, type Vpn } from '../base/units.ts';
import { type HeatHistogram, heatBin, resized } from '../heat/index.ts';
import type { HostView } from './hostView.ts';
import { type BasePageHistogram, skewBin } from './memtisSplit.ts';
import type { MigrationPlan } from './migrationPlan.ts';
import { UnitHeat } from './unitHeat.ts';

/** Halvings after which nothing is left of any count. */
const TICKS_MAX = 60;

/** mapped: pages as they are mapped; else units of that size. */
export type MemtisUnit = 'mapped' | '2MiB' | '4KiB';

export class MemtisPages {
  readonly #base: UnitHeat;
  readonly #huge: UnitHeat;
  readonly #isSplittable: boolean;
  readonly #tables: readonly UnitHeat[];
  /** Row of a huge page * 512 + subpage -> samples, right at the row's tick. */
  #subpages = new Float64Array(0);
  #tick = new Uint32Array(0);
  /** Row of a huge page -> period of its last sample. */
  #period = new Uint32Array(0);
  #clock = 0;
  #periods = 1;
  /** Huge pages with samples in this period, and their samples. */
  hugeSeen = 0;
  hugeSamples = 0;

  constructor(unit: MemtisUnit, backoffMs: number) {
    this.#isSplittable = unit === 'mapped';
    const base = {
      accepts: (folioPages: number) => unit === '4KiB' || folioPages < HPAGE_PMD_NR,
      opened: (row: number) => this.#inherit(row),
    };
    const huge = {
      accepts: (folioPages: number) => unit === '2MiB' || folioPages >= HPAGE_PMD_NR,
      opened: (row: number) => this.#openHuge(row),
      seen: (row: number, vpn: Vpn, nrPages: number, seen: number) => {
        this.#seeSubpage(row, vpn, nrPages, seen);
      },
    };
    this.#base = new UnitHeat(1, base, backoffMs);
    this.#huge = new UnitHeat(HPAGE_PMD_NR, huge, backoffMs);
    if (unit === '2MiB') this.#tables = [this.#huge];
    else this.#tables = unit === '4KiB' ? [this.#base] : [this.#base, this.#huge];
  }

  /** Takes in outcomes, walk and samples of a view; call once at the start of each decision. */
  take(view: HostView): void {
    // Base pages first: those of a split huge page look for its counts.
    for (const table of this.#tables) table.take(view);
  }

  get samples(): number {
    return this.#tables[0].samples;
  }

  cool(): void {
    for (const table of this.#tables) table.cool();
    this.#clock++;
  }

  /** Ready pages on `nids` that were seen and are in heat bin `binMin` or above, hottest first. */
  hottest(nids: readonly Nid[], binMin: number): number[] {
    const pages = this.#readyOn(nids, Number.MIN_VALUE).filter((page) => {
      return heatBin(this.scaled(page)) >= binMin;
    });
    return this.#sorted(pages, -1);
  }

  /** Whether back-off lets a page be promoted. */
  mayPromote(page: number, nids: readonly Nid[]): boolean {
    return this.#tableOf(page).mayPromote(rowOf(page), nids);
  }

  get deferredPages(): number {
    return this.#base.deferredPages + this.#huge.deferredPages;
  }

  /** Ready pages on `nids`, coldest first. */
  coldest(nids: readonly Nid[]): number[] {
    return this.#sorted(this.#readyOn(nids, 0), 1);
  }

  /** Samples of a page, so that those of a base page compare with those of a huge page. */
  scaled(page: number): number {
    return Math.floor(this.#heatOf(page));
  }

  isReady(page: number): boolean {
    return this.#tableOf(page).isReady(rowOf(page));
  }

  residentOn(page: number, nids: readonly Nid[]): number {
    return this.#tableOf(page).units.residentOn(rowOf(page), nids);
  }

  mainNid(page: number, nids: readonly Nid[]): Nid {
    return this.#tableOf(page).units.mainNid(rowOf(page), nids);
  }

  /** False if the plan is full. */
  migrate(plan: MigrationPlan, page: number, target: Nid, reason: number): boolean {
    return this.#tableOf(page).migrate(plan, rowOf(page), target, reason);
  }

  /** Every page with its resident base pages: histogram (i). */
  countPages(histogram: HeatHistogram): void {
    histogram.clear();
    for (const [id, { units }] of this.#tables.entries()) {
      for (let row = 0; row < units.index.nrRows; row++) {
        if (units.index.pid[row] < 0) continue;
        let pages = 0;
        for (let nid = 0; nid < units.nrNodes; nid++) {
          pages += units.resident[row * units.nrNodes + nid];
        }
        histogram.add(this.scaled(row * 2 + id), pages);
      }
    }
  }

  /** Every base page, those of huge pages included: histogram (ii). */
  countBasePages(histogram: BasePageHistogram): void {
    histogram.clear();
    const { units } = this.#base;
    for (let row = 0; row < units.index.nrRows; row++) {
      if (units.index.pid[row] < 0) continue;
      const count = this.#base.countOf(row);
      histogram.add(count, count * HPAGE_PMD_NR);
    }
    for (let row = 0; row < this.#huge.units.index.nrRows; row++) {
      if (this.#huge.units.index.pid[row] < 0) continue;
      for (const count of this.#subpagesOf(row)) histogram.add(count, count * HPAGE_PMD_NR);
    }
  }

  /** Huge pages that can be split now, the most skewed first; ties in the order of their rows. */
  skewed(): number[] {
    if (!this.#isSplittable) return [];
    const bins: { readonly row: number; readonly bin: number }[] = [];
    for (let row = 0; row < this.#huge.units.index.nrRows; row++) {
      if (!this.#huge.isReady(row)) continue;
      const bin = skewBin(this.#subpagesOf(row));
      if (bin >= 0) bins.push({ row, bin });
    }
    return bins.sort((a, b) => b.bin - a.bin || a.row - b.row).map(({ row }) => row * 2 + 1);
  }

  /** Plans the split of a huge page. False if the plan is full. */
  split(plan: MigrationPlan, page: number): boolean {
    return this.#huge.split(plan, rowOf(page));
  }

  /** A new period of adaptation begins. */
  beginPeriod(): void {
    this.#periods++;
    this.hugeSeen = 0;
    this.hugeSamples = 0;
  }

  #readyOn(nids: readonly Nid[], countMin: number): number[] {
    const pages: number[] = [];
    for (const [id, table] of this.#tables.entries()) {
      for (const row of table.readyOn(nids, countMin)) pages.push(row * 2 + id);
    }
    return pages;
  }

  #sorted(pages: number[], sign: number): number[] {
    return pages.sort((a, b) => sign * (this.#heatOf(a) - this.#heatOf(b)) || a - b);
  }

  /** As scaled, not rounded: for the order. */
  #heatOf(page: number): number {
    const table = this.#tableOf(page);
    return table.countOf(rowOf(page)) * (table === this.#base ? HPAGE_PMD_NR : 1);
  }

  #tableOf(page: number): UnitHeat {
    return this.#tables[page & 1];
  }

  #openHuge(row: number): void {
    const { capacity } = this.#huge.units.index;
    if (capacity > this.#tick.length) {
      this.#subpages = resized(this.#subpages, new Float64Array(capacity * HPAGE_PMD_NR));
      this.#tick = resized(this.#tick, new Uint32Array(capacity));
      this.#period = resized(this.#period, new Uint32Array(capacity));
    }
    this.#subpages.fill(0, row * HPAGE_PMD_NR, (row + 1) * HPAGE_PMD_NR);
    this.#tick[row] = this.#clock;
    this.#period[row] = 0;
  }

  #seeSubpage(row: number, vpn: number, nrPages: number, seen: number): void {
    if (this.#period[row] !== this.#periods) {
      this.#period[row] = this.#periods;
      this.hugeSeen++;
    }
    this.hugeSamples += seen;
    // A source that sees huge pages as a whole says nothing of their parts.
    if (nrPages === 1) this.#subpagesOf(row)[vpn % HPAGE_PMD_NR] += seen;
  }

  /** Samples of a huge page's subpages, cooled. */
  #subpagesOf(row: number): Float64Array {
    const from = row * HPAGE_PMD_NR;
    const subpages = this.#subpages.subarray(from, from + HPAGE_PMD_NR);
    const ticks = this.#clock - this.#tick[row];
    this.#tick[row] = this.#clock;
    if (ticks === 0) return subpages;
    let share = 1;
    for (let tick = Math.min(ticks, TICKS_MAX); tick > 0; tick--) share /= 2;
    for (let i = 0; i < subpages.length; i++) subpages[i] *= share;
    return subpages;
  }

  /** A base page that a huge page was split into keeps its samples. */
  #inherit(row: number): void {
    if (!this.#isSplittable) return;
    const { pid, vpn } = this.#base.units.index;
    const huge = this.#huge.units.find(pid[row], vpn[row]);
    if (huge >= 0) this.#base.addCount(row, this.#subpagesOf(huge)[vpn[row] % HPAGE_PMD_NR]);
  }
}

function rowOf(page: number): number {
  return Math.floor(page / 2);
}
