/**
 * Zones that gain and lose memory (mm/memory_hotplug.c: move_pfn_range_to_zone,
 * remove_pfn_range_from_zone, shrink_zone_span, adjust_present_page_count; mm/page_alloc.c:
 * __offline_isolated_pages, init_per_zone_wmark_min). PM-72, OV-3, OV-5.
 *
 * Frames that are offline belong to no zone: nothing that goes by physical address finds them.
 * Their rows keep nothing but poison. Order of onlining: span and pageblocks (isolated), free
 * pages, counts, zonelists, end of isolation, watermarks. Order of offlining: free lists, counts,
 * watermarks, zonelists, span.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, MAX_PAGE_ORDER, type Nid, PAGEBLOCK_ORDER } from '../base/units.ts';
import { MIGRATE_ISOLATE, MIGRATE_MOVABLE, type ZoneType } from '../uapi/zone.ts';
import { bumpGenerations } from './allocFastpath.ts';
import { PG_BUDDY, PGTY_NONE, PGTY_OFFLINE } from './frameTable.ts';
import { undoIsolatePageRange } from './isolation.ts';
import { NO_ZONE } from './pageblock.ts';
import { nofragmentZones, type PhysicalMemory } from './physicalMemory.ts';
import { initPerZoneWmarkMin } from './watermark.ts';
import { type FrameRange, Zone } from './zone.ts';

/** The zone of a node by type; a new one, empty, if the node has none yet. */
export function zoneOfNode(pm: PhysicalMemory, nid: Nid, type: ZoneType): Zone {
  const node = pm.nodes[nid];
  const known = node.zones.find((zone) => zone.type === type);
  if (known !== undefined) return known;
  const nothing = { startPfn: 0, endPfn: 0, presentRanges: [], reservedPages: 0, cmaPages: 0 };
  const zone = new Zone(pm.zones.length, nid, type, nothing);
  pm.zones.push(zone);
  node.zones = [...node.zones, zone].sort((a, b) => a.type - b.type);
  pm.nofragmentZone = nofragmentZones(pm.zones, pm.nrOnlineNodes);
  return zone;
}

/** Puts offline frames [start, end) into a zone, as free memory. `isEarly`: there since boot. */
export function addToZone(
  pm: PhysicalMemory,
  zone: Zone,
  start: FrameId,
  end: FrameId,
  isEarly: boolean,
): void {
  const wasPopulated = zone.isPopulated;
  const startPfn = pm.frames.pfnOf(start);
  const endPfn = startPfn + (end - start);
  zone.startPfn = zone.spannedPages === 0 ? startPfn : Math.min(zone.startPfn, startPfn);
  zone.endPfn = Math.max(zone.endPfn, endPfn);
  zone.presentRanges = [...zone.presentRanges, { start, end }].sort((a, b) => a.start - b.start);
  setPageblocks(pm, zone, start, end);
  for (let frame = start; frame < end; frame += 1 << MAX_PAGE_ORDER) {
    pm.buddy.add(zone, frame, MAX_PAGE_ORDER, MIGRATE_ISOLATE, true);
  }
  adjustPages(pm, zone, end - start, end - start, isEarly);
  if (!wasPopulated) rebuildZonelists(pm);
  undoIsolatePageRange(pm, start, end);
  initPerZoneWmarkMin(pm);
}

/** Pageblocks of memory that comes online are MOVABLE, and isolated until all of it is there. */
function setPageblocks(pm: PhysicalMemory, zone: Zone, start: FrameId, end: FrameId): void {
  const { blocks } = pm;
  const [first, last] = [start >>> PAGEBLOCK_ORDER, end >>> PAGEBLOCK_ORDER];
  blocks.zoneOfBlock.fill(zone.id, first, last);
  blocks.nidOfBlock.fill(zone.nid, first, last);
  blocks.migratetypeOfBlock.fill(MIGRATE_MOVABLE, first, last);
  blocks.isolatedBlock.fill(1, first, last);
  zone.nrIsolatePageblock += last - first;
}

