/**
 * The fast suite: unit tests beside the sources, everything else in test/. One worker a core, and
 * the files of a worker share the modules they import, which no test changes: vitest's own choice,
 * a core less and every module again for every file, takes more than twice as long on two cores.
 */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { onBuild } from './tools/testsOnBuild.mjs';

export default defineConfig({
  plugins: onBuild.plugins,
  test: {
    server: { deps: onBuild.deps },
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'threads',
    isolate: false,
    maxWorkers: availableParallelism(),
    // Machines are shared: how long a test takes never decides.
    testTimeout: 180_000,
  },
});
