/** Small cases written by hand, for tests of verbs that no observed case uses. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import {
  type CaseMachines,
  type CaseResult,
  type Json,
  parseCases,
  runCase,
} from '../../src/conform/index.ts';
import { checkInvariants } from '../../src/mm/index.ts';

export type Step = { [field: string]: Json };

const folder = dirname(fileURLToPath(import.meta.url));
const machines = JSON.parse(readFileSync(join(folder, 'machines.json'), 'utf8')) as CaseMachines;

export interface Options {
  readonly expect?: Step;
  readonly kernel?: string;
  readonly machine?: string;
}

export function run(steps: Step[], options: Options = {}): CaseResult {
  const raw = {
    id: 'small',
    group: 'g',
    machine: options.machine ?? 'four-nodes-cma',
    kernel: options.kernel ?? '7.3',
    strength: 'exact',
    steps,
    expect: options.expect ?? {},
  };
  return runCase(parseCases(JSON.stringify(raw), 'small')[0], machines, checkInvariants);
}

export function passes(steps: Step[], options: Options = {}): void {
  const result = run(steps, options);
  expect(result.error).toBeNull();
  expect(result.difference).toBeNull();
  expect(result.status).toBe('passed');
}

export const OK = { ret: 0 };
export const fails = (errno: string) => ({ ret: -1, errno });

export function mmap(pages: number, more: Step = {}): Step {
  const prot = ['READ', 'WRITE'];
  const flags = ['PRIVATE', 'ANONYMOUS'];
  return { do: 'mmap', region: 'A', pages, prot, flags, at: '0x700000000000', ...more };
}

export const small = (n: number, region = 'A'): Step => ({
  do: 'madvise',
  region,
  from: 0,
  n,
  advice: 'NOHUGEPAGE',
});
export const write = (n: number, more: Step = {}): Step => ({
  do: 'touch',
  mode: 'write',
  region: 'A',
  from: 0,
  n,
  ...more,
});
export const where = (pages: Json, n: number, more: Step = {}): Step => ({
  look: 'where',
  region: 'A',
  from: 0,
  n,
  expect: { pages },
  ...more,
});
export const pin = (handle: string, n: number, more: Step = {}): Step => ({
  do: 'pin',
  kind: 'longterm',
  via: 'io_uring',
  handle,
  region: 'A',
  from: 0,
  n,
  ...more,
});
