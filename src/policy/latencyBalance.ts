/**
 * Colloid's rule: which share of the accesses the default tier should serve so that both tiers
 * answer equally fast, found by closing two bounds in on it (TI-60, TI-61).
 */

/** Latencies within this share of the default tier's are equal (delta). */
const EQUAL_SHARE = 0.05;

/** Bounds closer than this have lost the target, which moved (epsilon). */
const BOUNDS_MIN = 0.01;

export class LatencyBalance {
  /** Below and above the share at which the latencies are equal, as far as is known. */
  low = 0;
  high = 1;

  /**
   * How the share `p` of the default tier should change, given the latencies of the default and of
   * the alternate tier: positive = promote, negative = demote, 0 = they are balanced.
   */
  next(p: number, defaultNs: number, alternateNs: number): number {
    if (Math.abs(defaultNs - alternateNs) < EQUAL_SHARE * defaultNs) return 0;
    const isPromoting = defaultNs < alternateNs;
    if (isPromoting) {
      this.low = p;
      if (this.high <= this.low) this.high = 1;
    } else {
      this.high = p;
      if (this.low >= this.high) this.low = 0;
    }
    if (this.high - this.low < BOUNDS_MIN) {
      if (isPromoting) this.high = 1;
      else this.low = 0;
    }
    return (this.low + this.high) / 2 - p;
  }
}
