/** A8: when hot pages belong on slower memory. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { latencyOrBandwidth as lab } from './latencyOrBandwidth.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: [] }, 'test');
const reader = new FigureReader(result.figures);

describe('hot pages on DRAM and expanders (PP-48, TI-82)', () => {
  it('one core loses by every page on CXL, 64 gain by some', () => {
    const one = reader.column('shares', '1 core');
    expect([...one].sort((a, b) => b - a)).toEqual(one);
    expect(reader.number('loads', [1], 'best share on CXL')).toBe(0);
    expect(reader.number('loads', [64], 'best share on CXL')).toBeGreaterThan(15);
    expect(reader.number('loads', [64], 'latency')).toBeLessThan(
      reader.number('loads', [64], 'DRAM latency'),
    );
  });

  it('the best share grows with the load; an even one is too much at any', () => {
    const best = reader.column('loads', 'best share on CXL');
    expect([...best].sort((a, b) => a - b)).toEqual(best);
    const dram = reader.column('loads', 'all in DRAM');
    for (const [i, evenly] of reader.column('loads', 'evenly').entries()) {
      expect(evenly).toBeLessThan(dram[i] / 2);
    }
  });

  it('is within a tenth of the published figures', () => {
    expect(result.published).toHaveLength(3);
    for (const { deviation } of result.published) expect(Math.abs(deviation)).toBeLessThan(0.1);
  });

  it('other mixes have no published figures beside them', () => {
    expect(runLab(lab, { seed: 1, settings: ['reads=100'] }, 'test').published).toEqual([]);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^From 16 cores on, .* with 64 cores 24 % on CXL give/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  });

  it('never, or always', () => {
    const never = withFigures(lab, result, [
      { figure: 'loads', row: [], column: 'best share on CXL', to: 0 },
      { figure: 'loads', row: [], column: 'gain', to: 0 },
    ]);
    expect(never.verdict).toMatch(/^Never up to 64 cores/);
    expect(never.positions.map(({ support }) => support)).toEqual(['not supported', 'supported']);
    const always = withFigures(lab, result, [
      { figure: 'loads', row: [], column: 'best share on CXL', to: 20 },
    ]);
    expect(always.verdict).toMatch(/^From 1 cores on/);
    expect(always.positions[1].support).toBe('not supported');
  });
});
