/** A4, A5: samples that have become false; the verdict follows the figures. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';
import { staleHeat as lab } from './staleHeat.ts';

const result = runLab(lab, { seed: 1, settings: ['pages=1024', 'hot=256', 'churn=500'] }, 'test');
const reader = new FigureReader(result.figures);

describe('stale heat', () => {
  it('PP-45: as posted whatever is in the frame moves', () => {
    for (const period of [1, 1000, 10_000]) {
      expect(reader.number('wrong', [period], 'moved as posted')).toBe(256);
      const wrong = reader.number('wrong', [period], 'wrong as posted');
      expect(wrong).toBeCloseTo(reader.number('wrong', [period], 'frames changed'), 6);
    }
    expect(reader.number('wrong', [10_000], 'wrong as posted')).toBeGreaterThan(50);
  });

  it('PP-90, PP-91: with generations nothing wrong does, and what changed is told', () => {
    expect(reader.column('wrong', 'wrong with generations')).toEqual([0, 0, 0, 0, 0]);
    const moved = reader.number('wrong', [1000], 'moved with generations');
    expect(moved + reader.number('wrong', [1000], '-ESTALE')).toBe(256);
  });

  it('nothing is wrong where nothing changes', () => {
    const still = runLab(lab, { seed: 1, settings: ['pages=256', 'hot=64', 'churn=0'] }, 'test');
    expect(still.verdict).toMatch(/^Nothing wrong moved/);
    expect(still.positions.map(({ support }) => support)).toEqual(['not supported', 'supported']);
  });
});

describe('by churn', () => {
  it('nothing is wrong without it, and more with more and with time', () => {
    const at = (churn: number, periodMs: number) => {
      return reader.number('churn', [churn], `after ${periodMs} ms`);
    };
    expect(reader.column('churn', 'churn')).toEqual([0, 5, 50, 500, 5000]);
    expect(at(0, 10_000)).toBe(0);
    expect(at(50, 10_000)).toBeGreaterThan(at(50, 1000));
    expect(at(5000, 1000)).toBeGreaterThan(at(500, 1000));
    expect(at(500, 10_000)).toBe(reader.number('wrong', [10_000], 'wrong as posted'));
  });

  it('says how long samples are good, from the columns beside it', () => {
    const row = reader.figure('churn').rows[3]!;
    const periods = [10, 100, 1000, 10_000];
    const good = periods.filter((_, i) => (row[1 + i] as number) < 1);
    expect(reader.number('churn', [500], 'good for')).toBe(Math.max(0, ...good));
  });

  it('PP-91: with generations nothing wrong moves at any churn', () => {
    expect(reader.column('churn', 'wrong with generations')).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('the verdict follows the figures', () => {
  it('names the share, the period, the cure', () => {
    expect(result.verdict).toMatch(/^As posted up to [0-9.]+ % .*; with generations none/);
    expect(result.positions.map(({ support }) => support)).toEqual(['partly', 'partly']);
    const faster = withFigures(lab, result, [
      { figure: 'churn', row: [5], column: 'good for', to: 77 },
    ]);
    expect(faster.verdict).toContain('Samples are good for 77 ms at 5 pages/s, ');
  });

  it('a guard that lets something through is no cure', () => {
    const leaky = withFigures(lab, result, [
      { figure: 'wrong', row: [10_000], column: 'wrong with generations', to: 7 },
    ]);
    expect(leaky.verdict).toContain('with generations still 7 %');
    expect(leaky.positions[0]!.support).toBe('supported');
  });
});
