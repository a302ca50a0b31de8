/**
 * Scanning the LRU lists of a node (mm/vmscan.c: shrink_node, shrink_lruvec, shrink_active_list,
 * shrink_inactive_list, get_scan_count). TI-11, TI-17, OV-26, OV-27.
 *
 * Not modelled: slab shrinkers but deferred_split, refault costs in the anon/file balance,
 * multi-generation LRU.
 */
import { type FrameId, type Nid, PAGEBLOCK_ORDER } from '../base/units.ts';
import { NR_ISOLATED_ANON, NR_ISOLATED_FILE, NR_ZONE_LRU_BASE, vmEvent } from '../uapi/vmstat.ts';
import { MAX_NR_ZONES } from '../uapi/zone.ts';
import { deferredSplitScan } from './deferredSplit.ts';
import { canDemote } from './demote.ts';
import { PG_ACTIVE, PG_WORKINGSET } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { traceReclaimFlags } from './kernelTrace.ts';
import {
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  NR_LRU_LISTS,
  type Run,
} from './lru.ts';
import { shrinkFolioList } from './reclaimFolios.ts';
import { type ScanControl, SWAPPINESS_ANON_ONLY } from './scanControl.ts';
import { folioReferenced, referencedFlags } from './unmapFolio.ts';

/** Folios isolated and scanned at a time. */
export const SWAP_CLUSTER_MAX = 32;

const PGREFILL = vmEvent('pgrefill');
const PGDEACTIVATE = vmEvent('pgdeactivate');
const PGSCAN_ANON = vmEvent('pgscan_anon');
const PGSCAN_FILE = vmEvent('pgscan_file');
const PGSTEAL_ANON = vmEvent('pgsteal_anon');
const PGSTEAL_FILE = vmEvent('pgsteal_file');
const PGSKIP_BASE = vmEvent('pgskip_dma');

const HIGHEST_ZONE = MAX_NR_ZONES - 1;
const run: Run = { warmest: -1, coldest: -1 };
const aside: Run = { warmest: -1, coldest: -1 };

const toScan = new Float64Array(4);

/** One pass over a node at sc.priority; adds to sc.nrReclaimed and nrScanned. */
export function shrinkNode(k: Kernel, nid: Nid, sc: ScanControl): void {
  k.lru.drainAll();
  getScanCount(k, nid, sc);
  const goal = sc.nrReclaimed + sc.nrToReclaim;
  while (toScan[0] + toScan[2] + toScan[3] > 0) {
    for (let list = LRU_INACTIVE_ANON; list <= LRU_ACTIVE_FILE; list++) {
      const nr = Math.min(toScan[list], SWAP_CLUSTER_MAX);
      if (nr <= 0) continue;
      toScan[list] -= nr;
      const active = list === LRU_ACTIVE_ANON || list === LRU_ACTIVE_FILE;
      if (!active) shrinkInactive(k, nid, list, nr, sc);
      else if (inactiveIsLow(k, nid, list - 1)) shrinkActive(k, nid, list, nr, sc);
    }
    if (sc.nrReclaimed >= goal) break;
  }
  if (canAgeAnon(k, nid, sc) && inactiveIsLow(k, nid, LRU_INACTIVE_ANON)) {
    shrinkActive(k, nid, LRU_ACTIVE_ANON, SWAP_CLUSTER_MAX, sc);
  }
  deferredSplitScan(k, nid, sc.priority);
}

/** Anonymous pages can go somewhere: swap has room, or a lower tier exists (TI-11). */
export function canReclaimAnon(k: Kernel, nid: Nid, sc: ScanControl | null): boolean {
  return k.swap.free > 0 || canDemote(k, nid, sc);
}

function canAgeAnon(k: Kernel, nid: Nid, sc: ScanControl): boolean {
  return sc.maySwap && canReclaimAnon(k, nid, sc);
}

