import { describe, expect, it } from 'vitest';
import { retained } from './retention.ts';

describe('retained', () => {
  it.each([
    [0.9513, 60],
    [0.9513, 0.25],
    [0.5, 3.75],
    [0.8, 1e-5],
  ])('%f after %f s', (share, seconds) => {
    expect(retained(share, seconds)).toBeCloseTo(share ** seconds, 5);
  });

  it('1 never cools, 0 at once', () => {
    expect(retained(1, 12.5)).toBe(1);
    expect([retained(0, 0), retained(0, 0.5), retained(0, 2)]).toEqual([1, 0, 0]);
  });
});
