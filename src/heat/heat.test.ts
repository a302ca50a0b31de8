import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { cooled } from './cooling.ts';
import { HeatTable } from './heatTable.ts';
import { HeatHistogram, heatBin } from './histogram.ts';
import { heatAgreement, hottestRows, rankRows } from './ranking.ts';
import { NO_LIST, RowLists } from './rowLists.ts';

describe('HeatTable', () => {
  it('adds up sightings of a page and starts a reused row at zero', () => {
    const heat = new HeatTable(2);
    for (let vpn = 0; vpn < 10; vpn++) heat.see(1, vpn, 1, vpn, 1, 0, 100);
    const row = heat.see(1, 3, 1, 1, 0, 1, 200);
    expect([heat.reads[row], heat.writes[row], heat.nid[row]]).toEqual([4, 1, 1]);
    expect(heat.lastSeenNs[row]).toBe(200);
    heat.forget(1);
    expect(heat.nrSeen).toBe(0);
    const again = heat.see(2, 3, 1, 5, 0, 0, 300);
    expect([heat.reads[again], heat.writes[again]]).toEqual([5, 0]);
  });

  it('forgets only the rows of the process', () => {
    const heat = new HeatTable();
    heat.see(1, 5, 1, 1, 0, 0, 1);
    heat.see(2, 5, 1, 1, 0, 0, 1);
    heat.forget(1);
    expect(heat.find(1, 5)).toBe(-1);
    expect(heat.find(2, 5)).toBeGreaterThanOrEqual(0);
  });

  it('takes over another table', () => {
    const from = new HeatTable();
    from.see(1, 5, 512, 2, 3, 1, 10);
    const to = new HeatTable();
    to.see(1, 5, 512, 1, 1, 0, 5);
    to.addAll(from);
    const row = to.find(1, 5);
    expect([to.reads[row], to.writes[row], to.nid[row], to.lastSeenNs[row]]).toEqual([3, 4, 1, 10]);
  });
});

describe('RowLists', () => {
  it('agrees with arrays under random operations', () => {
    const lists = new RowLists(3, 8);
    const model: number[][] = [[], [], []];
    const random = new RandomStream(2, 'rowLists.test');
    for (let step = 0; step < 5000; step++) {
      const row = random.below(64);
      lists.reserve(64);
      for (const rows of model) if (rows.includes(row)) rows.splice(rows.indexOf(row), 1);
      const list = random.below(3);
      const action = random.below(3);
      if (action === 0) lists.append(list, row);
      else if (action === 1) lists.prepend(list, row);
      else lists.remove(row);
      if (action === 0) model[list].push(row);
      else if (action === 1) model[list].unshift(row);
    }
    for (const [list, rows] of model.entries()) {
      const walked: number[] = [];
      for (let row = lists.first[list]; row >= 0; row = lists.next(row)) walked.push(row);
      expect(walked).toEqual(rows);
      expect(lists.length[list]).toBe(rows.length);
    }
    const listed = model.flat();
    for (let row = 0; row < 64; row++) {
      if (!listed.includes(row)) expect(lists.listOf[row]).toBe(NO_LIST);
    }
  });
});

describe('cooling', () => {
  it('halves once a tick, rounding down (TI-107)', () => {
    expect(cooled(9, 2)).toBe(2);
    expect(cooled(9, 0)).toBe(9);
    expect(cooled(4_000_000_000, 31)).toBe(1);
    expect(cooled(4_000_000_000, 32)).toBe(0);
  });
});

describe('HeatHistogram', () => {
  it('bins by floor(log2), with 0 in bin 0 and a last bin for everything above (TI-50)', () => {
    expect([0, 1, 2, 3, 4, 1023, 1024, 32768, 4_000_000_000].map(heatBin)).toEqual([
      0, 0, 1, 1, 2, 9, 10, 15, 15,
    ]);
  });

  it('S-TI-23: finds the thresholds of TI-108', () => {
    const histogram = new HeatHistogram();
    for (const [bin, pages] of [
      [15, 10],
      [14, 20],
      [13, 60],
      [12, 50],
    ]) {
      histogram.add(2 ** bin, pages);
    }
    expect(histogram.thresholds(100)).toEqual({ hot: 13, warm: 13 });
  });

  it('has warm pages when hot ones leave a quarter of the fast memory free (TI-52)', () => {
    const histogram = new HeatHistogram();
    histogram.add(16, 50);
    histogram.add(8, 80);
    expect(histogram.thresholds(100)).toEqual({ hot: 4, warm: 3 });
  });

  it('shifts every bin down when all counts halve (TI-53)', () => {
    const counts = [0, 1, 2, 3, 9, 70, 1000, 40_000];
    const before = new HeatHistogram();
    const after = new HeatHistogram();
    for (const count of counts) {
      before.add(count, 1);
      after.add(count >>> 1, 1);
    }
    before.cool();
    expect([...before.pages]).toEqual([...after.pages]);
  });
});

describe('ranking', () => {
  function tableOf(counts: readonly number[]): HeatTable {
    const heat = new HeatTable();
    for (const [vpn, count] of counts.entries()) {
      if (count > 0) heat.see(1, vpn, 1, count, 0, 0, 0);
    }
    return heat;
  }

  it('ranks by count, ties by page', () => {
    const heat = tableOf([5, 9, 5, 1]);
    expect([...rankRows(heat)].map((row) => heat.vpn[row])).toEqual([1, 0, 2, 3]);
    expect([...hottestRows(heat, 2)].map((row) => heat.vpn[row])).toEqual([1, 0]);
  });

  it('is right when the same pages are hottest, whichever of equals was chosen', () => {
    const truth = tableOf([100, 50, 50, 1]);
    expect(heatAgreement(tableOf([2, 0, 1, 0]), truth, 2)).toEqual({ precision: 1, recall: 1 });
    expect(heatAgreement(tableOf([2, 0, 0, 1]), truth, 2)).toEqual({ precision: 0.5, recall: 0.5 });
    expect(heatAgreement(tableOf([2, 0, 0, 0]), truth, 2)).toEqual({ precision: 1, recall: 0.5 });
    expect(heatAgreement(tableOf([]), truth, 2)).toEqual({ precision: 0, recall: 0 });
  });
});
