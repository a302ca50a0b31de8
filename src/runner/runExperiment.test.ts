/**
 * The runner around a double of the worker: order, failures, the journal. What the true worker does
 * is tested in test/cli/comparison.test.ts, on what was compiled.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fabricateExperiment, fabricateMachine } from '../../test/experiment/fabricate.ts';
import { traceFile } from '../../test/trace/traceFile.ts';
import { UserError } from '../base/assert.ts';
import { type Experiment, NO_HEADROOM } from '../experiment/index.ts';
import { Journal } from './journal.ts';
import { type Library, openLibrary } from './library.ts';
import { type ExperimentProgress, runExperiment } from './runExperiment.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-runner-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const gups = { name: 'gups', trace: '', generator: 'gups', params: { size: 8 } };
const policies = ['first-touch', 'interleave', 'hemem'].map((name) => {
  return { name, params: {}, label: name };
});
const machines = [{ machine: 'm', ratio: null, headroom: NO_HEADROOM }];
const experiment = (fields: Partial<Experiment> = {}) =>
  fabricateExperiment({ machines, policies, workloads: [gups], seeds: [1, 2], ...fields });

async function library(): Promise<Library> {
  const machine = await fabricateMachine('m');
  return openLibrary({
    machineNames: ['m'],
    readMachine: async () => machine,
    traceFolder: folder,
    baseFolder: folder,
    version: '0.0.0-test',
  });
}

let nrWorkers = 0;

/** A module whose run does what `body` says; `done(totalNs)` is a result. */
function worker(body: string): string {
  const code = `export default async ({ spec, progress, index }) => {
    const done = (totalNs) => ({ result: {
      time: { totalNs }, toptierHitRatio: 1, policy: spec.policy, seed: spec.seed } });
    ${body}
  };`;
  const path = join(folder, `worker${nrWorkers++}.mjs`);
  writeFileSync(path, code);
  return pathToFileURL(path).href;
}

const SLOWER = `const factor = { 'first-touch': 1, interleave: 2, hemem: 3 }[spec.policy.name];
  await new Promise((resolve) => setTimeout(resolve, 30 / factor));
  return done(1000 * factor + spec.seed);`;

async function compare(
  body: string,
  fields: Partial<Experiment> = {},
  journal = newJournal(),
  jobs = 2,
) {
  const seen: ExperimentProgress[] = [];
  const comparison = await runExperiment(experiment(fields), {
    library: await library(),
    jobs,
    journal,
    command: 'x',
    onProgress: (progress) => seen.push(progress),
    worker: worker(body),
  });
  return { comparison, seen };
}

const newJournal = () => Journal.start(join(folder, 'results/x.journal'));

