/**
 * `npm run test:fuzz -- --operations=10000000 --seed=1`: the fuzzer of mm/ until so many operations
 * were played, however long it takes. Each line of progress names the seed to go on from. Runs
 * transpiled modules without vitest, which costs a third of its speed. With `--rules` it ends with
 * the rules of docs/model/rules that the operations reached, and those that code cites in vain.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ruleHits, ruleTable } from './instrument/rules.mjs';
import { transpileTree } from './instrument/transpile.mjs';

const [operations, seed] = process.argv.slice(2).map(Number);
const isAboutRules = process.argv[4] === 'rules';

/** @type {Set<string>} */
const cited = new Set();
/** @type {Set<string>} */
const reached = new Set();
Object.assign(globalThis, {
  hetmemRule: (/** @type {string[]} */ ...ids) => {
    for (const id of ids) reached.add(id);
  },
});
const COUNTED = /^src\/(mm|syscalls|drivers)\/(?!.*\.test\.ts$)/;
const folder = transpileTree(`hetmem-fuzz-${process.pid}`, (path) =>
  isAboutRules && COUNTED.test(path) ? [ruleHits(cited)] : [],
);
const { fuzzLong } = await import(pathToFileURL(join(folder, 'test/fuzz/mm/run.js')).href);

const report = fuzzLong({
  seed,
  operations,
  onProgress: (/** @type {number} */ nextSeed, /** @type {number} */ played) => {
    const cpu = (process.cpuUsage().user / 1e6).toFixed(0);
    const mib = (process.memoryUsage().rss / 2 ** 20).toFixed(0);
    console.log(`${played} operations, ${cpu} s CPU, ${mib} MiB; next: --seed=${nextSeed}`);
  },
});
if (isAboutRules) console.log(ruleTable(cited, reached).join('\n'));
if (report !== null) {
  console.log(report);
  process.exitCode = 1;
}
