/**
 * Every case that a real kernel answered, on the model. A case passes, or is skipped because a step
 * is not modelled yet, or stands in deviations.json with its reason and what it would take.
 */
import { describe, expect, it } from 'vitest';
import { type CaseResult, type ConformanceCase, runCase } from '../../src/conform/index.ts';
import { checkInvariants } from '../../src/mm/index.ts';
import { cases, deviates, deviations, machines } from './ownCases.ts';

const results: CaseResult[] = [];

function run(one: ConformanceCase): CaseResult {
  const result = runCase(one, machines, checkInvariants);
  if (result.error !== null) throw new Error(result.error.message);
  results.push(result);
  return result;
}

describe.each([...new Set(cases.map((one) => one.group))])('conformance: %s', (group) => {
  const named = cases.filter((one) => one.group === group).map((one) => [one.id, one] as const);
  it.for(named)('%s', ([id, one], context) => {
    const result = run(one);
    if (deviates(id, one.kernel))
      expect(result.status, 'a listed deviation that is gone').toBe('failed');
    else expect(result.difference).toBeNull();
    if (result.status === 'skipped') context.skip(result.reason);
  });
});

describe('conformance as a whole', () => {
  it('has no deviation without reason and remedy, and few of them', () => {
    for (const { id, reason, remedy } of deviations) {
      expect(cases.map((one) => one.id)).toContain(id);
      expect(reason.length, `reason of ${id}`).toBeGreaterThan(20);
      expect(remedy.length, `remedy of ${id}`).toBeGreaterThan(20);
    }
    expect(deviations.length).toBeLessThan(0.03 * cases.length);
  });

  it('says how many passed and what is missing', () => {
    expect(results.length).toBe(cases.length);
    const count = (status: string) => results.filter((one) => one.status === status).length;
    const reasons = new Map<string, number>();
    for (const { status, reason } of results) {
      if (status === 'skipped') reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    const lines = [...reasons].sort((a, b) => b[1] - a[1]).map(([why, n]) => `  ${n} ${why}`);
    const passed = `conformance: ${count('passed')} passed, ${count('skipped')} skipped`;
    process.stdout.write(`${[passed, ...lines].join('\n')}\n`);
  });
});
