/**
 * What a machine is: the validated, unit-free form of a machine file. Presets, YAML files and the
 * conformance machines all become this; the modelled kernel boots from it and the cost model
 * prices accesses and copies with it. Plain data: it can be stored in results and sent to workers.
 *
 * Units: bytes, nanoseconds, bytes per nanosecond (= GB/s), page frame numbers of 4 KiB.
 */
import type { Nanoseconds, Nid, Pfn } from '../base/units.ts';
import type { ZoneType } from '../uapi/zone.ts';
import type { ExperimentalFeature } from './experimental.ts';
import type { KernelVersion } from './kernelProfile.ts';
import type { NodeCapability } from './nodeCapability.ts';

export interface MachineSpec {
  readonly name: string;
  /** One sentence for lists. */
  readonly description?: string;
  /** Where the numbers come from: printed in every report. */
  readonly sources: readonly string[];
  /** kernelProfile.ts says what it does. */
  readonly kernel: KernelVersion;
  readonly nodes: readonly NodeSpec[];
  /** distance[a][b], local 10 (OV-2). */
  readonly distance: readonly (readonly number[])[];
  readonly links: readonly LinkSpec[];
  readonly swap: SwapSpec;
  readonly costs: CostSpec;
  readonly sysctl: Readonly<Partial<SysctlSpec>>;
  /** /sys/kernel/mm/mempolicy/weighted_interleave; omitted = automatic from bandwidth (TI-83). */
  readonly interleaveWeights?: Readonly<Record<number, number>>;
  readonly vdso: boolean;
  /** Features that Linux does not have (experimental.ts); omitted = none. */
  readonly experimental?: readonly ExperimentalFeature[];
  /** Of the CPU: where the physical map ends; omitted = 46. */
  readonly physicalAddressBits?: number;
  /** Pages of a memory block (block_size_bytes); omitted = as x86-64 chooses it. */
  readonly memoryBlockPages?: number;
}

export type NodeKind = 'dram' | 'cxl' | 'hbm' | 'pmem';

export interface NodeSpec {
  readonly nid: Nid;
  readonly kind: NodeKind;
  readonly role: string;
  /** CPU numbers; [] = a CPU-less node. */
  readonly cpus: readonly number[];
  readonly zones: readonly ZoneSpec[];
  readonly perf: NodePerf;
  /** Hotplugged after boot: automatic interleave weights leave it at 1 (TI-83). */
  readonly hotplugged: boolean;
  /**
   * Abstract distance fixed by a driver instead of computed from performance data (TI-2), for
   * memory whose firmware tells nothing: dax/kmem uses 2880. Omitted = computed.
   */
  readonly abstractDistance?: number;
  /** What the kernel may do with its memory; omitted = everything (nodeCapability.ts). */
  readonly capabilities?: readonly NodeCapability[];
  /** Price, for planning; 0 = not given. */
  readonly costPerGib: number;
}

export interface ZoneSpec {
  readonly zone: ZoneType;
  readonly startPfn: Pfn;
  /** Exclusive. */
  readonly endPfn: Pfn;
  /**
   * Frames in the span that are not there (firmware, holes): those of `holes`, and what these leave
   * over from the start of the zone.
   */
  readonly absentPages: number;
  /** Known places of absent frames, ascending, inside the span. */
  readonly holes?: readonly { readonly startPfn: Pfn; readonly endPfn: Pfn }[];
  /** Present frames that boot reserved (kernel image, memmap): never in the buddy allocator. */
  readonly reservedPages: number;
  /** Fixed watermarks (pages), when an observed machine is rebuilt; else PM-36, PM-37 decide. */
  readonly watermark?: { readonly min: number; readonly low: number; readonly high: number };
  readonly cma?: readonly { readonly startPfn: Pfn; readonly pages: number }[];
}

/**
 * Seen from the node's closest CPUs, unloaded. What a link adds (LinkSpec.latencyNs) comes on top:
 * the figures here are those of a path without links that add latency.
 */
export interface NodePerf {
  readonly readLatencyNs: Nanoseconds;
  readonly writeLatencyNs: Nanoseconds;
  /**
   * Sustained peak in bytes per nanosecond: what a saturating benchmark (MLC, STREAM) measures, not
   * the product of channels and transfer rate.
   */
  readonly readBandwidth: number;
  /** Of writes alone: readBandwidth * mixBandwidth[0]. */
  readonly writeBandwidth: number;
  /**
   * Sustained peak for a mix of reads and writes, as a fraction of readBandwidth, by read share 0,
   * ¼, ½, ¾, 1.
   */
  readonly mixBandwidth: readonly [number, number, number, number, number];
  /** Loaded latency: multiplier of unloaded latency at rising utilisation; loadedLatency.ts. */
  readonly curve: LoadedLatencyCurve;
  /**
   * Share of the sustained peak that is lost when far more is in flight than saturates the device
   * (expanders: thrashed buffers, flow control). Omitted = 0, as measured on DRAM.
   */
  readonly overloadLoss?: number;
}

