/**
 * The physical side of the modelled kernel: frames, pageblocks, zones, nodes, zonelists, and the
 * hooks through which the allocator reaches reclaim (mm/mm_init.c free_area_init, mm/page_alloc.c
 * build_all_zonelists, include/linux/mmzone.h). Boots from a MachineSpec.
 *
 * Boot is lazy: no frame row is written but those of the few free blocks at the ragged ends of a
 * zone. What a row that was never written means is derived: `isPresent`, `isReserved`, `isFree`,
 * `isPristine` answer from the zone's layout and the pageblock columns, so 1 TiB boots in
 * milliseconds and costs what it touches.
 *
 * Layout of a zone: holes where the spec places them, absent frames without a place first, then
 * frames reserved by boot, then managed memory; CMA areas inside it. Zones may start and end
 * anywhere, but no two zones may share a pageblock, which makes node and zone of a frame a
 * pageblock fact. Device memory comes after boot into rows kept for it (memremap.ts): it has no
 * zone of its own here, because the allocator never sees it.
 * Offlining and onlining of memory blocks change zones later (hotplugZone.ts).
 * Not modelled: memory hot-add after boot, deferred struct page init.
 * Order: zones, then free lists, then watermarks and reserves, then zonelists.
 */
import { assert } from '../base/assert.ts';
import {
  type FrameId,
  type Nid,
  type Order,
  PAGEBLOCK_NR,
  PAGEBLOCK_ORDER,
  PAGES_PER_SECTION,
  type Pfn,
} from '../base/units.ts';
import {
  type MachineSpec,
  NODES_MAX,
  type NodeCapability,
  type NodeGraph,
  type NodeSpec,
  type NodesCapable,
  nodesCapable,
  SYSCTL_DEFAULTS,
  type ZoneSpec,
} from '../hw/index.ts';
import {
  MAX_NR_ZONES,
  MIGRATE_CMA,
  MIGRATE_MOVABLE,
  ZONE_DEVICE,
  ZONE_DMA32,
  ZONE_NORMAL,
  type ZoneType,
} from '../uapi/zone.ts';
import { Buddy } from './buddy.ts';
import { FrameTable, PG_RESERVED } from './frameTable.ts';
import { MemoryBlocks } from './memoryBlocks.ts';
import { DEVICE_ZONE, NO_ZONE, Pageblocks } from './pageblock.ts';
import { VmStat } from './vmstat.ts';
import {
  setFixedWmarks,
  setupPerZoneLowmemReserve,
  setWatermarkSysctls,
  thpRecommendedMinFreeKbytes,
} from './watermark.ts';
import { type FrameRange, nrFrames, Zone } from './zone.ts';
import { Zonelists } from './zonelist.ts';

/** Outcomes of compaction (enum compact_result), from worst to best. */
export const COMPACT_SKIPPED = 1; // not enough free memory to work with, or not fragmented
export const COMPACT_DEFERRED = 2; // failed lately, so not tried
export const COMPACT_CONTINUE = 4;
export const COMPACT_COMPLETE = 5; // the whole zone, and no block of the order
export const COMPACT_PARTIAL_SKIPPED = 6; // the same for the rest of the zone
export const COMPACT_CONTENDED = 7; // given up
export const COMPACT_SUCCESS = 8; // a block of the order should be free now
export type CompactResult = 1 | 2 | 4 | 5 | 6 | 7 | 8;

/** How hard direct compaction tries (enum compact_priority). */
export const COMPACT_PRIO_SYNC_FULL = 0;
export const COMPACT_PRIO_SYNC_LIGHT = 1;
export const COMPACT_PRIO_ASYNC = 2;
export type CompactPriority = 0 | 1 | 2;

