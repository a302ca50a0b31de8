/**
 * The move phase of one folio: reference check, copy, mapping switch, state transfer, remap
 * (mm/migrate.c: migrate_folio_move, move_to_new_folio, __migrate_folio, folio_migrate_flags).
 * MC-37..MC-47.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { EAGAIN, EBUSY, EHWPOISON, EINVAL, EOPNOTSUPP } from '../uapi/errno.ts';
import {
  MIGRATE_SYNC,
  type MigrateMode,
  type MigrateReason,
  MR_DEMOTION,
  MR_MEMORY_FAILURE,
} from '../uapi/migrate.ts';
import {
  NR_FILE_DIRTY,
  NR_FILE_PAGES,
  NR_FILE_THPS,
  NR_SHMEM,
  NR_SHMEM_THPS,
  NR_SWAPCACHE,
} from '../uapi/vmstat.ts';
import { lockBuffersForMigration, tryToFreeBuffers } from './bufferHeads.ts';
import {
  CAUSE_BUFFERS_BUSY,
  CAUSE_DRIVER_REFUSED,
  CAUSE_EXTRA_REFERENCE,
  CAUSE_HWPOISON,
  CAUSE_INACCESSIBLE,
  CAUSE_NO_MIGRATE_OP,
} from './failureLog.ts';
import { modPending } from './fileFolio.ts';
import {
  MAPPING_NONE,
  PG_ACTIVE,
  PG_DEFERRED_SPLIT,
  PG_DIRTY,
  PG_IDLE,
  PG_LOCKED,
  PG_MLOCKED,
  PG_PARTIALLY_MAPPED,
  PG_PRIVATE,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WORKINGSET,
  PG_YOUNG,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { MappedFile } from './mappedFile.ts';
import { removeMigrationPtes } from './migrationEntries.ts';
import { hasMovableOps, migrateMovableOpsPage } from './movableOps.ts';
import { CPUPID_NONE, NUMA_BALANCING_MEMORY_TIERING } from './numaFault.ts';

/** Flags that move with a folio (OV section 3). mlocked is rebuilt by the remap. */
const MOVED_FLAGS =
  PG_REFERENCED |
  PG_UPTODATE |
  PG_ACTIVE |
  PG_UNEVICTABLE |
  PG_WORKINGSET |
  PG_SWAPBACKED |
  PG_SWAPCACHE |
  PG_DIRTY |
  PG_YOUNG |
  PG_IDLE |
  PG_PRIVATE;

/**
 * Moves one unmapped, locked folio. 0: done, the source is freed. -EAGAIN: extra references.
 * Other errno: permanent.
 */
export function moveToNewFolio(
  k: Kernel,
  src: FrameId,
  dst: FrameId,
  mode: MigrateMode,
  reason: MigrateReason,
  wasMapped: boolean,
): number {
  if (hasMovableOps(k, src)) return moveDriverPage(k, src, dst, mode, reason);
  const f = k.frames;
  const nr = k.folios.nrPages(src);
  const file = fileOf(k, src);
  const refused = file === null ? 0 : askFileSystem(k, src, file, mode);
  if (refused !== 0) {
    const cause = refused === -EOPNOTSUPP ? CAUSE_INACCESSIBLE : CAUSE_NO_MIGRATE_OP;
    k.failures.record(src, refused === -EAGAIN ? CAUSE_BUFFERS_BUSY : cause, reason, nr);
    return refused;
  }
  if (f.refcount[src] !== k.folios.expectedRefs(src) + 1) {
    k.failures.record(src, CAUSE_EXTRA_REFERENCE, reason, nr);
    return -EAGAIN;
  }
  const op = file?.traits.migrateFolio;
  if (op === 'buffers' || op === 'buffers-norefs') {
    // MC-40: locked after the reference check.
    if (!lockBuffersForMigration(k, src, mode, op === 'buffers-norefs')) {
      k.failures.record(src, CAUSE_BUFFERS_BUSY, reason, nr);
      return -EAGAIN;
    }
  }
  // MC-39 (folio_mc_copy): the copy stops at a page with an uncorrectable error.
  if (k.folios.containsPoison(src)) {
    k.failures.record(src, CAUSE_HWPOISON, reason, nr);
    return -EHWPOISON;
  }
  k.buffers.move(src, dst);
  if (f.content !== null) f.content.copyWithin(dst, src, src + nr);
  switchMapping(k, src, dst, nr, file);
  transferState(k, src, dst);
  k.lru.addBatched(0, dst);
  if (wasMapped) removeMigrationPtes(k, src, dst);
  f.flags[dst] &= ~PG_LOCKED;
  f.flags[src] &= ~PG_LOCKED;
  k.putFolio(dst);
  if (reason !== MR_DEMOTION) k.lru.countIsolated(src, -1);
  k.shadows.migrated(src, dst);
  k.onMigrated(src, dst, nr, reason);
  releaseSource(k, src, reason);
  return 0;
}

/** The file system's way to say no before references are looked at (MC-37, MC-41). */
function askFileSystem(k: Kernel, src: FrameId, file: MappedFile, mode: MigrateMode): number {
  if (file.traits.inaccessible === true) return -EOPNOTSUPP;
  const op = file.traits.migrateFolio;
  if (op === 'refuses') return -EBUSY;
  if (op !== 'none') return 0;
  if ((k.frames.flags[src] & PG_DIRTY) !== 0) {
    // Kernels that wrote out here found no writepage operation either.
    return k.profile.migrationWritesOut && mode === MIGRATE_SYNC ? -EINVAL : -EBUSY;
  }
  if (tryToFreeBuffers(k, src)) return 0;
  return mode === MIGRATE_SYNC ? -EAGAIN : -EBUSY;
}

