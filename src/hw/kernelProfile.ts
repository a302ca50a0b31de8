/**
 * What tells the modelled versions of Linux apart: one table of named behaviours, each with the
 * first or last version that shows it, the rule, and the observed case or source that says so.
 *
 * Real thing: the kernels that `test/conformance/cases` were observed on. A machine file chooses
 * one (`kernel: "6.12"`); the modelled kernel reads `k.profile`. No other file compares versions.
 * docs/model/kernels.md is this table (`npm run deviations`).
 * Deviates: files of /proc and /sys have the layout of 7.3 on every version; counters that an
 * older version did not have stay 0.
 * Not modelled: versions between these; backports of distributions; multi-generation LRU, which
 * the older kernels ran and 7.3 did not: reclaim is the plain LRU's on every version.
 */

/** Newest first; the first one is the default. */
export const KERNEL_VERSIONS = ['7.3', '7.2', '6.12', '6.1'] as const;
export type KernelVersion = (typeof KERNEL_VERSIONS)[number];
export const DEFAULT_KERNEL: KernelVersion = KERNEL_VERSIONS[0];

interface Behaviour {
  /** The oldest version that has it; omitted: all up to `until`. */
  readonly since?: KernelVersion;
  /** The newest version that has it; omitted: all from `since` on. */
  readonly until?: KernelVersion;
  readonly rule: string;
  /** Observed case, or the release whose source changed. */
  readonly evidence: string;
  readonly what: string;
}

