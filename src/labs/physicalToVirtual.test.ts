/** A6: from a frame back to who maps it. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { physicalToVirtual as lab } from './physicalToVirtual.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['memory=1', 'hot=64'] }, 'test');
const reader = new FigureReader(result.figures);
const WRITTEN = 'forked, parent’s';

describe('rmap and pagemap', () => {
  it('find the same mappings (PP-13, HS-20)', () => {
    for (const id of ['size', 'sharing', 'hot']) {
      expect(reader.column(id, 'by pagemap')).toEqual(reader.column(id, 'found by rmap'));
    }
    expect(reader.number('sharing', ['shared mapping', 16], 'found by rmap')).toBe(16 * 64);
    expect(reader.number('sharing', ['separate', 16], 'found by rmap')).toBe(64);
  });

  it('PP-21: rmap looks at every area that may map, of forks that have written, too', () => {
    expect(reader.number('sharing', [WRITTEN, 64], 'areas a frame')).toBe(64);
    expect(reader.number('sharing', [WRITTEN, 64], 'found by rmap')).toBe(64);
    expect(reader.number('sharing', ['separate', 64], 'areas a frame')).toBe(1);
  });

  it('PP-41: rmap costs by frame, pagemap by memory', () => {
    expect(new Set(reader.column('size', 'rmap')).size).toBe(1);
    expect(reader.column('size', 'read')).toEqual([0.03, 0.13, 0.5, 2]);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toContain('rmap is cheaper while at most 20 % of the frames are hot.');
    expect(result.verdict).toContain('After 63 forks rmap looks at 64 areas for 1 mapping.');
    expect(result.positions[0].support).toBe('partly');
  });

  it('turns with the times', () => {
    const column = 'pagemap : rmap';
    const to = (ratio: number) => {
      return withFigures(
        lab,
        result,
        ['size', 'sharing', 'hot'].map((figure) => ({ figure, row: [], column, to: ratio })),
      );
    };
    expect(to(2).verdict).toContain('rmap is cheaper however much is hot');
    expect(to(2).positions[0].support).toBe('supported');
    expect(to(0.5).verdict).toContain('rmap is never cheaper');
    expect(to(0.5).positions[0].support).toBe('not supported');
  });
});