/** A page of class 3: the driver moves it; no mapping, no LRU, no NR_ISOLATED (MC-72). */
function moveDriverPage(
  k: Kernel,
  src: FrameId,
  dst: FrameId,
  mode: MigrateMode,
  reason: MigrateReason,
): number {
  const result = migrateMovableOpsPage(k, dst, src, mode);
  if (result < 0) {
    k.failures.record(src, CAUSE_DRIVER_REFUSED, reason, 1);
    return result;
  }
  k.frames.flags[dst] &= ~PG_LOCKED;
  k.frames.flags[src] &= ~PG_LOCKED;
  k.putFolio(dst);
  k.onMigrated(src, dst, 1, reason);
  k.putFolio(src);
  return 0;
}

function fileOf(k: Kernel, head: FrameId): MappedFile | null {
  return k.folios.hasFileMapping(head) ? k.files[k.folios.mappingId(head)] : null;
}

/**
 * folio_migrate_mapping without its check: the page cache or swap cache now points to dst;
 * references follow. MC-42, MC-43.
 */
export function switchMapping(
  k: Kernel,
  src: FrameId,
  dst: FrameId,
  nr: number,
  file: MappedFile | null,
): void {
  const f = k.frames;
  const flags = f.flags[src];
  f.setIndex(dst, f.indexOf(src));
  f.mapping[dst] = f.mapping[src];
  let moved = 0;
  if ((flags & PG_SWAPCACHE) !== 0) {
    const slot = f.private_[src];
    for (let i = 0; i < nr; i++) k.swap.replaceCached(slot + i, dst + i);
    f.private_[dst] = slot;
    moved = nr;
  } else if (file !== null) {
    const index = f.indexOf(src);
    for (let i = 0; i < nr; i++) file.pages.set(index + i, dst + i);
    moved = nr;
  }
  if (file !== null && (flags & PG_PRIVATE) !== 0) moved++;
  f.refcount[dst] += moved;
  f.refcount[src] -= moved;
  if (moved > 0) moveGauges(k, src, dst, nr, file);
}

/** OV-45: gauges follow the folio to its new node and zone. */
function moveGauges(
  k: Kernel,
  src: FrameId,
  dst: FrameId,
  nr: number,
  file: MappedFile | null,
): void {
  const flags = k.frames.flags[src];
  const from = k.pm.nidOf(src);
  const to = k.pm.nidOf(dst);
  const item = (name: number, pages: number): void => {
    k.vmstat.modNode(from, name, -pages);
    k.vmstat.modNode(to, name, pages);
  };
  item(NR_FILE_PAGES, nr);
  const swapcache = (flags & PG_SWAPCACHE) !== 0;
  if (swapcache) item(NR_SWAPCACHE, nr);
  const shmem = (flags & PG_SWAPBACKED) !== 0 && !swapcache;
  if (shmem) item(NR_SHMEM, nr);
  if (file !== null && k.folios.isThp(src)) item(shmem ? NR_SHMEM_THPS : NR_FILE_THPS, nr);
  if ((flags & PG_DIRTY) === 0 || file === null || !file.traits.writeback) return;
  item(NR_FILE_DIRTY, nr);
  modPending(k, src, -nr);
  modPending(k, dst, nr);
}

/** MC-44 (folio_migrate_flags). */
export function transferState(k: Kernel, src: FrameId, dst: FrameId): void {
  const f = k.frames;
  f.flags[dst] |= f.flags[src] & MOVED_FLAGS;
  if (k.folios.isKsm(src)) k.ksm.nodes[k.folios.mappingId(src)].frame = dst;
  const tiering = (k.sysctl.numa_balancing & NUMA_BALANCING_MEMORY_TIERING) !== 0;
  const tiers = k.tiers;
  const crosses = tiers.isToptier(k.pm.nidOf(src)) !== tiers.isToptier(k.pm.nidOf(dst));
  f.lastCpupid[dst] = tiering && crosses ? CPUPID_NONE : f.lastCpupid[src];
  if ((f.flags[src] & PG_DEFERRED_SPLIT) !== 0) {
    k.deferredSplit.delete(src);
    f.flags[src] &= ~(PG_DEFERRED_SPLIT | PG_PARTIALLY_MAPPED);
  }
}

/**
 * The source loses its isolation reference and is freed: nobody else has any. A page that goes out
 * of use for its errors keeps it, and the flags it had (MC-82b).
 */
export function releaseSource(k: Kernel, src: FrameId, reason: MigrateReason): void {
  const f = k.frames;
  const isPoisoned = reason === MR_MEMORY_FAILURE;
  const cleared = PG_SWAPCACHE | PG_PRIVATE | PG_UNEVICTABLE | PG_ACTIVE;
  const isAnon = k.folios.isAnon(src);
  f.flags[src] &= ~(isPoisoned && isAnon ? cleared : cleared | PG_DIRTY);
  if ((f.flags[src] & PG_MLOCKED) !== 0) k.clearMlocked(src);
  f.private_[src] = 0;
  if (!isAnon) f.mapping[src] = MAPPING_NONE;
  assert(f.refcount[src] === 1, 'a moved source has only its isolation reference');
  if (!isPoisoned) k.putFolio(src);
}
