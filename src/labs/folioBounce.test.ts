/** D8, D13: a large folio that device and CPU take turns with. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { folioBounce as lab } from './folioBounce.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['rounds=3'] }, 'test');
const reader = new FigureReader(result.figures);

describe('turns of CPU and device', () => {
  it('DM-62, DM-64: whole moves all pages there and back, split those that are touched', () => {
    for (const touched of [1, 16, 512]) {
      expect(reader.number('rounds', [touched], 'whole, moved')).toBe(1024);
      expect(reader.number('rounds', [touched], 'whole, faults')).toBe(2);
      expect(reader.number('rounds', [touched], 'split, moved')).toBe(2 * touched);
      expect(reader.number('rounds', [touched], 'split, faults')).toBe(touched + 1);
    }
  });

  it('nothing is lost', () => {
    expect(new Set(reader.column('rounds', 'wrong'))).toEqual(new Set([0]));
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^Yes while the CPU writes at most 8 of 512 pages \(1\.6 %\)/);
    expect(result.verdict).toMatch(/nothing is lost\.$/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'partly']);
  });

  it('had splitting always paid, or never', () => {
    const split = (to: number) => {
      return withFigures(lab, result, [{ figure: 'rounds', row: [], column: 'split', to }]);
    };
    expect(split(1).verdict).toMatch(/^Yes while the CPU writes at most 512 of 512/);
    expect(split(1).positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
    expect(split(1e6).verdict).toMatch(/^No, not even for 1 of 512 pages/);
    expect(split(1e6).positions.map(({ support }) => support)).toEqual([
      'not supported',
      'not supported',
    ]);
  });
});
