/**
 * Transparent Page Placement (Maruf et al., ASPLOS'23; the patches of November 2021 with
 * /proc/sys/vm/demote_scale_factor), which no release of Linux has: reclaim of fast nodes starts
 * early and demotes, hint faults promote what is on the active list. TI-30..TI-33.
 *
 * A fast zone has a demotion mark: below it an allocation wakes kswapd, which works until that much
 * is free, so that allocations and promotions find room (TI-30). A hint fault on a slow page of
 * the inactive list only activates it; the next one promotes it (TI-32). kswapd takes pages from
 * the inactive list and demotes them as mainline does (TI-31).
 *
 * In force where sysctl demote_scale_factor is not 0.
 *
 * Deviates: one mark starts and ends demotion; kswapd frees whole clusters, so it goes beyond it.
 * Not modelled: allocating page cache on slow nodes (TI-34); PG_demoted and the counters of
 * promoted demotions (TI-33): results count the round trips of every policy; marks after hotplug.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { PGPROMOTE_CANDIDATE } from '../uapi/vmstat.ts';
import { PG_ACTIVE, PG_UNEVICTABLE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';

const SCALE = 10_000;

/** Whether the kernel has TPP's patches. */
export function hasTpp(k: Kernel): boolean {
  return k.sysctl.demote_scale_factor !== 0;
}

/** Boot, or a write to demote_scale_factor: the demotion marks of zones in the top tiers. TI-30. */
export function setDemoteMarks(k: Kernel): void {
  for (const zone of k.pm.zones) {
    const isFast = k.tiers.isToptier(zone.nid);
    const mark = Math.floor((zone.managedPages * k.sysctl.demote_scale_factor) / SCALE);
    zone.demoteMark = isFast ? mark : 0;
  }
}

/** TI-32: does a hint fault promote a slow folio to `dst`? An inactive one it activates. */
export function tppShouldPromote(k: Kernel, head: FrameId, dst: Nid): boolean {
  const flags = k.frames.flags[head];
  if ((flags & PG_ACTIVE) === 0) {
    if ((flags & PG_UNEVICTABLE) === 0) k.lru.activate(head);
    return false;
  }
  // Somebody else promotes what the faults show (Nomad's kpromote).
  if (k.sysctl.numa_balancing_promote_rate_limit_MBps === 0) return false;
  k.vmstat.modNode(dst, PGPROMOTE_CANDIDATE, k.folios.nrPages(head));
  return true;
}
