/**
 * The programs of a trace on the modelled kernel: each event of the trace is carried out as the
 * system call it was, so that the model has the VMAs, files and processes the real kernel had.
 *
 * Addresses are the recorded ones (MAP_FIXED): same alignment, same huge pages. A call that failed
 * for the program is not made. The program's buffers of read and write are touched here, because
 * the kernel does that and a recorder of user code does not see it.
 *
 * Deviates: exec leaves an empty address space; the new program's mappings follow as events.
 * Not modelled: set_mempolicy_home_node, msync, fadvise of the traced program (no effect on
 * placement that the model has), files' contents.
 */
import { PAGE_SIZE } from '../base/units.ts';
import {
  type AddressSpace,
  accessPage,
  cacheAccessed,
  cacheRead,
  cloneThread,
  exitTask,
  FAULT_ERROR,
  forkTask,
  type Kernel,
  type MappedFile,
  type Mempolicy,
  reapTask,
  setFolioDirty,
  type Task,
  truncateFile,
} from '../mm/index.ts';
import * as sys from '../syscalls/index.ts';
import type { MmapEvent, ReadEvent, TraceEvent, WriteEvent } from '../trace/index.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE } from '../uapi/mman.ts';

/** A process of the trace and its task; slotOfRegion names the trace's regions in its mm. */
export interface TraceProcessState {
  task: Task;
  mm: AddressSpace;
  slotOfRegion: Int32Array;
  nrRegions: number;
}

export class TracePrograms {
  readonly #k: Kernel;
  /** By trace process index. */
  readonly processes: (TraceProcessState | null)[] = [];
  /** By trace thread index. */
  readonly threads: (Task | null)[] = [];
  readonly #files: Map<number, MappedFile> = new Map();
  /** System calls that the modelled kernel refused although the real one had not, by kind. */
  readonly refused: Map<string, number> = new Map();
  readonly #mempolicy: Mempolicy | null;
  readonly #program: string;
  /** By process, also after it is gone: where its regions were and its pid. */
  readonly #regions: { tgid: number; base: Float64Array; count: number }[] = [];
  #nextCpu = 0;
  readonly #cpus: readonly number[];

  readonly #onStart: (pid: number, task: Task) => void;

  /**
   * `mempolicy` is what programs start with; `onStart` hears of each one's first process before it
   * does anything.
   */
  constructor(
    k: Kernel,
    mempolicy: Mempolicy | null,
    program: string,
    onStart: (pid: number, task: Task) => void,
  ) {
    this.#onStart = onStart;
    this.#k = k;
    this.#mempolicy = mempolicy;
    this.#program = program;
    this.#cpus = k.spec.nodes.flatMap((node) => node.cpus);
  }

