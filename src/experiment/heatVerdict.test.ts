import { describe, expect, it } from 'vitest';
import { fabricateComparison } from '../../test/experiment/fabricate.ts';
import { heatVerdict } from './heatVerdict.ts';

type Seen = Readonly<Record<string, readonly [recall: number, costNs: number] | null>>;

/** Sources by label, on a run of 2 s; null = the run failed. */
async function observed(sources: Seen) {
  const labels = Object.keys(sources);
  const policies = labels.map((label) => ({ name: 'observe', params: { source: label }, label }));
  const comparison = await fabricateComparison({ experiment: { policies } });
  const runs = comparison.runs.map((run) => {
    const seen = run.policy < 0 ? null : sources[labels[run.policy]!]!;
    if (seen === null || run.result === null) return { ...run, result: null };
    const [recall, costNs] = seen;
    const time = { ...run.result.time, totalNs: 2e9 };
    const heat = { ...run.result.heat!, recall, costNs };
    return { ...run, result: { ...run.result, time, heat } };
  });
  return { ...comparison, runs };
}

describe('heatVerdict (B7)', () => {
  const saw = async (sources: Seen) => heatVerdict(await observed(sources));

  it('names the source that finds most and the one that costs least', async () => {
    expect(await saw({ pebs: [0.63, 8e6], 'page-idle': [0.858, 1.2e9], cxl: [0.4, 6e7] })).toBe(
      'page-idle finds the largest share of the hot pages, 85.8 %, for 60.0 % of a CPU; ' +
        'pebs costs least, 0.4 %, for 63.0 %.',
    );
  });

  it('says once that the same one does both', async () => {
    expect(await saw({ pebs: [0.63, 8e6], cxl: [0.4, 6e7] })).toBe(
      'pebs finds the largest share of the hot pages, 63.0 %, for 0.4 % of a CPU, the least.',
    );
  });

  it('names both where printed numbers are equal', async () => {
    expect(await saw({ pebs: [0.9, 8e6], mglru: [0.90001, 2e8], cxl: [0.4, 8e6] })).toBe(
      'pebs and mglru find the largest share of the hot pages, 90.0 %, for 0.4 % and 10.0 % ' +
        'of a CPU; pebs and cxl cost least, 0.4 %, for 90.0 % and 40.0 %.',
    );
  });

  it('names no best where nothing was found', async () => {
    expect(await saw({ pebs: [0, 8e6], mglru: [0, 0], cxl: [0, 6e7] })).toBe(
      'No source found a hot page.',
    );
    expect(await saw({ pebs: [0, 8e6] })).toBe('pebs found no hot page.');
  });

  it('lists three as people do', async () => {
    expect(await saw({ pebs: [0.9, 8e6], mglru: [0.9, 2e8], cxl: [0.9, 8e6] })).toBe(
      'pebs, mglru and cxl find the largest share of the hot pages, 90.0 %, for 0.4 %, 10.0 % ' +
        'and 0.4 % of a CPU.',
    );
  });

  it('leaves out what failed', async () => {
    expect(await saw({ pebs: [0.5, 2e7], cxl: null })).toBe(
      'pebs finds 50.0 % of the hot pages, for 1.0 % of a CPU.',
    );
    expect(await saw({ pebs: null })).toBe('No source finished a run.');
  });

  it('stands where nothing but observing was done, and nobody is the fastest then', async () => {
    const { verdict, groups } = await observed({ pebs: [0.5, 2e7], cxl: [0.4, 1e7] });
    expect(verdict).toContain('of the hot pages, 81.0 %');
    expect(groups[0]!.outcomes.some(({ isBest }) => isBest)).toBe(false);
  });
});
