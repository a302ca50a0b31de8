/**
 * Reclaim that user space asks for: memory.reclaim of a cgroup, nodeN/reclaim of a node
 * (mm/vmscan.c: user_proactive_reclaim, try_to_free_mem_cgroup_pages, __node_reclaim).
 * TI-14, TI-18a, TI-110..TI-111a.
 *
 * Not modelled: memcg LRU lists of their own: a cgroup's pages are picked out of the node's lists.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { EAGAIN } from '../uapi/errno.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { NR_FILE_DIRTY, NR_FILE_MAPPED } from '../uapi/vmstat.ts';
import type { Kernel } from './kernel.ts';
import { LRU_ACTIVE_FILE, LRU_INACTIVE_FILE } from './lru.ts';
import { DEF_PRIORITY, RECLAIM_PROACTIVE, ScanControl } from './scanControl.ts';
import { SWAP_CLUSTER_MAX, shrinkNode } from './shrinkNode.ts';

/** Rounds without progress before the call gives up (MAX_RECLAIM_RETRIES). */
const RETRIES_MAX = 16;
/** Percent of a node's pages that must be unmapped page cache (sysctl_min_unmapped_ratio). */
const MIN_UNMAPPED_RATIO = 1;

/** The folios that a cgroup is charged for. */
export type Charged = (head: FrameId) => boolean;

/**
 * memory.reclaim: `nrPages` of the cgroup's pages, from the caller's node on. Demotion may use
 * `demotionMask` (the cgroup's cpuset). Returns 0, or -EAGAIN if fewer could be had.
 */
export function memoryReclaim(
  k: Kernel,
  cpuNid: Nid,
  nrPages: number,
  charged: Charged,
  demotionMask: number,
  swappiness: number,
): number {
  const order = k.pm.nodes[cpuNid].fallbackOrder;
  return proactiveReclaim(k, nrPages, (batch) => {
    const sc = new ScanControl(RECLAIM_PROACTIVE, Math.max(batch, SWAP_CLUSTER_MAX), swappiness);
    sc.demotionMask = demotionMask;
    sc.filter = charged;
    const { memcgReclaimBegin, memcgReclaimEnd } = k.trace;
    if (memcgReclaimBegin.isEnabled) memcgReclaimBegin.emit(0, GFP_KERNEL);
    for (sc.priority = DEF_PRIORITY; sc.priority >= 0; sc.priority--) {
      for (let i = 0; i < order.length; i++) shrinkNode(k, order[i], sc);
      if (sc.nrReclaimed >= sc.nrToReclaim) break;
    }
    if (memcgReclaimEnd.isEnabled) memcgReclaimEnd.emit(sc.nrReclaimed);
    return sc.nrReclaimed;
  });
}

/** nodeN/reclaim: as memoryReclaim for one node, and only if it has enough unmapped page cache. */
export function nodeReclaim(k: Kernel, nid: Nid, nrPages: number, swappiness: number): number {
  return proactiveReclaim(k, nrPages, (batch) => {
    const sc = new ScanControl(RECLAIM_PROACTIVE, Math.max(batch, SWAP_CLUSTER_MAX), swappiness);
    const enough = (k.pm.nodes[nid].managed * MIN_UNMAPPED_RATIO) / 100;
    if (unmappedCache(k, nid) <= enough) return 0;
    const { nodeReclaimBegin, nodeReclaimEnd } = k.trace;
    if (nodeReclaimBegin.isEnabled) nodeReclaimBegin.emit(nid, 0, GFP_KERNEL);
    for (sc.priority = DEF_PRIORITY; sc.priority >= 0; sc.priority--) {
      shrinkNode(k, nid, sc);
      if (sc.nrReclaimed >= batch) break;
    }
    if (nodeReclaimEnd.isEnabled) nodeReclaimEnd.emit(sc.nrReclaimed);
    return sc.nrReclaimed;
  });
}

/** Batches of a quarter of what is left, until it is done or nothing moves any more. */
function proactiveReclaim(k: Kernel, nrPages: number, reclaim: (batch: number) => number): number {
  let reclaimed = 0;
  let retries = RETRIES_MAX;
  while (reclaimed < nrPages) {
    if (retries === 0) k.lru.drainAll();
    const got = reclaim(Math.floor((nrPages - reclaimed) / 4));
    if (got === 0 && retries-- === 0) return -EAGAIN;
    reclaimed += got;
  }
  return 0;
}

/** node_pagecache_reclaimable: clean page cache that nobody maps. */
function unmappedCache(k: Kernel, nid: Nid): number {
  const lists = k.lru.size(nid, LRU_INACTIVE_FILE) + k.lru.size(nid, LRU_ACTIVE_FILE);
  const mapped = k.vmstat.nodeItem(nid, NR_FILE_MAPPED);
  const dirty = k.vmstat.nodeItem(nid, NR_FILE_DIRTY);
  return Math.max(0, Math.max(0, lists - mapped) - dirty);
}
