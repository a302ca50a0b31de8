/** B4, A7: pages moved by heat that a device knows by its own addresses. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { deviceAddresses as lab } from './deviceAddresses.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['memory=16'] }, 'test');
const reader = new FigureReader(result.figures);
const [LINEAR, MODULO, XOR] = ['one after the other', 'modulo decoders', 'XOR decoders'];
const decoded = (row: (string | number)[], column: string) => reader.number('decode', row, column);
const unit = (row: number[], column: string) => reader.number('units', row, column);

describe('from DPA to pages', () => {
  it('PP-42, HS-45, HS-47: exact by the decoders as programmed, modulo and XOR', () => {
    for (const way of [MODULO, XOR]) {
      expect(decoded([4, way, way], 'hot pages found')).toBe(100);
      expect(decoded([4, way, way], 'hot of them')).toBe(100);
      expect(decoded([4, way, way], 'hot moved')).toBe(decoded([4, way, way], 'named'));
    }
    expect(decoded([4, MODULO, LINEAR], 'hot pages found')).toBeLessThan(20);
    expect(decoded([4, XOR, MODULO], 'hot pages found')).toBeLessThan(60);
    expect(decoded([1, MODULO, LINEAR], 'hot pages found')).toBe(100);
  });

  it('HS-50: a unit above the granularity has parts of as many pages as there are ways', () => {
    expect(unit([1, 256, 4096], 'hot of them')).toBe(100);
    expect(unit([2, 256, 4096], 'hot of them')).toBeLessThan(56);
    expect(unit([4, 256, 4096], 'hot of them')).toBeLessThan(32);
    expect(unit([8, 256, 256], 'hot of them')).toBe(100);
    expect(unit([8, 4096, 4096], 'hot of them')).toBe(100);
  });

  it('and one hot page among eight is not enough to make it hot', () => {
    expect(unit([4, 256, 4096], 'hot pages found')).toBe(100);
    expect(unit([8, 256, 4096], 'hot pages found')).toBeLessThan(50);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^Yes, by the decoders as programmed: 100 % of the hot pages/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'partly']);
  });

  it('were the way back wrong, or every unit exact', () => {
    const row = [4, XOR, XOR];
    const wrong = withFigures(lab, result, [
      { figure: 'decode', row, column: 'hot pages found', to: 40 },
    ]);
    expect(wrong.verdict).toMatch(/^Not wholly: 40 % of the hot pages are found/);
    expect(wrong.positions[0].support).toBe('not supported');
    const exact = withFigures(lab, result, [
      { figure: 'units', row: [], column: 'hot pages found', to: 100 },
      { figure: 'units', row: [], column: 'hot of them', to: 100 },
    ]);
    expect(exact.positions[1].support).toBe('not supported');
  });
});
