import { describe, expect, it } from 'vitest';
import { HeatTable } from '../heat/index.ts';
import { HeatJudge } from './heatJudge.ts';

const STATS = { samples: 9, lost: 1, programNs: 300, backgroundNs: 50 };

/** Pages with their accesses and the time of the first one. */
function truthOf(pages: readonly (readonly [accesses: number, firstNs: number])[]): HeatTable {
  const truth = new HeatTable();
  for (const [vpn, [accesses, firstNs]] of pages.entries()) {
    truth.see(7, vpn, 1, accesses, 0, -1, firstNs);
  }
  return truth;
}

function reported(judge: HeatJudge, nowNs: number, ...pages: readonly number[]): void {
  const heat = new HeatTable();
  for (const vpn of pages) heat.see(7, vpn, 1, 1, 0, 0, nowNs);
  judge.take(heat, nowNs);
}

const TRUTH = [
  [100, 0],
  [90, 10],
  [80, 20],
  [1, 0],
] as const;

describe('HeatJudge', () => {
  it('measures lag from first access to first report, of hot pages only', () => {
    const judge = new HeatJudge();
    reported(judge, 50, 0, 3);
    reported(judge, 100, 0, 1);
    const accuracy = judge.accuracy('pebs', STATS, truthOf(TRUTH), 3);
    // Page 0 after 50, page 1 after 90, page 2 never; page 3 is not hot.
    expect(accuracy.found).toBeCloseTo(2 / 3);
    expect([accuracy.lagNs, accuracy.lag90Ns]).toEqual([50, 50]);
    expect([accuracy.precision, accuracy.recall]).toEqual([2 / 3, 2 / 3]);
    expect(accuracy.costNs).toBe(350);
  });

  it('spreads a report of several pages over them', () => {
    const judge = new HeatJudge();
    const heat = new HeatTable();
    heat.see(7, 0, 4, 1, 0, 0, 30);
    judge.take(heat, 30);
    const accuracy = judge.accuracy('page-idle', STATS, truthOf(TRUTH), 4);
    expect([accuracy.found, accuracy.lagNs, accuracy.lag90Ns]).toEqual([1, 20, 30]);
    expect([accuracy.precision, accuracy.recall]).toEqual([1, 1]);
  });

  it('has no lag when no hot page was reported', () => {
    const accuracy = new HeatJudge().accuracy('pebs', STATS, truthOf(TRUTH), 2);
    expect([accuracy.found, accuracy.lagNs, accuracy.lag90Ns]).toEqual([0, null, null]);
  });
});
