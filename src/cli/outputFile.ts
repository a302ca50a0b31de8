/**
 * Result files that are whole or not there: written under a temporary name in the same folder,
 * synced, then given their name. An existing file is replaced only with --force, and nothing is
 * left behind by an error, a full disk or ^C.
 *
 * Order: create temporary · write · fsync · link (or rename with --force) · fsync the folder.
 * A target that is no regular file (/dev/stdout, a pipe) is written directly: renaming over it
 * would replace the device.
 */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { assert, UserError } from '../base/assert.ts';
import { blame, codeOf, type FileProblems } from '../base/fileProblems.ts';
import { onCleanUp } from './interrupt.ts';

/** The name of the option that `force` comes from, for the remedy in messages. */
const FORCE_REMEDY = 'give another name, or --force to replace it';

let nrCreated = 0;

export class OutputFile {
  /** As the user gave it. */
  readonly path: string;
  /** Open for writing; may be handed to a child process. -1 after commit and discard. */
  fd: number;
  readonly #target: string;
  readonly #temporary: string | null;
  readonly #isReplacing: boolean;
  #forget: () => void = () => {};

  /**
   * Opens `path` for writing. Throws UserError if it exists (unless `force`), is a folder, or if
   * its folder is missing or read-only.
   */
  constructor(path: string, options: { readonly force: boolean }) {
    this.path = path;
    this.#isReplacing = options.force;
    const existing = blameWriting(path, () => statSync(path, { throwIfNoEntry: false }));
    if (existing?.isDirectory()) throw new UserError(path, 'is a folder', 'name a file in it');
    if (existing !== undefined && !existing.isFile()) {
      this.#target = path;
      this.#temporary = null;
      this.fd = blameWriting(path, () => openSync(path, 'w'));
      return;
    }
    if (existing !== undefined && !options.force) {
      throw new UserError(path, 'exists already', FORCE_REMEDY);
    }
    // A symbolic link stays one: what it points to is replaced.
    this.#target = existing === undefined ? path : realpathSync(path);
    const name = `.${basename(this.#target)}.${process.pid}.${nrCreated++}.tmp`;
    const temporary = join(dirname(this.#target), name);
    this.#temporary = temporary;
    this.fd = blameWriting(path, () => openSync(temporary, 'wx'));
    this.#forget = onCleanUp(() => rmSync(temporary, { force: true }));
    if (existing !== undefined) fchmodSync(this.fd, existing.mode & 0o7777);
  }

  /** Appends all of `bytes`. Throws UserError when the disk is full; the file is discarded then. */
  write(bytes: Uint8Array | string): void {
    assert(this.fd >= 0, `write to ${this.path} after commit or discard`);
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    let done = 0;
    while (done < buffer.length) {
      done += this.#try(() => writeSync(this.fd, buffer, done, buffer.length - done));
    }
  }

  /** Makes the file appear under its name, with everything that was written. */
  commit(): void {
    assert(this.fd >= 0, `commit of ${this.path} after commit or discard`);
    const temporary = this.#temporary;
    if (temporary !== null) this.#try(() => fsyncSync(this.fd));
    this.#try(() => closeSync(this.fd));
    this.fd = -1;
    if (temporary !== null) {
      this.#try(() => giveName(temporary, this.#target, this.#isReplacing));
      syncFolder(dirname(this.#target));
    }
    this.#forget();
  }

  /** Forgets everything that was written. Does nothing after commit. */
  discard(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
    if (this.#temporary !== null) rmSync(this.#temporary, { force: true });
    this.#forget();
  }

  #try<T>(work: () => T): T {
    try {
      return blameWriting(this.path, work);
    } catch (error) {
      this.discard();
      throw error;
    }
  }
}

/** Writes a whole file at once; errors as of OutputFile. */
export function writeOutputFile(
  path: string,
  contents: Uint8Array | string,
  options: { readonly force: boolean },
): void {
  const file = new OutputFile(path, options);
  file.write(contents);
  file.commit();
}

/** link() fails if the name was taken meanwhile; rename() would silently replace it. */
function giveName(temporary: string, target: string, isReplacing: boolean): void {
  if (isReplacing) {
    renameSync(temporary, target);
    return;
  }
  try {
    linkSync(temporary, target);
  } catch (error) {
    // A file system without hard links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error)))
      throw error;
    if (statSync(target, { throwIfNoEntry: false }) !== undefined) {
      throw new UserError(target, 'exists already', FORCE_REMEDY);
    }
    renameSync(temporary, target);
    return;
  }
  rmSync(temporary);
}

/** The new name itself must survive a power cut. Not every file system can sync a folder. */
function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // The contents are synced; only the name may be lost.
  }
}

const PROBLEMS: FileProblems = new Map([
  ['ENOSPC', ['no space left on the disk', 'free some, or write to another disk']],
  ['EDQUOT', ['the disk quota is used up', 'free some, or write to another disk']],
  ['EFBIG', ['the file system or ulimit -f allows no larger file', 'write to another disk']],
  ['EACCES', ['may not be written', 'check the permissions of the file and its folder']],
  ['EPERM', ['may not be written', 'check the permissions of the file and its folder']],
  ['EROFS', ['lies on a read-only file system', 'write to another folder']],
  ['ENOENT', ['its folder does not exist', 'create the folder first']],
  ['ENOTDIR', ['its folder is a file', 'write to another folder']],
  ['EISDIR', ['is a folder', 'name a file in it']],
  ['EEXIST', ['exists already', FORCE_REMEDY]],
  ['ENAMETOOLONG', ['the name is too long', 'give a shorter name']],
  ['EIO', ['the disk reports an input/output error', 'write to another disk']],
  ['EMFILE', ['too many open files', 'raise ulimit -n']],
]);

/** What goes wrong with files and folders that are written. Errors: UserError. */
export function blameWriting<T>(path: string, work: () => T): T {
  return blame(path, PROBLEMS, work);
}
