/**
 * DAMOS filters (mm/damon/core.c: damos_filter_out; ops-common.c: damos_folio_filter_match).
 * HS-84: the first filter that matches decides; core filters (addr, target) see regions and may
 * cut them, the others see folios.
 *
 * Not modelled: memcg filters match nothing, as there are no memory cgroups.
 */
import { type FrameId, PAGE_SIZE } from '../base/units.ts';
import {
  DAMON_MIN_REGION,
  type DamonContext,
  type DamonRegion,
  type DamonTarget,
  type DamosFilter,
  type DamosFilterType,
  type DamosScheme,
} from './damonContext.ts';
import { splitRegionAt } from './damonRegions.ts';
import { isFolioYoung, markFolioOld } from './damonSampling.ts';
import { PG_ACTIVE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';

/** Filters on regions. */
export function isCoreFilter(type: DamosFilterType): boolean {
  return type === 'addr' || type === 'target';
}

/** damos_filter_out: whether the region is left alone. It may come back smaller. */
export function isRegionFilteredOut(
  ctx: DamonContext,
  target: DamonTarget,
  region: DamonRegion,
  scheme: DamosScheme,
): boolean {
  scheme.isCoreAllowed = false;
  for (const filter of scheme.coreFilters) {
    if (!matchesRegion(ctx, target, region, filter)) continue;
    scheme.isCoreAllowed = filter.allow;
    return !filter.allow;
  }
  // Folios can still be allowed one by one.
  return scheme.opsFilters.length === 0 && rejectsByDefault(scheme.coreFilters);
}

/** damos_filters_default_reject: a list that ends by allowing something rejects the rest. */
function rejectsByDefault(filters: readonly DamosFilter[]): boolean {
  return filters.length > 0 && filters[filters.length - 1].allow;
}

function matchesRegion(
  ctx: DamonContext,
  target: DamonTarget,
  region: DamonRegion,
  filter: DamosFilter,
): boolean {
  const isMatch =
    filter.type === 'target'
      ? ctx.targets.indexOf(target) === filter.targetIdx
      : matchesRange(target, region, filter);
  return isMatch === filter.matching;
}

/** The region is inside the range, outside it, or cut at the range's bounds. */
function matchesRange(target: DamonTarget, region: DamonRegion, filter: DamosFilter): boolean {
  const start = filter.addrStart - (filter.addrStart % DAMON_MIN_REGION);
  const end = filter.addrEnd - (filter.addrEnd % DAMON_MIN_REGION);
  if (start <= region.start && region.end <= end) return true;
  if (region.end <= start || end <= region.start) return false;
  if (region.start < start) {
    splitRegionAt(target, region, start - region.start);
    return false;
  }
  splitRegionAt(target, region, end - region.start);
  return true;
}

/** damos_pa_filter_out: whether a folio of the region is left alone. */
export function isFolioFilteredOut(k: Kernel, head: FrameId, scheme: DamosScheme): boolean {
  if (scheme.isCoreAllowed) return false;
  for (const filter of scheme.opsFilters) {
    if (matchesFolio(k, head, filter)) return !filter.allow;
  }
  return rejectsByDefault(scheme.opsFilters);
}

function matchesFolio(k: Kernel, head: FrameId, filter: DamosFilter): boolean {
  switch (filter.type) {
    case 'anon':
      return k.folios.isAnon(head) === filter.matching;
    case 'active':
      return k.frames.has(head, PG_ACTIVE) === filter.matching;
    case 'unmapped':
      return (k.folios.mapcount(head) === 0) === filter.matching;
    case 'hugepage_size': {
      const bytes = k.folios.nrPages(head) * PAGE_SIZE;
      return (bytes >= filter.min && bytes <= filter.max) === filter.matching;
    }
    case 'young': {
      const isYoung = isFolioYoung(k, head);
      // Looking at it must not be taken for an access at the next look.
      if (isYoung) markFolioOld(k, head);
      return isYoung === filter.matching;
    }
    default:
      return !filter.matching;
  }
}