/** What the allocator asks of the kernel above it. The kernel assigns PhysicalMemory.hooks. */
export interface ReclaimHooks {
  /**
   * PF_MEMALLOC: no reclaim from inside reclaim, and all reserves may be used (unless
   * __GFP_NOMEMALLOC). The allocator sets it around directReclaim and directCompact; kswapd sets
   * it itself.
   */
  inReclaim: boolean;
  /** PF_MEMALLOC_PIN (PM-16): allocations lose __GFP_MOVABLE, so no ZONE_MOVABLE and no CMA. */
  memallocPin: boolean;
  /** PF_MEMALLOC_NOCMA, of kernels before 5.13: movable allocations do not use CMA. */
  memallocNocma: boolean;
  /** Once per node of the zonelist in turn, when the low watermark failed everywhere. */
  wakeKswapd(nid: Nid, order: Order, highestZoneType: ZoneType, gfp?: number): void;
  /** Returns the number of pages reclaimed. */
  directReclaim(order: Order, gfp: number, preferredNid: Nid, nodemask: number): number;
  directCompact(
    order: Order,
    gfp: number,
    preferredNid: Nid,
    nodemask: number,
    priority: CompactPriority,
    allocFlags: number,
  ): CompactResult;
  /** compaction_defer_reset: the allocation for which compaction ran got its block. */
  compactionHelped(zoneId: number, order: Order): void;
  /**
   * compaction_zonelist_suitable: could compaction work on some zone if all was reclaimed that
   * can be?
   */
  compactionCouldWork(zone: Zone, order: Order, highest: ZoneType, freePages: number): boolean;
  /** True: something was freed, try again. */
  outOfMemory(order: Order, gfp: number): boolean;
  /** can_reclaim_anon_pages: swap has room, or the node can demote. */
  canReclaimAnon(nid: Nid): boolean;
}

/** Before anything above the allocator exists: nothing can be reclaimed. */
export class NoReclaim implements ReclaimHooks {
  inReclaim = false;
  memallocPin = false;
  memallocNocma = false;

  wakeKswapd(): void {}

  directReclaim(): number {
    return 0;
  }

  directCompact(): CompactResult {
    return COMPACT_SKIPPED;
  }

  compactionHelped(): void {}

  compactionCouldWork(): boolean {
    return false;
  }

  outOfMemory(): boolean {
    return false;
  }

  canReclaimAnon(): boolean {
    return false;
  }
}

export interface PhysicalMemoryOptions {
  readonly trackContent: boolean;
  /** khugepaged's raise of min_free_kbytes (PM-112) if that is more; default off. */
  readonly thpRecommendedMin?: boolean;
  /** Sections (128 MiB) of device memory there is room for; default none. */
  readonly deviceSections?: number;
}

export interface PhysicalNode {
  readonly nid: Nid;
  /** In the machine at all; numbers between nodes that do not exist are offline. */
  readonly online: boolean;
  readonly cpus: readonly number[];
  /** Hotplugged after boot: its memory is not early memory. */
  readonly hotplugged: boolean;
  /** Ascending by type; one whose blocks are all offline stays, unpopulated. */
  zones: readonly Zone[];
  present: number;
  managed: number;
  /** Nodes with memory in allocation order (TI-5), itself first if it has memory. */
  fallbackOrder: Int32Array;
}

export class PhysicalMemory {
  readonly spec: MachineSpec;
  readonly frames: FrameTable;
  readonly vmstat: VmStat;
  readonly blocks: Pageblocks;
  readonly buddy: Buddy;
  /**
   * The index is the dense zone id. At boot those with memory, ascending by (nid, type); onlining
   * may append one, offlining may leave one unpopulated (hotplugZone.ts).
   */
  readonly zones: Zone[];
  /** By nid, 0 to highestNid. */
  readonly nodes: readonly PhysicalNode[];
  /** N_MEMORY and N_CPU, bit masks by nid (OV-1). N_MEMORY is written by hotplugZone.ts. */
  nodesWithMemory: number;
  readonly nodesWithCpu: number;
  readonly highestNid: Nid;
  readonly nrOnlineNodes: number;
  /** Units of offlining (OV-6). */
  readonly memoryBlocks: MemoryBlocks;
  readonly graph: NodeGraph;
  readonly zonelists: Zonelists;
  /** What may be done with the memory of which nodes (D6). */
  readonly capable: NodesCapable;
  /** By zone id: 1 if allocations that prefer this zone first try not to fragment others. */
  nofragmentZone: Uint8Array;

  hooks: ReclaimHooks = new NoReclaim();
  /** numa_node_id(): node of the running CPU; decides numa_local and numa_other only. */
  currentNid: Nid;
  /** As the user set it (user_min_free_kbytes), -1 = not set. */
  userMinFreeKbytes = -1;
  /** min_free_kbytes is what khugepaged recommends: it stays so when zones change (PM-112). */
  followsThpRecommendedMin = false;
  /** vm.min_free_kbytes and vm.watermark_scale_factor; written by setWatermarkSysctls. */
  minFreeKbytes = 0;
  watermarkScaleFactor = 0;
  /** vm.watermark_boost_factor; 0 = never boost. */
  watermarkBoostFactor: number;

