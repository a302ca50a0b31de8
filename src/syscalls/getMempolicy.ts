/**
 * get_mempolicy(2): a policy, the nodes the caller may use, or the node of an address
 * (mm/mempolicy.c: kernel_get_mempolicy, do_get_mempolicy). MP-95a, MP-95b.
 */
import { PAGE_SIZE } from '../base/units.ts';
import {
  accessPage,
  FAULT_ERROR,
  type Kernel,
  type Mempolicy,
  nextNodeIn,
  PAGE_ZERO,
  pageAt,
  type Task,
  vmaPolicy,
} from '../mm/index.ts';
import { EFAULT, EINVAL } from '../uapi/errno.ts';
import {
  MPOL_DEFAULT,
  MPOL_F_ADDR,
  MPOL_F_MEMS_ALLOWED,
  MPOL_F_NODE,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { memsAllowedOf } from './targetTask.ts';

/** What a successful call hands back. */
export interface PolicyAnswer {
  /** Mode and mode flags; with MPOL_F_NODE a node number. */
  readonly mode: number;
  /** Node mask. */
  readonly nodes: number;
}

/**
 * `maxnode` is that of the mask pointer, null without one; `address` in bytes, 0 without
 * MPOL_F_ADDR. Returns the answer, or -EINVAL or -EFAULT (no VMA, page cannot be had).
 */
export function getMempolicy(
  k: Kernel,
  caller: Task,
  maxnode: number | null,
  address: number,
  flags: number,
): PolicyAnswer | number {
  if (maxnode !== null && maxnode < k.pm.nodes.length) return -EINVAL;
  if ((flags & ~(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED)) !== 0) return -EINVAL;
  if ((flags & MPOL_F_MEMS_ALLOWED) !== 0) {
    if ((flags & (MPOL_F_NODE | MPOL_F_ADDR)) !== 0) return -EINVAL;
    return { mode: 0, nodes: memsAllowedOf(k, caller) };
  }
  const vpn = Math.floor(address / PAGE_SIZE);
  let policy = caller.policy;
  if ((flags & MPOL_F_ADDR) !== 0) {
    const vma = caller.mm!.findVma(vpn);
    if (vma === null) return -EFAULT;
    policy = vmaPolicy(vma, vpn);
  } else if (address !== 0) {
    return -EINVAL;
  }
  if ((flags & MPOL_F_NODE) === 0) return { mode: shownMode(policy), nodes: shownNodes(policy) };
  const node = (flags & MPOL_F_ADDR) !== 0 ? lookupNode(k, caller, vpn) : nextNode(caller);
  return node < 0 ? node : { mode: node, nodes: shownNodes(policy) };
}

function shownMode(policy: Mempolicy | null): number {
  return policy === null ? MPOL_DEFAULT : policy.mode | policy.flags;
}

/** STATIC and RELATIVE show the user's mask, not the one in force. */
function shownNodes(policy: Mempolicy | null): number {
  if (policy === null || policy.mode === MPOL_LOCAL) return 0;
  const asGiven = (policy.flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)) !== 0;
  return asGiven ? policy.userNodes : policy.nodes;
}

/** lookup_node: reads the page in and says where it is. */
function lookupNode(k: Kernel, caller: Task, vpn: number): number {
  if ((accessPage(k, caller, vpn, false) & FAULT_ERROR) !== 0) return -EFAULT;
  const page = pageAt(k, caller.mm!, vpn);
  if (page === PAGE_ZERO) return k.pm.nidOf(k.zeroFrame);
  return page < 0 ? -EFAULT : k.pm.nidOf(page);
}

/** The node that the task's interleaving would use next, or -EINVAL. */
function nextNode(task: Task): number {
  const policy = task.policy;
  if (policy === null) return -EINVAL;
  if (policy.mode === MPOL_WEIGHTED_INTERLEAVE && task.ilWeight > 0) return task.ilPrev;
  if (policy.mode !== MPOL_INTERLEAVE && policy.mode !== MPOL_WEIGHTED_INTERLEAVE) return -EINVAL;
  return nextNodeIn(task.ilPrev, policy.nodes);
}
