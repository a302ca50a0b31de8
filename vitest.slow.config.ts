/** Tests that are sure to end but take long: test/**\/*.slow.ts (`npm run test:slow`). */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { onBuild } from './tools/testsOnBuild.mjs';

export default defineConfig({
  plugins: onBuild.plugins,
  test: {
    server: { deps: onBuild.deps },
    include: ['test/**/*.slow.ts'],
    pool: 'threads',
    isolate: false,
    maxWorkers: availableParallelism(),
    testTimeout: 300_000,
  },
});