  /**
   * Preconditions (asserted): node numbers are unique and below NODES_MAX; zones do not share
   * a pageblock; absent + reserved pages fit; CMA areas are pageblock aligned, managed, ascending.
   */
  constructor(spec: MachineSpec, options: PhysicalMemoryOptions) {
    this.spec = spec;
    this.watermarkBoostFactor =
      spec.sysctl.watermark_boost_factor ?? SYSCTL_DEFAULTS.watermark_boost_factor;
    this.frames = new FrameTable(
      presentSections(spec),
      options.trackContent,
      options.deviceSections ?? 0,
    );
    this.blocks = new Pageblocks(this.frames.nrFrames);
    this.zones = makeZones(spec, this.frames);
    this.highestNid = spec.nodes.reduce((most, node) => Math.max(most, node.nid), 0);
    this.vmstat = new VmStat(zonesMax(this.highestNid), this.highestNid + 1);
    this.buddy = new Buddy(this.frames, this.blocks, this.vmstat);
    for (const zone of this.zones) {
      if (isHotplugged(spec, zone.nid)) zone.presentEarlyPages = 0;
      claimPageblocks(this.blocks, zone);
    }
    for (const zone of this.zones) freeBootMemory(spec, this.frames, this.buddy, zone);

    this.#setupWatermarks(options.thpRecommendedMin === true);

    this.nodesWithMemory = maskOf(spec.nodes, (node) => hasMemory(this.zones, node.nid));
    this.nodesWithCpu = maskOf(spec.nodes, (node) => node.cpus.length > 0);
    this.nrOnlineNodes = spec.nodes.length;
    this.graph = {
      distance: spec.distance,
      nodesWithMemory: this.nodesWithMemory,
      nodesWithCpu: this.nodesWithCpu,
      nodeLoad: new Int32Array(this.highestNid + 1),
    };
    this.capable = nodesCapable(spec.nodes);
    this.zonelists = new Zonelists(
      this.graph,
      this.highestNid + 1,
      this.zones,
      this.capable.fallback,
    );
    this.nodes = makeNodes(spec, this.highestNid, this.zones, this.zonelists);
    this.nofragmentZone = nofragmentZones(this.zones, this.nrOnlineNodes);
    this.currentNid = spec.nodes.find((node) => node.cpus.length > 0)?.nid ?? 0;
    this.memoryBlocks = new MemoryBlocks(spec, this);
  }

  /** Zones with memory, as /proc/buddyinfo lists them: by node, then by type. */
  populatedZones(): Zone[] {
    return this.nodes.flatMap((node) => node.zones.filter((zone) => zone.isPopulated));
  }

  nidOf(frame: FrameId): Nid {
    return this.blocks.nidOfBlock[frame >>> PAGEBLOCK_ORDER];
  }

  /** Whether something may be done with a frame, as far as its node goes (D6). */
  isCapable(capability: NodeCapability, frame: FrameId): boolean {
    return (this.capable[capability] & (1 << this.nidOf(frame))) !== 0;
  }

  /** is_zone_device_page: memory of a device, not the allocator's. */
  isZoneDevice(frame: FrameId): boolean {
    return this.blocks.zoneOfBlock[frame >>> PAGEBLOCK_ORDER] === DEVICE_ZONE;
  }

  /** Precondition: the frame is in a zone's pageblock (every present frame but a device's is). */
  zoneOf(frame: FrameId): Zone {
    return this.zones[this.blocks.zoneOfBlock[frame >>> PAGEBLOCK_ORDER]];
  }

  /** In a free block, isolated or not, pristine included. */
  isFree(frame: FrameId): boolean {
    return this.buddy.blockOf(frame) >= 0;
  }

  /** Never allocated: the row is all zero. False for the few frames that boot wrote. */
  isPristine(frame: FrameId): boolean {
    return this.blocks.pristineBlock[frame >>> PAGEBLOCK_ORDER] !== 0;
  }

  /** Present but never in the buddy allocator (kernel image, memmap), or marked PG_reserved. */
  isReserved(frame: FrameId): boolean {
    const id = this.blocks.zoneOfBlock[frame >>> PAGEBLOCK_ORDER];
    if (id >= DEVICE_ZONE) return false;
    const zone = this.zones[id];
    if (frame < zone.managedStart && frame >= zone.reservedStart && zone.isPresent(frame)) {
      return true;
    }
    return (this.frames.flags[frame] & PG_RESERVED) !== 0;
  }

  /** Backed by memory: no hole, inside its zone. */
  isPresent(frame: FrameId): boolean {
    const id = this.blocks.zoneOfBlock[frame >>> PAGEBLOCK_ORDER];
    return id < DEVICE_ZONE && this.zones[id].isPresent(frame);
  }

