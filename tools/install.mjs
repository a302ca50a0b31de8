/**
 * Installs the packages of package-lock.json when node_modules does not hold them.
 *
 * `npm ci` deletes node_modules before it downloads, so on a machine without network it must not
 * run for nothing: an older time stamp alone (a fresh clone, a copied folder) is no reason, other
 * contents are. Install scripts stay off; no package of ours needs one.
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
  process.stderr.write('hetmem: installing the packages of package-lock.json (npm ci) …\n');
  const [command, prefix] = npmCommand();
  const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const done = spawnSync(command, [...prefix, ...flags], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (done.status === 0) return true;
  const why = done.error === undefined ? `npm exited with ${done.status}` : done.error.message;
  process.stderr.write(
    `hetmem: the packages could not be installed: ${why}\n` +
      'The registry must be reachable once; after that everything works without network.\n',
  );
  return false;
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
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean }> | null}
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
