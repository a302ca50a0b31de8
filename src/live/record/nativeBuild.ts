/**
 * The recorder's plugin, compiled when it is needed, and QEMU, which loads it.
 *
 * The sources are in the package (native/); the library goes to native/build/, or to the user's
 * cache folder when the package is installed read-only. Nothing is installed here: what is missing
 * is named with the Debian package that has it.
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../base/assert.ts';

export const LIBRARY_NAME = 'libhetmemtrace.so';
const QEMU = 'qemu-x86_64';
/** QEMU 9.0 dropped version 1 of the plugin interface, which the recorder is written for. */
const QEMU_MAJOR_MIN = 4;
const QEMU_MAJOR_MAX = 8;
const FLAGS = ['-O3', '-std=gnu11', '-Wall', '-shared', '-fPIC', '-fvisibility=hidden', '-pthread'];

export interface Qemu {
  readonly path: string;
  /** For example "7.2.22". */
  readonly version: string;
}

/** Looks `name` up in PATH, or takes it as it is when it has a slash. Null if it cannot be run. */
export function findExecutable(name: string, path = process.env.PATH ?? ''): string | null {
  const candidates = name.includes('/')
    ? [name]
    : path.split(':').map((folder) => join(folder === '' ? '.' : folder, name));
  for (const candidate of candidates) {
    try {
      accessSync(candidate, constants.X_OK);
      if (statSync(candidate).isFile()) return candidate;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return null;
}

/** QEMU's user emulation of x86-64. Errors: UserError if it is missing or not usable. */
export function findQemu(): Qemu {
  const path = findExecutable(QEMU);
  if (path === null) {
    throw new UserError(QEMU, 'is not installed', 'apt-get install qemu-user (7.2 and later 7, 8)');
  }
  const help = spawnSync(path, ['-help'], { encoding: 'utf8' });
  const version = /version ([\d.]+)/.exec(
    spawnSync(path, ['-version'], { encoding: 'utf8' }).stdout ?? '',
  )?.[1];
  if (version === undefined) throw new UserError(path, 'does not say its version');
  const major = Number(version.split('.')[0]);
  if (major < QEMU_MAJOR_MIN || major > QEMU_MAJOR_MAX) {
    const remedy = `QEMU ${QEMU_MAJOR_MIN} to ${QEMU_MAJOR_MAX}, such as Debian 12's 7.2`;
    throw new UserError(path, `version ${version} has another plugin interface`, remedy);
  }
  if (!`${help.stdout}${help.stderr}`.includes('-plugin')) {
    throw new UserError(path, 'is built without plugins', "use Debian's package qemu-user");
  }
  return { path, version };
}

/**
 * The path of the plugin, compiled from `sourceFolder` if it is missing or older than its sources.
 * `say` is told before a compilation.
 * Errors: UserError if the compiler or the C library's headers are missing, or nothing is writable.
 */
export function ensureNative(sourceFolder: string, say: (text: string) => void = () => {}): string {
  const sources = readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.c') || name.endsWith('.h'))
    .map((name) => join(sourceFolder, name));
  const newestMs = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  const folders = [join(sourceFolder, 'build'), cacheFolder()];
  for (const folder of folders) {
    const built = statSync(join(folder, LIBRARY_NAME), { throwIfNoEntry: false });
    if (built !== undefined && built.mtimeMs >= newestMs) return join(folder, LIBRARY_NAME);
  }
  const folder = folders.find(canWrite);
  if (folder === undefined) {
    throw new UserError(
      folders[0]!,
      'cannot be written',
      'set XDG_CACHE_HOME to a folder that can',
    );
  }
  say(`compiling the recorder's plugin into ${folder}`);
  compile(
    sources.filter((path) => path.endsWith('.c')),
    join(folder, LIBRARY_NAME),
  );
  return join(folder, LIBRARY_NAME);
}

/** Order: compiled under a temporary name, then renamed: two recordings may start at once. */
function compile(sources: readonly string[], library: string): void {
  const compiler = findExecutable(process.env.CC ?? 'gcc');
  const remedy = 'apt-get install gcc libc6-dev';
  if (compiler === null) throw new UserError(process.env.CC ?? 'gcc', 'is not installed', remedy);
  const temporary = `${library}.${process.pid}.tmp`;
  const made = spawnSync(compiler, [...FLAGS, '-o', temporary, ...sources], { encoding: 'utf8' });
  if (made.status !== 0) {
    rmSync(temporary, { force: true });
    const lines = (made.stderr || made.error?.message || '').trim().split('\n').slice(0, 6);
    const said = `could not compile the recorder's plugin:\n${lines.join('\n')}\n`;
    throw new UserError(compiler, said, remedy);
  }
  renameSync(temporary, library);
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hetmem');
}

function canWrite(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
