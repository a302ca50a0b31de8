import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import { Hemem } from './hemem.ts';
import { HEMEM_KNOBS, hememKnobs } from './hememKnobs.ts';
import {
  type FutureTable,
  findPolicy,
  heatSource,
  type KnobValues,
  MigrationPlan,
  NO_SETTINGS,
  POLICIES,
  type Policy,
  REASON_DEMOTE,
  REASON_PROMOTE,
  resolveKnobs,
} from './index.ts';
import { makePolicy, NaiveHost, PID } from './naiveHost.ts';
import { skeleton } from './skeleton.ts';

function makeHemem(params: Record<string, unknown> = {}): Hemem {
  return new Hemem(hememKnobs(resolveKnobs(HEMEM_KNOBS, params).values));
}

describe('the list of policies', () => {
  it('has every policy under its own name, with knobs whose defaults are allowed', () => {
    expect(new Set(POLICIES.map(({ name }) => name)).size).toBe(POLICIES.length);
    for (const description of [...POLICIES, skeleton]) {
      const { values, problems } = resolveKnobs(description.knobs, {});
      const given = resolveKnobs(description.knobs, values);
      expect([...problems, ...given.problems]).toEqual([]);
      const policy = description.make(values, new RandomStream(1, 'policy/x'));
      expect(policy.name).toBe(description.name);
      const names = description.knobs.map(({ name }) => name);
      for (const knob of description.sooner ?? []) expect(names).toContain(knob);
      expect(Number.isInteger(policy.periodNs)).toBe(true);
    }
    expect(findPolicy('none')).toBeNull();
  });

  it('sets up the kernel where the kernel decides (TI-28)', () => {
    expect(makePolicy('numa-balancing').settings.sysctl).toMatchObject({
      numa_balancing: 2,
      demotion_enabled: true,
    });
    expect(
      makePolicy('numa-balancing', { mode: 1, demotion: false }).settings.sysctl,
    ).toMatchObject({
      numa_balancing: 1,
      demotion_enabled: false,
    });
    expect(makePolicy('weighted-interleave').settings.mempolicy).toEqual({
      mode: MPOL_WEIGHTED_INTERLEAVE,
      nodes: 'all',
      weights: 'auto',
    });
    const weights = { autoWeights: false, weightToptier: 5, weightSlow: 2 };
    expect(makePolicy('weighted-interleave', weights).settings.mempolicy?.weights).toEqual({
      toptier: 5,
      slow: 2,
    });
    expect(makePolicy('first-touch').settings).toMatchObject({ ...NO_SETTINGS, sysctl: {} });
  });
});

describe('resolveKnobs', () => {
  const knobs = findPolicy('hemem')!.knobs;

  it('adds defaults', () => {
    expect(resolveKnobs(knobs, { hotReads: 4 }).values).toMatchObject({
      hotReads: 4,
      hotWrites: 4,
      unit: '2MiB',
    });
  });

  it.each<[Record<string, unknown>, string]>([
    [{ hotRead: 4 }, 'there is no knob hotRead'],
    [{ hotReads: 0 }, 'hotReads is 1 to 1000000 samples, not 0'],
    [{ hotReads: 1.5 }, 'hotReads is a whole number of samples, not 1.5'],
    [{ hotReads: 'many' }, 'hotReads is a number of samples, not "many"'],
    [{ period: Number.NaN }, 'period is a number of ms, not NaN'],
    [{ unit: '1GiB' }, 'unit is one of 2MiB, 4KiB, not "1GiB"'],
  ])('refuses %o', (params, problem) => {
    expect(resolveKnobs(knobs, params).problems.map((p) => p.problem)).toEqual([problem]);
  });

  // HS-40, HS-52: a half of an XOR, 5 ways or units of 300 bytes are no device.
  it.each<[Record<string, unknown>, string]>([
    [{ ways: 5 }, 'ways is 1, 2, 3, 4, 6, 8, 12 or 16 devices, not 5'],
    [
      { granularity: 300 },
      'granularity is 256, 512, 1024, 2048, 4096, 8192 or 16384 bytes, not 300',
    ],
    [{ unit: 8191 }, 'unit is 256, 512, 1024 … 268435456 bytes, not 8191'],
    [{ xor: 0.5 }, 'xor is a whole number, not 0.5'],
    [{ counterWidth: 7.5 }, 'counterWidth is a whole number of bits, not 7.5'],
  ])('refuses %o of a CXL device', (params, problem) => {
    const { knobs } = heatSource('cxl');
    expect(resolveKnobs(knobs, params).problems.map((p) => p.problem)).toEqual([problem]);
  });

  it('refuses a number for a switch', () => {
    const { problems } = resolveKnobs(findPolicy('numa-balancing')!.knobs, { demotion: 1 });
    expect(problems.map((p) => p.problem)).toEqual(['demotion is true or false, not 1']);
  });
});

