/**
 * Joins the streams of all recorded processes into one trace.
 *
 * Each process (fork) has a stream of its own. Blocks of one stream are in order; between streams
 * only this holds: nothing of a child comes before its parent's fork. So a child's stream is held
 * until then. Otherwise the order of arrival is taken for the order of time.
 *
 * The clock of a thread starts at 0 when the thread starts (or when skipping ends). Limits: the
 * recording is full after `accessesMax` accesses or `insnMax` instructions of all threads; of the
 * first `skipInsn` instructions only calls and first touches are recorded (skippedPages.ts).
 * Not modelled: which thread waited for which.
 */
import type { TraceEvent } from '../../trace/index.ts';
import { ProcessFeed } from './processFeed.ts';
import { SkippedPages } from './skippedPages.ts';

/** The part of TraceWriter (src/trace) that a recording uses. */
export interface TraceOutput {
  addProcess(name: string, parent: number, recordedPid: number): number;
  addThread(pid: number, name: string, recordedTid: number): number;
  slice(
    pid: number,
    tid: number,
    insnStart: number,
    insnEnd: number,
    count: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void;
  event(event: TraceEvent): void;
}

export interface RecordLimits {
  readonly accessesMax: number;
  readonly insnMax: number;
  readonly skipInsn: number;
}

export const NO_LIMITS: RecordLimits = {
  accessesMax: Number.POSITIVE_INFINITY,
  insnMax: Number.POSITIVE_INFINITY,
  skipInsn: 0,
};

const VPN_PER_REGION = 512;
const WORDS_PER_REGION = VPN_PER_REGION / 32;

export class TraceFeed {
  readonly output: TraceOutput;
  readonly programName: string;
  readonly limits: RecordLimits;
  /** What the user should know, each sentence once. */
  readonly warnings: string[] = [];
  /** Accesses and instructions recorded so far; `insnSkipped` before them. */
  accesses = 0;
  insns = 0;
  insnSkipped = 0;
  /** Loads and stores that the program made, hits included, of processes that have ended. */
  accessesMade = 0;
  touchedPages = 0;
  /** A limit was reached: what follows is dropped. */
  isFull = false;
  /** The program's first instruction was reached. */
  hasBegun = false;
  /** Processes that were forked but have not been heard of yet. */
  awaited = 0;
  readonly #fileIds = new Map<string, number>();
  /** Process index by host pid, from the fork on; taken by the child's stream. */
  readonly #forked = new Map<number, number>();
  readonly #held = new Map<number, () => void>();
  readonly #touched: Map<number, Uint32Array>[] = [];
  readonly #skipped = new SkippedPages();

  constructor(output: TraceOutput, programName: string, limits: RecordLimits) {
    this.output = output;
    this.programName = programName;
    this.limits = limits;
  }

  /** The handler for a new stream; `hold` and `resume` stop and start its reader. */
  connect(hold: () => void, resume: () => void): ProcessFeed {
    return new ProcessFeed(this, hold, resume);
  }

  get isSkipping(): boolean {
    return this.insnSkipped < this.limits.skipInsn;
  }

  warn(sentence: string): void {
    if (!this.warnings.includes(sentence)) this.warnings.push(sentence);
  }

  addProcess(parent: number, recordedPid: number): number {
    return this.output.addProcess(this.programName, parent, recordedPid);
  }

  /** A parent has forked `childPid`: a new process index, for the child's stream to claim. */
  forked(parent: number, childPid: number): number {
    const pid = this.addProcess(parent, childPid);
    this.#forked.set(childPid, pid);
    this.awaited++;
    return pid;
  }

  /** Order: after the fork's event. The child's stream goes on if it has been waiting. */
  resumeForked(childPid: number): void {
    const resume = this.#held.get(childPid);
    this.#held.delete(childPid);
    resume?.();
  }

  /** The index of a forked process, or -1 with `resume` kept for when its fork comes. */
  claimFork(childPid: number, resume: () => void): number {
    const pid = this.#forked.get(childPid);
    if (pid === undefined) {
      this.#held.set(childPid, resume);
      return -1;
    }
    this.#forked.delete(childPid);
    this.awaited--;
    return pid;
  }

  /** Streams whose fork never came (their parent was killed in the middle of it): adopt them. */
  releaseOrphans(): void {
    for (const childPid of [...this.#held.keys()]) {
      this.forked(-1, childPid);
      this.resumeForked(childPid);
    }
  }

  /** The trace's id for a file, and whether it is new. */
  fileId(key: string): { readonly id: number; readonly isNew: boolean } {
    const known = this.#fileIds.get(key);
    if (known !== undefined) return { id: known, isNew: false };
    const id = this.#fileIds.size;
    this.#fileIds.set(key, id);
    return { id, isNew: true };
  }

  /** Counts `insns` more instructions of some thread, skipped or recorded. */
  advance(insns: number): void {
    if (this.isSkipping) this.insnSkipped += insns;
    else this.insns += insns;
    if (this.insns >= this.limits.insnMax) this.isFull = true;
  }

  event(event: TraceEvent): void {
    if (this.isSkipping) this.#skipped.event(event);
    this.output.event(event);
  }

  /** Accesses at the clock's start, of which only first touches and first writes are kept. */
  skippedSlice(
    pid: number,
    tid: number,
    count: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void {
    const kept = this.#skipped.keep(pid, count, vpn, lineWrite);
    if (kept > 0) this.slice(pid, tid, 0, 0, kept, vpn, lineWrite);
  }

  slice(
    pid: number,
    tid: number,
    insnStart: number,
    insnEnd: number,
    count: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void {
    const room = this.limits.accessesMax - this.accesses;
    const kept = Math.min(count, room);
    const part = Math.round(insnStart + ((insnEnd - insnStart) * kept) / count);
    if (kept > 0) {
      this.output.slice(pid, tid, insnStart, part, kept, vpn, lineWrite);
      this.#countTouched(pid, kept, vpn);
    }
    this.accesses += kept;
    if (count >= room) this.isFull = true;
  }

  #countTouched(pid: number, count: number, vpn: Float64Array): void {
    while (this.#touched.length <= pid) this.#touched.push(new Map());
    const regions = this.#touched[pid]!;
    let region = -1;
    let last = -1;
    let bits: Uint32Array = new Uint32Array(0);
    for (let i = 0; i < count; i++) {
      const page = vpn[i]!;
      if (page === last) continue;
      last = page;
      const at = Math.floor(page / VPN_PER_REGION);
      if (at !== region) {
        region = at;
        bits = regions.get(at) ?? new Uint32Array(WORDS_PER_REGION);
        regions.set(at, bits);
      }
      const index = page % VPN_PER_REGION;
      const word = index >>> 5;
      const bit = 1 << (index & 31);
      if ((bits[word]! & bit) !== 0) continue;
      bits[word]! |= bit;
      this.touchedPages++;
    }
  }
}
