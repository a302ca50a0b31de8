import { expect, it } from 'vitest';
import { fabricateComparison } from '../../test/experiment/fabricate.ts';
import { capacities, stallNs, tierName } from './tierParts.ts';

it('tells a run by its tiers', async () => {
  const { runs } = await fabricateComparison();
  const { result } = runs.find((run) => run.result !== null)!;
  const { nodes, time } = result!;
  const [fast, slow] = [stallNs(result!, true), stallNs(result!, false)];
  expect(fast + slow).toBeCloseTo(
    time.stallNs.reduce((sum, ns) => sum + ns, 0),
    3,
  );
  expect([tierName(result!, true), tierName(result!, false)]).toEqual(['DRAM', 'CXL']);
  expect(capacities(result!).map((text) => text.split(' ')[2])).toEqual(['DRAM', 'CXL']);
  const dram = nodes.filter(({ kind }) => kind === 'dram');
  expect(tierName({ ...result!, nodes: dram }, false)).toBe('');
});
