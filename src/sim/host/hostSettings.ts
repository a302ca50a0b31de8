/**
 * A policy's settings on a machine: kernel settings and interleave weights go into the machine's
 * description before it boots, the memory policy is given to programs when they start.
 */
import { assert, UserError } from '../../base/assert.ts';
import {
  type MachineSpec,
  memoryNids,
  SYSCTL_DEFAULTS,
  type SysctlSpec,
  toptierNodes,
} from '../../hw/index.ts';
import { type Kernel, type Mempolicy, makePolicy } from '../../mm/index.ts';
import type { HostSettings } from '../../policy/index.ts';
import { MPOL_WEIGHTED_INTERLEAVE } from '../../uapi/mempolicy.ts';

/** The machine as the policy wants it set up. Preconditions: known sysctl names (asserted). */
export function machineWithSettings(spec: MachineSpec, settings: HostSettings): MachineSpec {
  for (const name of Object.keys(settings.sysctl)) {
    assert(name in SYSCTL_DEFAULTS, `a policy sets ${name}, which the model does not have`);
  }
  const sysctl = { ...spec.sysctl, ...(settings.sysctl as Partial<SysctlSpec>) };
  const weights = settings.mempolicy?.weights;
  if (weights === undefined || weights === 'auto') return { ...spec, sysctl };
  const isToptier = toptierNodes(spec);
  const interleaveWeights: Record<number, number> = {};
  for (const nid of memoryNids(spec)) {
    interleaveWeights[nid] = isToptier[nid] === 1 ? weights.toptier : weights.slow;
  }
  return { ...spec, sysctl, interleaveWeights };
}

/**
 * The memory policy that programs start with; null = the default.
 * Errors: UserError for one that the machine's kernel does not have (MP-70: -EINVAL).
 */
export function programMempolicy(k: Kernel, settings: HostSettings): Mempolicy | null {
  const { mempolicy } = settings;
  if (mempolicy === null) return null;
  if (mempolicy.mode === MPOL_WEIGHTED_INTERLEAVE && !k.profile.weightedInterleave) {
    throw new UserError(
      k.spec.name,
      `Linux ${k.profile.version} has no MPOL_WEIGHTED_INTERLEAVE`,
      'choose a newer kernel in the machine file (it came with 6.9), or policy interleave',
    );
  }
  let nodes = k.pm.nodesWithMemory;
  if (mempolicy.nodes === 'toptier') {
    for (let nid = 0; nid < k.pm.nodes.length; nid++) {
      if (!k.tiers.isToptier(nid)) nodes &= ~(1 << nid);
    }
  }
  const made = makePolicy(mempolicy.mode, 0, nodes, k.pm.nodesWithMemory);
  assert(typeof made !== 'number', `memory policy of mode ${mempolicy.mode} over nodes ${nodes}`);
  return made;
}
