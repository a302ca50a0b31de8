/** D9: where a copy pays; the verdict follows the figures. */
import { expect, it } from 'vitest';
import { FigureReader } from './figureReader.ts';
import { filesOnDevice as lab } from './filesOnDevice.ts';
import { runLab } from './runLab.ts';

const result = runLab(lab, { seed: 1, settings: [] }, '');
const read = new FigureReader(result.figures);

it('DM-85: pages go there, every look-up brings one back, nothing is wrong', () => {
  const [moved] = read.column('density', 'to device');
  expect(moved).toBe(64);
  expect(new Set(read.column('density', 'look-ups'))).toEqual(new Set([64]));
  expect(new Set(read.column('density', 'wrong'))).toEqual(new Set([0]));
});

it('the denser the access, the better a copy', () => {
  const gains = read.column('density', 'gain');
  expect([...gains].sort((a, b) => a - b)).toEqual(gains);
  expect(gains[0]).toBeLessThan(1);
  expect(gains.at(-1)).toBeGreaterThan(1);
});

it('DM-86: writeback fetches what the device wrote, and the pages stay', () => {
  expect(new Set(read.column('written', 'fetched for writeback'))).toEqual(new Set([64]));
  expect(new Set(read.column('written', 'to device'))).toEqual(new Set([64]));
  // Those of the last round are there still.
  expect(new Set(read.column('written', 'home'))).toEqual(new Set([32]));
  expect(new Set(read.column('written', 'wrong'))).toEqual(new Set([0]));
  expect(read.column('written', 'gain').at(-1)).toBeGreaterThan(1);
});

it('its verdict and findings change with the figures', () => {
  const rows = result.figures[0].rows.map((row) => [
    row[0],
    row[1],
    row[2],
    0.5,
    row[4],
    row[5],
    1,
  ]);
  const stale = result.figures[1].rows.map((row) => [
    ...row.slice(0, 3),
    0.5,
    ...row.slice(4, 7),
    2,
  ]);
  const changed = new FigureReader([
    { ...result.figures[0], rows },
    { ...result.figures[1], rows: stale },
  ]);
  expect(lab.verdict(changed)).toMatch(/never pay between two fsync; writeback misses 14 pages/);
  expect(result.positions[2].support).toBe('not supported');
  expect(lab.positions.map((one) => one.judge(changed).support)).toEqual([
    'not supported',
    'not supported',
    'supported',
  ]);
});