/**
 * Takes frames [start, end) of one zone out of it for good. Returns the pages that were managed.
 * Preconditions: all isolated and free, or poisoned, or PG_offline without references (PM-64).
 */
export function removeFromZone(
  pm: PhysicalMemory,
  zone: Zone,
  start: FrameId,
  end: FrameId,
  isEarly: boolean,
): number {
  const managed = offlineIsolatedPages(pm, zone, start, end);
  const { blocks } = pm;
  const [first, last] = [start >>> PAGEBLOCK_ORDER, end >>> PAGEBLOCK_ORDER];
  zone.nrIsolatePageblock -= last - first;
  blocks.isolatedBlock.fill(0, first, last);
  blocks.zoneOfBlock.fill(NO_ZONE, first, last);
  blocks.nidOfBlock.fill(NO_ZONE, first, last);
  bumpGenerations(pm.frames, start, end);
  zone.presentRanges = zone.presentRanges.flatMap((range) => without(range, start, end));
  adjustPages(pm, zone, -(end - start), -managed, isEarly);
  shrinkZoneSpan(pm, zone, start, end);
  initPerZoneWmarkMin(pm);
  if (!zone.isPopulated) rebuildZonelists(pm);
  return managed;
}

/** __offline_isolated_pages: empties the ISOLATE lists; returns the pages but PG_offline ones. */
function offlineIsolatedPages(
  pm: PhysicalMemory,
  zone: Zone,
  start: FrameId,
  end: FrameId,
): number {
  const { frames, buddy } = pm;
  let already = 0;
  for (let frame = start; frame < end; ) {
    if (pm.isPristine(frame) || frames.flags[frame] === PG_BUDDY) {
      frame += 1 << buddy.takeBlock(zone, frame);
      continue;
    }
    if (frames.mapcount[frame] === PGTY_OFFLINE) {
      frames.mapcount[frame] = PGTY_NONE;
      already++;
    }
    frame++;
  }
  return end - start - already;
}

function without(range: FrameRange, start: FrameId, end: FrameId): FrameRange[] {
  if (end <= range.start || range.end <= start) return [range];
  return [
    { start: range.start, end: start },
    { start: end, end: range.end },
  ].filter((part) => part.start < part.end);
}

/** adjust_present_page_count and adjust_managed_page_count. */
function adjustPages(
  pm: PhysicalMemory,
  zone: Zone,
  present: number,
  managed: number,
  isEarly: boolean,
): void {
  zone.presentPages += present;
  zone.managedPages += managed;
  if (isEarly) zone.presentEarlyPages += present;
  const node = pm.nodes[zone.nid];
  node.present += present;
  node.managed += managed;
  assert(zone.managedPages <= zone.presentPages, 'more managed than present pages', zone.id);
  const bit = 1 << zone.nid;
  pm.nodesWithMemory = node.present > 0 ? pm.nodesWithMemory | bit : pm.nodesWithMemory & ~bit;
}

/** shrink_zone_span: only memory at an end of the span makes it shorter. */
function shrinkZoneSpan(pm: PhysicalMemory, zone: Zone, start: FrameId, end: FrameId): void {
  const ranges = zone.presentRanges;
  if (ranges.length === 0) {
    zone.startPfn = 0;
    zone.endPfn = 0;
    return;
  }
  const { frames } = pm;
  const startPfn = frames.pfnOf(start);
  if (zone.startPfn === startPfn) zone.startPfn = frames.pfnOf(ranges[0].start);
  else if (zone.endPfn === startPfn + (end - start)) {
    zone.endPfn = frames.pfnOf(ranges[ranges.length - 1].end - 1) + 1;
  }
}

/** build_all_zonelists: a zone was populated or emptied. */
function rebuildZonelists(pm: PhysicalMemory): void {
  pm.graph.nodesWithMemory = pm.nodesWithMemory;
  pm.zonelists.rebuild(pm.graph, pm.nodes.length, pm.zones);
  for (const node of pm.nodes) node.fallbackOrder = pm.zonelists.nodeOrder[node.nid];
}
