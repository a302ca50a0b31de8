/**
 * What keeps memory from going offline, found without trying: frame by frame what isolation would
 * refuse (PM-60, PM-62) and what migration would meet again and again (PM-61, PM-71). Reads only.
 *
 * `effect` is what a write of "offline" would come to: `refuses` = -EBUSY or -EINVAL at once,
 * `fails` = -EBUSY after everything else has moved, `repeats` = passes until a signal (PM-106).
 * Not told: folios that are locked or written back at this moment, and that other nodes are full,
 * because both pass.
 */
import type { FrameId, Pfn } from '../base/units.ts';
import { PAGEBLOCK_NR, PAGEBLOCK_ORDER } from '../base/units.ts';
import { MIGRATE_CMA, ZONE_MOVABLE } from '../uapi/zone.ts';
import {
  CAUSE_EXTRA_REFERENCE,
  CAUSE_HUGETLB_PROMISED,
  CAUSE_NO_MEMORY,
  CAUSE_NO_MIGRATE_OP,
  CAUSE_NOT_ON_LRU,
  CAUSE_PAGEBLOCK_ISOLATED,
  CAUSE_PINNED,
  CAUSE_UNMOVABLE,
  type FailureCause,
} from './failureLog.ts';
import { type FrameOwner, ownersOf } from './frameOwner.ts';
import {
  PG_BUDDY,
  PG_HWPOISON,
  PG_LAZYFREE_BATCH,
  PG_LRU,
  PG_LRU_BATCH,
  PG_MOVABLE_OPS,
  PGTY_OFFLINE,
} from './frameTable.ts';
import { findUnmovable, ISOLATE_MODE_MEM_OFFLINE } from './isolation.ts';
import type { Kernel } from './kernel.ts';
import { pageblockInZone } from './mobility.ts';
import { NO_ZONE } from './pageblock.ts';
import { isDirtyAnywhere } from './pteOfFolio.ts';

export type ObstacleKind =
  | 'hole' // PM-70: not all of the block is memory
  | 'several-zones' // PM-70, PM-74a
  | 'isolated' // PM-62: somebody else has isolated the pageblock
  | 'cma' // PM-60: the pageblock belongs to a CMA area
  | 'unmovable' // PM-60: not free, not on an LRU list, no movable_ops
  | 'offline-page' // PM-70: PG_offline that its driver still references
  | 'hugetlb-promised' // PM-70: free in the pool, but promised to mappings
  | 'pinned' // PM-61, MC-27: may be DMA-pinned
  | 'extra-reference' // PM-61, MC-38: a reference that nothing explains
  | 'no-migrate-operation' // MC-41
  | 'off-lru' // PM-71: taken off its list by somebody else
  | 'no-kernel-zone' // PM-71, PM-30: of a kernel zone, and no other node has one
  | 'batched' // PM-60: in a per-CPU batch, outside of CMA areas: contiguous ranges only
  | 'poisoned' // PM-64, MC-39: a memory error: contiguous ranges only
  | 'cut-folio'; // PM-80: the range begins inside a large folio

/** Kinds of folios in use, whose references can be told. */
const FOLIO_KINDS: ReadonlySet<ObstacleKind> = new Set<ObstacleKind>([
  'pinned',
  'extra-reference',
  'no-migrate-operation',
  'off-lru',
  'no-kernel-zone',
]);

export type ObstacleEffect = 'refuses' | 'fails' | 'repeats';

export interface OfflineObstacle {
  readonly kind: ObstacleKind;
  readonly effect: ObstacleEffect;
  /** Head of the folio, or the frame; -1 where there is none (a hole). */
  readonly frame: FrameId;
  readonly pfn: Pfn;
  /** Pages that stay because of it. */
  readonly nrPages: number;
  /** The failure log's word for it. */
  readonly cause: FailureCause;
  /** References beyond those that the kernel can explain; pins of small folios count 1024. */
  readonly extraRefs: number;
  readonly owners: readonly FrameOwner[];
}

/** All obstacles of a memory block that is online, by address. Empty: it would go offline. */
export function blockOfflineObstacles(k: Kernel, block: number): OfflineObstacle[] {
  const { memoryBlocks } = k.pm;
  const startPfn = memoryBlocks.startPfn(block);
  if (memoryBlocks.zoneId[block] < 0) return [noFrame('several-zones', startPfn)];
  const start = memoryBlocks.startFrame(block);
  if (start < 0) return [noFrame('hole', startPfn)];
  return offlineObstacles(k, start, start + memoryBlocks.blockPages);
}

