/**
 * How little fast memory keeps a slowdown under a bound: which shares of the footprint to try next,
 * and what those that were tried say.
 *
 * Slowdown need not fall with every page of fast memory (a policy may fit one size by luck), so a
 * share counts only if all larger ones that were tried hold the bound, too.
 */
import { assert } from '../base/assert.ts';
import type { Spread } from './statistics.ts';

/** The first shares of the footprint that are tried. */
export const FIRST_SHARES: readonly number[] = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4];

/** A share that was tried, with the slowdown of the program that it hurts most. */
export interface TriedShare {
  readonly share: number;
  readonly slowdown: Spread;
  /** Of all seeds of all programs, the share that is under the bound. */
  readonly confidence: number;
  /** Of its runs: why the policy moved nothing. */
  readonly warnings: readonly string[];
}

/** The smallest share from which on all that were tried hold the bound; null = none. */
export function smallestShare(tried: readonly TriedShare[], bound: number): TriedShare | null {
  let smallest: TriedShare | null = null;
  for (const one of [...tried].sort((a, b) => b.share - a.share)) {
    if (one.slowdown.median > bound) break;
    smallest = one;
  }
  return smallest;
}

/**
 * The share to try next, or null when the answer is known to within `resolution` of the footprint.
 * 1 is all-DRAM, which holds every bound.
 */
export function nextShare(
  tried: readonly TriedShare[],
  bound: number,
  resolution: number,
): number | null {
  assert(resolution > 0, 'nextShare: a resolution is above 0');
  const high = smallestShare(tried, bound)?.share ?? 1;
  const below = tried.map(({ share }) => share).filter((share) => share < high);
  // Less than the smallest first share is not looked for.
  if (below.length === 0) return null;
  const low = Math.max(...below);
  return high - low > resolution ? (low + high) / 2 : null;
}
