/** The search for the least DRAM, around a double of the worker. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fabricateMachine } from '../../test/experiment/fabricate.ts';
import { cheapestOf, type FlatTable, memoryShare, planTables } from '../experiment/index.ts';
import { Journal } from './journal.ts';
import { openLibrary } from './library.ts';
import { planDram } from './planDram.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-plan-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/**
 * first-touch loses what is not in DRAM, hemem a tenth of it, or a twentieth with one of two knobs
 * and a fortieth with both; interleave always a half; with less than a tenth of the footprint in
 * DRAM nothing runs.
 */
const WORKER = `export default async ({ spec }) => {
  let pages = 0;
  for (const z of spec.machine.nodes[0].zones) pages += z.endPfn - z.startPfn - z.absentPages;
  const slow = Math.max(0, 1 - pages / 16384);
  if (slow > 0.9) return { failure: { kind: 'input', message: 'no room' } };
  const { unit, hotReads } = spec.policy.params;
  const tuned = (unit === '4KiB' ? 2 : 1) * (hotReads === 4 ? 2 : 1);
  const loss = { 'first-touch': slow, hemem: slow / 10 / tuned, interleave: slow > 0 ? 0.5 : 0 };
  const time = { totalNs: 1e9 * (1 + loss[spec.policy.name]) };
  const warnings = spec.policy.name === 'hemem' ? ['pages ' + pages] : [];
  return { result: { time, toptierHitRatio: 1, policy: spec.policy, seed: spec.seed, warnings } };
};`;

async function plan(policies: readonly string[], bound: number, knobRounds = 0) {
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
    knobRounds,
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
    expect(hemem!.smallest!.warnings).toEqual(['pages 8192']);
    expect(firstTouch!.smallest!.warnings).toEqual([]);
    expect(interleave!.smallest).toBeNull();
    expect(best).toBe(1);
    expect(sensitivity.find(({ knob }) => knob === 'unit')).toEqual({
      knob: 'unit',
      value: '4KiB',
      initial: '2MiB',
      slowdown: 1.025,
    });
    expect(settings).toContain('echo 0 > /proc/sys/kernel/numa_balancing');
  });

  it('searches the knobs of the best policy, those that gain together too', async () => {
    const { policies, best, sensitivity } = await plan(['first-touch', 'hemem'], 1.02, 3);
    const [, hemem, one, both] = policies;
    expect(hemem!.smallest!.share).toBeGreaterThan(0.79);
    expect(one!.policy.params).toEqual({ unit: '4KiB' });
    expect(one!.smallest!.share - 0.6).toBeLessThan(0.04);
    expect(both!.policy).toEqual({
      name: 'hemem',
      params: { unit: '4KiB', hotReads: 4 },
      label: 'hemem (unit=4KiB, hotReads=4)',
    });
    expect(both!.smallest!.share - 0.2).toBeGreaterThanOrEqual(0);
    expect(both!.smallest!.share - 0.2).toBeLessThan(0.04);
    expect(best).toBe(3);
    // Nothing gains any more, and the sensitivity is that of the tuned policy.
    expect(policies).toHaveLength(4);
    const unit = sensitivity.find(({ knob }) => knob === 'unit')!;
    expect([unit.initial, unit.value]).toEqual(['4KiB', '2MiB']);
    expect(unit.slowdown).toBeGreaterThan(1.02);
    expect(sensitivity.some(({ knob }) => knob.endsWith('Ns'))).toBe(false);
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

describe('tables and prices of plans', () => {
  it('a row for each policy, each size tried and each knob, by machine', async () => {
    const one = await plan(['first-touch', 'hemem'], 1.05);
    const [policies, shares, knobs] = planTables([one, { ...one, machine: 'other' }]);
    const column = (table: FlatTable | undefined, name: string) => {
      return table!.columns.find((wanted) => wanted.name === name)!.values;
    };
    expect(column(policies, 'machine')).toEqual(['m', 'm', 'other', 'other']);
    expect(column(policies, 'is_best')).toEqual([false, true, false, true]);
    expect(column(policies, 'share')[1]).toBe(0.5);
    const tried = one.policies[0]!.tried.length + one.policies[1]!.tried.length;
    expect(shares!.nrRows).toBe(2 * tried);
    const holds = one.policies.flatMap((policy) => {
      return policy.tried.map(({ slowdown }) => slowdown.median <= 1.05);
    });
    expect(column(shares, 'holds')).toEqual([...holds, ...holds]);
    expect(knobs!.nrRows).toBe(2 * one.sensitivity.length);
  });

  it('the cheapest is the plan whose best policy has the cheapest memory', async () => {
    const one = await plan(['hemem'], 1.05);
    const priced = (cost: number | null) => {
      const policies = one.policies.map((policy) => {
        return { ...policy, memory: { ...policy.memory, cost } };
      });
      return { ...one, policies };
    };
    expect(cheapestOf([priced(3), priced(2), { ...priced(1), best: -1 }])).toBe(1);
    expect(cheapestOf([priced(3), priced(null)])).toBe(-1);
    expect(cheapestOf([{ ...one, best: -1 }])).toBe(-1);
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