/** Piecewise linear: factor[i] at utilisation[i]; both rise, utilisation from 0 to at most 1. */
export interface LoadedLatencyCurve {
  readonly utilisation: readonly number[];
  readonly factor: readonly number[];
}

/** A shared path (UPI, CXL port, switch) between CPUs of `from` nodes and memory of `to` nodes. */
export interface LinkSpec {
  readonly name: string;
  readonly from: readonly Nid[];
  readonly to: readonly Nid[];
  readonly latencyNs: Nanoseconds;
  readonly readBandwidth: number;
  readonly writeBandwidth: number;
  readonly curve: LoadedLatencyCurve;
}

export interface SwapSpec {
  /** 0 = no swap. */
  readonly pages: number;
  readonly readNs: Nanoseconds;
  readonly writeNs: Nanoseconds;
}

/** What kernel work costs, in nanoseconds; every constant has its source in the preset file. */
export interface CostSpec {
  /** Per call of move_pages: LRU batches of all CPUs are drained and turned off (MP-11). */
  readonly migrateCallNs: Nanoseconds;
  /** Per migrated folio: allocation, locking, mapping switch. */
  readonly migrateFolioNs: Nanoseconds;
  /** Per page table entry found by rmap: unmap and remap. */
  readonly rmapEntryNs: Nanoseconds;
  /** Per CPU interrupted by a TLB shoot-down. */
  readonly tlbShootdownNs: Nanoseconds;
  /** Copy bandwidth of one CPU in bytes per nanosecond, when neither node limits it. */
  readonly copyBandwidth: number;
  readonly minorFaultNs: Nanoseconds;
  readonly hintFaultNs: Nanoseconds;
  /** Zeroing a 4 KiB page. */
  readonly clearPageNs: Nanoseconds;
  readonly majorFaultNs: Nanoseconds;
  /** Reclaim: scanning one folio. */
  readonly scanFolioNs: Nanoseconds;
  /** NUMA balancing: marking one entry PROT_NONE. */
  readonly scanPteNs: Nanoseconds;
  /** Hardware sampling: one record (HS-35). */
  readonly sampleNs: Nanoseconds;
  /** Misses a core keeps in flight: stall = latency / overlap for independent accesses. */
  readonly memoryParallelism: number;
  /** Cost of one instruction that hits the caches. */
  readonly instructionNs: Nanoseconds;
}

/** Kernel settings under their sysctl/sysfs names. */
export interface SysctlSpec {
  readonly numa_balancing: number;
  readonly numa_balancing_promote_rate_limit_MBps: number;
  readonly numa_balancing_hot_threshold_ms: number;
  readonly numa_balancing_scan_delay_ms: number;
  readonly numa_balancing_scan_period_min_ms: number;
  readonly numa_balancing_scan_period_max_ms: number;
  readonly numa_balancing_scan_size_mb: number;
  readonly demotion_enabled: boolean;
  /** TPP's patches, in 1/10000 of a zone; 0 = a kernel without them, as every release is. */
  readonly demote_scale_factor: number;
  readonly swappiness: number;
  readonly min_free_kbytes: number;
  readonly watermark_scale_factor: number;
  /** 0 = stolen pageblocks raise no watermark. */
  readonly watermark_boost_factor: number;
  readonly zone_reclaim_mode: number;
  readonly thp_enabled: 'always' | 'madvise' | 'never';
  readonly thp_defrag: 'always' | 'defer' | 'defer+madvise' | 'madvise' | 'never';
  readonly shmem_thp: 'always' | 'within_size' | 'advise' | 'never';
  readonly overcommit_memory: number;
}

/** Defaults of SysctlSpec: TI table in section 11, and a distribution's THP settings. */
export const SYSCTL_DEFAULTS: SysctlSpec = {
  numa_balancing: 0,
  numa_balancing_promote_rate_limit_MBps: 65536,
  numa_balancing_hot_threshold_ms: 1000,
  numa_balancing_scan_delay_ms: 1000,
  numa_balancing_scan_period_min_ms: 1000,
  numa_balancing_scan_period_max_ms: 60000,
  numa_balancing_scan_size_mb: 256,
  demotion_enabled: false,
  demote_scale_factor: 0,
  swappiness: 60,
  /** 0 = computed from lowmem (PM-36). */
  min_free_kbytes: 0,
  watermark_scale_factor: 10,
  watermark_boost_factor: 15000,
  zone_reclaim_mode: 0,
  thp_enabled: 'madvise',
  thp_defrag: 'madvise',
  shmem_thp: 'never',
  overcommit_memory: 0,
};
