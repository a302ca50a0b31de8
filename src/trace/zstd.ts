/**
 * zstd blocks by @bokuweb/zstd-wasm: runs in Node and in browsers, 250 KB that take 10 ms to start,
 * so it is loaded on request. Newer Nodes have a native one (src/live/codec.ts).
 */
import { CODEC_ZSTD, type Codec } from './codec.ts';

/** Slow to write, as fast to read as any: a recording is written once and read often. */
export const ZSTD_LEVEL = 19;

type ZstdWasm = typeof import('@bokuweb/zstd-wasm');

/** Started once: a second `init()` replaces the memory under calls that are under way. */
let started: Promise<ZstdWasm> | null = null;

async function start(): Promise<ZstdWasm> {
  const zstd = await import('@bokuweb/zstd-wasm');
  await zstd.init();
  return zstd;
}

/** Loads the WebAssembly codec; it compresses at `level` 1 to 22. */
export async function zstdWasmCodec(level = ZSTD_LEVEL): Promise<Codec> {
  started ??= start();
  const zstd = await started;
  return {
    id: CODEC_ZSTD,
    name: 'zstd',
    compress: (bytes) => zstd.compress(bytes, level),
    decompress: (bytes, rawBytes) => zstd.decompress(bytes, { defaultHeapSize: rawBytes }),
  };
}