/** How much of each list to scan: swappiness splits anon and file at equal cost. */
function getScanCount(k: Kernel, nid: Nid, sc: ScanControl): void {
  const anonAllowed = sc.maySwap && canReclaimAnon(k, nid, sc) && sc.swappiness > 0;
  const equal = sc.priority === 0;
  for (let list = LRU_INACTIVE_ANON; list <= LRU_ACTIVE_FILE; list++) {
    const file = list >= LRU_INACTIVE_FILE;
    const size = lruSize(k, nid, list, sc);
    let scan = Math.floor(size / (1 << sc.priority));
    if (!file && !anonAllowed) scan = 0;
    else if (sc.swappiness === SWAPPINESS_ANON_ONLY) scan = file ? 0 : scan;
    else if (anonAllowed && !equal) {
      const share = file ? 200 - sc.swappiness : sc.swappiness;
      scan = Math.floor((scan * share) / 200);
    }
    toScan[list] = scan;
  }
}

/** Base pages on a list that this reclaim is about: of its zones, or those of its cgroup. */
function lruSize(k: Kernel, nid: Nid, list: number, sc: ScanControl): number {
  const { filter } = sc;
  if (filter === null) return eligiblePages(k, nid, list, sc);
  let pages = 0;
  let head = k.lru.head[nid * NR_LRU_LISTS + list];
  for (; head >= 0; head = k.frames.lruNext[head]) {
    if (filter(head)) pages += k.folios.nrPages(head);
  }
  return pages;
}

function eligiblePages(k: Kernel, nid: Nid, list: number, sc: ScanControl): number {
  let pages = 0;
  for (const zone of k.pm.nodes[nid].zones) {
    if (zone.type > sc.highestZoneType) continue;
    pages += k.vmstat.zoneItem(zone.id, NR_ZONE_LRU_BASE + list);
  }
  return pages;
}

/** inactive * ratio < active, ratio = int_sqrt(10 * GiB of both), at least 1. */
function inactiveIsLow(k: Kernel, nid: Nid, inactiveList: number): boolean {
  const inactive = k.lru.size(nid, inactiveList);
  const active = k.lru.size(nid, inactiveList + 1);
  const gib = Math.floor((inactive + active) / 262144);
  const ratio = gib > 0 ? Math.floor(Math.sqrt(10 * gib)) : 1;
  return inactive * ratio < active;
}

/**
 * isolate_lru_folios: takes up to `nr` folios from the cold end of a list. NR_ISOLATED is raised.
 * Folios of zones above the reclaim's are passed over and go to the warm end.
 * Deviates: passes over any number of them; from 6.14 on Linux takes what comes after 32768
 *   (SWAP_CLUSTER_MAX_SKIPPED), counts it as progress and tries on, with memory that the allocation
 *   cannot use. A list without any folio of a usable zone is not walked, so pgskip misses it.
 */
function isolateLruFolios(
  k: Kernel,
  nid: Nid,
  list: number,
  nr: number,
  sc: ScanControl,
  out: FrameId[],
): number {
  const { lruPrev } = k.frames;
  const { zones, blocks } = k.pm;
  let scanned = 0;
  let skipped = 0;
  if (sc.highestZoneType < HIGHEST_ZONE && eligiblePages(k, nid, list, sc) === 0) return 0;
  let head = k.lru.tail[nid * NR_LRU_LISTS + list];
  while (head >= 0 && scanned < nr) {
    run.coldest = head;
    run.warmest = -1;
    while (head >= 0) {
      const { type } = zones[blocks.zoneOfBlock[head >>> PAGEBLOCK_ORDER]];
      if (type <= sc.highestZoneType) break;
      const pages = k.folios.nrPages(head);
      k.vmstat.count(PGSKIP_BASE + type, pages);
      skipped += pages;
      run.warmest = head;
      head = lruPrev[head];
    }
    if (run.warmest >= 0) k.lru.setAside(nid, list, run, aside);
    if (head < 0) break;
    const previous = lruPrev[head];
    if (sc.filter === null || sc.filter(head)) {
      scanned += k.folios.nrPages(head);
      k.lru.isolate(head);
      k.lru.countIsolated(head, 1);
      out.push(head);
    }
    head = previous;
  }
  k.lru.spliceAside(nid, list, aside);
  if (k.trace.lruIsolate.isEnabled) traceIsolate(k, list, nr, scanned, skipped, sc);
  return scanned;
}

