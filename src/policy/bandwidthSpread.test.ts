import { describe, expect, it } from 'vitest';
import { nodeOfIndex } from './bandwidthSpread.ts';
import { makePolicy, NaiveHost } from './naiveHost.ts';

/** 100 bytes/ns for 10 ms: all that the fast node of NaiveHost carries between two decisions. */
const FULL = 100 * 10_000_000;

describe('nodeOfIndex', () => {
  it('TI-105: weights 3 and 1', () => {
    const { nodes } = new NaiveHost(1, 1).view(makePolicy('first-touch'));
    nodes.interleaveWeight.set([3, 1]);
    const of = (index: number) => nodeOfIndex(nodes, [1, 0], index);
    expect([0, 1, 2, 3, 4, 5, 6, 7].map(of)).toEqual([0, 0, 0, 1, 0, 0, 0, 1]);
  });
});

describe('bandwidth-spread', () => {
  const knobs = { walkPeriod: 10 };

  it('PP-48: hot pages of a busy fast node are spread by weight, here 5 to 1', () => {
    const host = new NaiveHost(64, 64);
    const policy = makePolicy('bandwidth-spread', knobs);
    host.touch(0, 12);
    host.round(policy);
    host.traffic = [FULL * 0.9, 0];
    for (let vpn = 0; vpn < 12; vpn++) host.sample(vpn, vpn === 11 ? 1 : 4, 0);
    host.round(policy);
    // 5 and 11 are slow by index; 11 is not hot.
    expect(host.on(1)).toEqual([5]);
    host.round(policy);
    expect(host.on(1)).toEqual([5]);
  });

  it('spreads nothing while the fast node has bandwidth left', () => {
    const host = new NaiveHost(64, 64);
    const policy = makePolicy('bandwidth-spread', knobs);
    host.touch(0, 12);
    host.round(policy);
    host.traffic = [FULL * 0.4, 0];
    for (let vpn = 0; vpn < 12; vpn++) host.sample(vpn, 4, 0);
    expect(host.round(policy)).toEqual([]);
  });

  it('a hot page takes the place of a cold one', () => {
    const host = new NaiveHost(4, 64);
    const policy = makePolicy('bandwidth-spread', knobs);
    host.touch(0, 8);
    host.round(policy);
    host.traffic = [FULL, 0];
    for (const vpn of [0, 1, 2, 4]) host.sample(vpn, 4, 0);
    host.round(policy);
    expect(host.on(0).sort()).toEqual([0, 1, 2, 4]);
  });
});
