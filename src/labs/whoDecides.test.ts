/** D14: what each decider costs; the verdict follows the figures. */
import { expect, it } from 'vitest';
import { FigureReader } from './figureReader.ts';
import { runLab } from './runLab.ts';
import { whoDecides as lab } from './whoDecides.ts';

const result = runLab(lab, { seed: 1, settings: ['stream=136'] }, '');
const read = new FigureReader(result.figures);

it('D14: an LRU that does not see the device evicts what it uses', () => {
  const copied = (who: string) => read.number('deciders', [who], 'copied');
  expect(copied('kernel LRU')).toBeGreaterThan(copied('fault'));
  expect(copied('hint')).toBe(16);
  expect(read.number('deciders', ['hint'], 'evicted')).toBe(0);
});

it('its verdict and findings change with the figures', () => {
  const rows = result.figures[0].rows.map((row) => {
    return row[0] === 'kernel LRU' ? [row[0], 0.001, row[2], 0, ...row.slice(4)] : row;
  });
  const changed = new FigureReader([{ ...result.figures[0], rows }]);
  expect(lab.verdict(changed)).toContain('Best decided by kernel LRU');
  expect(lab.verdict(changed)).not.toBe(result.verdict);
  const supports = lab.positions.map((one) => one.judge(changed).support);
  expect(supports).toEqual(['not supported', 'not supported']);
});
