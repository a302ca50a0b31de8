/** C3: a policy by physical addresses alone; PP-60..PP-72, TI-91. */
import { describe, expect, it } from 'vitest';
import { PHYSICAL_PID } from '../heat/index.ts';
import { EBUSY, ESTALE } from '../uapi/errno.ts';
import type { HostView, Policy } from './index.ts';
import { KEY_PHYSICAL, MigrationPlan, REASON_DEMOTE, REASON_PROMOTE } from './index.ts';
import { makePolicy, NaiveHost } from './naiveHost.ts';

/** Frames 0..7 are fast, 8..71 slow; all fast ones are in use. */
function hostOfFrames(fast = 8): NaiveHost {
  const host = new NaiveHost(fast, 64);
  host.touch(0, fast);
  return host;
}

function see(host: NaiveHost, pfn: number, times: number, generation = 7): void {
  const nid = pfn < host.capacity[0] ? 0 : 1;
  const row = host.frameHeat.see(PHYSICAL_PID, pfn, 1, times, 0, nid, host.nowNs);
  host.frameHeat.generation[row] = generation;
}

/** One decision, nothing carried out: rows as pfn+nrPages>nid of reason, @generation. */
function decide(policy: Policy, host: NaiveHost, outcome?: Partial<HostView['outcome']>) {
  const view = host.view(policy);
  const plan = new MigrationPlan(policy.planCapacity);
  const seen = outcome === undefined ? view : { ...view, outcome: { ...view.outcome, ...outcome } };
  policy.decide(seen, plan);
  host.frameHeat.clear();
  host.nowNs += policy.periodNs;
  return Array.from({ length: plan.nrRows }, (_, row) => {
    expect(plan.keyKind[row]).toBe(KEY_PHYSICAL);
    const kind = plan.reason[row] === REASON_DEMOTE ? 'demote' : 'promote';
    const { page, nrPages, targetNid, generation } = plan;
    return `${kind} ${page[row]}+${nrPages[row]}>${targetNid[row]} @${generation[row]}`;
  });
}

/** What the host answers for a promotion of one frame. */
function answer(pfn: number, status: number): Partial<HostView['outcome']> {
  return {
    nrRows: 1,
    keyKind: Uint8Array.of(KEY_PHYSICAL),
    pid: Int32Array.of(-1),
    page: Float64Array.of(pfn),
    nrPages: Int32Array.of(1),
    targetNid: Int8Array.of(0),
    reason: Uint8Array.of(REASON_PROMOTE),
    status: Int16Array.of(status),
    migratedPages: Int32Array.of(status < 0 ? 0 : 1),
  };
}

describe('physical-only', () => {
  const knobs = { reserveShare: 0 };

  it('demotes frames that nobody saw, then promotes hot ones with their generation', () => {
    const host = hostOfFrames();
    const policy = makePolicy('physical-only', knobs);
    see(host, 0, 1);
    see(host, 5, 1);
    see(host, 20, 2);
    see(host, 21, 9, 4);
    see(host, 22, 1);
    expect(decide(policy, host)).toEqual([
      'demote 1+4>1 @0',
      'promote 21+1>0 @4',
      'promote 20+1>0 @7',
    ]);
  });

  it('PP-71: without generations nothing is checked', () => {
    const host = new NaiveHost(8, 64);
    const policy = makePolicy('physical-only', { ...knobs, generations: false });
    see(host, 20, 2);
    expect(decide(policy, host)).toEqual(['promote 20+1>0 @0']);
  });

  it('PP-60: another content starts at nothing; who does not look adds it up', () => {
    const rowsOf = (generations: boolean) => {
      const host = new NaiveHost(8, 64);
      const policy = makePolicy('physical-only', { ...knobs, generations });
      see(host, 20, 1, 7);
      decide(policy, host);
      see(host, 20, 1, 8);
      return decide(policy, host).length;
    };
    expect([rowsOf(true), rowsOf(false)]).toEqual([0, 1]);
  });

  it('TI-91: a stale or migrated frame is forgotten, a busy one tried again later', () => {
    const rowsAfter = (status: number) => {
      const host = new NaiveHost(8, 64);
      const policy = makePolicy('physical-only', knobs);
      see(host, 20, 9);
      expect(decide(policy, host)).toHaveLength(1);
      const rows = [decide(policy, host, answer(20, status))];
      for (let round = 0; round < 3; round++) rows.push(decide(policy, host));
      return rows.flat();
    };
    expect([rowsAfter(-ESTALE), rowsAfter(0), rowsAfter(-EBUSY)]).toEqual([
      [],
      [],
      ['promote 20+1>0 @7'],
    ]);
  });

  it('the clock hand goes on where it stopped', () => {
    const host = hostOfFrames(200);
    const policy = makePolicy('physical-only', knobs);
    for (let pfn = 300 - 100; pfn < 240; pfn++) see(host, pfn, 2);
    const first = decide(policy, host).filter((row) => row.startsWith('demote'));
    for (let pfn = 240; pfn < 264; pfn++) see(host, pfn, 2);
    const second = decide(policy, host).filter((row) => row.startsWith('demote'));
    expect([first, second]).toEqual([['demote 0+64>1 @0'], ['demote 64+64>1 @0']]);
  });
});