describe('runExperiment', () => {
  it('gives results in the order of the plan, whichever run ends first', async () => {
    const { comparison, seen } = await compare(SLOWER);
    const order = comparison.runs.map(({ policy, result }) => [policy, result!.seed]);
    expect(order).toEqual([
      [-1, 1],
      [-1, 2],
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
      [2, 1],
      [2, 2],
    ]);
    const medians = comparison.groups[0]!.outcomes.map(({ slowdown }) => slowdown!.median);
    expect(medians[0]).toBe(1);
    expect(medians[1]).toBeCloseTo(2, 2);
    expect(seen.at(-1)).toMatchObject({ runsDone: 8, runs: 8 });
    expect(seen.at(-1)!.accessesDone).toBe(seen.at(-1)!.accesses);
  });

  it.each([1, 2])('goes on when a run fails or its thread dies, with %i jobs', async (jobs) => {
    const body = `
      if (spec.policy.name === 'hemem') {
        return { failure: { kind: 'input', message: 'too small' } };
      }
      if (spec.policy.name === 'interleave' && spec.seed === 2) process.exit(3);
      ${SLOWER}`;
    const { comparison } = await compare(body, {}, newJournal(), jobs);
    const failures = comparison.runs.map(({ failure }) => failure?.kind ?? '');
    expect(failures).toEqual(['', '', '', '', '', 'crash', 'input', 'input']);
    expect(comparison.runs[7]!.failure!.message).toBe('too small');
    expect(comparison.groups[0]!.outcomes[1]!.slowdown!.count).toBe(1);
  });

  it('ends when no thread can be started', async () => {
    const { comparison } = await compare('} this is no JavaScript {');
    const failures = comparison.runs.map(({ failure }) => failure?.kind);
    expect(new Set(failures)).toEqual(new Set(['crash']));
    expect(comparison.verdict).toMatch(/^No policy can be compared/);
  });

  it('goes on from the journal: runs that are in it are not done again', async () => {
    const path = join(folder, 'results/x.journal');
    const whole = (await compare(SLOWER)).comparison;
    rmSync(path);
    await compare(`if (spec.policy.name === 'hemem') throw new Error('stopped'); ${SLOWER}`);
    const journal = Journal.resume(path);
    expect(journal.finished.size).toBe(6);
    const resumed = await compare(
      `if (spec.policy.name !== 'hemem') throw new Error('again'); ${SLOWER}`,
      {},
      journal,
    );
    expect(resumed.comparison).toEqual(whole);
    expect(resumed.seen.at(-1)!.accesses).toBe(resumed.seen.at(-1)!.accessesDone);
  });

  it('does a run again when the experiment was changed', async () => {
    await compare(SLOWER);
    const journal = Journal.resume(join(folder, 'results/x.journal'));
    const { comparison } = await compare(
      "return { failure: { kind: 'input', message: 'done again' } };",
      { seriesPoints: 7 },
      journal,
    );
    expect(comparison.runs.every(({ failure }) => failure?.message === 'done again')).toBe(true);
  });

  it('knows the traces of programs that run together: one that changed is run again', async () => {
    const name = join(folder, 'a.hmt');
    const slice = (vpn: number) => {
      return { pid: 0, tid: 0, insnStart: 0, insnEnd: 9, vpn: [vpn], lineWrite: [0] };
    };
    const together = [{ name: 'a', trace: name, generator: '', params: {} }, gups];
    const workloads = [{ name: 'a+gups', trace: '', generator: '', params: {}, together }];
    writeFileSync(name, traceFile([slice(4096)]));
    const { comparison } = await compare(SLOWER, { workloads });
    const [a, other] = comparison.workloads[0]!.programs;
    expect([a!.name, a!.provenance!.sha256.length, other!.name, other!.provenance]).toEqual([
      'a',
      64,
      'gups',
      null,
    ]);
    const again = "return { failure: { kind: 'input', message: 'done again' } };";
    const resume = () => Journal.resume(join(folder, 'results/x.journal'));
    const same = await compare(again, { workloads }, resume());
    expect(same.comparison.runs.every(({ failure }) => failure === null)).toBe(true);
    writeFileSync(name, traceFile([slice(4097)]));
    const changed = await compare(again, { workloads }, resume());
    expect(changed.comparison.runs.every(({ failure }) => failure !== null)).toBe(true);
  });

  it('warns when all-DRAM was not all DRAM', async () => {
    const { comparison } = await compare(`
      const run = done(1000);
      run.result.toptierHitRatio = spec.seed === 1 ? 0.99 : 1;
      return run;`);
    expect(comparison.warnings).toEqual([
      'gups, all-DRAM, seed 1: 1.0 % of the accesses went to slow memory: slowdowns too small',
    ]);
  });

  it('tells before the first run what cannot be opened', async () => {
    const missing = { name: 'x', trace: 'x.hmt', generator: '', params: {} };
    await expect(compare(SLOWER, { workloads: [missing] })).rejects.toThrow(
      /x\.hmt: no such file \(check the name\)/,
    );
    expect(existsSync(join(folder, 'results'))).toBe(false);
  });

  it.each([
    [{ scale: 40 }, 'scale is 8 to 22, not 40'],
    [{ edgeList: 'yes' }, 'edgeList is true or false'],
    [{ roots: 64 }, 'there is no knob roots'],
  ])('refuses %j of graph500 before the first run', async (params, problem) => {
    const workload = { name: 'graph500', trace: '', generator: 'graph500', params };
    const refused = compare(SLOWER, { workloads: [workload] });
    await expect(refused).rejects.toThrow(UserError);
    await expect(refused).rejects.toThrow(problem);
  });
});

describe('openLibrary', () => {
  it('knows policies, generators, and which policy is a bound', async () => {
    const { catalogue } = await library();
    const oracles = catalogue.policies.filter(({ isOracle }) => isOracle);
    expect(oracles.map(({ name }) => name)).toEqual(['oracle']);
    expect(catalogue.generators.map(({ name }) => name)).toContain('gups');
    expect(catalogue.traces).toEqual([]);
  });

  it('takes short names from the shipped traces and paths from beside the experiment', async () => {
    const { tracePath } = await library();
    expect(tracePath('redis')).toBe(join(folder, 'redis.hmt'));
    expect(tracePath('sub/a.hmt')).toBe(join(folder, 'sub/a.hmt'));
    expect(tracePath('/abs/a.hmt')).toBe('/abs/a.hmt');
  });
});
