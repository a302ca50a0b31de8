/** Zone types and migratetypes of include/linux/mmzone.h for x86-64. OV-3, OV-7. */

export const ZONE_DMA = 0 as const;
export const ZONE_DMA32 = 1 as const;
export const ZONE_NORMAL = 2 as const;
export const ZONE_MOVABLE = 3 as const;
export const ZONE_DEVICE = 4 as const;
export const MAX_NR_ZONES = 5;
export type ZoneType = 0 | 1 | 2 | 3 | 4;

/** As in /proc/zoneinfo. */
export const ZONE_NAMES = ['DMA', 'DMA32', 'Normal', 'Movable', 'Device'] as const;

export const MIGRATE_UNMOVABLE = 0;
export const MIGRATE_MOVABLE = 1;
export const MIGRATE_RECLAIMABLE = 2;
export const MIGRATE_HIGHATOMIC = 3;
export const MIGRATE_CMA = 4;
export const MIGRATE_ISOLATE = 5;
export const MIGRATE_TYPES = 6;
export const MIGRATETYPE_NAMES = [
  'Unmovable',
  'Movable',
  'Reclaimable',
  'HighAtomic',
  'CMA',
  'Isolate',
] as const;
