/**
 * Bringing memory online, and the state file of memory blocks (mm/memory_hotplug.c: online_pages,
 * zone_for_pfn_range, default_zone_for_pfn, auto_movable_zone_for_pfn; drivers/base/memory.c:
 * state_store, valid_zones_show). PM-72..PM-75, PM-115, PM-116.
 *
 * "online" chooses the zone: with contig-zones the one whose span the block lies in, a kernel zone
 * if that is unclear; with auto-movable ZONE_MOVABLE as long as it is not too much of all memory.
 * Not modelled: memory groups, memmap_on_memory, movable_node.
 */
import type { Nid, Pfn } from '../base/units.ts';
import { EHWPOISON, EINVAL } from '../uapi/errno.ts';
import { ZONE_MOVABLE, ZONE_NAMES, ZONE_NORMAL, type ZoneType } from '../uapi/zone.ts';
import { cpusetTrackOnlineNodes } from './cpuset.ts';
import { MAPPING_NONE, PG_HWPOISON } from './frameTable.ts';
import { addToZone, zoneOfNode } from './hotplugZone.ts';
import type { Kernel } from './kernel.ts';
import { MEM_OFFLINE, MEM_ONLINE } from './memoryBlocks.ts';
import { notifyMemory } from './memoryNotifier.ts';
import { beginOffline, type OfflineOp } from './offlinePages.ts';

/** What can be written to a state file to bring a block online. */
export const ONLINE_TYPES = ['online', 'online_kernel', 'online_movable'] as const;
export type OnlineType = (typeof ONLINE_TYPES)[number];

/** Module parameters of memory_hotplug (PM-116). */
export class HotplugSettings {
  onlinePolicy: 'contig-zones' | 'auto-movable' = 'contig-zones';
  /** Per cent of kernel memory that ZONE_MOVABLE may have. */
  autoMovableRatio = 301;
  autoMovableNumaAware = true;
}

/**
 * state_store: a write to the state file of a block. 0, an offlining to be stepped, or -EINVAL (no
 * such keyword or transition), -EHWPOISON, and what beginOffline answers.
 */
export function writeBlockState(k: Kernel, block: number, word: string): OfflineOp | number {
  const { memoryBlocks } = k.pm;
  const isOnline = memoryBlocks.state[block] === MEM_ONLINE;
  const isOffline = memoryBlocks.state[block] === MEM_OFFLINE;
  if (word === 'offline') {
    // Without a zone: several reach into it.
    if (!isOnline || memoryBlocks.zoneId[block] < 0) return -EINVAL;
    return beginOffline(k, memoryBlocks.startPfn(block), memoryBlocks.blockPages);
  }
  if (!(ONLINE_TYPES as readonly string[]).includes(word) || !isOffline) return -EINVAL;
  return onlineBlock(k, block, word as OnlineType);
}

/** memory_block_online and online_pages. 0 or -EHWPOISON. */
function onlineBlock(k: Kernel, block: number, type: OnlineType): number {
  const { pm } = k;
  const { memoryBlocks } = pm;
  const start = memoryBlocks.startFrame(block);
  const end = start + memoryBlocks.blockPages;
  if (!forgetPoison(k, start, end)) return -EHWPOISON;
  const nid = memoryBlocks.nid[block];
  const startPfn = memoryBlocks.startPfn(block);
  const zone = zoneOfNode(pm, nid, zoneForOnlining(k, nid, startPfn, type));
  const isFirst = pm.nodes[nid].present === 0;
  addToZone(pm, zone, start, end, !pm.nodes[nid].hotplugged);
  memoryBlocks.setState(block, block, MEM_ONLINE, zone.id);
  if (isFirst) {
    k.nodeThreads.start(nid);
    k.tiers.rebuild();
    cpusetTrackOnlineNodes(k);
  }
  notifyMemory(k, 'online', startPfn, end - start);
  return 0;
}

