/**
 * NUMA tests of the Linux Test Project (git 695827725f4f, testcases/kernel/syscalls and mem), which
 * passed on Linux 7.3.4, told as cases: what each sets up and asserts. Not among them:
 * set_mempolicy05 (32-bit programs), cpuset01 (races of writers and allocations), ksm04 (ksm02
 * with a memory cgroup beside it).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCases, runCase } from '../../src/conform/index.ts';
import { checkInvariants } from '../../src/mm/index.ts';
import { machines } from './ownCases.ts';

const text = readFileSync(new URL('ltp.jsonl', import.meta.url), 'utf8');
const cases = parseCases(text, 'ltp.jsonl');

describe('LTP', () => {
  it.each(cases.map((one) => [one.id, one.about, one] as const))('%s: %s', (_id, _about, one) => {
    const result = runCase(one, machines, checkInvariants);
    expect([result.error, result.difference, result.status]).toEqual([null, null, 'passed']);
  });
});