  /** adjust_managed_page_count: a balloon's pages are no managed memory. Watermarks stay. */
  adjustManagedPageCount(frame: FrameId, pages: number): void {
    const zone = this.zoneOf(frame);
    zone.managedPages += pages;
    this.nodes[zone.nid].managed += pages;
  }

  #setupWatermarks(thpRecommendedMin: boolean): void {
    const { sysctl } = this.spec;
    const scaleFactor = sysctl.watermark_scale_factor ?? SYSCTL_DEFAULTS.watermark_scale_factor;
    setWatermarkSysctls(this, sysctl.min_free_kbytes ?? 0, scaleFactor);
    const recommended = thpRecommendedMinFreeKbytes(this.zones);
    if (thpRecommendedMin && recommended > this.minFreeKbytes) {
      setWatermarkSysctls(this, recommended, scaleFactor);
    }
    this.followsThpRecommendedMin = recommended === this.minFreeKbytes;
    if (this.followsThpRecommendedMin) this.userMinFreeKbytes = -1;
    setFixedWmarks(this.spec, this.zones);
    setupPerZoneLowmemReserve(this.zones);
  }
}

/** PFN ranges [start, end) of a zone that are backed by memory, ascending. */
function presentPfns(zone: ZoneSpec): { start: Pfn; end: Pfn }[] {
  const holes = zone.holes ?? [];
  const placed = holes.reduce((sum, hole) => sum + hole.endPfn - hole.startPfn, 0);
  let left = zone.absentPages - placed;
  const ranges: { start: Pfn; end: Pfn }[] = [];
  let start = zone.startPfn;
  for (const hole of [...holes, { startPfn: zone.endPfn, endPfn: zone.endPfn }]) {
    const end = hole.startPfn;
    assert(left >= 0 && end >= start, `zone at PFN ${zone.startPfn}: holes do not fit`);
    const skipped = Math.min(left, end - start);
    left -= skipped;
    if (start + skipped < end) ranges.push({ start: start + skipped, end });
    start = hole.endPfn;
  }
  assert(ranges.length > 0 && left === 0, `zone at PFN ${zone.startPfn}: no memory in it`);
  return ranges;
}

/** PFN sections with at least one present frame, ascending. */
function presentSections(spec: MachineSpec): number[] {
  const sections = new Set<number>();
  for (const node of spec.nodes) {
    for (const zone of node.zones) {
      for (const { start, end } of presentPfns(zone)) {
        const last = Math.floor((end - 1) / PAGES_PER_SECTION);
        for (let i = Math.floor(start / PAGES_PER_SECTION); i <= last; i++) sections.add(i);
      }
    }
  }
  return [...sections].sort((a, b) => a - b);
}

/** The present ranges as frames. All sections of a range are there, so its ids are consecutive. */
function presentFrames(zone: ZoneSpec, frames: FrameTable): FrameRange[] {
  const ranges: FrameRange[] = [];
  for (const { start, end } of presentPfns(zone)) {
    const first = frames.frameOfPfn(start);
    ranges.push({ start: first, end: first + (end - start) });
  }
  return ranges;
}

function makeZones(spec: MachineSpec, frames: FrameTable): Zone[] {
  const zones: Zone[] = [];
  const nodes = [...spec.nodes].sort((a, b) => a.nid - b.nid);
  for (let i = 1; i < nodes.length; i++) {
    assert(nodes[i].nid !== nodes[i - 1].nid, `two nodes are called ${nodes[i].nid}`);
  }
  for (const node of nodes) {
    assert(node.nid < NODES_MAX, `node numbers must be below ${NODES_MAX}, not ${node.nid}`);
    for (const zone of [...node.zones].sort((a, b) => a.zone - b.zone)) {
      const where = `node ${node.nid} zone ${zone.zone}`;
      assert(zone.zone !== ZONE_DEVICE, `${where}: ZONE_DEVICE is not booted`);
      const presentRanges = presentFrames(zone, frames);
      const { startPfn, endPfn, reservedPages } = zone;
      assert(reservedPages <= nrFrames(presentRanges), `${where}: more reserved than present`);
      const cmaPages = (zone.cma ?? []).reduce((sum, area) => sum + area.pages, 0);
      const span = { startPfn, endPfn, presentRanges, reservedPages, cmaPages };
      zones.push(new Zone(zones.length, node.nid, zone.zone, span));
    }
  }
  assert(zones.length < DEVICE_ZONE, `a machine has at most ${DEVICE_ZONE - 1} zones`);
  return zones;
}