export const BEHAVIOURS = {
  holesAreEnoent: {
    since: '6.12',
    rule: 'MP-22, MP-51',
    evidence: 'mp_move_untouched, mp_numa_hint_pte, mp_devmem',
    what: 'move_pages: anonymous memory never touched and raw frames are -ENOENT, before -EFAULT',
  },
  strictMbindMovesTheRest: {
    since: '6.12',
    rule: 'MP-83',
    evidence: 'mbind_ksm; 6.7',
    what: 'mbind STRICT: a folio that cannot be isolated does not keep the others from moving',
  },
  weightedInterleave: {
    since: '6.12',
    rule: 'MP-70, TI-80',
    evidence: 'mbind_weighted_move, pol_weighted_interleave; 6.9',
    what: 'MPOL_WEIGHTED_INTERLEAVE and its weights in sysfs',
  },
  autoInterleaveWeights: {
    since: '7.2',
    rule: 'TI-82, TI-83',
    evidence: 'pol_weighted_interleave; 6.16',
    what: 'weights from bandwidth, file auto, writing 0 is -EINVAL; before: all 1, 0 resets to 1',
  },
  balancingWithPreferredMany: {
    since: '6.12',
    rule: 'MP-70',
    evidence: 'pol_set_errors; 6.10',
    what: 'MPOL_F_NUMA_BALANCING goes with MPOL_PREFERRED_MANY too, before only with MPOL_BIND',
  },
  damosMigration: {
    since: '6.12',
    rule: 'HS-85',
    evidence: '6.11',
    what: 'DAMOS actions migrate_hot and migrate_cold, target_nid; of physical memory only',
  },
  damosVirtualMigration: {
    since: '7.2',
    rule: 'HS-85',
    evidence: '6.17',
    what: 'DAMOS migrates virtual memory, too, to destinations with weights (dests)',
  },
  damosLayerFilters: {
    since: '7.2',
    rule: 'HS-84, HS-110',
    evidence: '6.14',
    what: 'core_filters, ops_filters, and allow of a filter, in the files of DAMON',
  },
  damonIntervalsGoal: {
    since: '7.2',
    rule: 'HS-87',
    evidence: '6.15',
    what: 'intervals_goal: DAMON tunes its intervals',
  },
  damosNodeGoals: {
    since: '7.2',
    rule: 'HS-81',
    evidence: '6.16',
    what: 'quota goals about memory of a node (node_mem_used_bp, node_mem_free_bp), and their nid',
  },
  mthpSizes: {
    since: '6.12',
    rule: 'OV-31b',
    evidence: 'mthp_64k; 6.8',
    what: 'anonymous folios of 16 KiB to 1 MiB, hugepages-<size>kB/enabled',
  },
  largeSwapIn: {
    since: '6.12',
    rule: 'OV-31b, OV-31c',
    evidence: '6.12: alloc_swap_folio',
    what: 'a page in swap comes back with its neighbours as one folio of 16 KiB to 1 MiB',
  },
  largeFileFolios: {
    since: '7.2',
    rule: 'OV-24a',
    evidence: 'mp_file_large_folio; 6.16',
    what: 'ext4 fills its page cache with large folios; before: always single pages',
  },
  sharedByMmIds: {
    since: '7.2',
    rule: 'OV-16',
    evidence: '6.15',
    what: 'a large folio is shared by its mm id slots; before: guessed from its first page',
  },
  partialFoliosSplitFirst: {
    since: '6.12',
    rule: 'MC-12, MC-50',
    evidence: 'mp_thp_partially_unmapped; 6.11',
    what: 'migration splits partially mapped folios first; before: moves them whole',
  },
  splitDropsZeroPages: {
    since: '6.12',
    rule: 'MC-87',
    evidence: '6.12',
    what: 'a split maps the zero page in place of all-zero anonymous pages',
  },
  cpusetMayBeEmptied: {
    since: '7.2',
    rule: 'MP-106, MP-106a',
    evidence: '7.0: cpuset1_validate_change',
    what: 'cpuset.mems of a v2 cgroup with tasks can be cleared; before: -ENOSPC, as on v1',
  },
  hugetlbPoolsStayOnNode: {
    since: '6.12',
    rule: 'MP-113, PM-20',
    evidence: '6.10: htlb_allow_alloc_fallback',
    what: 'pins, compaction and demotion take no fresh hugetlb page of another node; before: any',
  },
  hugeZeroWriteIsHuge: {
    since: '7.2',
    rule: 'OV-31b',
    evidence: '6.13: do_huge_zero_wp_pmd',
    what: 'a write to the huge zero page gets a huge page; before: a small one',
  },
  mremapMovesManyAreas: {
    since: '7.2',
    rule: 'OV-29',
    evidence: '6.17: remap_move',
    what: 'mremap with FIXED and one length moves all areas of a range; before: one, else -EFAULT',
  },
  ksmSmartScan: {
    since: '6.12',
    rule: 'OV-31h',
    evidence: '6.7',
    what: 'KSM looks less often at pages that do not merge (smart_scan is on)',
  },
  ksmWaitsForChecksum: {
    since: '6.12',
    rule: 'OV-31h',
    evidence: '6.11',
    what: 'a page joins a merged one once two KSM scans saw its content; before: at once',
  },
  migrationWritesOut: {
    until: '6.12',
    rule: 'MC-41',
    evidence: '6.16',
    what: 'SYNC migration writes dirty folios without migrate_folio out: -EINVAL without writepage',
  },
  batchedTlbFlush: {
    since: '6.12',
    rule: 'MC-4, MC-25',
    evidence: '6.3',
    what: 'migration unmaps and flushes in batches; before: a flush per folio',
  },
  reservedVdso: {
    until: '7.2',
    rule: 'MP-67a, MP-85',
    evidence: 'mig_self_0_1 and all whole-process migrate_pages',
    what: 'the vDSO page is skipped; on 7.3 it counts as not migrated (of the build, maybe)',
  },
  textSharedWithInit: {
    since: '7.3',
    rule: 'MP-26',
    evidence: 'mp_stack_and_text',
    what: 'how the observed guest was started, no property of the version: init runs the same file',
  },
  truncateKeepsLargePieces: {
    since: '7.2',
    rule: 'MC-85, MC-86',
    evidence: '6.15: folio_split',
    what: 'truncation splits a large folio unevenly; before: to single pages',
  },
  gupFollowsNumaHints: {
    since: '6.12',
    rule: 'PM-1',
    evidence: '6.5, 6.6: FOLL_HONOR_NUMA_FAULT',
    what: 'GUP takes pages through NUMA hint entries; before: it faults them in, except with FORCE',
  },
  busyZspageIsFinal: {
    since: '7.2',
    rule: 'MC-75',
    evidence: '6.15',
    what: 'a zspage that somebody reads: -EINVAL, permanent; before: -EAGAIN, tried again',
  },
  secretMemoryIsMlocked: {
    until: '6.12',
    rule: 'MC-41a, PM-3',
    evidence: 'mp_memfd_secret, pin_memfd_secret',
    what: 'pages of secret memory are marked mlocked; later only unevictable',
  },
  poisonSignalsAtOnce: {
    since: '6.12',
    rule: 'MC-82a',
    evidence: 'hwpoison_move',
    what: 'MADV_HWPOISON: SIGBUS for the caller at once; before: at the next access',
  },
  poisonedBlocksStayOffline: {
    since: '6.12',
    rule: 'PM-74',
    evidence: '6.2',
    what: 'a memory block with poisoned pages cannot go online again; before: they are new pages',
  },
  pinIgnoresMovableOnlyPolicy: {
    since: '7.3',
    rule: 'PM-20a, OV-31e',
    evidence: 'pin_untouched_bound3',
    what: 'faults of a long-term pin drop a mask of movable-only nodes; before: -ENOMEM',
  },
  performanceTiers: {
    since: '6.12',
    rule: 'TI-1, TI-2',
    evidence: 'dem_tiers; 6.6',
    what: 'tiers from latency and bandwidth; before: every node without a driver is DRAM',
  },
  demotionHeedsCpuset: {
    since: '7.2',
    rule: 'TI-10',
    evidence: '6.16, as in 7.0',
    what: 'demotion keeps to the nodes that the cpuset of the memory cgroup allows',
  },
  countsPromotionsWithoutLimit: {
    since: '7.2',
    rule: 'TI-24',
    evidence: '6.18',
    what: 'counter pgpromote_candidate_nrl',
  },
  nodeReclaimFile: {
    since: '7.2',
    rule: 'TI-111',
    evidence: 'dem_node_reclaim; 6.17',
    what: '/sys/devices/system/node/nodeN/reclaim',
  },
  collapseFetchesEntries: {
    until: '6.12',
    rule: 'DM-66, OV-31i',
    evidence: '6.19 (khugepaged: abort collapse scan on non-swap entries)',
    what: 'a collapse brings device pages back and ends exclusive access; later it gives up',
  },
  largeDeviceFolios: {
    since: '7.2',
    rule: 'DM-24, DM-60',
    evidence: 'hmm_thp; 6.19',
    what: 'a huge page goes to device memory and back whole; before: split',
  },
  deviceRefsFromZero: {
    since: '7.2',
    rule: 'DM-50',
    evidence: '6.15',
    what: 'a free page of device memory has no reference; before: one',
  },
  guardRegions: {
    since: '7.2',
    rule: 'OV-32',
    evidence: '6.13, for files 6.15',
    what: 'MADV_GUARD_INSTALL, MADV_GUARD_REMOVE; before: -EINVAL',
  },
  kpageflagsOfHolesIsNopage: {
    until: '6.12',
    rule: 'HS-15',
    evidence: '6.18',
    what: '/proc/kpageflags of a hole has NOPAGE; later 0',
  },
  kpageflagsSaysKsmOfAnon: {
    since: '6.12',
    until: '6.12',
    rule: 'HS-14',
    evidence: 'every case with anonymous pages on 6.12',
    what: '/proc/kpageflags has KSM for every anonymous page',
  },
} as const satisfies Readonly<Record<string, Behaviour>>;

