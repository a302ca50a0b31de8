/**
 * Writes a trace file: slices and events in the order in which they happened, in constant memory.
 *
 * Slices and events collect in one chunk; a full chunk is compressed and given to the sink. What
 * was given is valid for ever: a recorder that dies leaves a file that is readable to its last
 * whole chunk. `finish` adds index, tables, summary and footer. Nothing here knows the time, the
 * file system or the codec: they are arguments.
 * Order: a process before its threads, both before their first item.
 */
import { assert } from '../base/assert.ts';
import type { ByteSink } from './byteStream.ts';
import { ByteWriter, utf8Encode } from './bytes.ts';
import { ChunkWriter, NO_COUNTS } from './chunkWriter.ts';
import type { Codec } from './codec.ts';
import type { TraceEvent } from './event.ts';
import { eventRowOf, writeEventFields } from './eventCodec.ts';
import type { TraceHeader } from './header.ts';
import {
  CHUNK_ACCESSES_MAX,
  CHUNK_DATA,
  CHUNK_END,
  CHUNK_HEADER,
  CHUNK_ITEMS_BYTES,
  CHUNK_PAGES_MAX,
  CHUNK_RUNS_MAX,
  FOOTER_MAGIC,
  FORMAT_VERSION,
  ITEM_EVENT,
  ITEM_PROCESS,
  ITEM_SLICE,
  ITEM_THREAD,
  MAGIC,
  PROCESSES_MAX,
  VPN_MAX,
} from './layout.ts';
import { encodePages } from './pageColumn.ts';
import { PageDictionary } from './pageDictionary.ts';
import type { TraceThread } from './source.ts';
import { SLICE_ACCESSES_MAX } from './source.ts';
import { SummaryBuilder, type TraceSummary } from './summary.ts';
import { encodeWeights } from './weights.ts';
import { xxhash32 } from './xxhash32.ts';

export class TraceWriter {
  readonly #chunks: ChunkWriter;
  readonly #codec: Codec;
  readonly #summary = new SummaryBuilder();
  readonly #threads: TraceThread[] = [];
  #nrProcesses = 0;
  #finished = false;
  // process and thread records, again at the end for readers that seek
  readonly #tables = new ByteWriter();
  readonly #index = new ByteWriter();

  // the chunk being collected
  readonly #dictionary = new PageDictionary();
  readonly #items = new ByteWriter(1 << 16);
  // run -> number of its page in order of appearance << 1 | write
  #column = new Uint16Array(1 << 14);
  // run -> accesses in it
  #weight = new Uint16Array(1 << 14);
  // access -> line in page
  #line = new Uint8Array(1 << 14);
  #nrRuns = 0;
  #nrAccesses = 0;
  #nrSlices = 0;
  #nrEvents = 0;
  // tid -> clock at its last item of this chunk
  #clock = new Float64Array(8);

  /** Writes preamble and header at once. Errors: those of the sink, at any call. */
  constructor(sink: ByteSink, header: TraceHeader, codec: Codec) {
    this.#codec = codec;
    this.#chunks = new ChunkWriter(sink, codec);
    const preamble = new ByteWriter();
    preamble.raw(MAGIC);
    preamble.u32(FORMAT_VERSION);
    preamble.u32(0);
    this.#chunks.raw(preamble.view());
    this.#chunks.chunk(CHUNK_HEADER, NO_COUNTS, [utf8Encode(JSON.stringify(header))]);
  }

  /** Bytes written so far, for progress. */
  get bytesWritten(): number {
    return this.#chunks.offset;
  }

