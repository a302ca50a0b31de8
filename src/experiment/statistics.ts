/**
 * What several seeds say together.
 *
 * The median is that of a run that happened: of an even number of runs the lower of the two in the
 * middle. So the time split drawn beside a slowdown is that run's and adds up to it.
 */
import { assert } from '../base/assert.ts';

/** Middle and extremes of a few values. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Index of the median of `values`: of equal values the first. Preconditions: there is one. */
export function medianIndex(values: readonly number[]): number {
  assert(values.length > 0, 'medianIndex: at least one value');
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
  return order[(order.length - 1) >> 1]!;
}

/** Preconditions: there is at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    median: values[medianIndex(values)]!,
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  };
}

/** The mean that fits ratios. Preconditions: at least one value, all above 0. */
export function geometricMean(values: readonly number[]): number {
  assert(values.length > 0, 'geometricMean: at least one value');
  if (values.length === 1) return values[0]!;
  const sum = values.reduce((total, value) => total + Math.log(value), 0);
  return Math.exp(sum / values.length);
}