  /** The state of a process, made on first sight: the trace's first process, or an orphan. */
  processOf(pid: number, tid: number): TraceProcessState {
    const known = this.processes[pid];
    if (known !== undefined && known !== null) {
      if (this.threads[tid] === undefined) this.threads[tid] = this.#thread(known);
      return known;
    }
    const task = this.#k.spawn(null, this.#cpu());
    task.setPolicy(this.#mempolicy);
    task.comm = commOf(this.#program);
    this.#onStart(pid, task);
    this.threads[tid] = task;
    return this.#register(pid, task);
  }

  /** Names a region of a process for the replay loop: its PMD slot. */
  mapRegions(pid: number, regionBase: Float64Array, count: number): void {
    const state = this.processes[pid]!;
    this.#regions[pid] = { tgid: state.task.tgid, base: regionBase, count };
    if (state.nrRegions === count) return;
    if (count > state.slotOfRegion.length) {
      const larger = new Int32Array(Math.max(count, state.slotOfRegion.length * 2));
      larger.set(state.slotOfRegion);
      state.slotOfRegion = larger;
    }
    for (let r = state.nrRegions; r < count; r++) {
      state.slotOfRegion[r] = state.mm.ensureSlot(regionBase[r]);
    }
    state.nrRegions = count;
  }

  /** The kernel's pid of a trace process and the first page of one of its regions, or null. */
  regionOf(pid: number, region: number): { tgid: number; vpn: number } | null {
    const known = this.#regions[pid];
    if (known === undefined || region >= known.count) return null;
    return { tgid: known.tgid, vpn: known.base[region] };
  }

  /** Carries out one event. */
  run(event: TraceEvent): void {
    const state = this.processOf(event.pid, event.tid);
    const { task } = state;
    if (task.mm === null) return;
    const k = this.#k;
    switch (event.kind) {
      case 'mmap':
        this.#mmap(task, event);
        return;
      case 'munmap':
        if (event.result === 0) this.#note(event.kind, sys.munmap(k, task, event.addr, event.len));
        return;
      case 'mprotect':
        if (event.result !== 0) return;
        this.#note(event.kind, sys.mprotect(k, task, event.addr, event.len, event.prot));
        return;
      case 'mremap':
        if (event.result < 0) return;
        this.#mremap(task, event);
        return;
      case 'madvise':
        if (event.result === 0) sys.madvise(k, task, event.addr, event.len, event.advice);
        return;
      case 'brk':
        this.#brk(task, event.result);
        return;
      case 'mlock':
        if (event.result === 0) sys.mlock2(k, task, event.addr, event.len, event.flags);
        return;
      case 'munlock':
        if (event.result === 0) sys.munlock(k, task, event.addr, event.len);
        return;
      case 'mlockall':
        if (event.result === 0) sys.mlockall(k, task, event.flags);
        return;
      case 'munlockall':
        sys.munlockall(k, task);
        return;
      case 'mbind':
      case 'set_mempolicy':
        this.#policy(task, event);
        return;
      default:
        this.#runOther(state, event);
    }
  }

  #runOther(state: TraceProcessState, event: TraceEvent): void {
    const { task } = state;
    switch (event.kind) {
      case 'fork':
        this.#fork(state, event.child);
        return;
      case 'clone':
        this.threads[event.thread] = this.#thread(state);
        return;
      case 'exec':
        this.#exec(event.pid, state, event.path);
        return;
      case 'exit':
        this.#exitThread(event.pid, event.tid);
        return;
      case 'exit_group':
        this.#exitProcess(event.pid);
        return;
      case 'open':
        this.#file(event.file, event.path, event.sizeBytes);
        return;
      case 'read':
        this.#fileCopy(task, event, false);
        return;
      case 'write':
        this.#fileCopy(task, event, true);
        return;
      case 'ftruncate':
        if (event.result === 0) this.#truncate(event.file, event.sizeBytes);
        return;
    }
  }

  #note(kind: string, result: number): void {
    if (result < 0) this.refused.set(kind, (this.refused.get(kind) ?? 0) + 1);
  }

