import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../src/base/prng.ts';
import { checkInvariants } from '../../src/mm/index.ts';
import { plainMachine } from '../../src/mm/plainMachine.ts';
import { findPolicy, POLICIES, resolveKnobs } from '../../src/policy/index.ts';
import type { RunSpec } from '../../src/sim/runResult.ts';
import { Simulation } from '../../src/sim/simulation.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { findWorkload, openWorkload } from '../../src/workload/index.ts';

/** Times that suit a run of some tens of milliseconds. */
const QUICK: Readonly<Record<string, Record<string, number | string | boolean>>> = {
  hemem: { samplePeriod: 50, period: 1, walkPeriod: 5, reserveShare: 0.02 },
  memtis: { samplePeriod: 20, adaptSamples: 2000, coolingSamples: 50_000, period: 1 },
  'numa-balancing': { scanDelay: 1, scanPeriodMin: 5, hotThreshold: 10 },
  'memtierd-age': { interval: 5, idleDuration: 10, activeDuration: 10, bandwidth: 5000 },
  'memtierd-heat': { interval: 5, heatRetention: 0.0001, bandwidth: 5000 },
  'bandwidth-spread': { samplePeriod: 50, busyShare: 0, period: 2, walkPeriod: 5 },
  damon: { sample: 0.1, aggregation: 1, applyInterval: 1, resetInterval: 1, tuned: false },
  'physical-only': { 'page-idle.interval': 2, period: 2, coolingPeriod: 20 },
  nomad: { scanDelay: 1, scanPeriod: 3, period: 1 },
  tpp: { scanDelay: 1, scanPeriodMin: 5 },
  // Short against a window, a 64th of the run: a decision that comes late is no bound.
  oracle: { period: 0.1 },
};

interface Change {
  readonly seed?: number;
  readonly params?: Readonly<Record<string, number | string | boolean>>;
  /** The program asks for huge pages, and gets them. */
  readonly hugepages?: boolean;
}

/** 16 MiB of a program; a fifth of it fits the fast node. */
function simulate(policyName: string, workloadName: string, change: Change = {}): Simulation {
  const { seed = 1, hugepages = false } = change;
  const description = findPolicy(policyName)!;
  const params = { ...QUICK[policyName], ...change.params };
  const policy = description.make(
    resolveKnobs(description.knobs, params).values,
    new RandomStream(seed, `policy ${policyName}`),
  );
  const workload = findWorkload(workloadName)!;
  const size = { size: 16, accesses: 0.6, hugepages };
  const { values, problems } = resolveKnobs(workload.knobs, size);
  expect(problems).toEqual([]);
  const plain = plainMachine(
    [
      { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 1024 }] },
      { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    ],
    { sysctl: { min_free_kbytes: 256, thp_enabled: hugepages ? 'madvise' : 'never' } },
  );
  const slow = { ...plain.nodes[1].perf, readLatencyNs: 300, writeLatencyNs: 300 };
  const machine = {
    ...plain,
    nodes: [plain.nodes[0], { ...plain.nodes[1], perf: slow, abstractDistance: 2880 }],
  };
  const spec: RunSpec = {
    machine,
    policy: { name: policyName, params },
    workload: { name: workloadName, trace: '', generator: workloadName, params: size },
    seed,
    seriesPoints: 0,
  };
  const simulation = new Simulation(spec, openWorkload(workload, values, seed), policy);
  simulation.run();
  return simulation;
}

function hitRatio(simulation: Simulation): number {
  const fast = simulation.nodeReads[0] + simulation.nodeWrites[0];
  return fast / (fast + simulation.nodeReads[1] + simulation.nodeWrites[1]);
}

describe.each(['gups', 'zipf'])('policies on %s', (workload) => {
  it('leave a consistent kernel, and none beats the oracle', () => {
    const runs = new Map<string, Simulation>();
    for (const { name } of POLICIES) {
      const simulation = simulate(name, workload);
      checkInvariants(simulation.k);
      runs.set(name, simulation);
    }
    const oracle = runs.get('oracle')!;
    for (const [name, simulation] of runs) {
      expect(hitRatio(simulation), `hits of ${name}`).toBeLessThanOrEqual(hitRatio(oracle));
      expect(simulation.clock.nowNs, `time of ${name}`).toBeGreaterThanOrEqual(oracle.clock.nowNs);
    }
  });
});

describe('a policy in the loop', () => {
  it('hemem finds a hot set that lies together; 2 MiB units of a scattered one are alike', () => {
    const gain = (workload: string): number =>
      hitRatio(simulate('hemem', workload)) - hitRatio(simulate('first-touch', workload));
    expect(gain('gups')).toBeGreaterThan(0.2);
    expect(Math.abs(gain('zipf'))).toBeLessThan(0.1);
  });

  it('TI-55: memtis finds the hot pages of huge ones that are all alike by splitting some', () => {
    const run = (split: boolean) =>
      simulate('memtis', 'zipf', { params: { split }, hugepages: true });
    const [whole, parts] = [run(false), run(true)];
    const splits = ({ k }: Simulation) => k.vmstat.snapshot().get('thp_split_page')!;
    expect([splits(whole), splits(parts) > 0]).toEqual([0, true]);
    expect(hitRatio(parts)).toBeGreaterThan(hitRatio(whole) + 0.03);
    checkInvariants(parts.k);
  });

  it.each(['hemem', 'oracle'])('%s does the same twice', (name) => {
    const digest = (): string => {
      const { k, moves, clock, driver } = simulate(name, 'gups');
      const { promotedPages, demotedPages } = moves;
      const vmstat = [...k.vmstat.snapshot()];
      return JSON.stringify([
        promotedPages,
        demotedPages,
        clock.nowNs,
        driver.backgroundNs(),
        vmstat,
      ]);
    };
    expect(digest()).toBe(digest());
  });
});
