import { describe, expect, it } from 'vitest';
import { makePolicy, NaiveHost } from './naiveHost.ts';

describe('memtis', () => {
  const knobs = { unit: '4KiB', reserveShare: 0, adaptSamples: 10, coolingSamples: 1000 };

  it('TI-54: hot pages come in, the coldest leave for them', () => {
    const host = new NaiveHost(4, 64);
    const policy = makePolicy('memtis', knobs);
    host.touch(0, 8);
    host.round(policy);
    host.sample(0, 9, 0);
    host.sample(1, 2, 0);
    for (const vpn of [5, 6, 7]) host.sample(vpn, 8, 0);
    host.round(policy);
    expect(host.on(0).sort()).toEqual([0, 5, 6, 7]);
  });

  it('TI-52: what is hot depends on what else there is', () => {
    const host = new NaiveHost(2, 64);
    const policy = makePolicy('memtis', knobs);
    host.touch(0, 8);
    host.round(policy);
    // Six pages of the same bin do not fit into two frames: none of them is hot.
    for (const vpn of [2, 3, 4, 5, 6, 7]) host.sample(vpn, 8, 0);
    expect(host.round(policy)).toEqual([]);
  });

  it('waits for enough samples, and says so', () => {
    const host = new NaiveHost(4, 64);
    const policy = makePolicy('memtis', knobs);
    host.touch(0, 8);
    host.round(policy);
    host.sample(7, 9, 0);
    expect(host.round(policy)).toEqual([]);
    expect(policy.idleReason).toMatch(/: 9 samples of adaptSamples \(10\)$/);
    host.sample(7, 1, 0);
    host.round(policy);
    expect(policy.idleReason).toBeNull();
  });

  it('TI-53: cooling moves no threshold that was never set', () => {
    const host = new NaiveHost(4, 64);
    const policy = makePolicy('memtis', { ...knobs, adaptSamples: 1000, coolingSamples: 2 });
    host.touch(0, 8);
    for (let round = 0; round < 40; round++) {
      host.sample(7, 2, 0);
      expect(host.round(policy)).toEqual([]);
    }
    expect(policy.idleReason).toContain('no threshold was set');
  });

  it('TI-53: cooling halves the counts', () => {
    const host = new NaiveHost(1, 64);
    const policy = makePolicy('memtis', { ...knobs, coolingSamples: 20 });
    host.touch(0, 3);
    host.round(policy);
    host.sample(1, 20, 0);
    host.round(policy);
    expect(host.on(0)).toEqual([1]);
    // 20 was halved to 10, so 16 are more.
    host.sample(2, 16, 0);
    host.round(policy);
    expect(host.on(0)).toEqual([2]);
  });
});
