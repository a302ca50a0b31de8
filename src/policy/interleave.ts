/**
 * Interleaved allocation: the program runs under set_mempolicy(MPOL_INTERLEAVE) or
 * MPOL_WEIGHTED_INTERLEAVE over all nodes (mm/mempolicy.c; TI-80..TI-84). Pages are spread as they
 * are first touched and never migrated. Weighted interleave is what Linux has for bandwidth:
 * weights follow the nodes' bandwidths (`numactl --weighted-interleave=all`, Linux 6.9).
 *
 * Decides on nothing but the memory policy of the program. NUMA balancing is switched off: it would
 * migrate pages back to where the policy wants them (TI-22), which is where they are.
 */
import { MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../uapi/mempolicy.ts';
import { booleanOf, type KnobValues, type NumberKnob, numberOf } from './knob.ts';
import {
  NO_NEEDS,
  NO_SETTINGS,
  type Policy,
  type PolicyDescription,
  type ProgramMempolicy,
} from './policy.ts';

export const interleave: PolicyDescription = {
  name: 'interleave',
  summary: 'pages go to all nodes in turn as they are first touched',
  source: 'mm/mempolicy.c: MPOL_INTERLEAVE',
  knobs: [],
  make: () => staticPolicy('interleave', { mode: MPOL_INTERLEAVE, nodes: 'all', weights: 'auto' }),
};

export const weightedInterleave: PolicyDescription = {
  name: 'weighted-interleave',
  summary: 'pages go to all nodes in proportion to their bandwidth',
  source: 'mm/mempolicy.c: MPOL_WEIGHTED_INTERLEAVE (Linux 6.9), weights of 6.16',
  requires: 'Linux 6.9, for weights from bandwidth 6.16',
  knobs: [
    {
      kind: 'boolean',
      name: 'autoWeights',
      default: true,
      doc: 'weights from bandwidth; false: weightToptier and weightSlow',
    },
    weight('weightToptier', 3, 'pages in a row on each node of the top tiers'),
    weight('weightSlow', 1, 'pages in a row on each other node'),
  ],
  make: (values) =>
    staticPolicy('weighted-interleave', {
      mode: MPOL_WEIGHTED_INTERLEAVE,
      nodes: 'all',
      weights: weightsOf(values),
    }),
};

/** A weight of TI-82. */
function weight(name: string, initial: number, doc: string): NumberKnob {
  return { kind: 'integer', name, default: initial, min: 1, max: 255, unit: 'pages', doc };
}

function weightsOf(values: KnobValues): ProgramMempolicy['weights'] {
  if (booleanOf(values, 'autoWeights')) return 'auto';
  return { toptier: numberOf(values, 'weightToptier'), slow: numberOf(values, 'weightSlow') };
}

function staticPolicy(name: string, mempolicy: ProgramMempolicy): Policy {
  return {
    name,
    needs: NO_NEEDS,
    settings: {
      ...NO_SETTINGS,
      sysctl: { numa_balancing: 0, demotion_enabled: false },
      mempolicy,
    },
    periodNs: 0,
    planCapacity: 1,
    decide: () => {},
  };
}
