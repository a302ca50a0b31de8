/**
 * Taking memory offline (mm/memory_hotplug.c: offline_pages, scan_movable_pages, do_migrate_range;
 * drivers/base/memory.c: memory_block_offline). PM-70..PM-73, PM-75, PM-106.
 *
 * Order: checks, isolation, notifiers, then passes: find something movable and migrate all there is
 * from it on; with nothing found, dissolve free huge pages and look whether all is free. Then the
 * frames leave their zone. It ends only when the memory is empty, by a signal, or by what can
 * never move: a page with a pin or a reference is tried again in each pass, for ever.
 *
 * A pass is a step: whoever drives the operation lets time go by and others run in between.
 * Not modelled: memory groups, KASAN, a poisoned page that is still mapped (memory failure unmaps
 *   it before).
 */
import { type FrameId, PAGEBLOCK_NR, type Pfn } from '../base/units.ts';
import { EBUSY, EINTR, EINVAL } from '../uapi/errno.ts';
import { __GFP_MOVABLE, __GFP_RETRY_MAYFAIL, GFP_KERNEL } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_MEMORY_HOTPLUG } from '../uapi/migrate.ts';
import { cpusetTrackOnlineNodes } from './cpuset.ts';
import { CAUSE_HUGETLB_PROMISED, CAUSE_NOT_ON_LRU, CAUSE_UNMOVABLE } from './failureLog.ts';
import { PG_HUGETLB, PG_LRU, PG_MOVABLE_OPS, PGTY_OFFLINE } from './frameTable.ts';
import { removeFromZone } from './hotplugZone.ts';
import { HPAGE_MIGRATABLE } from './hugetlbPool.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import {
  ISOLATE_MODE_MEM_OFFLINE,
  startIsolatePageRange,
  testPagesIsolated,
  undoIsolatePageRange,
} from './isolation.ts';
import type { Kernel } from './kernel.ts';
import { MEM_GOING_OFFLINE, MEM_OFFLINE, MEM_ONLINE } from './memoryBlocks.ts';
import { notifyGoingOffline, notifyMemory } from './memoryNotifier.ts';
import { migratePages } from './migrate.ts';
import { firstIsolationObstacle } from './offlineObstacles.ts';
import type { Zone } from './zone.ts';

/** scanMovablePages besides a frame. */
const NONE_LEFT = -1;
const NEVER_MOVES = -2;

/**
 * offline_pages up to its first pass: an operation to be stepped, or -EINVAL (misaligned, not whole
 * blocks, a hole, several zones), -EBUSY (isolation), or what a notifier answered. PM-70.
 */
export function beginOffline(k: Kernel, startPfn: Pfn, nrPages: number): OfflineOp | number {
  const { pm } = k;
  const { blockPages } = pm.memoryBlocks;
  const aligned = startPfn % PAGEBLOCK_NR === 0 && (startPfn + nrPages) % blockPages === 0;
  if (nrPages <= 0 || !aligned) return -EINVAL;
  const start = k.frames.frameOfPfn(startPfn);
  const zone = start < 0 ? null : oneZoneOf(k, start, startPfn, nrPages);
  if (zone === null) return -EINVAL;
  const end = start + nrPages;
  k.lru.setDisabled(true);
  let result = startIsolatePageRange(pm, start, end, ISOLATE_MODE_MEM_OFFLINE, isMigratable);
  if (result < 0) {
    const obstacle = firstIsolationObstacle(k, start, end);
    k.failures.record(obstacle.frame, obstacle.cause, MR_MEMORY_HOTPLUG, obstacle.nrPages);
  } else {
    result = notifyGoingOffline(k, startPfn, nrPages);
    if (result < 0) {
      undoIsolatePageRange(pm, start, end);
      notifyMemory(k, 'cancelOffline', startPfn, nrPages);
    }
  }
  if (result < 0) {
    k.lru.setDisabled(false);
    return result;
  }
  return new OfflineOp(k, zone, startPfn, start, end).begin();
}

/** hugepage_migration_supported: the one size there is can be migrated. */
export function isMigratable(): boolean {
  return true;
}

/** The zone of a range without holes; null: -EINVAL. Frames of one range are consecutive. */
function oneZoneOf(k: Kernel, start: FrameId, startPfn: Pfn, nrPages: number): Zone | null {
  const { pm } = k;
  if (k.frames.frameOfPfn(startPfn + nrPages - 1) !== start + nrPages - 1) return null;
  if (!pm.isPresent(start)) return null;
  const zone = pm.zoneOf(start);
  let present = 0;
  for (const range of zone.presentRanges) {
    const overlap = Math.min(range.end, start + nrPages) - Math.max(range.start, start);
    present += Math.max(overlap, 0);
  }
  return present === nrPages ? zone : null;
}

/** One offline_pages that got past isolation. */
export class OfflineOp {
  readonly startPfn: Pfn;
  readonly nrPages: number;
  /** A signal for the task that writes: noticed before the next pass. */
  signalPending = false;
  /** Passes so far. */
  passes = 0;
  /** 0, -EINTR, -EBUSY; valid when done. */
  result = 0;
  private readonly k: Kernel;
  private readonly zone: Zone;
  private readonly start: FrameId;
  private readonly end: FrameId;
  private from: FrameId;
  private done = false;

  constructor(k: Kernel, zone: Zone, startPfn: Pfn, start: FrameId, end: FrameId) {
    this.k = k;
    this.zone = zone;
    this.startPfn = startPfn;
    this.nrPages = end - start;
    this.start = start;
    this.end = end;
    this.from = start;
  }

