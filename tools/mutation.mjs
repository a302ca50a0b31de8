/**
 * `npm run test:mutation`: how many small changes of src/mm/migrate*.ts the tests notice. Prints
 * the survivors and, as the last line, `N killed, N survived, N not covered: P %`. Exit code 1 if
 * less than 80 % are killed.
 *
 * Usage: node tools/mutation.mjs [pattern of sources, default src/mm/migrate*]
 */
import { fork } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutantsOf } from './instrument/mutants.mjs';
import { scriptsOf, transpileTree } from './instrument/transpile.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const KILLED_MIN = 0.8;
/** A mutant on which the runner is silent for so long does not end. */
const SILENCE_MS = 30_000;
const ENDLESS = 'does not end';

/** @typedef {import('./instrument/mutants.mjs').Mutant} Mutant */

const prefix = process.argv[2] ?? 'src/mm/migrat';
const isTest = (/** @type {string} */ path) => path.endsWith('.test.ts');
/** @type {Mutant[]} */
const mutants = [];
const folder = transpileTree('hetmem-mutation', (path) =>
  path.startsWith(prefix) && !isTest(path) ? [mutantsOf(path, mutants)] : [],
);
const files = ['src/mm', 'src/syscalls', 'src/drivers'].flatMap(scriptsOf).filter(isTest);
const scripts = files.map((path) => path.replace(/\.ts$/, '.js'));

/** @type {Map<number, string | null>} */
const killers = new Map();
/** @type {Set<number>} */
const covered = new Set();
let next = 0;
while (next < mutants.length) await runFrom();
report();

/** Runs a process over the mutants from `next` on, until all are done or one does not end. */
function runFrom() {
  return new Promise((resolve) => {
    const child = fork(join(ROOT, 'tools/instrument/runner.mjs'), [folder, ...scripts]);
    /** @type {NodeJS.Timeout | undefined} */
    let silence;
    const ask = () => {
      while (next < mutants.length && !covered.has(next)) next++;
      if (next >= mutants.length) {
        child.kill();
        return;
      }
      restartSilence();
      child.send({ mutant: next });
    };
    const restartSilence = () => {
      clearTimeout(silence);
      silence = setTimeout(() => {
        killers.set(next++, ENDLESS);
        child.kill('SIGKILL');
      }, SILENCE_MS);
    };
    child.on('message', (/** @type {any} */ message) => {
      if (message.broken !== undefined) {
        console.log(`fails without a mutant: ${message.broken}: ${message.why}`);
        process.exitCode = 1;
      } else if (message.tests !== undefined) {
        for (const { reached } of message.tests) for (const id of reached) covered.add(id);
        console.log(`${message.tests.length} tests reach ${covered.size} of ${mutants.length}`);
        ask();
      } else if (message.alive) restartSilence();
      else {
        killers.set(message.mutant, message.killer);
        if (message.mutant % 100 === 0) console.log(`… mutant ${message.mutant}`);
        next++;
        ask();
      }
    });
    child.on('exit', () => {
      clearTimeout(silence);
      resolve(null);
    });
  });
}

function report() {
  /** @type {Map<string, { killed: number, survived: number, uncovered: number }>} */
  const byFile = new Map();
  const sum = { killed: 0, survived: 0, uncovered: 0 };
  for (const one of mutants) {
    const own = byFile.get(one.path) ?? { killed: 0, survived: 0, uncovered: 0 };
    byFile.set(one.path, own);
    const fate = fateOf(one.id);
    own[fate]++;
    sum[fate]++;
    if (fate === 'killed') continue;
    const from = one.from.replace(/\s+/g, ' ').slice(0, 70);
    console.log(`${fate.padEnd(9)} ${one.path}:${one.line}: ${from} → ${one.to}`);
  }
  for (const [path, own] of byFile) {
    const { killed, survived, uncovered } = own;
    const share = (100 * killed) / (killed + survived + uncovered);
    const figures = `${killed} killed, ${survived} survived, ${uncovered} not covered`;
    console.log(`${path}: ${figures}: ${share.toFixed(1)} %`);
  }
  const share = sum.killed / mutants.length;
  if (!(share >= KILLED_MIN)) process.exitCode = 1;
  const percent = (100 * share).toFixed(1);
  console.log(
    `${sum.killed} killed, ${sum.survived} survived, ${sum.uncovered} not covered: ${percent} %`,
  );
}

/** @param {number} id */
function fateOf(id) {
  if (!covered.has(id)) return 'uncovered';
  return killers.get(id) === null ? 'survived' : 'killed';
}
