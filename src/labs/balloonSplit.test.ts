/** D7: large blocks in a balloon, split at the start or before migration. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { balloonSplit as lab } from './balloonSplit.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['balloon=16'] }, 'test');
const reader = new FigureReader(result.figures);
const [SINGLE, START, BEFORE] = ['single pages', 'split at the start', 'split before migration'];
const EACH = '1 page of each block';
const at = (kind: string, load: string, column: string) => {
  return reader.number('balloon', [kind, load], column);
};

describe('a balloon of 8 blocks (MC-70, MC-74)', () => {
  it('single pages: a call each; blocks: a call each to inflate', () => {
    expect(at(SINGLE, 'nothing', 'calls to inflate')).toBe(4096);
    expect(at(START, 'nothing', 'calls to inflate')).toBe(8);
    expect(at(START, 'nothing', 'calls to deflate')).toBe(4096);
    expect(at(BEFORE, 'nothing', 'calls to deflate')).toBe(8);
  });

  it('PM-50: a whole block is unmovable to who takes ranges; split pages move', () => {
    expect(at(BEFORE, EACH, 'refused (-EBUSY)')).toBe(8);
    expect(at(START, EACH, 'refused (-EBUSY)')).toBe(0);
    expect(at(START, EACH, 'calls to move')).toBe(8);
    expect(at(START, 'all, whole', 'calls to move')).toBe(4096);
  });

  it('the driver splits what it is asked for, and only that', () => {
    expect(at(BEFORE, '1 page of a quarter', 'whole then')).toBe(6);
    expect(at(BEFORE, '1 page of a quarter', 'entries then')).toBe(6 + 2 * 512);
    expect(at(BEFORE, EACH, 'whole then')).toBe(0);
    expect(new Set(reader.column('balloon', 'stay when asked'))).toEqual(new Set([0]));
    expect(new Set(reader.column('balloon', 'lost or broken'))).toEqual(new Set([0]));
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^Before migration: 16 calls to the host, 4104 if at the start/);
    expect(result.verdict).toMatch(/Today 20 of 20 ranges with whole blocks are refused/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });

  it('were whole blocks movable, and did they cost as many calls', () => {
    const other = withFigures(lab, result, [
      { figure: 'balloon', row: [BEFORE], column: 'refused (-EBUSY)', to: 0 },
      { figure: 'balloon', row: [BEFORE], column: 'calls to deflate', to: 4096 },
    ]);
    expect(other.verdict).toMatch(/^At the start: 4104 calls to the host, else 4104\./);
    expect(other.verdict).toMatch(/Blocks that are whole keep no range from being taken\.$/);
    expect(other.positions.map(({ support }) => support)).toEqual(['partly', 'not supported']);
  });
});
