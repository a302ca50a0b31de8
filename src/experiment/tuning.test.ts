import { describe, expect, it } from 'vitest';
import { findPolicy, type Knob, oneOfKnob, resolveKnobs } from '../policy/index.ts';
import { knobVariants } from './dramPlan.ts';
import { bestTry, type TriedKnobs, tunableKnobs, variantsOf } from './tuning.ts';

const KNOBS: readonly Knob[] = [
  { kind: 'integer', name: 'n', default: 4, min: 1, max: 6, unit: '', doc: '' },
  { kind: 'boolean', name: 'b', default: false, doc: '' },
  { kind: 'choice', name: 'c', default: 'x', choices: ['x', 'y'], doc: '' },
];

describe('variantsOf', () => {
  it('the next values of those that alone are accepted', () => {
    const ways = oneOfKnob('ways', 4, [1, 2, 3, 4, 6, 8], '', '');
    expect(knobVariants(ways, 4)).toEqual([3, 6]);
    expect(knobVariants(ways, 8)).toEqual([6]);
  });

  it('half and twice within the limits, the other choices', () => {
    const values = resolveKnobs(KNOBS, {}).values;
    expect(variantsOf(KNOBS, values, [])).toEqual([{ n: 2 }, { n: 6 }, { b: true }, { c: 'y' }]);
  });

  it('all gains of the round before at once, the better value of a knob', () => {
    const values = resolveKnobs(KNOBS, { n: 2 }).values;
    const gains: TriedKnobs[] = [
      { changes: { b: true }, slowdown: 1.2 },
      { changes: { n: 6 }, slowdown: 1.3 },
      { changes: { n: 2 }, slowdown: 1.1 },
    ];
    const variants = variantsOf(KNOBS, values, gains);
    // n is 2 already.
    expect(variants).toEqual([{ n: 1 }, { n: 4 }, { b: true }, { c: 'y' }]);
    const fromFour = variantsOf(KNOBS, resolveKnobs(KNOBS, {}).values, gains);
    expect(fromFour[fromFour.length - 1]).toEqual({ n: 2, b: true });
  });

  it('leaves the knobs of heat sources that were not chosen', () => {
    const { knobs } = findPolicy('hemem')!;
    const { values } = resolveKnobs(knobs, { source: 'pebs' });
    const names = tunableKnobs(knobs, values).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('pebs.'))).not.toEqual([]);
    expect(names.filter((name) => name.startsWith('hint-faults.'))).toEqual([]);
    expect(names).not.toContain('pebs.programNs');
  });
});

describe('bestTry', () => {
  const tried: TriedKnobs[] = [
    { changes: { n: 2 }, slowdown: 1.99 },
    { changes: { n: 6 }, slowdown: 1.8 },
    { changes: { b: true }, slowdown: null },
  ];

  it('the best step that gains enough', () => {
    expect(bestTry({ slowdown: 2, tried }, 0.01)).toBe(tried[1]);
    expect(bestTry({ slowdown: 2, tried }, 0.2)).toBeNull();
  });
});
