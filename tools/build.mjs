/**
 * Compiles src/ to dist/ when a source is newer than the last successful build. Both the jobs of
 * bootstrap.mjs and bin/hetmem of a checkout ask here, so the answer "nothing to do" must be cheap:
 * one stat per source, nothing is read.
 *
 * Order: take the lock · look again · note the time · compile · remove outputs without a source ·
 * stamp with the noted time, so that an edit during the build makes the next one run.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const TSC = 'node_modules/typescript-native/bin/tsc';
const CONFIGS = ['tsconfig.base.json', 'tsconfig.json', 'tsconfig.pure.json', 'tsconfig.node.json'];

/**
 * What is compiled from where. `sources` and `configs` decide whether the output is out of date.
 * @typedef {{ sources: string[], configs: string[], outDir: string, tsc: string[] }} Target
 */

/** @type {Target} */
export const DIST = { sources: ['src'], configs: CONFIGS, outDir: 'dist', tsc: ['-b'] };

/** Benchmarks and tools are compiled together with the sources they measure. */
/** @type {Target} */
export const DIST_BENCH = {
  sources: ['src', 'bench', 'tools'],
  configs: [...CONFIGS, 'tsconfig.bench.json'],
  outDir: 'dist-bench',
  tsc: ['-p', 'tsconfig.bench.json'],
};

/**
 * Whether everything compiled is newer than everything it is compiled from.
 * @param {string} root
 * @param {Target} target
 */
export function isBuilt(root, target) {
  const stamp = statSync(join(root, target.outDir, '.built'), { throwIfNoEntry: false });
  if (stamp === undefined) return false;
  const since = stamp.mtimeMs;
  const isNewer = (/** @type {string} */ path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat !== undefined && stat.mtimeMs > since;
  };
  if (target.configs.some((name) => isNewer(join(root, name)))) return false;
  return !target.sources.some((folder) => isTreeNewer(join(root, folder), isNewer));
}

/**
 * A folder's own time changes when a file in it appears or goes, so deletions are seen too.
 * @param {string} folder
 * @param {(path: string) => boolean} isNewer
 * @returns {boolean}
 */
function isTreeNewer(folder, isNewer) {
  if (isNewer(folder)) return true;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (isTreeNewer(path, isNewer)) return true;
    } else if (isCompiled(entry.name) && isNewer(path)) return true;
  }
  return false;
}

/** @param {string} name */
function isCompiled(name) {
  return name.endsWith('.ts') && !name.endsWith('.test.ts');
}

/**
 * Builds `target` if it is out of date; the compiler's messages go to stderr.
 * @param {string} root
 * @param {Target} target
 * @returns {boolean} whether the output is up to date now
 */
export function ensureBuilt(root, target) {
  if (isBuilt(root, target)) return true;
  return withLock(join(root, 'node_modules', `.${target.outDir}.lock`), () => {
    if (isBuilt(root, target)) return true;
    const startedAt = new Date();
    const args = [join(root, TSC), ...target.tsc];
    const done = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
    if (done.status !== 0) {
      process.stderr.write(`hetmem: ${target.outDir}/ could not be compiled (see above).\n`);
      return false;
    }
    removeOrphans(join(root, target.outDir), sourceOf(root, target));
    const stamp = join(root, target.outDir, '.built');
    writeFileSync(stamp, '');
    utimesSync(stamp, startedAt, startedAt);
    return true;
  });
}

/**
 * Maps a path inside the output folder, without its extension, to the source it is compiled from.
 * @param {string} root
 * @param {Target} target
 * @returns {(stem: string) => string}
 */
function sourceOf(root, target) {
  const base = target.outDir === 'dist' ? join(root, 'src') : root;
  return (stem) => join(base, `${stem}.ts`);
}

/**
 * The compiler leaves the outputs of deleted sources behind; they would be published.
 * @param {string} outDir
 * @param {(stem: string) => string} source
 * @param {string} inside
 */
function removeOrphans(outDir, source, inside = '') {
  for (const entry of readdirSync(join(outDir, inside), { withFileTypes: true })) {
    const path = join(inside, entry.name);
    if (entry.isDirectory()) {
      removeOrphans(outDir, source, path);
      continue;
    }
    const stem = /^(.*?)(\.d\.ts|\.js)$/.exec(path)?.[1];
    if (stem !== undefined && !existsSync(source(stem))) rmSync(join(outDir, path));
  }
}

/**
 * Runs `work` while no other process builds. A lock whose owner is gone is taken over.
 * @template T
 * @param {string} path
 * @param {() => T} work
 * @returns {T}
 */
function withLock(path, work) {
  while (!tryLock(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  try {
    return work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path */
function tryLock(path) {
  try {
    const fd = openSync(path, 'wx');
    writeSync(fd, String(process.pid));
    closeSync(fd);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    if (!isHeld(path)) rmSync(path, { force: true });
    return false;
  }
}

/** @param {string} path */
function isHeld(path) {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    // An empty file: its owner is between open and write, unless it died there long ago.
    if (pid === 0) return Date.now() - statSync(path).mtimeMs < 5000;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