function claimPageblocks(blocks: Pageblocks, zone: Zone): void {
  for (const range of zone.presentRanges) {
    const end = Math.ceil(range.end / PAGEBLOCK_NR);
    for (let block = range.start >>> PAGEBLOCK_ORDER; block < end; block++) {
      const owner = blocks.zoneOfBlock[block];
      assert(
        owner === NO_ZONE || owner === zone.id,
        `node ${zone.nid} zone ${zone.name} shares a pageblock (512 pages) with another zone`,
      );
      blocks.zoneOfBlock[block] = zone.id;
      blocks.nidOfBlock[block] = zone.nid;
    }
  }
}

/** Hands the managed memory of a zone to the buddy allocator, CMA areas as CMA pageblocks. */
function freeBootMemory(spec: MachineSpec, frames: FrameTable, buddy: Buddy, zone: Zone): void {
  const { migratetypeOfBlock } = buddy.blocks;
  const areas = cmaAreas(spec, zone).map((area) => {
    const start = frames.frameOfPfn(area.startPfn);
    return { start, end: start + area.pages };
  });
  for (const range of zone.presentRanges) {
    let from = Math.max(range.start, zone.managedStart);
    if (from >= range.end) continue;
    for (const { start, end } of areas) {
      if (start < from || end > range.end) continue;
      assert((start | end) % PAGEBLOCK_NR === 0, 'a CMA area is not aligned to pageblocks');
      buddy.addBootMemory(zone, from, start, MIGRATE_MOVABLE);
      migratetypeOfBlock.fill(MIGRATE_CMA, start >>> PAGEBLOCK_ORDER, end >>> PAGEBLOCK_ORDER);
      buddy.addBootMemory(zone, start, end, MIGRATE_CMA);
      from = end;
    }
    buddy.addBootMemory(zone, from, range.end, MIGRATE_MOVABLE);
  }
  assert(
    buddy.freeCmaPages(zone) === zone.cmaPages,
    `node ${zone.nid} zone ${zone.name}: a CMA area is not managed memory or out of order`,
  );
}

function cmaAreas(
  spec: MachineSpec,
  zone: Zone,
): readonly { readonly startPfn: Pfn; readonly pages: number }[] {
  const node = spec.nodes.find((n) => n.nid === zone.nid);
  return node?.zones.find((z) => z.zone === zone.type)?.cma ?? [];
}

function hasMemory(zones: readonly Zone[], nid: Nid): boolean {
  return zones.some((zone) => zone.nid === nid && zone.isPopulated);
}

function isHotplugged(spec: MachineSpec, nid: Nid): boolean {
  return spec.nodes.some((node) => node.nid === nid && node.hotplugged);
}

function maskOf(nodes: readonly NodeSpec[], test: (node: NodeSpec) => boolean): number {
  let mask = 0;
  for (const node of nodes) if (test(node)) mask |= 1 << node.nid;
  return mask;
}

function makeNodes(
  spec: MachineSpec,
  highestNid: Nid,
  allZones: readonly Zone[],
  zonelists: Zonelists,
): PhysicalNode[] {
  const nodes: PhysicalNode[] = [];
  for (let nid = 0; nid <= highestNid; nid++) {
    const node = spec.nodes.find((n) => n.nid === nid);
    const zones = allZones.filter((zone) => zone.nid === nid);
    nodes.push({
      nid,
      online: node !== undefined,
      cpus: node?.cpus ?? [],
      hotplugged: isHotplugged(spec, nid),
      zones,
      present: zones.reduce((sum, zone) => sum + zone.presentPages, 0),
      managed: zones.reduce((sum, zone) => sum + zone.managedPages, 0),
      fallbackOrder: zonelists.nodeOrder[nid],
    });
  }
  return nodes;
}

/** Rows for the zones that a machine may ever have. */
function zonesMax(highestNid: Nid): number {
  return (highestNid + 1) * MAX_NR_ZONES;
}

/** alloc_flags_nofragment: NORMAL zones with a DMA32 zone below, or on a machine of one node. */
export function nofragmentZones(zones: readonly Zone[], nrOnlineNodes: number): Uint8Array {
  const marks = new Uint8Array(zonesMax(Math.max(...zones.map((zone) => zone.nid))));
  for (const zone of zones) {
    if (zone.type !== ZONE_NORMAL) continue;
    const below = zones.some((z) => z.nid === zone.nid && z.type === ZONE_DMA32);
    if (below || nrOnlineNodes === 1) marks[zone.id] = 1;
  }
  return marks;
}
