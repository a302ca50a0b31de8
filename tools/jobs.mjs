/**
 * The jobs of bootstrap.mjs. Each takes the arguments that follow its name and returns an exit
 * code: 0 = well, 1 = something failed, 2 = it could not be tried.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DIST, DIST_BENCH, ensureBuilt } from './build.mjs';
import { ensureInstalled } from './install.mjs';
import { sayWhatIsMissing } from './needs.mjs';
import { runPacked } from './packed.mjs';
import { countLine, runSteps, runVitest } from './suite.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Tests import what was built: testsOnBuild.mjs. Without it they import the sources. */
const ON_BUILD = { HETMEM_TESTS_ON_BUILD: '1' };

/** `npm start`: the comparison of policies on shipped traces (`hetmem start`). */
function start(/** @type {string[]} */ args) {
  if (!ensureInstalled(ROOT) || !ensureBuilt(ROOT, DIST)) return 2;
  return node([join(ROOT, 'dist/cli/main.js'), 'start', ...args]);
}

/** `npm test`: types, house rules of the linter, then every fast test. */
function test(/** @type {string[]} */ args) {
  if (!ensureInstalled(ROOT)) return 2;
  const isBuilt = ensureBuilt(ROOT, DIST);
  const steps = runSteps(ROOT, [
    { name: 'compile (tsc -b)', run: () => isBuilt },
    { name: 'types of tests, benches and tools', tool: tsc('tsconfig.test.json') },
    {
      name: 'biome',
      tool: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings'],
    },
  ]);
  sayWhatIsMissing('test');
  const tests = runVitest(ROOT, ['--config', 'vitest.config.ts', ...args], isBuilt ? ON_BUILD : {});
  return countLine([steps, tests]);
}

/** `npm run test:slow`: tests that take too long for `npm test` (*.slow.ts). */
function slow(/** @type {string[]} */ args) {
  if (!ensureInstalled(ROOT) || !ensureBuilt(ROOT, DIST)) return 2;
  return countLine([runVitest(ROOT, ['--config', 'vitest.slow.config.ts', ...args], ON_BUILD)]);
}

/**
 * `npm run test:fuzz`: the fuzzers (test/fuzz/*.fuzz.ts), longer than the smoke runs of `npm test`.
 * `--long`, `--seed=N` and `--runs=N` reach them as HETMEM_FUZZ_LONG, _SEED and _RUNS.
 * `--operations=N` plays that many operations on the model's memory management (fuzzLong.mjs);
 * with `--rules`, it tells which rules they reached.
 */
function fuzz(/** @type {string[]} */ args) {
  if (!ensureInstalled(ROOT) || !ensureBuilt(ROOT, DIST)) return 2;
  /** @type {Record<string, string>} */
  const env = { ...ON_BUILD };
  const rest = args.filter((arg) => {
    const match = /^--(long|seed|runs|operations|rules)(?:=(\d+))?$/.exec(arg);
    if (match === null) return true;
    env[`HETMEM_FUZZ_${match[1].toUpperCase()}`] = match[2] ?? '1';
    return false;
  });
  const { HETMEM_FUZZ_OPERATIONS: operations, HETMEM_FUZZ_SEED: seed = '1' } = env;
  if (operations !== undefined) {
    const rules = env.HETMEM_FUZZ_RULES === undefined ? [] : ['rules'];
    const isWell = node([join(ROOT, 'tools/fuzzLong.mjs'), operations, seed, ...rules]) === 0;
    return countLine([{ passed: isWell ? 1 : 0, failed: isWell ? 0 : 1, skipped: 0 }]);
  }
  return countLine([runVitest(ROOT, ['--config', 'vitest.fuzz.config.ts', ...rest], env)]);
}

/** `npm run test:mutation`: how many small changes of src/mm/migrat* the tests notice. */
function mutation(/** @type {string[]} */ args) {
  if (!ensureInstalled(ROOT)) return 2;
  return node([join(ROOT, 'tools/mutation.mjs'), ...args]);
}

/** `npm run bench`: one line per figure; see HACKING.md. */
function bench(/** @type {string[]} */ args) {
  if (!ensureInstalled(ROOT) || !ensureBuilt(ROOT, DIST)) return 2;
  if (!ensureBuilt(ROOT, DIST_BENCH)) return 2;
  sayWhatIsMissing('bench');
  return node([join(ROOT, 'dist-bench/bench/run.js'), ...args]);
}

/** `npm run build`: compiles, if anything is out of date. */
function build() {
  return ensureInstalled(ROOT) && ensureBuilt(ROOT, DIST) ? 0 : 2;
}

/** `npm run test:packed`: the package as npm would publish it, outside of the checkout. */
function packed() {
  if (build() !== 0) return 2;
  return countLine([runSteps(ROOT, runPacked(ROOT))]);
}

/** @type {ReadonlyMap<string, (args: string[]) => number>} */
export const JOBS = new Map([
  ['start', start],
  ['build', build],
  ['test', test],
  ['slow', slow],
  ['fuzz', fuzz],
  ['mutation', mutation],
  ['packed', packed],
  ['bench', bench],
]);

/** @param {string} config */
function tsc(config) {
  return ['node_modules/typescript-native/bin/tsc', '-p', config];
}

/** @param {string[]} args */
function node(args) {
  if (!existsSync(args[0])) {
    process.stderr.write(`hetmem: ${args[0]} was not built\n`);
    return 2;
  }
  const done = spawnSync(process.execPath, args, { stdio: 'inherit', cwd: ROOT });
  return done.status ?? 128 + constants.signals[done.signal ?? 'SIGTERM'];
}
