import { describe, expect, it } from 'vitest';
import { fabricateComparison } from '../../test/experiment/fabricate.ts';
import { failuresByReason } from './failuresByReason.ts';
import type { RunSpec } from './runTypes.ts';

const seeds = [1, 2];

async function reasons(stops: (spec: RunSpec) => boolean) {
  const comparison = await fabricateComparison({
    experiment: { seeds },
    slowdown: (spec) => (stops(spec) ? null : 1.2),
  });
  return failuresByReason(comparison);
}

describe('failuresByReason', () => {
  it('tells what stops all policies once for each program and machine', async () => {
    const [one, ...others] = await reasons(() => true);
    expect(others).toEqual([]);
    expect(one!.who).toEqual([
      'redis on DRAM:CXL 1:2, all policies',
      'redis on DRAM:CXL 1:8, all policies',
      'sqlite on DRAM:CXL 1:2, all policies',
      'sqlite on DRAM:CXL 1:8, all policies',
    ]);
  });

  it('names policies that have no run left, and runs of the others', async () => {
    const [one] = await reasons(({ policy }) => {
      return ['hemem', 'oracle'].includes(policy.name);
    });
    expect(one!.who[0]).toBe('redis on DRAM:CXL 1:2, hemem and oracle');
    const [two] = await reasons(({ policy, seed }) => policy.name === 'hemem' && seed === 2);
    expect(two!.who).toHaveLength(4);
    expect(two!.who[0]).toBe('redis on DRAM:CXL 1:2, hemem, seed 2');
  });

  it('has nothing to tell when all runs finished', async () => {
    expect(await reasons(() => false)).toEqual([]);
  });
});
