/** Every kind of expectation of a conformance case can fail: each answer is changed in turn. */
import { describe, expect, it } from 'vitest';
import { runCase } from '../../src/conform/index.ts';
import { cases, machines } from './ownCases.ts';

/** The same value in another disguise: every kind of expectation must be able to fail. */
function corrupted(value: unknown): never {
  if (typeof value === 'number') return (value + 1) as never;
  if (typeof value === 'string') return `${value}?` as never;
  if (Array.isArray(value)) {
    const [first, ...rest] = value;
    return (value.length === 0 ? [7] : [corrupted(first), ...rest]) as never;
  }
  return { other: 1 } as never;
}

describe('the comparison', () => {
  const exact = cases.filter((one) => one.strength === 'exact' && one.steps.length < 40);
  const sample = exact.filter((_one, n) => n % 4 === 0);

  it.each(sample.map((one) => [one.id, one] as const))(
    'notices any changed answer of %s',
    (_id, one) => {
      if (runCase(one, machines).status !== 'passed') return;
      one.steps.forEach((step, i) => {
        for (const [field, value] of Object.entries(step.expect ?? {})) {
          if (step.approx.includes(field)) continue;
          const expectation = { ...step.expect, [field]: corrupted(value) };
          const steps = one.steps.map((s, n) => (n === i ? { ...s, expect: expectation } : s));
          const result = runCase({ ...one, steps }, machines);
          expect(result.difference?.step, `step ${i}, ${field}`).toBe(i);
        }
      });
    },
  );
});
