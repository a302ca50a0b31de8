/** The parts of `npm test` and bin/hetmem that decide: install? build? how many failed? */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/cli/packageRoot.ts';
import { DIST, isBuilt } from '../../tools/build.mjs';
import { ensureInstalled } from '../../tools/install.mjs';
import { countsOf } from '../../tools/suite.mjs';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hetmem-bootstrap-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Writes a file whose time is `second`. */
function write(path: string, second: number, text = '') {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  utimesSync(join(root, path), second, second);
}

function age(folder: string, second: number) {
  utimesSync(join(root, folder), second, second);
}

describe('isBuilt', () => {
  beforeEach(() => {
    for (const config of DIST.configs) write(config, 100);
    write('src/mm/a.ts', 100);
    write('src/mm/a.test.ts', 100);
    write('dist/.built', 200);
    age('src/mm', 100);
    age('src', 100);
  });

  it('is true when everything is older than the last build', () => {
    expect(isBuilt(root, DIST)).toBe(true);
  });

  it('does not care for tests and documents', () => {
    write('src/mm/a.test.ts', 300);
    age('src/mm', 100);
    expect(isBuilt(root, DIST)).toBe(true);
  });

  it.each([
    ['a source is newer', () => write('src/mm/a.ts', 300)],
    ['a configuration is newer', () => write('tsconfig.pure.json', 300)],
    ['a source was deleted', () => rmSync(join(root, 'src/mm/a.ts'))],
    ['a source was added with an old time', () => write('src/mm/old.ts', 50)],
    ['there was no build', () => rmSync(join(root, 'dist/.built'))],
  ])('is false when %s', (_, change) => {
    change();
    expect(isBuilt(root, DIST)).toBe(false);
  });
});

describe('ensureInstalled', () => {
  const packages = {
    '': { dependencies: { yaml: '1.0.0' } },
    'node_modules/yaml': { version: '1.0.0', integrity: 'x' },
    'node_modules/other-platform': { version: '1.0.0', integrity: 'y', optional: true },
  };
  const installed = 'node_modules/.package-lock.json';

  function lockAndTree(tree: object) {
    write('package.json', 100, JSON.stringify({ dependencies: { yaml: '1.0.0' } }));
    write('package-lock.json', 200, JSON.stringify({ packages }));
    write(installed, 100, JSON.stringify({ packages: tree }));
  }

  it('leaves a tree alone that is only older than the lock file, and says so', () => {
    lockAndTree({ 'node_modules/yaml': packages['node_modules/yaml'] });
    expect(ensureInstalled(root)).toBe(true);
    expect(statSync(join(root, installed)).mtimeMs).toBeGreaterThan(200_000);
  });

  it('refuses a lock file that was made for other dependencies', () => {
    lockAndTree({});
    write('package.json', 100, JSON.stringify({ dependencies: { yaml: '2.0.0' } }));
    expect(ensureInstalled(root)).toBe(false);
  });
});

describe('countsOf', () => {
  const report = {
    numPassedTests: 5,
    numFailedTests: 1,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: [{ status: 'failed', assertionResults: [{}] }],
  };

  it('counts tests', () => {
    expect(countsOf(report, false)).toEqual({ passed: 5, failed: 1, skipped: 3 });
  });

  it('counts a file that could not be loaded, an error outside of tests, and no report', () => {
    const unloaded = { status: 'failed', assertionResults: [] };
    const testResults = [...report.testResults, unloaded];
    expect(countsOf({ ...report, testResults }, false).failed).toBe(2);
    const well = { ...report, numFailedTests: 0, testResults: [] };
    expect(countsOf(well, true).failed).toBe(0);
    expect(countsOf(well, false).failed).toBe(1);
    expect(countsOf(null, false)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
});

describe('an old Node', () => {
  it.each([
    ['18.20.4', 2],
    ['20.18.9', 2],
    ['20.19.0', 0],
    ['24.0.0', 0],
  ])('%s ends with %i', (version, code) => {
    const url = JSON.stringify(join(packageRoot(), 'bin/nodeVersion.mjs'));
    const script = `Object.defineProperty(process.versions, 'node', { value: '${version}' });
      (await import(${url})).checkNodeVersion();`;
    const args = ['--input-type=module', '-e', script];
    const done = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(done.status).toBe(code);
    if (code !== 0) expect(done.stderr).toContain('needs Node 20.19 or newer');
  });
});
