/**
 * Reads a trace file item by item, in constant memory; what replay consumes (source.ts).
 *
 * One chunk at a time: its blocks are read, checked and decompressed before the first of its
 * items is given out, then slices are decoded into the same buffers again and again. Line numbers
 * are neither read nor decompressed unless asked for. A file that was cut gives all its whole
 * chunks and then a UserError that says so, or, with `salvage`, just ends.
 */
import { UserError } from '../base/assert.ts';
import type { ByteSource } from './byteStream.ts';
import { ByteReader, OutOfBytes, utf8Decode } from './bytes.ts';
import { ChunkReader, DamagedTrace } from './chunkReader.ts';
import type { Codec } from './codec.ts';
import type { TraceEvent } from './event.ts';
import { readEventFields } from './eventCodec.ts';
import { parseHeader, type TraceHeader } from './header.ts';
import * as layout from './layout.ts';
import { PAST_RUNS, PageDecoder } from './pageColumn.ts';
import { readDictionary } from './pageDictionary.ts';
import { RegionTable } from './regionTable.ts';
import type {
  AccessSlice,
  TraceItemKind,
  TraceProcess,
  TraceSource,
  TraceThread,
  TraceTotals,
} from './source.ts';
import { END, EVENT, SLICE, SLICE_ACCESSES_MAX } from './source.ts';
import { parseSummary, type TraceSummary } from './summary.ts';
import { Upgrade } from './upgrade.ts';
import { WeightDecoder } from './weights.ts';
import { xxhash32 } from './xxhash32.ts';

export interface TraceReaderOptions {
  /** Decode the line of each access into `slice.line`. */
  readonly lines?: boolean;
  /** End quietly where the file is cut or damaged; `damage` then says why. */
  readonly salvage?: boolean;
  /**
   * Whether the pages of a chunk are wanted, given the accesses before it and in it. When not,
   * its slices come with correct clocks and counts but meaningless pages, at no cost.
   */
  readonly wantsPages?: (accessesBefore: number, accesses: number) => boolean;
}

/** A data chunk as the index of a finished file knows it. */
export interface IndexedChunk {
  readonly offset: number;
  readonly accessesBefore: number;
  readonly accesses: number;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

export class TraceReader implements TraceSource {
  readonly header: TraceHeader;
  /** Format version of the file. */
  readonly formatVersion: number;
  readonly processes: TraceProcess[] = [];
  readonly threads: TraceThread[] = [];
  /** The file's own account of itself; null when it was never finished. */
  readonly summary: TraceSummary | null = null;
  /** Data chunks; empty when the file was never finished. */
  readonly index: readonly IndexedChunk[] = [];
  readonly slice: AccessSlice;
  event: TraceEvent;
  /** What is wrong with the file, once `next()` came to it with `salvage`. */
  damage: string | null = null;
  /** Whole chunks and their accesses that were reached so far. */
  nrChunks = 0;
  nrAccesses = 0;

  readonly #source: ByteSource;
  readonly #chunk: ChunkReader;
  readonly #options: TraceReaderOptions;
  readonly #upgrade: Upgrade;
  readonly #firstChunk: number;
  readonly #tables: Uint8Array = NO_BYTES;
  #next: number;
  #ended = false;
  // set by a seek: declarations in chunks are known already
  #tablesAreComplete = false;

  // the chunk being given out
  #items = new ByteReader(NO_BYTES);
  #hasPages = false;
  #runsLeft = 0;
  #accessesLeft = 0;
  readonly #pages = new PageDecoder();
  readonly #weights = new WeightDecoder();
  #lines = NO_BYTES;
  #lineAt = 0;
  // dictionary index -> line of the last access
  readonly #lastLine = new Uint8Array(layout.CHUNK_PAGES_MAX);
  // tid -> clock at its last item of this chunk
  #clock = new Float64Array(8);
  #regions: RegionTable[] = [];

  /** Errors: UserError when `source` is no trace, or of a newer format, or has no whole header. */
  constructor(source: ByteSource, codecs: readonly Codec[], options: TraceReaderOptions = {}) {
    this.#source = source;
    this.#options = options;
    this.#chunk = new ChunkReader(source, codecs);
    this.formatVersion = readPreamble(source);
    this.#upgrade = new Upgrade(this.formatVersion, source.name);
    this.header = this.#readHeader();
    this.#firstChunk = this.#chunk.end;
    this.#next = this.#firstChunk;
    const end = this.#readEnd();
    if (end !== null) {
      this.index = end.index;
      this.#tables = end.tables;
      this.summary = end.summary;
    }
    this.event = { kind: 'marker', pid: 0, tid: 0, insn: 0, text: '' };
    this.slice = {
      pid: 0,
      tid: 0,
      insnStart: 0,
      insnEnd: 0,
      count: 0,
      accesses: 0,
      page: new Uint32Array(SLICE_ACCESSES_MAX),
      weight: new Uint16Array(SLICE_ACCESSES_MAX),
      line: new Uint8Array(options.lines === true ? SLICE_ACCESSES_MAX : 0),
    };
  }

