import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { type Colour, pngDataUrl } from './png.ts';

const PALETTE: Colour[] = [
  [0, 0, 0, 0],
  [47, 120, 207, 128],
  [224, 118, 26, 255],
];

/** Type, bytes and checksum of each chunk. */
function chunksOf(url: string) {
  const bytes = Buffer.from(url.replace('data:image/png;base64,', ''), 'base64');
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const chunks: { type: string; bytes: Buffer }[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    chunks.push({ type, bytes: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

function pixelsOf(url: string, width: number): number[] {
  const rows = inflateSync(chunksOf(url).find(({ type }) => type === 'IDAT')!.bytes);
  return [...rows].filter((_, i) => i % (width + 1) !== 0);
}

describe('pngDataUrl', () => {
  it('is a PNG with size, palette and transparency', () => {
    const chunks = chunksOf(pngDataUrl(2, 1, Uint8Array.of(1, 2), PALETTE));
    expect(chunks.map(({ type }) => type)).toEqual(['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND']);
    expect([...chunks[0]!.bytes]).toEqual([0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0]);
    expect([...chunks[2]!.bytes]).toEqual([0, 128, 255]);
  });

  it.each([1, 2, 3, 4, 5, 10, 11, 12, 18, 19, 130, 257, 258, 259, 260, 261, 262, 600, 5000])(
    'holds a run of %i (zlib reads it, RFC 1951)',
    (length) => {
      const pixels = new Uint8Array(length).fill(2);
      expect(pixelsOf(pngDataUrl(length, 1, pixels, PALETTE), length)).toEqual([...pixels]);
    },
  );

  it('holds any pixels, in few bytes where they are alike', () => {
    const random = new RandomStream(7, 'png');
    const colours = Array.from({ length: 256 }, (_, i): Colour => [i, i, i, 255]);
    const noise = Uint8Array.from({ length: 64 * 48 }, () => random.below(256));
    expect(pixelsOf(pngDataUrl(64, 48, noise, colours), 64)).toEqual([...noise]);
    const plain = noise.map((_, i) => (i % 640 === 0 ? 255 : 0));
    const url = pngDataUrl(64, 48, plain, colours);
    expect(pixelsOf(url, 64)).toEqual([...plain]);
    expect(chunksOf(url).find(({ type }) => type === 'IDAT')!.bytes.length).toBeLessThan(250);
  });
});
