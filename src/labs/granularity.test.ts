/** A7: what a heat map of small units moves. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { granularity as lab } from './granularity.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['memory=8', 'hot=40'] }, 'test');
const reader = new FigureReader(result.figures);
const at = (folios: string, call: string, unit: number, column: string) => {
  return reader.number('moved', [folios, call, unit], column);
};

describe('units of a page, pages of a folio', () => {
  it('PP-28, PP-46: the smaller the unit the more entries, all but one a page refused', () => {
    const moved = at('4 KiB', 'as posted', 4096, 'moved');
    for (const unit of [256, 1024, 4096]) {
      const entries = at('4 KiB', 'as posted', unit, 'entries');
      expect(at('4 KiB', 'as posted', unit, '-ENOENT')).toBe(entries - moved);
      expect(at('4 KiB', 'as posted', unit, 'of them moved')).toBe(100);
    }
    expect(at('4 KiB', 'as posted', 256, 'entries')).toBeGreaterThan(5 * moved);
    expect(at('4 KiB', 'folded to pages', 256, '-ENOENT')).toBe(0);
  });

  it('PP-11: folding does not help where tails are refused; PP-66: allowed tails do', () => {
    const posted = at('64 KiB', 'as posted', 256, 'of them moved');
    expect(posted).toBeLessThan(60);
    expect(at('64 KiB', 'folded to pages', 256, 'of them moved')).toBe(posted);
    for (const folios of ['4 KiB', '64 KiB', '2 MiB']) {
      expect(at(folios, 'tails allowed', 256, 'of them moved')).toBe(100);
      expect(at(folios, 'tails allowed', 256, '-ENOENT')).toBe(0);
    }
  });

  it('PP-76: nothing is migrated twice', () => {
    expect(new Set(reader.column('moved', 'moved again'))).toEqual(new Set([0]));
  });

  it('whole folios move: little of a huge one is hot', () => {
    expect(at('2 MiB', 'tails allowed', 256, 'hot of what moved')).toBeLessThan(10);
    expect(at('4 KiB', 'tails allowed', 256, 'hot of what moved')).toBe(100);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured, and if tails were taken', () => {
    expect(result.verdict).toMatch(/^As posted the call moves 100 % of the hot 4 KiB folios/);
    expect(result.verdict).toMatch(/Nothing is migrated twice\.$/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'partly']);
    const taken = withFigures(lab, result, [
      { figure: 'moved', row: ['2 MiB', 'as posted'], column: 'of them moved', to: 100 },
      { figure: 'moved', row: ['2 MiB', 'as posted', 256], column: 'moved again', to: 7 },
    ]);
    expect(taken.positions.map(({ support }) => support)).toEqual(['not supported', 'supported']);
    expect(taken.verdict).toMatch(/7 pages are migrated twice\.$/);
  });
});
