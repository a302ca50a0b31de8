/**
 * From a system call as the plugin saw it to an event of the trace.
 *
 * Numbers are those of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl); arguments are in the order
 * of the call. `read` and `write` come with {file id + 1, offset, bytes, address} instead
 * (native/syscalls.c: sendFileIo). clone, fork, exec and exits are the feed's business.
 * Deviates: arguments above 2^63, which only calls that fail have, are given as 0.
 */

import type { TraceEvent } from '../../trace/index.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../../uapi/index.ts';
import type { RawCall } from './rawStream.ts';

export const SYS_read = 0;
export const SYS_write = 1;
export const SYS_mmap = 9;
export const SYS_mprotect = 10;
export const SYS_munmap = 11;
export const SYS_brk = 12;
export const SYS_mremap = 25;
export const SYS_msync = 26;
export const SYS_madvise = 28;
export const SYS_shmat = 30;
export const SYS_clone = 56;
export const SYS_fork = 57;
export const SYS_vfork = 58;
export const SYS_execve = 59;
export const SYS_shmdt = 67;
export const SYS_fsync = 74;
export const SYS_fdatasync = 75;
export const SYS_ftruncate = 77;
export const SYS_mlock = 149;
export const SYS_munlock = 150;
export const SYS_mlockall = 151;
export const SYS_munlockall = 152;
export const SYS_fadvise64 = 221;
export const SYS_mbind = 237;
export const SYS_set_mempolicy = 238;
export const SYS_execveat = 322;
export const SYS_mlock2 = 325;
export const SYS_set_mempolicy_home_node = 450;

/** include/uapi/linux/shm.h */
const SHM_RDONLY = 0o10000;
/** Bits of a mode argument that are MPOL_MODE_FLAGS are part of `mode`, as in the call. */
const NODEMASK_NODES = 32;

/** What an event needs beside the call: who, and the files. */
export interface CallContext {
  readonly pid: number;
  readonly tid: number;
  readonly insn: number;
  /** The trace's file id for the stream's id + 1; -1 for 0. */
  fileId(idPlusOne: number): number;
  /** The trace's file id of a System V segment, introduced when new. */
  segmentFile(segmentId: number, sizeBytes: number): number;
  /** Remembers an attached segment and its size (shmat), and gives the size back (shmdt). */
  attached: Map<number, number>;
}

/** The event of `call`, or null for a call that says nothing about memory. */
export function syscallEvent(call: RawCall, context: CallContext): TraceEvent | null {
  const { pid, tid, insn } = context;
  const { result, aux } = call;
  const [a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0] = call.args.map(unsigned);
  const who = { pid, tid, insn };
  const range = { ...who, addr: a0, len: a1, result };
  switch (call.nr) {
    case SYS_mmap:
      return {
        kind: 'mmap',
        ...range,
        prot: a2,
        flags: a3,
        file: context.fileId(aux),
        offset: a5,
      };
    case SYS_munmap:
      return { kind: 'munmap', ...range };
    case SYS_mprotect:
      return { kind: 'mprotect', ...range, prot: a2 };
    case SYS_mremap:
      return {
        kind: 'mremap',
        ...who,
        addr: a0,
        oldLen: a1,
        newLen: a2,
        flags: a3,
        newAddr: a4,
        result,
      };
    case SYS_madvise:
      return { kind: 'madvise', ...range, advice: a2 };
    case SYS_brk:
      return { kind: 'brk', ...who, addr: a0, result };
    case SYS_mlock:
    case SYS_mlock2:
      return { kind: 'mlock', ...range, flags: call.nr === SYS_mlock ? 0 : a2 };
    case SYS_munlock:
      return { kind: 'munlock', ...range };
    case SYS_mlockall:
      return { kind: 'mlockall', ...who, flags: a0, result };
    case SYS_munlockall:
      return { kind: 'munlockall', ...who, result };
    case SYS_msync:
      return { kind: 'msync', ...range, flags: a2 };
    case SYS_mbind:
      return { kind: 'mbind', ...range, mode: a2, nodemask: nodemask(aux), flags: a5 };
    case SYS_set_mempolicy:
      return { kind: 'set_mempolicy', ...who, mode: a0, nodemask: nodemask(aux), result };
    case SYS_set_mempolicy_home_node:
      return { kind: 'set_mempolicy_home_node', ...range, homeNode: a2, flags: a3 };
    default:
      return fileEvent(call, context) ?? segmentEvent(call, context);
  }
}

function fileEvent(call: RawCall, context: CallContext): TraceEvent | null {
  const { pid, tid, insn } = context;
  const { result, aux } = call;
  const [a0 = 0, a1 = 0, a2 = 0, a3 = 0] = call.args.map(unsigned);
  const who = { pid, tid, insn };
  switch (call.nr) {
    case SYS_read:
    case SYS_write: {
      const kind = call.nr === SYS_read ? 'read' : 'write';
      return { kind, ...who, file: context.fileId(a0), offset: a1, bytes: a2, addr: a3 };
    }
    case SYS_ftruncate:
      return { kind: 'ftruncate', ...who, file: context.fileId(aux), sizeBytes: a1, result };
    case SYS_fsync:
    case SYS_fdatasync:
      return { kind: 'fsync', ...who, file: context.fileId(aux), result };
    case SYS_fadvise64: {
      const file = context.fileId(aux);
      return { kind: 'fadvise', ...who, file, offset: a1, len: a2, advice: a3, result };
    }
    default:
      return null;
  }
}

/** A System V segment is a shared mapping of a file of its own; `aux` of shmat is its size. */
function segmentEvent(call: RawCall, context: CallContext): TraceEvent | null {
  const { pid, tid, insn, attached } = context;
  const { result, aux } = call;
  const [a0 = 0, a1 = 0, a2 = 0] = call.args;
  if (call.nr === SYS_shmat) {
    if (result > 0) attached.set(result, aux);
    const prot = (a2 & SHM_RDONLY) === 0 ? PROT_READ | PROT_WRITE : PROT_READ;
    const file = context.segmentFile(a0, aux);
    const where = { pid, tid, insn, addr: a1, len: aux, result };
    return { kind: 'mmap', ...where, prot, flags: MAP_SHARED, file, offset: 0 };
  }
  if (call.nr !== SYS_shmdt) return null;
  const len = attached.get(a0) ?? 0;
  if (result === 0) attached.delete(a0);
  return { kind: 'munmap', pid, tid, insn, addr: a0, len, result };
}

function unsigned(arg: number): number {
  return Math.max(0, arg);
}

/** The lowest 32 nodes of a mask of 64 that came as a signed number. */
function nodemask(word: number): number {
  const low = word % 2 ** NODEMASK_NODES;
  return low < 0 ? low + 2 ** NODEMASK_NODES : low;
}
