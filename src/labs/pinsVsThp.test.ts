/** E4, E6: pins against huge pages. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { pinsVsThp as lab } from './pinsVsThp.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['memory=128'] }, 'test');
const reader = new FigureReader(result.figures);
const last = (column: string) => reader.column('shares', column).at(-1)!;

describe('huge pages beside pins (PM-51, PM-90)', () => {
  it('pins cost huge pages where they lie scattered, less where they leave the zone', () => {
    for (const variant of ['no ZONE_MOVABLE', 'half, before', 'half, after']) {
      expect(reader.number('shares', [0], variant)).toBeGreaterThan(85);
    }
    expect(last('half, before')).toBeLessThan(70);
    expect(last('half, after')).toBeGreaterThan(last('half, before') + 10);
    expect(last('half, after')).toBeGreaterThan(last('no ZONE_MOVABLE') + 10);
  });
});

describe('the verdict follows the figures', () => {
  it('names the variant that loses least', () => {
    expect(result.verdict).toMatch(/pins cost least with: half, after\.$/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
    const turned = withFigures(lab, result, [
      { figure: 'shares', row: [160], column: 'half, after', to: 1 },
      { figure: 'shares', row: [160], column: 'no ZONE_MOVABLE', to: 99 },
    ]);
    expect(turned.verdict).toMatch(/pins cost least with: no ZONE_MOVABLE\.$/);
    expect(turned.positions.map(({ support }) => support)).toEqual(['not supported', 'partly']);
  });
});
