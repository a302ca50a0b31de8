/** Two programs on one machine: G of issue 5, C6. */
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { checkInvariants } from '../mm/index.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { findPolicy, resolveKnobs } from '../policy/index.ts';
import { END, SLICE, TogetherSource } from '../trace/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { findWorkload, openWorkload } from '../workload/index.ts';
import { runOne } from './run.ts';
import type { RunResult, RunSpec, WorkloadSpec } from './runResult.ts';
import { Simulation } from './simulation.ts';

function program(name: string, size: number, accesses: number, seed = 1) {
  const workload = findWorkload(name)!;
  const { values, problems } = resolveKnobs(workload.knobs, { size, accesses });
  expect(problems).toEqual([]);
  return openWorkload(workload, values, seed);
}

function together(): TogetherSource {
  return new TogetherSource(['gups', 'zipf'], [program('gups', 8, 0.2), program('zipf', 4, 0.4)]);
}

function spec(policy = 'first-touch'): RunSpec {
  const plain = plainMachine(
    [
      { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 1536 }] },
      { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    ],
    { sysctl: { min_free_kbytes: 256, thp_enabled: 'never' } },
  );
  const machine = {
    ...plain,
    nodes: [plain.nodes[0], { ...plain.nodes[1], abstractDistance: 2880 }],
  };
  const workload = { name: 'gups+zipf', trace: '', generator: '', params: {} };
  return { machine, policy: { name: policy, params: {} }, workload, seed: 1, seriesPoints: 8 };
}

function run(policy?: string): RunResult {
  return runOne(spec(policy), together(), { hetmem: 'test' });
}

describe('TogetherSource', () => {
  it('gives every program all its accesses, under names of its own, again after a rewind', () => {
    const source = together();
    const count = () => {
      const accesses = new Map<number, number>();
      for (let kind = source.next(); kind !== END; kind = source.next()) {
        if (kind !== SLICE) continue;
        const { pid } = source.slice;
        accesses.set(pid, (accesses.get(pid) ?? 0) + source.slice.accesses);
      }
      return [...accesses].sort(([a], [b]) => a - b);
    };
    const first = count();
    expect(first.map(([pid]) => pid % 2)).toEqual([0, 1]);
    expect(first.reduce((sum, [, n]) => sum + n, 0)).toBe(source.totals!.accesses);
    for (const [pid] of first) {
      expect(source.processes[pid].program).toBe(['gups', 'zipf'][pid % 2]);
      expect(source.regionCount(pid)).toBeGreaterThan(0);
    }
    source.rewind();
    expect(count()).toEqual(first);
  });
});

describe('control groups (C6)', () => {
  const program2 = { trace: '', generator: '', params: {} };
  const gups = { ...program2, name: 'gups', cgroup: { name: 'web', mems: [] } };
  const zipf = { ...program2, name: 'zipf', cgroup: { name: 'batch', mems: [1] } };

  function grouped(policy: string, programs: readonly WorkloadSpec[]): RunResult {
    const plain = spec(policy);
    const workload = { ...plain.workload, together: programs };
    return runOne({ ...plain, workload }, together(), { hetmem: 'test' });
  }

  it('MP-102: run out of the memory of their cpuset, not of the machine, and say so', () => {
    const bound = { ...gups, cgroup: { name: 'web', mems: [0] } };
    const alone = () => grouped('first-touch', [bound, { ...zipf, cgroup: bound.cgroup }]);
    expect(alone).toThrow(/out of memory at page .*: its cpuset \(mems 0\) has 6 MiB/);
    const machine = { ...spec().machine, nodes: [spec().machine.nodes[0]], distance: [[10]] };
    const small = () => runOne({ ...spec(), machine }, together(), { hetmem: 'test' });
    expect(small).toThrow(/out of memory at page .*: the machine has 6 MiB/);
  });

  it('tell what their processes had together, under pressure', () => {
    const result = grouped('tpp', [gups, { ...zipf, cgroup: gups.cgroup }]);
    const [both] = result.cgroups;
    expect(result.cgroups.map(({ name, processes }) => [name, processes])).toEqual([['web', 2]]);
    expect(both.accesses).toBe(result.accesses);
    expect(both.toptierHitRatio).toBeCloseTo(result.toptierHitRatio, 9);
    expect(both.demotedPages).toBe(result.migration.demotedPages);
    expect(both.promotedPages).toBe(result.migration.promotedPages);
    expect(both.demotedPages).toBeGreaterThan(0);
    expect(both.endNs).toBe(result.time.totalNs);
  });

  it('are one a program unless they are named, and none for a program alone', () => {
    const plain = ['gups', 'zipf'].map((name) => ({ ...program2, name }));
    const { cgroups, processes } = grouped('demotion-only', plain);
    expect(cgroups.map(({ name }) => name)).toEqual(['gups', 'zipf']);
    for (const key of ['accesses', 'demotedPages', 'promotedPages', 'majorFaults'] as const) {
      expect(cgroups.map((one) => one[key])).toEqual(processes.map((one) => one[key]));
    }
    const alone = runOne(spec(), program('gups', 8, 0.1), { hetmem: 'test' });
    expect(alone.cgroups).toEqual([]);
  });

  it('MP-102: keep their processes on the nodes of their cpuset, whatever the policy', () => {
    for (const policy of ['first-touch', 'numa-balancing', 'hemem', 'oracle']) {
      const [web, batch] = grouped(policy, [gups, zipf]).cgroups;
      expect([policy, batch.mems, batch.toptierPagesMean, batch.promotedPages]).toEqual([
        policy,
        [1],
        0,
        0,
      ]);
      expect(web.toptierPagesMean, policy).toBeGreaterThan(0);
    }
    for (const nid of [2, 31, 32, 33]) {
      const missing = { ...zipf, cgroup: { name: 'batch', mems: [nid] } };
      const message = `cgroup batch: node ${nid} has no memory`;
      expect(() => grouped('first-touch', [gups, missing])).toThrow(message);
    }
  });
});

describe('programs at the same time', () => {
  it('share the fast node, and each has its time, hits and share in the result', () => {
    const result = run();
    expect(result.processes.map(({ program: name }) => name)).toEqual(['gups', 'zipf']);
    const [gups, zipf] = result.processes;
    expect(gups.accesses + zipf.accesses).toBe(result.accesses);
    const hits = gups.accesses * gups.toptierHitRatio + zipf.accesses * zipf.toptierHitRatio;
    expect(hits / result.accesses).toBeCloseTo(result.toptierHitRatio, 9);
    expect(gups.toptierPagesMean + zipf.toptierPagesMean).toBeLessThan(1536);
    expect(Math.max(gups.endNs, zipf.endNs)).toBe(result.time.totalNs);
  });

  it('slow each other down: a program alone is done before', () => {
    const [gups] = run().processes;
    const alone = runOne(spec(), program('gups', 8, 0.2), { hetmem: 'test' });
    expect(alone.time.totalNs).toBeLessThan(gups.endNs);
    expect(alone.toptierHitRatio).toBeGreaterThan(gups.toptierHitRatio);
  });

  it('is the same twice, and leaves a consistent kernel', () => {
    expect(JSON.stringify(run('demotion-only'))).toBe(JSON.stringify(run('demotion-only')));
    const description = findPolicy('demotion-only')!;
    const policy = description.make(resolveKnobs([], {}).values, new RandomStream(1, 'policy'));
    const simulation = new Simulation(spec('demotion-only'), together(), policy);
    simulation.run();
    checkInvariants(simulation.k);
  });
});