  #register(pid: number, task: Task): TraceProcessState {
    const state = { task, mm: task.mm!, slotOfRegion: new Int32Array(64), nrRegions: 0 };
    this.processes[pid] = state;
    return state;
  }

  #thread(state: TraceProcessState): Task {
    const thread = cloneThread(this.#k, state.task);
    this.#k.placeTask(thread, this.#cpu());
    return thread;
  }

  /** Threads are dealt out over the CPUs in the order in which they appear. */
  #cpu(): number {
    return this.#cpus[this.#nextCpu++ % this.#cpus.length];
  }

  #mmap(task: Task, event: MmapEvent): void {
    if (event.result < 0) return;
    const anonymous = event.file < 0;
    const flags =
      (event.flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED | (anonymous ? MAP_ANONYMOUS : 0);
    let file: MappedFile | null = null;
    if (!anonymous) {
      file = this.#file(event.file, `file ${event.file}`, 0);
      const end = Math.ceil((event.offset + event.len) / PAGE_SIZE);
      if (file.sizePages < end) file.sizePages = end;
    }
    const offset = anonymous ? 0 : event.offset;
    const { result, len, prot } = event;
    this.#note('mmap', sys.mmap(this.#k, task, result, len, prot, flags, file, offset));
  }

  #mremap(task: Task, event: TraceEvent & { kind: 'mremap' }): void {
    const moved = event.result !== event.addr;
    const flags = moved ? (event.flags | 3) & 7 : event.flags & ~2;
    const { addr, oldLen, newLen, result } = event;
    this.#note('mremap', sys.mremap(this.#k, task, addr, oldLen, newLen, flags, result));
  }

  /** The first brk event of a process sets where the heap begins. */
  #brk(task: Task, result: number): void {
    const mm = task.mm!;
    if (mm.brkStart === 0) {
      mm.brkStart = Math.ceil(result / PAGE_SIZE);
      mm.brk = mm.brkStart;
      return;
    }
    if (sys.brk(this.#k, task, result) !== result) this.#note('brk', -1);
  }

  #policy(task: Task, event: TraceEvent & { kind: 'mbind' | 'set_mempolicy' }): void {
    if (event.result !== 0) return;
    const known = event.nodemask & this.#k.pm.nodesWithMemory;
    const nodes = { bits: sys.nodesOf(known), maxnode: 65 };
    if (event.kind === 'set_mempolicy') {
      this.#note(event.kind, sys.setMempolicy(this.#k, task, event.mode, nodes));
    } else {
      const { addr, len, mode, flags } = event;
      this.#note(event.kind, sys.mbind(this.#k, task, addr, len, mode, nodes, flags));
    }
  }

  #fork(state: TraceProcessState, childPid: number): void {
    const child = forkTask(this.#k, state.task);
    if (typeof child === 'number') {
      this.#note('fork', child);
      return;
    }
    this.#k.placeTask(child, this.#cpu());
    this.#register(childPid, child);
  }

  #exec(pid: number, state: TraceProcessState, path: string): void {
    const { task } = state;
    task.comm = commOf(path);
    exitTask(this.#k, task);
    task.exited = false;
    task.mm = this.#k.newAddressSpace();
    this.#register(pid, task);
  }

  #exitThread(pid: number, tid: number): void {
    const task = this.threads[tid];
    const state = this.processes[pid];
    if (task === undefined || task === null || state === undefined || state === null) return;
    this.threads[tid] = null;
    if (task === state.task) return; // the leader stays until exit_group
    exitTask(this.#k, task);
    reapTask(this.#k, task);
  }

  #exitProcess(pid: number): void {
    const state = this.processes[pid];
    if (state === undefined || state === null) return;
    for (const [tid, task] of this.threads.entries()) {
      if (task === null || task === undefined || task.tgid !== state.task.tgid) continue;
      if (task !== state.task) {
        exitTask(this.#k, task);
        reapTask(this.#k, task);
      }
      this.threads[tid] = null;
    }
    exitTask(this.#k, state.task);
    reapTask(this.#k, state.task);
    this.processes[pid] = null;
  }

  #file(id: number, path: string, sizeBytes: number): MappedFile {
    const pages = Math.ceil(sizeBytes / PAGE_SIZE);
    const known = this.#files.get(id);
    if (known !== undefined) {
      if (known.sizePages < pages) known.sizePages = pages;
      return known;
    }
    const shmem = /^(memfd:|shm:|\/dev\/shm\/)/.test(path);
    const file = this.#k.newFile(path, shmem ? 'shmem' : 'ext4', pages);
    this.#files.set(id, file);
    return file;
  }

  #truncate(id: number, sizeBytes: number): void {
    const file = this.#file(id, `file ${id}`, 0);
    const pages = Math.ceil(sizeBytes / PAGE_SIZE);
    if (pages < file.sizePages) truncateFile(this.#k, file, pages);
    else file.sizePages = pages;
  }

  /** read(2) and write(2): the page cache and the program's buffer are both touched. */
  #fileCopy(task: Task, event: ReadEvent | WriteEvent, isWrite: boolean): void {
    if (event.bytes <= 0 || event.file < 0) return;
    const k = this.#k;
    const file = this.#file(event.file, `file ${event.file}`, 0);
    const last = Math.floor((event.offset + event.bytes - 1) / PAGE_SIZE);
    if (file.sizePages <= last) file.sizePages = last + 1;
    for (let index = Math.floor(event.offset / PAGE_SIZE); index <= last; index++) {
      const got = cacheRead(k, task, file, index);
      if ((got.outcome & FAULT_ERROR) !== 0) {
        this.#note(event.kind, -1);
        return;
      }
      const head = k.frames.headOf(got.page);
      cacheAccessed(k, head);
      if (isWrite) setFolioDirty(k, head);
    }
    const first = Math.floor(event.addr / PAGE_SIZE);
    const end = Math.ceil((event.addr + event.bytes) / PAGE_SIZE);
    for (let vpn = first; vpn < end; vpn++) accessPage(k, task, vpn, !isWrite);
  }
}

/** The name of the program at a path, as the kernel keeps it: up to 15 characters. */
function commOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1, path.lastIndexOf('/') + 16);
}
