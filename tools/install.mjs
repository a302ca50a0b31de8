/**
 * Installs the packages of package-lock.json when node_modules does not hold them.
 *
 * `npm ci` deletes node_modules before it downloads, so on a machine without network it must not
 * run for nothing: an older time stamp alone (a fresh clone, a copied folder) is no reason, other
 * contents are. Install scripts stay off; no package of ours needs one.
 *
 * Some registries lack binaries of platforms that nobody there uses, and a lock file made with one
 * cannot list them. `npm ci` refuses such a lock file, on every platform. Then `npm install` does
 * the work, and what it installed is compared with the lock file, package by package.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * Makes node_modules under `root` match the lock file; output goes to stderr.
 * @param {string} root
 * @returns {boolean} whether the packages are there
 */
export function ensureInstalled(root) {
  const lock = join(root, 'package-lock.json');
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(installed)) {
    if (statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return true;
    if (holdsAll(lock, installed)) {
      touch(installed);
      return true;
    }
  }
  if (!isLockOfManifest(root, lock)) {
    const remedy = 'run npm install and commit both';
    process.stderr.write(`hetmem: package.json and package-lock.json disagree: ${remedy}\n`);
    return false;
  }
  process.stderr.write('hetmem: installing the packages of package-lock.json …\n');
  const ci = npm(root, ['ci']);
  if (ci.isDone) return true;
  const isRefused = /\bEUSAGE\b/.test(ci.messages) && /from lock file/.test(ci.messages);
  const install = isRefused ? npm(root, ['install', '--no-save']) : ci;
  if (install.isDone && holdsAll(lock, installed)) return true;
  const why = install.isDone ? 'the registry has other contents' : install.messages.trim();
  process.stderr.write(
    `${why}\nhetmem: the packages of package-lock.json could not be installed (see above).\n` +
      'The registry must be reachable once; after that everything works without network.\n',
  );
  return false;
}

/**
 * Whether the lock file was made for the dependencies that package.json names.
 * @param {string} root
 * @param {string} lock
 */
function isLockOfManifest(root, lock) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const locked = packagesOf(lock)?.[''] ?? {};
  return ['dependencies', 'devDependencies'].every(
    (kind) => JSON.stringify(sorted(manifest[kind])) === JSON.stringify(sorted(locked[kind])),
  );
}

/** @param {Record<string, string> | undefined} versions */
function sorted(versions) {
  return Object.entries(versions ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

/**
 * @param {string} root
 * @param {string[]} args
 * @returns {{ isDone: boolean, messages: string }}
 */
function npm(root, args) {
  const [command, prefix] = npmCommand();
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const done = spawnSync(command, [...prefix, ...args, ...flags], { cwd: root, encoding: 'utf8' });
  const messages = `${done.stderr ?? ''}${done.error?.message ?? ''}`;
  return { isDone: done.status === 0, messages };
}

/**
 * Whether the installed tree has every package of the lock file in its version. Optional packages
 * (binaries of other platforms) may be missing.
 * @param {string} lock
 * @param {string} installed
 */
function holdsAll(lock, installed) {
  const wanted = packagesOf(lock);
  const present = packagesOf(installed);
  if (wanted === null || present === null) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const there = present[path];
    if (there === undefined) return entry.optional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

/**
 * @param {string} file
 * @returns {Record<string, any> | null}
 */
function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}

/** @param {string} file */
function touch(file) {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch {
    // A read-only checkout: the contents are compared again next time.
  }
}

/**
 * npm as it was started, so that the npm of this Node is used even when PATH has another.
 * @returns {[string, string[]]}
 */
function npmCommand() {
  const path = process.env.npm_execpath ?? '';
  return basename(path) === 'npm-cli.js' ? [process.execPath, [path]] : ['npm', []];
}
