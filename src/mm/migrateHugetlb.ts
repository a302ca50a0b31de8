/**
 * Migration of hugetlb pages, which go before all others of a list and one by one
 * (mm/migrate.c: migrate_hugetlbs, unmap_and_move_huge_page). MC-6, MC-54, MP-112.
 *
 * Order: allocate dst -> lock src -> migration entries -> references -> copy -> mapping -> remap ->
 * exchange of the temporary mark -> free src.
 */
import type { FrameId } from '../base/units.ts';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { EAGAIN, EHWPOISON, ENOMEM } from '../uapi/errno.ts';
import {
  MIGRATE_SYNC,
  type MigrateMode,
  type MigrateReason,
  MR_MEMORY_FAILURE,
  MR_MEMORY_HOTPLUG,
  MR_MEMPOLICY_MBIND,
  MR_SYSCALL,
} from '../uapi/migrate.ts';
import {
  CAUSE_EXTRA_REFERENCE,
  CAUSE_HWPOISON,
  CAUSE_LOCKED,
  CAUSE_NO_MEMORY,
  CAUSE_PINNED,
} from './failureLog.ts';
import { PG_DIRTY, PG_LOCKED, PG_REFERENCED, PG_UPTODATE } from './frameTable.ts';
import { HPAGE_MIGRATABLE } from './hugetlbPool.ts';
import type { Kernel } from './kernel.ts';
import type { Destination } from './migrateTarget.ts';
import type { MigrationCounts } from './migrationCounts.ts';
import { removeMigrationPtes, tryToMigrate, UNMAP_DONE } from './migrationEntries.ts';

/** MP-112: passes, and the first one that waits for a lock. */
const PASSES = 10;
const PASS_THAT_WAITS = 3;

/** folio_isolate_hugetlb. */
export function isolateHugetlb(k: Kernel, head: FrameId): boolean {
  if ((k.frames.private_[head] & HPAGE_MIGRATABLE) === 0 || !k.folios.tryGet(head)) return false;
  k.frames.private_[head] &= ~HPAGE_MIGRATABLE;
  return true;
}

/** folio_putback_hugetlb. */
export function putbackHugetlb(k: Kernel, head: FrameId): void {
  k.frames.private_[head] |= HPAGE_MIGRATABLE;
  k.putFolio(head);
}

/** htlb_allow_alloc_fallback: who may take a page of another node than the one asked for. */
function mayFallBack(k: Kernel, reason: MigrateReason): boolean {
  if (!k.profile.hugetlbPoolsStayOnNode) return true;
  const reasons = [MR_MEMORY_HOTPLUG, MR_MEMORY_FAILURE, MR_SYSCALL, MR_MEMPOLICY_MBIND];
  return (reasons as MigrateReason[]).includes(reason);
}

/**
 * Moves the hugetlb pages of `from`; they leave it. Those that stayed are appended to `left`.
 * Returns how many those are, or -ENOMEM: nothing else of the list is tried (MP-112).
 */
export function migrateHugetlbs(
  k: Kernel,
  from: FrameId[],
  destination: Destination,
  mode: MigrateMode,
  reason: MigrateReason,
  counts: MigrationCounts,
  left: FrameId[],
): number {
  let first = 0;
  while (first < from.length && !k.folios.isHugetlb(from[first])) first++;
  if (first === from.length) return 0;
  let pending = from.filter((head) => k.folios.isHugetlb(head));
  const others = from.filter((head) => !k.folios.isHugetlb(head));
  from.splice(0, from.length, ...others);
  let failed = 0;
  for (let pass = 0; pass < PASSES && pending.length > 0; pass++) {
    const again: FrameId[] = [];
    for (let n = 0; n < pending.length; n++) {
      const wait = pass >= PASS_THAT_WAITS && mode === MIGRATE_SYNC;
      const result = unmapAndMove(k, pending[n], destination, wait, reason);
      if (result === 0) counts.succeededPages += HPAGE_PMD_NR;
      else if (result === -EAGAIN) again.push(pending[n]);
      else if (result === -ENOMEM) {
        counts.failedPages += HPAGE_PMD_NR * (1 + again.length);
        left.push(...again, ...pending.slice(n));
        return -ENOMEM;
      } else {
        failed++;
        counts.failedPages += HPAGE_PMD_NR;
        left.push(pending[n]);
      }
    }
    pending = again;
  }
  counts.failedPages += HPAGE_PMD_NR * pending.length;
  left.push(...pending);
  return failed + pending.length;
}

