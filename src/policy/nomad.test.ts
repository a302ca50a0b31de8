import { describe, expect, it } from 'vitest';
import { EAGAIN } from '../uapi/errno.ts';
import { ACTION_TRANSACT, MigrationPlan } from './index.ts';
import { makePolicy, NaiveHost, PID } from './naiveHost.ts';

describe('nomad', () => {
  it('sets up hint faults that promote nothing, and early demotion', () => {
    expect(makePolicy('nomad').settings.sysctl).toMatchObject({
      numa_balancing: 2,
      numa_balancing_promote_rate_limit_MBps: 0,
      demotion_enabled: true,
      demote_scale_factor: 200,
    });
  });

  it('TI-70: the first fault makes a candidate, the second one promotes, by a transaction', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('nomad');
    host.where.set(20, 1).set(21, 1).set(3, 0);
    host.sample(20, 1, 0);
    host.sample(3, 1, 0);
    expect(host.round(policy)).toEqual([]);
    host.sample(20, 1, 0);
    host.sample(21, 1, 0);
    const plan = new MigrationPlan(policy.planCapacity);
    policy.decide(host.view(policy), plan);
    expect([plan.nrRows, plan.page[0], plan.targetNid[0]]).toEqual([1, 20, 0]);
    expect(plan.action[0]).toBe(ACTION_TRANSACT);
  });

  it('TI-71: an aborted transaction is tried again, `retries` times', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('nomad', { retries: 2 });
    host.where.set(20, 1);
    host.sample(20, 2, 0);
    const plan = new MigrationPlan(policy.planCapacity);
    policy.decide(host.view(policy), plan);
    let tries = 0;
    for (let round = 0; round < 6; round++) {
      if (plan.nrRows === 0) break;
      tries++;
      plan.clear();
      host.heat.clear();
      const view = host.view(policy);
      const outcome = {
        nrRows: 1,
        keyKind: Uint8Array.of(0),
        pid: Int32Array.of(PID),
        page: Float64Array.of(20),
        nrPages: Int32Array.of(1),
        targetNid: Int8Array.of(0),
        reason: Uint8Array.of(0),
        status: Int16Array.of(-EAGAIN),
        migratedPages: Int32Array.of(0),
      };
      policy.decide({ ...view, outcome }, plan);
    }
    expect(tries).toBe(3);
  });
});
