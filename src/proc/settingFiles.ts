/**
 * Settings and counts below /sys/kernel/mm and /proc/sys that the model has: pools of huge pages,
 * KSM, CMA areas, weighted interleave, demotion, transparent huge pages, sysctls.
 *
 * Files of what is not modelled (khugepaged, lru_gen, KSM's advisor) are not there.
 * Not modelled: 1 GiB pages, deny and force of shmem_enabled, statistics of THP sizes.
 */
import { HPAGE_PMD_ORDER, type Nid, PAGE_SIZE } from '../base/units.ts';
import {
  type Kernel,
  ksmPages,
  LOWMEM_RESERVE_RATIO,
  THP_ENABLED,
  THP_ORDER_MIN,
  THP_SETTINGS,
} from '../mm/index.ts';
import { type KernelFile, lineFile } from './kernelFile.ts';

const MM = '/sys/kernel/mm';
const KIB_PER_PAGE = PAGE_SIZE / 1024;

export function settingFiles(k: Kernel): KernelFile[] {
  return [
    ...sysctlFiles(k),
    ...hugetlbFiles(k),
    ...thpFiles(k),
    ...interleaveFiles(k),
    ...ksmFiles(k),
    ...cmaFiles(k),
    lineFile(`${MM}/numa/demotion_enabled`, () => String(k.sysctl.demotion_enabled)),
  ];
}

const SCHED = '/sys/kernel/debug/sched/numa_balancing';

function sysctlFiles(k: Kernel): KernelFile[] {
  const s = k.sysctl;
  const c = k.compaction;
  return [
    lineFile('/proc/sys/kernel/numa_balancing', () => s.numa_balancing),
    lineFile(
      '/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps',
      () => s.numa_balancing_promote_rate_limit_MBps,
    ),
    lineFile('/proc/sys/vm/compact_unevictable_allowed', () => (c.unevictableAllowed ? 1 : 0)),
    lineFile('/proc/sys/vm/compaction_proactiveness', () => c.proactiveness),
    lineFile('/proc/sys/vm/extfrag_threshold', () => c.extfragThreshold),
    lineFile('/proc/sys/vm/lowmem_reserve_ratio', () => LOWMEM_RESERVE_RATIO.join('\t')),
    lineFile('/proc/sys/vm/min_free_kbytes', () => k.pm.minFreeKbytes),
    lineFile('/proc/sys/vm/nr_hugepages', () => k.hugetlb.total),
    lineFile('/proc/sys/vm/nr_overcommit_hugepages', () => k.hugetlb.overcommit),
    lineFile('/proc/sys/vm/overcommit_memory', () => s.overcommit_memory),
    lineFile('/proc/sys/vm/swappiness', () => s.swappiness),
    lineFile('/proc/sys/vm/watermark_boost_factor', () => k.pm.watermarkBoostFactor),
    lineFile('/proc/sys/vm/watermark_scale_factor', () => k.pm.watermarkScaleFactor),
    lineFile('/proc/sys/vm/zone_reclaim_mode', () => s.zone_reclaim_mode),
    lineFile(`${SCHED}/hot_threshold_ms`, () => s.numa_balancing_hot_threshold_ms),
    lineFile(`${SCHED}/scan_delay_ms`, () => s.numa_balancing_scan_delay_ms),
    lineFile(`${SCHED}/scan_period_max_ms`, () => s.numa_balancing_scan_period_max_ms),
    lineFile(`${SCHED}/scan_period_min_ms`, () => s.numa_balancing_scan_period_min_ms),
    lineFile(`${SCHED}/scan_size_mb`, () => s.numa_balancing_scan_size_mb),
  ];
}

/** The pool of 2 MiB pages, of the machine and of its nodes. */
function hugetlbFiles(k: Kernel): KernelFile[] {
  const pool = k.hugetlb;
  const at = `${MM}/hugepages/hugepages-2048kB`;
  const files: KernelFile[] = [
    lineFile(`${at}/free_hugepages`, () => pool.totalFree),
    lineFile(`${at}/nr_hugepages`, () => pool.total),
    lineFile(`${at}/nr_hugepages_mempolicy`, () => pool.total),
    lineFile(`${at}/nr_overcommit_hugepages`, () => pool.overcommit),
    lineFile(`${at}/resv_hugepages`, () => pool.reserved),
    lineFile(`${at}/surplus_hugepages`, () => pool.totalSurplus),
  ];
  for (const { nid, online } of k.pm.nodes) if (online) files.push(...nodeHugetlbFiles(k, nid));
  return files;
}

