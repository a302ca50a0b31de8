/**
 * Pages by heat: 16 bins, bin = floor(log2(count)), weighted by base pages, and the thresholds that
 * make the hot pages fit the fast memory (MEMTIS, TI-50, TI-52, TI-53). Class of a page: hot from
 * T_hot on, warm from T_warm on, cold below.
 */

export const NR_HEAT_BINS = 16;

/** floor(log2(count)), at most 15; 0 for a count of 0. */
export function heatBin(count: number): number {
  if (count < 2) return 0;
  const bin = 31 - Math.clz32(count);
  return bin < NR_HEAT_BINS ? bin : NR_HEAT_BINS - 1;
}

export interface HeatThresholds {
  /** Lowest bin that is hot; NR_HEAT_BINS = none fits. */
  readonly hot: number;
  /** Lowest bin that is warm. */
  readonly warm: number;
}

export class HeatHistogram {
  /** Bin -> base pages. */
  readonly pages: Float64Array = new Float64Array(NR_HEAT_BINS);

  add(count: number, nrPages: number): void {
    this.pages[heatBin(count)] += nrPages;
  }

  /** A page's count changed. */
  shift(countBefore: number, countAfter: number, nrPages: number): void {
    this.pages[heatBin(countBefore)] -= nrPages;
    this.pages[heatBin(countAfter)] += nrPages;
  }

  /** All counts halve: every bin moves down by one (TI-53). Bin 0 keeps what it has. */
  cool(): void {
    this.pages[0] += this.pages[1];
    this.pages.copyWithin(1, 2);
    this.pages[NR_HEAT_BINS - 1] = 0;
  }

  /** TI-52: the hottest bins that fit `capacity` pages; warm is one lower if they leave room. */
  thresholds(capacity: number, fillShare = 0.75): HeatThresholds {
    let sum = 0;
    let hot = NR_HEAT_BINS;
    while (hot > 0 && sum + this.pages[hot - 1] <= capacity) sum += this.pages[--hot];
    const warm = sum < capacity * fillShare ? Math.max(hot - 1, 0) : hot;
    return { hot, warm };
  }

  clear(): void {
    this.pages.fill(0);
  }
}
