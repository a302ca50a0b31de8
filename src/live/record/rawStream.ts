/**
 * The raw stream of the recorder plugin: native/rawStream.h says what is in it.
 *
 * One socket per recorded process, blocks of 64-bit little-endian words. A reader keeps the bytes
 * of one unfinished block and hands whole blocks to a handler; it can be held between two blocks
 * (a forked child waits for its parent's fork).
 * Deviates: words are doubles here; addresses, clocks and sizes stay below 2^53.
 */
import { InvariantError } from '../../base/assert.ts';

export const RAW_VERSION = 1;

const BLOCK_HELLO = 1;
const BLOCK_MAP = 2;
const BLOCK_FILE = 3;
const BLOCK_THREAD = 4;
const BLOCK_ACCESS = 5;
const BLOCK_CALL = 6;
const BLOCK_EXEC = 7;
const BLOCK_END = 8;
const BLOCK_END_THREAD = 9;
const BLOCK_COUNT = 10;
const BLOCK_NOTE = 11;

/** Payload words before the text of a block (-1: no text), and the least number of words. */
const SHAPE: ReadonlyMap<number, readonly [textAt: number, wordsMin: number]> = new Map([
  [BLOCK_HELLO, [-1, 3]],
  [BLOCK_MAP, [-1, 6]],
  [BLOCK_FILE, [4, 5]],
  [BLOCK_THREAD, [-1, 1]],
  [BLOCK_ACCESS, [-1, 3]],
  [BLOCK_CALL, [-1, 10]],
  [BLOCK_EXEC, [1, 2]],
  [BLOCK_END, [-1, 2]],
  [BLOCK_END_THREAD, [-1, 2]],
  [BLOCK_COUNT, [-1, 2]],
  [BLOCK_NOTE, [0, 1]],
]);

const HEADER_BYTES = 16;
const WORD_BYTES = 8;
/** More than any block has: a larger number means that the stream is not what it should be. */
const PAYLOAD_WORDS_MAX = 16384;
const TWO_32 = 4294967296;
/** A page's access words share all bits above these: 6 of the line, 1 of the write. */
const LINE_WRITE_BITS = 7;
const LINE_WRITE_MASK = (1 << LINE_WRITE_BITS) - 1;
const HIGH_WORD_PAGES = TWO_32 / (1 << LINE_WRITE_BITS);

export interface RawMap {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
  readonly flags: number;
  /** The stream's file id + 1; 0 = anonymous. */
  readonly file: number;
  readonly offset: number;
}

export interface RawCall {
  readonly clock: number;
  readonly nr: number;
  readonly result: number;
  readonly args: readonly number[];
  readonly aux: number;
}

/** What a stream says, block by block. `tid` is the host's. */
export interface RawHandler {
  hello(version: number, pid: number, parentPid: number): void;
  map(map: RawMap): void;
  file(id: number, device: number, inode: number, sizeBytes: number, path: string): void;
  thread(tid: number, creatorTid: number): void;
  /** The arrays are reused: valid during the call. `lineWrite` = line in page << 1 | write. */
  access(
    tid: number,
    clockStart: number,
    clockEnd: number,
    count: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void;
  call(tid: number, call: RawCall): void;
  exec(tid: number, clock: number, path: string): void;
  end(tid: number, clock: number, status: number): void;
  endThread(tid: number, clock: number, status: number): void;
  counts(accesses: number, misses: number): void;
  note(text: string): void;
}

/** Reads one stream. Keeps at most one unfinished block, unless it is held. */
export class RawStreamReader {
  readonly #handler: RawHandler;
  /** Set by the handler to stop before the next block; `resume` goes on. */
  isHeld = false;
  #bytes = new Uint8Array(1 << 17);
  #words = new Uint32Array(this.#bytes.buffer);
  #end = 0;
  #vpn = new Float64Array(PAYLOAD_WORDS_MAX);
  #lineWrite = new Uint8Array(PAYLOAD_WORDS_MAX);

  constructor(handler: RawHandler) {
    this.#handler = handler;
  }

  /** Takes the next bytes. Errors: InvariantError if they are no raw stream. */
  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#grow(this.#end + chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
    this.resume();
  }