/** unmap_and_move_huge_page: 0, -EAGAIN, -ENOMEM or -EHWPOISON (MC-39). */
function unmapAndMove(
  k: Kernel,
  src: FrameId,
  to: Destination,
  wait: boolean,
  reason: MigrateReason,
): number {
  const f = k.frames;
  if (f.refcount[src] === 1) {
    putbackHugetlb(k, src);
    return 0;
  }
  const nid = to.nid < 0 ? k.pm.nidOf(src) : to.nid;
  const dst =
    to.allocate !== undefined
      ? to.allocate(src)
      : k.hugetlb.takeForMigration(nid, to.mask, to.gfp, mayFallBack(k, reason));
  if (dst < 0) {
    k.failures.record(src, CAUSE_NO_MEMORY, reason, HPAGE_PMD_NR);
    return -ENOMEM;
  }
  const result = lockAndMove(k, src, dst, wait, reason);
  if (result === 0) {
    k.onMigrated(src, dst, HPAGE_PMD_NR, reason);
    k.hugetlb.exchange(src, dst);
    putbackHugetlb(k, src);
  }
  putbackHugetlb(k, dst);
  return result;
}

function lockAndMove(
  k: Kernel,
  src: FrameId,
  dst: FrameId,
  wait: boolean,
  reason: MigrateReason,
): number {
  const f = k.frames;
  if (f.has(src, PG_LOCKED)) {
    const holder = k.inFlight.get(src);
    if (!wait || holder === undefined) {
      k.failures.record(src, CAUSE_LOCKED, reason, HPAGE_PMD_NR);
      return -EAGAIN;
    }
    holder.finish();
  }
  const wasMapped = k.folios.mapcount(src) > 0;
  const unmapped = !wasMapped || tryToMigrate(k, src, false) === UNMAP_DONE;
  const isFree = unmapped && f.refcount[src] === k.folios.expectedRefs(src) + 1;
  const isCopied = isFree && !k.folios.containsPoison(src);
  if (isCopied) switchMapping(k, src, dst);
  else {
    const cause = unmapped ? CAUSE_EXTRA_REFERENCE : CAUSE_PINNED;
    k.failures.record(src, isFree ? CAUSE_HWPOISON : cause, reason, HPAGE_PMD_NR);
  }
  if (wasMapped) removeMigrationPtes(k, src, isCopied ? dst : src);
  if (isCopied) return 0;
  return isFree ? -EHWPOISON : -EAGAIN;
}

/** hugetlbfs_migrate_folio, or migrate_folio for anonymous memory: copy and take over. */
function switchMapping(k: Kernel, src: FrameId, dst: FrameId): void {
  const f = k.frames;
  if (f.content !== null) f.content.copyWithin(dst, src, src + HPAGE_PMD_NR);
  f.setIndex(dst, f.indexOf(src));
  f.mapping[dst] = f.mapping[src];
  f.flags[dst] |= f.flags[src] & (PG_UPTODATE | PG_DIRTY | PG_REFERENCED);
  f.lastCpupid[dst] = f.lastCpupid[src];
  if (!k.folios.hasFileMapping(src)) return;
  const file = k.files[k.folios.mappingId(src)]!;
  for (let n = 0; n < HPAGE_PMD_NR; n++) file.pages.set(f.indexOf(src) + n, dst + n);
  f.refcount[dst] += HPAGE_PMD_NR;
  f.refcount[src] -= HPAGE_PMD_NR;
  f.mapping[src] = 0;
}
