/** Integers, texts, checksums and inflation against known values and Node's own. */
import { deflateRawSync, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, OutOfBytes, utf8Decode, utf8Encode } from './bytes.ts';
import { InflateError, inflateRaw, inflateZlib } from './inflate.ts';
import { xxhash32 } from './xxhash32.ts';

describe('ByteWriter and ByteReader', () => {
  it('keep whole numbers up to 64 bits as exactly as a double has them', () => {
    const values = [0, 1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 64 - 4096];
    const out = new ByteWriter(1);
    for (const value of values) out.varint(value);
    const signed = [0, 1, -1, 2 ** 52, -(2 ** 52), 2 ** 48 + 1, -133];
    for (const value of signed) out.signed(value);
    const from = new ByteReader(out.view());
    for (const value of values) expect(from.varint()).toBe(value);
    for (const value of signed) expect(from.signed()).toBe(value);
    expect(from.isAtEnd).toBe(true);
    expect(() => from.u8()).toThrow(OutOfBytes);
  });

  it('refuse numbers that are not whole, negative or too large', () => {
    const out = new ByteWriter();
    for (const value of [0.5, -1, 2 ** 64, Number.NaN]) expect(() => out.varint(value)).toThrow();
  });

  it('encode texts as UTF-8, as everyone does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const bytes = utf8Encode(text);
        expect(bytes).toEqual(new TextEncoder().encode(text));
        expect(utf8Decode(bytes, 0, bytes.length)).toBe(
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
        );
      }),
      { seed: 3 },
    );
    expect(utf8Decode(Uint8Array.of(0x41, 0xc3, 0x28, 0xff), 0, 4)).toBe('A\ufffd(\ufffd');
  });
});

describe('xxhash32', () => {
  it('gives the published values', () => {
    const cases = [
      ['', 0, 0x02cc5d05],
      ['a', 0, 0x550d7456],
      ['abc', 0, 0x32d153ff],
      ['Nobody inspects the spammish repetition', 0, 0xe2293b2f],
    ] as const;
    for (const [text, seed, hash] of cases) {
      const bytes = utf8Encode(text);
      expect(xxhash32(bytes, 0, bytes.length, seed)).toBe(hash);
    }
  });

  it('does not depend on where the bytes lie', () => {
    const bytes = Uint8Array.from({ length: 200 }, (_, i) => i * 7);
    const expected = xxhash32(bytes.slice(3, 150), 0, 147);
    expect(xxhash32(bytes, 3, 150)).toBe(expected);
    expect(xxhash32(bytes.subarray(3, 150), 0, 147)).toBe(expected);
  });
});

describe('inflate', () => {
  it('undoes what zlib does, at every level', () => {
    const bytesArbitrary = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.array(fc.constantFrom(1, 2, 3), { maxLength: 3000 }).map((a) => Uint8Array.from(a)),
    );
    fc.assert(
      fc.property(bytesArbitrary, fc.integer({ min: 0, max: 9 }), (bytes, level) => {
        expect(inflateRaw(deflateRawSync(bytes, { level }), 0, bytes.length)).toEqual(bytes);
        expect(inflateZlib(deflateSync(bytes, { level }))).toEqual(bytes);
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  it('undoes large inputs with long matches', () => {
    const bytes = Uint8Array.from({ length: 300000 }, (_, i) => (i * i) >>> 7);
    const inflated = inflateRaw(deflateRawSync(bytes), 0, bytes.length);
    expect(Buffer.compare(inflated, bytes)).toBe(0);
  });

  it('survives garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          inflateRaw(bytes, 0, 1000);
        } catch (error) {
          expect(error).toBeInstanceOf(InflateError);
        }
      }),
      { seed: 5, numRuns: 500 },
    );
    const zlib = deflateSync(Uint8Array.of(1, 2, 3));
    zlib[zlib.length - 1]! ^= 1;
    expect(() => inflateZlib(zlib)).toThrow(/checksum/);
  });
});
