/**
 * Writes chunks: head, directory, compressed blocks, each with its checksum (layout.ts).
 *
 * One chunk at a time is in memory. Order: blocks are compressed first, then head and directory
 * are written, so a sink never has to seek.
 */
import type { ByteSink } from './byteStream.ts';
import { ByteWriter } from './bytes.ts';
import type { Codec } from './codec.ts';
import { CODEC_NONE } from './codec.ts';
import { CHUNK_HEAD_BYTES, CHUNK_HEADER, CHUNK_MAGIC } from './layout.ts';
import { xxhash32 } from './xxhash32.ts';

/** Compression has to save at least 1/16 of a block, else decoding it is not worth the time. */
const WORTH_SAVING = 1 - 1 / 16;

/** What a chunk's head says beside its blocks. */
export interface ChunkCounts {
  readonly pageEncoding: number;
  readonly weightEncoding: number;
  readonly accesses: number;
  readonly runs: number;
  readonly slices: number;
  readonly events: number;
}

export const NO_COUNTS: ChunkCounts = {
  pageEncoding: 0,
  weightEncoding: 0,
  accesses: 0,
  runs: 0,
  slices: 0,
  events: 0,
};

export class ChunkWriter {
  /** Bytes given to the sink so far: the offset of what comes next. */
  offset = 0;
  #sequence = 0;
  readonly #sink: ByteSink;
  readonly #codec: Codec;
  readonly #head = new ByteWriter();

  constructor(sink: ByteSink, codec: Codec) {
    this.#sink = sink;
    this.#codec = codec;
  }

  /** Bytes outside chunks: preamble and footer. */
  raw(bytes: Uint8Array): void {
    this.#sink.write(bytes);
    this.offset += bytes.length;
  }

  /** Writes one chunk. Errors: those of the sink. */
  chunk(type: number, counts: ChunkCounts, blocks: readonly Uint8Array[]): void {
    // the header stays legible, also to readers without the codec
    const isPlain = type === CHUNK_HEADER;
    const stored = blocks.map((block) => (isPlain ? block : this.#compress(block)));
    const head = this.#head;
    head.clear();
    head.u32(CHUNK_MAGIC);
    head.raw(Uint8Array.of(type, blocks.length, counts.pageEncoding, counts.weightEncoding));
    head.u32(this.#sequence++);
    head.u32(counts.accesses);
    head.u32(counts.runs);
    head.u32(counts.slices);
    head.u32(counts.events);
    head.u32(0);
    for (let i = 0; i < blocks.length; i++) {
      const isStored = stored[i] === blocks[i];
      head.raw(Uint8Array.of(isStored ? CODEC_NONE : this.#codec.id, 0, 0, 0));
      head.u32(blocks[i]!.length);
      head.u32(stored[i]!.length);
      head.u32(xxhash32(stored[i]!, 0, stored[i]!.length));
    }
    const bytes = head.view();
    sealChunkHead(bytes);
    this.raw(bytes);
    for (const block of stored) if (block.length > 0) this.raw(block);
  }

  #compress(block: Uint8Array): Uint8Array {
    if (block.length < 32) return block;
    const compressed = this.#codec.compress(block);
    return compressed.length < block.length * WORTH_SAVING ? compressed : block;
  }
}

/** The checksum of a chunk's head and directory: all of `bytes` but the checksum itself. */
export function chunkHeadChecksum(bytes: Uint8Array): number {
  const ofHead = xxhash32(bytes, 0, CHUNK_HEAD_BYTES - 4);
  return xxhash32(bytes, CHUNK_HEAD_BYTES, bytes.length, ofHead);
}

function sealChunkHead(bytes: Uint8Array): void {
  const sum = chunkHeadChecksum(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(CHUNK_HEAD_BYTES - 4, sum, true);
}
