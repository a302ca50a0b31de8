/**
 * Files of saved states (`.hms`), format 1: what FORMATS.md describes. A head that says who wrote
 * what, the state in compressed blocks with a checksum each, and an end mark, so that a cut,
 * damaged or foreign file is told from a good one before anything of it is used.
 *
 * A state is read by the version of hetmem that wrote it: it is the kernel's memory, not a
 * document.
 */
import { UserError } from '../base/assert.ts';
import {
  ByteReader,
  ByteWriter,
  type Codec,
  codecById,
  OutOfBytes,
  xxhash32,
} from '../trace/index.ts';
import { KERNEL_CLASSES } from './classes.ts';
import { decodeKernel, encodeKernel, type KernelState } from './kernelState.ts';

const MAGIC = [0x89, 0x48, 0x4d, 0x53, 0x0d, 0x0a, 0x1a, 0x0a];
const END_MAGIC = 0x7a534d48; // "HMSz"
export const STATE_FORMAT = 1;
/** Bytes of a block before compression, but for the last. */
const BLOCK_BYTES = 1 << 22;
const MAKE_AGAIN = 'make it again: hetmem run … --save-state FILE';

export interface StateHead {
  /** Version of hetmem that wrote the file. */
  readonly hetmem: string;
  /** XXH32 of the classes and fields. */
  readonly layout: number;
  readonly machine: string;
  /** What the state is of, for people. */
  readonly about: string;
  readonly rawBytes: number;
  readonly blocks: number;
}

/** The whole file. Same state, version and codec: same bytes. */
export function writeState(
  state: KernelState,
  about: { readonly hetmem: string; readonly about: string },
  codec: Codec,
): Uint8Array {
  const raw = encodeKernel(state);
  const blocks = Math.ceil(raw.length / BLOCK_BYTES);
  const head: StateHead = {
    ...about,
    layout: layoutHash(),
    machine: state.k.spec.name,
    rawBytes: raw.length,
    blocks,
  };
  const out = new ByteWriter(1 << 16);
  out.raw(Uint8Array.from(MAGIC));
  out.u32(STATE_FORMAT);
  const text = new ByteWriter();
  text.text(JSON.stringify(head));
  out.u32(text.length);
  out.u32(xxhash32(text.view(), 0, text.length));
  out.raw(text.view());
  for (let n = 0; n < blocks; n++) {
    writeBlock(out, raw.subarray(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES), codec);
  }
  out.u32(END_MAGIC);
  return out.view();
}

function writeBlock(out: ByteWriter, raw: Uint8Array, codec: Codec): void {
  const packed = codec.compress(raw);
  const isSmaller = packed.length < raw.length;
  const stored = isSmaller ? packed : raw;
  const id = isSmaller ? codec.id : 0;
  out.u32(id);
  out.u32(raw.length);
  out.u32(stored.length);
  out.u32(xxhash32(stored, 0, stored.length, blockSeed(id, raw.length)));
  out.raw(stored);
}

/** The checksum of a block covers its codec and size, too. */
function blockSeed(codec: number, rawBytes: number): number {
  return (rawBytes * 4 + codec) >>> 0;
}

function layoutHash(): number {
  const text = new ByteWriter();
  text.text(KERNEL_CLASSES.layout);
  return xxhash32(text.view(), 0, text.length);
}

/**
 * A live kernel from the bytes of a file. Errors: UserError with place and remedy for anything that
 * is not a whole state of this version; nothing of such a file is used.
 */
export function readState(
  bytes: Uint8Array,
  name: string,
  options: { readonly codecs: readonly Codec[]; readonly hetmem: string },
): { readonly state: KernelState; readonly head: StateHead } {
  const from = new ByteReader(bytes);
  try {
    const head = readHead(from, name);
    checkMaker(head, name, options.hetmem);
    const raw = readBlocks(from, name, head, options.codecs);
    return { state: decodeKernel(raw), head };
  } catch (error) {
    if (!(error instanceof OutOfBytes)) throw error;
    const place = `${name}: byte ${from.at} of ${bytes.length}`;
    throw new UserError(place, 'the saved state is cut: more should follow', MAKE_AGAIN);
  }
}

function readHead(from: ByteReader, name: string): StateHead {
  const isState = MAGIC.every((byte, i) => from.bytes[i] === byte);
  if (!isState && from.bytes.length >= MAGIC.length) {
    const trace = from.bytes[1] === 0x48 && from.bytes[2] === 0x4d && from.bytes[3] === 0x54;
    const what = trace ? 'is a trace, no saved state' : 'is no saved state of hetmem';
    throw new UserError(name, what, 'hetmem run … --save-state FILE writes one');
  }
  skip(from, MAGIC.length);
  const format = from.u32();
  if (format !== STATE_FORMAT) {
    const problem = `is of format ${format}; this hetmem reads format ${STATE_FORMAT}`;
    throw new UserError(name, problem, `use the hetmem that wrote it, or ${MAKE_AGAIN}`);
  }
  const size = from.u32();
  const sum = from.u32();
  const start = from.at;
  skip(from, size);
  if (xxhash32(from.bytes, start, from.at) !== sum) throw damaged(name, start, from);
  return JSON.parse(new ByteReader(from.bytes.subarray(start, from.at)).text()) as StateHead;
}

function checkMaker(head: StateHead, name: string, hetmem: string): void {
  if (head.hetmem === hetmem && head.layout === layoutHash()) return;
  const other = head.hetmem === hetmem ? 'another build' : `version ${head.hetmem}`;
  throw new UserError(
    name,
    `was written by ${other} of hetmem (this is ${hetmem}), whose kernel has other fields`,
    `use the hetmem that wrote it, or ${MAKE_AGAIN}`,
  );
}

function readBlocks(
  from: ByteReader,
  name: string,
  head: StateHead,
  codecs: readonly Codec[],
): Uint8Array {
  const raw = new Uint8Array(head.rawBytes);
  let at = 0;
  for (let n = 0; n < head.blocks; n++) {
    const place = from.at;
    const id = from.u32();
    const rawBytes = from.u32();
    const size = from.u32();
    const sum = from.u32();
    const start = from.at;
    skip(from, size);
    const stored = from.bytes.subarray(start, from.at);
    const seed = blockSeed(id, rawBytes);
    if (xxhash32(stored, 0, size, seed) !== sum) throw damaged(name, place, from);
    const codec = codecById(codecs, id, name);
    const block = codec.id === 0 ? stored : codec.decompress(stored, rawBytes);
    if (block.length !== rawBytes || at + rawBytes > raw.length) throw damaged(name, place, from);
    raw.set(block, at);
    at += rawBytes;
  }
  const end = from.at;
  if (from.u32() !== END_MAGIC || at !== raw.length) throw damaged(name, end, from);
  if (!from.isAtEnd) throw damaged(name, from.at, from);
  return raw;
}

function skip(from: ByteReader, nrBytes: number): void {
  if (from.at + nrBytes > from.bytes.length) throw new OutOfBytes('block');
  from.at += nrBytes;
}

function damaged(name: string, at: number, from: ByteReader): UserError {
  const place = `${name}: byte ${at} of ${from.bytes.length}`;
  return new UserError(place, 'the saved state is damaged: a checksum does not match', MAKE_AGAIN);
}
