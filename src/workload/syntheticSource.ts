/**
 * A synthetic workload as a trace: what replay consumes, without a file. First every program maps
 * its memory and starts its threads, then fills it, then all threads take turns, a slice each.
 *
 * Slices have up to 4096 accesses, evenly spread over their instructions. All programs' memory
 * begins at the same address, a multiple of 2 MiB. Programs do not exit: what they leave is the
 * state that results show.
 *
 * Not modelled: caches (every access misses), waits between threads.
 */
import { assert } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import {
  type AccessSlice,
  END,
  EVENT,
  makeHeader,
  PAGE_WRITE,
  REGION_PAGES,
  SLICE,
  SLICE_ACCESSES_MAX,
  syntheticHeader,
  type TraceEvent,
  type TraceHeader,
  type TraceItemKind,
  type TraceProcess,
  type TraceSource,
  type TraceThread,
  type TraceTotals,
} from '../trace/index.ts';
import { MPOL_BIND, MPOL_DEFAULT } from '../uapi/mempolicy.ts';
import { MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import type { PageStream, ProgramPlan } from './workload.ts';

/** First page of a program's memory: in the usual place of mmap, aligned for huge pages. */
export const MEMORY_VPN = 0x7f0000000 - (0x7f0000000 % REGION_PAGES);

/** Accesses in a slice. */
const SLICE_ACCESSES = 4096;
/** Lines of a page: what filling it writes. */
const LINES = 64;
/** Pages of one read(2): a buffer at the start of the program's memory. */
const READ_PAGES = 16;
/** Instructions that fill a line. */
const INSN_PER_LINE = 8;
/** What pthread_create passes to clone(2). */
const THREAD_FLAGS = 0x3d0f00;

/** A thread at its work. */
interface Worker {
  readonly program: number;
  readonly tid: number;
  readonly stream: PageStream;
  /** Accesses still to make. */
  left: number;
  insn: number;
}

export class SyntheticSource implements TraceSource {
  readonly header: TraceHeader;
  readonly processes: readonly TraceProcess[];
  readonly threads: readonly TraceThread[];
  readonly totals: TraceTotals;
  readonly slice: AccessSlice = {
    pid: 0,
    tid: 0,
    insnStart: 0,
    insnEnd: 0,
    count: 0,
    accesses: 0,
    page: new Uint32Array(SLICE_ACCESSES),
    weight: new Uint16Array(SLICE_ACCESSES),
    line: new Uint8Array(0),
  };
  readonly #programs: readonly ProgramPlan[];
  readonly #bases: readonly Float64Array[];
  #items: Generator<TraceItemKind, void> | null = null;
  #event: TraceEvent | null = null;

  /** `name` and `args` (knobs as text) are for people. Preconditions: at least one program. */
  constructor(name: string, args: readonly string[], programs: readonly ProgramPlan[]) {
    assert(programs.length > 0 && SLICE_ACCESSES <= SLICE_ACCESSES_MAX, 'a workload has programs');
    this.header = makeHeader({
      ...syntheticHeader(name),
      args,
      recorder: { name: 'hetmem workload', version: '1' },
    });
    this.#programs = programs;
    this.processes = programs.map((program) => ({
      name: program.name,
      parent: -1,
      recordedPid: 0,
    }));
    this.threads = programs.flatMap((program, pid) =>
      Array.from({ length: program.nrThreads }, () => ({
        name: program.name,
        pid,
        recordedTid: 0,
      })),
    );
    this.#bases = programs.map((program) =>
      Float64Array.from(
        { length: Math.ceil(program.nrPages / REGION_PAGES) },
        (_, region) => MEMORY_VPN + region * REGION_PAGES,
      ),
    );
    this.totals = totalsOf(programs);
  }

  get event(): TraceEvent {
    assert(this.#event !== null, 'no event: next() did not return EVENT');
    return this.#event;
  }

  next(): TraceItemKind {
    this.#items ??= this.#run();
    const item = this.#items.next();
    return item.done === true ? END : item.value;
  }

  regionBase(pid: number): Float64Array {
    return this.#bases[pid] ?? new Float64Array(0);
  }

  regionCount(pid: number): number {
    return this.#bases[pid]?.length ?? 0;
  }

  rewind(): void {
    this.#items = null;
    this.#event = null;
  }

  *#run(): Generator<TraceItemKind, void> {
    const workers: Worker[] = [];
    for (const [pid, program] of this.#programs.entries()) {
      yield* this.#start(pid, program, workers);
    }
    for (const [pid, program] of this.#programs.entries()) {
      const leader = workers.find((w) => w.program === pid)!;
      yield* this.#readFiles(program, leader);
      if (program.isFilled) yield* this.#fillWhere(program, leader);
    }
    let running = workers.filter((worker) => worker.left > 0);
    while (running.length > 0) {
      for (const worker of running) yield this.#work(worker);
      running = running.filter((worker) => worker.left > 0);
    }
  }

  /** Mapping and threads of a program. */
  *#start(pid: number, program: ProgramPlan, workers: Worker[]): Generator<TraceItemKind, void> {
    const leader = workers.length;
    const who = { pid, tid: leader, insn: 0 };
    const addr = MEMORY_VPN * PAGE_SIZE;
    const len = program.nrPages * PAGE_SIZE;
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const area = { ...who, addr, len };
    yield this.#say({ ...area, kind: 'mmap', prot, flags, file: -1, offset: 0, result: addr });
    if (program.isHugeAdvised) {
      yield this.#say({ ...area, kind: 'madvise', advice: MADV_HUGEPAGE, result: 0 });
    }
    for (let thread = 0; thread < program.nrThreads; thread++) {
      const tid = leader + thread;
      if (thread > 0) yield this.#say({ ...who, kind: 'clone', thread: tid, flags: THREAD_FLAGS });
      const left = accessesOf(program, thread);
      workers.push({ program: pid, tid, stream: program.stream(thread), left, insn: 0 });
    }
  }

  #say(event: TraceEvent): TraceItemKind {
    this.#event = event;
    return EVENT;
  }

  /** Files go into the page cache and stay there; the buffer is the program's first pages. */
  *#readFiles(
    { filePages = 0, name }: ProgramPlan,
    leader: Worker,
  ): Generator<TraceItemKind, void> {
    if (filePages === 0) return;
    const { program: pid, tid, insn } = leader;
    const who = { pid, tid, insn, file: pid };
    const sizeBytes = filePages * PAGE_SIZE;
    yield this.#say({ ...who, kind: 'open', path: `/srv/${name}`, sizeBytes });
    const addr = MEMORY_VPN * PAGE_SIZE;
    for (let page = 0; page < filePages; page += READ_PAGES) {
      const bytes = Math.min(READ_PAGES, filePages - page) * PAGE_SIZE;
      yield this.#say({ ...who, kind: 'read', offset: page * PAGE_SIZE, bytes, addr });
    }
  }

  /** A policy of the task and none of the mapping, so that pages may leave the node later. */
  *#fillWhere(program: ProgramPlan, leader: Worker): Generator<TraceItemKind, void> {
    const { fillNid } = program;
    if (fillNid !== undefined)
      yield this.#say(policyEvent(leader, MPOL_BIND, (1 << fillNid) >>> 0));
    yield* this.#fill(program, leader);
    if (fillNid !== undefined) yield this.#say(policyEvent(leader, MPOL_DEFAULT, 0));
  }

  /** The leader writes every line of every page. */
  *#fill(program: ProgramPlan, leader: Worker): Generator<TraceItemKind, void> {
    const pagesPerSlice = SLICE_ACCESSES / LINES;
    for (let first = 0; first < program.nrPages; first += pagesPerSlice) {
      const n = Math.min(pagesPerSlice, program.nrPages - first);
      const { page } = this.slice;
      for (let i = 0; i < n; i++) page[i] = ((first + i) << 1) | PAGE_WRITE;
      this.#close(leader, n, LINES, n * LINES * INSN_PER_LINE);
      yield SLICE;
    }
  }

  #work(worker: Worker): TraceItemKind {
    const { weight } = worker.stream;
    const runs = Math.min(runsPerSlice(weight), Math.ceil(worker.left / weight));
    worker.stream.fill(this.slice.page, runs);
    worker.left -= runs * weight;
    const { insnPerAccess } = this.#programs[worker.program];
    this.#close(worker, runs, weight, Math.round(runs * weight * insnPerAccess));
    return SLICE;
  }

  #close(worker: Worker, runs: number, weight: number, insn: number): void {
    const { slice } = this;
    slice.pid = worker.program;
    slice.tid = worker.tid;
    slice.insnStart = worker.insn;
    worker.insn += insn;
    slice.insnEnd = worker.insn;
    slice.count = runs;
    slice.accesses = runs * weight;
    slice.weight.fill(weight, 0, runs);
  }
}

