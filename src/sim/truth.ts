/**
 * How often each page was really accessed: what heat sources are compared with, and how much memory
 * the program touched. Only the simulator can know (B7). Dense counts per process of the trace.
 */
import { HPAGE_PMD_NR, type Nanoseconds } from '../base/units.ts';
import { HeatTable } from '../heat/index.ts';

export class Truth {
  /** By process of the trace: accesses by region * 512 + page. */
  readonly #counts: Uint32Array[] = [];
  /** By process of the trace, in the same order: when the page was accessed first. */
  readonly #firstNs: Float64Array[] = [];
  readonly #hasTimes: boolean;
  /** Distinct pages accessed. */
  pages = 0;

  /** `hasTimes`: keep the time of first accesses, which a heat source's lag is measured from. */
  constructor(hasTimes: boolean) {
    this.#hasTimes = hasTimes;
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
    const counts = this.#countsOf(pid, nrRegions * HPAGE_PMD_NR);
    const firstNs = this.#firstNs[pid];
    let fresh = 0;
    for (let i = from; i < to; i++) {
      const at = page[i] >>> 1;
      if (counts[at] === 0) {
        fresh++;
        if (firstNs !== undefined) firstNs[at] = nowNs;
      }
      counts[at] += weight[i];
    }
    this.pages += fresh;
  }

  #countsOf(pid: number, pages: number): Uint32Array {
    const known = this.#counts[pid];
    if (known !== undefined && known.length >= pages) return known;
    const larger = new Uint32Array(Math.max(pages, 2 * (known?.length ?? 0)));
    if (known !== undefined) larger.set(known);
    this.#counts[pid] = larger;
    if (this.#hasTimes) {
      const times = new Float64Array(larger.length);
      times.set(this.#firstNs[pid] ?? []);
      this.#firstNs[pid] = times;
    }
    return larger;
  }

  /**
   * The counts as a heat table; lastSeenNs is the first access. `locate` gives the kernel's pid and
   * a region's first page.
   */
  table(locate: (pid: number, region: number) => { tgid: number; vpn: number } | null): HeatTable {
    const table = new HeatTable();
    for (const [pid, counts] of this.#counts.entries()) {
      if (counts === undefined) continue;
      for (let region = 0; region * HPAGE_PMD_NR < counts.length; region++) {
        const place = locate(pid, region);
        if (place === null) continue;
        for (let p = 0; p < HPAGE_PMD_NR; p++) {
          const n = counts[region * HPAGE_PMD_NR + p];
          if (n === 0) continue;
          const firstNs = this.#firstNs[pid]?.[region * HPAGE_PMD_NR + p] ?? 0;
          table.see(place.tgid, place.vpn + p, 1, n, 0, -1, firstNs);
        }
      }
    }
    return table;
  }
}