describe('MigrationPlan', () => {
  it('refuses rows above its capacity', () => {
    const plan = new MigrationPlan(1);
    expect(plan.migrateVirtual(1, 5, 2, 0, REASON_PROMOTE)).toBe(true);
    expect(plan.migratePhysical(5, 1, 7, 0, REASON_DEMOTE)).toBe(false);
    expect([plan.nrRows, plan.nrPagesTotal]).toEqual([1, 2]);
  });
});

describe('skeleton', () => {
  it('promotes what was seen often enough', () => {
    const host = new NaiveHost(4, 16);
    host.touch(0, 4);
    host.touch(10, 14);
    host.where.delete(0);
    host.sample(10, 1, 1);
    host.sample(11, 1, 0);
    host.sample(1, 9, 9);
    const policy = skeleton.make(resolveKnobs(skeleton.knobs, {}).values, null as never);
    expect(host.round(policy)).toEqual(['promote 10+1>0']);
  });
});

describe('hemem', () => {
  const small = { unit: '4KiB', reserveShare: 0 };

  it('S-TI-22: promotes at 8 reads or 4 writes, write-hot pages first (TI-40..42)', () => {
    const host = new NaiveHost(8, 16);
    host.touch(0, 8);
    host.touch(20, 28);
    for (let vpn = 0; vpn < 8; vpn++) host.where.delete(vpn);
    const policy = makeHemem(small);
    host.sample(20, 7, 3);
    host.sample(21, 8, 0);
    host.sample(22, 0, 4);
    expect(host.round(policy)).toEqual(['promote 22+1>0', 'promote 21+1>0']);
  });

  it('makes room by demoting the cold page that is longest in the list (TI-44, TI-46)', () => {
    const host = new NaiveHost(4, 16);
    host.touch(0, 4);
    host.touch(10, 12);
    const policy = makeHemem(small);
    host.sample(0, 8, 0);
    host.sample(10, 8, 0);
    expect(host.round(policy)).toEqual(['demote 1+1>1', 'promote 10+1>0']);
    expect(host.on(0).sort((a, b) => a - b)).toEqual([0, 2, 3, 10]);
    host.sample(0, 8, 0);
    expect(host.round(policy)).toEqual([]);
  });

  it('stops when every fast page is hot (TI-44)', () => {
    const host = new NaiveHost(2, 16);
    host.touch(0, 2);
    host.touch(10, 12);
    const policy = makeHemem(small);
    for (const vpn of [0, 1, 10]) host.sample(vpn, 8, 0);
    expect(host.round(policy)).toEqual([]);
  });

  it('halves all counts when one page has 18 samples (TI-43)', () => {
    const host = new NaiveHost(64, 16);
    host.touch(0, 4);
    const policy = makeHemem(small);
    host.sample(0, 9, 0);
    host.sample(1, 18, 0);
    host.sample(2, 9, 0);
    host.round(policy);
    expect(policy.countsOf(PID, 2)).toEqual({ reads: 9, writes: 0 });
    host.sample(0, 1, 0);
    host.round(policy);
    expect(policy.countsOf(PID, 0)).toEqual({ reads: 5, writes: 0 });
  });

  it('cools units that nobody touches, in the background (TI-43)', () => {
    const host = new NaiveHost(64, 16);
    host.touch(0, 3);
    const policy = makeHemem({ ...small, coolingScan: 1 });
    host.sample(2, 9, 0);
    host.round(policy);
    host.sample(0, 18, 0);
    host.round(policy);
    host.round(policy);
    host.round(policy);
    expect(policy.countsOf(PID, 2)).toEqual({ reads: 4, writes: 0 });
  });

  it('counts and migrates 2 MiB units', () => {
    const host = new NaiveHost(1024, 4096);
    host.touch(0, 1024);
    host.touch(2048, 2560);
    const policy = makeHemem({ reserveShare: 0 });
    for (let vpn = 2100; vpn < 2108; vpn++) host.sample(vpn, 1, 0);
    expect(host.round(policy)).toEqual(['demote 0+512>1', 'promote 2048+512>0']);
  });

  it('keeps a share of the fast node free', () => {
    const host = new NaiveHost(100, 100);
    host.touch(0, 100);
    const policy = makeHemem({ ...small, reserveShare: 0.05 });
    host.round(policy);
    expect(host.free(0)).toBe(5);
    expect(host.round(policy)).toEqual([]);
  });

  it('migrates no more than its rate allows', () => {
    const host = new NaiveHost(100, 100);
    host.touch(0, 100);
    // 4096 B/ms * 10 ms: 10 pages a round.
    const policy = makeHemem({ ...small, reserveShare: 0.5, migrateRate: 0.004096 });
    expect(host.round(policy)).toHaveLength(10);
  });

  it('retries busy pages with growing pauses (TI-91)', () => {
    const host = new NaiveHost(8, 16);
    host.touch(0, 8);
    host.touch(20, 21);
    for (let vpn = 0; vpn < 8; vpn++) host.where.delete(vpn);
    host.busy.add(20);
    const policy = makeHemem(small);
    host.sample(20, 8, 0);
    const tried: number[] = [];
    for (let round = 0; round < 30; round++) if (host.round(policy).length > 0) tried.push(round);
    expect(tried).toEqual([0, 3, 8, 17]);
  });

  it('forgets pages that are gone', () => {
    const host = new NaiveHost(64, 16);
    host.touch(0, 4);
    const policy = makeHemem(small);
    host.round(policy);
    host.where.delete(3);
    host.round(policy);
    expect(policy.countsOf(PID, 3)).toBeNull();
    expect(policy.countsOf(PID, 2)).not.toBeNull();
  });

  it('decides the same twice', () => {
    const run = (): string[] => {
      const host = new NaiveHost(64, 512);
      host.touch(0, 400);
      const policy = makeHemem({ ...small, reserveShare: 0.02 });
      const random = new RandomStream(3, 'hemem.test');
      const rows: string[] = [];
      for (let round = 0; round < 40; round++) {
        for (let i = 0; i < 100; i++) host.sample(random.below(random.below(400) + 1), 1, i & 1);
        rows.push(...host.round(policy));
      }
      return rows;
    };
    const first = run();
    expect(first.length).toBeGreaterThan(20);
    expect(run()).toEqual(first);
  });
});

