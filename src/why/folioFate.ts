/**
 * Whether migration in the mode MIGRATE_SYNC would move a folio to a node, found without trying, in
 * the order in which mm/migrate.c meets what can be wrong. MC-14..MC-41, MC-49, MP-112.
 *
 * What cannot be told without trying is said to be uncertain: what reclaim frees on a full node,
 * and whether a large folio can be split.
 */
import { type FrameId, type Nid, PAGEBLOCK_ORDER } from '../base/units.ts';
import {
  allocFlagsCma,
  GUP_PIN_COUNTING_BIAS,
  gfpZone,
  HPAGE_MIGRATABLE,
  isDirtyAnywhere,
  type Kernel,
  MAPPING_NONE,
  migrationGfp,
  PG_ANON_EXCLUSIVE,
  PG_LAZYFREE_BATCH,
  PG_LOCKED,
  PG_LRU,
  PG_LRU_BATCH,
  PG_PARTIALLY_MAPPED,
  PG_PRIVATE,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  WMARK_LOW,
  wmarkPages,
  zonelistOf,
  zoneWatermarkOk,
} from '../mm/index.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import type { CauseName } from './causes.ts';

export interface FolioFate {
  /** null: it moves. */
  readonly cause: CauseName | null;
  /** The call ends with -ENOMEM, instead of counting a folio that stayed. */
  readonly isOutOfMemory: boolean;
  readonly isCertain: boolean;
}

const MOVES: FolioFate = { cause: null, isOutOfMemory: false, isCertain: true };

function stays(cause: CauseName): FolioFate {
  return { cause, isOutOfMemory: false, isCertain: true };
}

function mayStay(cause: CauseName): FolioFate {
  return { cause, isOutOfMemory: cause !== 'split-first', isCertain: false };
}

/** References without those of per-cpu batches, which the calls drain first (MC-8). */
export function drainedRefs(k: Kernel, head: FrameId): number {
  const flags = k.frames.flags[head];
  const batched = (flags & PG_LRU_BATCH) !== 0 ? 1 : 0;
  return k.frames.refcount[head] - batched - ((flags & PG_LAZYFREE_BATCH) !== 0 ? 1 : 0);
}

/** References that mappings, caches and batches do not explain. */
export function extraRefs(k: Kernel, head: FrameId): number {
  return drainedRefs(k, head) - k.folios.expectedRefs(head);
}

/** Whether the folio can be isolated once batches are drained; null: it can (MC-5, MC-6). */
export function isolationObstacle(k: Kernel, head: FrameId): CauseName | null {
  const flags = k.frames.flags[head];
  if (k.inFlight.has(head)) return 'in-flight';
  if (k.folios.isHugetlb(head)) {
    const isMigratable = (k.frames.private_[head] & HPAGE_MIGRATABLE) !== 0;
    return isMigratable && k.frames.refcount[head] > 0 ? null : 'hugetlb-isolated';
  }
  return (flags & (PG_LRU | PG_LRU_BATCH)) !== 0 ? null : 'not-on-lru';
}

/**
 * What migrate_pages would do with the folio once it is isolated. `allowed` are the nodes that the
 * allocation may use (-1 all).
 */
export function folioFate(k: Kernel, head: FrameId, nid: Nid, allowed: number): FolioFate {
  const isLarge = k.folios.isLarge(head);
  const isHugetlb = k.folios.isHugetlb(head);
  const flags = k.frames.flags[head];
  const isPartial = !isHugetlb && isLarge && (flags & PG_PARTIALLY_MAPPED) !== 0;
  if (isPartial && k.profile.partialFoliosSplitFirst) return mayStay('split-first');
  if ((allowed & (1 << nid)) === 0) {
    const fate = mayStay('caller-not-in-cpuset');
    return isLarge ? fate : { ...fate, isCertain: true };
  }
  if (isHugetlb && !hasHugetlbPage(k, nid)) return mayStay('no-hugetlb-page');
  if (!isHugetlb && !hasRoom(k, head, nid)) return mayStay('no-destination-memory');
  const [cause] = folioObstacles(k, head);
  if (cause !== undefined) return stays(cause);
  // MC-39; what becomes of the folio then depends on who else has it.
  return k.folios.containsPoison(head) ? { ...stays('hardware-poison'), isCertain: false } : MOVES;
}

