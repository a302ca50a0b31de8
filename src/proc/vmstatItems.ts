/**
 * The items of /proc/vmstat and /proc/zoneinfo, in the order in which a 7.3 kernel printed them
 * (mm/vmstat.c vmstat_text), and what the model knows of each.
 *
 * How we model it: an item has the value of the model's counter of the same name; items that the
 * model lacks are printed as 0 and stand in ITEMS_NOT_MODELLED.
 * Not modelled: the orders of other kernel versions; which items exist follows one configuration
 * (no zswap, no IOMMU pages).
 * Deviates: reclaim's pgsteal_*, pgscan_*, pgrefill counts are of the whole machine, so a
 * node shows 0; numa_* are counts of a node, so one zone of the node shows them all (zoneinfo.ts).
 */
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER, MAX_PAGE_ORDER, type Nid } from '../base/units.ts';
import type { Kernel, Zone } from '../mm/index.ts';
import {
  NODE_STAT_NAMES,
  NUMA_STAT_NAMES,
  VM_EVENT_NAMES,
  ZONE_STAT_NAMES,
} from '../uapi/vmstat.ts';
import { MIGRATE_ISOLATE } from '../uapi/zone.ts';

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const ZONE_ITEMS: readonly string[] = words(`
  nr_free_pages nr_free_pages_blocks nr_zone_inactive_anon nr_zone_active_anon
  nr_zone_inactive_file nr_zone_active_file nr_zone_unevictable nr_zone_write_pending nr_mlock
  nr_zspages nr_free_cma`);

export const NUMA_ITEMS: readonly string[] = NUMA_STAT_NAMES;

export const NODE_ITEMS: readonly string[] = words(`
  nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable
  nr_slab_reclaimable nr_slab_unreclaimable nr_isolated_anon nr_isolated_file workingset_nodes
  workingset_refault_anon workingset_refault_file workingset_activate_anon
  workingset_activate_file workingset_restore_anon workingset_restore_file
  workingset_nodereclaim nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_shmem
  nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages nr_file_pmdmapped
  nr_anon_transparent_hugepages nr_vmscan_write nr_vmscan_immediate_reclaim nr_dirtied
  nr_written nr_throttled_written nr_kernel_misc_reclaimable nr_foll_pin_acquired
  nr_foll_pin_released nr_vmalloc nr_kernel_stack nr_page_table_pages nr_sec_page_table_pages
  nr_swapcached pgpromote_success pgpromote_candidate pgpromote_candidate_nrl pgdemote_kswapd
  pgdemote_direct pgdemote_khugepaged pgdemote_proactive pgsteal_kswapd pgsteal_direct
  pgsteal_khugepaged pgsteal_proactive pgsteal_anon pgsteal_file pgscan_kswapd pgscan_direct
  pgscan_khugepaged pgscan_proactive pgscan_anon pgscan_file pgrotate_anon pgrotate_file
  pgrefill nr_hugetlb nr_balloon_pages nr_kernel_file_pages nr_gpu_active nr_gpu_reclaim`);

/** After the gauges of /proc/vmstat: limits of the whole machine, then events. */
export const MACHINE_ITEMS: readonly string[] = words(`
  nr_dirty_threshold nr_dirty_background_threshold nr_memmap_pages nr_memmap_boot_pages
  pgpgin pgpgout pswpin pswpout pgalloc_dma pgalloc_dma32 pgalloc_normal pgalloc_movable
  pgalloc_device allocstall_dma allocstall_dma32 allocstall_normal allocstall_movable
  allocstall_device pgskip_dma pgskip_dma32 pgskip_normal pgskip_movable pgskip_device pgfree
  pgactivate pgdeactivate pglazyfree pgfault pgmajfault pglazyfreed pgreuse
  pgscan_direct_throttle zone_reclaim_success zone_reclaim_failed pginodesteal slabs_scanned
  kswapd_inodesteal kswapd_low_wmark_hit_quickly kswapd_high_wmark_hit_quickly pageoutrun
  pgrotated drop_pagecache drop_slab oom_kill numa_pte_updates numa_huge_pte_updates
  numa_hint_faults numa_hint_faults_local numa_pages_migrated pgmigrate_success pgmigrate_fail
  thp_migration_success thp_migration_fail thp_migration_split compact_migrate_scanned
  compact_free_scanned compact_isolated compact_stall compact_fail compact_success
  compact_daemon_wake compact_daemon_migrate_scanned compact_daemon_free_scanned
  htlb_buddy_alloc_success htlb_buddy_alloc_fail cma_alloc_success cma_alloc_fail
  unevictable_pgs_culled unevictable_pgs_scanned unevictable_pgs_rescued
  unevictable_pgs_mlocked unevictable_pgs_munlocked unevictable_pgs_cleared
  unevictable_pgs_stranded thp_fault_alloc thp_fault_fallback thp_fault_fallback_charge
  thp_collapse_alloc thp_collapse_alloc_failed thp_file_alloc thp_file_fallback
  thp_file_fallback_charge thp_file_mapped thp_split_page thp_split_page_failed
  thp_deferred_split_page thp_underused_split_page thp_split_pmd thp_scan_exceed_none_pte
  thp_scan_exceed_swap_pte thp_scan_exceed_share_pte thp_split_pud thp_zero_page_alloc
  thp_zero_page_alloc_failed thp_swpout thp_swpout_fallback balloon_inflate balloon_deflate
  balloon_migrate swap_ra swap_ra_hit swpin_zero swpout_zero ksm_swpin_copy cow_ksm
  direct_map_level2_splits direct_map_level3_splits direct_map_level2_collapses
  direct_map_level3_collapses nrswpin nrswpout nr_unstable`);

