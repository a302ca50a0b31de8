/**
 * RFC 1951 (deflate) decompression in plain TypeScript, for hosts without zlib, and RFC 1950
 * (zlib) around it for damo's files, whose size is not known beforehand.
 *
 * Canonical Huffman codes are decoded by count and offset per length (one bit a step), which is
 * small and fast enough for what it is for. Not modelled: preset dictionaries.
 */

/** Thrown for bytes that are no deflate stream; the caller knows the file. */
export class InflateError extends Error {
  override name = 'InflateError';
}

const MAX_BITS = 15;
const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const LENGTH_EXTRA = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A canonical Huffman code: symbols by code, and how many codes each length has. */
interface Huffman {
  readonly count: Uint16Array;
  readonly symbol: Uint16Array;
}

function huffman(lengths: Uint8Array): Huffman {
  const count = new Uint16Array(MAX_BITS + 1);
  for (const length of lengths) count[length]!++;
  count[0] = 0;
  let left = 1;
  const offset = new Uint16Array(MAX_BITS + 2);
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    left = left * 2 - count[bits]!;
    if (left < 0) throw new InflateError('more codes than fit');
    offset[bits + 1] = offset[bits]! + count[bits]!;
  }
  const symbol = new Uint16Array(lengths.length);
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!;
    if (length !== 0) symbol[offset[length]!++] = i;
  }
  return { count, symbol };
}

class Inflater {
  readonly #bytes: Uint8Array;
  #at: number;
  #bits = 0;
  #nrBits = 0;
  #out: Uint8Array;
  #length = 0;
  readonly #fixed: boolean;

  /** `rawBytes` of -1: unknown, the output grows. */
  constructor(bytes: Uint8Array, start: number, rawBytes: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#fixed = rawBytes >= 0;
    this.#out = new Uint8Array(this.#fixed ? rawBytes : Math.max(1024, bytes.length * 4));
  }

  run(): Uint8Array {
    let isLast = false;
    while (!isLast) {
      isLast = this.#take(1) === 1;
      const kind = this.#take(2);
      if (kind === 0) this.#stored();
      else if (kind === 1) this.#compressed(FIXED_LITERALS, FIXED_DISTANCES);
      else if (kind === 2) this.#dynamic();
      else throw new InflateError('unknown block type');
    }
    if (this.#fixed && this.#length !== this.#out.length) throw new InflateError('too short');
    return this.#out.subarray(0, this.#length);
  }

  #take(count: number): number {
    while (this.#nrBits < count) {
      if (this.#at >= this.#bytes.length) throw new InflateError('out of bytes');
      this.#bits |= this.#bytes[this.#at++]! << this.#nrBits;
      this.#nrBits += 8;
    }
    const value = this.#bits & ((1 << count) - 1);
    this.#bits >>>= count;
    this.#nrBits -= count;
    return value;
  }

  #symbol(code: Huffman): number {
    let value = 0;
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      value |= this.#take(1);
      const count = code.count[bits]!;
      if (value - count < first) return code.symbol[index + (value - first)]!;
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    throw new InflateError('no such code');
  }

  #room(count: number): void {
    if (this.#length + count <= this.#out.length) return;
    if (this.#fixed) throw new InflateError('too long');
    const grown = new Uint8Array(Math.max(this.#out.length * 2, this.#length + count));
    grown.set(this.#out.subarray(0, this.#length));
    this.#out = grown;
  }

  #stored(): void {
    this.#bits = 0;
    this.#nrBits = 0;
    const at = this.#at;
    const bytes = this.#bytes;
    if (at + 4 > bytes.length) throw new InflateError('out of bytes');
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    if (length !== (~(bytes[at + 2]! | (bytes[at + 3]! << 8)) & 0xffff)) {
      throw new InflateError('stored length and its complement differ');
    }
    if (at + 4 + length > bytes.length) throw new InflateError('out of bytes');
    this.#room(length);
    this.#out.set(bytes.subarray(at + 4, at + 4 + length), this.#length);
    this.#length += length;
    this.#at = at + 4 + length;
  }

  #dynamic(): void {
    const nrLiterals = this.#take(5) + 257;
    const nrDistances = this.#take(5) + 1;
    const nrCodeLengths = this.#take(4) + 4;
    const codeLengths = new Uint8Array(19);
    for (let i = 0; i < nrCodeLengths; i++) codeLengths[CODE_LENGTH_ORDER[i]!] = this.#take(3);
    const code = huffman(codeLengths);
    const lengths = new Uint8Array(nrLiterals + nrDistances);
    for (let i = 0; i < lengths.length; ) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new InflateError('repeats nothing');
      const value = symbol === 16 ? lengths[i - 1]! : 0;
      let repeat = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 0;
      if (symbol === 18) repeat = 11 + this.#take(7);
      if (i + repeat > lengths.length) throw new InflateError('too many code lengths');
      lengths.fill(value, i, i + repeat);
      i += repeat;
    }
    this.#compressed(
      huffman(lengths.subarray(0, nrLiterals)),
      huffman(lengths.subarray(nrLiterals)),
    );
  }

  #compressed(literals: Huffman, distances: Huffman): void {
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol < 256) {
        this.#room(1);
        this.#out[this.#length++] = symbol;
        continue;
      }
      if (symbol === 256) return;
      if (symbol > 285) throw new InflateError('no such length');
      const length = LENGTH_BASE[symbol - 257]! + this.#take(LENGTH_EXTRA[symbol - 257]!);
      const code = this.#symbol(distances);
      if (code > 29) throw new InflateError('no such distance');
      const distance = DISTANCE_BASE[code]! + this.#take(DISTANCE_EXTRA[code]!);
      if (distance > this.#length) throw new InflateError('distance before the start');
      this.#room(length);
      const out = this.#out;
      let at = this.#length;
      for (let i = 0; i < length; i++, at++) out[at] = out[at - distance]!;
      this.#length = at;
    }
  }
}

const FIXED_LITERALS = huffman(
  Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)),
);
const FIXED_DISTANCES = huffman(new Uint8Array(30).fill(5));

/**
 * Inflates the raw deflate stream at `start`; `rawBytes` is the size of the result, -1 when
 * unknown. Errors: InflateError.
 */
export function inflateRaw(bytes: Uint8Array, start: number, rawBytes: number): Uint8Array {
  return new Inflater(bytes, start, rawBytes).run();
}

/** Whether `bytes` open as a zlib stream (RFC 1950) without preset dictionary. */
export function isZlib(bytes: Uint8Array): boolean {
  if (bytes.length < 6 || (bytes[0]! & 0x0f) !== 8 || (bytes[1]! & 0x20) !== 0) return false;
  return ((bytes[0]! << 8) | bytes[1]!) % 31 === 0;
}

/** Inflates a zlib stream and checks its Adler-32. Errors: InflateError. */
export function inflateZlib(bytes: Uint8Array): Uint8Array {
  if (!isZlib(bytes)) throw new InflateError('no zlib header');
  const out = inflateRaw(bytes.subarray(0, bytes.length - 4), 2, -1);
  let a = 1;
  let b = 0;
  for (let i = 0; i < out.length; ) {
    for (const stop = Math.min(out.length, i + 3800); i < stop; i++) {
      a += out[i]!;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  const n = bytes.length;
  const sum =
    bytes[n - 4]! * 16777216 + (bytes[n - 3]! << 16) + (bytes[n - 2]! << 8) + bytes[n - 1]!;
  if (sum !== b * 65536 + a) throw new InflateError('checksum differs');
  return out;
}
