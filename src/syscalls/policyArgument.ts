/**
 * The mode and node mask that mbind and set_mempolicy share (mm/mempolicy.c: sanitize_mpol_flags,
 * mpol_new, mpol_set_nodemask). MP-70, MP-74, MP-75, MP-94.
 */

import {
  type Kernel,
  type Mempolicy,
  makePolicy,
  sanitizeMpolMode,
  type Task,
} from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { MPOL_MODE_FLAGS, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import { memsAllowedOf } from './targetTask.ts';

/** MP-70: the mode without its flags, or -EINVAL. */
export function policyMode(k: Kernel, modeArgument: number): number {
  const mode = sanitizeMpolMode(modeArgument, k.profile.balancingWithPreferredMany);
  const isUnknown = mode === MPOL_WEIGHTED_INTERLEAVE && !k.profile.weightedInterleave;
  return isUnknown ? -EINVAL : mode;
}

/** A policy of the caller, null for MPOL_DEFAULT, or -EINVAL. Preconditions: the mode is valid. */
export function policyOf(
  k: Kernel,
  caller: Task,
  modeArgument: number,
  nodes: number,
): Mempolicy | null | number {
  const mode = modeArgument & ~MPOL_MODE_FLAGS;
  const mems = memsAllowedOf(k, caller) & k.pm.capable.mempolicy; // D6
  return makePolicy(mode, modeArgument & MPOL_MODE_FLAGS, nodes, mems);
}
