/**
 * One recorded process: its stream's blocks become slices and events of the trace (traceFeed.ts).
 *
 * Host tids become thread indices, stream file ids become file ids of the trace. A clone is an
 * event when either side tells of it first: the creator's return or the new thread's first block.
 * exec: the plugin tells before the call; it counts only when the stream ends after it.
 */
import { InvariantError } from '../../base/assert.ts';
import type { RawCall, RawHandler, RawMap } from './rawStream.ts';
import { RAW_VERSION } from './rawStream.ts';
import {
  SYS_clone,
  SYS_execve,
  SYS_execveat,
  SYS_fork,
  SYS_vfork,
  syscallEvent,
} from './syscallEvent.ts';
import type { TraceFeed } from './traceFeed.ts';

const CLONE_VM = 0x100;
const CLONE_VFORK = 0x4000;
const CLONE_THREAD = 0x10000;
const SIGCHLD = 17;
/** What pthread_create of glibc asks for; of a thread whose creator has not told yet. */
const CLONE_FLAGS_PTHREAD = 0x3d0f00;
/** Status of a process whose end nobody saw: killed, or gone into another program. */
const STATUS_UNKNOWN = -1;

interface ThreadClock {
  readonly index: number;
  /** The plugin's clock when this one was 0: what was skipped. */
  base: number;
  /** The plugin's clock at the last block. */
  last: number;
}

export class ProcessFeed implements RawHandler {
  /** Host pid, 0 until the stream has said hello. */
  recordedPid = 0;
  readonly #feed: TraceFeed;
  readonly #hold: () => void;
  readonly #resume: () => void;
  #pid = -1;
  readonly #threads = new Map<number, ThreadClock>();
  /** Threads whose clone is already an event, although the creator has not returned from it. */
  readonly #early = new Set<number>();
  readonly #fileIds = new Map<number, number>();
  readonly #attached = new Map<number, number>();
  #mainTid = 0;
  #nrThreads = 0;
  #exec: { readonly tid: number; readonly clock: number; readonly path: string } | null = null;
  #isEnded = false;

  constructor(feed: TraceFeed, hold: () => void, resume: () => void) {
    this.#feed = feed;
    this.#hold = hold;
    this.#resume = resume;
  }

  hello(version: number, pid: number, parentPid: number): void {
    if (version !== RAW_VERSION) {
      throw new InvariantError(`recorder plugin of version ${version}, not ${RAW_VERSION}`);
    }
    this.recordedPid = pid;
    if (parentPid === 0) {
      this.#pid = this.#feed.addProcess(-1, pid);
      return;
    }
    this.#claim();
  }

