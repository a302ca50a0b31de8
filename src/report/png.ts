/**
 * A small picture of palette colours as a PNG in a data: address (PNG 1.2; RFC 1950, 1951).
 *
 * One byte a pixel, colours with transparency in the palette. Compressed with the fixed Huffman
 * code of deflate and runs only (matches of distance 1): heat maps are wide areas of one value, and
 * the pure ring has no zlib.
 */
import { assert } from '../base/assert.ts';

/** Red, green, blue and opacity, 0 to 255 each. */
export type Colour = readonly [number, number, number, number];

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * `pixels` are row-major indices into `palette`.
 * Preconditions: as many pixels as width * height; 1 to 256 colours.
 */
export function pngDataUrl(
  width: number,
  height: number,
  pixels: Uint8Array,
  palette: readonly Colour[],
): string {
  assert(pixels.length === width * height, 'pngDataUrl: width x height pixels');
  assert(palette.length > 0 && palette.length <= 256, 'pngDataUrl: 1 to 256 colours');
  // 8 bits a sample, palette, deflate, no filter choice beyond "none" per row, not interlaced.
  const header = [...uint32(width), ...uint32(height), 8, 3, 0, 0, 0];
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const bytes = [
    ...SIGNATURE,
    ...chunk('IHDR', header),
    ...chunk(
      'PLTE',
      palette.flatMap((colour) => colour.slice(0, 3)),
    ),
    ...chunk(
      'tRNS',
      palette.map(([, , , alpha]) => alpha),
    ),
    ...chunk('IDAT', zlibOf(rows)),
    ...chunk('IEND', []),
  ];
  return `data:image/png;base64,${base64Of(bytes)}`;
}

function chunk(type: string, bytes: readonly number[]): number[] {
  const body = [...type].map((character) => character.charCodeAt(0)).concat(bytes);
  return [...uint32(bytes.length), ...body, ...uint32(crc32(body))];
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function crc32(bytes: readonly number[]): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}

function zlibOf(bytes: Uint8Array): number[] {
  return [0x78, 0x01, ...deflate(bytes), ...uint32(adler32(bytes))];
}

const RUN_MIN = 4;
const RUN_MAX = 258;

/** One final block of the fixed code: literals, and runs of the byte before. */
function deflate(bytes: Uint8Array): number[] {
  const out = new BitWriter();
  out.bits(0b011, 3);
  for (let at = 0; at < bytes.length; ) {
    let run = 0;
    while (at > 0 && run < RUN_MAX && bytes[at + run] === bytes[at - 1]) run++;
    if (run < RUN_MIN) {
      out.symbol(bytes[at]!);
      at++;
      continue;
    }
    writeRun(out, run);
    at += run;
  }
  out.symbol(256);
  return out.finish();
}

/** RFC 1951, 3.2.5: codes 265 to 284 have (code - 261) / 4 extra bits; 285 is 258. */
function writeRun(out: BitWriter, run: number): void {
  if (run === RUN_MAX) out.symbol(285);
  else if (run < 11) out.symbol(254 + run);
  else {
    const value = run - 3;
    const extra = 31 - Math.clz32(value) - 2;
    out.symbol(257 + 4 * (extra + 1) + ((value >>> extra) & 3));
    out.bits(value & ((1 << extra) - 1), extra);
  }
  // Distance code 0: the byte before.
  out.bits(0, 5);
}

class BitWriter {
  readonly #bytes: number[] = [];
  #held = 0;
  #count = 0;

  /** `count` bits of `value`, lowest first. */
  bits(value: number, count: number): void {
    this.#held |= value << this.#count;
    this.#count += count;
    while (this.#count >= 8) {
      this.#bytes.push(this.#held & 255);
      this.#held >>>= 8;
      this.#count -= 8;
    }
  }

  /** A literal or length code of the fixed Huffman code (RFC 1951, 3.2.6): highest bit first. */
  symbol(symbol: number): void {
    if (symbol < 144) this.#code(0x30 + symbol, 8);
    else if (symbol < 256) this.#code(0x190 + symbol - 144, 9);
    else if (symbol < 280) this.#code(symbol - 256, 7);
    else this.#code(0xc0 + symbol - 280, 8);
  }

  finish(): number[] {
    if (this.#count > 0) this.bits(0, 8 - this.#count);
    return this.#bytes;
  }

  #code(code: number, length: number): void {
    for (let bit = length - 1; bit >= 0; bit--) this.bits((code >>> bit) & 1, 1);
  }
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function base64Of(bytes: readonly number[]): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64[word >>> 18]! + BASE64[(word >>> 12) & 63]!;
    text += left > 1 ? BASE64[(word >>> 6) & 63]! : '=';
    text += left > 2 ? BASE64[word & 63]! : '=';
  }
  return text;
}
