/**
 * Where a migrated folio gets its new frame (mm/migrate.c: alloc_migration_target;
 * mm/mempolicy.c: alloc_migration_target_by_mpol). MC-9, MC-10, MP-90.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { __GFP_HIGHMEM, __GFP_RECLAIM, GFP_TRANSHUGE } from '../uapi/gfp.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { allocFolio } from './folioLifecycle.ts';
import type { Kernel } from './kernel.ts';

/** The allocation of a migrate_pages call. */
export interface Destination {
  /** Node to start from; -1 = the source folio's node. */
  readonly nid: Nid;
  /** Nodes allowed, -1 = all (the caller's cpuset is folded in by the caller). */
  readonly mask: number;
  readonly gfp: number;
  /** Replaces the default allocator: mbind by policy, demotion with its two tries. */
  readonly allocate?: (src: FrameId) => FrameId;
}

/** A folio of the source's order with one reference, or -1 (-ENOMEM). */
export function allocMigrationTarget(k: Kernel, src: FrameId, to: Destination): FrameId {
  if (to.allocate !== undefined) return to.allocate(src);
  const order = k.folios.isLarge(src) ? k.frames.orderOf(src) : 0;
  const nid = to.nid < 0 ? k.pm.nidOf(src) : to.nid;
  return allocFolio(k, order, migrationGfp(k, src, to.gfp), nid, to.mask);
}

/** MC-9: large folios drop the caller's reclaim bits and take the THP mask. */
export function migrationGfp(k: Kernel, src: FrameId, gfp: number): number {
  let adapted = gfp;
  if (k.folios.isLarge(src)) adapted = (gfp & ~__GFP_RECLAIM) | GFP_TRANSHUGE;
  if (k.pm.zoneOf(src).type === ZONE_MOVABLE) adapted |= __GFP_HIGHMEM;
  return adapted;
}