  #claim(): void {
    this.#pid = this.#feed.claimFork(this.recordedPid, () => {
      this.#claim();
      this.#resume();
    });
    if (this.#pid < 0) this.#hold();
  }

  thread(tid: number, creatorTid: number): void {
    if (this.#mainTid === 0) this.#mainTid = tid;
    this.#feed.hasBegun = true;
    if (this.#threads.has(tid)) return;
    const index = this.#addThread(tid);
    const creator = this.#threads.get(creatorTid);
    if (creator === undefined) return;
    this.#early.add(tid);
    this.#feed.event({
      kind: 'clone',
      ...this.#who(creator, creator.last),
      thread: index,
      flags: CLONE_FLAGS_PTHREAD,
    });
  }

  #addThread(tid: number): number {
    const isMain = tid === this.#mainTid;
    const name = isMain ? this.#feed.programName : `thread ${this.#nrThreads}`;
    const index = this.#feed.output.addThread(this.#pid, name, tid);
    this.#nrThreads++;
    this.#threads.set(tid, { index, base: 0, last: 0 });
    return index;
  }

  map(map: RawMap): void {
    if (this.#feed.isFull) return;
    this.#feed.event({
      kind: 'mmap',
      ...this.#mainNow(),
      addr: map.start,
      len: map.end - map.start,
      prot: map.prot,
      flags: map.flags,
      file: this.#fileId(map.file),
      offset: map.offset,
      result: map.start,
    });
  }

  file(id: number, device: number, inode: number, sizeBytes: number, path: string): void {
    const file = this.#feed.fileId(`${device}:${inode}`);
    this.#fileIds.set(id, file.id);
    if (!file.isNew) return;
    // Even when full: what follows may name it.
    this.#feed.event({ kind: 'open', ...this.#mainNow(), file: file.id, path, sizeBytes });
  }

  access(
    tid: number,
    clockStart: number,
    clockEnd: number,
    count: number,
    vpn: Float64Array,
    lineWrite: Uint8Array,
  ): void {
    const thread = this.#thread(tid);
    const isSkipped = this.#feed.isSkipping;
    this.#advance(thread, clockEnd);
    if (this.#feed.isFull) return;
    if (isSkipped) {
      this.#feed.skippedSlice(this.#pid, thread.index, count, vpn, lineWrite);
      return;
    }
    const start = Math.max(0, clockStart - thread.base);
    const end = clockEnd - thread.base;
    this.#feed.slice(this.#pid, thread.index, start, end, count, vpn, lineWrite);
  }

  call(tid: number, call: RawCall): void {
    const thread = this.#thread(tid);
    this.#advance(thread, call.clock);
    if (this.#feed.isFull) return;
    if (call.nr === SYS_clone || call.nr === SYS_fork || call.nr === SYS_vfork) {
      this.#cloned(thread, call);
    } else if (call.nr === SYS_execve || call.nr === SYS_execveat) {
      this.#exec = null;
    } else {
      const event = syscallEvent(call, {
        ...this.#who(thread, call.clock),
        fileId: (idPlusOne) => this.#fileId(idPlusOne),
        segmentFile: (id, sizeBytes) => this.#segmentFile(id, sizeBytes),
        attached: this.#attached,
      });
      if (event !== null) this.#feed.event(event);
    }
  }

  /** A call that makes a thread or a process has returned to its caller. */
  #cloned(thread: ThreadClock, call: RawCall): void {
    if (call.result <= 0) return;
    const flags = call.nr === SYS_clone ? (call.args[0] ?? 0) : SIGCHLD;
    const who = this.#who(thread, call.clock);
    if ((flags & CLONE_THREAD) === 0) {
      const child = this.#feed.forked(this.#pid, call.result);
      // QEMU carries a vfork out as a fork: the child has a copy.
      const asRun = flags & ~(CLONE_VM | CLONE_VFORK);
      this.#feed.event({ kind: 'fork', ...who, child, flags: asRun });
      this.#feed.resumeForked(call.result);
      return;
    }
    if (this.#early.delete(call.result)) return;
    const index = this.#addThread(call.result);
    this.#feed.event({ kind: 'clone', ...who, thread: index, flags });
  }

  exec(tid: number, clock: number, path: string): void {
    this.#advance(this.#thread(tid), clock);
    this.#exec = { tid, clock, path };
  }

  endThread(tid: number, clock: number, status: number): void {
    const thread = this.#thread(tid);
    this.#advance(thread, clock);
    if (!this.#feed.isFull) {
      this.#feed.event({ kind: 'exit', ...this.#who(thread, clock), status });
    }
    this.#threads.delete(tid);
  }

  end(tid: number, clock: number, status: number): void {
    const thread = this.#thread(tid);
    this.#advance(thread, clock);
    if (this.#feed.isFull || this.#isEnded) return;
    this.#isEnded = true;
    this.#feed.event({ kind: 'exit_group', ...this.#who(thread, clock), status });
  }

  counts(accesses: number, _misses: number): void {
    this.#feed.accessesMade += accesses;
  }

  note(text: string): void {
    this.#feed.warn(text);
    this.#mark(text);
  }

  /** The stream is over; `bytesLeft` of a block that was not finished. */
  closed(bytesLeft: number): void {
    if (this.#mainTid === 0 || this.#isEnded || this.#feed.isFull) return;
    this.#isEnded = true;
    const exec = this.#exec;
    if (exec !== null) {
      const { path } = exec;
      const who = this.#who(this.#thread(exec.tid), exec.clock);
      this.#feed.event({ kind: 'exec', ...who, path });
      this.#feed.warn(`${path}, started by the program with exec, was not followed`);
      return;
    }
    if (bytesLeft > 0) this.#feed.warn('the last accesses of a killed process are missing');
    this.#mark('the process was killed');
    this.#feed.event({ kind: 'exit_group', ...this.#mainNow(), status: STATUS_UNKNOWN });
  }

  #mark(text: string): void {
    if (this.#mainTid !== 0) {
      this.#feed.event({ kind: 'marker', ...this.#mainNow(), text });
    }
  }

  #advance(thread: ThreadClock, clock: number): void {
    const isSkipping = this.#feed.isSkipping;
    if (clock > thread.last) {
      this.#feed.advance(clock - thread.last);
      thread.last = clock;
    }
    if (isSkipping) thread.base = thread.last;
  }

  #thread(tid: number): ThreadClock {
    const thread = this.#threads.get(tid);
    if (thread !== undefined) return thread;
    this.#addThread(tid);
    return this.#threads.get(tid)!;
  }

  #who(thread: ThreadClock, clock: number): { pid: number; tid: number; insn: number } {
    return { pid: this.#pid, tid: thread.index, insn: Math.max(0, clock - thread.base) };
  }

  #mainNow(): { pid: number; tid: number; insn: number } {
    const thread = this.#thread(this.#mainTid);
    return this.#who(thread, thread.last);
  }

  #fileId(idPlusOne: number): number {
    return idPlusOne === 0 ? -1 : (this.#fileIds.get(idPlusOne - 1) ?? -1);
  }

  #segmentFile(segmentId: number, sizeBytes: number): number {
    const { id, isNew } = this.#feed.fileId(`shm:${segmentId}`);
    const path = `shm:${segmentId}`;
    if (isNew) {
      this.#feed.event({ kind: 'open', ...this.#mainNow(), file: id, path, sizeBytes });
    }
    return id;
  }
}
