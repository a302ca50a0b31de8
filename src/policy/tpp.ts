/**
 * TPP, Transparent Page Placement (Maruf et al., ASPLOS'23): kswapd of fast nodes demotes early
 * enough that allocations and promotions find room; a slow page is promoted at its second hint
 * fault, when the first one has put it on the active list. TI-30..TI-33.
 *
 * Decides on: hint faults of slow pages and the active list; free pages against the demotion mark
 * and the inactive list. All of it in the kernel (mm/tpp.ts, mm/numaScan.ts): this only switches on
 * what its authors did, numa_balancing 2, demotion_enabled, demote_scale_factor.
 */
import { integerKnob, type KnobValues, numberOf } from './knob.ts';
import { NUMA_SCAN_KNOBS, numaScanSettings } from './numaScanKnobs.ts';
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

export const tpp: PolicyDescription = {
  name: 'tpp',
  summary: 'TPP: early demotion for headroom, promotion at the second hint fault',
  requires: "a kernel with TPP's patches: no release has them",
  source: "Maruf et al., TPP, ASPLOS'23; vm.demote_scale_factor of its patches",
  knobs: [
    integerKnob(
      'demoteScale',
      200,
      1,
      10_000,
      '',
      '1/10000 of fast zones that demotion keeps free',
    ),
    ...NUMA_SCAN_KNOBS,
  ],
  sooner: ['scanDelay', 'scanPeriodMin'],
  make: (values) => makeTpp(values),
};

function makeTpp(values: KnobValues): Policy {
  const sysctl = {
    numa_balancing: 2,
    demotion_enabled: true,
    demote_scale_factor: numberOf(values, 'demoteScale'),
    ...numaScanSettings(values),
  };
  return {
    name: 'tpp',
    needs: NO_NEEDS,
    settings: { ...NO_SETTINGS, sysctl },
    periodNs: 0,
    planCapacity: 1,
    decide: () => {},
  };
}
