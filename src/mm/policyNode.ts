/**
 * Where an allocation of a task goes: the node to start from and the nodes allowed
 * (mm/mempolicy.c: policy_nodemask, alloc_pages_mpol, vma_alloc_folio). OV-31, OV-31a, OV-31e,
 * MP-93a, TI-80, TI-81.
 */
import { type FrameId, HPAGE_PMD_ORDER, type Nid, type Vpn } from '../base/units.ts';
import {
  __GFP_DIRECT_RECLAIM,
  __GFP_HIGHMEM,
  __GFP_MOVABLE,
  __GFP_NORETRY,
  __GFP_NOWARN,
  __GFP_THISNODE,
} from '../uapi/gfp.ts';
import {
  MPOL_BIND,
  MPOL_INTERLEAVE,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { NUMA_INTERLEAVE_HIT } from '../uapi/vmstat.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { allocFolio } from './folioLifecycle.ts';
import type { Kernel } from './kernel.ts';
import { firstNode, interleaveNodeOf, type Mempolicy, nextNodeIn } from './mempolicy.ts';
import type { Task } from './task.ts';
import type { Vma } from './vma.ts';

/** No interleave index: the task's turn decides (NO_INTERLEAVE_INDEX). */
export const NO_INTERLEAVE_INDEX = -1;

/** Result of the last policyNode call: a plain pair of columns instead of an object. */
export class PolicyChoice {
  nid: Nid = 0;
  /** Node mask, -1 = all. */
  mask = -1;
}

const choice = new PolicyChoice();

/** The policy that governs a page of a VMA: VMA or shmem object, then task, then default. OV-31. */
export function vmaPolicy(vma: Vma, vpn: Vpn): Mempolicy | null {
  if (vma.file?.isShmem() && vma.has(VM_SHARED_FLAG)) {
    return vma.file.policyAt(vma.indexOf(vpn)) ?? vma.policy;
  }
  return vma.policy;
}
const VM_SHARED_FLAG = 1 << 3;

/** Interleave index of a page: TI-81. For anonymous memory pgoff is the address itself. */
export function interleaveIndex(vma: Vma, vpn: Vpn, order: number): number {
  const nr = 1 << order;
  return Math.floor(vma.pgoff / nr) + Math.floor((vpn - vma.start) / nr);
}

/** Node and mask that `policy` gives an allocation of `task`; the returned object is reused. */
export function policyNode(
  k: Kernel,
  task: Task,
  policy: Mempolicy | null,
  ilx: number,
  gfp: number,
): PolicyChoice {
  choice.nid = task.cpuNid;
  choice.mask = -1;
  if (policy === null) return choice;
  switch (policy.mode) {
    case MPOL_PREFERRED:
      choice.nid = firstNode(policy.nodes);
      break;
    case MPOL_PREFERRED_MANY:
      choice.mask = policy.nodes;
      if (policy.homeNode >= 0) choice.nid = policy.homeNode;
      break;
    case MPOL_BIND:
      if (bindApplies(k, policy, gfp)) choice.mask = policy.nodes;
      if (policy.homeNode >= 0) choice.nid = policy.homeNode;
      else startInside(k);
      break;
    case MPOL_INTERLEAVE:
      choice.nid =
        ilx < 0 ? interleaveNext(task, policy) : interleaveNodeOf(policy, ilx, k.interleaveWeights);
      break;
    case MPOL_WEIGHTED_INTERLEAVE:
      choice.nid =
        ilx < 0
          ? weightedNext(k, task, policy)
          : interleaveNodeOf(policy, ilx, k.interleaveWeights);
      break;
  }
  return choice;
}

/**
 * DM-101: nodes outside the others' fallback lists are reached by starting from one of them, when
 * nothing else is allowed.
 */
function startInside(k: Kernel): void {
  const { mask } = choice;
  if (mask === -1 || (mask & k.pm.capable.fallback) !== 0) return;
  if ((mask & (1 << choice.nid)) === 0) choice.nid = firstNode(mask);
}

/** OV-31e: a mask of movable-only nodes binds only what may use ZONE_MOVABLE. */
function bindApplies(k: Kernel, policy: Mempolicy, gfp: number): boolean {
  if ((policy.nodes & k.pm.nodesWithMemory) === 0) return false;
  const movable = (gfp & __GFP_MOVABLE) !== 0 && (gfp & __GFP_HIGHMEM) !== 0;
  // PM-20a: otherwise the mask is kept although a pin may not use ZONE_MOVABLE.
  const pinning = k.pm.hooks.memallocPin && k.profile.pinIgnoresMovableOnlyPolicy;
  if (movable && !pinning) return true;
  for (const zone of k.pm.zones) {
    const isBound = (policy.nodes & (1 << zone.nid)) !== 0;
    if (isBound && zone.isPopulated && zone.type < ZONE_MOVABLE) return true;
  }
  return false;
}

function interleaveNext(task: Task, policy: Mempolicy): Nid {
  const nid = nextNodeIn(task.ilPrev, policy.nodes);
  task.ilPrev = nid;
  return nid;
}

/** TI-80. */
function weightedNext(k: Kernel, task: Task, policy: Mempolicy): Nid {
  if (task.ilWeight === 0 || (policy.nodes & (1 << task.ilPrev)) === 0) {
    task.ilPrev = nextNodeIn(task.ilPrev, policy.nodes);
    task.ilWeight = k.interleaveWeights[task.ilPrev];
  }
  task.ilWeight--;
  return task.ilPrev;
}

/** An allocation under a policy (alloc_pages_mpol): head of a fresh folio, or -1. */
export function allocFolioPolicy(
  k: Kernel,
  task: Task,
  policy: Mempolicy | null,
  ilx: number,
  order: number,
  gfp: number,
): FrameId {
  const where = policyNode(k, task, policy, ilx, gfp);
  const nid = where.nid;
  const mask = where.mask === -1 ? task.memsAllowed : where.mask & task.memsAllowed;
  const mode = policy === null ? 0 : policy.mode;
  if (mode === MPOL_PREFERRED_MANY) {
    const light = (gfp | __GFP_NOWARN) & ~__GFP_DIRECT_RECLAIM;
    const head = mask === 0 ? -1 : allocFolio(k, order, light, nid, mask);
    return head >= 0 ? head : allocFolio(k, order, gfp, nid, task.memsAllowed);
  }
  if (order === HPAGE_PMD_ORDER && mode !== MPOL_INTERLEAVE && mode !== MPOL_WEIGHTED_INTERLEAVE) {
    if ((mask & (1 << nid)) !== 0) {
      const local = allocFolio(k, order, gfp | __GFP_THISNODE | __GFP_NORETRY, nid, mask);
      if (local >= 0 || (gfp & __GFP_DIRECT_RECLAIM) === 0) return local;
    }
  }
  const head = allocFolio(k, order, gfp, nid, mask);
  const interleaved = mode === MPOL_INTERLEAVE || mode === MPOL_WEIGHTED_INTERLEAVE;
  if (interleaved && head >= 0 && k.pm.nidOf(head) === nid) {
    k.vmstat.modNuma(nid, NUMA_INTERLEAVE_HIT, 1);
  }
  return head;
}

/** A user page of a VMA by the policy in force at this fault (vma_alloc_folio). */
export function allocVmaFolio(
  k: Kernel,
  task: Task,
  vma: Vma,
  vpn: Vpn,
  order: number,
  gfp: number,
): FrameId {
  const own = vmaPolicy(vma, vpn);
  const policy = own ?? task.policy;
  const ilx = own === null ? NO_INTERLEAVE_INDEX : interleaveIndex(vma, vpn, order);
  return allocFolioPolicy(k, task, policy, ilx, order, gfp);
}
