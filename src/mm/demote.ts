/**
 * Demotion in reclaim (mm/vmscan.c: can_demote, demote_folio_list, alloc_demote_folio).
 * TI-4, TI-10, TI-13..TI-15.
 */
import type { FrameId, Nid } from '../base/units.ts';
import {
  __GFP_NOMEMALLOC,
  __GFP_NOWARN,
  __GFP_RECLAIM,
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
  GFP_NOWAIT,
} from '../uapi/gfp.ts';
import { MIGRATE_ASYNC, MR_DEMOTION } from '../uapi/migrate.ts';
import { allocFolio } from './folioLifecycle.ts';
import type { Kernel } from './kernel.ts';
import { nthNode, weightOf } from './mempolicy.ts';
import { migratePages } from './migrate.ts';
import { migrationGfp } from './migrateTarget.ts';
import type { ScanControl } from './scanControl.ts';

const DEMOTION_GFP =
  (GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) | __GFP_NOWARN | __GFP_NOMEMALLOC | GFP_NOWAIT;

/** TI-10. */
export function canDemote(k: Kernel, nid: Nid, sc: ScanControl | null): boolean {
  if (!k.sysctl.demotion_enabled) return false;
  if (sc?.noDemotion) return false;
  return (k.tiers.lowerTierMask(nid) & demotionMask(k, sc)) !== 0;
}

/** Nodes that the cgroup under reclaim may demote to. */
function demotionMask(k: Kernel, sc: ScanControl | null): number {
  const targets = k.pm.capable.demotion_target;
  return sc === null || !k.profile.demotionHeedsCpuset ? targets : sc.demotionMask & targets;
}

/** Migrates `list` to slower tiers; what could not move stays in it. Returns pages demoted. */
export function demoteFolioList(k: Kernel, list: FrameId[], nid: Nid, sc: ScanControl): number {
  if (list.length === 0) return 0;
  const allowed = k.tiers.lowerTierMask(nid) & demotionMask(k, sc);
  const preferred = k.tiers.preferredTargets(nid) & allowed;
  const candidates = preferred !== 0 ? preferred : bestAllowed(k, nid, allowed);
  const target = nthNode(candidates, k.random.below(weightOf(candidates)));
  let pages = 0;
  for (const head of list) pages += k.folios.nrPages(head);
  const allocate = (src: FrameId): FrameId => {
    const order = k.folios.isLarge(src) ? k.frames.orderOf(src) : 0;
    const gfp = migrationGfp(k, src, DEMOTION_GFP);
    const there = allocFolio(k, order, gfp | __GFP_THISNODE, target, -1);
    return there >= 0 ? there : allocFolio(k, order, gfp, target, allowed);
  };
  const to = { nid: target, mask: allowed, gfp: DEMOTION_GFP, allocate };
  migratePages(k, list, to, MIGRATE_ASYNC, MR_DEMOTION);
  let left = 0;
  for (const head of list) left += k.folios.nrPages(head);
  k.vmstat.modNode(nid, sc.demotionItem, pages - left);
  return pages - left;
}

/** The nearest node of a mask that holds no preferred target. */
function bestAllowed(k: Kernel, nid: Nid, allowed: number): number {
  const order = k.pm.nodes[nid].fallbackOrder;
  for (let i = 0; i < order.length; i++) {
    if ((allowed & (1 << order[i])) !== 0) return 1 << order[i];
  }
  return allowed;
}
