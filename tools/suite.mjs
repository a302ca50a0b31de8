/**
 * Runs the steps of a test job and counts them. The last line of every test job is
 * `N passed, N failed, N skipped`, which scripts may read; a step that is not a test (the compiler,
 * the linter) counts as one.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */
/**
 * Either `run`, or a `tool`: a script of node_modules with its arguments.
 * @typedef {{ name: string, run?: () => boolean, tool?: string[] }} Step
 */

/**
 * @param {string} root
 * @param {Step[]} steps
 * @returns {Counts}
 */
export function runSteps(root, steps) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const step of steps) {
    const isWell = runStep(root, step);
    console.log(`${isWell ? 'ok    ' : 'FAILED'}  ${step.name}`);
    if (isWell) counts.passed++;
    else counts.failed++;
  }
  return counts;
}

/**
 * @param {string} root
 * @param {Step} step
 */
function runStep(root, step) {
  if (step.run === undefined) return runTool(root, step.tool ?? []);
  try {
    return step.run();
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    return false;
  }
}

/**
 * @param {string} root
 * @param {string[]} command
 */
function runTool(root, command) {
  const done = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  if (done.status === 0) return true;
  process.stdout.write(`${done.stdout ?? ''}${done.stderr ?? ''}${done.error ?? ''}\n`);
  return false;
}

/**
 * Tests boot thousands of machines, each with columns of tens of megabytes. Every core has a worker
 * of vitest, so threads of the garbage collector beside them take more time than they save; and by
 * default glibc's malloc comes to zero such columns where the host would give pages when written.
 */
const GC = '--single-threaded-gc';
const MALLOC = { MALLOC_MMAP_THRESHOLD_: `${128 * 1024}` };

/**
 * Runs vitest with its ordinary output and reads the counts from a second, JSON report.
 * @param {string} root
 * @param {string[]} args
 * @param {Record<string, string>} env
 * @returns {Counts}
 */
export function runVitest(root, args, env) {
  const folder = mkdtempSync(join(tmpdir(), 'hetmem-test-'));
  const report = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const command = [GC, 'node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args];
    const done = spawnSync(process.execPath, command, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...MALLOC, ...env },
    });
    return countsOf(readReport(report), done.status === 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} file */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/**
 * A file that cannot be loaded holds no test that could fail, and an error outside of any test
 * fails none: both must still be counted.
 * @param {any} report
 * @param {boolean} isWell
 * @returns {Counts}
 */
export function countsOf(report, isWell) {
  if (report === null) return { passed: 0, failed: 1, skipped: 0 };
  const unloaded = report.testResults.filter(
    (/** @type {any} */ file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  const failed = report.numFailedTests + unloaded;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !isWell ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/**
 * Prints the sum as the last line; the exit code is 1 if anything failed.
 * @param {Counts[]} parts
 */
export function countLine(parts) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const part of parts) {
    sum.passed += part.passed;
    sum.failed += part.failed;
    sum.skipped += part.skipped;
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  return sum.failed === 0 ? 0 : 1;
}
