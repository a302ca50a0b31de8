/**
 * Files of /proc and /sys written below a folder at their paths. They are written beside the folder
 * first, so that it has all of them or none; words that are 0 are left as holes.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { assert, UserError } from '../base/assert.ts';
import type { KernelFile, Words, WordsFile } from '../proc/index.ts';
import { onCleanUp } from './interrupt.ts';

/** Words asked of a file at a time. */
export const WORDS_PER_READ = 65536;

/** Little-endian, as on the machines that are modelled. */
export function bytesOf(words: Words): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength);
}

/** Errors: UserError if the folder has files already (unless `force`) or cannot be written. */
export async function writeKernelFiles(
  folder: string,
  files: readonly KernelFile[],
  force: boolean,
): Promise<void> {
  const isThere = existsSync(folder);
  try {
    if (isThere && readdirSync(folder).length > 0 && !force) {
      throw new UserError(folder, 'is not empty', 'give another name, or --force to write over it');
    }
    const staging = `${folder.replace(/\/+$/, '')}.${process.pid}.tmp`;
    const forget = onCleanUp(() => rmSync(staging, { recursive: true, force: true }));
    try {
      await writeTree(staging, files);
      if (isThere) moveFiles(staging, folder, files);
      else renameSync(staging, folder);
    } finally {
      rmSync(staging, { recursive: true, force: true });
      forget();
    }
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error;
    throw new UserError(folder, 'cannot be written', error.message);
  }
}

async function writeTree(folder: string, files: readonly KernelFile[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const file of files) {
    const path = join(folder, file.path);
    mkdirSync(dirname(path), { recursive: true });
    if (file.kind === 'text') writeFileSync(path, file.text());
    else await writeWords(path, file);
  }
}

function moveFiles(from: string, to: string, files: readonly KernelFile[]): void {
  for (const { path } of files) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    renameSync(join(from, path), join(to, path));
  }
}

async function writeWords(path: string, file: WordsFile): Promise<void> {
  const fd = openSync(path, 'w');
  try {
    let end = 0;
    for (const { offset, length } of file.extents()) {
      end = offset + length;
      for (let at = offset; at < end; at += WORDS_PER_READ * 8) {
        const words = file.read(at, Math.min(WORDS_PER_READ * 8, end - at));
        assert(typeof words !== 'number', `${file.path} is read at multiples of 8`);
        if (words.some((word) => word !== 0)) writeAll(fd, bytesOf(words), at);
      }
      // Signals are handled between two reads.
      await new Promise(setImmediate);
    }
    ftruncateSync(fd, Math.min(file.sizeBytes, Math.max(end, fileEnd(file))));
  } finally {
    closeSync(fd);
  }
}

/** A pagemap ends with what is mapped: 256 GiB of hole serve nobody. */
function fileEnd(file: WordsFile): number {
  return file.path.endsWith('/pagemap') ? 0 : file.sizeBytes;
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}
