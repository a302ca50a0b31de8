/**
 * Trace files (and other tools' traces) as byte sources: files, and pipes read once from front to
 * back. What goes wrong with them is a UserError with path and remedy.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { UserError } from '../base/assert.ts';
import { blame, codeOf, type FileProblems } from '../base/fileProblems.ts';
import { type ByteSource, TraceReader, type TraceReaderOptions } from '../trace/index.ts';
import { nodeCodecs } from './blockCodec.ts';

const PROBLEMS: FileProblems = new Map([
  ['ENOENT', ['no such file', 'check the name']],
  ['ENOTDIR', ['no such file', 'check the name']],
  ['EACCES', ['may not be read', 'check the permissions of the file and its folder']],
  ['EISDIR', ['is a folder', 'name a file in it']],
  ['EIO', ['the disk reports an input/output error', 'copy the file from elsewhere']],
  ['EMFILE', ['too many open files', 'raise ulimit -n']],
]);

/** A file, open until `close`. Errors: UserError. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #fd: number;

  constructor(path: string) {
    this.name = path;
    this.#fd = blame(path, PROBLEMS, () => openSync(path, 'r'));
    const status = blame(path, PROBLEMS, () => fstatSync(this.#fd));
    if (status.isDirectory()) {
      closeSync(this.#fd);
      throw new UserError(path, 'is a folder', 'name a file in it');
    }
    if (!status.isFile()) {
      closeSync(this.#fd);
      throw new UserError(path, 'is no regular file', 'copy it to a file first');
    }
    this.sizeBytes = status.size;
  }

  read(offset: number, into: Uint8Array): number {
    return readFully(this.name, this.#fd, into, offset);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * Standard input: can be read in order only, but for its beginning, which is kept. Its size is
 * infinite until the end is seen.
 */
export class PipeSource implements ByteSource {
  readonly name = 'standard input';
  sizeBytes = Number.POSITIVE_INFINITY;
  readonly #fd: number;
  #position = 0;
  #kept: Uint8Array = new Uint8Array(0);

  constructor(fd = 0) {
    this.#fd = fd;
  }

  read(offset: number, into: Uint8Array): number {
    const kept = this.#kept.subarray(offset, offset + into.length);
    into.set(kept);
    if (offset + kept.length < this.#position && kept.length < into.length) {
      throw new UserError(this.name, 'cannot be read twice', 'write it to a file first');
    }
    const rest = into.subarray(kept.length);
    const length = readFully(this.name, this.#fd, rest, null);
    if (this.#position === 0) this.#kept = rest.slice(0, length);
    this.#position += length;
    if (length < rest.length) this.sizeBytes = this.#position;
    return kept.length + length;
  }

  close(): void {}
}

/** The source that a command line names; `-` is standard input. */
export function inputSource(path: string): FileSource | PipeSource {
  return path === '-' ? new PipeSource() : new FileSource(path);
}

/** A trace file with all of Node's codecs, and its source, to be closed. Errors: UserError. */
export async function openTraceFile(
  path: string,
  options: TraceReaderOptions = {},
): Promise<{ readonly reader: TraceReader; readonly source: FileSource }> {
  const source = new FileSource(path);
  try {
    return { reader: new TraceReader(source, await nodeCodecs(), options), source };
  } catch (error) {
    source.close();
    throw error;
  }
}

function readFully(path: string, fd: number, into: Uint8Array, offset: number | null): number {
  let done = 0;
  while (done < into.length) {
    const position = offset === null ? null : offset + done;
    const length = blame(path, PROBLEMS, () => readSome(fd, into, done, position));
    if (length === 0) break;
    done += length;
  }
  return done;
}

/** A pipe that is set to non-blocking by its other user answers EAGAIN; EOF ends it. */
function readSome(fd: number, into: Uint8Array, done: number, position: number | null): number {
  for (;;) {
    try {
      return readSync(fd, into, done, into.length - done, position);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
