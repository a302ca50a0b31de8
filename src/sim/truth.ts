/**
 * How often each page was really accessed: what heat sources are compared with, and how much memory
 * the program touched. Only the simulator can know (B7). Dense counts per process of the trace.
 */
import { HPAGE_PMD_NR, type Nanoseconds } from '../base/units.ts';
import { HeatTable } from '../heat/index.ts';
import { CountedPages, type PageCounts, SeenPages } from './pageCounts.ts';

export class Truth {
  /** By process of the trace; places are region * 512 + page. */
  readonly #pages: PageCounts[] = [];
  readonly #hasCounts: boolean;
  /** Distinct pages accessed. */
  pages = 0;

  /** `hasCounts`: not only which pages were accessed, but how often, and when first. */
  constructor(hasCounts: boolean) {
    this.#hasCounts = hasCounts;
  }

  /** Counts runs [from, to) of a slice of process `pid`, which has `nrRegions` regions. */
  count(
    pid: number,
    nrRegions: number,
    page: Uint32Array,
    weight: Uint16Array,
    from: number,
    to: number,
    nowNs: Nanoseconds,
  ): void {
    this.#pages[pid] ??= this.#hasCounts ? new CountedPages() : new SeenPages();
    const pages = this.#pages[pid];
    pages.grow(nrRegions * HPAGE_PMD_NR);
    this.pages += pages.count(page, weight, from, to, nowNs);
  }

  /**
   * The counts as a heat table; lastSeenNs is the first access. `locate` gives the kernel's pid and
   * a region's first page.
   */
  table(locate: (pid: number, region: number) => { tgid: number; vpn: number } | null): HeatTable {
    const table = new HeatTable();
    for (const [pid, pages] of this.#pages.entries()) {
      if (pages === undefined) continue;
      for (let region = 0; region * HPAGE_PMD_NR < pages.length; region++) {
        const place = locate(pid, region);
        if (place === null) continue;
        for (let p = 0; p < HPAGE_PMD_NR; p++) {
          const at = region * HPAGE_PMD_NR + p;
          const n = pages.of(at);
          if (n > 0) table.see(place.tgid, place.vpn + p, 1, n, 0, -1, pages.firstNs(at));
        }
      }
    }
    return table;
  }
}