function policyEvent({ program: pid, tid, insn }: Worker, mode: number, nodemask: number) {
  return { kind: 'set_mempolicy', pid, tid, insn, mode, nodemask, result: 0 } as const;
}

/** Accesses are shared evenly; the first threads take what is left over. */
function accessesOf(program: ProgramPlan, thread: number): number {
  const share = Math.floor(program.accesses / program.nrThreads);
  return share + (thread < program.accesses % program.nrThreads ? 1 : 0);
}

function runsPerSlice(weight: number): number {
  return Math.floor(SLICE_ACCESSES / weight);
}

/** What the source will give; a thread's last run may be more than its accesses. */
function totalsOf(programs: readonly ProgramPlan[]): TraceTotals {
  let accesses = 0;
  let runs = 0;
  let slices = 0;
  let events = 0;
  for (const program of programs) {
    events += program.nrThreads + (program.isHugeAdvised ? 1 : 0);
    const { filePages = 0 } = program;
    if (filePages > 0) events += 1 + Math.ceil(filePages / READ_PAGES);
    if (program.isFilled) {
      if (program.fillNid !== undefined) events += 2;
      accesses += program.nrPages * LINES;
      runs += program.nrPages;
      slices += Math.ceil((program.nrPages * LINES) / SLICE_ACCESSES);
    }
    for (let thread = 0; thread < program.nrThreads; thread++) {
      const { weight } = program.stream(thread);
      const mine = accessesOf(program, thread);
      const nrRuns = Math.ceil(mine / weight);
      accesses += nrRuns * weight;
      runs += nrRuns;
      slices += Math.ceil(nrRuns / runsPerSlice(weight));
    }
  }
  return { accesses, runs, slices, events };
}
