/**
 * Block compression of trace files, as an interface: the pure ring has no zlib.
 *
 * Each block of a file names its codec by id, so one file can mix them, and a reader needs those
 * that the file uses. Node's codecs (zlib, zstd) are in src/live/codec.ts; `PURE_CODECS` reads
 * files of the default codec anywhere, a browser included, but cannot compress.
 */
import { UserError } from '../base/assert.ts';
import { inflateRaw } from './inflate.ts';

export const CODEC_NONE = 0;
/** RFC 1951 without zlib or gzip header. */
export const CODEC_DEFLATE = 1;
/** RFC 8878, one frame. */
export const CODEC_ZSTD = 2;

export interface Codec {
  readonly id: number;
  readonly name: string;
  /** The compressed bytes; may be longer than `bytes` (the writer then stores them plain). */
  compress(bytes: Uint8Array): Uint8Array;
  /**
   * The `rawBytes` bytes that `bytes` stand for; the caller owns them.
   * Errors: anything, when `bytes` are not valid: the reader says where.
   */
  decompress(bytes: Uint8Array, rawBytes: number): Uint8Array;
}

/** Stores blocks as they are. */
export const noneCodec: Codec = {
  id: CODEC_NONE,
  name: 'none',
  compress: (bytes) => bytes,
  decompress: (bytes) => bytes,
};

/** Reads deflate in plain TypeScript, some ten times slower than zlib. */
export const pureDeflateCodec: Codec = {
  id: CODEC_DEFLATE,
  name: 'deflate',
  compress: (bytes) => bytes,
  decompress: (bytes, rawBytes) => inflateRaw(bytes, 0, rawBytes),
};

/** Codecs that need nothing from the host. */
export const PURE_CODECS: readonly Codec[] = [noneCodec, pureDeflateCodec];

const CODEC_NAMES = ['none', 'deflate', 'zstd'];

/** The codec with this id among `codecs`. Errors: UserError when it is not there. */
export function codecById(codecs: readonly Codec[], id: number, place: string): Codec {
  if (id === CODEC_NONE) return noneCodec;
  for (const codec of codecs) if (codec.id === id) return codec;
  throw new UserError(
    place,
    `compressed with ${CODEC_NAMES[id] ?? `unknown codec ${id}`}, which is not available here`,
    'use the command line, or convert it there: hetmem trace cut --codec deflate',
  );
}
