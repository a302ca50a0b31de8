/** Verdicts on changed figures, and mistakes in files told with their place. */
import { describe, expect, it } from 'vitest';
import { registries } from '../runner/index.ts';
import {
  cellsOf,
  judge,
  machinesOf,
  type PublishedTable,
  publishedDocument,
  reproduction,
} from './index.ts';
import { parseTable } from './tableFile.ts';

const CATALOGUE = { ...registries(), machines: ['dram-4cxl'], traces: [] };

const TEXT = `format: published/1
name: spread
title: A table
question: Why?
source: nobody
mark: V
measure: bandwidth
scaling: []
limits: []
run: {machine: dram-4cxl, lines: 100}
columns:
  - {name: reads, unit: GB/s, metric: bandwidth}
  - {name: ratio, unit: '', metric: bandwidth, relative_to: one, times: 2}
rows:
  - {name: one, published: [300, 1], run: {weights: [1]}}
  - {name: even, published: [100, 0.33], mark: R, run: {weights: [1, 1]}}
  - {name: none, published: [null, null], run: {weights: [0, 1]}}
rules:
  - {falls: [one / reads, even / reads], by: 0.5, means: spreading costs, why_not: It is late}
  - {ratio: [one / reads, even / reads], between: [2, 4], means: two thirds}
  - {near: [one / *], by: 0.1, means: the same}
`;

function table(from = '', to = ''): PublishedTable {
  return parseTable(TEXT.replace(from, to), 'spread.yaml', CATALOGUE);
}

function holds(figures: (number | null)[][]): boolean[] {
  return judge(table(), figures).findings.map((finding) => finding.holds);
}

describe('the verdict is a function of the figures', () => {
  it('all rules hold on the published figures', () => {
    const judged = judge(
      table(),
      table().rows.map(({ published }) => published),
    );
    expect(judged.agreement).toBe('agrees in shape');
    expect(judged.medianDeviation).toBe(0);
  });

  it('a step that is too small, and a ratio out of its bounds', () => {
    expect(holds([[300, 1], [140, 1], []])).toEqual([true, true, true]);
    expect(holds([[300, 1], [160, 1], []])).toEqual([false, false, true]);
    expect(holds([[300, 1], [70, 1], []])).toEqual([true, false, true]);
  });

  it('a figure further away than the rule allows', () => {
    expect(holds([[331, 1], [140, 1], []])).toEqual([true, true, false]);
  });

  it('a figure that is missing is no agreement', () => {
    const judged = judge(table(), [[null, 1], [140, 1], []]);
    expect(judged.agreement).toBe('does not agree');
    expect(judged.findings[0]!.because).toBe('there is no figure of one / reads. It is late');
    expect(judged.deviations.slice(0, 2)).toEqual([
      [null, null],
      [0.3999999999999999, 1 / 0.33 - 1],
    ]);
  });

  it('fails with the figures, and with what is known of the reason', () => {
    const [finding] = judge(table(), [[300, 1], [200, 1], []]).findings;
    expect(finding!.because).toBe('one / reads 300, even / reads 200. It is late');
  });
});

describe('a result', () => {
  it('is scaled, and related to a row', () => {
    const figures = cellsOf(table()).map((_, i) => ({ figure: 10 * (i + 1) }));
    const { ours } = reproduction(table(), figures);
    expect(ours).toEqual([
      [10, 1],
      [30, 2],
      [50, 3],
    ]);
  });

  it('tells cells that gave nothing', () => {
    const outcomes = cellsOf(table()).map((_, i) =>
      i === 2 ? { failure: 'ENOMEM' } : { figure: 1 },
    );
    const result = reproduction(table(), outcomes);
    expect(result.failures).toEqual(['even / reads: ENOMEM']);
    expect(publishedDocument([result])).toContain('Failed runs:\n\n- even / reads: ENOMEM');
  });

  it('rows and columns are laid over what the table runs', () => {
    const runs = cellsOf(table()).map(({ run }) => [run.machine, run.lines, run.weights]);
    expect(runs[2]).toEqual(['dram-4cxl', 100, [1, 1]]);
    expect(machinesOf(table())).toEqual(['dram-4cxl']);
    const cell = cellsOf(table('{weights: [1]}', '{weights: [1], lines: 7}'))[0]!;
    expect(cell.run.lines).toBe(7);
  });
});

describe('mistakes are told with their place', () => {
  const wrong: [string, string, string][] = [
    ['lines: 100', 'line: 100', 'spread.yaml:10:27: run.line: unknown key line'],
    ['metric: bandwidth}', 'metric: speed}', '12:39: columns.0.metric: no metric speed'],
    ['relative_to: one', 'relative_to: two', 'columns.1.relative_to: no row two'],
    ['[300, 1]', '[300]', '15:28: rows.0.published: 1 figures for 2 columns'],
    ['dram-4cxl', 'dram-5cxl', 'run.machine: no machine dram-5cxl'],
    ['lines: 100', 'policy: hemem', 'run.policy: is for measure: program'],
    ['one / reads, even / reads], by', 'one / reads, uneven], by', 'rules.0: no row uneven'],
    ['mark: R', 'mark: X', 'rows.1.mark: expected V, R or C'],
    ['by: 0.5', 'by: 0.9', 'rules.0: the published figures break it: one / reads 300, even'],
  ];
  it.each(wrong)('%s → %s', (from, to, message) => {
    expect(() => table(from, to)).toThrow(message);
  });
});
