/**
 * Watermarks and lowmem reserves (mm/page_alloc.c: __zone_watermark_ok, __setup_per_zone_wmarks,
 * setup_per_zone_lowmem_reserve, calculate_min_free_kbytes; mm/khugepaged.c
 * set_recommended_min_free_kbytes). PM-34..PM-37, PM-112. All in pages.
 *
 * A machine description may fix the marks of a zone (an observed machine); they hold until
 * a sysctl is written. Not modelled: HIGHATOMIC reserve, boost ignored for __GFP_HIGH at min.
 */
import type { Order } from '../base/units.ts';
import type { MachineSpec } from '../hw/index.ts';
import { NR_FREE_CMA_PAGES, NR_FREE_PAGES, NR_VM_ZONE_STAT_ITEMS } from '../uapi/vmstat.ts';
import {
  MAX_NR_ZONES,
  MIGRATE_CMA,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  ZONE_MOVABLE,
  ZONE_NORMAL,
  type ZoneType,
} from '../uapi/zone.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import { WMARK_HIGH, WMARK_LOW, WMARK_MIN, WMARK_PROMO, type Wmark, type Zone } from './zone.ts';

/** alloc_flags of mm/internal.h; the low two bits name the watermark (WMARK_*). */
export const ALLOC_WMARK_MASK = 3;
export const ALLOC_NO_WATERMARKS = 1 << 2;
export const ALLOC_OOM = 1 << 3;
export const ALLOC_NON_BLOCK = 1 << 4;
export const ALLOC_MIN_RESERVE = 1 << 5;
export const ALLOC_CPUSET = 1 << 6;
export const ALLOC_CMA = 1 << 7;
export const ALLOC_NOFRAGMENT = 1 << 8;
export const ALLOC_KSWAPD = 1 << 11;
const ALLOC_RESERVES = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_OOM;

/** vm.lowmem_reserve_ratio by zone type: DMA, DMA32, Normal, Movable, Device. */
export const LOWMEM_RESERVE_RATIO: readonly number[] = [256, 256, 32, 0, 0];

const SWAP_CLUSTER_MAX = 32;

/** min, low, high or promo mark with the boost. */
export function wmarkPages(zone: Zone, mark: Wmark): number {
  return zone.watermark[mark] + zone.watermarkBoost;
}

/** NR_FREE_PAGES: isolated free pages are not in it (PM-63). */
export function freeCount(pm: PhysicalMemory, zone: Zone): number {
  return pm.vmstat.zone[zone.id * NR_VM_ZONE_STAT_ITEMS + NR_FREE_PAGES];
}

/** NR_FREE_CMA_PAGES, a part of freeCount. */
export function freeCmaCount(pm: PhysicalMemory, zone: Zone): number {
  return pm.vmstat.zone[zone.id * NR_VM_ZONE_STAT_ITEMS + NR_FREE_CMA_PAGES];
}

/** __zone_watermark_ok at the zone's present free count. `mark` in pages. PM-34. */
export function zoneWatermarkOk(
  pm: PhysicalMemory,
  zone: Zone,
  order: Order,
  mark: number,
  highestZoneType: ZoneType,
  allocFlags: number,
): boolean {
  return watermarkOkWith(pm, zone, order, mark, highestZoneType, allocFlags, freeCount(pm, zone));
}

/** zoneWatermarkOk as if `freePages` pages were free ("would it succeed if all was reclaimed"). */
export function watermarkOkWith(
  pm: PhysicalMemory,
  zone: Zone,
  order: Order,
  mark: number,
  highestZoneType: ZoneType,
  allocFlags: number,
  freePages: number,
): boolean {
  let free = freePages - ((1 << order) - 1);
  if ((allocFlags & ALLOC_CMA) === 0) free -= freeCmaCount(pm, zone);
  let min = mark;
  if ((allocFlags & ALLOC_RESERVES) !== 0) {
    if ((allocFlags & ALLOC_MIN_RESERVE) !== 0) {
      min -= min >> 1;
      if ((allocFlags & ALLOC_NON_BLOCK) !== 0) min -= min >> 2;
    }
    if ((allocFlags & ALLOC_OOM) !== 0) min -= min >> 1;
  }
  if (free <= min + zone.lowmemReserve[highestZoneType]) return false;
  if (order === 0) return true;
  let orders =
    zone.orderMask[MIGRATE_UNMOVABLE] |
    zone.orderMask[MIGRATE_MOVABLE] |
    zone.orderMask[MIGRATE_RECLAIMABLE];
  if ((allocFlags & ALLOC_CMA) !== 0) orders |= zone.orderMask[MIGRATE_CMA];
  return orders >>> order !== 0;
}