/** The same for frames [start, end). */
export function offlineObstacles(k: Kernel, start: FrameId, end: FrameId): OfflineObstacle[] {
  const found: OfflineObstacle[] = [];
  const isStranded = hasNoKernelZoneToGoTo(k, start);
  for (let frame = start; frame < end; ) {
    if (frame % PAGEBLOCK_NR === 0) {
      const refusal = pageblockRefusal(k, frame, false);
      if (refusal !== null) found.push(refusal);
      if (refusal !== null || k.pm.isPristine(frame)) {
        frame += PAGEBLOCK_NR;
        continue;
      }
    }
    const obstacle = obstacleAt(k, frame, isStranded);
    if (obstacle !== null) found.push(obstacle);
    frame = nextFrame(k, frame);
  }
  return found;
}

/** The first thing for which start_isolate_page_range answers -EBUSY. Precondition: it does. */
export function firstIsolationObstacle(k: Kernel, start: FrameId, end: FrameId): OfflineObstacle {
  for (let frame = start; frame < end; frame += PAGEBLOCK_NR) {
    const refusal = pageblockRefusal(k, frame, false);
    if (refusal !== null) return refusal;
    const zone = k.pm.zoneOf(frame);
    const to = frame + PAGEBLOCK_NR;
    const at = findUnmovable(k.pm, zone, frame, to, ISOLATE_MODE_MEM_OFFLINE, () => true);
    if (at >= 0) return obstacle(k, 'unmovable', 'refuses', k.frames.headOf(at), CAUSE_UNMOVABLE);
  }
  return noFrame('several-zones', k.frames.pfnOf(start));
}

/** What refuses a whole pageblock, or null. `mayBeCma`: for whom CMA areas are there. */
export function pageblockRefusal(
  k: Kernel,
  start: FrameId,
  mayBeCma: boolean,
): OfflineObstacle | null {
  const { blocks } = k.pm;
  const pfn = k.frames.pfnOf(start);
  if (blocks.zoneOfBlock[start >>> PAGEBLOCK_ORDER] === NO_ZONE) return noFrame('hole', pfn);
  if (blocks.isIsolated(start)) {
    return ofPageblock(k, 'isolated', start, CAUSE_PAGEBLOCK_ISOLATED);
  }
  const zone = k.pm.zoneOf(start);
  if (!pageblockInZone(k.pm, zone, start)) return noFrame('several-zones', pfn);
  const isCma = blocks.migratetypeBelowIsolation(start) === MIGRATE_CMA;
  return isCma && !mayBeCma ? ofPageblock(k, 'cma', start, CAUSE_UNMOVABLE) : null;
}

export function nextFrame(k: Kernel, frame: FrameId): FrameId {
  const f = k.frames;
  if ((f.flags[frame] & PG_BUDDY) !== 0) return frame + (1 << f.orderOf(frame));
  const head = f.headOf(frame);
  const isLarge = head !== frame || k.folios.isLarge(head);
  return isLarge ? head + k.folios.nrPages(head) : frame + 1;
}

/**
 * PM-71: the destination's mask has MOVABLE without HIGHMEM for pages of kernel zones, which is
 * NORMAL (PM-30), and is limited to other nodes with memory, if there are any.
 */
function hasNoKernelZoneToGoTo(k: Kernel, start: FrameId): boolean {
  const { pm } = k;
  if (!pm.isPresent(start) || pm.zoneOf(start).type === ZONE_MOVABLE) return false;
  const others = pm.nodesWithMemory & ~(1 << pm.nidOf(start));
  const kernelZones = pm.populatedZones().filter(({ type }) => type < ZONE_MOVABLE);
  return others !== 0 && !kernelZones.some(({ nid }) => (others & (1 << nid)) !== 0);
}

