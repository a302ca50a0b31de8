/** D11: the verdict follows the figures; what fits is what the map has room for. */
import { expect, it } from 'vitest';
import { FigureReader } from '../../src/labs/figureReader.ts';
import { noRoomInMap as lab } from '../../src/labs/noRoomInMap.ts';
import { runLab } from '../../src/labs/runLab.ts';

const run = (free: number) => runLab(lab, { seed: 1, settings: [`free=${free}`] }, '');

it('DM-80, DM-82: in the map as much fits as is unused; DM-81: offsets need none of it', () => {
  const outcomes = (free: number, column: number) => {
    return run(free).figures[0].rows.map((row) => row[column]);
  };
  const registered = 'registered';
  expect(outcomes(2, 1)).toEqual([registered, registered, '-ENOMEM', '-ENOMEM', '-ENOMEM']);
  expect(outcomes(0, 1)).not.toContain(registered);
  expect(new Set(outcomes(0, 2))).toEqual(new Set([registered]));
  expect(outcomes(2, 3)).toEqual(outcomes(2, 1));
});

it('its verdict and findings change with the figures', () => {
  const { figures, verdict, positions } = run(2);
  const rows = figures[0].rows.map((row) => row.map((cell) => (cell === 64 ? 63 : cell)));
  const changed = new FigureReader([{ ...figures[0], rows }]);
  expect(positions[0].support).toBe('supported');
  expect(lab.positions[0].judge(changed).support).toBe('not supported');
  const none = rows.map((row) => [row[0], '-ENOMEM', ...row.slice(2)]);
  expect(lab.verdict(new FigureReader([{ ...figures[0], rows: none }]))).not.toBe(verdict);
});
