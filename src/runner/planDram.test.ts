/** The search for the least DRAM, around a double of the worker. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fabricateMachine } from '../../test/experiment/fabricate.ts';
import { memoryShare } from '../experiment/index.ts';
import { Journal } from './journal.ts';
import { openLibrary } from './library.ts';
import { planDram } from './planDram.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-plan-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/**
 * first-touch loses what is not in DRAM, hemem a tenth of it, interleave always a half; with less
 * than a tenth of the footprint in DRAM nothing runs.
 */
const WORKER = `export default async ({ spec }) => {
  let pages = 0;
  for (const z of spec.machine.nodes[0].zones) pages += z.endPfn - z.startPfn - z.absentPages;
  const slow = Math.max(0, 1 - pages / 16384);
  if (slow > 0.9) return { failure: { kind: 'input', message: 'no room' } };
  const loss = { 'first-touch': slow, hemem: slow / 10, interleave: slow > 0 ? 0.5 : 0 };
  const time = { totalNs: 1e9 * (1 + loss[spec.policy.name]) };
  return { result: { time, toptierHitRatio: 1, policy: spec.policy, seed: spec.seed } };
};`;

async function plan(policies: readonly string[], bound: number) {
  const machine = await fabricateMachine('m');
  const worker = join(folder, 'worker.mjs');
  writeFileSync(worker, WORKER);
  const question = {
    machine: 'm',
    policies: policies.map((name) => ({ name, params: {}, label: name })),
    workloads: [{ name: 'gups', trace: '', generator: 'gups', params: { size: 64 } }],
    seeds: [1, 2],
    bound,
    resolution: 0.03,
  };
  return planDram(question, {
    library: openLibrary({
      machineNames: ['m'],
      readMachine: async () => machine,
      traceFolder: folder,
      baseFolder: folder,
      version: '0.0.0-test',
    }),
    jobs: 2,
    journal: Journal.start(join(folder, 'results/plan.journal')),
    command: 'hetmem plan',
    onStage: () => {},
    worker: pathToFileURL(worker).href,
  });
}

describe('planDram', () => {
  it('finds the least DRAM of each policy, and the policy that needs least', async () => {
    const { policies, best, sensitivity, settings } = await plan(
      ['first-touch', 'hemem', 'interleave'],
      1.05,
    );
    const [firstTouch, hemem, interleave] = policies;
    expect(firstTouch!.smallest!.share - 0.95).toBeGreaterThanOrEqual(0);
    expect(firstTouch!.smallest!.share - 0.95).toBeLessThan(0.03);
    expect(hemem!.smallest).toMatchObject({ share: 0.5, confidence: 1 });
    expect(interleave!.smallest).toBeNull();
    expect(best).toBe(1);
    expect(sensitivity.find(({ knob }) => knob === 'unit')).toEqual({
      knob: 'unit',
      value: '4KiB',
      initial: '2MiB',
      slowdown: hemem!.smallest!.slowdown.median,
    });
    expect(settings).toContain('echo 0 > /proc/sys/kernel/numa_balancing');
  });

  it('takes sizes in which nothing runs for too small', async () => {
    const { policies } = await plan(['hemem'], 1.2);
    expect(policies[0]!.tried.map(({ share }) => share)[0]).toBe(0.125);
    expect(policies[0]!.smallest!.share).toBe(0.125);
  });

  it('says that no policy holds the bound', async () => {
    const { best, policies, settings } = await plan(['interleave'], 1.05);
    expect({ best, settings }).toEqual({ best: -1, settings: [] });
    expect(policies[0]!.memory.slowBytes).toBe(0);
  });
});

describe('memoryShare', () => {
  it('prices both kinds, if there are prices', () => {
    const gib = 1 << 30;
    expect(memoryShare(4 * gib, 0.25, { fast: 8, slow: 4 })).toEqual({
      fastBytes: gib,
      slowBytes: 3 * gib,
      cost: 20,
      costShare: 20 / 32,
    });
    expect(memoryShare(4 * gib, 0.25, { fast: 0, slow: 4 }).cost).toBeNull();
  });
});
