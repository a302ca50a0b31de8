import { describe, expect, it } from 'vitest';
import { makePolicy, NaiveHost } from './naiveHost.ts';

const REGION = { regionPages: 128, interval: 1000, bandwidth: 1e6 };

/** Every page of a range is seen accessed once. */
function access(host: NaiveHost, from: number, to: number): void {
  for (let vpn = from; vpn < to; vpn++) host.sample(vpn, 1, 0);
}

describe('memtierd-age', () => {
  const knobs = { ...REGION, idleDuration: 3000, activeDuration: 2000 };

  it('demotes a region without an access for idleDuration', () => {
    const host = new NaiveHost(512, 1024);
    const policy = makePolicy('memtierd-age', knobs);
    host.touch(0, 256);
    for (let round = 0; round < 4; round++) {
      expect(host.round(policy), `round ${round}`).toEqual([]);
      host.sample(5, 1, 0);
    }
    expect(host.round(policy)).toEqual(['demote 128+128>1']);
  });

  it('promotes what was accessed in every interval of activeDuration, once nothing is idle', () => {
    const host = new NaiveHost(512, 1024);
    const policy = makePolicy('memtierd-age', { ...knobs, idleDuration: 0 });
    for (let vpn = 0; vpn < 256; vpn++) host.where.set(vpn, 1);
    host.round(policy);
    host.sample(5, 1, 0);
    host.sample(200, 1, 0);
    host.round(policy);
    host.sample(5, 1, 0);
    expect(host.round(policy)).toEqual(['promote 0+128>0']);
  });

  it('leaves a range of no more than 100 pages', () => {
    const host = new NaiveHost(512, 1024);
    const policy = makePolicy('memtierd-age', { ...knobs, idleDuration: 1000 });
    host.touch(0, 100);
    host.touch(256, 357);
    for (let round = 0; round < 2; round++) host.round(policy);
    expect(host.round(policy)).toEqual(['demote 256+128>1']);
  });
});

describe('memtierd-heat', () => {
  it('hot classes go to fast nodes, cold ones to slow nodes, the others stay', () => {
    const host = new NaiveHost(1024, 1024);
    const policy = makePolicy('memtierd-heat', { ...REGION, heatRetention: 0.5 });
    host.touch(0, 384);
    for (let vpn = 384; vpn < 768; vpn++) host.where.set(vpn, 1);
    access(host, 0, 128);
    access(host, 128, 160); // a quarter of a region: class 2
    access(host, 384, 512);
    access(host, 512, 540);
    expect(host.round(policy)).toEqual(['promote 384+128>0', 'demote 256+128>1']);
  });

  it('heat fades: a region that was hot is cold after some rounds', () => {
    const host = new NaiveHost(1024, 1024);
    const policy = makePolicy('memtierd-heat', { ...REGION, heatRetention: 0.5, coldClass: 1 });
    host.touch(0, 128);
    access(host, 0, 128);
    host.round(policy);
    // 1/2, 1/4, 1/8: below 2/10.
    expect([host.round(policy), host.round(policy), host.round(policy)]).toEqual([
      [],
      [],
      ['demote 0+128>1'],
    ]);
  });

  it('pushes nothing out for a hot region: it waits until there is room', () => {
    const host = new NaiveHost(128, 1024);
    const policy = makePolicy('memtierd-heat', { ...REGION, coldClass: -1 });
    host.touch(0, 256);
    host.round(policy);
    access(host, 0, 256);
    expect(host.round(policy)).toEqual([]);
  });
});
