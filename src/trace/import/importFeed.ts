/**
 * From single accesses with real pids and tids to slices of a trace: what all importers share.
 *
 * Pids and tids become indices as they appear. Accesses of a thread that follow one another become
 * a slice, until another thread comes, the slice is full or it lasts too long for one straight
 * line in time. An access over a line boundary becomes one per line.
 * Not modelled: the inputs have no memory system calls. A private anonymous mapping is made up for
 * each 2 MiB that are touched, at the first touch, so that replay can fault pages in.
 */
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../uapi/mman.ts';
import { SLICE_ACCESSES_MAX } from '../source.ts';
import type { TraceWriter } from '../traceWriter.ts';

const LINE_BYTES = 64;
const LINES_PER_PAGE = 64;
const PAGE_BYTES = 4096;
const MAPPING_BYTES = 2 * 1024 * 1024;
/** User addresses of x86-64 end here; what lies above is the kernel's. */
export const USER_END = 140737488355328;
/** Linux's default vm.mmap_min_addr: a made-up mapping starts no lower unless it is touched. */
const MMAP_MIN_ADDR = 65536;

/** What header notes say about the made-up mappings. */
export const MAPPINGS_NOTE =
  'no memory system calls in the input: private anonymous mappings are made up, ' +
  '2 MiB at a time at the first touch';

export interface ImportCounts {
  accesses: number;
  /** Samples that were left out, by reason. */
  skippedKernel: number;
  skippedNoAddress: number;
}

interface ImportedThread {
  readonly pid: number;
  readonly tid: number;
  /** Clocks never go back: a late sample counts as now. */
  clock: number;
}

export class ImportFeed {
  readonly counts: ImportCounts = { accesses: 0, skippedKernel: 0, skippedNoAddress: 0 };
  readonly #writer: TraceWriter;
  /** Longest slice, in units of the clock. */
  readonly #spanMax: number;
  // recorded pid -> process index
  readonly #processes = new Map<number, number>();
  // recorded pid -> recorded tid -> thread
  readonly #threads = new Map<number, Map<number, ImportedThread>>();
  // process index -> touched ranges of MAPPING_BYTES
  readonly #mapped: Set<number>[] = [];

  // the slice being collected
  #thread: ImportedThread | null = null;
  #start = 0;
  #count = 0;
  readonly #vpn = new Float64Array(SLICE_ACCESSES_MAX);
  readonly #lineWrite = new Uint8Array(SLICE_ACCESSES_MAX);

  constructor(writer: TraceWriter, spanMax: number) {
    this.#writer = writer;
    this.#spanMax = spanMax;
  }

  /** The thread with these recorded ids; made, with names, when it is the first time. */
  #threadOf(pid: number, tid: number, name: string): ImportedThread {
    if (this.#thread !== null && this.#lastPid === pid && this.#lastTid === tid) {
      return this.#thread;
    }
    let ofProcess = this.#threads.get(pid);
    if (ofProcess === undefined) {
      ofProcess = new Map();
      this.#threads.set(pid, ofProcess);
      this.#processes.set(pid, this.#writer.addProcess(name, -1, pid));
      this.#mapped.push(new Set());
    }
    let thread = ofProcess.get(tid);
    if (thread === undefined) {
      const process = this.#processes.get(pid)!;
      thread = { pid: process, tid: this.#writer.addThread(process, name, tid), clock: 0 };
      ofProcess.set(tid, thread);
    }
    this.#lastPid = pid;
    this.#lastTid = tid;
    return thread;
  }

  #lastPid = -1;
  #lastTid = -1;

  /** Whether a thread was seen: its name need not be looked up again. */
  knows(pid: number, tid: number): boolean {
    return this.#threads.get(pid)?.has(tid) === true;
  }

  /**
   * One access of `sizeBytes` at `addr`; `clock` is a whole number, `write` 0 or 1, `name` the
   * program's, used when the thread is new. Kernel addresses are counted and left out.
   */
  access(
    pid: number,
    tid: number,
    clock: number,
    addr: number,
    sizeBytes: number,
    write: number,
    name: string,
  ): void {
    if (addr >= USER_END) {
      this.counts.skippedKernel++;
      return;
    }
    const thread = this.#threadOf(pid, tid, name);
    if (thread !== this.#thread) this.flush();
    this.#thread = thread;
    if (clock > thread.clock) thread.clock = clock;
    const first = Math.floor(addr / LINE_BYTES);
    const last = Math.floor((addr + Math.max(1, sizeBytes) - 1) / LINE_BYTES);
    for (let line = first; line <= last; line++) this.#line(thread, line, write);
  }

  #line(thread: ImportedThread, line: number, write: number): void {
    const isLong = this.#count > 0 && thread.clock - this.#start > this.#spanMax;
    if (this.#count >= SLICE_ACCESSES_MAX || isLong) this.flush();
    const vpn = Math.floor(line / LINES_PER_PAGE);
    this.#map(thread, vpn);
    if (this.#count === 0) this.#start = thread.clock;
    this.#thread = thread;
    this.#vpn[this.#count] = vpn;
    this.#lineWrite[this.#count++] = ((line % LINES_PER_PAGE) << 1) | write;
    this.counts.accesses++;
  }

  /** Makes up the mapping that holds page `vpn`. */
  #map(thread: ImportedThread, vpn: number): void {
    const addr = vpn * PAGE_BYTES;
    const range = Math.floor(addr / MAPPING_BYTES);
    const mapped = this.#mapped[thread.pid]!;
    if (mapped.has(range)) return;
    mapped.add(range);
    this.flush();
    const start = range === 0 ? Math.min(addr, MMAP_MIN_ADDR) : range * MAPPING_BYTES;
    this.#writer.event({
      kind: 'mmap',
      pid: thread.pid,
      tid: thread.tid,
      insn: thread.clock,
      addr: start,
      len: (range + 1) * MAPPING_BYTES - start,
      prot: PROT_READ | PROT_WRITE,
      flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
      file: -1,
      offset: 0,
      result: start,
    });
  }

  /** Writes what is collected; to be called at the end. */
  flush(): void {
    const thread = this.#thread;
    if (thread !== null && this.#count > 0) {
      const { pid, tid } = thread;
      const start = this.#start;
      const lines = this.#lineWrite;
      this.#writer.slice(pid, tid, start, thread.clock, this.#count, this.#vpn, lines);
    }
    this.#count = 0;
    this.#thread = null;
  }
}
