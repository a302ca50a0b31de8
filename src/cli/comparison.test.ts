/** Tables of comparisons, exit codes, and what a command line means. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CATALOGUE, fabricateComparison, withCgroups } from '../../test/experiment/fabricate.ts';
import { UserError } from '../base/assert.ts';
import type { Library } from '../runner/index.ts';
import { experimentOf, withKnobs } from './compare.ts';
import { exitCodeOf, shellWord } from './comparisonRun.ts';
import { comparisonText } from './comparisonTable.ts';
import { EXIT_BAD_INPUT, EXIT_BUG } from './failure.ts';

describe('comparisonText', () => {
  it('has a table for each group with every policy, and ends with the verdict', async () => {
    const comparison = await fabricateComparison();
    const text = comparisonText(comparison, Number.POSITIVE_INFINITY);
    for (const { outcomes } of comparison.groups) {
      for (const { slowdown } of outcomes) {
        expect(text).toContain(`${slowdown!.median.toFixed(2)}×`);
      }
    }
    expect(text).toMatch(
      /redis on DRAM:CXL 1:2, 117 MiB DRAM \+ 352 MiB CXL; all-DRAM takes 2\.00 s/,
    );
    expect(text).toMatch(/heat prec\. +recall\n/);
    expect(text.match(/^hemem .*best/gm)).toHaveLength(4);
    expect(text.match(/best/g)).toHaveLength(4);
    expect(text.endsWith(`\n${comparison.verdict}\n`)).toBe(true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with ESC.
    expect(text).not.toMatch(/\x1b/);
  });

  it.each([60, 80, 100])('fits a terminal of %i columns by leaving columns out', async (width) => {
    const text = comparisonText(await fabricateComparison(), width);
    const tables = text.split('\n').filter((line) => /^(policy|─|hemem|oracle)/.test(line));
    for (const line of tables) expect(line.length).toBeLessThanOrEqual(width);
    expect(tables[0]).toMatch(/^policy +slowdown .*hits/);
    expect(tables[0]!.includes('compute')).toBe(width >= 80);
  });

  it('shows the spread over seeds, and failed runs with their reason', async () => {
    const comparison = await fabricateComparison({
      experiment: { seeds: [1, 2, 3] },
      slowdown: ({ policy, seed }) => (policy.name === 'oracle' ? null : 1 + seed / 10),
    });
    const text = comparisonText(comparison, Number.POSITIVE_INFINITY);
    expect(text).toMatch(/first-touch +1\.20× +best +1\.10–1\.30/);
    expect(text).toMatch(/oracle +failed/);
    expect(text).toContain('  made to fail <i>\n    redis on DRAM:CXL 1:2, oracle\n');
    expect(text).not.toMatch(/NaN|undefined/);
  });
});

describe('control groups', () => {
  it('are told below the table of their group, on as many columns as there are', async () => {
    const comparison = withCgroups(await fabricateComparison());
    const text = comparisonText(comparison, Number.POSITIVE_INFINITY);
    expect(text.match(/^policy +cgroup +slowdown +hits +memory +of it fast/gm)).toHaveLength(
      comparison.groups.length,
    );
    expect(text).toMatch(/^hemem +web +1\.50× +75\.0 % +40\.0 MiB +25\.0 % +7 +9 +3 +3\.00 s$/m);
    expect(text).toMatch(/^ +batch \(mems 1\) +0\.50× /m);
    const narrow = comparisonText(comparison, 70).split('\n');
    const tables = narrow.filter((line) => /^(policy +cgroup|hemem +web)/.test(line));
    for (const line of tables) expect(line.length).toBeLessThanOrEqual(70);
    expect(tables[0]).toMatch(/^policy +cgroup +slowdown +hits +of it fast/);
  });
});

describe('exitCodeOf', () => {
  it.each([
    [null, 0],
    ['input', EXIT_BAD_INPUT],
    ['bug', EXIT_BUG],
    ['crash', EXIT_BUG],
  ] as const)('of a failure %s is %i', async (kind, code) => {
    const comparison = await fabricateComparison();
    const failure = kind === null ? null : { kind, message: '' };
    const runs = comparison.runs.map((run, i) => {
      if (i === 1) return { ...run, failure };
      return i === 2 && code === EXIT_BUG
        ? { ...run, failure: { kind: 'input' as const, message: '' } }
        : run;
    });
    expect(exitCodeOf({ ...comparison, runs })).toBe(code);
  });
});

describe('hetmem compare', () => {
  const library = { catalogue: CATALOGUE } as Library;
  const flags = {
    machine: ['test-machine'],
    ratio: ['1:2'],
    policy: ['hemem'],
    seed: ['1'],
    headroom: '0',
  };
  const experiment = (traces: string[], fields = {}) =>
    experimentOf(traces, { ...flags, ...fields }, library);

  it('means an experiment', async () => {
    const made = await experiment(['redis', './a/b.hmt', 'gups:hot=false'], {
      ratio: ['1:2', 'none'],
      policy: ['first-touch', 'hemem:samplePeriod=20'],
      seed: ['3', '4'],
      headroom: '2%',
      series: '0',
    });
    expect(made.machines.map(({ ratio }) => ratio)).toEqual([{ fast: 1, slow: 2 }, null]);
    expect(made.machines[0]!.headroom).toEqual({ bytes: 0, share: 0.02 });
    expect(made.policies[1]).toEqual({
      name: 'hemem',
      params: { samplePeriod: 20 },
      label: 'hemem (samplePeriod=20)',
    });
    expect(made.workloads.map(({ name }) => name)).toEqual(['redis', 'b', 'gups (hot=false)']);
    expect(made.workloads[2]).toMatchObject({ generator: 'gups', params: { hot: false } });
    expect([made.seeds, made.seriesPoints]).toEqual([[3, 4], 0]);
  });

  it('takes programs that run together, in control groups', async () => {
    const { workloads } = await experiment([
      'redis@web+gups:hot=false@batch:mems=0-1',
      'redis+redis',
    ]);
    expect(workloads.map(({ name }) => name)).toEqual([
      'redis@web+gups (hot=false)@batch:mems=0,1',
      'redis+redis#2',
    ]);
    expect(workloads[0]!.together!.map(({ cgroup }) => cgroup)).toEqual([
      { name: 'web', mems: [] },
      { name: 'batch', mems: [0, 1] },
    ]);
    expect(workloads[1]!.together![0]!.cgroup).toBeUndefined();
  });

  it('takes traces of files together, and a file with a + in its name alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hetmem-plus-'));
    try {
      const file = join(folder, 'a+b.hmt');
      writeFileSync(file, '');
      const { workloads } = await experiment([
        'gups:hot=false+./x/my.hmt@web',
        'my.hmt+other.hmt',
        file,
      ]);
      expect(workloads.map(({ name }) => name)).toEqual([
        'gups (hot=false)+my@web',
        'my+other',
        'a+b',
      ]);
      expect(workloads[1]!.together!.map(({ trace }) => trace)).toEqual(['my.hmt', 'other.hmt']);
      expect(workloads[2]).toMatchObject({ trace: file });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names the command that was given', async () => {
    const made = experimentOf(['rediss'], flags, library, 'hetmem plan');
    await expect(made).rejects.toThrow('hetmem plan: no trace rediss');
  });

  it.each([
    [['rediss'], {}, /^hetmem compare: no trace rediss \(did you mean redis\?\)$/],
    [['redis'], { machine: ['test-mashine'] }, /^--machine: no machine test-mashine \(did you/],
    [['redis'], { ratio: ['2'] }, /^--ratio 2: is no ratio/],
    [['redis'], { policy: ['hemem', 'hemem'] }, /^--policy: hemem is there twice/],
    [['redis'], { policy: ['hemen'] }, /^--policy: no policy hemen \(did you mean hemem\?\)$/],
    [['redis'], { policy: ['hemem:period'] }, /^--policy hemem:period: period is no knob/],
    [['redis'], { policy: ['hemem:samplePeriod=0'] }, /^--policy: samplePeriod is 1 to/],
    [['redis'], { seed: ['-1'] }, /^--seed -1: is not a whole number from 0 to/],
    [['redis'], { headroom: 'lots' }, /^--headroom lots: is no size/],
    [['redis'], { series: '1e9' }, /^--series 1e9: is not a whole number from 0 to 2000/],
    [['gups:hot=maybe'], {}, /^hetmem compare: hot is true or false/],
    [['redis@web:mems=x'], {}, /^hetmem compare redis@web:mems=x: no control group behind the @/],
    [
      ['gups@web:mems=32'],
      {},
      /^hetmem compare gups@web:mems=32: .*: mems=32 is no list of nodes from 0 to 30 \(PROGRAM@/,
    ],
    [['redis@a+gups@a:mems=1'], {}, /^hetmem compare: cgroup a has two cpuset\.mems/],
  ])('tells what is wrong with %j %j', async (traces, fields, message) => {
    await expect(experiment(traces, fields)).rejects.toThrow(UserError);
    await expect(experiment(traces, fields)).rejects.toThrow(message);
  });

  it('reads knobs as numbers, truths and words', () => {
    expect(withKnobs('x', 'a:b=1:c=true:d=2MiB:e=-0.5').params).toEqual({
      b: 1,
      c: true,
      d: '2MiB',
      e: -0.5,
    });
    expect(withKnobs('x', 'a:b=1e-3').params).toEqual({ b: 0.001 });
  });

  it('quotes words as a shell wants them', () => {
    expect(['a/b.hmt', '1:2,1:8', 'a b', "it's", ''].map(shellWord)).toEqual([
      'a/b.hmt',
      '1:2,1:8',
      "'a b'",
      "'it'\\''s'",
      "''",
    ]);
  });
});
