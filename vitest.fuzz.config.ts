/**
 * The fuzzers, which run for minutes: test/fuzz/*.fuzz.ts. How long and from which seed is said by
 * HETMEM_FUZZ_LONG, HETMEM_FUZZ_RUNS and HETMEM_FUZZ_SEED (tools/jobs.mjs).
 */
import { defineConfig } from 'vitest/config';
import { onBuild } from './tools/testsOnBuild.mjs';

export default defineConfig({
  plugins: onBuild.plugins,
  test: {
    server: { deps: onBuild.deps },
    include: ['test/fuzz/**/*.fuzz.ts'],
    passWithNoTests: true,
    pool: 'threads',
    testTimeout: 15 * 60_000,
  },
});
