/**
 * What a program asks of the kernel about memory, as it appears between access slices.
 *
 * One object type per system call, with Linux's argument names. Addresses, lengths, offsets and
 * results are doubles (47-bit addresses are exact). `result` is what the call returned to the
 * program: an address or count, or a negative errno (a failed call is recorded as well).
 * Files are named by a file id that the recorder gives to each distinct file (inode), not by fd:
 * `open` introduces an id, -1 means no file. memfd_create is an `open` of "memfd:NAME", a System V
 * segment an `open` of "shm:ID" with shmat and shmdt as mmap and munmap.
 * A trace opens with one `mmap` per mapping that exists when the program starts (result = addr)
 * and one `brk` with the initial break; a forked process starts with what its parent has.
 * Not modelled: signals, futexes, move_pages and migrate_pages called by the program.
 */

/** What every event has: who, and the thread's clock (see TraceHeader.timeBase). */
interface Of<Kind extends string> {
  readonly kind: Kind;
  readonly pid: number;
  readonly tid: number;
  readonly insn: number;
}

interface OfRange<Kind extends string> extends Of<Kind> {
  readonly addr: number;
  readonly len: number;
  readonly result: number;
}

export interface MmapEvent extends OfRange<'mmap'> {
  readonly prot: number;
  readonly flags: number;
  /** File id, -1 for anonymous memory. */
  readonly file: number;
  readonly offset: number;
}

export type MunmapEvent = OfRange<'munmap'>;

export interface MprotectEvent extends OfRange<'mprotect'> {
  readonly prot: number;
}

export interface MremapEvent extends Of<'mremap'> {
  readonly addr: number;
  readonly oldLen: number;
  readonly newLen: number;
  readonly flags: number;
  readonly newAddr: number;
  readonly result: number;
}

export interface MadviseEvent extends OfRange<'madvise'> {
  readonly advice: number;
}

/** `result` is the break after the call; addr 0 asks for it. */
export interface BrkEvent extends Of<'brk'> {
  readonly addr: number;
  readonly result: number;
}

/** mlock and mlock2 (flags). */
export interface MlockEvent extends OfRange<'mlock'> {
  readonly flags: number;
}

export type MunlockEvent = OfRange<'munlock'>;

export interface MlockallEvent extends Of<'mlockall'> {
  readonly flags: number;
  readonly result: number;
}

export interface MunlockallEvent extends Of<'munlockall'> {
  readonly result: number;
}

export interface MsyncEvent extends OfRange<'msync'> {
  readonly flags: number;
}

/** `mode` with its mode flags; `nodemask` bit n = node n (at most 32 nodes). */
export interface MbindEvent extends OfRange<'mbind'> {
  readonly mode: number;
  readonly nodemask: number;
  readonly flags: number;
}

export interface SetMempolicyEvent extends Of<'set_mempolicy'> {
  readonly mode: number;
  readonly nodemask: number;
  readonly result: number;
}

export interface SetMempolicyHomeNodeEvent extends OfRange<'set_mempolicy_home_node'> {
  readonly homeNode: number;
  readonly flags: number;
}

/** A new process (fork, vfork, clone without CLONE_THREAD); `flags` are clone flags. */
export interface ForkEvent extends Of<'fork'> {
  /** Process index of the child. */
  readonly child: number;
  readonly flags: number;
}

/** A new thread of the same process (clone with CLONE_THREAD). */
export interface CloneEvent extends Of<'clone'> {
  /** Thread index of the new thread. */
  readonly thread: number;
  readonly flags: number;
}

/** The process starts another program: its old mappings are gone. */
export interface ExecEvent extends Of<'exec'> {
  readonly path: string;
}

/** The thread ends. */
export interface ExitEvent extends Of<'exit'> {
  readonly status: number;
}

/** The whole process ends. */
export interface ExitGroupEvent extends Of<'exit_group'> {
  readonly status: number;
}

/** Introduces file id `file`; the same file opened again keeps its id. */
export interface OpenEvent extends Of<'open'> {
  readonly file: number;
  readonly path: string;
  readonly sizeBytes: number;
}

/** read, pread, readv...: `bytes` from `offset` of the file into memory at `addr`. */
export interface ReadEvent extends Of<'read'> {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly addr: number;
}

export interface WriteEvent extends Of<'write'> {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly addr: number;
}

export interface FtruncateEvent extends Of<'ftruncate'> {
  readonly file: number;
  readonly sizeBytes: number;
  readonly result: number;
}

export interface FadviseEvent extends Of<'fadvise'> {
  readonly file: number;
  readonly offset: number;
  readonly len: number;
  readonly advice: number;
  readonly result: number;
}

export interface FsyncEvent extends Of<'fsync'> {
  readonly file: number;
  readonly result: number;
}

/** A note in the stream: a phase of the program, something the recorder has to say. */
export interface MarkerEvent extends Of<'marker'> {
  readonly text: string;
}

export type TraceEvent =
  | MmapEvent
  | MunmapEvent
  | MprotectEvent
  | MremapEvent
  | MadviseEvent
  | BrkEvent
  | MlockEvent
  | MunlockEvent
  | MlockallEvent
  | MunlockallEvent
  | MsyncEvent
  | MbindEvent
  | SetMempolicyEvent
  | SetMempolicyHomeNodeEvent
  | ForkEvent
  | CloneEvent
  | ExecEvent
  | ExitEvent
  | ExitGroupEvent
  | OpenEvent
  | ReadEvent
  | WriteEvent
  | FtruncateEvent
  | FadviseEvent
  | FsyncEvent
  | MarkerEvent;

export type TraceEventKind = TraceEvent['kind'];
