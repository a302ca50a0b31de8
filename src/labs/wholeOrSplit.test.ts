/** D2, D8: large folios to a device, whole or split. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';
import { wholeOrSplit as lab } from './wholeOrSplit.ts';

const result = runLab(lab, { seed: 1, settings: [] }, 'test');
const reader = new FigureReader(result.figures);
const SPLIT = 'split (6.12)';
const WHOLE = 'whole (7.3)';

describe('2 MiB to the device and back', () => {
  it('DM-60, DM-61: 512 pieces up to 6.18, one from 6.19 on', () => {
    for (const mib of [2, 8, 32]) {
      expect(reader.number('migration', [SPLIT, mib], 'pieces')).toBe(512);
      expect(reader.number('migration', [WHOLE, mib], 'pieces')).toBe(1);
      expect(reader.number('migration', [SPLIT, mib], 'CPU faults')).toBe(512);
      expect(reader.number('migration', [WHOLE, mib], 'CPU faults')).toBe(1);
    }
    expect(reader.column('migration', 'wrong')).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('meets the measurement that its costs come from', () => {
    const [split, whole] = result.published;
    expect(Math.abs(split.deviation)).toBeLessThan(0.05);
    expect(Math.abs(whole.deviation)).toBeLessThan(0.05);
  });
});

describe('beside the measurements that no cost comes from', () => {
  it('D8: the kernel’s test device: +350 % throughput, -80 % latency, within a third', () => {
    const [, , throughput, latency] = result.published;
    expect(throughput).toMatchObject({ published: 350, unit: '%' });
    expect(Math.abs(throughput.deviation)).toBeLessThan(0.34);
    expect(Math.abs(latency.deviation)).toBeLessThan(0.1);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^7\.\d times the throughput to the device and 9\d/);
    expect(result.verdict).toMatch(/no content is lost\.$/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });

  it('turned around', () => {
    const other = withFigures(lab, result, [
      { figure: 'migration', row: [WHOLE], column: 'there at', to: 1 },
      { figure: 'migration', row: [WHOLE, 32], column: 'wrong', to: 3 },
      { figure: 'copy', row: [WHOLE], column: 'of the way there', to: 20 },
    ]);
    expect(other.verdict).toMatch(/^Nothing: .* 3 pages have wrong contents\.$/);
    expect(other.positions.map(({ support }) => support)).toEqual([
      'not supported',
      'not supported',
    ]);
  });
});