/** All items of /proc/vmstat. */
export const VMSTAT_ITEMS: readonly string[] = [
  ...ZONE_ITEMS,
  ...NUMA_ITEMS,
  ...NODE_ITEMS,
  ...MACHINE_ITEMS,
];

/** Counted in base pages, shown in huge pages (vmstat_item_print_in_thp). */
const SHOWN_IN_THP: ReadonlySet<string> = new Set([
  'nr_shmem_hugepages',
  'nr_shmem_pmdmapped',
  'nr_file_hugepages',
  'nr_file_pmdmapped',
  'nr_anon_transparent_hugepages',
]);

const COUNTED: ReadonlySet<string> = new Set<string>([
  ...ZONE_STAT_NAMES,
  ...NODE_STAT_NAMES,
  ...NUMA_STAT_NAMES,
  ...VM_EVENT_NAMES,
  'nr_free_pages_blocks',
]);

/** Printed as 0: the model has no counter of the name. */
export const ITEMS_NOT_MODELLED: readonly string[] = VMSTAT_ITEMS.filter((n) => !COUNTED.has(n));

function index(names: readonly string[], name: string): number {
  return names.indexOf(name);
}

/** A per-zone gauge by its name; 0 if the model lacks it. */
export function zoneItem(k: Kernel, zone: Zone, name: string): number {
  if (name === 'nr_free_pages_blocks') return freePagesInBlocks(zone);
  const item = index(ZONE_STAT_NAMES, name);
  return item < 0 ? 0 : k.vmstat.zoneItem(zone.id, item);
}

/** Free pages in free blocks of at least a pageblock (NR_FREE_PAGES_BLOCKS). */
function freePagesInBlocks(zone: Zone): number {
  let pages = 0;
  for (let order = HPAGE_PMD_ORDER; order <= MAX_PAGE_ORDER; order++) {
    for (let type = 0; type < MIGRATE_ISOLATE; type++) {
      pages += zone.nrFreeBlocks(order, type) << order;
    }
  }
  return pages;
}

/** A per-node gauge by its name, in the unit the file shows; 0 if the model lacks it. */
export function nodeItem(k: Kernel, nid: Nid, name: string): number {
  const item = index(NODE_STAT_NAMES, name);
  if (item < 0) return 0;
  const value = k.vmstat.nodeItem(nid, item);
  return SHOWN_IN_THP.has(name) ? Math.floor(value / HPAGE_PMD_NR) : value;
}

/** A numa_* count of a node. */
export function numaItem(k: Kernel, nid: Nid, name: string): number {
  const row = nid * NUMA_STAT_NAMES.length;
  return k.vmstat.numa[row + index(NUMA_STAT_NAMES, name)];
}

/** Every item of /proc/vmstat with its value, in order. */
export function vmstatItems(k: Kernel): Map<string, number> {
  const out = new Map<string, number>();
  const counted = k.vmstat.snapshot();
  for (const name of VMSTAT_ITEMS) {
    const value = counted.get(name) ?? 0;
    out.set(name, SHOWN_IN_THP.has(name) ? Math.floor(value / HPAGE_PMD_NR) : value);
  }
  let inBlocks = 0;
  for (const zone of k.pm.zones) inBlocks += freePagesInBlocks(zone);
  out.set('nr_free_pages_blocks', inBlocks);
  return out;
}

/** Every item of a node's vmstat file with its value, in order: zone sums, numa, node. */
export function nodeVmstatItems(k: Kernel, nid: Nid): Map<string, number> {
  const out = new Map<string, number>();
  const zones = k.pm.zones.filter((zone) => zone.nid === nid);
  for (const name of ZONE_ITEMS) {
    let sum = 0;
    for (const zone of zones) sum += zoneItem(k, zone, name);
    out.set(name, sum);
  }
  for (const name of NUMA_ITEMS) out.set(name, numaItem(k, nid, name));
  for (const name of NODE_ITEMS) out.set(name, nodeItem(k, nid, name));
  return out;
}
