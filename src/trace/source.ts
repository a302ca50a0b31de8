/**
 * What replay consumes: one program run as slices of page accesses and, between them, events.
 *
 * The real thing is an instruction stream; we keep the accesses that missed the recorder's cache
 * filter and the memory system calls (design 3.3, 3.8). A slice is one thread's accesses over a
 * stretch of its instructions, and slices and events come in the order in which they happened.
 * A recorded file (`TraceReader`) and a synthetic workload (src/workload) both implement this.
 *
 * Pages are named by a 32-bit word, so that a replay loop needs no 36-bit arithmetic:
 * `regionIndex << 10 | pageInRegion << 1 | write`. Each process has its own growing table of
 * 2 MiB regions, numbered 0, 1, 2... as they appear (a file: chunk by chunk, by address in each).
 * Not modelled: the order of accesses of two threads inside overlapping slices; instruction
 * fetches; access sizes (an access is one cache line).
 */
import type { TraceEvent } from './event.ts';
import type { TraceHeader } from './header.ts';

/** The trace is over. */
export const END = 0;
/** `source.slice` holds the next slice. */
export const SLICE = 1;
/** `source.event` holds the next event. */
export const EVENT = 2;
export type TraceItemKind = typeof END | typeof SLICE | typeof EVENT;

/** Pages in a region: 2 MiB, what one PMD maps. */
export const REGION_PAGES = 512;
/** Position of the region index in a page word; below it page in region (9 bits) and write. */
export const REGION_SHIFT = 10;
/** Bit 0 of a page word: the access is a write. */
export const PAGE_WRITE = 1;
/** Most regions a process can have: 22 bits, that is 8 TiB touched. */
export const REGIONS_MAX = 1 << 22;
/** Most accesses of a slice, hence most runs: a consumer's buffers may have this fixed size. */
export const SLICE_ACCESSES_MAX = 8192;
/** Most accesses of one run (a Uint16). */
export const RUN_WEIGHT_MAX = 65535;

/**
 * Accesses of one thread, in order. The source reuses the object and its arrays: what they hold is
 * valid until the next call of `next()`.
 */
export interface AccessSlice {
  /** Process index, 0.. */
  pid: number;
  /** Thread index, 0.., unique in the whole trace. */
  tid: number;
  /** The thread's clock (header.timeBase; instructions) at the start and end; linear between. */
  insnStart: number;
  insnEnd: number;
  /** Runs: valid entries of `page` and `weight`. At most SLICE_ACCESSES_MAX. */
  count: number;
  /** Accesses: the sum of `weight` over the runs. */
  accesses: number;
  /** Page words; one run = consecutive accesses to one page that are all reads or all writes. */
  page: Uint32Array;
  /** Accesses in each run, 1 to RUN_WEIGHT_MAX. */
  weight: Uint16Array;
  /**
   * Line in page (0..63) of each of the `accesses`, runs after one another. Only filled when the
   * source was opened with lines; else of length 0.
   */
  line: Uint8Array;
}

/** A process of the trace. `parent` is a process index or -1. */
export interface TraceProcess {
  readonly name: string;
  readonly parent: number;
  /** The pid the recorder saw, for people to read; 0 when unknown. */
  readonly recordedPid: number;
  /** Which program it belongs to when several run together (together.ts). */
  readonly program?: string;
}

/** A thread of the trace; `pid` is the index of its process. */
export interface TraceThread {
  readonly name: string;
  readonly pid: number;
  /** The tid the recorder saw, for people to read; 0 when unknown. */
  readonly recordedTid: number;
}

/** How much a whole trace holds; known beforehand for finished files and synthetic workloads. */
export interface TraceTotals {
  readonly accesses: number;
  readonly runs: number;
  readonly slices: number;
  readonly events: number;
}

/** A program run, item by item. */
export interface TraceSource {
  readonly header: TraceHeader;
  /** Processes and threads seen so far; every one is there before its first item. */
  readonly processes: readonly TraceProcess[];
  readonly threads: readonly TraceThread[];
  /** For progress: null when not known (an unfinished file). */
  readonly totals: TraceTotals | null;
  /**
   * Advances to the next item and says what it is.
   * Errors: UserError for a file that is cut or corrupted.
   */
  next(): TraceItemKind;
  /** Valid after `next()` returned SLICE, until the next call. The object is always the same. */
  readonly slice: AccessSlice;
  /** Valid after `next()` returned EVENT. A fresh object that the caller may keep. */
  readonly event: TraceEvent;
  /**
   * First VPN of each region of process `pid`, multiples of REGION_PAGES; entries below
   * `regionCount(pid)` are valid. Grows with the slices: ask again after `next()`.
   */
  regionBase(pid: number): Float64Array;
  regionCount(pid: number): number;
  /**
   * Whoever replays has done the item at hand until `nowNs` of the run: where several programs run
   * together the one furthest behind goes on.
   */
  ran?(nowNs: number): void;
  /** Starts again at the first item; region indices come out the same. */
  rewind(): void;
}

/** The VPN that a page word names, given its process's region bases. */
export function vpnOfPageWord(regionBase: Float64Array, word: number): number {
  return regionBase[word >>> REGION_SHIFT]! + ((word >>> 1) & (REGION_PAGES - 1));
}
