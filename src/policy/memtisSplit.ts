/**
 * MEMTIS: whether huge pages are split, how many, and which. TI-55, TI-56.
 *
 * Splitting pays where base pages as hot as the fast memory holds would serve more accesses than
 * fast memory serves now. Order: the expected ratio, the stop rule, the number, the victims.
 */
import { HeatHistogram, heatBin, NR_HEAT_BINS } from '../heat/index.ts';

/** Of the ratio that the histogram predicts, what is hoped for. */
const HOPE = 0.95;
/** γ: of the splits that would close the gap, those done at once. */
const GAMMA = 0.4;
/** A round must have raised the ratio by so much, or splitting stops. */
const GAIN_MIN = 1.03;
/** Bins of skewness, by its logarithm. */
export const NR_SKEW_BINS = 21;

/** Histogram (ii): every base page by its own count, with the samples in each bin. */
export class BasePageHistogram {
  readonly #histogram = new HeatHistogram();
  readonly #samples = new Float64Array(NR_HEAT_BINS);
  #all = 0;

  clear(): void {
    this.#histogram.clear();
    this.#samples.fill(0);
    this.#all = 0;
  }

  /** One page; `scaled` is its count as bins have it. */
  add(samples: number, scaled: number): void {
    this.#histogram.add(scaled, 1);
    this.#samples[heatBin(scaled)] += samples;
    this.#all += samples;
  }

  /** Share of the samples if the hottest `capacity` pages were in fast memory. */
  hitRatio(capacity: number): number {
    const { pages } = this.#histogram;
    let left = capacity;
    let hits = 0;
    for (let bin = NR_HEAT_BINS - 1; bin >= 0 && left > 0; bin--) {
      if (pages[bin] === 0) continue;
      const taken = Math.min(left, pages[bin]);
      hits += (this.#samples[bin] * taken) / pages[bin];
      left -= taken;
    }
    return this.#all === 0 ? 0 : hits / this.#all;
  }
}

/** What an adaptation knows when it decides on splits. */
export interface SplitSituation {
  /** rHR: share of the period's samples that fast memory served. */
  readonly hitRatio: number;
  /** What histogram (ii) predicts. */
  readonly baseHitRatio: number;
  /** Samples in the period. */
  readonly samples: number;
  /** Mean samples of a huge page that had any in the period; 0 = none had. */
  readonly samplesPerHugePage: number;
  readonly fastNs: number;
  readonly slowNs: number;
}

export class SplitDecision {
  /** Ratio at the last round that split; -1 = there was none. */
  #ratioBefore = -1;

  /** Huge pages to split now. */
  decide(now: SplitSituation): number {
    const gap = HOPE * now.baseHitRatio - now.hitRatio;
    if (gap <= 0 || now.samplesPerHugePage === 0) return 0;
    // TI-56: the last round did not help, so another one would not either.
    if (this.#ratioBefore >= 0 && now.hitRatio < this.#ratioBefore * GAIN_MIN) return 0;
    this.#ratioBefore = now.hitRatio;
    const gain = (now.slowNs - now.fastNs) / now.fastNs;
    const wanted = ((gap * now.samples) / now.samplesPerHugePage) * gain * GAMMA;
    return Math.max(1, Math.floor(wanted));
  }
}

/**
 * Bin of a huge page's skewness: the sum of the squares of its subpages' counts over the square of
 * the number of those that were accessed. -1 = none was.
 */
export function skewBin(subpages: Float64Array): number {
  let squares = 0;
  let accessed = 0;
  for (let i = 0; i < subpages.length; i++) {
    if (subpages[i] === 0) continue;
    squares += subpages[i] * subpages[i];
    accessed++;
  }
  if (accessed === 0) return -1;
  // Counts are halves of halves of whole numbers: a skew below 1 shares the lowest bin.
  let skew = squares / (accessed * accessed);
  let bin = 0;
  while (skew >= 2 && bin < NR_SKEW_BINS - 1) {
    skew /= 2;
    bin++;
  }
  return bin;
}
