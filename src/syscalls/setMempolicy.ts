/**
 * set_mempolicy(2): the policy of the calling task, for what it allocates from now on
 * (mm/mempolicy.c: kernel_set_mempolicy). MP-94. Never moves a page.
 */
import type { Kernel, Task } from '../mm/index.ts';
import { policyMode, policyOf } from './policyArgument.ts';
import { getNodes, type UserNodeMask } from './userMemory.ts';

/** Returns 0, or -EINVAL (mode, flags, mask) or -EFAULT (mask). */
export function setMempolicy(
  k: Kernel,
  caller: Task,
  modeArgument: number,
  nodes: UserNodeMask,
): number {
  const mode = policyMode(k, modeArgument);
  if (mode < 0) return mode;
  const mask = getNodes(nodes);
  if (mask.error !== 0) return mask.error;
  const policy = policyOf(k, caller, modeArgument, mask.nodes);
  if (typeof policy === 'number') return policy;
  caller.setPolicy(policy);
  return 0;
}
