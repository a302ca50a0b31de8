/**
 * Answers of src/why against the calls, for minutes. HETMEM_FUZZ_SEED, _RUNS and _LONG as in
 * HACKING.md.
 */
import { expect, it } from 'vitest';
import { fuzzWhy, newTally } from './why/askAndDo.ts';
import { fuzzRanges } from './why/contigRanges.ts';

const MINUTE_MS = 60_000;

it('what is told for certain is what the call does', () => {
  const long = process.env.HETMEM_FUZZ_LONG !== undefined;
  const seed = Number(process.env.HETMEM_FUZZ_SEED ?? 1);
  const runs = Number(process.env.HETMEM_FUZZ_RUNS ?? (long ? 20_000 : 800));
  expect(fuzzWhy(seed, runs, newTally(), long ? 10 * MINUTE_MS : MINUTE_MS)).toBeNull();
});

it('what is told of ranges of frames and CMA areas is what becomes of them', () => {
  const long = process.env.HETMEM_FUZZ_LONG !== undefined;
  const seed = Number(process.env.HETMEM_FUZZ_SEED ?? 1);
  const runs = Number(process.env.HETMEM_FUZZ_RUNS ?? (long ? 10_000 : 200));
  expect(fuzzRanges(seed, runs, new Map(), long ? 5 * MINUTE_MS : MINUTE_MS / 2)).toBeNull();
});