  get totals(): TraceTotals | null {
    return this.summary;
  }

  /** Size of the file in bytes. */
  get sizeBytes(): number {
    return this.#source.sizeBytes;
  }

  regionBase(pid: number): Float64Array {
    return this.#regionTable(pid).base;
  }

  regionCount(pid: number): number {
    return this.#regionTable(pid).count;
  }

  #regionTable(pid: number): RegionTable {
    while (this.#regions.length <= pid) this.#regions.push(new RegionTable());
    return this.#regions[pid]!;
  }

  rewind(): void {
    this.processes.length = 0;
    this.threads.length = 0;
    this.#regions = [];
    this.#tablesAreComplete = false;
    this.#goTo(this.#firstChunk, 0);
  }

  /**
   * Continues at the start of the chunk that holds access number `access`; events before it are
   * skipped. Returns the number of accesses before that chunk.
   * Preconditions: the file was finished (`index` is not empty).
   */
  seek(access: number): number {
    const chunk = this.index.find((c) => access < c.accessesBefore + c.accesses);
    const target = chunk ?? this.index[this.index.length - 1];
    if (target === undefined) {
      throw new UserError(this.#source.name, 'has no index', 'it was never finished');
    }
    const { processes, threads } = this.declared();
    this.processes.splice(0, Number.POSITIVE_INFINITY, ...processes);
    this.threads.splice(0, Number.POSITIVE_INFINITY, ...threads);
    this.#tablesAreComplete = true;
    this.#goTo(target.offset, target.accessesBefore);
    return target.accessesBefore;
  }

  /** All processes and threads of a finished trace at once; of another those seen so far. */
  declared(): { readonly processes: TraceProcess[]; readonly threads: TraceThread[] } {
    const processes: TraceProcess[] = [];
    const threads: TraceThread[] = [];
    const tables = new ByteReader(this.#tables);
    while (!tables.isAtEnd) declareInto(processes, threads, tables, tables.u8());
    const isFinished = this.summary !== null;
    return isFinished
      ? { processes, threads }
      : { processes: this.processes, threads: this.threads };
  }

  #goTo(offset: number, accessesBefore: number): void {
    this.#next = offset;
    this.#ended = false;
    this.damage = null;
    this.nrAccesses = accessesBefore;
    this.nrChunks = 0;
    this.#items = new ByteReader(NO_BYTES);
  }

  next(): TraceItemKind {
    for (;;) {
      const items = this.#items;
      if (items.isAtEnd) {
        if (!this.#nextChunk()) return END;
        continue;
      }
      try {
        const op = items.u8();
        if (op === layout.ITEM_SLICE) {
          this.#readSlice(items);
          return SLICE;
        }
        if (op >= layout.ITEM_EVENT) {
          this.#readEvent(items, op - layout.ITEM_EVENT);
          return EVENT;
        }
        const isKnown = this.#tablesAreComplete;
        declareInto(isKnown ? [] : this.processes, isKnown ? [] : this.threads, items, op);
      } catch (error) {
        if (error instanceof OutOfBytes) throw this.#userError(this.#chunk.offset, error.message);
        throw error;
      }
    }
  }

  #readSlice(items: ByteReader): void {
    const slice = this.slice;
    const tid = items.varint();
    const thread = this.threads[tid];
    if (thread === undefined) throw new OutOfBytes('slice of an undeclared thread');
    slice.tid = tid;
    slice.pid = thread.pid;
    slice.insnStart = this.#clockOf(tid) + items.signed();
    slice.insnEnd = slice.insnStart + items.varint();
    this.#clock[tid] = slice.insnEnd;
    slice.count = items.varint();
    slice.accesses = items.varint();
    this.#runsLeft -= slice.count;
    this.#accessesLeft -= slice.accesses;
    const isTooMuch = slice.accesses > SLICE_ACCESSES_MAX || slice.count > slice.accesses;
    if (isTooMuch || this.#runsLeft < 0 || this.#accessesLeft < 0) {
      throw new OutOfBytes('slice larger than its chunk');
    }
    if (!this.#hasPages) return;
    const wantsLines = slice.line.length > 0;
    this.#pages.decode(slice.count, slice.page, wantsLines);
    this.#weights.decode(slice.count, slice.weight);
    if (wantsLines) this.#decodeLines(slice.count);
  }

  #decodeLines(count: number): void {
    const { line, weight, accesses } = this.slice;
    const lines = this.#lines;
    const column = this.#pages.column;
    const last = this.#lastLine;
    const start = this.#lineAt;
    let at = 0;
    for (let run = 0; run < count; run++) {
      const index = column[PAST_RUNS + run]! >>> 1;
      let previous = last[index]!;
      for (let end = Math.min(at + weight[run]!, accesses); at < end; at++) {
        previous = (previous + lines[start + at]!) & 63;
        line[at] = previous;
      }
      last[index] = previous;
    }
    this.#lineAt = start + at;
  }

  #readEvent(items: ByteReader, row: number): void {
    const tid = items.varint();
    const thread = this.threads[tid];
    if (thread === undefined) throw new OutOfBytes('event of an undeclared thread');
    const insn = this.#clockOf(tid) + items.signed();
    this.#clock[tid] = insn;
    this.event = readEventFields(items, row, thread.pid, tid, insn);
  }