function obstacleAt(k: Kernel, frame: FrameId, isStranded: boolean): OfflineObstacle | null {
  const f = k.frames;
  const { pm } = k;
  if (!pm.isPresent(frame)) return noFrame('hole', f.pfnOf(frame));
  const zone = pm.zoneOf(frame);
  const head = f.headOf(frame);
  // Batches are drained before isolation.
  const isBatched = (f.flags[head] & PG_LRU_BATCH) !== 0;
  const mode = ISOLATE_MODE_MEM_OFFLINE;
  if (!isBatched && findUnmovable(pm, zone, frame, frame + 1, mode, () => true) >= 0) {
    return obstacle(k, 'unmovable', 'refuses', head, CAUSE_UNMOVABLE);
  }
  if ((f.flags[frame] & (PG_BUDDY | PG_HWPOISON)) !== 0) return null;
  if (k.hugetlb.isFree(head)) {
    return k.hugetlb.available > 0
      ? null
      : obstacle(k, 'hugetlb-promised', 'fails', head, CAUSE_HUGETLB_PROMISED);
  }
  if (f.refcount[head] === 0) return null;
  if (f.mapcount[head] === PGTY_OFFLINE && (f.flags[head] & PG_MOVABLE_OPS) === 0) {
    return obstacle(k, 'offline-page', 'fails', head, CAUSE_UNMOVABLE);
  }
  return folioObstacle(k, head, isStranded);
}

/** What migration of a folio would meet in every pass. */
function folioObstacle(k: Kernel, head: FrameId, isStranded: boolean): OfflineObstacle | null {
  const flags = k.frames.flags[head];
  if ((flags & PG_MOVABLE_OPS) !== 0) return null;
  if ((flags & (PG_LRU | PG_LRU_BATCH)) === 0 && !k.folios.isHugetlb(head)) {
    return obstacle(k, 'off-lru', 'repeats', head, CAUSE_NOT_ON_LRU);
  }
  const stuck = migrationObstacle(k, head, 'repeats');
  // A large folio has the mask of huge pages, which every zone satisfies (MC-9).
  if (stuck !== null || !isStranded || k.folios.isLarge(head)) return stuck;
  return obstacle(k, 'no-kernel-zone', 'repeats', head, CAUSE_NO_MEMORY);
}

/** What keeps a folio that can be isolated where it is: its file or a reference; or null. */
export function migrationObstacle(
  k: Kernel,
  head: FrameId,
  effect: ObstacleEffect,
): OfflineObstacle | null {
  const file = k.folios.hasFileMapping(head) ? k.files[k.folios.mappingId(head)] : null;
  if (file !== null) {
    const { migrateFolio, inaccessible } = file.traits;
    const refuses = migrateFolio === 'refuses' || inaccessible === true;
    const isStuck = refuses || (migrateFolio === 'none' && isDirtyAnywhere(k, head));
    if (isStuck) return obstacle(k, 'no-migrate-operation', effect, head, CAUSE_NO_MIGRATE_OP);
  }
  if (extraRefs(k, head) <= 0) return null;
  const isPinned = k.folios.maybeDmaPinned(head);
  return isPinned
    ? obstacle(k, 'pinned', effect, head, CAUSE_PINNED)
    : obstacle(k, 'extra-reference', effect, head, CAUSE_EXTRA_REFERENCE);
}

/** References beyond mappings, cache and batches, which are drained first. */
export function extraRefs(k: Kernel, head: FrameId): number {
  const flags = k.frames.flags[head];
  let known = k.folios.expectedRefs(head);
  if ((flags & PG_LRU_BATCH) !== 0) known++;
  if ((flags & PG_LAZYFREE_BATCH) !== 0) known++;
  return k.frames.refcount[head] - known;
}

export function obstacle(
  k: Kernel,
  kind: ObstacleKind,
  effect: ObstacleEffect,
  frame: FrameId,
  cause: FailureCause,
): OfflineObstacle {
  const isFolio = FOLIO_KINDS.has(kind);
  return {
    kind,
    effect,
    frame,
    pfn: k.frames.pfnOf(frame),
    nrPages: k.folios.nrPages(frame),
    cause,
    extraRefs: isFolio ? extraRefs(k, frame) : 0,
    owners: ownersOf(k, frame),
  };
}

function ofPageblock(
  k: Kernel,
  kind: ObstacleKind,
  start: FrameId,
  cause: FailureCause,
): OfflineObstacle {
  return { ...noFrame(kind, k.frames.pfnOf(start)), frame: start, nrPages: PAGEBLOCK_NR, cause };
}

function noFrame(kind: ObstacleKind, pfn: Pfn): OfflineObstacle {
  return {
    kind,
    effect: 'refuses',
    frame: -1,
    pfn,
    nrPages: 0,
    cause: CAUSE_UNMOVABLE,
    extraRefs: 0,
    owners: [],
  };
}
