import { describe, expect, it } from 'vitest';
import type { RandomStream } from '../base/prng.ts';
import { RandomStreams } from './randomStreams.ts';

function numbers(stream: RandomStream): number[] {
  return Array.from({ length: 5 }, () => stream.uint32());
}

describe('RandomStreams', () => {
  it('gives a name the same numbers whatever else is open', () => {
    const alone = new RandomStreams(1).open('policy/hemem');
    const streams = new RandomStreams(1);
    numbers(streams.open('workload/gups'));
    expect(numbers(streams.open('policy/hemem'))).toEqual(numbers(alone));
  });

  it('gives other names and other seeds other numbers', () => {
    const one = numbers(new RandomStreams(1).open('a'));
    expect(numbers(new RandomStreams(1).open('b'))).not.toEqual(one);
    expect(numbers(new RandomStreams(2).open('a'))).not.toEqual(one);
  });

  it('refuses a second user of a stream, and seeds that would be cut', () => {
    const streams = new RandomStreams(1);
    streams.open('a');
    expect(() => streams.open('a')).toThrow('a is open already');
    for (const seed of [-1, 0.5, 2 ** 32, Number.NaN]) {
      expect(() => new RandomStreams(seed)).toThrow('a seed is 0 to 2^32-1');
    }
  });
});
