/**
 * A part of a trace as a trace of its own: by accesses, by instructions, by process and thread.
 *
 * Everything before the part that changes mappings is kept (at clock 0), so that the part replays
 * into the same VMAs; the accesses before it are not, so pages are first touched in the part.
 * Clocks start again at the part's start: a thread's clock counts from where the part begins for
 * it. Process and thread indices stay as they are. The memory events of a process are kept with
 * any of its threads, since mappings belong to the process.
 * Inside a slice the clock is a straight line, so an access in the middle has an interpolated one.
 */
import { UserError } from '../base/assert.ts';
import type { TraceEvent } from './event.ts';
import type { AccessSlice } from './source.ts';
import { END, EVENT, SLICE_ACCESSES_MAX, vpnOfPageWord } from './source.ts';
import type { TraceReader } from './traceReader.ts';
import type { TraceWriter } from './traceWriter.ts';

/** [start, end) of accesses of the whole trace, or of each thread's clock. */
export interface CutRange {
  readonly start: number;
  readonly end: number;
}

export const WHOLE: CutRange = { start: 0, end: Number.POSITIVE_INFINITY };

export interface CutSelection {
  readonly accesses: CutRange;
  readonly insns: CutRange;
  /** Process and thread indices; null = all. */
  readonly pids: ReadonlySet<number> | null;
  readonly tids: ReadonlySet<number> | null;
}

/** What a reader for `cutSteps` of these accesses has to be opened with. */
export function cutReaderOptions({ start, end }: CutRange) {
  return {
    lines: true,
    wantsPages: (before: number, accesses: number) => before < end && before + accesses > start,
  };
}

/**
 * Copies the selected part of `reader` to `writer`; the caller finishes the writer. Yields the
 * accesses of the source done so far. Errors: UserError when nothing is selected.
 */
export function cutSteps(
  reader: TraceReader,
  writer: TraceWriter,
  selection: CutSelection,
): Generator<number, void, void> {
  return new Cutter(reader, writer, selection).steps();
}

class Cutter {
  readonly #reader: TraceReader;
  readonly #writer: TraceWriter;
  readonly #selection: CutSelection;
  /** tid -> the thread's clock where the part begins for it; so far the last one before it. */
  readonly #base: number[] = [];
  readonly #vpn = new Float64Array(SLICE_ACCESSES_MAX);
  readonly #lineWrite = new Uint8Array(SLICE_ACCESSES_MAX);
  #nrProcesses = 0;
  #nrThreads = 0;
  /** Accesses of the source seen so far. */
  #seen = 0;
  #kept = 0;

  constructor(reader: TraceReader, writer: TraceWriter, selection: CutSelection) {
    this.#reader = reader;
    this.#writer = writer;
    this.#selection = selection;
  }

  *steps(): Generator<number, void, void> {
    const { accesses, insns, pids, tids } = this.#selection;
    const reader = this.#reader;
    let nrItems = 0;
    for (let kind = reader.next(); kind !== END; kind = reader.next()) {
      if ((nrItems++ & 0xf) === 0) yield this.#seen;
      this.#declare();
      if (this.#seen >= accesses.end) break;
      if (kind === EVENT) this.#event(reader.event);
      else this.#slice(reader.slice);
    }
    this.#declare();
    this.#checkNames(pids, reader.processes.length, 'process');
    this.#checkNames(tids, reader.threads.length, 'thread');
    const selectsAll = accesses === WHOLE && insns === WHOLE && pids === null && tids === null;
    if (this.#kept === 0 && !selectsAll) {
      const problem = `no access is selected of ${this.#seen}`;
      throw new UserError('trace cut', problem, 'hetmem trace info shows what there is');
    }
  }

  #checkNames(indices: ReadonlySet<number> | null, count: number, what: string): void {
    for (const index of indices ?? []) {
      if (index < count) continue;
      const remedy = `they are 0 to ${count - 1}: hetmem trace info lists them`;
      throw new UserError('trace cut', `there is no ${what} ${index}`, remedy);
    }
  }

  #declare(): void {
    const { processes, threads } = this.#reader;
    // in the order of the source: a thread's process comes before it
    for (; this.#nrProcesses < processes.length; this.#nrProcesses++) {
      const { name, parent, recordedPid } = processes[this.#nrProcesses]!;
      this.#writer.addProcess(name, parent, recordedPid);
    }
    for (; this.#nrThreads < threads.length; this.#nrThreads++) {
      const { name, pid, recordedTid } = threads[this.#nrThreads]!;
      this.#writer.addThread(pid, name, recordedTid);
      this.#base.push(this.#selection.insns.start);
    }
  }

  #isSelected(pid: number, tid: number): boolean {
    const { pids, tids } = this.#selection;
    return (pids === null || pids.has(pid)) && (tids === null || tids.has(tid));
  }

  /** Whether any thread of the process is selected, as far as it is known. */
  #hasSelectedThread(pid: number): boolean {
    const { pids, tids } = this.#selection;
    if (pids !== null && !pids.has(pid)) return false;
    if (tids === null) return true;
    return this.#reader.threads.some((thread, tid) => thread.pid === pid && tids.has(tid));
  }

  #event(event: TraceEvent): void {
    const { insns } = this.#selection;
    const isBefore = this.#isBefore();
    if (isBefore) this.#base[event.tid] = Math.max(this.#base[event.tid]!, event.insn);
    if (event.insn >= insns.end || !this.#hasSelectedThread(event.pid)) return;
    const insn = isBefore ? 0 : Math.max(0, event.insn - this.#base[event.tid]!);
    this.#writer.event({ ...event, insn });
  }

  /** Whether the part has not begun yet, by accesses. */
  #isBefore(): boolean {
    return this.#seen < this.#selection.accesses.start;
  }

  #slice(slice: AccessSlice): void {
    const { accesses, insns } = this.#selection;
    const { pid, tid, insnStart, insnEnd, accesses: count } = slice;
    const first = this.#seen;
    this.#seen += count;
    const span = insnEnd - insnStart;
    // access i of the slice happens at insnStart + span * i / count
    const byClock = (clock: number) =>
      span === 0
        ? clock > insnStart
          ? count
          : 0
        : Math.ceil(((clock - insnStart) * count) / span);
    const start = Math.max(0, accesses.start - first, byClock(insns.start));
    const end = Math.min(count, accesses.end - first, byClock(insns.end));
    const clockAt = (i: number) =>
      i === count ? insnEnd : insnStart + Math.floor((span * i) / count);
    if (first < accesses.start) {
      const clock = clockAt(Math.min(count, accesses.start - first));
      this.#base[tid] = Math.max(this.#base[tid]!, clock);
    }
    if (start >= end || !this.#isSelected(pid, tid)) return;
    this.#unpack(slice);
    const base = this.#base[tid]!;
    this.#writer.slice(
      pid,
      tid,
      Math.max(0, clockAt(start) - base),
      Math.max(0, clockAt(end) - base),
      end - start,
      this.#vpn.subarray(start, end),
      this.#lineWrite.subarray(start, end),
    );
    this.#kept += end - start;
  }

  #unpack(slice: AccessSlice): void {
    const bases = this.#reader.regionBase(slice.pid);
    let at = 0;
    for (let run = 0; run < slice.count; run++) {
      const vpn = vpnOfPageWord(bases, slice.page[run]!);
      const write = slice.page[run]! & 1;
      for (let end = at + slice.weight[run]!; at < end; at++) {
        this.#vpn[at] = vpn;
        this.#lineWrite[at] = (slice.line[at]! << 1) | write;
      }
    }
  }
}
