/** A file of /proc or /sys at its path on Linux: text, or 64-bit words that are read in parts. */
import type { BehaviourName } from '../hw/index.ts';
import type { Words } from './wordFile.ts';

export interface TextFile {
  readonly kind: 'text';
  readonly path: string;
  /** What a version of Linux must have for the file to exist; absent: nothing. */
  readonly behaviour?: BehaviourName;
  /** What cat prints, the last newline included. */
  text(): string;
}

/** A range of bytes of a file. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

export interface WordsFile {
  readonly kind: 'words';
  readonly path: string;
  /** The end of the file in bytes. */
  readonly sizeBytes: number;
  /** Where words may be other than 0, ascending: the rest of the file are holes. */
  extents(): readonly Extent[];
  /** HS-2, HS-11, HS-23: -EINVAL unless offset and length are multiples of 8. */
  read(offset: number, length: number): Words | number;
}

export type KernelFile = TextFile | WordsFile;

/** A file of one line. */
export function lineFile(
  path: string,
  line: () => string | number,
  behaviour?: BehaviourName,
): TextFile {
  const text = () => `${line()}\n`;
  return behaviour === undefined
    ? { kind: 'text', path, text }
    : { kind: 'text', path, text, behaviour };
}

export function textFile(path: string, text: () => string): TextFile {
  return { kind: 'text', path, text };
}
