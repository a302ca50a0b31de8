/**
 * Room for a bound: an oracle that migrates for nothing must not be kept from fast memory by page
 * cache that no program maps, which no plan can name and whose place costs nothing in the model
 * (the kernel's own accesses are not priced). So that cache moves to slower nodes first.
 */
import type { FrameId } from '../../base/units.ts';
import {
  isolateFolio,
  type Kernel,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_FILE,
  migratePages,
  NR_LRU_LISTS,
  putbackMovablePages,
} from '../../mm/index.ts';
import { GFP_HIGHUSER_MOVABLE } from '../../uapi/gfp.ts';
import { MIGRATE_ASYNC, MR_DAMON } from '../../uapi/migrate.ts';

/** Migrates every unmapped page-cache folio of top-tier nodes to slower nodes. */
export function demoteUnmappedCache(k: Kernel): void {
  for (const node of k.pm.nodes) {
    if (!node.online || !k.tiers.isToptier(node.nid)) continue;
    const mask = k.tiers.lowerTierMask(node.nid);
    if (mask === 0) continue;
    const list: FrameId[] = [];
    for (const lru of [LRU_INACTIVE_FILE, LRU_ACTIVE_FILE]) {
      let head = k.lru.tail[node.nid * NR_LRU_LISTS + lru];
      while (head >= 0) {
        const previous = k.frames.lruPrev[head];
        if (k.folios.mapcount(head) === 0) isolateFolio(k, head, list);
        head = previous;
      }
    }
    const to = { nid: node.nid, mask, gfp: GFP_HIGHUSER_MOVABLE };
    migratePages(k, list, to, MIGRATE_ASYNC, MR_DAMON);
    putbackMovablePages(k, list);
  }
}
