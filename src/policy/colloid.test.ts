import { describe, expect, it } from 'vitest';
import { LatencyBalance } from './latencyBalance.ts';
import { makePolicy, NaiveHost } from './naiveHost.ts';

describe('LatencyBalance', () => {
  it('S-TI-19 TI-106: the default tier is slower: it should serve half of what it serves', () => {
    const balance = new LatencyBalance();
    expect(balance.next(0.8, 300, 200)).toBeCloseTo(-0.4, 12);
    expect([balance.low, balance.high]).toEqual([0, 0.8]);
  });

  it('TI-61: within 5 % nothing moves and the bounds stay', () => {
    const balance = new LatencyBalance();
    expect(balance.next(0.5, 100, 104)).toBe(0);
    expect([balance.low, balance.high]).toEqual([0, 1]);
    expect(balance.next(0.5, 100, 106)).toBeCloseTo(0.25, 12);
  });

  it('TI-61: bounds close in, and open again where the load has moved', () => {
    const balance = new LatencyBalance();
    balance.next(0.8, 300, 200);
    expect(balance.next(0.4, 100, 200)).toBeCloseTo(0.2, 12);
    expect([balance.low, balance.high]).toEqual([0.4, 0.8]);
    // Still too fast above the upper bound: that bound was wrong.
    expect(balance.next(0.9, 100, 200)).toBeCloseTo(0.05, 12);
    expect([balance.low, balance.high]).toEqual([0.9, 1]);
  });

  it('TI-61: bounds that met are opened in the direction of the movement', () => {
    const balance = new LatencyBalance();
    balance.low = 0.495;
    balance.next(0.5, 300, 200);
    expect([balance.low, balance.high]).toEqual([0, 0.5]);
  });
});

describe('colloid', () => {
  const knobs = { unit: '4KiB', reserveShare: 0 };

  it('TI-60, TI-62: brings hot pages in while the default tier answers faster', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('colloid', knobs);
    host.touch(0, 16);
    host.round(policy);
    host.traffic = [1e6, 9e6];
    for (let vpn = 8; vpn < 16; vpn++) host.sample(vpn, 10, 0);
    const rows = host.round(policy);
    // (0.1 + 1) / 2 - 0.1 = 0.45 of the accesses: three of eight equal pages.
    expect(rows.filter((row) => row.endsWith('>0'))).toEqual([
      'demote 8+1>0',
      'demote 9+1>0',
      'demote 10+1>0',
    ]);
    expect(host.on(0)).toHaveLength(8);
  });

  it('TI-64: hot pages leave DRAM when DRAM queues', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('colloid', knobs);
    host.touch(0, 8);
    host.round(policy);
    host.loadedNs = [600, 300];
    host.traffic = [9e6, 1e6];
    host.sample(0, 10, 0);
    host.sample(1, 30, 0);
    for (let vpn = 2; vpn < 8; vpn++) host.sample(vpn, 10, 0);
    // 0.9 -> 0.45 of 100 samples: the hottest page (30), then one of 10.
    expect(host.round(policy)).toEqual(['demote 1+1>1', 'demote 0+1>1']);
  });

  it('leaves balanced tiers, and idle ones, alone', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('colloid', knobs);
    host.touch(0, 16);
    host.round(policy);
    host.sample(12, 10, 0);
    expect(host.round(policy)).toEqual([]);
    host.loadedNs = [250, 250];
    host.traffic = [1e6, 9e6];
    host.sample(12, 10, 0);
    expect(host.round(policy)).toEqual([]);
  });

  it('TI-63: moves no more than the accesses are worth', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('colloid', knobs);
    host.touch(0, 16);
    host.round(policy);
    // 0.45 of 20 000 bytes are two pages.
    host.traffic = [2000, 18_000];
    for (let vpn = 8; vpn < 16; vpn++) host.sample(vpn, 10, 0);
    const rows = host.round(policy);
    expect(rows.length).toBeLessThanOrEqual(2);
  });
});
