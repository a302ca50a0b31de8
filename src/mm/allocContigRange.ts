/**
 * Allocation of given frames: what lies in them is migrated away first (mm/page_alloc.c:
 * alloc_contig_range, __alloc_contig_migrate_range, free_contig_range; mm/compaction.c:
 * isolate_migratepages_range; mm/vmscan.c: reclaim_clean_pages_from_list). PM-80, PM-81.
 *
 * Order: isolate the pageblocks; migrate chunk by chunk, clean file pages reclaimed instead;
 * replace free huge pages of the pool; test; take the free blocks out of the isolated pageblocks,
 * the surplus at both ends goes back; end of isolation.
 * Not modelled: ranges as one compound page (__GFP_COMP), fatal signals (-EINTR),
 * alloc_contig_pages.
 */
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import { EBUSY, EINVAL, ENOMEM } from '../uapi/errno.ts';
import {
  __GFP_COMP,
  __GFP_DMA,
  __GFP_DMA32,
  __GFP_FS,
  __GFP_HARDWALL,
  __GFP_HIGHMEM,
  __GFP_IO,
  __GFP_MOVABLE,
  __GFP_NOWARN,
  __GFP_RECLAIM,
  __GFP_RECLAIMABLE,
  __GFP_RETRY_MAYFAIL,
  __GFP_THISNODE,
} from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_CONTIG_RANGE } from '../uapi/migrate.ts';
import { NR_ISOLATED_FILE } from '../uapi/vmstat.ts';
import { prepNewPage } from './allocFastpath.ts';
import { CAUSE_EXTRA_REFERENCE, CAUSE_NOT_ON_LRU, CAUSE_UNMOVABLE } from './failureLog.ts';
import { PG_DIRTY, PG_LRU, PG_MOVABLE_OPS, PG_SWAPCACHE, PG_UNEVICTABLE } from './frameTable.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import {
  ISOLATE_MODE_CMA_ALLOC,
  ISOLATE_MODE_OTHER,
  startIsolatePageRange,
  testPagesIsolated,
  undoIsolatePageRange,
} from './isolation.ts';
import type { Kernel } from './kernel.ts';
import { migratePages } from './migrate.ts';
import { isMigratable } from './offlinePages.ts';
import { freePages } from './pageAlloc.ts';
import { shrinkFolioList } from './reclaimFolios.ts';
import { RECLAIM_DIRECT, ScanControl } from './scanControl.ts';

/** Pages isolated at a time. */
const COMPACT_CLUSTER_MAX = 32;
/** Calls of the migration engine for one chunk. */
const TRIES = 5;

const IGNORED_FLAGS =
  __GFP_DMA |
  __GFP_HIGHMEM |
  __GFP_DMA32 |
  __GFP_MOVABLE |
  __GFP_RECLAIMABLE |
  __GFP_HARDWALL |
  __GFP_THISNODE;
const RECLAIM_FLAGS = __GFP_IO | __GFP_FS | __GFP_RECLAIM;
const ACTION_FLAGS = __GFP_RETRY_MAYFAIL | __GFP_NOWARN;

/**
 * Takes frames [start, end) of one zone: 0, and each is an allocated page with one reference; or
 * -EINVAL (flags), -EBUSY (isolated already, unmovable, or still in use after five tries), -ENOMEM.
 * `forCma`: the range is part of a CMA area.
 */
export function allocContigRange(
  k: Kernel,
  start: FrameId,
  end: FrameId,
  forCma: boolean,
  gfp: number,
): number {
  const flags = gfp & ~IGNORED_FLAGS;
  if ((flags & ~(RECLAIM_FLAGS | ACTION_FLAGS | __GFP_COMP)) !== 0) return -EINVAL;
  if ((flags & __GFP_COMP) !== 0) return -EINVAL;
  const { pm } = k;
  const mode = forCma ? ISOLATE_MODE_CMA_ALLOC : ISOLATE_MODE_OTHER;
  const isolated = startIsolatePageRange(pm, start, end, mode, isMigratable);
  if (isolated < 0) {
    k.failures.record(start, CAUSE_UNMOVABLE, MR_CONTIG_RANGE, end - start);
    return isolated;
  }
  const migrationGfp = flags | __GFP_MOVABLE | __GFP_RETRY_MAYFAIL;
  let result = migrateRange(k, start, end, migrationGfp);
  // What was busy may be free by now.
  if (result === 0 || result === -EBUSY) result = replaceFreeHugetlb(k, start, end);
  if (result === 0) result = takeRange(k, start, end, mode);
  undoIsolatePageRange(pm, start, end);
  return result;
}

/** free_contig_range: gives back frames of such a range, page by page. */
export function freeContigRange(k: Kernel, start: FrameId, nrPages: number): void {
  for (let frame = start; frame < start + nrPages; frame++) freePages(k.pm, frame, 0);
}