function nodeHugetlbFiles(k: Kernel, nid: Nid): KernelFile[] {
  const pool = k.hugetlb;
  const at = `/sys/devices/system/node/node${nid}/hugepages/hugepages-2048kB`;
  return [
    lineFile(`${at}/free_hugepages`, () => pool.freeOf(nid)),
    lineFile(`${at}/nr_hugepages`, () => pool.nrHuge[nid]),
    lineFile(`${at}/surplus_hugepages`, () => pool.surplus[nid]),
  ];
}

/** All that can be chosen, what is chosen in brackets. */
export function choiceText(choices: readonly string[], chosen: string): string {
  return choices.map((choice) => (choice === chosen ? `[${choice}]` : choice)).join(' ');
}

const THP_DEFRAG = ['always', 'defer', 'defer+madvise', 'madvise', 'never'];
const SHMEM_ENABLED = ['always', 'within_size', 'advise', 'never', 'deny', 'force'];

function thpFiles(k: Kernel): KernelFile[] {
  const at = `${MM}/transparent_hugepage`;
  const s = k.sysctl;
  const files = [
    lineFile(`${at}/defrag`, () => choiceText(THP_DEFRAG, s.thp_defrag)),
    lineFile(`${at}/enabled`, () => choiceText(THP_ENABLED, s.thpForAll)),
    lineFile(`${at}/hpage_pmd_size`, () => PAGE_SIZE << HPAGE_PMD_ORDER),
    lineFile(`${at}/shmem_enabled`, () => choiceText(SHMEM_ENABLED, s.shmem_thp)),
  ];
  for (let order = THP_ORDER_MIN; order <= HPAGE_PMD_ORDER; order++) {
    const path = `${at}/hugepages-${KIB_PER_PAGE << order}kB/enabled`;
    files.push(lineFile(path, () => choiceText(THP_SETTINGS, s.thpOfOrder[order]), 'mthpSizes'));
  }
  return files;
}

/** TI-82: weights since 6.9, automatic ones since 6.16. */
function interleaveFiles(k: Kernel): KernelFile[] {
  const at = `${MM}/mempolicy/weighted_interleave`;
  const files = [lineFile(`${at}/auto`, () => String(k.interleaveAuto), 'autoInterleaveWeights')];
  for (const { nid, online } of k.pm.nodes) {
    if (!online) continue;
    files.push(lineFile(`${at}/node${nid}`, () => k.interleaveWeights[nid], 'weightedInterleave'));
  }
  return files;
}

function ksmFiles(k: Kernel): KernelFile[] {
  return [
    lineFile(`${MM}/ksm/max_page_sharing`, () => k.ksm.maxPageSharing),
    lineFile(`${MM}/ksm/merge_across_nodes`, () => (k.ksm.mergeAcrossNodes ? 1 : 0)),
    lineFile(`${MM}/ksm/pages_shared`, () => ksmPages(k).shared),
    lineFile(`${MM}/ksm/pages_sharing`, () => ksmPages(k).sharing),
    lineFile(`${MM}/ksm/smart_scan`, () => (k.ksm.smartScan ? 1 : 0), 'ksmSmartScan'),
  ];
}

/** mm/cma_debug.c and mm/cma_sysfs.c: areas by number; the first is the kernel's own. */
function cmaFiles(k: Kernel): KernelFile[] {
  return k.cma.flatMap((area) => {
    const debug = `/sys/kernel/debug/cma/${area.name}`;
    const at = `${MM}/cma/${area.name}`;
    return [
      lineFile(`${debug}/base_pfn`, () => area.basePfn),
      lineFile(`${debug}/count`, () => area.count),
      lineFile(`${debug}/maxchunk`, () => area.longestFree),
      lineFile(`${debug}/order_per_bit`, () => 0),
      lineFile(`${debug}/used`, () => area.count - area.available),
      lineFile(`${at}/alloc_pages_fail`, () => area.failed),
      lineFile(`${at}/alloc_pages_success`, () => area.allocated),
      lineFile(`${at}/available_pages`, () => area.available),
      lineFile(`${at}/release_pages_success`, () => area.released),
      lineFile(`${at}/total_pages`, () => area.count),
    ];
  });
}
