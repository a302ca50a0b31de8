/** D10: what random use finds in each scheme; the verdict follows the figures. */
import { describe, expect, it } from 'vitest';
import { FigureReader } from './figureReader.ts';
import { peerTrial } from './peerTrial.ts';
import { runLab } from './runLab.ts';
import { twoPagesOrOne as lab } from './twoPagesOrOne.ts';

describe('random use of memory that a peer has, too', () => {
  it.each([1, 2, 3])('DM-91: without a guard it is corrupted, seed %i', (seed) => {
    expect(peerTrial('unsynced', seed, 4000).corrupted).toBeGreaterThan(0);
  });

  it.each([1, 2, 3])('freed with the last page: nothing foreign, but stores are lost', (seed) => {
    const found = peerTrial('freed-last', seed, 4000);
    expect([found.corrupted, found.leaks]).toEqual([0, []]);
    expect(found.lost).toBeGreaterThan(0);
  });

  it.each([1, 2, 3])('one count: nothing is lost, but pages cannot come home', (seed) => {
    const found = peerTrial('one-count', seed, 4000);
    expect([found.corrupted, found.lost, found.leaks]).toEqual([0, 0, []]);
    expect(found.failedAccesses).toBeGreaterThan(0);
  });

  it.each([1, 2, 3])('DM-91: ranges that are revoked do neither, seed %i', (seed) => {
    const { stores, mappedAgain, refused, ...found } = peerTrial('ranges', seed, 4000);
    expect(found).toEqual({ corrupted: 0, lost: 0, failedAccesses: 0, leaks: [] });
    const others = peerTrial('unsynced', seed, 4000);
    expect(stores).toBeGreaterThan(0.8 * others.stores);
    expect(mappedAgain).toBeGreaterThan(0);
    expect(refused).toBeLessThan(0.2 * stores);
    expect([others.mappedAgain, others.refused]).toEqual([0, 0]);
  });
});

it('its verdict and findings change with the figures', () => {
  const result = runLab(lab, { seed: 1, settings: ['steps=4000'] }, '');
  expect(result.verdict).toContain('Only ranges keeps');
  expect(result.positions.map(({ support }) => support)).toEqual(['supported', 'supported']);
  const rows = result.figures[0].rows.map((row) => [row[0], row[1], 1, ...row.slice(3)]);
  const changed = new FigureReader([{ ...result.figures[0], rows }]);
  expect(lab.verdict(changed)).toContain('No scheme');
  expect(lab.positions[1].judge(changed).support).toBe('not supported');
});
