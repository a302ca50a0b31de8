import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../base/prng.ts';
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

  it('counts each frame of random runs as adding up one by one does', () => {
    const random = new RandomStream(1, 'plain counts');
    const counts = new PlainCounts(100, 110);
    const expected = new Map<number, number>();
    for (let n = 0; n < 300; n++) {
      const runs = 1 + random.below(30);
      const from = random.below(5);
      const served = Int32Array.from({ length: runs }, () => 95 + random.below(20));
      const weight = Uint16Array.from({ length: from + runs }, () => random.below(65536));
      counts.add(served, weight, from, from + runs);
      for (let i = 0; i < runs; i++) {
        expected.set(served[i], (expected.get(served[i]) ?? 0) + weight[from + i]);
      }
    }
    for (let frame = 100; frame < 110; frame++) {
      expect([frame, counts.of(frame)]).toEqual([frame, expected.get(frame)]);
    }
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