function traceIsolate(
  k: Kernel,
  list: number,
  requested: number,
  taken: number,
  skipped: number,
  sc: ScanControl,
): void {
  const scanned = taken + skipped;
  const zone = sc.highestZoneType;
  k.trace.lruIsolate.emit(zone, 0, requested, scanned, skipped, taken, list);
}

/** shrink_active_list: folios age to the inactive list; referenced executable pages stay. */
function shrinkActive(k: Kernel, nid: Nid, list: number, nr: number, sc: ScanControl): void {
  const taken: FrameId[] = [];
  const scanned = isolateLruFolios(k, nid, list, nr, sc, taken);
  k.vmstat.count(PGREFILL, scanned);
  let rotated = 0;
  for (const head of taken) {
    const young = folioReferenced(k, head);
    k.lru.countIsolated(head, -1);
    const keep = young > 0 && referencedFlags.exec && k.folios.isFileLru(head);
    if (keep) rotated += k.folios.nrPages(head);
    else {
      k.frames.flags[head] = (k.frames.flags[head] & ~PG_ACTIVE) | PG_WORKINGSET;
      k.vmstat.count(PGDEACTIVATE, k.folios.nrPages(head));
    }
    k.lru.putbackDirect(head);
  }
  const { lruShrinkActive } = k.trace;
  if (!lruShrinkActive.isEnabled) return;
  const flags = traceReclaimFlags(list === LRU_ACTIVE_FILE);
  lruShrinkActive.emit(nid, scanned, rotated, scanned - rotated, rotated, sc.priority, flags);
}

/** shrink_inactive_list: isolate, reclaim, put back what stays. */
function shrinkInactive(k: Kernel, nid: Nid, list: number, nr: number, sc: ScanControl): void {
  const taken: FrameId[] = [];
  const scanned = isolateLruFolios(k, nid, list, nr, sc, taken);
  if (taken.length === 0) return;
  const file = list >= LRU_INACTIVE_FILE;
  k.vmstat.count(sc.scanEvent, scanned);
  k.vmstat.count(file ? PGSCAN_FILE : PGSCAN_ANON, scanned);
  sc.nrScanned += scanned;
  sc.stat.clear();
  const reclaimed = shrinkFolioList(k, taken, nid, sc, false);
  for (const head of taken) k.lru.putbackDirect(head);
  // All that was taken, whether it came back, was freed or demoted (TI-14, MC-61), and as the kind
  // it was taken as: a lazily freed page may have turned into an ordinary one meanwhile.
  k.vmstat.modNode(nid, file ? NR_ISOLATED_FILE : NR_ISOLATED_ANON, -scanned);
  k.vmstat.count(sc.stealEvent, reclaimed);
  k.vmstat.count(file ? PGSTEAL_FILE : PGSTEAL_ANON, reclaimed);
  sc.nrReclaimed += reclaimed;
  if (k.trace.lruShrinkInactive.isEnabled) traceInactive(k, nid, scanned, reclaimed, sc, file);
}

function traceInactive(
  k: Kernel,
  nid: Nid,
  scanned: number,
  reclaimed: number,
  sc: ScanControl,
  file: boolean,
): void {
  const { dirty, writeback, activateAnon, activateFile, refKeep, unmapFail } = sc.stat;
  k.trace.lruShrinkInactive.emit(
    nid,
    scanned,
    reclaimed,
    dirty,
    writeback,
    0,
    0,
    activateAnon,
    activateFile,
    refKeep,
    unmapFail,
    sc.priority,
    traceReclaimFlags(file),
  );
}
