/** Verdicts on changed figures, and mistakes in files told with their place. */
import { describe, expect, it } from 'vitest';
import type { MachineSpec } from '../hw/index.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { registries } from '../runner/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  cellsOf,
  judge,
  machinesOf,
  type PublishedTable,
  programSpec,
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

const BUSY = `format: published/1
name: busy
title: A table
question: Why?
source: nobody
mark: V
measure: program
scaling: []
limits: []
run:
  machine: dram-4cxl
  generator: gups
  policy: first-touch
  background: [{node: 1, cores: 3, lines: 48, read_share: 0.5}]
columns: [{name: rate, unit: M/s, metric: rate}]
rows: [{name: one, published: [1]}]
rules: [{near: [one], by: 0.1, means: the same}]
`;

function twoNodes(): MachineSpec {
  const zones = [{ zone: ZONE_NORMAL, pages: 1024 }];
  return plainMachine([
    { cpus: [0], zones },
    { cpus: [], zones },
  ]);
}

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

describe('a reason', () => {
  const shown = 'shown_by: {falls: [one / reads, none / reads], by: 0.1}';
  const withReason = table('why_not: It is late', `why_not: It is late., ${shown}`);
  const finding = (none: number) => judge(withReason, [[300, 1], [200, 1], [none]]).findings[0]!;

  it('is borne out by our figures, or said not to be', () => {
    expect(finding(100).shown).toBe(true);
    expect(finding(100).because).toBe(
      'one / reads 300, even / reads 200. It is late. ' +
        'Shown: falls by 10 % or more each: one / reads, none / reads.',
    );
    expect(finding(290).shown).toBe(false);
    expect(finding(290).because).toContain(
      'Not shown: falls by 10 % or more each: one / reads, none / reads, ' +
        'but one / reads 300, none / reads 290.',
    );
  });

  it('is not asked for where the rule holds', () => {
    expect(judge(withReason, [[300, 1], [100, 1], [290]]).findings[0]).toMatchObject({
      holds: true,
      because: '',
      shown: null,
    });
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

  it('marks a figure that is trusted less than the table', () => {
    const result = reproduction(
      table(),
      cellsOf(table()).map(() => ({ figure: 1 })),
    );
    const document = publishedDocument([result]);
    expect(document).toContain('| even | reads, GB/s | 100.00 (R) | 1.00 |');
    expect(document).toContain('| one | reads, GB/s | 300.00 | 1.00 |');
  });

  it('tells cells that gave nothing', () => {
    const outcomes = cellsOf(table()).map((_, i) =>
      i === 2 ? { failure: 'ENOMEM' } : { figure: 1 },
    );
    const result = reproduction(table(), outcomes);
    expect(result.failures).toEqual(['even / reads: ENOMEM']);
    expect(publishedDocument([result])).toContain('Failed runs:\n\n- even / reads: ENOMEM');
  });

  it('runs of a row only what it asks for', () => {
    const part = table('none, published', 'none, only: [ratio], published');
    expect(cellsOf(part).map(({ row, column }) => `${row}${column}`)).toEqual([
      '00',
      '01',
      '10',
      '11',
      '21',
    ]);
    const figures = cellsOf(part).map((_, i) => ({ figure: 10 * (i + 1) }));
    expect(reproduction(part, figures).ours[2]).toEqual([null, 2.5]);
    expect(publishedDocument([reproduction(part, figures)])).not.toContain('none | reads');
  });

  it('has other cores busy beside the program', () => {
    const text = BUSY.replace('cores: 3', 'cores: 0');
    const specOf = (file: string) => {
      const program = parseTable(file, 'busy.yaml', CATALOGUE);
      return programSpec(program, cellsOf(program)[0]!, twoNodes());
    };
    expect(specOf(text).background).toEqual([]);
    expect(specOf(BUSY).background).toEqual([
      { cpuNid: 0, inFlightBytes: 3 * 48 * 64, readShare: 0.5, weights: [0, 1] },
    ]);
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
    ['[null, null]', '[null, null], only: [speed]', 'rows.2.only: no column speed'],
    [
      'means: the same',
      'means: x, shown_by: {rises: [one / *]}',
      'rules.2.shown_by: shows nothing',
    ],
    ['It is late', 'It is late, shown_by: {rises: [two / *]}', 'rules.0.shown_by: no row two'],
    ['by: 0.5', 'by: 0.9', 'rules.0: the published figures break it: one / reads 300, even'],
  ];
  it.each(wrong)('%s → %s', (from, to, message) => {
    expect(() => table(from, to)).toThrow(message);
  });
});
