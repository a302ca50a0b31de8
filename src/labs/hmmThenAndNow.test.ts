/** D1: what each interface takes; the verdict follows the figure. */
import { describe, expect, it } from 'vitest';
import { FigureReader } from './figureReader.ts';
import { hmmThenAndNow as lab } from './hmmThenAndNow.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: [] }, '');
const rows = new Map(result.figures[0].rows.map((row) => [row[0], row.slice(2)]));

describe('hmm_migrate and migrate_vma', () => {
  it.each([
    ['written', [16, 16, 16, 16, 0]],
    ['written, one page held (GUP)', [15, 15, 15, 15, 0]],
    ['written, one page in swap', [15, 15, 15, 15, 0]],
    ['shared file', [0, 0, 0, 0, 0]],
  ])('DM-96: both alike: %s', (kind, cells) => {
    expect(rows.get(kind)).toEqual(cells);
  });

  it.each([
    ['never touched', 16],
    ['zero page', 16],
    ['huge page', 512],
  ])('DM-98: today alone: %s', (kind, pages) => {
    expect(rows.get(kind)).toEqual([0, 0, pages, pages, 0]);
  });

  it('the verdict and findings change with the figures', () => {
    expect(result.verdict).toContain('never touched, zero page, huge page.');
    expect(result.verdict).toContain('No content is lost.');
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
    const other = result.figures[0].rows.map((row) => [row[0], row[1], 9, 8, 9, 9, 1]);
    const changed = new FigureReader([{ ...result.figures[0], rows: other }]);
    expect(lab.verdict(changed)).toContain('takes: nothing.');
    expect(lab.verdict(changed)).toContain('7 pages have wrong contents.');
    expect(lab.positions.map((one) => one.judge(changed).support)).toEqual([
      'not supported',
      'not supported',
    ]);
  });
});
