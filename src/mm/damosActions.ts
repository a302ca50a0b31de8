/**
 * What DAMOS schemes do with a region (mm/damon/paddr.c: damon_pa_apply_scheme; vaddr.c:
 * damon_va_apply_scheme; ops-common.c: damon_migrate_pages). HS-79, HS-85.
 *
 * Order: folios of the region in address order; a large folio once; what could not be isolated,
 * moved or written out stays where it was.
 */
import { type FrameId, type Nid, PAGE_SIZE, PAGEBLOCK_NR, type Vpn } from '../base/units.ts';
import {
  __GFP_NOMEMALLOC,
  __GFP_NOWARN,
  __GFP_RECLAIM,
  GFP_HIGHUSER_MOVABLE,
  GFP_NOWAIT,
} from '../uapi/gfp.ts';
import { MIGRATE_ASYNC, MR_DAMON } from '../uapi/migrate.ts';
import {
  MADV_COLD,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MADV_WILLNEED,
} from '../uapi/mman.ts';
import type { AddressSpace } from './addressSpace.ts';
import {
  type DamonContext,
  type DamonRegion,
  type DamonTarget,
  type DamosAction,
  type DamosScheme,
  newDamosFilter,
} from './damonContext.ts';
import { damonFolio, spaceOf } from './damonSampling.ts';
import { isFolioFilteredOut } from './damosFilters.ts';
import { PG_REFERENCED, PG_UNEVICTABLE, PG_YOUNG } from './frameTable.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { madviseRange } from './madvise.ts';
import { reclaimPages } from './madviseCold.ts';
import { migratePages } from './migrate.ts';
import { pageAt } from './pageWalk.ts';

/** Bytes that the action changed, and bytes whose folios passed the filters. */
export interface DamosOutcome {
  applied: number;
  passed: number;
}

const DAMON_GFP =
  (GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) | __GFP_NOWARN | __GFP_NOMEMALLOC | GFP_NOWAIT;

/** ops.apply_scheme. */
export function applyDamosAction(
  k: Kernel,
  ctx: DamonContext,
  target: DamonTarget,
  region: DamonRegion,
  scheme: DamosScheme,
): DamosOutcome {
  if (ctx.operations === 'paddr') return applyPhysical(k, ctx, region, scheme);
  const mm = spaceOf(k, target);
  return mm === null ? { applied: 0, passed: 0 } : applyVirtual(k, ctx, target, mm, region, scheme);
}

function applyPhysical(
  k: Kernel,
  ctx: DamonContext,
  region: DamonRegion,
  scheme: DamosScheme,
): DamosOutcome {
  const outcome = { applied: 0, passed: 0 };
  const filters = scheme.opsFilters;
  if (scheme.action === 'pageout' && !filters.some(({ type }) => type === 'young')) {
    // Pages accessed since the region was judged stay, unless the scheme has its own say.
    scheme.opsFilters = [...filters, { ...newDamosFilter(), type: 'young', matching: true }];
  }
  const list: FrameId[] = [];
  let last = -1;
  for (let addr = region.start; addr < region.end; ) {
    const head = damonFolio(k, addr);
    if (head < 0 || head === scheme.lastApplied) {
      addr += PAGE_SIZE * pagesToPass(k, addr);
      continue;
    }
    ctx.work.schemeFolios++;
    const bytes = k.folios.nrPages(head) * PAGE_SIZE;
    if (!isFolioFilteredOut(k, head, scheme)) {
      outcome.passed += bytes;
      outcome.applied += applyToFolio(k, head, scheme.action, list) ? bytes : 0;
    }
    last = head;
    addr += bytes;
  }
  scheme.opsFilters = filters;
  if (last >= 0) scheme.lastApplied = last;
  if (scheme.action === 'pageout') outcome.applied = reclaimPages(k, list) * PAGE_SIZE;
  else if (isMigration(scheme.action)) {
    outcome.applied = damonMigratePages(k, list, scheme.targetNid) * PAGE_SIZE;
  }
  return outcome;
}

/** Pages from `addr` on to pass over: what is left of a pageblock that was never used, or one. */
function pagesToPass(k: Kernel, addr: number): number {
  const page = k.frames.frameOfPfn(Math.floor(addr / PAGE_SIZE));
  return page >= 0 && k.pm.isPristine(page) ? PAGEBLOCK_NR - (page & (PAGEBLOCK_NR - 1)) : 1;
}

function isMigration(action: DamosAction): boolean {
  return action === 'migrate_hot' || action === 'migrate_cold';
}

/** The part of an action that is done folio by folio; others are gathered on `list`. */
function applyToFolio(k: Kernel, head: FrameId, action: DamosAction, list: FrameId[]): boolean {
  switch (action) {
    case 'pageout':
      k.frames.clear(head, PG_REFERENCED | PG_YOUNG);
      if (!k.frames.has(head, PG_UNEVICTABLE)) isolateFolio(k, head, list);
      return false;
    case 'migrate_hot':
    case 'migrate_cold':
      isolateFolio(k, head, list);
      return false;
    case 'lru_prio':
      k.lru.markAccessed(head);
      return true;
    case 'lru_deprio':
      k.lru.deactivate(head);
      return true;
    default:
      return false;
  }
}

