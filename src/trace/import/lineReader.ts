/**
 * Lines of a text as byte ranges of one buffer: no string per line, constant memory.
 *
 * Lines end in \n or \r\n; the last one may lack it. Errors name file and line.
 */
import { UserError } from '../../base/assert.ts';
import type { ByteSource } from '../byteStream.ts';
import { utf8Decode } from '../bytes.ts';

const BUFFER_BYTES = 1 << 20;
const SHOWN_BYTES = 80;

export class LineReader {
  readonly bytes = new Uint8Array(BUFFER_BYTES);
  /** The line: bytes [start, end). */
  start = 0;
  end = 0;
  /** Its number, from 1. */
  number = 0;
  readonly #source: ByteSource;
  /** Offset in the source after what is buffered. */
  #offset = 0;
  #next = 0;
  #filled = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Bytes of the source taken so far, for progress. */
  get bytesRead(): number {
    return this.#offset - this.#filled + this.#next;
  }

  /** Goes to the next line; false at the end. Errors: UserError for a line over 1 MiB. */
  next(): boolean {
    let at = this.bytes.indexOf(10, this.#next);
    if (at < 0 || at >= this.#filled) {
      this.#fill();
      if (this.#filled === 0) return false;
      at = this.bytes.indexOf(10);
      if (at < 0 || at >= this.#filled) at = this.#filled;
      if (at === this.bytes.length) {
        const place = `${this.#source.name}:${this.number + 1}`;
        throw new UserError(place, 'a line of more than 1 MiB', 'is this a text file?');
      }
    }
    this.start = this.#next;
    this.#next = at + 1;
    this.end = at > this.start && this.bytes[at - 1] === 13 ? at - 1 : at;
    this.number++;
    return true;
  }

  #fill(): void {
    if (this.#next > this.#filled) this.#next = this.#filled;
    this.bytes.copyWithin(0, this.#next, this.#filled);
    this.#filled -= this.#next;
    this.#next = 0;
    const read = this.#source.read(this.#offset, this.bytes.subarray(this.#filled));
    this.#offset += read;
    this.#filled += read;
  }

  /** An error about this line, which is shown. */
  error(problem: string, remedy: string): UserError {
    const shown = utf8Decode(this.bytes, this.start, Math.min(this.end, this.start + SHOWN_BYTES));
    const dots = this.end - this.start > SHOWN_BYTES ? '…' : '';
    const place = `${this.#source.name}:${this.number}`;
    return new UserError(place, `${problem}: "${shown}${dots}"`, remedy);
  }
}

/** Value of a hexadecimal digit; -1 for another byte. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** The hexadecimal number in [start, end), 0x allowed; -1 when it is none. Up to 2^53 exact. */
export function parseHex(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (end - start > 2 && bytes[start] === 48 && (bytes[start + 1]! | 32) === 120) at += 2;
  if (at >= end) return -1;
  let value = 0;
  for (; at < end; at++) {
    const digit = hexDigit(bytes[at]!);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** The decimal number in [start, end); -1 when it is none. */
export function parseDecimal(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
