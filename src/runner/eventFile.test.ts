/** Files of events: their names, their forms, whole or not there. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BASELINE, type Experiment, NO_HEADROOM, type PlannedRun } from '../experiment/index.ts';
import { checkEventPath, EventFile, eventPaths } from './eventFile.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-events-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const EXPERIMENT: Experiment = {
  name: 'e',
  question: '',
  machines: [{ machine: 'dram-cxl-asic', ratio: { fast: 1, slow: 2 }, headroom: NO_HEADROOM }],
  policies: [
    { name: 'hemem', params: {}, label: 'hemem' },
    { name: 'hemem', params: {}, label: 'hemem (period=100)' },
  ],
  workloads: [{ name: 'redis', trace: 'redis', generator: '', params: {} }],
  seeds: [1, 2],
  seriesPoints: 0,
};

function run(policy: number, seed: number, spec: object | null = {}): PlannedRun {
  return { workload: 0, machine: 0, policy, seed, spec: spec as PlannedRun['spec'], problem: '' };
}

it('one run has the name that was given; all-DRAM runs have none', () => {
  const runs = [run(BASELINE, 1), run(0, 1), run(1, 1, null)];
  expect(eventPaths('a/e.pftrace', EXPERIMENT, runs)).toEqual(['', 'a/e.pftrace', '']);
});

it('several runs have what tells them apart before the ending', () => {
  expect(eventPaths('e.txt', EXPERIMENT, [run(0, 1), run(1, 2)])).toEqual([
    'e.redis.dram-cxl-asic-1:2.hemem.seed1.txt',
    'e.redis.dram-cxl-asic-1:2.hemem_period=100.seed2.txt',
  ]);
});

it('the ending chooses the form', () => {
  expect(() => checkEventPath('e.json')).toThrow('.pftrace');
  expect(() => checkEventPath('e.perfetto-trace')).not.toThrow();
  const file = new EventFile(join(folder, 'e.txt'));
  file.sink.end();
  file.commit();
  expect(readFileSync(join(folder, 'e.txt'), 'utf8')).toMatch(/^# tracer: nop\n/);
});

it('a file appears when it is whole; a run that fails leaves none', () => {
  const path = join(folder, 'e.pftrace');
  const failed = new EventFile(path);
  failed.discard();
  expect(readdirSync(folder)).toEqual([]);
  const file = new EventFile(path);
  file.sink.counter(0, { name: 'c', unit: 'KiB' }, 1);
  file.sink.end();
  expect(existsSync(path)).toBe(false);
  file.commit();
  file.discard();
  expect(readdirSync(folder)).toEqual(['e.pftrace']);
  expect(() => new EventFile(join(folder, 'none', 'e.txt'))).toThrow('cannot be written');
});
