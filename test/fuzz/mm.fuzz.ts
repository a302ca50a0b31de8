/**
 * The modelled kernel against a naive model, for minutes: random machines and versions, programs,
 * reclaim, administrators, and migrations taken apart. HETMEM_FUZZ_SEED, _RUNS and _LONG as in
 * HACKING.md; HETMEM_FUZZ_PATH is the path that a failure printed, to play it again.
 */
import { expect, it } from 'vitest';
import { fuzz } from './mm/run.ts';

const TWO_MINUTES_MS = 110_000;
const TEN_MINUTES_MS = 600_000;

it('no word is lost, no invariant breaks, every reference is explained', () => {
  const long = process.env.HETMEM_FUZZ_LONG !== undefined;
  const report = fuzz({
    seed: Number(process.env.HETMEM_FUZZ_SEED ?? 1),
    runs: Number(process.env.HETMEM_FUZZ_RUNS ?? (long ? 20_000 : 2_000)),
    operationsMax: long ? 250 : 120,
    path: process.env.HETMEM_FUZZ_PATH,
    limitMs: long ? TEN_MINUTES_MS : TWO_MINUTES_MS,
  });
  expect(report).toBeNull();
});
