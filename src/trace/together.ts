/**
 * Several programs at once on one machine: sources merged into one. Each keeps its own processes,
 * threads, files and clock; the one whose threads are furthest behind in the time of the run comes
 * next, as told by whoever replays (`ran`), or by its own instructions while nobody does.
 *
 * Indices of source i of n become `index * n + i`: pages' words, which name regions of a process,
 * stay as they are.
 */
import type { TraceEvent } from './event.ts';
import { makeHeader, type TraceHeader } from './header.ts';
import {
  type AccessSlice,
  END,
  EVENT,
  SLICE,
  type TraceItemKind,
  type TraceProcess,
  type TraceSource,
  type TraceThread,
  type TraceTotals,
} from './source.ts';

const NOBODY: TraceProcess = { name: '', parent: -1, recordedPid: 0 };

export class TogetherSource implements TraceSource {
  readonly header: TraceHeader;
  readonly slice: AccessSlice = {
    pid: 0,
    tid: 0,
    insnStart: 0,
    insnEnd: 0,
    count: 0,
    accesses: 0,
    page: new Uint32Array(0),
    weight: new Uint16Array(0),
    line: new Uint8Array(0),
  };
  readonly #names: readonly string[];
  readonly #sources: readonly TraceSource[];
  /** Source -> its time so far, 1 when it is over, the source at hand. */
  readonly #clock: Float64Array;
  readonly #isOver: Uint8Array;
  #current = 0;
  #event: TraceEvent | null = null;
  #isTold = false;

  /** One name a source. Errors: none; preconditions: at least one source. */
  constructor(names: readonly string[], sources: readonly TraceSource[]) {
    this.#names = names;
    this.#sources = sources;
    this.#clock = new Float64Array(sources.length);
    this.#isOver = new Uint8Array(sources.length);
    const notes = sources.flatMap(({ header }, i) => {
      return header.notes.map((note) => `${names[i]}: ${note}`);
    });
    this.header = makeHeader({ ...sources[0].header, program: names.join(' + '), args: [], notes });
  }

  get totals(): TraceTotals | null {
    const sum = { accesses: 0, runs: 0, slices: 0, events: 0 };
    for (const { totals } of this.#sources) {
      if (totals === null) return null;
      sum.accesses += totals.accesses;
      sum.runs += totals.runs;
      sum.slices += totals.slices;
      sum.events += totals.events;
    }
    return sum;
  }

  get processes(): readonly TraceProcess[] {
    return this.#spread((source, i) => {
      return source.processes.map((process) => ({
        ...process,
        parent: this.#index(process.parent, i),
        program: this.#names[i],
      }));
    }, NOBODY);
  }

  get threads(): readonly TraceThread[] {
    const nobody = { name: '', pid: -1, recordedTid: 0 };
    return this.#spread(
      (source, i) => source.threads.map((one) => ({ ...one, pid: this.#index(one.pid, i) })),
      nobody,
    );
  }

  get event(): TraceEvent {
    return this.#event!;
  }

  next(): TraceItemKind {
    for (;;) {
      const i = this.#furthestBehind();
      if (i < 0) return END;
      this.#current = i;
      const source = this.#sources[i];
      const kind = source.next();
      if (kind === SLICE) this.#takeSlice(source.slice, i);
      else if (kind === EVENT) this.#event = this.#renamed(source.event, i);
      if (kind !== END) return kind;
      this.#isOver[i] = 1;
    }
  }

  /** The item at hand was replayed until `nowNs`. */
  ran(nowNs: number): void {
    this.#isTold = true;
    this.#clock[this.#current] = Math.max(this.#clock[this.#current], nowNs);
  }

  regionBase(pid: number): Float64Array {
    const n = this.#sources.length;
    return this.#sources[pid % n].regionBase(Math.floor(pid / n));
  }

  regionCount(pid: number): number {
    const n = this.#sources.length;
    return this.#sources[pid % n].regionCount(Math.floor(pid / n));
  }

  rewind(): void {
    for (const source of this.#sources) source.rewind();
    this.#clock.fill(0);
    this.#isOver.fill(0);
    this.#isTold = false;
  }

  #furthestBehind(): number {
    let best = -1;
    for (let i = 0; i < this.#sources.length; i++) {
      if (this.#isOver[i] === 0 && (best < 0 || this.#clock[i] < this.#clock[best])) best = i;
    }
    return best;
  }

  #takeSlice(from: AccessSlice, i: number): void {
    const { slice } = this;
    slice.pid = this.#index(from.pid, i);
    slice.tid = this.#index(from.tid, i);
    slice.insnStart = from.insnStart;
    slice.insnEnd = from.insnEnd;
    slice.count = from.count;
    slice.accesses = from.accesses;
    slice.page = from.page;
    slice.weight = from.weight;
    slice.line = from.line;
    if (!this.#isTold) this.#clock[i] += from.insnEnd - from.insnStart;
  }

  #renamed(event: TraceEvent, i: number): TraceEvent {
    const renamed: Record<string, unknown> = { ...event };
    for (const key of ['pid', 'tid', 'child', 'thread', 'file']) {
      if (key in renamed) renamed[key] = this.#index(renamed[key] as number, i);
    }
    return renamed as unknown as TraceEvent;
  }

  /** -1 stays. */
  #index(own: number, i: number): number {
    return own < 0 ? own : own * this.#sources.length + i;
  }

  #spread<T>(of: (source: TraceSource, i: number) => readonly T[], gap: T): T[] {
    const rows: T[] = [];
    for (const [i, source] of this.#sources.entries()) {
      for (const [own, row] of of(source, i).entries()) rows[this.#index(own, i)] = row;
    }
    return Array.from(rows, (row) => row ?? gap);
  }
}