/** Writes of vm.min_free_kbytes (0 = computed, PM-36) and vm.watermark_scale_factor. */
export function setWatermarkSysctls(
  pm: PhysicalMemory,
  minFreeKbytes: number,
  watermarkScaleFactor: number,
): void {
  pm.userMinFreeKbytes = minFreeKbytes === 0 ? -1 : minFreeKbytes;
  pm.minFreeKbytes = minFreeKbytes === 0 ? computedMinFreeKbytes(pm.zones) : minFreeKbytes;
  pm.watermarkScaleFactor = watermarkScaleFactor;
  setupPerZoneWmarks(pm.zones, pm.minFreeKbytes, watermarkScaleFactor);
}

/**
 * init_per_zone_wmark_min: after zones gained or lost memory. What is computed wins over what the
 * user set if it is more, and what khugepaged recommends over both, if the machine followed it.
 */
export function initPerZoneWmarkMin(pm: PhysicalMemory): void {
  const computed = computedMinFreeKbytes(pm.zones);
  const recommended = pm.followsThpRecommendedMin ? thpRecommendedMinFreeKbytes(pm.zones) : 0;
  pm.minFreeKbytes = Math.max(computed, pm.userMinFreeKbytes, recommended);
  setupPerZoneWmarks(pm.zones, pm.minFreeKbytes, pm.watermarkScaleFactor);
  setupPerZoneLowmemReserve(pm.zones);
}

/** Managed pages of all zones below MOVABLE. */
export function lowmemPages(zones: readonly Zone[]): number {
  let pages = 0;
  for (const zone of zones) if (zone.type < ZONE_MOVABLE) pages += zone.managedPages;
  return pages;
}

/** calculate_min_free_kbytes: sqrt(16 * lowmem in kB), at least 128, at most 262144. PM-36. */
export function computedMinFreeKbytes(zones: readonly Zone[]): number {
  const root = Math.floor(Math.sqrt(lowmemPages(zones) * 4 * 16));
  return Math.min(Math.max(root, 128), 262144);
}

/** What khugepaged raises min_free_kbytes to when PMD THP is enabled (PM-112). */
export function thpRecommendedMinFreeKbytes(zones: readonly Zone[]): number {
  let nrZones = 0;
  for (const zone of zones) if (zone.type <= ZONE_NORMAL && zone.managedPages > 0) nrZones++;
  const pages = 512 * nrZones * 2 + 512 * nrZones * 9;
  return Math.min(pages, Math.floor(lowmemPages(zones) / 20)) * 4;
}

/** __setup_per_zone_wmarks: PM-36, PM-37. Clears the boost. */
export function setupPerZoneWmarks(
  zones: readonly Zone[],
  minFreeKbytes: number,
  watermarkScaleFactor: number,
): void {
  const pagesMin = Math.floor(minFreeKbytes / 4);
  const lowmem = lowmemPages(zones);
  for (const zone of zones) {
    const managed = zone.managedPages;
    const share = lowmem === 0 ? 0 : Math.floor((pagesMin * managed) / lowmem);
    const min =
      zone.type < ZONE_MOVABLE
        ? share
        : Math.min(Math.max(Math.floor(managed / 1024), SWAP_CLUSTER_MAX), 128);
    const delta = Math.max(
      Math.floor(share / 4),
      Math.floor((managed * watermarkScaleFactor) / 10000),
    );
    setMarks(zone, min, min + delta, min + 2 * delta, delta);
  }
}

function setMarks(zone: Zone, min: number, low: number, high: number, delta: number): void {
  zone.watermark[WMARK_MIN] = min;
  zone.watermark[WMARK_LOW] = low;
  zone.watermark[WMARK_HIGH] = high;
  zone.watermark[WMARK_PROMO] = high + delta;
  zone.watermarkBoost = 0;
}

/** Applies marks that a machine description fixes; promo is as far above high as that above low. */
export function setFixedWmarks(spec: MachineSpec, zones: readonly Zone[]): void {
  for (const zone of zones) {
    const node = spec.nodes.find((n) => n.nid === zone.nid);
    const fixed = node?.zones.find((z) => z.zone === zone.type)?.watermark;
    if (fixed !== undefined) {
      setMarks(zone, fixed.min, fixed.low, fixed.high, fixed.high - fixed.low);
    }
  }
}

/** setup_per_zone_lowmem_reserve: PM-35. */
export function setupPerZoneLowmemReserve(zones: readonly Zone[]): void {
  for (const zone of zones) {
    const ratio = LOWMEM_RESERVE_RATIO[zone.type];
    let managedAbove = 0;
    for (let type = zone.type + 1; type < MAX_NR_ZONES; type++) {
      for (const above of zones) {
        if (above.nid === zone.nid && above.type === type) managedAbove += above.managedPages;
      }
      const reserve = ratio === 0 || zone.managedPages === 0 ? 0 : Math.floor(managedAbove / ratio);
      zone.lowmemReserve[type] = reserve;
    }
  }
}