  #clockOf(tid: number): number {
    if (tid >= this.#clock.length) {
      const grown = new Float64Array(Math.max(this.#clock.length * 2, tid + 1));
      grown.set(this.#clock);
      this.#clock = grown;
    }
    return this.#clock[tid]!;
  }

  /** Loads the next data chunk; false at the end. */
  #nextChunk(): boolean {
    if (this.#ended) return false;
    const offset = this.#next;
    try {
      const chunk = this.#chunk;
      chunk.readHead(offset);
      if (chunk.type === layout.CHUNK_END) {
        for (let block = 0; block < chunk.nrBlocks; block++) chunk.block(block);
        this.#checkFooter(chunk.end);
        this.#ended = true;
        return false;
      }
      if (chunk.type !== layout.CHUNK_DATA) throw new DamagedTrace(offset, 'unexpected chunk');
      this.#loadChunk();
      this.#next = chunk.end;
      this.nrChunks++;
      this.nrAccesses += chunk.accesses;
      return true;
    } catch (error) {
      if (error instanceof OutOfBytes) return this.#stop(offset, error.message);
      if (error instanceof DamagedTrace) return this.#stop(error.offset, error.message);
      throw error;
    }
  }

  #stop(offset: number, problem: string): false {
    this.#ended = true;
    const error = this.#userError(offset, problem);
    if (this.#options.salvage !== true) throw error;
    this.damage = error.message;
    return false;
  }

  #userError(offset: number, problem: string): UserError {
    const whole = `${this.nrChunks} whole chunks with ${this.nrAccesses} accesses`;
    const fileEnds = this.#source.sizeBytes;
    return new UserError(
      `${this.#source.name}: byte ${offset} of ${fileEnds}`,
      `the trace is cut or damaged: ${problem}; ${whole} before it are good`,
      this.nrChunks > 0 ? 'keep them with: hetmem trace cut --salvage' : 'copy or record it again',
    );
  }

  #loadChunk(): void {
    const chunk = this.#chunk;
    this.#items = new ByteReader(this.#block(layout.BLOCK_ITEMS));
    this.#clock.fill(0);
    this.#runsLeft = chunk.runs;
    this.#accessesLeft = chunk.accesses;
    const wants = this.#options.wantsPages;
    this.#hasPages = wants === undefined || wants(this.nrAccesses, chunk.accesses);
    if (!this.#hasPages) return;
    const dictionary = new ByteReader(this.#block(layout.BLOCK_DICTIONARY));
    readDictionary(dictionary, this.#pages.wordOf, (pid) => this.#regionTable(pid));
    const a = this.#block(layout.BLOCK_PAGE_A);
    const b = this.#block(layout.BLOCK_PAGE_B);
    const c = this.#block(layout.BLOCK_PAGE_C);
    const isKnown =
      chunk.pageEncoding <= layout.PAGES_HISTORY && chunk.weightEncoding <= layout.WEIGHTS_SPARSE;
    const isPlain = chunk.pageEncoding === layout.PAGES_PLAIN;
    const isWhole = a.length === chunk.runs && b.length === (isPlain ? a.length : c.length);
    if (!isKnown || !isWhole) {
      throw new DamagedTrace(chunk.offset, 'damaged page column');
    }
    this.#pages.start(chunk.pageEncoding, a, b, c);
    this.#weights.start(chunk.weightEncoding, this.#block(layout.BLOCK_WEIGHT), chunk.runs);
    if (this.#options.lines === true) {
      this.#lines = this.#block(layout.BLOCK_LINE);
      this.#lineAt = 0;
      this.#lastLine.fill(0);
    }
  }

  #block(block: number): Uint8Array {
    const bytes = this.#chunk.block(block);
    return this.#upgrade.isNeeded ? this.#upgrade.block(this.#chunk.type, block, bytes) : bytes;
  }

  #readHeader(): TraceHeader {
    const name = this.#source.name;
    let json: unknown;
    try {
      this.#chunk.readHead(layout.PREAMBLE_BYTES);
      if (this.#chunk.type !== layout.CHUNK_HEADER) {
        throw new DamagedTrace(layout.PREAMBLE_BYTES, 'no header chunk');
      }
      json = parseJson(this.#chunk.block(layout.BLOCK_JSON));
    } catch (error) {
      if (error instanceof UserError) throw error;
      const problem = error instanceof Error ? error.message : String(error);
      throw new UserError(name, `the trace's header is cut or damaged: ${problem}`, 'record again');
    }
    return parseHeader(this.#upgrade.header(json), name);
  }

  /** Errors: DamagedTrace when the file does not end with the footer at `offset`. */
  #checkFooter(offset: number): void {
    const footer = readFooter(this.#source, offset);
    if (footer !== this.#chunk.offset) throw new DamagedTrace(offset, 'the footer is missing');
    const extra = this.#source.sizeBytes - offset - layout.FOOTER_BYTES;
    if (extra > 0) throw new DamagedTrace(offset, `${extra} bytes after the end`);
  }

  /** Index, tables and summary of a finished file; null when it has none (or they are damaged). */
  #readEnd() {
    const source = this.#source;
    const offset = readFooter(source, source.sizeBytes - layout.FOOTER_BYTES);
    if (offset < 0) return null;
    try {
      this.#chunk.readHead(offset);
      if (this.#chunk.type !== layout.CHUNK_END) return null;
      const index: IndexedChunk[] = [];
      const bytes = new ByteReader(this.#block(layout.BLOCK_INDEX));
      let accessesBefore = 0;
      while (!bytes.isAtEnd) {
        const chunkOffset = bytes.varint();
        const accesses = bytes.varint();
        index.push({ offset: chunkOffset, accessesBefore, accesses });
        accessesBefore += accesses;
      }
      const tables = this.#block(layout.BLOCK_TABLES).slice();
      const json = parseJson(this.#block(layout.BLOCK_SUMMARY));
      return { index, tables, summary: parseSummary(json, source.name) };
    } catch {
      // next() finds and reports what is damaged, after all that is good
      return null;
    }
  }
}

/** Reads the declaration that begins with `op`. Errors: OutOfBytes. */
function declareInto(
  processes: TraceProcess[],
  threads: TraceThread[],
  items: ByteReader,
  op: number,
): void {
  if (op !== layout.ITEM_PROCESS && op !== layout.ITEM_THREAD) {
    throw new OutOfBytes(`unknown item ${op}`);
  }
  const first = items.varint();
  const recorded = items.varint();
  const name = items.text();
  if (op === layout.ITEM_PROCESS) {
    processes.push({ name, parent: first - 1, recordedPid: recorded });
  } else {
    threads.push({ name, pid: first, recordedTid: recorded });
  }
}

function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(utf8Decode(bytes, 0, bytes.length));
}

/** Checks magic; returns the format version. Errors: UserError. */
function readPreamble(source: ByteSource): number {
  const bytes = new Uint8Array(layout.PREAMBLE_BYTES);
  const length = source.read(0, bytes);
  if (length === 0) throw new UserError(source.name, 'empty file', 'record or copy it again');
  const isTrace = layout.MAGIC.every((byte, i) => bytes[i] === byte);
  if (!isTrace || length < layout.PREAMBLE_BYTES) {
    throw new UserError(
      source.name,
      'not a hetmem trace',
      'other tools’ traces become one with: hetmem trace import',
    );
  }
  const view = new DataView(bytes.buffer);
  if (view.getUint32(12, true) !== 0) {
    throw new UserError(source.name, 'its first bytes are damaged', 'copy or record it again');
  }
  return view.getUint32(8, true);
}

/** Offset of the end chunk that a footer at `offset` names; -1 when there is no footer. */
function readFooter(source: ByteSource, offset: number): number {
  if (offset < layout.PREAMBLE_BYTES) return -1;
  const bytes = new Uint8Array(layout.FOOTER_BYTES);
  if (source.read(offset, bytes) < layout.FOOTER_BYTES) return -1;
  const view = new DataView(bytes.buffer);
  if (view.getUint32(0, true) !== layout.FOOTER_MAGIC) return -1;
  if (view.getUint32(12, true) !== xxhash32(bytes, 0, 12)) return -1;
  return view.getUint32(4, true) + view.getUint32(8, true) * 4294967296;
}
