import { describe, expect, it } from 'vitest';
import { EAGAIN } from '../uapi/errno.ts';
import { MigrationPlan } from './index.ts';
import { makePolicy, NaiveHost, PID } from './naiveHost.ts';
import { PromotionBackoff } from './promotionBackoff.ts';

const MS = 1_000_000;

describe('PromotionBackoff', () => {
  /** A unit in row 0 that has made `trips` round trips; its last demotion is at 0. */
  function afterTrips(trips: number): PromotionBackoff {
    const backoff = new PromotionBackoff(100);
    backoff.forget(0);
    for (let trip = 0; trip < trips; trip++) {
      backoff.settle(0, false, 0);
      backoff.settle(0, true, 0);
    }
    backoff.settle(0, false, 0);
    return backoff;
  }

  it('lets a unit come back once, then waits, twice as long each time', () => {
    expect(afterTrips(0).mayPromote(0, 1, 0)).toBe(true);
    for (const [trips, waitMs] of [
      [1, 100],
      [2, 200],
      [3, 400],
      [30, 100 * 2 ** 20],
    ] as const) {
      expect(afterTrips(trips).mayPromote(0, 1, (waitMs - 1) * MS), `${trips}`).toBe(false);
      expect(afterTrips(trips).mayPromote(0, 1, waitMs * MS), `${trips}`).toBe(true);
    }
  });

  it('TI-92: after more than 60 s it is no round trip', () => {
    const backoff = new PromotionBackoff(100);
    backoff.forget(0);
    backoff.settle(0, false, 0);
    backoff.settle(0, true, 60_001 * MS);
    backoff.settle(0, false, 60_002 * MS);
    expect(backoff.mayPromote(0, 1, 60_002 * MS)).toBe(true);
  });

  it('forgets trips of what stayed in fast memory for long, and of units that are gone', () => {
    const backoff = afterTrips(3);
    backoff.settle(0, true, 0);
    backoff.settle(0, false, 60_001 * MS);
    expect(backoff.mayPromote(0, 1, 60_001 * MS)).toBe(true);
    const other = afterTrips(3);
    other.forget(0);
    expect(other.mayPromote(0, 1, 0)).toBe(true);
  });

  it('counts the pages put off, once for each demotion', () => {
    const backoff = afterTrips(1);
    for (let round = 0; round < 5; round++) backoff.mayPromote(0, 512, round);
    expect(backoff.deferredPages).toBe(512);
    backoff.settle(0, true, 100 * MS);
    backoff.settle(0, false, 101 * MS);
    backoff.mayPromote(0, 512, 102 * MS);
    expect(backoff.deferredPages).toBe(1024);
  });

  it('does nothing by default', () => {
    const backoff = new PromotionBackoff(0);
    backoff.forget(0);
    for (let trip = 0; trip < 5; trip++) {
      backoff.settle(0, false, trip);
      backoff.settle(0, true, trip);
    }
    backoff.settle(0, false, 9);
    expect([backoff.mayPromote(0, 1, 9), backoff.deferredPages]).toEqual([true, 0]);
  });
});

describe('policies with back-off', () => {
  const HEMEM = { unit: '4KiB', reserveShare: 0, coolingThreshold: 1000, hotReads: 2 };
  const MEMTIS = { unit: '4KiB', reserveShare: 0, adaptSamples: 1, coolingSamples: 16, period: 10 };

  /** Two pages that take turns in being hot, one frame of fast memory: promotions in 160 rounds. */
  function promotions(name: string, knobs: object): [number, number] {
    const host = new NaiveHost(1, 64);
    const policy = makePolicy(name, { ...knobs });
    host.touch(0, 2);
    let promoted = 0;
    for (let round = 0; round < 160; round++) {
      const vpn = (round >> 3) & 1;
      host.sample(vpn, 12, 0);
      promoted += host.round(policy).filter((row) => row.startsWith('promote')).length;
    }
    return [promoted, policy.deferredPages ?? 0];
  }

  it('C6: promote what goes to and fro less often', () => {
    for (const [name, knobs] of [
      ['hemem', { ...HEMEM, coolingThreshold: 20, walkPeriod: 10 }],
      ['memtis', MEMTIS],
    ] as const) {
      const [without, none] = promotions(name, knobs);
      const [withBackoff, deferred] = promotions(name, { ...knobs, backoff: 200 });
      expect([name, without > 4, none]).toEqual([name, true, 0]);
      expect(withBackoff, name).toBeLessThan(without / 2);
      expect(deferred, name).toBeGreaterThan(0);
    }
  });

  it('TI-75: Nomad promotes nothing for a while when too many transactions are aborted', () => {
    const host = new NaiveHost(512, 4096);
    const policy = makePolicy('nomad', { abortLimit: 0.5, throttle: 100, retries: 0 });
    const decide = (aborted: number, done: number): number => {
      const n = aborted + done;
      const outcome = {
        nrRows: n,
        keyKind: new Uint8Array(n),
        pid: new Int32Array(n).fill(PID),
        page: Float64Array.from({ length: n }, (_, i) => 1000 + i),
        nrPages: new Int32Array(n).fill(1),
        targetNid: new Int8Array(n),
        reason: new Uint8Array(n),
        status: Int16Array.from({ length: n }, (_, i) => (i < aborted ? -EAGAIN : 0)),
        migratedPages: new Int32Array(n),
      };
      const plan = new MigrationPlan(policy.planCapacity);
      policy.decide({ ...host.view(policy), outcome }, plan);
      host.heat.clear();
      host.nowNs += policy.periodNs;
      return plan.nrRows;
    };
    const fault = (from: number, n: number) => {
      for (let vpn = from; vpn < from + n; vpn++) {
        host.where.set(vpn, 1);
        host.sample(vpn, 2, 0);
      }
    };
    fault(1000, 64);
    expect(decide(0, 0)).toBe(64);
    fault(2000, 10);
    expect(decide(33, 31)).toBe(0);
    expect(policy.deferredPages).toBe(10);
    for (let round = 1; round < 10; round++) expect(decide(0, 0)).toBe(0);
    expect(decide(0, 0)).toBe(10);
    // Half of them aborted is within the limit.
    fault(4000, 10);
    expect(decide(32, 32)).toBe(10);
  });
});
