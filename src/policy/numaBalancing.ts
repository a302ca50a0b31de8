/**
 * What Linux does by itself: NUMA balancing and demotion in reclaim, switched on by sysctl
 * (kernel/sched/fair.c, mm/memory.c: do_numa_page, mm/vmscan.c: demote_folio_list; TI-10..TI-28).
 * Mode 2 (MEMORY_TIERING) promotes pages of slow nodes whose hint fault comes soon after marking;
 * mode 1 migrates towards the CPUs that use a page and knows no tiers; 3 is both.
 *
 * Decides on: the time from marking a page to its hint fault (mode 2), or who faults (mode 1); free
 * pages against watermarks and the inactive list. All of it in the kernel (mm/numaScan.ts,
 * mm/numaFault.ts): this only sets it up as TI-28 recommends.
 */
import { booleanOf, integerKnob, type KnobValues, numberOf } from './knob.ts';
import { NUMA_SCAN_KNOBS, numaScanSettings } from './numaScanKnobs.ts';
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

export const numaBalancing: PolicyDescription = {
  name: 'numa-balancing',
  summary: "the kernel's own: promotion by hint faults, demotion in reclaim",
  source: 'kernel/sched/fair.c, mm/vmscan.c; sysctl kernel.numa_balancing',
  knobs: [
    integerKnob('mode', 2, 0, 3, '', 'numa_balancing: 1 normal, 2 memory tiering, 3 both, 0 off'),
    integerKnob('rateLimit', 65536, 1, 1 << 20, 'MB/s', 'promotion rate limit (TI-26)'),
    integerKnob('hotThreshold', 1000, 1, 60_000, 'ms', 'hint fault latency of a hot page (TI-25)'),
    ...NUMA_SCAN_KNOBS,
    {
      kind: 'boolean',
      name: 'demotion',
      default: true,
      doc: '/sys/kernel/mm/numa/demotion_enabled; without it promotion ends when fast nodes fill',
    },
  ],
  sooner: ['scanDelay', 'scanPeriodMin'],
  make: (values) => makeNumaBalancing(values),
};

function makeNumaBalancing(values: KnobValues): Policy {
  const sysctl = {
    demotion_enabled: booleanOf(values, 'demotion'),
    numa_balancing: numberOf(values, 'mode'),
    numa_balancing_promote_rate_limit_MBps: numberOf(values, 'rateLimit'),
    numa_balancing_hot_threshold_ms: numberOf(values, 'hotThreshold'),
    ...numaScanSettings(values),
  };
  return {
    name: 'numa-balancing',
    needs: NO_NEEDS,
    settings: { ...NO_SETTINGS, sysctl },
    periodNs: 0,
    planCapacity: 1,
    decide: () => {},
  };
}
