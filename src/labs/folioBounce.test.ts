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

describe('pages that stay where they are (D13)', () => {
  it('DM-64: over the link nothing moves and nobody faults from the second round on', () => {
    const counters = result.data['link, 16'];
    expect(counters.pagesFromDevice).toBe(16);
    expect(counters.cpuFaults).toBe(16);
    expect(counters.remoteAccesses).toBe(16 * 3);
    expect(counters.exclusiveEnded).toBe(0);
  });

  it('DM-70: exclusively, both sides fault once a page and round, and nothing moves', () => {
    const counters = result.data['exclusive, 16'];
    expect(counters.pagesFromDevice).toBe(16);
    expect(counters.exclusiveEnded).toBe(2 * 16);
    expect(counters.deviceFaults - result.data['link, 16'].deviceFaults).toBe(2 * 16);
  });

  it('DM-64: a driver that chooses by use ends at 2 MiB where the CPU wants many', () => {
    expect(result.data['by use, 64'].pagesMerged).toBe(512);
    expect(result.data['by use, 4'].pagesMerged).toBe(0);
    expect(result.data['whole, 64'].pagesMerged).toBe(0);
  });

  it('more accesses of the device favour its own memory', () => {
    const [link, split] = ['link', 'split'].map((way) => reader.column('reuse', way));
    expect(link[0] / split[0]).toBeLessThan(link.at(-1)! / split.at(-1)!);
  });
});

describe('the verdict follows the figures', () => {
  it('as measured', () => {
    expect(result.verdict).toMatch(/^Yes while the CPU writes at most 8 of 512 pages \(1\.6 %\)/);
    expect(result.verdict).toMatch(/nothing is lost\. Leaving the pages .* up to 512 of 512 pages/);
    expect(result.verdict).toMatch(/accesses each page 8192 times or more a round\.$/);
    expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'partly']);
  });

  it('had using pages in place never paid', () => {
    const change = { figure: 'ways', row: [], column: 'least', to: 'split' };
    const { verdict } = withFigures(lab, result, [change]);
    expect(verdict).toMatch(/Leaving the pages where they are pays for none\.$/);
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
