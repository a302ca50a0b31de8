import { describe, expect, it } from 'vitest';
import { RandomStream } from './prng.ts';

function numbers(seed: number, name: string): number[] {
  const stream = new RandomStream(seed, name);
  return Array.from({ length: 5 }, () => stream.uint32());
}

describe('RandomStream', () => {
  it('gives a name and a seed the same numbers, others other ones', () => {
    const one = numbers(1, 'policy/hemem');
    expect(numbers(1, 'policy/hemem')).toEqual(one);
    expect(numbers(1, 'workload/gups')).not.toEqual(one);
    expect(numbers(2, 'policy/hemem')).not.toEqual(one);
  });

  it('draws below a bound, and each number as often', () => {
    const stream = new RandomStream(1, 'a');
    const drawn = new Array<number>(6).fill(0);
    for (let n = 0; n < 6000; n++) drawn[stream.below(6)]++;
    expect(drawn).toHaveLength(6);
    for (const times of drawn) expect(Math.abs(times - 1000)).toBeLessThan(150);
    for (let n = 0; n < 1000; n++) {
      const unit = stream.unit();
      expect(unit >= 0 && unit < 1).toBe(true);
    }
  });
});
