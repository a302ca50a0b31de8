/** E1, E2, E4: CMA and alloc_contig_range beside pins. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { cma as lab } from './cma.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['memory=128'] }, 'test');
const reader = new FigureReader(result.figures);
const got = (variant: string) => reader.column('got', variant);
const AFTER = 'long pins of held pages, after';
const BEFORE = 'long pins of held pages, before';

describe('a CMA area beside pins (PM-15, PM-82, PM-83)', () => {
  it('is all there without pins, and beside long ones, which leave it', () => {
    for (const variant of ['short pins', 'long pins', BEFORE, AFTER]) {
      expect(got(variant)[0]).toBe(100);
    }
    expect(Math.min(...got('long pins'))).toBe(100);
    expect(reader.number('work', ['long pins'], 'migrated for the pins')).toBe(64);
  });

  it('loses a buffer for every stretch with a short pin', () => {
    const [none, one, two] = got('short pins');
    const buffer = 100 / 32;
    expect(none - one).toBeCloseTo(buffer, 0);
    expect(two).toBeLessThanOrEqual(one);
    expect(got('short pins').at(-1)).toBeLessThan(one);
  });

  it('PM-54: a pin that cannot leave fails, since 5.13; it stayed before', () => {
    expect(reader.number('work', [AFTER], 'failed')).toBe(64);
    expect(reader.number('work', [BEFORE], 'failed')).toBe(0);
    expect(Math.min(...got(AFTER))).toBe(100);
    expect(got(BEFORE)).toEqual(got('short pins'));
  });

  it('PM-60: without an area the kernel’s pages decide; ZONE_MOVABLE has none', () => {
    expect(reader.number('places', ['ZONE_MOVABLE'], 'share')).toBe(100);
    expect(reader.number('places', ['ZONE_NORMAL'], 'share')).toBeLessThan(95);
  });
});

describe('the verdict follows the figures', () => {
  it('what would be otherwise is said otherwise', () => {
    expect(result.verdict).toContain('100 % beside long ones, which leave it');
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
    const turned = withFigures(lab, result, [
      { figure: 'got', row: [64], column: 'long pins', to: 3 },
      { figure: 'got', row: [64], column: AFTER, to: 2 },
    ]);
    expect(turned.verdict).toContain('3 % beside long ones');
    const supports = turned.positions.map(({ support }) => support);
    expect(supports).toEqual(['not supported', 'not supported']);
  });
});
