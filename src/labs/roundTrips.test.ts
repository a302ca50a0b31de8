/** D4, D5: back and forth between system and device memory. */
import { describe, expect, it } from 'vitest';
import { withFigures } from '../../test/labs/canary.ts';
import { FigureReader } from './figureReader.ts';
import { roundTrips as lab } from './roundTrips.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: ['rounds=100'] }, 'test');
const reader = new FigureReader(result.figures);
const at = (device: string, kind: string, column: string) => {
  return reader.number('trips', [device, kind], column);
};

describe('a hundred trips', () => {
  it('DM-50, DM-53: nothing is lost, nothing is left', () => {
    for (const column of ['lost', 'left on the device', 'invariants broken']) {
      expect(new Set(reader.column('trips', column))).toEqual(new Set([0]));
    }
  });

  it.each(['anonymous', 'anonymous, forked', 'private file'])('DM-41: %s', (kind) => {
    expect(at('private', kind, 'there')).toBe(16);
    expect(at('private', kind, 'back')).toBe(16);
    expect(at('private', kind, 'CPU faults')).toBe(16);
    expect(at('coherent', kind, 'CPU faults')).toBe(0);
    expect(at('coherent', kind, 'back')).toBe(16);
  });

  it('DM-30, DM-43: mprotect, fork, pins, compaction and swapping out in between', () => {
    for (const device of ['private', 'coherent']) {
      expect(at(device, 'anonymous, disturbed', 'there')).toBe(16);
      expect(at(device, 'anonymous, disturbed', 'lost')).toBe(0);
    }
    // Long-term pins take pages of coherent memory back by themselves.
    expect(at('coherent', 'anonymous, disturbed', 'back')).toBeLessThan(16);
  });

  it('DM-62: a huge page goes and comes back by one fault each', () => {
    expect(at('private', 'anonymous, 2 MiB', 'back')).toBe(512);
    expect(at('private', 'anonymous, 2 MiB', 'CPU faults')).toBe(1);
  });

  it('DM-23: a huge page of coherent memory is not selected to come back', () => {
    expect(at('coherent', 'anonymous, 2 MiB', 'there')).toBe(5.12);
    expect(at('coherent', 'anonymous, 2 MiB', 'back')).toBe(0);
  });

  it.each(['shared anonymous', 'shared file'])('D5, DM-85, DM-86: %s goes, by name', (kind) => {
    const row = `${kind}, experimental`;
    const columns = ['there', 'back', 'CPU faults', 'over the link', 'lost'];
    expect(columns.map((one) => at('private', row, one))).toEqual([16, 16, 16, 0, 0]);
  });

  it.each(['shared anonymous', 'shared file'])('DM-30: %s stays', (kind) => {
    expect(at('private', kind, 'there')).toBe(0);
    expect(at('private', kind, 'over the link')).toBe(100);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^Yes: no word is lost, nothing is left on the device\./);
    expect(result.verdict).toContain('used over the link: shared anonymous, shared file.');
    expect(result.verdict).toContain('does not give back: anonymous, 2 MiB');
    expect(result.positions.map(({ support }) => support)).toEqual(['partly', 'not supported']);
  });

  it('a word is lost', () => {
    const row = ['private', 'anonymous'];
    const lost = withFigures(lab, result, [{ figure: 'trips', row, column: 'lost', to: 1 }]);
    expect(lost.verdict).toMatch(/^No: 1 words are lost, 0 pages are left/);
    expect(lost.positions.map(({ support }) => support)).toEqual(['not supported', 'supported']);
  });
});
