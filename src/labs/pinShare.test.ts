/** E5: how much can be pinned, by the size of ZONE_MOVABLE (PM-52, PM-56). */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { pinShare as lab } from './pinShare.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['memory=128'] }, 'test');
const reader = new FigureReader(result.figures);

describe('pinning all one can (PM-16, PM-25)', () => {
  it('PM-56: before: wherever the memory is; after: what ZONE_NORMAL holds', () => {
    expect(reader.number('shares', [50], 'before')).toBeGreaterThan(85);
    const after = reader.column('shares', 'after');
    expect([...after].sort((a, b) => b - a)).toEqual(after);
    expect(reader.number('shares', [50], 'after')).toBeLessThan(46);
    expect(reader.number('shares', [50], 'free then')).toBeGreaterThan(60);
    expect(reader.number('shares', [0], 'after')).toBe(reader.number('shares', [0], 'before'));
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    const most = reader.number('wanted', ['after'], 'ZONE_MOVABLE at most');
    expect(result.verdict).toContain(`at most ${most} % of the memory can 80 % be pinned`);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });

  it('nothing lost anywhere', () => {
    const same = withFigures(lab, result, [
      { figure: 'shares', row: [], column: 'after', to: 90 },
      { figure: 'wanted', row: ['after'], column: 'ZONE_MOVABLE at most', to: 90 },
    ]);
    expect(same.verdict).toBe('Yes: 80 % can be pinned at every size tried.');
    expect(same.positions[0].support).toBe('not supported');
    expect(same.positions[1].support).toBe('not supported');
  });

  it('never enough', () => {
    const never = withFigures(lab, result, [
      { figure: 'wanted', row: ['after'], column: 'ZONE_MOVABLE at most', to: null },
    ]);
    expect(never.verdict).toMatch(/^No: not even without ZONE_MOVABLE/);
  });
});