/** __alloc_contig_migrate_range: 0, -EBUSY or -ENOMEM; leftovers are put back. */
function migrateRange(k: Kernel, start: FrameId, end: FrameId, gfp: number): number {
  const list: FrameId[] = [];
  const destination = { nid: k.pm.nidOf(start), mask: -1, gfp };
  k.lru.setDisabled(true);
  let at = start;
  let tries = 0;
  let result = 0;
  while (at < end || list.length > 0) {
    if (list.length === 0) {
      at = isolateChunk(k, at, end, list);
      tries = 0;
    } else if (++tries === TRIES) {
      result = -EBUSY;
      break;
    }
    reclaimCleanPages(k, list);
    result = migratePages(k, list, destination, MIGRATE_SYNC, MR_CONTIG_RANGE);
    if (result === -ENOMEM) break;
  }
  putbackMovablePages(k, list);
  k.lru.setDisabled(false);
  return Math.min(result, 0);
}

/** isolate_migratepages_range: some movable pages from `at` on; returns where to go on. */
function isolateChunk(k: Kernel, at: FrameId, end: FrameId, list: FrameId[]): FrameId {
  let isolated = 0;
  let frame = at;
  while (frame < end && isolated < COMPACT_CLUSTER_MAX) {
    const free = k.pm.buddy.blockOf(frame);
    if (free >= 0) {
      frame = free + (1 << k.pm.buddy.orderOfBlock(free));
      continue;
    }
    const head = k.frames.headOf(frame);
    // Of a folio that begins before the range only hugetlb ones are isolated.
    const isWhole = head === frame || k.folios.isHugetlb(head);
    if (!isWhole || k.frames.refcount[head] === 0) {
      frame++;
      continue;
    }
    const nr = k.folios.nrPages(head);
    if (mayIsolate(k, head) && isolateFolio(k, head, list)) isolated += nr;
    frame = head + nr;
  }
  return frame;
}

/** Probably pinned anonymous pages are passed, as compaction passes them (MC-80). */
function mayIsolate(k: Kernel, head: FrameId): boolean {
  const flags = k.frames.flags[head];
  if (k.folios.isHugetlb(head)) return true;
  if ((flags & (PG_LRU | PG_MOVABLE_OPS)) === 0) {
    k.failures.record(head, CAUSE_NOT_ON_LRU, MR_CONTIG_RANGE, k.folios.nrPages(head));
    return false;
  }
  const hasNoMapping = k.folios.isAnon(head) && (flags & PG_SWAPCACHE) === 0;
  if (!hasNoMapping || k.frames.refcount[head] <= k.folios.mapcount(head)) return true;
  k.failures.record(head, CAUSE_EXTRA_REFERENCE, MR_CONTIG_RANGE, k.folios.nrPages(head));
  return false;
}

/** reclaim_clean_pages_from_list: clean file pages are dropped, which is cheaper than moving. */
function reclaimCleanPages(k: Kernel, list: FrameId[]): void {
  const isClean = (head: FrameId): boolean =>
    k.folios.isFileLru(head) &&
    k.folios.hasFileMapping(head) &&
    !k.folios.isHugetlb(head) &&
    (k.frames.flags[head] & (PG_DIRTY | PG_UNEVICTABLE | PG_MOVABLE_OPS)) === 0;
  const clean = list.filter(isClean);
  if (clean.length === 0) return;
  const others = list.filter((head) => !isClean(head));
  const nid = k.pm.nidOf(clean[0]);
  const sc = new ScanControl(RECLAIM_DIRECT, clean.length, k.sysctl.swappiness);
  const reclaimed = shrinkFolioList(k, clean, nid, sc, true);
  k.vmstat.modNode(nid, NR_ISOLATED_FILE, -reclaimed);
  list.splice(0, list.length, ...others, ...clean);
}

/** replace_free_hugepage_folios: another page for the pool, then this one goes. 0 or -ENOMEM. */
function replaceFreeHugetlb(k: Kernel, start: FrameId, end: FrameId): number {
  const first = Math.floor(start / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  for (let head = first; head < end; head += HPAGE_PMD_NR) {
    if (k.hugetlb.isFree(head) && !k.hugetlb.replaceFree(head)) return -ENOMEM;
  }
  return 0;
}

/** Takes the free blocks of the range off the lists and cuts them to it: 0 or -EBUSY. */
function takeRange(k: Kernel, start: FrameId, end: FrameId, mode: 0 | 1 | 2): number {
  const { pm } = k;
  const free = pm.buddy.blockOf(start);
  const outerStart = free >= 0 ? free : start;
  if (testPagesIsolated(pm, outerStart, end, mode) < 0) return -EBUSY;
  const zone = pm.zoneOf(start);
  let outerEnd = outerStart;
  while (outerEnd < end) outerEnd += 1 << pm.buddy.takeBlock(zone, outerEnd);
  for (let frame = outerStart; frame < outerEnd; frame++) prepNewPage(k.frames, frame, 0, 0);
  freeContigRange(k, outerStart, start - outerStart);
  freeContigRange(k, end, outerEnd - end);
  return 0;
}