/** All that keeps an isolated folio from moving, as the kernel meets it: the first one decides. */
export function folioObstacles(k: Kernel, head: FrameId): CauseName[] {
  const reference = referenceObstacle(k, head);
  const references = reference === null ? [] : [reference];
  if (k.folios.isHugetlb(head)) return references;
  const f = k.frames;
  const found: CauseName[] = [];
  if ((f.flags[head] & PG_LOCKED) !== 0) found.push('folio-locked');
  const isPrivate = (f.flags[head] & PG_PRIVATE) !== 0;
  if (f.mapping[head] === MAPPING_NONE && isPrivate) found.push('buffers-busy');
  if (isPinnedExclusive(k, head)) found.push('pinned');
  const file = k.folios.hasFileMapping(head) ? k.files[k.folios.mappingId(head)] : null;
  if (file !== null) {
    const { migrateFolio, inaccessible } = file.traits;
    const isDirty = isDirtyAnywhere(k, head);
    if (inaccessible === true) found.push('inaccessible-mapping');
    else if (migrateFolio === 'refuses') found.push('secretmem');
    else if (migrateFolio === 'none' && isDirty) found.push('no-migrate-operation');
  }
  return [...found, ...references.filter((cause) => !found.includes(cause))];
}

/** MC-27: an exclusive page whose folio may be pinned, the isolation's own reference included. */
function isPinnedExclusive(k: Kernel, head: FrameId): boolean {
  if (!k.folios.isAnon(head)) return false;
  const isPinned = k.folios.isLarge(head)
    ? k.folios.pincount(head) > 0
    : drainedRefs(k, head) + 1 >= GUP_PIN_COUNTING_BIAS;
  if (!isPinned) return false;
  for (let page = head; page < head + k.folios.nrPages(head); page++) {
    if ((k.frames.flags[page] & PG_ANON_EXCLUSIVE) !== 0) return true;
  }
  return false;
}

/** MC-38: a folio with more references than expected does not move. */
function referenceObstacle(k: Kernel, head: FrameId): CauseName | null {
  if (extraRefs(k, head) === 0) return null;
  return k.folios.maybeDmaPinned(head) ? 'pinned' : 'extra-reference';
}

/** Whether the first walk over the zones of the node finds a frame: then nothing is reclaimed. */
export function hasRoom(k: Kernel, head: FrameId, nid: Nid): boolean {
  const order = k.folios.isLarge(head) ? k.frames.orderOf(head) : 0;
  const gfp = migrationGfp(k, head, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE) | __GFP_THISNODE;
  const flags = allocFlagsCma(k.pm, gfp);
  return [...zonelistOf(k.pm, gfp, nid)].some((id) => {
    const zone = k.pm.zones[id];
    return zoneWatermarkOk(k.pm, zone, order, wmarkPages(zone, WMARK_LOW), gfpZone(gfp), flags);
  });
}

function hasHugetlbPage(k: Kernel, nid: Nid): boolean {
  return k.hugetlb.available > 0 && k.hugetlb.freeOf(nid) > 0;
}

/**
 * Why compact_memory (MIGRATE_SYNC) would leave the folio where it is; null: it may move it, which
 * depends on where the scanners meet. MC-80, in the order of isolate_migratepages_block.
 */
export function compactionObstacle(k: Kernel, head: FrameId): CauseName | null {
  const { folios, frames } = k;
  const order = folios.isLarge(head) ? frames.orderOf(head) : 0;
  if (folios.isHugetlb(head) || order >= PAGEBLOCK_ORDER) return 'pageblock-order';
  const isolation = isolationObstacle(k, head);
  if (isolation !== null) return isolation;
  const hasNoMapping = folios.isAnon(head) && (frames.flags[head] & PG_SWAPCACHE) === 0;
  if (hasNoMapping && drainedRefs(k, head) > folios.mapcount(head)) {
    return folios.maybeDmaPinned(head) ? 'pinned' : 'extra-reference';
  }
  const isUnevictable = (frames.flags[head] & PG_UNEVICTABLE) !== 0;
  if (isUnevictable && !k.compaction.unevictableAllowed) return 'unevictable';
  return folioObstacles(k, head)[0] ?? null;
}
