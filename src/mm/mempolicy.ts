/**
 * NUMA memory policy: construction, rebinding and node choice (mm/mempolicy.c).
 * MP-70..MP-75, MP-93..MP-95, MP-105, OV-31, OV-31a, TI-80..TI-82.
 * Node masks are 32-bit words, one bit per node.
 */
import { EINVAL } from '../uapi/errno.ts';
import {
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_MODE_FLAGS,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';

export class Mempolicy {
  readonly mode: number;
  /** MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES, MPOL_F_NUMA_BALANCING. */
  readonly flags: number;
  /** Effective nodes. */
  readonly nodes: number;
  /** The mask as the user gave it (static, relative) or the mems it was made under. */
  readonly userNodes: number;
  readonly homeNode: number;

  constructor(mode: number, flags: number, nodes: number, userNodes: number, homeNode = -1) {
    this.mode = mode;
    this.flags = flags;
    this.nodes = nodes;
    this.userNodes = userNodes;
    this.homeNode = homeNode;
  }

  withHomeNode(nid: number): Mempolicy {
    return new Mempolicy(this.mode, this.flags, this.nodes, this.userNodes, nid);
  }

  /** Same meaning: areas with equal policies may merge (mpol_equal). */
  equals(other: Mempolicy): boolean {
    return (
      this.mode === other.mode &&
      this.flags === other.flags &&
      this.nodes === other.nodes &&
      this.userNodes === other.userNodes &&
      this.homeNode === other.homeNode
    );
  }
}

export function samePolicy(a: Mempolicy | null, b: Mempolicy | null): boolean {
  return a === b || (a !== null && b !== null && a.equals(b));
}

/** Splits a mode argument into mode and flags: MP-70. Returns -EINVAL or the mode number. */
export function sanitizeMpolMode(modeArgument: number, profileHasManyBalancing: boolean): number {
  const flags = modeArgument & MPOL_MODE_FLAGS;
  const mode = modeArgument & ~MPOL_MODE_FLAGS;
  if (mode < 0 || mode > MPOL_WEIGHTED_INTERLEAVE) return -EINVAL;
  if ((flags & MPOL_F_STATIC_NODES) !== 0 && (flags & MPOL_F_RELATIVE_NODES) !== 0) return -EINVAL;
  if ((flags & MPOL_F_NUMA_BALANCING) !== 0) {
    const allowed = mode === MPOL_BIND || (profileHasManyBalancing && mode === MPOL_PREFERRED_MANY);
    if (!allowed) return -EINVAL;
  }
  return mode;
}

/**
 * mpol_new and mpol_set_nodemask: MP-74, MP-75.
 * Returns a policy, null for the default policy, or -EINVAL.
 */
export function makePolicy(
  mode: number,
  flags: number,
  userNodes: number,
  memsAllowed: number,
): Mempolicy | null | number {
  if (mode === MPOL_DEFAULT) return userNodes !== 0 ? -EINVAL : null;
  const modeFlags = flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);
  let effectiveMode = mode;
  if (mode === MPOL_PREFERRED && userNodes === 0) {
    if (modeFlags !== 0) return -EINVAL;
    effectiveMode = MPOL_LOCAL;
  } else if (mode === MPOL_LOCAL) {
    if (userNodes !== 0 || modeFlags !== 0) return -EINVAL;
  } else if (userNodes === 0) {
    return -EINVAL;
  }
  if (effectiveMode === MPOL_LOCAL) return new Mempolicy(MPOL_LOCAL, flags, 0, memsAllowed);
  const contextual =
    (flags & MPOL_F_RELATIVE_NODES) !== 0
      ? foldNodes(userNodes, memsAllowed)
      : userNodes & memsAllowed;
  if (contextual === 0) return -EINVAL;
  const nodes = effectiveMode === MPOL_PREFERRED ? lowestBit(contextual) : contextual;
  const kept = modeFlags !== 0 ? userNodes : memsAllowed;
  return new Mempolicy(effectiveMode, flags, nodes, kept);
}

/** Rebinding after the cpuset's mems changed: MP-105 (mpol_rebind_policy). */
export function rebindPolicy(policy: Mempolicy, newMems: number): Mempolicy {
  if (policy.mode === MPOL_LOCAL) return policy;
  let nodes: number;
  let kept = policy.userNodes;
  if ((policy.flags & MPOL_F_STATIC_NODES) !== 0) {
    nodes = policy.userNodes & newMems;
  } else if ((policy.flags & MPOL_F_RELATIVE_NODES) !== 0) {
    nodes = foldNodes(policy.userNodes, newMems);
  } else {
    nodes = remapNodes(policy.nodes, policy.userNodes, newMems);
    kept = newMems;
  }
  if (nodes === 0) nodes = newMems;
  return new Mempolicy(policy.mode, policy.flags, nodes, kept, policy.homeNode);
}

export function weightOf(mask: number): number {
  let n = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) n++;
  return n;
}

export function firstNode(mask: number): number {
  return mask === 0 ? -1 : 31 - Math.clz32(mask & -mask);
}

/** The next node of `mask` after `nid`, wrapping; -1 if the mask is empty. */
export function nextNodeIn(nid: number, mask: number): number {
  for (let i = 1; i <= 32; i++) {
    const candidate = (nid + i) & 31;
    if ((mask & (1 << candidate)) !== 0) return candidate;
  }
  return -1;
}

function lowestBit(mask: number): number {
  return mask & -mask;
}

/** The position-th set bit of a mask, as a node number. */
export function nthNode(mask: number, position: number): number {
  let rest = mask;
  for (let i = 0; i < position; i++) rest &= rest - 1;
  return firstNode(rest);
}

/** Position of `nid` among the set bits of `mask` (bitmap_pos_to_ord), or -1. */
export function ordinalOf(mask: number, nid: number): number {
  if ((mask & (1 << nid)) === 0) return -1;
  return weightOf(mask & ((1 << nid) - 1));
}

/** nodes_fold + nodes_onto: the relative mask laid over the allowed nodes. */
function foldNodes(relative: number, allowed: number): number {
  const weight = weightOf(allowed);
  let out = 0;
  for (let bit = 0; bit < 32; bit++) {
    if ((relative & (1 << bit)) !== 0) out |= 1 << nthNode(allowed, bit % weight);
  }
  return out;
}

/** nodes_remap: every node of `mask` by position from `from` to `to`; others stay. */
function remapNodes(mask: number, from: number, to: number): number {
  const weight = weightOf(to);
  let out = 0;
  for (let nid = 0; nid < 32; nid++) {
    if ((mask & (1 << nid)) === 0) continue;
    const ordinal = ordinalOf(from, nid);
    if (ordinal < 0 || weight === 0) out |= 1 << nid;
    else out |= 1 << nthNode(to, ordinal % weight);
  }
  return out;
}

/** Static interleave: TI-81 for weights, by index otherwise. `ilx` counts folios of the order. */
export function interleaveNodeOf(policy: Mempolicy, ilx: number, weights: Uint8Array): number {
  if (policy.mode === MPOL_INTERLEAVE) {
    const n = weightOf(policy.nodes);
    return nthNode(policy.nodes, ilx % n);
  }
  let total = 0;
  for (let nid = 0; nid < 32; nid++) if ((policy.nodes & (1 << nid)) !== 0) total += weights[nid];
  let target = ilx % total;
  for (let nid = 0; nid < 32; nid++) {
    if ((policy.nodes & (1 << nid)) === 0) continue;
    if (target < weights[nid]) return nid;
    target -= weights[nid];
  }
  return firstNode(policy.nodes);
}
