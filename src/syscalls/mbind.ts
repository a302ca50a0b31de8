/**
 * mbind(2): the memory policy of a range of addresses, and what becomes of the pages already there
 * (mm/mempolicy.c: kernel_mbind, do_mbind). MP-70..MP-92, table C.2.
 *
 * Order: scan and isolate, then set the policy, then migrate by the policy set.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  allocFolioPolicy,
  CAP_SYS_NICE,
  checkHugetlbCuts,
  folioVpnIn,
  hugetlbByPolicy,
  interleaveIndex,
  type Kernel,
  type Mempolicy,
  MPOL_MF_DISCONTIG_OK,
  MPOL_MF_INVERT,
  mbindRange,
  migratePages,
  putbackMovablePages,
  queuePagesRange,
  type Task,
} from '../mm/index.ts';
import { EINVAL, EIO, EPERM } from '../uapi/errno.ts';
import {
  __GFP_COMP,
  __GFP_RETRY_MAYFAIL,
  GFP_HIGHUSER_MOVABLE,
  GFP_TRANSHUGE,
} from '../uapi/gfp.ts';
import {
  MPOL_DEFAULT,
  MPOL_INTERLEAVE,
  MPOL_MF_MOVE,
  MPOL_MF_MOVE_ALL,
  MPOL_MF_STRICT,
  MPOL_MF_VALID,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { MIGRATE_SYNC, MR_MEMPOLICY_MBIND } from '../uapi/migrate.ts';
import { isPageAligned, pageOf, pagesOf, wrapsAround } from './addressRange.ts';
import { policyMode, policyOf } from './policyArgument.ts';
import { getNodes, type UserNodeMask } from './userMemory.ts';

const MOVE_FLAGS = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL;

/**
 * mbind(start, len, mode | mode flags, nodes, flags), addresses in bytes. Returns 0, or -EINVAL,
 * -EPERM, -EFAULT (holes, mask), -EIO (STRICT and some folio is misplaced still).
 */
export function mbind(
  k: Kernel,
  caller: Task,
  start: number,
  len: number,
  modeArgument: number,
  nodes: UserNodeMask,
  flags: number,
): number {
  const mode = policyMode(k, modeArgument);
  if (mode < 0) return mode;
  const mask = getNodes(nodes);
  if (mask.error !== 0) return mask.error;
  if ((flags & ~MPOL_MF_VALID) !== 0) return -EINVAL;
  if ((flags & MPOL_MF_MOVE_ALL) !== 0 && !caller.capable(CAP_SYS_NICE)) return -EPERM;
  if (!isPageAligned(start)) return -EINVAL;
  const wanted = mode === MPOL_DEFAULT ? flags & ~MPOL_MF_STRICT : flags;
  const first = pageOf(start);
  const end = first + pagesOf(len);
  if (wrapsAround(start, len)) return -EINVAL;
  if (end === first) return 0;
  const policy = policyOf(k, caller, modeArgument, mask.nodes);
  if (typeof policy === 'number') return policy;
  const moving = (wanted & MOVE_FLAGS) !== 0;
  if (moving) k.lru.setDisabled(true);
  const result = doMbind(k, caller, first, end, policy, mask.nodes, wanted);
  if (moving) k.lru.setDisabled(false);
  return result;
}

function doMbind(
  k: Kernel,
  caller: Task,
  start: Vpn,
  end: Vpn,
  policy: Mempolicy | null,
  nodes: number,
  flags: number,
): number {
  const mm = caller.mm!;
  const list: FrameId[] = [];
  const holes = policy === null ? MPOL_MF_DISCONTIG_OK : 0;
  const walk = flags | MPOL_MF_INVERT | holes;
  let failed = queuePagesRange(k, mm, start, end, nodes, walk, MR_MEMPOLICY_MBIND, list);
  let error = 0;
  const cut = checkHugetlbCuts(mm, start, end);
  if (failed < 0 || cut !== 0) {
    error = failed < 0 ? failed : cut;
    failed = 0;
  } else {
    mbindRange(k, mm, start, end, policy);
    if (list.length > 0 && !abandonsMigration(k, failed, flags)) {
      const result = migrateByPolicy(k, caller, mm, start, end, policy ?? caller.policy, list);
      if (result !== 0) failed++;
    }
  }
  if (failed > 0 && (flags & MPOL_MF_STRICT) !== 0) error = -EIO;
  putbackMovablePages(k, list);
  return error;
}

/** MP-83: until 6.6 a STRICT call with a folio that could not be isolated moved nothing at all. */
function abandonsMigration(k: Kernel, failed: number, flags: number): boolean {
  return !k.profile.strictMbindMovesTheRest && failed > 0 && (flags & MPOL_MF_STRICT) !== 0;
}

/** MP-90: destinations by the new policy; interleaving as a fresh fault at the address would. */
function migrateByPolicy(
  k: Kernel,
  caller: Task,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  policy: Mempolicy | null,
  list: FrameId[],
): number {
  const base = interleaveBase(k, mm, start, end, policy, list);
  const allocate = (src: FrameId): FrameId => {
    const order = k.folios.isLarge(src) ? k.frames.orderOf(src) : 0;
    const gfp = order > 0 ? GFP_TRANSHUGE : GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_COMP;
    const ilx = base + Math.floor(k.frames.indexOf(src) / (1 << order));
    if (k.folios.isHugetlb(src)) return hugetlbByPolicy(k, caller, policy, ilx);
    return allocFolioPolicy(k, caller, policy, ilx, order, gfp);
  };
  const destination = { nid: caller.cpuNid, mask: -1, gfp: GFP_HIGHUSER_MOVABLE, allocate };
  return migratePages(k, list, destination, MIGRATE_SYNC, MR_MEMPOLICY_MBIND);
}

/**
 * What to add to a folio's own index to get its interleave index, from the first folio that is no
 * KSM folio and has an address in the range; 0 without one (MP-92).
 */
function interleaveBase(
  k: Kernel,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  policy: Mempolicy | null,
  list: readonly FrameId[],
): number {
  const mode = policy === null ? MPOL_DEFAULT : policy.mode;
  if (mode !== MPOL_INTERLEAVE && mode !== MPOL_WEIGHTED_INTERLEAVE) return 0;
  const head = list.find((candidate) => !k.folios.isKsm(candidate));
  if (head === undefined) return 0;
  const order = k.folios.isLarge(head) ? k.frames.orderOf(head) : 0;
  for (let i = mm.indexAtOrAfter(start); i < mm.vmas.length && mm.vmas[i].start < end; i++) {
    const vma = mm.vmas[i];
    const vpn = folioVpnIn(k, head, vma);
    if (vpn < 0) continue;
    return interleaveIndex(vma, vpn, order) - Math.floor(k.frames.indexOf(head) / (1 << order));
  }
  return 0;
}