/** From 6.2 on a block with poisoned pages stays offline; 6.1 made new pages of them. */
function forgetPoison(k: Kernel, start: number, end: number): boolean {
  const { flags, refcount, mapcount, mapping, private_ } = k.frames;
  for (let frame = start; frame < end; frame++) {
    if ((flags[frame] & PG_HWPOISON) === 0) continue;
    if (k.profile.poisonedBlocksStayOffline) return false;
    flags[frame] = 0;
    refcount[frame] = 0;
    mapcount[frame] = 0;
    // Freed as a poisoned page it kept these: what it was is not tidied.
    mapping[frame] = MAPPING_NONE;
    private_[frame] = 0;
  }
  return true;
}

/** zone_for_pfn_range. */
function zoneForOnlining(k: Kernel, nid: Nid, startPfn: Pfn, type: OnlineType): ZoneType {
  if (type === 'online_kernel') return kernelZoneFor(k, nid, startPfn);
  if (type === 'online_movable') return ZONE_MOVABLE;
  if (k.hotplug.onlinePolicy === 'auto-movable') {
    return mayGrowMovable(k, nid) ? ZONE_MOVABLE : kernelZoneFor(k, nid, startPfn);
  }
  const inMovable = zoneReaches(k, nid, ZONE_MOVABLE, startPfn);
  const kernelZone = kernelZoneFor(k, nid, startPfn);
  const inKernel = zoneReaches(k, nid, kernelZone, startPfn);
  return inMovable && !inKernel ? ZONE_MOVABLE : kernelZone;
}

/** default_kernel_zone_for_pfn: the low zone that reaches here, or NORMAL. */
function kernelZoneFor(k: Kernel, nid: Nid, startPfn: Pfn): ZoneType {
  for (let type = 0; type < ZONE_NORMAL; type++) {
    if (zoneReaches(k, nid, type as ZoneType, startPfn)) return type as ZoneType;
  }
  return ZONE_NORMAL;
}

function zoneReaches(k: Kernel, nid: Nid, type: ZoneType, startPfn: Pfn): boolean {
  const { blockPages } = k.pm.memoryBlocks;
  const zone = k.pm.nodes[nid].zones.find((candidate) => candidate.type === type);
  return zone?.intersects(startPfn, blockPages) === true;
}

/** auto_movable_can_online_movable for the machine, and for the node if it is to be looked at. */
function mayGrowMovable(k: Kernel, nid: Nid): boolean {
  const { autoMovableRatio, autoMovableNumaAware } = k.hotplug;
  if (autoMovableRatio === 0) return false;
  const fits = (nids: readonly Nid[]): boolean => {
    let kernelPages = 0;
    let movablePages = k.pm.memoryBlocks.blockPages;
    for (const zone of k.pm.populatedZones()) {
      if (!nids.includes(zone.nid)) continue;
      if (zone.type === ZONE_MOVABLE) movablePages += zone.presentPages;
      else {
        // CMA pages behave like ZONE_MOVABLE.
        movablePages += zone.cmaPages;
        kernelPages += zone.presentEarlyPages - zone.cmaPages;
      }
    }
    return movablePages <= Math.floor((autoMovableRatio * kernelPages) / 100);
  };
  return fits(k.pm.nodes.map((node) => node.nid)) && (!autoMovableNumaAware || fits([nid]));
}

/**
 * valid_zones_show: the zone of a block that is online ("none" if several reach into it); else the
 * one that "online" would choose, then the others that could be asked for.
 */
export function validZones(k: Kernel, block: number): string {
  const { memoryBlocks } = k.pm;
  if (memoryBlocks.state[block] !== MEM_OFFLINE) {
    const id = memoryBlocks.zoneId[block];
    return id < 0 ? 'none' : k.pm.zones[id].name;
  }
  const nid = memoryBlocks.nid[block];
  const startPfn = memoryBlocks.startPfn(block);
  const types = ONLINE_TYPES.map((type) => zoneForOnlining(k, nid, startPfn, type));
  return [...new Set(types)].map((type) => ZONE_NAMES[type]).join(' ');
}
