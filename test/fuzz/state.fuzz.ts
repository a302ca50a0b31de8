/**
 * Saved states for minutes: random histories, saved in the middle; the restored kernel must go on
 * to the byte. HETMEM_FUZZ_SEED, _RUNS and _LONG as in HACKING.md.
 */
import { expect, it } from 'vitest';
import { fuzzSaved } from './state/savedHistory.ts';

const MINUTE_MS = 60_000;

it('a restored kernel goes on as the one it was saved from', () => {
  const long = process.env.HETMEM_FUZZ_LONG !== undefined;
  const seed = Number(process.env.HETMEM_FUZZ_SEED ?? 1);
  const runs = Number(process.env.HETMEM_FUZZ_RUNS ?? (long ? 5000 : 300));
  expect(fuzzSaved(seed, runs, long ? 10 * MINUTE_MS : MINUTE_MS)).toBeNull();
});
