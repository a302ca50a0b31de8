/** The search for better knobs, around a double of the worker. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fabricateMachine } from '../../test/experiment/fabricate.ts';
import { NO_HEADROOM } from '../experiment/index.ts';
import { Journal } from './journal.ts';
import { openLibrary } from './library.ts';
import { tunePolicy } from './tunePolicy.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-tune-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/**
 * The demotion mark of tpp is best at 800, four times its default: each halving of the distance
 * gains. Scan periods of 500 ms gain a little. A run of every call is noted.
 */
const WORKER = `import { appendFileSync } from 'node:fs';
export default async ({ spec }) => {
  appendFileSync(process.env.HETMEM_TUNE_CALLS, 'x');
  const p = spec.policy.params;
  const scale = p.demoteScale ?? 200;
  const scan = p.scanPeriodMin ?? 1000;
  const isFirst = spec.policy.name !== 'tpp';
  const loss = isFirst ? 0 : Math.abs(800 - scale) / 1000 + (scan === 500 ? 0 : 0.05);
  const time = { totalNs: 1e9 * (1 + loss) };
  const warnings = ['mark ' + scale];
  return { result: { time, toptierHitRatio: 1, policy: spec.policy, seed: spec.seed, warnings } };
};`;

async function tune(roundsMax: number, policy = 'tpp') {
  const machine = await fabricateMachine('m');
  const worker = join(folder, 'worker.mjs');
  const calls = join(folder, 'calls');
  writeFileSync(worker, WORKER);
  writeFileSync(calls, '');
  process.env.HETMEM_TUNE_CALLS = calls;
  const question = {
    machine: { machine: 'm', ratio: { fast: 1, slow: 4 }, headroom: NO_HEADROOM },
    ratio: '1:4',
    policy: { name: policy, params: {}, label: policy },
    workloads: [{ name: 'gups', trace: '', generator: 'gups', params: { size: 64 } }],
    seeds: [1, 2],
    minGain: 0.01,
    roundsMax,
  };
  const journal = Journal.resume(join(folder, 'tune.journal'));
  const tuning = await tunePolicy(question, {
    library: openLibrary({
      machineNames: ['m'],
      readMachine: async () => machine,
      traceFolder: folder,
      baseFolder: folder,
      version: '0.0.0-test',
    }),
    jobs: 1,
    journal,
    command: 'hetmem tune',
    onStage: () => {},
    worker: pathToFileURL(worker).href,
  });
  journal.close();
  return { tuning, calls: readFileSync(calls, 'utf8').length };
}

describe('tunePolicy', () => {
  it('walks to where no step gains, with the gains of a round together', async () => {
    const { tuning } = await tune(8);
    expect(tuning.params).toEqual({ demoteScale: 800, scanPeriodMin: 500 });
    expect([tuning.slowdownBefore, tuning.slowdown]).toEqual([1.65, 1]);
    expect([tuning.confidence, tuning.isSettled]).toEqual([1, true]);
    expect(tuning.warnings).toEqual(['mark 800']);
    // 200 -> 400, then 800 and the scan period at once or one after the other, then nothing.
    expect(tuning.rounds.length).toBeLessThanOrEqual(4);
    expect(tuning.settings).toContain('echo 800 > /proc/sys/vm/demote_scale_factor');
  });

  it('does no run twice: a search that was stopped goes on', async () => {
    await tune(1);
    const { calls, tuning } = await tune(2);
    expect(tuning.rounds).toHaveLength(2);
    rmSync(join(folder, 'tune.journal'));
    expect(calls).toBeLessThan((await tune(2)).calls);
  });

  it('a policy without knobs cannot be tuned', async () => {
    await expect(tune(1, 'first-touch')).rejects.toThrow('has no knobs');
  });
});
