/**
 * Reads chunks: checks head and directory, then each block that is asked for (layout.ts).
 *
 * Buffers are reused; a block that was stored plain is a view of one. Whatever is wrong with the
 * bytes is a DamagedTrace with its offset; the trace reader decides whether that is an error
 * (with place and remedy) or the end of what can be salvaged.
 */
import type { ByteSource } from './byteStream.ts';
import { chunkHeadChecksum } from './chunkWriter.ts';
import type { Codec } from './codec.ts';
import { CODEC_NONE, codecById } from './codec.ts';
import {
  BLOCK_BYTES_MAX,
  BLOCK_ENTRY_BYTES,
  BLOCKS_MAX,
  CHUNK_HEAD_BYTES,
  CHUNK_MAGIC,
} from './layout.ts';
import { xxhash32 } from './xxhash32.ts';

/** The bytes at `offset` are not what they should be. */
export class DamagedTrace extends Error {
  override name = 'DamagedTrace';
  readonly offset: number;

  constructor(offset: number, problem: string) {
    super(problem);
    this.offset = offset;
  }
}

const HEAD_BYTES_MAX = CHUNK_HEAD_BYTES + BLOCKS_MAX * BLOCK_ENTRY_BYTES;

/** The chunk whose head was read last, and its blocks on demand. */
export class ChunkReader {
  offset = 0;
  /** Offset after the chunk: where the next one is. */
  end = 0;
  type = 0;
  sequence = 0;
  nrBlocks = 0;
  pageEncoding = 0;
  weightEncoding = 0;
  accesses = 0;
  runs = 0;
  slices = 0;
  events = 0;
  readonly #source: ByteSource;
  readonly #codecs: readonly Codec[];
  readonly #head = new Uint8Array(HEAD_BYTES_MAX);
  readonly #view = new DataView(this.#head.buffer);
  // block -> buffer for its stored bytes
  readonly #buffers: Uint8Array[] = [];

  constructor(source: ByteSource, codecs: readonly Codec[]) {
    this.#source = source;
    this.#codecs = codecs;
  }

  /** Reads and checks head and directory at `offset`. Errors: DamagedTrace. */
  readHead(offset: number): void {
    const head = this.#head;
    const view = this.#view;
    const length = this.#source.read(offset, head);
    if (length < CHUNK_HEAD_BYTES) {
      throw new DamagedTrace(offset, length === 0 ? 'the trace ends' : 'ends inside a chunk head');
    }
    if (view.getUint32(0, true) !== CHUNK_MAGIC) throw new DamagedTrace(offset, 'no chunk here');
    const nrBlocks = head[5]!;
    const headBytes = CHUNK_HEAD_BYTES + nrBlocks * BLOCK_ENTRY_BYTES;
    if (nrBlocks > BLOCKS_MAX) throw new DamagedTrace(offset, 'damaged chunk head');
    if (length < headBytes) throw new DamagedTrace(offset, 'ends inside a chunk head');
    const sum = view.getUint32(CHUNK_HEAD_BYTES - 4, true);
    if (sum !== chunkHeadChecksum(head.subarray(0, headBytes))) {
      throw new DamagedTrace(offset, 'damaged chunk head');
    }
    this.offset = offset;
    this.type = head[4]!;
    this.nrBlocks = nrBlocks;
    this.pageEncoding = head[6]!;
    this.weightEncoding = head[7]!;
    this.sequence = view.getUint32(8, true);
    this.accesses = view.getUint32(12, true);
    this.runs = view.getUint32(16, true);
    this.slices = view.getUint32(20, true);
    this.events = view.getUint32(24, true);
    this.end = offset + headBytes;
    for (let block = 0; block < nrBlocks; block++) this.end += this.storedBytes(block);
    if (this.end > this.#source.sizeBytes) throw new DamagedTrace(offset, 'ends inside a chunk');
  }

  /** Codec id, raw and stored size of a block, from the directory. */
  codecId(block: number): number {
    return this.#head[CHUNK_HEAD_BYTES + block * BLOCK_ENTRY_BYTES]!;
  }

  rawBytes(block: number): number {
    return this.#view.getUint32(CHUNK_HEAD_BYTES + block * BLOCK_ENTRY_BYTES + 4, true);
  }

  storedBytes(block: number): number {
    return this.#view.getUint32(CHUNK_HEAD_BYTES + block * BLOCK_ENTRY_BYTES + 8, true);
  }

  /**
   * The raw bytes of a block; valid until the same block of another chunk is read.
   * Errors: DamagedTrace; UserError for a codec that is not available.
   */
  block(block: number): Uint8Array {
    if (block >= this.nrBlocks) throw new DamagedTrace(this.offset, `chunk without block ${block}`);
    let offset = this.end;
    for (let i = this.nrBlocks - 1; i >= block; i--) offset -= this.storedBytes(i);
    const stored = this.storedBytes(block);
    const raw = this.rawBytes(block);
    if (stored > BLOCK_BYTES_MAX || raw > BLOCK_BYTES_MAX) {
      throw new DamagedTrace(offset, 'block too large');
    }
    const bytes = this.#buffer(block, stored);
    if (this.#source.read(offset, bytes) !== stored) {
      throw new DamagedTrace(offset, 'ends inside a block');
    }
    const sum = this.#view.getUint32(CHUNK_HEAD_BYTES + block * BLOCK_ENTRY_BYTES + 12, true);
    if (xxhash32(bytes, 0, stored) !== sum) throw new DamagedTrace(offset, 'damaged block');
    return this.#decompress(block, bytes, raw, offset);
  }

  #decompress(block: number, bytes: Uint8Array, raw: number, offset: number): Uint8Array {
    const id = this.codecId(block);
    if (id === CODEC_NONE) {
      if (bytes.length !== raw) throw new DamagedTrace(offset, 'block of the wrong size');
      return bytes;
    }
    const codec = codecById(this.#codecs, id, this.#source.name);
    let result: Uint8Array;
    try {
      result = codec.decompress(bytes, raw);
    } catch (error) {
      throw new DamagedTrace(offset, `block does not decompress: ${String(error)}`);
    }
    if (result.length !== raw) throw new DamagedTrace(offset, 'block of the wrong size');
    return result;
  }

  #buffer(block: number, length: number): Uint8Array {
    let buffer = this.#buffers[block];
    if (buffer === undefined || buffer.length < length) {
      buffer = new Uint8Array(Math.max(length, 4096, (buffer?.length ?? 0) * 2));
      this.#buffers[block] = buffer;
    }
    return buffer.subarray(0, length);
  }
}
