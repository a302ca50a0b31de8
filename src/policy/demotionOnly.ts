/**
 * Demotion in reclaim and nothing else: kswapd moves cold pages of a full fast node down instead of
 * swapping them out (mm/vmscan.c: demote_folio_list; TI-10..TI-18), nobody moves anything up.
 * What a policy that promotes as well is worth shows only against this one.
 *
 * Decides on: free pages against watermarks and the inactive list. All of it in reclaim
 * (mm/reclaimFolios.ts).
 */
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

export const demotionOnly: PolicyDescription = {
  name: 'demotion-only',
  summary: 'first touch, and reclaim demotes instead of swapping; nothing is promoted',
  source: 'mm/vmscan.c; /sys/kernel/mm/numa/demotion_enabled',
  knobs: [],
  make: () => DEMOTION_ONLY,
};

const DEMOTION_ONLY: Policy = {
  name: 'demotion-only',
  needs: NO_NEEDS,
  settings: { ...NO_SETTINGS, sysctl: { numa_balancing: 0, demotion_enabled: true } },
  periodNs: 0,
  planCapacity: 1,
  decide: () => {},
};
