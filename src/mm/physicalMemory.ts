/**
 * The physical side of the modelled kernel: frames, zones, nodes, free memory (mm/mm_init.c,
 * mm/page_alloc.c). Boots from a MachineSpec.
 */
import { InvariantError } from '../base/assert.ts';
import type { FrameId, Nid, Order } from '../base/units.ts';
import type { MachineSpec } from '../hw/machineSpec.ts';
import type { ZoneType } from '../uapi/zone.ts';
import type { FrameTable } from './frameTable.ts';
import type { Pageblocks } from './pageblock.ts';
import type { VmStat } from './vmstat.ts';
import type { Zone } from './zone.ts';

/** Outcomes of direct compaction that the allocator distinguishes (enum compact_result). */
export const COMPACT_SKIPPED = 0; // not tried: no room, deferred
export const COMPACT_COMPLETE = 1; // ran and freed no block
export const COMPACT_SUCCESS = 2; // a block of the order should be free now
export type CompactResult = 0 | 1 | 2;

/** What the allocator asks of the kernel above it. The kernel assigns PhysicalMemory.hooks. */
export interface ReclaimHooks {
  /** PF_MEMALLOC: no reclaim from inside reclaim; may use all reserves. The allocator sets it around directReclaim and directCompact; kswapd sets it itself. */
  inReclaim: boolean;
  /** PF_MEMALLOC_PIN (PM-16): every allocation loses __GFP_MOVABLE, so no ZONE_MOVABLE, no CMA. */
  memallocPin: boolean;
  /** Called once per node of the zonelist when the low watermark fails. */
  wakeKswapd(nid: Nid, order: Order, highestZoneType: ZoneType): void;
  /** Returns the number of pages reclaimed. */
  directReclaim(order: Order, gfp: number, preferredNid: Nid, nodemask: number): number;
  /** `light`: asynchronous, only MOVABLE blocks. */
  directCompact(
    order: Order,
    gfp: number,
    preferredNid: Nid,
    nodemask: number,
    light: boolean,
  ): CompactResult;
  /** True: something was freed, try again. */
  outOfMemory(order: Order, gfp: number): boolean;
  /** can_reclaim_anon_pages: swap has room, or the node can demote. */
  canReclaimAnon(nid: Nid): boolean;
}

export interface PhysicalMemoryOptions {
  readonly trackContent: boolean;
  /** khugepaged's raise of min_free_kbytes (PM-112), unless the spec sets it; default off. */
  readonly thpRecommendedMin?: boolean;
}

export interface PhysicalNode {
  readonly nid: Nid;
  /** In the machine at all; ids between nodes that do not exist are false. */
  readonly online: boolean;
  readonly cpus: readonly number[];
  /** Ascending by type. */
  readonly zones: readonly Zone[];
  readonly present: number;
  readonly managed: number;
  /** Nodes with memory in allocation order (TI-5), itself first if it has memory. */
  readonly fallbackOrder: Int32Array;
}

export class PhysicalMemory {
  declare readonly spec: MachineSpec;
  declare readonly frames: FrameTable;
  declare readonly vmstat: VmStat;
  declare readonly blocks: Pageblocks;
  /** Populated zones, ascending by (nid, type). */
  declare readonly zones: readonly Zone[];
  /** By nid, 0 to highestNid. */
  declare readonly nodes: readonly PhysicalNode[];
  /** N_MEMORY and N_CPU as bit masks. */
  declare nodesWithMemory: number;
  declare nodesWithCpu: number;
  declare readonly highestNid: Nid;
  declare hooks: ReclaimHooks;
  /** numa_node_id(): node of the CPU that runs; for numa_local and numa_other. */
  declare currentNid: Nid;
  /** Recompute the marks after a sysctl write: setWatermarkSysctls(pm, ...) of watermark.ts. */
  declare minFreeKbytes: number;
  declare watermarkScaleFactor: number;

  constructor(spec: MachineSpec, options: PhysicalMemoryOptions) {
    throw new InvariantError(`not built yet: ${spec.name} ${options.trackContent}`);
  }

  nidOf(frame: FrameId): Nid {
    return this.blocks.nidOfBlock[frame >>> 9];
  }

  zoneOf(frame: FrameId): Zone {
    return this.zones[this.blocks.zoneOfBlock[frame >>> 9]];
  }

  /** In a free block, isolated or not (pristine included). */
  isFree(frame: FrameId): boolean {
    throw new InvariantError(`not built yet: ${frame}`);
  }

  /** Never allocated: the row is all zero. */
  isPristine(frame: FrameId): boolean {
    return this.blocks.pristineBlock[frame >>> 9] !== 0;
  }

  /** Present but never in the buddy allocator: kernel image, memmap. */
  isReserved(frame: FrameId): boolean {
    throw new InvariantError(`not built yet: ${frame}`);
  }

  /** Backed by memory. */
  isPresent(frame: FrameId): boolean {
    throw new InvariantError(`not built yet: ${frame}`);
  }
}
