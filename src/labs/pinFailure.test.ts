/** E1, E2: failing pins lose nothing. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { pinFailure as lab } from './pinFailure.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['pages=64'] }, 'test');
const reader = new FigureReader(result.figures);

describe('pins that cannot be had', () => {
  it.each([
    ['room in ZONE_NORMAL', '64 pages', 64, '64 pages'],
    ['a page is referenced', '-ENOMEM', 63, '64 pages'],
    ['a page is pinned for short', '-ENOMEM', 63, '64 pages'],
    ['fs-dax', '-EOPNOTSUPP', 0, '64 pages'],
    ['fs-dax, short pin', '64 pages', 0, '64 pages'],
    ['short pin', '64 pages', 0, '64 pages'],
  ])('PM-3, PM-17, PM-22, PM-98: %s', (name, returned, moved, again) => {
    expect(reader.text('cases', [name], 'returned')).toBe(returned);
    expect(reader.number('cases', [name], 'moved to NORMAL')).toBe(moved);
    expect(reader.text('cases', [name], 'again')).toBe(again);
  });

  it('PM-25, PM-96: without room -ENOMEM, and what was moved stays moved', () => {
    const name = 'no room in ZONE_NORMAL';
    expect(reader.text('cases', [name], 'returned')).toBe('-ENOMEM');
    expect(reader.number('cases', [name], 'moved to NORMAL')).toBeLessThan(64);
    expect(reader.number('cases', [name], 'left pinned')).toBe(0);
    expect(reader.text('cases', [name], 'again')).toBe('64 pages');
  });
});

describe('the verdict follows the figures', () => {
  const row = ['a page is referenced'] as const;

  it('nothing lost', () => {
    expect(result.verdict).toBe(
      'Yes: 0 contents are lost and 0 of 4 failures leave pins behind; ' +
        '4 of 4 succeed once nothing is in the way.',
    );
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });

  it.each(['contents lost', 'left pinned'])('a change of "%s" makes it no', (column) => {
    const bad = withFigures(lab, result, [{ figure: 'cases', row, column, to: 1 }]);
    expect(bad.verdict).toMatch(/^No: /);
  });

  it('pins in ZONE_MOVABLE, pages moved before the fs-dax check', () => {
    const bad = withFigures(lab, result, [
      { figure: 'cases', row, column: 'long pins in MOVABLE', to: 1 },
      { figure: 'cases', row: ['fs-dax'], column: 'moved to NORMAL', to: 1 },
    ]);
    const supports = bad.positions.map(({ support }) => support);
    expect(supports).toEqual(['not supported', 'not supported']);
  });
});
