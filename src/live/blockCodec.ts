/**
 * Node's block codecs for trace files (src/trace/codec.ts): deflate by node:zlib, zstd by node:zlib
 * where it has it (Node 22.15, 24), else the WebAssembly one.
 */
import * as zlib from 'node:zlib';
import {
  CODEC_DEFLATE,
  CODEC_ZSTD,
  type Codec,
  noneCodec,
  ZSTD_LEVEL,
  zstdWasmCodec,
} from '../trace/index.ts';

/** What a codec is called on the command line. */
export const CODEC_NAMES = ['none', 'deflate', 'zstd'] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

const DEFLATE_LEVEL = 6;

/** The part of newer node:zlib that the types of Node 20 do not have. */
interface ZlibWithZstd {
  zstdCompressSync(bytes: Uint8Array, options: object): Uint8Array;
  zstdDecompressSync(bytes: Uint8Array, options: object): Uint8Array;
  constants: { ZSTD_c_compressionLevel: number };
}

/** Raw deflate at `level` 1 to 9. */
export function deflateCodec(level = DEFLATE_LEVEL): Codec {
  return {
    id: CODEC_DEFLATE,
    name: 'deflate',
    compress: (bytes) => zlib.deflateRawSync(bytes, { level, memLevel: 9 }),
    decompress: (bytes, rawBytes) => plain(zlib.inflateRawSync(bytes, outputOptions(rawBytes))),
  };
}

/** zstd at `level` 1 to 22. */
export async function zstdCodec(level = ZSTD_LEVEL): Promise<Codec> {
  if (!('zstdCompressSync' in zlib)) return zstdWasmCodec(level);
  const native = zlib as unknown as ZlibWithZstd;
  const params = { [native.constants.ZSTD_c_compressionLevel]: level };
  return {
    id: CODEC_ZSTD,
    name: 'zstd',
    compress: (bytes) => native.zstdCompressSync(bytes, { params }),
    decompress: (bytes, rawBytes) =>
      plain(native.zstdDecompressSync(bytes, outputOptions(rawBytes))),
  };
}

/** A Buffer as a Uint8Array: decoding loops that see both classes are half as fast. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** One buffer of the right size, and an error instead of more. */
function outputOptions(rawBytes: number) {
  return { chunkSize: Math.max(64, rawBytes), maxOutputLength: Math.max(1, rawBytes) };
}

/** All codecs that Node can read with. */
export async function nodeCodecs(): Promise<readonly Codec[]> {
  return [noneCodec, deflateCodec(), await zstdCodec()];
}

/** The codec to write with. */
export async function codecNamed(name: CodecName, level?: number): Promise<Codec> {
  if (name === 'none') return noneCodec;
  return name === 'deflate' ? deflateCodec(level) : zstdCodec(level);
}
