/**
 * The cases that older kernels were seen to run, as those answered them: the chosen profile must
 * answer like its version (docs/model/kernels.md).
 */
import { describe, expect, it } from 'vitest';
import { caseOnKernel, runCase, runCaseOnKernel } from '../../src/conform/index.ts';
import { DEFAULT_KERNEL, KERNEL_VERSIONS } from '../../src/hw/index.ts';
import { cases, deviates, deviations, machines } from './ownCases.ts';

const OLDER = KERNEL_VERSIONS.filter((version) => version !== DEFAULT_KERNEL);

describe.each(OLDER)('conformance on %s', (kernel) => {
  const seen = cases.flatMap((one) => {
    const there = caseOnKernel(one, kernel);
    return there === null ? [] : [[one.id, there] as const];
  });

  it('has cases', () => {
    expect(seen.length).toBeGreaterThan(160);
  });

  it.for(seen)('%s', ([id, one], context) => {
    const result = runCase(one, machines);
    if (deviates(id, kernel)) expect(result.status, 'a listed deviation is gone').toBe('failed');
    else expect(result.difference).toBeNull();
    if (result.status === 'skipped') context.skip(result.reason);
  });

  it('skips what was not observed there, in so many words', () => {
    const absent = cases.find((one) => caseOnKernel(one, kernel) === null)!;
    const result = runCaseOnKernel(absent, kernel, machines);
    const expected = { id: absent.id, kernel, status: 'skipped' };
    expect(result).toMatchObject({ ...expected, reason: `not observed on ${kernel}` });
  });
});

describe('deviations by version', () => {
  const byCaller = ['move_pages', 'migrate_pages', 'mbind'];
  const groupOf = (id: string) => cases.find((one) => one.id === id)!.group;

  it('are of known versions, and none is of an address-based call', () => {
    for (const { id, kernel } of deviations) {
      expect(KERNEL_VERSIONS).toContain(kernel);
      expect(byCaller).not.toContain(groupOf(id));
    }
  });

  it('are compared without the marks that were not compared: LRU marks, and KSM on 6.12', () => {
    const one = cases.find(({ id }) => id === 'mp_memfd_secret')!;
    expect(caseOnKernel(one, '7.2')!.ignoredMarks).toEqual(['unevictable']);
    expect(caseOnKernel(one, '6.12')!.ignoredMarks).toEqual(['unevictable', 'ksm']);
    expect(caseOnKernel(one, '7.3')!.ignoredMarks).toEqual([]);
  });

  it('a version without a differing course runs the 7.3 course against the other profile', () => {
    // mp_move_untouched differs on 6.1: its 7.3 answers must fail there (MP-22).
    const one = cases.find(({ id }) => id === 'mp_move_untouched')!;
    expect(runCase({ ...one, kernel: '6.1' }, machines).difference).toMatchObject({ step: 2 });
  });
});
