/**
 * Finished runs on disk, so that an experiment that was stopped goes on where it was.
 *
 * A text file: a line of JSON that says what it is, then a line for each finished run with its key
 * and result, written at once when the run is done. A line that was cut (power, a full disk) is not
 * read, and what follows it would be: the file is cut back to its last whole line before anything
 * is added. Failed runs are not kept: they are tried again.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../base/assert.ts';
import { codeOf } from '../base/fileProblems.ts';
import type { RunResult } from '../experiment/index.ts';

export const JOURNAL_FORMAT = 'journal/1';

/** What a finished run is known by: anything that could change its result changes the key. */
export function runKey(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Hash of all code under `folder`: results of other code are not these results. */
export function codeKey(folder: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[jt]s$/.test(name) && !/\.(d|test)\.ts$/.test(name))
    .sort();
  for (const name of files) hash.update(`${name}\n`).update(readFileSync(join(folder, name)));
  return hash.digest('hex');
}

export class Journal {
  readonly path: string;
  /** Runs that were found finished, or were added. */
  readonly finished: Map<string, RunResult>;
  #fd = -1;
  #keep: number;

  private constructor(path: string, finished: Map<string, RunResult>, keep: number) {
    this.path = path;
    this.finished = finished;
    this.#keep = keep;
  }

  /** Goes on with the journal at `path`, if there is one. Errors: UserError if it is none. */
  static resume(path: string): Journal {
    const text = readIfThere(path);
    if (text === null) return new Journal(path, new Map(), 0);
    const { finished, wholeBytes } = parseJournal(text, path);
    return new Journal(path, finished, wholeBytes);
  }

  /** A new journal; one that is there is kept beside it as `path.old`. */
  static start(path: string): Journal {
    if (readIfThere(path) !== null) renameSync(path, `${path}.old`);
    return new Journal(path, new Map(), 0);
  }

  /** Keeps the result of a run. Errors: UserError when the disk is full or not writable. */
  add(key: string, result: RunResult): void {
    if (this.#fd < 0) this.#open();
    this.#write({ run: key, result });
    this.finished.set(key, result);
  }

  /** All is written elsewhere: the journal goes, and its folder if nothing else is in it. */
  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
    try {
      rmdirSync(dirname(this.path));
    } catch {
      // Something else is in it, or it is not there: it stays as it is.
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  /** The file appears with the first result. */
  #open(): void {
    blame(this.path, () => {
      mkdirSync(dirname(this.path), { recursive: true });
      this.#fd = openSync(this.path, 'a');
      ftruncateSync(this.#fd, this.#keep);
    });
    if (this.#keep === 0) this.#write({ format: JOURNAL_FORMAT });
  }

  #write(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    blame(this.path, () => {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
    });
  }
}

function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(path, `cannot be read: ${reason}`, 'check its permissions, or remove it');
  }
}

/** Whole lines up to the first that is not. */
function parseJournal(bytes: Buffer, path: string) {
  const finished = new Map<string, RunResult>();
  let at = 0;
  for (let line = 0; ; line++) {
    const end = bytes.indexOf(10, at);
    const entry = end < 0 ? null : entryOf(bytes.toString('utf8', at, end));
    if (line === 0 && entry?.format !== JOURNAL_FORMAT) {
      // Cut within its first line, it holds nothing; anything else is somebody's other file.
      if (end < 0 && `{"format":"${JOURNAL_FORMAT}"}`.startsWith(bytes.toString('utf8'))) break;
      throw new UserError(path, `is no journal of this hetmem (${JOURNAL_FORMAT})`, 'remove it');
    }
    if (entry === null) break;
    if (entry.run !== undefined && entry.result !== undefined) {
      finished.set(entry.run, entry.result);
    }
    at = end + 1;
  }
  return { finished, wholeBytes: at };
}

interface Entry {
  readonly format?: string;
  readonly run?: string;
  readonly result?: RunResult;
}

function entryOf(text: string): Entry | null {
  try {
    const entry: unknown = JSON.parse(text);
    return typeof entry === 'object' && entry !== null ? entry : null;
  } catch {
    return null;
  }
}

function blame<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(path, `cannot be written: ${reason}`, 'free some space, or run elsewhere');
  }
}