/**
 * damon_migrate_pages: pages that reached the node or, if it is full, another one (HS-85: no
 * THISNODE). Those that stayed go back to their lists.
 */
function damonMigratePages(k: Kernel, list: FrameId[], nid: Nid): number {
  const { hooks } = k.pm;
  const wasInReclaim = hooks.inReclaim;
  hooks.inReclaim = true;
  let moved = 0;
  while (list.length > 0) {
    const from = k.pm.nidOf(list[0]);
    let n = 0;
    while (n < list.length && k.pm.nidOf(list[n]) === from) n++;
    const batch = list.splice(0, n);
    if (from !== nid && hasMemory(k, nid)) {
      const before = pagesOf(k, batch);
      const to = { nid, mask: -1, gfp: DAMON_GFP };
      migratePages(k, batch, to, MIGRATE_ASYNC, MR_DAMON);
      moved += before - pagesOf(k, batch);
    }
    putbackMovablePages(k, batch);
  }
  hooks.inReclaim = wasInReclaim;
  return moved;
}

function hasMemory(k: Kernel, nid: Nid): boolean {
  return nid >= 0 && nid < 32 && (k.pm.nodesWithMemory & (1 << nid)) !== 0;
}

function pagesOf(k: Kernel, list: readonly FrameId[]): number {
  return list.reduce((pages, head) => pages + k.folios.nrPages(head), 0);
}

const ADVICE: Partial<Readonly<Record<DamosAction, number>>> = {
  willneed: MADV_WILLNEED,
  cold: MADV_COLD,
  pageout: MADV_PAGEOUT,
  hugepage: MADV_HUGEPAGE,
  nohugepage: MADV_NOHUGEPAGE,
};

function applyVirtual(
  k: Kernel,
  ctx: DamonContext,
  target: DamonTarget,
  mm: AddressSpace,
  region: DamonRegion,
  scheme: DamosScheme,
): DamosOutcome {
  const start = region.start / PAGE_SIZE;
  const end = region.end / PAGE_SIZE;
  const advice = ADVICE[scheme.action];
  if (advice !== undefined) {
    const task = k.tasks.get(target.pid)!;
    const result = madviseRange(k, task, start, end, advice);
    return { applied: result === 0 ? region.end - region.start : 0, passed: 0 };
  }
  if (isMigration(scheme.action) && k.profile.damosVirtualMigration) {
    return migrateVirtual(k, ctx, mm, start, end, scheme);
  }
  if (scheme.action !== 'stat') return { applied: 0, passed: 0 };
  return { applied: 0, passed: passingBytes(k, ctx, mm, start, end, scheme) };
}

/** damos_va_stat. */
function passingBytes(
  k: Kernel,
  ctx: DamonContext,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  scheme: DamosScheme,
): number {
  let bytes = 0;
  forEachFolio(k, ctx, mm, start, end, scheme, (_head, size) => {
    bytes += size;
  });
  return bytes;
}

/** damos_va_migrate: to the scheme's node, or to nodes by weight and address. */
function migrateVirtual(
  k: Kernel,
  ctx: DamonContext,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  scheme: DamosScheme,
): DamosOutcome {
  const lists = new Map<Nid, FrameId[]>();
  let passed = 0;
  forEachFolio(k, ctx, mm, start, end, scheme, (head, size) => {
    passed += size;
    const nid = scheme.dests.length === 0 ? scheme.targetNid : weightedNode(k, head, scheme);
    if (nid === k.pm.nidOf(head)) return;
    const list = lists.get(nid) ?? [];
    lists.set(nid, list);
    isolateFolio(k, head, list);
  });
  let moved = 0;
  for (const [nid, list] of lists) moved += damonMigratePages(k, list, nid);
  return { applied: moved * PAGE_SIZE, passed };
}

/** The node of a folio by its page offset, as weighted interleave has it (HS-85). */
function weightedNode(k: Kernel, head: FrameId, scheme: DamosScheme): Nid {
  const total = scheme.dests.reduce((sum, dest) => sum + dest.weight, 0);
  if (total === 0) return scheme.targetNid;
  let rest = Math.floor(k.frames.indexOf(head) / k.folios.nrPages(head)) % total;
  for (const { id, weight } of scheme.dests) {
    if (rest < weight) return id;
    rest -= weight;
  }
  return scheme.targetNid;
}

function forEachFolio(
  k: Kernel,
  ctx: DamonContext,
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  scheme: DamosScheme,
  visit: (head: FrameId, bytes: number) => void,
): void {
  let last = -1;
  for (let vpn = start; vpn < end; vpn++) {
    const page = pageAt(k, mm, vpn);
    if (page < 0) continue;
    const head = k.frames.headOf(page);
    if (head === last || damonFolio(k, k.frames.pfnOf(head) * PAGE_SIZE) !== head) continue;
    last = head;
    ctx.work.schemeFolios++;
    if (!isFolioFilteredOut(k, head, scheme)) visit(head, k.folios.nrPages(head) * PAGE_SIZE);
  }
}
