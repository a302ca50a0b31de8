import { describe, expect, it } from 'vitest';
import { fabricateComparison, fabricateMachine } from '../../test/experiment/fabricate.ts';
import { failedRuns, groupLabel, runLabel } from './comparison.ts';
import { parseComparison } from './comparisonFile.ts';
import { NO_HEADROOM } from './experiment.ts';
import { geometricMean, medianIndex, spreadOf } from './statistics.ts';

describe('statistics', () => {
  it.each([
    [[3], 0],
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 3],
    [[2, 2, 2], 1],
  ])('the median of %j is a value that is there, at index %i', (values, index) => {
    expect(medianIndex(values)).toBe(index);
  });

  it('spread is median, least, most and how many', () => {
    expect(spreadOf([5, 1, 4, 2])).toEqual({ median: 2, min: 1, max: 5, count: 4 });
  });

  it('the geometric mean multiplies', () => {
    expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
    expect(geometricMean([1.25])).toBe(1.25);
  });
});

describe('summarise', () => {
  const seeds = [1, 2, 3];
  const bySeed: Record<string, number[]> = {
    'first-touch': [1.5, 1.2, 1.4],
    'weighted-interleave': [1.304, 1.304, 1.304],
    'numa-balancing': [1.3, 1.4, 1.1],
    hemem: [2, 2, 2],
    oracle: [1.01, 1.01, 1.01],
  };
  const slowdown = (spec: { policy: { name: string }; seed: number }) =>
    bySeed[spec.policy.name]![spec.seed - 1]!;

  it('compares seed by seed and takes the median run for the pictures', async () => {
    const { groups, runs } = await fabricateComparison({ experiment: { seeds }, slowdown });
    const [firstTouch] = groups[0]!.outcomes;
    expect(firstTouch!.slowdown).toEqual({ median: 1.4, min: 1.2, max: 1.5, count: 3 });
    expect(runs[firstTouch!.representative]).toMatchObject({ policy: 0, seed: 3 });
  });

  it('marks the best as printed, oracles apart', async () => {
    const { groups } = await fabricateComparison({ experiment: { seeds }, slowdown });
    // 1.304 and 1.3 are both printed as 1.30: nobody could tell which is better.
    expect(groups[0]!.outcomes.map(({ isBest }) => isBest)).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  it('leaves failed runs out and says so', async () => {
    const comparison = await fabricateComparison({
      experiment: { seeds },
      slowdown: (spec) => (spec.policy.name === 'hemem' || spec.seed === 2 ? null : slowdown(spec)),
    });
    const { outcomes } = comparison.groups[0]!;
    expect(outcomes[0]!.slowdown).toEqual({ median: 1.4, min: 1.4, max: 1.5, count: 2 });
    expect(outcomes[3]).toMatchObject({ slowdown: null, representative: -1, isBest: false });
    expect(failedRuns(comparison)).toHaveLength(4 * (4 + 3));
    expect(runLabel(comparison, failedRuns(comparison)[0]!)).toBe(
      'redis on DRAM:CXL 1:2, first-touch, seed 2',
    );
  });

  it('has times, but no slowdown, where the all-DRAM run failed', async () => {
    const whole = await fabricateComparison();
    expect(whole.groups[0]!.baselineNs).toMatchObject({ median: 2e9, count: 1 });
    expect(runLabel(whole, whole.runs[0]!)).toBe('redis, all-DRAM, seed 1');
  });

  it('tells a warning of several runs once, with the programs it is about', async () => {
    const policies = [{ label: 'spread', name: 'interleave', params: {} }];
    const { warnings, workloads } = await fabricateComparison({ experiment: { seeds, policies } });
    const names = workloads.map(({ name }) => name).join(', ');
    expect(warnings).toEqual([`spread: made up (${names})`]);
  });

  it('says that nothing can migrate where one node has all memory', async () => {
    const whole = await fabricateMachine();
    const machine = { ...whole, nodes: whole.nodes.slice(0, 1) };
    const said = 'test-machine: one node has all memory, so nothing can migrate';
    const machines = [{ machine: 'm', ratio: null, headroom: { bytes: 0, share: 0 } }];
    const one = await fabricateComparison({ machine, experiment: { machines } });
    expect(one.warnings.filter((warning) => warning === said)).toHaveLength(1);
    expect((await fabricateComparison()).warnings).not.toContain(said);
  });

  it('D9: says beside the results what a machine has that Linux has not, once', async () => {
    const experimental = ['device_page_cache'] as const;
    const machine = { ...(await fabricateMachine()), experimental };
    const { warnings } = await fabricateComparison({ machine });
    expect(warnings).toContain('test-machine: experimental, not in Linux: device_page_cache');
    expect(warnings.filter((one) => one.includes('experimental'))).toHaveLength(1);
    const plain = await fabricateComparison();
    expect(plain.warnings.join()).not.toContain('experimental');
  });

  it('names machines by what tells them apart', async () => {
    const four = await fabricateMachine('four', 4);
    const one = await fabricateComparison();
    expect(groupLabel(one, one.groups[1]!)).toBe('redis on DRAM:CXL 1:8');
    const machines = [
      { machine: 'four', ratio: { fast: 1, slow: 2 }, headroom: NO_HEADROOM },
      { machine: 'other', ratio: null, headroom: NO_HEADROOM },
    ];
    const two = await fabricateComparison({ experiment: { machines }, machine: four });
    expect(two.machines.map(({ label }) => label)).toEqual(['four DRAM:CXL 1:2', 'four']);
    const machine = { ...four, nodes: four.nodes.slice(0, 1) };
    const plain = await fabricateComparison({ machine });
    expect(plain.machines.map(({ label }) => label)).toEqual(['DRAM 1:2', 'DRAM 1:8']);
  });
});

describe('parseComparison', () => {
  it('gives back what was written', async () => {
    const comparison = await fabricateComparison({ experiment: { seeds: [1, 2] } });
    expect(parseComparison(JSON.stringify(comparison), 'r.json')).toEqual(comparison);
  });

  it.each([
    [(text: string) => text.slice(0, 1000), /^r\.json: is no JSON: .*\(was it cut\?\)$/],
    [() => '{"format": "machine/1"}', /^r\.json: is no result file of hetmem/],
    [() => '[]', /^r\.json: is no result file/],
    [(text: string) => text.replace('comparison/1', 'comparison/9'), /another version \(comp/],
    [
      (text: string) => text.replace('"totalNs":', '"totalNS":'),
      /^r\.json: runs\.0\.result\.time\.totalNs: /,
    ],
    [
      (text: string) => text.replace('"representative":', '"representative":99'),
      /groups\.0\.outcomes: nothing has the index 99/,
    ],
    [(text: string) => text.replace('"columns":96', '"columns":97'), /runs\.0\.result\.heatMap: /],
  ])('says what is wrong (%#)', async (damage, message) => {
    const text = JSON.stringify(await fabricateComparison());
    expect(() => parseComparison(damage(text), 'r.json')).toThrow(message);
  });
});
