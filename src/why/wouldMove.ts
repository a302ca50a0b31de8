/**
 * What the calls that move pages by address would answer for one page, found without making them:
 * move_pages(2) with one entry, and mbind(2) over the page with MPOL_BIND. The answers are tested
 * against the calls themselves on copies of random machines (test/fuzz/why).
 */
import { HPAGE_PMD_NR, type Nid, type Vpn } from '../base/units.ts';
import {
  CAP_SYS_NICE,
  type Kernel,
  PG_RESERVED,
  pageAt,
  ptraceMayRead,
  type Task,
  VM_HUGETLB,
  type Vma,
  vmaMigratable,
} from '../mm/index.ts';
import { memsAllowedOf } from '../syscalls/index.ts';
import {
  EACCES,
  EBUSY,
  EFAULT,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOMEM,
  EPERM,
} from '../uapi/errno.ts';
import { MAX_NUMNODES } from '../uapi/mempolicy.ts';
import { absentCause } from './absentPage.ts';
import type { CauseName } from './causes.ts';
import { folioFate, isolationObstacle } from './folioFate.ts';

export interface Answer {
  /** 'move_pages MPOL_MF_MOVE'. */
  readonly call: string;
  /** What the call returns: 0, a count of pages, a negative errno. */
  readonly returns: number;
  /** The status of the page; null: the call has none, or leaves it as it was. */
  readonly status: number | null;
  readonly moves: boolean;
  /** Why not. */
  readonly cause: CauseName | null;
  /** False: it depends on what reclaim or a split achieves; this is what happens without them. */
  readonly isCertain: boolean;
}

/** One page of a process, and where it shall go. */
export interface MoveQuestion {
  readonly caller: Task;
  readonly target: Task;
  readonly vpn: Vpn;
  readonly nid: Nid;
}

/** move_pages(pid of the target, 1, page, nid, status, MPOL_MF_MOVE or MPOL_MF_MOVE_ALL). */
export function wouldMovePages(k: Kernel, question: MoveQuestion, all: boolean): Answer {
  const call = `move_pages ${all ? 'MPOL_MF_MOVE_ALL' : 'MPOL_MF_MOVE'}`;
  const { caller, target, vpn, nid } = question;
  const fails = (returns: number, cause: CauseName): Answer => {
    return { call, returns, status: null, moves: false, cause, isCertain: true };
  };
  const status = (value: number, cause: CauseName): Answer => {
    return { call, returns: 0, status: value, moves: false, cause, isCertain: true };
  };
  if (all && !caller.capable(CAP_SYS_NICE)) return fails(-EPERM, 'no-permission');
  if (!ptraceMayRead(caller, target)) return fails(-EPERM, 'no-permission');
  if (target.mm === null) return fails(-EINVAL, 'no-address-space');
  if (!isMemoryNode(k, nid)) return fails(-ENODEV, 'no-such-node');
  if ((memsAllowedOf(k, target) & (1 << nid)) === 0) return fails(-EACCES, 'not-in-cpuset');
  const vma = target.mm.findVma(vpn);
  if (vma === null) return status(-EFAULT, 'not-mapped');
  if (!vmaMigratable(vma)) return status(-EFAULT, 'vma-not-migratable');
  const page = pageAt(k, target.mm, vpn);
  if (page < 0) {
    const cause = absentCause(k, target.mm, vpn);
    return status(absentStatus(k, vma, cause), cause);
  }
  if (k.pm.isZoneDevice(page)) return status(-ENOENT, 'device-page');
  const head = k.frames.headOf(page);
  if (k.pm.nidOf(head) === nid) return status(nid, 'already-there');
  if (!all && k.folios.maybeMappedShared(head)) return status(-EACCES, 'shared');
  const isolation = isolationObstacle(k, head);
  if (isolation !== null) return status(-EBUSY, isolation);
  const fate = folioFate(k, head, nid, caller.memsAllowed);
  if (fate.cause === null) {
    return { call, returns: 0, status: nid, moves: true, cause: null, isCertain: true };
  }
  const returns = fate.isOutOfMemory ? -ENOMEM : 1;
  return { ...fails(returns, fate.cause), isCertain: fate.isCertain };
}

function isMemoryNode(k: Kernel, nid: Nid): boolean {
  return nid >= 0 && nid < MAX_NUMNODES && (k.pm.nodesWithMemory & (1 << nid)) !== 0;
}

/** MP-22, MP-23. */
function absentStatus(k: Kernel, vma: Vma, cause: CauseName): number {
  if (cause === 'zero-page') return -EFAULT;
  if (k.profile.holesAreEnoent) return -ENOENT;
  if (cause === 'raw-frame') return -EFAULT;
  const fillsItself = vma.file !== null && vma.file.kind !== 'devmem';
  return cause === 'not-present' && !fillsItself ? -EFAULT : -ENOENT;
}

/** mbind of the page (of the whole hugetlb page) with MPOL_BIND, MPOL_MF_STRICT | MPOL_MF_MOVE. */
export function wouldMbind(k: Kernel, target: Task, vpn: Vpn, nid: Nid): Answer {
  const call = 'mbind MPOL_BIND MPOL_MF_STRICT|MPOL_MF_MOVE';
  const answer = (returns: number, cause: CauseName): Answer => {
    return { call, returns, status: null, moves: false, cause, isCertain: true };
  };
  const { mm } = target;
  if (mm === null) return answer(-EFAULT, 'no-address-space');
  if (!isMemoryNode(k, nid)) return answer(-EINVAL, 'no-such-node');
  if ((memsAllowedOf(k, target) & (1 << nid)) === 0) return answer(-EINVAL, 'not-in-cpuset');
  const vma = mm.findVma(vpn);
  if (vma === null) return answer(-EFAULT, 'not-mapped');
  const page = pageAt(k, mm, vpn);
  if (page < 0) {
    const cause = absentCause(k, mm, vpn);
    return answer(cause === 'migration-entry' ? -EIO : 0, cause);
  }
  if (k.pm.isZoneDevice(page)) return answer(0, 'device-page');
  const head = k.frames.headOf(page);
  const isReserved = !k.folios.isLarge(head) && k.frames.has(head, PG_RESERVED);
  if (isReserved) return answer(0, 'no-user-page');
  if (k.pm.nidOf(head) === nid) return answer(0, 'already-there');
  if (!vmaMigratable(vma)) return answer(-EIO, 'vma-not-migratable');
  // MP-87: a shared folio stays, and is not counted against the call.
  if (k.folios.maybeMappedShared(head)) return answer(0, 'shared');
  const isolation = isolationObstacle(k, head);
  if (isolation !== null) return answer(-EIO, isolation);
  const fate = folioFate(k, head, nid, -1);
  if (fate.cause !== null) return { ...answer(-EIO, fate.cause), isCertain: fate.isCertain };
  return { ...answer(0, 'already-there'), moves: true, cause: null };
}

/** The range that wouldMbind speaks of, in pages. */
export function mbindRangeOf(vma: Vma | null, vpn: Vpn): { start: Vpn; nrPages: number } {
  if (vma === null || !vma.has(VM_HUGETLB)) return { start: vpn, nrPages: 1 };
  return { start: vpn - (vpn % HPAGE_PMD_NR), nrPages: HPAGE_PMD_NR };
}
