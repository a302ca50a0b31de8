/** Policy damon: HS-80..HS-85 in a run. */
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { findPolicy, machineSettings, resolveKnobs, settingsText } from '../policy/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { findWorkload, openWorkload } from '../workload/index.ts';
import { Simulation } from './simulation.ts';

const QUICK = {
  sample: 0.1,
  aggregation: 1,
  applyInterval: 1,
  quota: 4000,
  resetInterval: 1,
  tuned: false,
};

/** 16 MiB with a hot set on a fast node of `fastPages` and a slow one. */
function simulate(
  params: Record<string, number | boolean>,
  fastPages = 1024,
  kernel?: '6.1' | '6.12',
) {
  const description = findPolicy('damon')!;
  const values = resolveKnobs(description.knobs, { ...QUICK, ...params }).values;
  const policy = description.make(values, new RandomStream(1, 'policy'));
  const workload = findWorkload('gups')!;
  const size = resolveKnobs(workload.knobs, { size: 16, accesses: 0.6 }).values;
  const plain = plainMachine(
    [
      { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: fastPages }] },
      { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    ],
    { sysctl: { min_free_kbytes: 256, thp_enabled: 'never' } },
  );
  const slow = { ...plain.nodes[1], abstractDistance: 2880 };
  const machine = { ...plain, nodes: [plain.nodes[0], slow], ...(kernel && { kernel }) };
  const spec = {
    machine,
    policy: { name: 'damon', params },
    workload: { name: 'gups', trace: '', generator: 'gups', params: {} },
    seed: 1,
    seriesPoints: 0,
  };
  const simulation = new Simulation(spec, openWorkload(workload, size, 1), policy);
  simulation.run();
  return simulation;
}

describe('policy damon', () => {
  it('HS-113: migrates both ways, and its threads take time', () => {
    const { moves, damonThreads, k } = simulate({});
    expect(k.damon.contexts).toHaveLength(2);
    expect(moves.promotedPages).toBeGreaterThan(100);
    expect(moves.demotedPages).toBeGreaterThan(100);
    expect(damonThreads.backgroundNs).toBeGreaterThan(moves.cpuNs);
  });

  it('HS-80: a smaller quota migrates less', () => {
    const promoted = (quota: number) => simulate({ quota }).moves.promotedPages;
    expect(promoted(40)).toBeLessThan(promoted(4000) / 4);
  });

  it('HS-81: a free goal that is met demotes next to nothing', () => {
    const demoted = (freeGoal: number) => simulate({ freeGoal, usedGoal: 0, tuned: true }).moves;
    expect(demoted(5000).demotedPages).toBeGreaterThan(4 * demoted(1).demotedPages);
  });

  it('a kernel that cannot migrate by DAMON says so', () => {
    expect(() => simulate({}, 1024, '6.1')).toThrow(/Linux 6\.1 has no .*ops_filters/);
  });

  it.each<Record<string, number | boolean>>([{}, { tuned: false, accessGoal: 0 }])(
    '6.12 has not what it needs, with %o',
    (knobs) => {
      expect(() => simulate(knobs, 1024, '6.12')).toThrow(
        /6\.12 has no .*the policy is that of .*6\.16/,
      );
    },
  );

  it('prints the same setup for a real machine', () => {
    const description = findPolicy('damon')!;
    const { values } = resolveKnobs(description.knobs, {});
    const lines = settingsText(description.make(values, new RandomStream(1, 'x')).settings, {
      fast: [0],
      slow: [1],
    });
    const root = '/sys/kernel/mm/damon/admin/kdamonds';
    expect(machineSettings(description, values, { fast: [0], slow: [1] })[0]).toBe(
      '# needs Linux 6.16',
    );
    expect(lines).toContain(`echo 2 > ${root}/nr_kdamonds`);
    expect(lines).toContain(`echo $SLOW_START > ${root}/0/contexts/0/targets/0/regions/0/start`);
    expect(lines[lines.length - 1]).toBe(`echo on > ${root}/1/state`);
  });
});