  /** From here on the blocks are going offline. */
  begin(): this {
    this.k.offlining.add(this);
    this.#setBlockStates(MEM_GOING_OFFLINE);
    return this;
  }

  get isDone(): boolean {
    return this.done;
  }

  /** One pass; true when the operation is over. */
  step(): boolean {
    if (this.done) return true;
    this.passes++;
    if (this.signalPending) return this.#undo(-EINTR);
    const found = scanMovablePages(this.k, this.from, this.end);
    if (found === NEVER_MOVES) return this.#undo(-EBUSY);
    if (found !== NONE_LEFT) {
      this.from = found;
      doMigrateRange(this.k, found, this.end);
      return false;
    }
    return this.#finishIfEmpty();
  }

  /** Nothing on the lists any more: dissolve, test, and begin again or commit. */
  #finishIfEmpty(): boolean {
    const k = this.k;
    const promised = k.hugetlb.dissolveFreeRange(this.start, this.end);
    if (promised >= 0) {
      const nr = k.folios.nrPages(promised);
      k.failures.record(promised, CAUSE_HUGETLB_PROMISED, MR_MEMORY_HOTPLUG, nr);
      return this.#undo(-EBUSY);
    }
    this.from = this.start;
    const left = testPagesIsolated(k.pm, this.start, this.end, ISOLATE_MODE_MEM_OFFLINE);
    return left < 0 ? false : this.#commit();
  }

  /** PM-72. */
  #commit(): boolean {
    const k = this.k;
    const { pm } = k;
    const { nid } = this.zone;
    const isEarly = !pm.nodes[nid].hotplugged;
    removeFromZone(pm, this.zone, this.start, this.end, isEarly);
    this.#setBlockStates(MEM_OFFLINE);
    k.lru.setDisabled(false);
    if (pm.nodes[nid].present === 0) {
      k.nodeThreads.stop(nid);
      k.tiers.rebuild();
      cpusetTrackOnlineNodes(k);
    }
    notifyMemory(k, 'offline', this.startPfn, this.nrPages);
    return this.#over(0);
  }

  /** PM-73: what was migrated stays where it is. */
  #undo(result: number): boolean {
    const k = this.k;
    undoIsolatePageRange(k.pm, this.start, this.end);
    notifyMemory(k, 'cancelOffline', this.startPfn, this.nrPages);
    k.lru.setDisabled(false);
    this.#setBlockStates(MEM_ONLINE);
    return this.#over(result);
  }

  #over(result: number): true {
    this.result = result;
    this.done = true;
    this.k.offlining.delete(this);
    return true;
  }

  #setBlockStates(state: number): void {
    const blocks = this.k.pm.memoryBlocks;
    const first = blocks.blockOfPfn(this.startPfn);
    const last = blocks.blockOfPfn(this.startPfn + this.nrPages - 1);
    blocks.setState(first, last, state, state === MEM_OFFLINE ? -1 : this.zone.id);
  }
}

/** scan_movable_pages: the first frame worth a migration, NONE_LEFT, or NEVER_MOVES (-EBUSY). */
function scanMovablePages(k: Kernel, from: FrameId, end: FrameId): number {
  const f = k.frames;
  for (let frame = from; frame < end; frame++) {
    if (k.pm.isPristine(frame)) {
      frame |= PAGEBLOCK_NR - 1;
      continue;
    }
    const head = f.headOf(frame);
    const flags = f.flags[head];
    if ((flags & (PG_LRU | PG_MOVABLE_OPS)) !== 0) return frame;
    if (f.mapcount[frame] === PGTY_OFFLINE && f.refcount[frame] > 0) {
      k.failures.record(frame, CAUSE_UNMOVABLE, MR_MEMORY_HOTPLUG, 1);
      return NEVER_MOVES;
    }
    if ((flags & PG_HUGETLB) === 0) continue;
    if ((f.private_[head] & HPAGE_MIGRATABLE) !== 0) return frame;
    frame = head + k.folios.nrPages(head) - 1;
  }
  return NONE_LEFT;
}

/** do_migrate_range: isolates every folio of the range that can be, and migrates them. PM-71. */
function doMigrateRange(k: Kernel, from: FrameId, end: FrameId): void {
  const f = k.frames;
  const list: FrameId[] = [];
  for (let frame = from; frame < end; frame++) {
    if (k.pm.isPristine(frame)) {
      frame |= PAGEBLOCK_NR - 1;
      continue;
    }
    const head = f.headOf(frame);
    if (f.refcount[head] === 0) continue;
    const nr = k.folios.nrPages(head);
    if (nr > 1) frame = head + nr - 1;
    if (k.folios.containsPoison(head)) {
      if (nr === 1) k.lru.isolate(head);
      continue;
    }
    if (!isolateFolio(k, head, list)) {
      k.failures.record(head, CAUSE_NOT_ON_LRU, MR_MEMORY_HOTPLUG, nr);
    }
  }
  if (list.length === 0) return;
  migratePages(k, list, offlineTarget(k, list[0]), MIGRATE_SYNC, MR_MEMORY_HOTPLUG);
  putbackMovablePages(k, list);
}

/** Any other node with memory in the fallback order of this one; this one if it is alone. PM-71. */
function offlineTarget(k: Kernel, head: FrameId) {
  const nid = k.pm.nidOf(head);
  const others = k.pm.nodesWithMemory & ~(1 << nid);
  const gfp = GFP_KERNEL | __GFP_MOVABLE | __GFP_RETRY_MAYFAIL;
  return { nid, mask: others === 0 ? 1 << nid : others, gfp };
}