describe('oracle', () => {
  /** accesses by page, hottest first, as the simulator sorts them. */
  function future(window: number, accesses: readonly [number, number][]): FutureTable {
    const rows = [...accesses].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    return {
      window,
      nrRows: rows.length,
      pid: new Int32Array(rows.length).fill(PID),
      vpn: Float64Array.from(rows, ([vpn]) => vpn),
      accesses: Float64Array.from(rows, ([, n]) => n),
    };
  }

  function oracle(params: KnobValues = {}): Policy {
    return makePolicy('oracle', params);
  }

  it('keeps the pages with most coming accesses in the fast node', () => {
    const host = new NaiveHost(3, 16);
    host.touch(0, 8);
    host.future = future(0, [
      [0, 5],
      [4, 50],
      [5, 40],
      [7, 3],
    ]);
    expect(host.round(oracle())).toEqual(['demote 1+2>1', 'promote 4+2>0']);
    expect(host.on(0).sort((a, b) => a - b)).toEqual([0, 4, 5]);
  });

  it('changes its mind with the window, and only then', () => {
    const host = new NaiveHost(2, 16);
    host.touch(0, 4);
    const policy = oracle();
    host.future = future(0, [
      [0, 9],
      [1, 9],
    ]);
    expect(host.round(policy)).toEqual([]);
    host.future = future(1, [
      [2, 9],
      [3, 9],
    ]);
    expect(host.round(policy)).toEqual(['demote 0+2>1', 'promote 2+2>0']);
    expect(host.round(policy)).toEqual([]);
  });

  it('migrates only what pays when migrations are charged', () => {
    const host = new NaiveHost(2, 16);
    host.touch(0, 4);
    // 150 ns gained an access: a swap of 2 * 1240 ns needs more than 16 accesses.
    const table: [number, number][] = [
      [0, 1],
      [1, 2],
      [2, 18],
      [3, 17],
    ];
    host.future = future(0, table);
    expect(host.round(oracle({ migration: 'charged' }))).toEqual(['demote 0+1>1', 'promote 2+1>0']);
    const free = new NaiveHost(2, 16);
    free.touch(0, 4);
    free.future = future(0, table);
    expect(free.round(oracle())).toEqual(['demote 0+2>1', 'promote 2+2>0']);
  });

  it('makes room for pages to come that are hotter than those there', () => {
    const host = new NaiveHost(4, 16);
    host.touch(0, 4);
    const policy = oracle();
    host.future = future(0, [
      [0, 9],
      [3, 1],
      [10, 50],
      [11, 5],
    ]);
    expect(host.round(policy)).toEqual(['demote 1+2>1']);
    host.touch(10, 12);
    expect(host.on(0).sort((a, b) => a - b)).toEqual([0, 3, 10, 11]);
    expect(host.round(policy)).toEqual([]);
  });

  it('corrects it when a cold page took the room of one to come', () => {
    const host = new NaiveHost(2, 16);
    host.touch(0, 1);
    const policy = oracle();
    host.future = future(0, [
      [0, 9],
      [5, 8],
      [6, 1],
    ]);
    expect(host.round(policy)).toEqual([]);
    host.touch(6, 7);
    host.touch(5, 6);
    expect(host.on(0)).toEqual([0, 6]);
    expect(host.round(policy)).toEqual(['demote 6+1>1', 'promote 5+1>0']);
  });

  it('does nothing where nobody knows the future', () => {
    const host = new NaiveHost(2, 16);
    host.touch(0, 4);
    expect(host.round(oracle())).toEqual([]);
  });

  it('reaches the best hit ratio that any placement can have', () => {
    const host = new NaiveHost(50, 500);
    host.touch(0, 400);
    const random = new RandomStream(4, 'oracle.test');
    const accesses: [number, number][] = [];
    for (let vpn = 0; vpn < 400; vpn++) accesses.push([vpn, random.below(1000) + 1]);
    host.future = future(0, accesses);
    host.round(oracle());
    const hits = accesses.reduce((sum, [vpn, n]) => sum + (host.where.get(vpn) === 0 ? n : 0), 0);
    const best = accesses
      .map(([, n]) => n)
      .sort((a, b) => b - a)
      .slice(0, 50)
      .reduce((sum, n) => sum + n, 0);
    expect(hits).toBe(best);
  });
});
