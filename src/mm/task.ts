/**
 * Tasks: who calls, with which rights, on which CPU, under which memory policy. OV-60, OV-61.
 * Not modelled: user namespaces, LSM.
 */
import { MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import type { AddressSpace } from './addressSpace.ts';
import type { Cpuset } from './cpuset.ts';
import type { Mempolicy } from './mempolicy.ts';

export const CAP_SYS_PTRACE = 1 << 0;
export const CAP_SYS_NICE = 1 << 1;
export const CAP_SYS_ADMIN = 1 << 2;
export const CAP_IPC_LOCK = 1 << 3;
export const CAP_ALL = CAP_SYS_PTRACE | CAP_SYS_NICE | CAP_SYS_ADMIN | CAP_IPC_LOCK;

export const SIGBUS = 7;

export class Task {
  readonly pid: number;
  /** Thread group: tasks of one process share it. */
  readonly tgid: number;
  parent: Task | null;
  /** Name of the program. */
  comm = '';
  /** null: kernel thread or zombie. */
  mm: AddressSpace | null;
  uid = 0;
  euid = 0;
  suid = 0;
  gid = 0;
  egid = 0;
  sgid = 0;
  caps = CAP_ALL;
  cpu = 0;
  /** Node of that CPU. */
  cpuNid = 0;
  policy: Mempolicy | null = null;
  /** Node the interleave used last, and rounds left on it (TI-80). */
  ilPrev = 31;
  ilWeight = 0;
  /** Effective mems of the task's cpuset, as a node mask (OV-62). */
  memsAllowed: number;
  /** Its cpuset, null = the root's. */
  cpuset: Cpuset | null = null;
  exited = false;
  /** A signal that the next return to user space delivers, 0 = none. */
  pendingSignal = 0;
  /** RLIMIT_MEMLOCK in bytes. */
  rlimitMemlock = Number.POSITIVE_INFINITY;
  /** NUMA balancing's preferred node, -1 = none (TI-24). */
  numaPreferredNid = -1;

  constructor(pid: number, tgid: number, mm: AddressSpace | null, memsAllowed: number) {
    this.pid = pid;
    this.tgid = tgid;
    this.parent = null;
    this.mm = mm;
    this.memsAllowed = memsAllowed;
  }

  capable(cap: number): boolean {
    return (this.caps & cap) !== 0;
  }

  setPolicy(policy: Mempolicy | null): void {
    this.policy = policy;
    const mode = policy?.mode;
    if (mode === MPOL_INTERLEAVE || mode === MPOL_WEIGHTED_INTERLEAVE) {
      this.ilPrev = 31;
      this.ilWeight = 0;
    }
  }
}

/** OV-61: may `caller` read the memory of `target` (PTRACE_MODE_READ_REALCREDS)? */
export function ptraceMayRead(caller: Task, target: Task): boolean {
  if (caller.tgid === target.tgid) return true;
  if (caller.capable(CAP_SYS_PTRACE)) return true;
  const { uid, gid } = caller;
  const sameUser = uid === target.uid && uid === target.euid && uid === target.suid;
  const sameGroup = gid === target.gid && gid === target.egid && gid === target.sgid;
  if (!sameUser || !sameGroup) return false;
  if (target.mm !== null && !target.mm.dumpable) return false;
  // security/commoncap.c: cap_ptrace_access_check: nothing that the caller could not do itself.
  return (target.caps & ~caller.caps) === 0;
}