export type BehaviourName = keyof typeof BEHAVIOURS;

/** A version and what it does. */
export type KernelProfile = { readonly version: KernelVersion } & Readonly<
  Record<BehaviourName, boolean>
>;

/** 0 = newest. */
function ageOf(version: KernelVersion): number {
  return KERNEL_VERSIONS.indexOf(version);
}

function shows(version: KernelVersion, behaviour: Behaviour): boolean {
  const { since, until } = behaviour;
  const isYoungEnough = since === undefined || ageOf(version) <= ageOf(since);
  return isYoungEnough && (until === undefined || ageOf(version) >= ageOf(until));
}

function profileOf(version: KernelVersion): KernelProfile {
  const behaviours = Object.entries(BEHAVIOURS).map(([name, one]) => [name, shows(version, one)]);
  return Object.freeze({ version, ...Object.fromEntries(behaviours) });
}

const PROFILES: Readonly<Record<string, KernelProfile>> = Object.fromEntries(
  KERNEL_VERSIONS.map((version) => [version, profileOf(version)]),
);

export function isKernelVersion(text: string): text is KernelVersion {
  return (KERNEL_VERSIONS as readonly string[]).includes(text);
}

export function kernelProfile(version: KernelVersion): KernelProfile {
  return PROFILES[version]!;
}
