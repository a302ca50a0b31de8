/**
 * What a finished trace says about itself at its end: totals, touched memory, threads, events.
 *
 * Written as the JSON of the end chunk's summary block; `hetmem trace info` prints it without
 * reading the rest of the file. Touched pages are counted exactly, with two bits a page of each
 * touched region: memory grows with the footprint, not with the length of the trace.
 */
import { UserError } from '../base/assert.ts';
import type { TraceEvent } from './event.ts';
import { RegionTable } from './regionTable.ts';
import type { TraceTotals } from './source.ts';
import { REGION_PAGES } from './source.ts';

export interface ProcessSummary {
  readonly accesses: number;
  readonly touchedPages: number;
  readonly writtenPages: number;
}

export interface ThreadSummary {
  readonly accesses: number;
  /** The thread's clock at its first and last item. */
  readonly insnFirst: number;
  readonly insnLast: number;
}

export interface TraceSummary extends TraceTotals {
  readonly writes: number;
  readonly eventsByKind: Readonly<Record<string, number>>;
  /** By process index. */
  readonly processes: readonly ProcessSummary[];
  /** By thread index. */
  readonly threads: readonly ThreadSummary[];
  /** What the recorder adds: accesses before the filter, lost items... */
  readonly recorder: Readonly<Record<string, number | string>>;
}

const PAGE_SET_BYTES = REGION_PAGES / 8;

/** Touched pages of one process: a bit a page, in words of its regions. */
class TouchedPages {
  accesses = 0;
  readonly #regions = new RegionTable();
  #touched = new Uint32Array(PAGE_SET_BYTES);
  #written = new Uint32Array(PAGE_SET_BYTES);

  add(vpn: number, write: number): void {
    const region = this.#regions.indexOf(vpn);
    const page = vpn % REGION_PAGES;
    const word = region * (REGION_PAGES / 32) + (page >>> 5);
    if (word >= this.#touched.length) this.#grow(word);
    this.#touched[word]! |= 1 << (page & 31);
    if (write !== 0) this.#written[word]! |= 1 << (page & 31);
  }

  #grow(word: number): void {
    const length = Math.max(this.#touched.length * 2, word + 1);
    const touched = new Uint32Array(length);
    touched.set(this.#touched);
    this.#touched = touched;
    const written = new Uint32Array(length);
    written.set(this.#written);
    this.#written = written;
  }

  summary(): ProcessSummary {
    return {
      accesses: this.accesses,
      touchedPages: bitsOf(this.#touched),
      writtenPages: bitsOf(this.#written),
    };
  }
}

function bitsOf(words: Uint32Array): number {
  let sum = 0;
  for (const word of words) {
    let bits = word - ((word >>> 1) & 0x55555555);
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    bits = (bits + (bits >>> 4)) & 0x0f0f0f0f;
    sum += Math.imul(bits, 0x01010101) >>> 24;
  }
  return sum;
}

/** Collects a TraceSummary while a trace is written or read. */
export class SummaryBuilder {
  accesses = 0;
  runs = 0;
  slices = 0;
  events = 0;
  writes = 0;
  readonly #eventsByKind = new Map<string, number>();
  readonly #processes: TouchedPages[] = [];
  readonly #threads: { accesses: number; insnFirst: number; insnLast: number }[] = [];

  addProcess(): void {
    this.#processes.push(new TouchedPages());
  }

  addThread(): void {
    this.#threads.push({ accesses: 0, insnFirst: -1, insnLast: 0 });
  }

  slice(pid: number, tid: number, insnStart: number, insnEnd: number, accesses: number): void {
    this.slices++;
    this.accesses += accesses;
    this.#processes[pid]!.accesses += accesses;
    this.#clock(tid, insnStart, insnEnd).accesses += accesses;
  }

  /** One run of `accesses` to a page. */
  run(pid: number, vpn: number, write: number, accesses: number): void {
    this.runs++;
    if (write !== 0) this.writes += accesses;
    this.#processes[pid]!.add(vpn, write);
  }

  event(event: TraceEvent): void {
    this.events++;
    this.#eventsByKind.set(event.kind, (this.#eventsByKind.get(event.kind) ?? 0) + 1);
    this.#clock(event.tid, event.insn, event.insn);
  }

  #clock(tid: number, start: number, end: number) {
    const thread = this.#threads[tid]!;
    if (thread.insnFirst < 0) thread.insnFirst = start;
    thread.insnLast = Math.max(thread.insnLast, end);
    return thread;
  }

  build(recorder: Readonly<Record<string, number | string>> = {}): TraceSummary {
    return {
      accesses: this.accesses,
      runs: this.runs,
      slices: this.slices,
      events: this.events,
      writes: this.writes,
      eventsByKind: Object.fromEntries([...this.#eventsByKind].sort()),
      processes: this.#processes.map((process) => process.summary()),
      threads: this.#threads.map((t) => ({ ...t, insnFirst: Math.max(0, t.insnFirst) })),
      recorder,
    };
  }
}

/** Takes the summary from the JSON of an end chunk. Errors: UserError. */
export function parseSummary(json: unknown, place: string): TraceSummary {
  const summary = json as TraceSummary;
  const isWhole =
    typeof json === 'object' &&
    json !== null &&
    Number.isFinite(summary.accesses) &&
    Number.isFinite(summary.runs) &&
    Number.isFinite(summary.slices) &&
    Number.isFinite(summary.events) &&
    Array.isArray(summary.processes) &&
    Array.isArray(summary.threads) &&
    typeof summary.eventsByKind === 'object';
  if (!isWhole) throw new UserError(place, 'the summary at the end of the trace is incomplete');
  return summary;
}