  /** Declares the next process; returns its index. `parent` is a process index or -1. */
  addProcess(name: string, parent = -1, recordedPid = 0): number {
    const pid = this.#nrProcesses++;
    assert(pid < PROCESSES_MAX && parent < pid, `process ${pid} with parent ${parent}`);
    this.#summary.addProcess();
    this.#roomForItem();
    for (const out of [this.#items, this.#tables]) {
      out.u8(ITEM_PROCESS);
      out.varint(parent + 1);
      out.varint(recordedPid);
      out.text(name);
    }
    return pid;
  }

  /** Declares the next thread, of process `pid`; returns its index. */
  addThread(pid: number, name: string, recordedTid = 0): number {
    assert(pid < this.#nrProcesses, `thread of undeclared process ${pid}`);
    const tid = this.#threads.push({ pid, name, recordedTid }) - 1;
    this.#summary.addThread();
    if (tid >= this.#clock.length) {
      const grown = new Float64Array(this.#clock.length * 2);
      grown.set(this.#clock);
      this.#clock = grown;
    }
    this.#roomForItem();
    for (const out of [this.#items, this.#tables]) {
      out.u8(ITEM_THREAD);
      out.varint(pid);
      out.varint(recordedTid);
      out.text(name);
    }
    return tid;
  }

  /**
   * Adds `count` accesses of one thread: `vpn[i]` and `lineWrite[i]` = line in page << 1 | write.
   * More than SLICE_ACCESSES_MAX become several slices with interpolated clocks.
   * Preconditions: clocks are whole numbers, 0 <= insnStart <= insnEnd; VPNs are below 2^40.
   */
  slice(
    pid: number,
    tid: number,
    insnStart: number,
    insnEnd: number,
    count: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void {
    assert(this.#threads[tid]?.pid === pid, `slice of thread ${tid} of process ${pid}`);
    assert(insnStart >= 0 && insnStart <= insnEnd, `slice from ${insnStart} to ${insnEnd}`);
    const span = insnEnd - insnStart;
    let start = 0;
    let clock = insnStart;
    do {
      const end = Math.min(count, start + SLICE_ACCESSES_MAX);
      const after = end === count ? insnEnd : insnStart + Math.floor((span * end) / count);
      this.#addSlice(pid, tid, clock, after, start, end, vpn, lineWrite);
      start = end;
      clock = after;
    } while (start < count);
  }

  #addSlice(
    pid: number,
    tid: number,
    insnStart: number,
    insnEnd: number,
    start: number,
    end: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void {
    this.#roomForItem();
    if (!this.#fits(pid, start, end, vpn)) this.#flush();
    this.#growColumns(end - start);
    const nrRuns = this.#addRuns(pid, start, end, vpn, lineWrite);
    this.#nrSlices++;
    this.#summary.slice(pid, tid, insnStart, insnEnd, end - start);
    const items = this.#items;
    items.u8(ITEM_SLICE);
    items.varint(tid);
    items.signed(insnStart - this.#clock[tid]!);
    items.varint(insnEnd - insnStart);
    items.varint(nrRuns);
    items.varint(end - start);
    this.#clock[tid] = insnEnd;
  }

  /** Whether the chunk can take accesses [start, end); may say no a little early. */
  #fits(pid: number, start: number, end: number, vpn: Float64Array): boolean {
    const count = end - start;
    if (this.#nrRuns + count > CHUNK_RUNS_MAX) return false;
    if (this.#nrAccesses + count > CHUNK_ACCESSES_MAX) return false;
    const room = CHUNK_PAGES_MAX - this.#dictionary.count;
    if (count <= room) return true;
    let nrNew = 0;
    for (let i = start; i < end; i++) {
      const isNew =
        (i === start || vpn[i] !== vpn[i - 1]) && this.#dictionary.find(pid, vpn[i]!) < 0;
      if (isNew) nrNew++;
    }
    return nrNew <= room;
  }

  #addRuns(
    pid: number,
    start: number,
    end: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): number {
    const first = this.#nrRuns;
    let run = first;
    for (let i = start; i < end; ) {
      const page = vpn[i]!;
      const write = lineWrite[i]! & 1;
      assert(page >= 0 && page < VPN_MAX, `page number ${page}`);
      const runStart = i;
      do {
        this.#line[this.#nrAccesses++] = lineWrite[i]! >>> 1;
        i++;
      } while (i < end && vpn[i] === page && (lineWrite[i]! & 1) === write);
      this.#column[run] = (this.#dictionary.add(pid, page) << 1) | write;
      this.#weight[run++] = i - runStart;
      this.#summary.run(pid, page, write, i - runStart);
    }
    this.#nrRuns = run;
    return run - first;
  }

  /** Adds an event; `event.insn` is a whole number. */
  event(event: TraceEvent): void {
    assert(this.#threads[event.tid]?.pid === event.pid, `event of unknown thread ${event.tid}`);
    this.#roomForItem();
    this.#summary.event(event);
    this.#nrEvents++;
    const items = this.#items;
    items.u8(ITEM_EVENT + eventRowOf(event.kind));
    items.varint(event.tid);
    items.signed(event.insn - this.#clock[event.tid]!);
    this.#clock[event.tid] = event.insn;
    writeEventFields(items, event);
  }

  /** Gives what is collected to the sink now, as a chunk: worth it before a long silence. */
  flush(): void {
    if (this.#items.length > 0) this.#flush();
  }

  /**
   * Completes the file. `recorder` adds facts to the summary. The sink is the caller's to close.
   */
  finish(recorder: Readonly<Record<string, number | string>> = {}): TraceSummary {
    assert(!this.#finished, 'a trace is finished twice');
    this.flush();
    this.#finished = true;
    const summary = this.#summary.build(recorder);
    const offset = this.#chunks.offset;
    this.#chunks.chunk(CHUNK_END, NO_COUNTS, [
      this.#index.view(),
      this.#tables.view(),
      utf8Encode(JSON.stringify(summary)),
    ]);
    const footer = new ByteWriter();
    footer.u32(FOOTER_MAGIC);
    footer.u32(offset % 4294967296);
    footer.u32(Math.floor(offset / 4294967296));
    footer.u32(xxhash32(footer.view(), 0, 12));
    this.#chunks.raw(footer.view());
    return summary;
  }

  #roomForItem(): void {
    assert(!this.#finished, 'the trace is finished');
    if (this.#items.length >= CHUNK_ITEMS_BYTES) this.#flush();
  }

  #growColumns(count: number): void {
    if (this.#nrRuns + count > this.#column.length) {
      const length = Math.max(this.#column.length * 2, this.#nrRuns + count);
      const column = new Uint16Array(length);
      column.set(this.#column);
      this.#column = column;
      const weight = new Uint16Array(length);
      weight.set(this.#weight);
      this.#weight = weight;
    }
    if (this.#nrAccesses + count > this.#line.length) {
      const line = new Uint8Array(Math.max(this.#line.length * 2, this.#nrAccesses + count));
      line.set(this.#line);
      this.#line = line;
    }
  }

  #flush(): void {
    const dictionary = new ByteWriter(1 << 12);
    const indexOf = this.#dictionary.writeSorted(dictionary);
    const column = this.#column;
    for (let i = 0; i < this.#nrRuns; i++) {
      column[i] = (indexOf[column[i]! >>> 1]! << 1) | (column[i]! & 1);
    }
    const pages = encodePages(column, this.#nrRuns, this.#codec);
    const weights = encodeWeights(this.#weight, this.#nrRuns);
    const counts = {
      pageEncoding: pages.encoding,
      weightEncoding: weights.encoding,
      accesses: this.#nrAccesses,
      runs: this.#nrRuns,
      slices: this.#nrSlices,
      events: this.#nrEvents,
    };
    this.#index.varint(this.#chunks.offset);
    this.#index.varint(counts.accesses);
    this.#chunks.chunk(CHUNK_DATA, counts, [
      this.#items.view(),
      dictionary.view(),
      ...pages.planes,
      weights.bytes,
      this.#encodeLines(),
    ]);
    this.#dictionary.clear();
    this.#items.clear();
    this.#nrRuns = 0;
    this.#nrAccesses = 0;
    this.#nrSlices = 0;
    this.#nrEvents = 0;
    this.#clock.fill(0);
  }

  /** Lines as distance from the page's last line in this chunk: streams become constants. */
  #encodeLines(): Uint8Array {
    const lines = new Uint8Array(this.#nrAccesses);
    const last = new Uint8Array(CHUNK_PAGES_MAX);
    for (let run = 0, at = 0; run < this.#nrRuns; run++) {
      const page = this.#column[run]! >>> 1;
      let previous = last[page]!;
      for (let end = at + this.#weight[run]!; at < end; at++) {
        lines[at] = (this.#line[at]! - previous) & 63;
        previous = this.#line[at]!;
      }
      last[page] = previous;
    }
    return lines;
  }
}
