/** Watermarks and lowmem reserves (mm/page_alloc.c). PM-34..PM-37, PM-112. */
import { InvariantError } from '../base/assert.ts';
import type { Order } from '../base/units.ts';
import type { ZoneType } from '../uapi/zone.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import type { Wmark, Zone } from './zone.ts';

/** alloc_flags of mm/internal.h. */
export const ALLOC_NO_WATERMARKS = 1 << 2;
export const ALLOC_OOM = 1 << 3;
export const ALLOC_NON_BLOCK = 1 << 4;
export const ALLOC_MIN_RESERVE = 1 << 5;
export const ALLOC_CPUSET = 1 << 6;
export const ALLOC_CMA = 1 << 7;
export const ALLOC_NOFRAGMENT = 1 << 8;
export const ALLOC_KSWAPD = 1 << 11;

/** min, low, high or promo mark with the boost. */
export function wmarkPages(zone: Zone, mark: Wmark): number {
  return zone.watermark[mark] + zone.watermarkBoost;
}

/** NR_FREE_PAGES. */
export function freeCount(pm: PhysicalMemory, zone: Zone): number {
  throw new InvariantError(`not built yet: ${pm} ${zone.id}`);
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
  throw new InvariantError(
    `not built yet: ${pm} ${zone.id} ${order} ${mark} ${highestZoneType} ${allocFlags}`,
  );
}

/** Writes of vm.min_free_kbytes (0 = computed, PM-36) and vm.watermark_scale_factor. */
export function setWatermarkSysctls(
  pm: PhysicalMemory,
  minFreeKbytes: number,
  watermarkScaleFactor: number,
): void {
  throw new InvariantError(`not built yet: ${pm} ${minFreeKbytes} ${watermarkScaleFactor}`);
}
