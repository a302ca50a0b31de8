import { describe, expect, it } from 'vitest';
import { fabricateComparison } from '../../test/experiment/fabricate.ts';
import type { RunSpec } from './runTypes.ts';

type Table = Readonly<Record<string, number | null>>;

/** Slowdowns by policy for DRAM:CXL 1:2 and, if given, 1:8, on workloads `names`. */
async function verdict(narrow: Table, wide: Table | null = null, names = ['redis']) {
  const policies = Object.keys(narrow).map((name) => ({ name, params: {}, label: name }));
  const ratios = wide === null ? [2] : [2, 8];
  const machines = ratios.map((slow) => {
    return { machine: 'm', ratio: { fast: 1, slow }, headroom: { bytes: 0, share: 0 } };
  });
  const dramBytes = (spec: RunSpec) =>
    spec.machine.nodes[0]!.zones.reduce((sum, z) => sum + z.endPfn - z.startPfn - z.absentPages, 0);
  const comparison = await fabricateComparison({
    experiment: {
      policies,
      machines,
      workloads: names.map((name) => ({ name, trace: name, generator: '', params: {} })),
    },
    slowdown: (spec) =>
      (wide !== null && dramBytes(spec) < 20_000 ? wide : narrow)[spec.policy.name] ?? null,
  });
  return comparison.verdict;
}

describe('verdictOf', () => {
  it('names the fastest, its gain, the bound and who is worse than doing nothing', async () => {
    const text = await verdict(
      { 'first-touch': 1.3, hemem: 1.1, 'numa-balancing': 1.35, oracle: 1.05 },
      { 'first-touch': 1.8, hemem: 1.5, 'numa-balancing': 1.4, oracle: 1.3 },
    );
    expect(text).toBe(
      'Over DRAM:CXL 1:2 hemem is fastest at 1.10× the all-DRAM time, ' +
        '15 % less time than first-touch, with the oracle at 1.05×; ' +
        'over DRAM:CXL 1:8 numa-balancing is fastest at 1.40×, ' +
        '22 % less time than first-touch, with the oracle at 1.30×; ' +
        'numa-balancing is slower than first-touch in 1 of 2 cases.',
    );
  });

  it('says so when nothing beats doing nothing', async () => {
    expect(await verdict({ 'first-touch': 1.1, hemem: 1.2, 'numa-balancing': 1.3 })).toBe(
      'Over DRAM:CXL 1:2 first-touch is fastest at 1.10× the all-DRAM time; ' +
        'hemem and numa-balancing are slower than first-touch.',
    );
  });

  it('counts each workload on each machine by itself: a mean would hide some', async () => {
    const table: Record<string, number> = {
      'redis first-touch': 1.5,
      'redis hemem': 1.1,
      'redis numa-balancing': 1.6,
      'sqlite first-touch': 1.2,
      'sqlite hemem': 1.21,
      'sqlite numa-balancing': 1.3,
    };
    const policies = ['first-touch', 'hemem', 'numa-balancing'].map((name) => {
      return { name, params: {}, label: name };
    });
    const { verdict: text } = await fabricateComparison({
      experiment: { policies },
      slowdown: (spec) => table[`${spec.workload.name} ${spec.policy.name}`]!,
    });
    expect(text).toMatch(
      /; numa-balancing is slower than first-touch in all 4 cases and hemem in 2\.$/,
    );
  });

  it('says so when nobody is worse', async () => {
    expect(await verdict({ 'first-touch': 1.3, hemem: 1.2 })).toBe(
      'Over DRAM:CXL 1:2 hemem is fastest at 1.20× the all-DRAM time, ' +
        '8 % less time than first-touch; no policy is slower than first-touch.',
    );
  });

  it('calls level what is printed the same', async () => {
    const near = await verdict({ 'first-touch': 1.3, hemem: 1.201, 'numa-balancing': 1.199 });
    expect(near).toMatch(/^Over DRAM:CXL 1:2 numa-balancing and hemem are fastest at 1\.20×/);
    const same = await verdict({ 'first-touch': 1.002, hemem: 1.001 });
    expect(same).toBe(
      'Over DRAM:CXL 1:2 hemem and first-touch are level at 1.00× the all-DRAM time; ' +
        'no policy is slower than first-touch.',
    );
  });

  it('tells an oracle that is met, and one that is beaten', async () => {
    expect(await verdict({ hemem: 1.101, oracle: 1.1 })).toMatch(/, as the oracle does\.$/);
    expect(await verdict({ hemem: 1.1, oracle: 1.2 })).toMatch(
      /, ahead of the oracle at 1\.20×\.$/,
    );
  });

  it('takes the geometric mean over workloads, of policies that finished on all', async () => {
    const policies = ['first-touch', 'hemem'].map((name) => ({ name, params: {}, label: name }));
    const machines = [
      { machine: 'm', ratio: { fast: 1, slow: 2 }, headroom: { bytes: 0, share: 0 } },
    ];
    const table: Record<string, number | null> = {
      'redis first-touch': 1,
      'sqlite first-touch': 4,
      'redis hemem': 1.1,
      'sqlite hemem': null,
    };
    const { verdict: text } = await fabricateComparison({
      experiment: { policies, machines },
      slowdown: (spec) => table[`${spec.workload.name} ${spec.policy.name}`]!,
    });
    expect(text).toBe(
      'Over DRAM:CXL 1:2 first-touch runs at 2.00× the all-DRAM time ' +
        '(geometric mean of 2 workloads); ' +
        'hemem is slower than first-touch in 1 of 2 cases (1 of 6 runs failed).',
    );
  });

  it('claims nothing when nothing finished', async () => {
    expect(await verdict({ hemem: null })).toBe('No policy can be compared (1 of 2 runs failed).');
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7])('is true of made-up numbers (%i)', async (seed) => {
    const at = (i: number) => 1 + ((seed * 7 + i * 13) % 10) / 10;
    const table = { 'first-touch': at(0), hemem: at(1), 'numa-balancing': at(2), oracle: at(3) };
    const text = await verdict(table);
    const best = Math.min(table['first-touch'], table.hemem, table['numa-balancing']);
    expect(text).toContain(`at ${best.toFixed(2)}× the all-DRAM time`);
    for (const name of ['hemem', 'numa-balancing'] as const) {
      const isSlower = table[name] > table['first-touch'];
      const clause = text.slice(text.lastIndexOf('; '));
      expect(clause.includes(name)).toBe(isSlower);
    }
  });
});
