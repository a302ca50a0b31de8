/**
 * Byte strings that grow, with the integers and texts of the trace format.
 *
 * An integer is a varint: 7 bits a byte, least first, bit 7 set on all but the last. Values are
 * doubles: whole numbers of up to 64 bits, as exact as a double is. Signed values are zigzagged
 * (0, -1, 1, -2...). A text is its length in bytes and UTF-8. The pure ring has no TextEncoder.
 */
import { assert } from '../base/assert.ts';

const TWO_64 = 4294967296 * 4294967296;

/** Appends to a byte string that doubles when full. */
export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacityBytes = 256) {
    this.bytes = new Uint8Array(capacityBytes);
  }

  clear(): void {
    this.length = 0;
  }

  /** What was written; a view that the next write may overtake. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  reserve(nrBytes: number): void {
    if (this.length + nrBytes <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + nrBytes));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.reserve(4);
    for (let shift = 0; shift < 32; shift += 8) this.bytes[this.length++] = value >>> shift;
  }

  /** `value`: a whole number in [0, 2^64). */
  varint(value: number): void {
    assert(value >= 0 && value < TWO_64 && Number.isInteger(value), `varint of ${value}`);
    this.reserve(10);
    let rest = value;
    while (rest >= 0x80000000) {
      const high = Math.floor(rest / 128);
      this.bytes[this.length++] = (rest - high * 128) | 0x80;
      rest = high;
    }
    let low = rest | 0;
    while (low >= 0x80) {
      this.bytes[this.length++] = (low & 0x7f) | 0x80;
      low >>>= 7;
    }
    this.bytes[this.length++] = low;
  }

  /** `value`: a whole number in (-2^63, 2^63), exact up to 2^52. */
  signed(value: number): void {
    this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  text(value: string): void {
    const bytes = utf8Encode(value);
    this.varint(bytes.length);
    this.raw(bytes);
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}

/** Thrown by ByteReader when a value reaches past the end: the caller knows the file and place. */
export class OutOfBytes extends Error {
  override name = 'OutOfBytes';
}

/** Reads what ByteWriter wrote. Errors: OutOfBytes. */
export class ByteReader {
  bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  u8(): number {
    if (this.at >= this.bytes.length) throw new OutOfBytes('value past the end of its block');
    return this.bytes[this.at++]!;
  }

  u32(): number {
    const b0 = this.u8();
    const b1 = this.u8();
    const b2 = this.u8();
    return (b0 | (b1 << 8) | (b2 << 16) | (this.u8() << 24)) >>> 0;
  }

  varint(): number {
    let byte = this.u8();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 128;
    do {
      byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    return value;
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  text(): string {
    const length = this.varint();
    if (this.at + length > this.bytes.length) throw new OutOfBytes('text past the end');
    const text = utf8Decode(this.bytes, this.at, this.at + length);
    this.at += length;
    return text;
  }
}

/** UTF-8 of `text`; a lone surrogate becomes U+FFFD. */
export function utf8Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let point = text.codePointAt(i)!;
    if (point > 0xffff) i++;
    if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
    if (point < 0x80) {
      bytes[at++] = point;
    } else if (point < 0x800) {
      bytes[at++] = 0xc0 | (point >>> 6);
      bytes[at++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      bytes[at++] = 0xe0 | (point >>> 12);
      bytes[at++] = 0x80 | ((point >>> 6) & 63);
      bytes[at++] = 0x80 | (point & 63);
    } else {
      bytes[at++] = 0xf0 | (point >>> 18);
      bytes[at++] = 0x80 | ((point >>> 12) & 63);
      bytes[at++] = 0x80 | ((point >>> 6) & 63);
      bytes[at++] = 0x80 | (point & 63);
    }
  }
  return bytes.subarray(0, at);
}

/** The text of UTF-8 bytes [start, end); malformed sequences become U+FFFD. */
export function utf8Decode(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  let at = start;
  while (at < end) {
    const lead = bytes[at++]!;
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      continue;
    }
    const more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    let point = lead & (0x3f >>> more);
    let good = lead >= 0xc2 && lead < 0xf5;
    for (let k = 0; k < more && good; k++) {
      good = at < end && (bytes[at]! & 0xc0) === 0x80;
      if (good) point = (point << 6) | (bytes[at++]! & 63);
    }
    good = good && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    text += good ? String.fromCodePoint(point) : '\ufffd';
  }
  return text;
}
