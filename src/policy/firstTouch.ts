/**
 * First touch: a page lives where the kernel put it at its first access, local node first, the next
 * one of the zonelist when that is full (mm/page_alloc.c; MPOL_DEFAULT of mm/mempolicy.c). Nobody
 * migrates. The base line of every comparison.
 *
 * Decides on nothing. kswapd still works: without demotion it swaps, if there is swap.
 */
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

export const firstTouch: PolicyDescription = {
  name: 'first-touch',
  summary: 'pages stay where their first access put them',
  source: 'mm/page_alloc.c; MPOL_DEFAULT',
  knobs: [],
  make: () => FIRST_TOUCH,
};

const FIRST_TOUCH: Policy = {
  name: 'first-touch',
  needs: NO_NEEDS,
  settings: {
    ...NO_SETTINGS,
    sysctl: { numa_balancing: 0, demotion_enabled: false },
  },
  periodNs: 0,
  planCapacity: 1,
  decide: () => {},
};