  /** Reads what has been waiting. */
  resume(): void {
    let at = 0;
    while (!this.isHeld) {
      const next = this.#block(at);
      if (next === at) break;
      at = next;
    }
    if (at === 0) return;
    this.#bytes.copyWithin(0, at, this.#end);
    this.#end -= at;
  }

  /** Bytes of a block that never became whole: not 0 if the sender died in the middle of one. */
  get bytesLeft(): number {
    return this.#end;
  }

  /** Reads the block at byte `at`; returns where the next one starts, `at` if it is not whole. */
  #block(at: number): number {
    if (this.#end - at < HEADER_BYTES) return at;
    const word = at >>> 2;
    const type = this.#words[word]! & 0xff;
    const payload = (this.#words[word]! >>> 8) + this.#words[word + 1]! * (1 << 24);
    const shape = SHAPE.get(type);
    if (shape === undefined || payload < shape[1] || payload > PAYLOAD_WORDS_MAX) {
      throw new InvariantError(`raw stream: a block of type ${type} with ${payload} words`);
    }
    const next = at + HEADER_BYTES + payload * WORD_BYTES;
    if (next > this.#end) return at;
    const tid = this.#words[word + 2]!;
    const first = at + HEADER_BYTES;
    if (type === BLOCK_ACCESS) this.#access(tid, first, payload - 2);
    else this.#other(type, tid, first, shape[0] < 0 ? '' : this.#text(first, shape[0], payload));
    return next;
  }

  #access(tid: number, first: number, count: number): void {
    const words = this.#words;
    const vpn = this.#vpn;
    const lineWrite = this.#lineWrite;
    let word = (first >>> 2) + 4;
    for (let i = 0; i < count; i++, word += 2) {
      const low = words[word]!;
      vpn[i] = words[word + 1]! * HIGH_WORD_PAGES + (low >>> LINE_WRITE_BITS);
      lineWrite[i] = low & LINE_WRITE_MASK;
    }
    this.#handler.access(tid, this.#at(first, 0), this.#at(first, 1), count, vpn, lineWrite);
  }

  #other(type: number, tid: number, first: number, text: string): void {
    const at = (index: number) => this.#at(first, index);
    const handler = this.#handler;
    switch (type) {
      case BLOCK_HELLO:
        handler.hello(at(0), at(1), at(2));
        break;
      case BLOCK_MAP:
        handler.map({
          start: at(0),
          end: at(1),
          prot: at(2),
          flags: at(3),
          file: at(4),
          offset: at(5),
        });
        break;
      case BLOCK_FILE:
        handler.file(at(0), at(1), at(2), at(3), text);
        break;
      case BLOCK_THREAD:
        handler.thread(tid, at(0));
        break;
      case BLOCK_CALL: {
        const args = [at(3), at(4), at(5), at(6), at(7), at(8)];
        handler.call(tid, { clock: at(0), nr: at(1), result: at(2), args, aux: at(9) });
        break;
      }
      case BLOCK_EXEC:
        handler.exec(tid, at(0), text);
        break;
      case BLOCK_END:
        handler.end(tid, at(0), at(1));
        break;
      case BLOCK_END_THREAD:
        handler.endThread(tid, at(0), at(1));
        break;
      case BLOCK_COUNT:
        handler.counts(at(0), at(1));
        break;
      default:
        handler.note(text);
    }
  }

  /** Payload word `index` as a signed number. */
  #at(first: number, index: number): number {
    const word = (first >>> 2) + 2 * index;
    return (this.#words[word + 1]! | 0) * TWO_32 + this.#words[word]!;
  }

  #text(first: number, textAt: number, payload: number): string {
    const length = this.#at(first, textAt);
    const start = first + (textAt + 1) * WORD_BYTES;
    if (length < 0 || length > (payload - textAt - 1) * WORD_BYTES) {
      throw new InvariantError(`raw stream: a text of ${length} bytes in ${payload} words`);
    }
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }

  #grow(needed: number): void {
    const size = Math.max(needed, this.#bytes.length * 2);
    const larger = new Uint8Array(size + ((4 - (size % 4)) % 4));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
    this.#words = new Uint32Array(this.#bytes.buffer);
  }
}
