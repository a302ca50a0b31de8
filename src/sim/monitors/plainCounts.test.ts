import { describe, expect, it } from 'vitest';
import { PlainCounts } from './plainCounts.ts';

describe('PlainCounts', () => {
  it('adds up weights by frame, far beyond 16 bits, and leaves other memory out', () => {
    const counts = new PlainCounts(100, 104);
    const served = Int32Array.of(100, 103, 99, 104, 103, 0);
    const weight = Uint16Array.of(1, 65535, 7, 7, 65535, 7);
    for (let n = 0; n < 1000; n++) counts.add(served, weight, 0, served.length);
    expect([100, 101, 102, 103].map((frame) => counts.of(frame))).toEqual([1000, 0, 0, 131070000]);
    counts.clear();
    expect([100, 103].map((frame) => counts.of(frame))).toEqual([0, 0]);
    counts.add(served, weight, 0, 2);
    expect([100, 103].map((frame) => counts.of(frame))).toEqual([1, 65535]);
  });

  it('is full before a count might not fit in 32 bits', () => {
    const counts = new PlainCounts(0, 1);
    const runs = 4096;
    const [served, weight] = [new Int32Array(runs), new Uint16Array(runs).fill(65535)];
    for (let n = 0; n < 15; n++) counts.add(served, weight, 0, runs);
    expect([counts.of(0), counts.isFullFor(runs)]).toEqual([15 * 4096 * 65535, false]);
    counts.add(served, weight, 0, runs);
    expect([counts.of(0), counts.isFullFor(2)]).toEqual([65536 * 65535, true]);
  });
});
