/**
 * Recounts nodes, zones, zonelists and memory blocks from first principles (for mm/invariants.ts).
 * OV-1, OV-3, OV-5, OV-6, PM-32, PM-72.
 */
import { PAGEBLOCK_NR, PAGEBLOCK_ORDER } from '../base/units.ts';
import { MAX_NR_ZONES, ZONE_DEVICE } from '../uapi/zone.ts';
import { MEM_ABSENT, MEM_GOING_OFFLINE, MEM_OFFLINE, MEMORY_STATE_NAMES } from './memoryBlocks.ts';
import { NO_ZONE } from './pageblock.ts';
import type { PhysicalMemory } from './physicalMemory.ts';
import { nrFrames, type Zone } from './zone.ts';

/** Sentences about what does not add up; empty if all does. */
export function findHotplugMismatches(pm: PhysicalMemory): string[] {
  const broken: string[] = [];
  for (const zone of pm.zones) if (zone.type !== ZONE_DEVICE) checkZone(pm, zone, broken);
  checkNodes(pm, broken);
  checkZonelists(pm, broken);
  const { state } = pm.memoryBlocks;
  state.forEach((value, block) => {
    if (value !== MEM_ABSENT) checkBlock(pm, block, broken);
  });
  return broken;
}

function checkZone(pm: PhysicalMemory, zone: Zone, broken: string[]): void {
  const name = `node ${zone.nid} zone ${zone.name}`;
  const present = nrFrames(zone.presentRanges);
  if (present !== zone.presentPages) broken.push(`OV-3: ${name}: ${present} pages are present`);
  if (zone.managedPages > present) broken.push(`OV-3: ${name}: more managed than present`);
  let end = -1;
  for (const range of zone.presentRanges) {
    if (range.start < end || range.end <= range.start) broken.push(`OV-3: ${name}: ranges overlap`);
    end = range.end;
    const inSpan =
      pm.frames.pfnOf(range.start) >= zone.startPfn && pm.frames.pfnOf(end - 1) < zone.endPfn;
    if (!inSpan) broken.push(`OV-3: ${name}: a range is outside of the span`);
    for (let frame = range.start; frame < end; frame += PAGEBLOCK_NR) {
      const block = frame >>> PAGEBLOCK_ORDER;
      const isMine =
        pm.blocks.zoneOfBlock[block] === zone.id && pm.blocks.nidOfBlock[block] === zone.nid;
      if (!isMine) broken.push(`OV-7: ${name}: pageblock ${block} has another zone or node`);
    }
  }
  if (!zone.isPopulated && zone.spannedPages !== 0)
    broken.push(`OV-3: ${name} is empty, not its span`);
}

function checkNodes(pm: PhysicalMemory, broken: string[]): void {
  let mask = 0;
  for (const node of pm.nodes) {
    const zones = pm.zones.filter((zone) => zone.nid === node.nid && zone.type !== ZONE_DEVICE);
    const present = zones.reduce((sum, zone) => sum + zone.presentPages, 0);
    const managed = zones.reduce((sum, zone) => sum + zone.managedPages, 0);
    if (present !== node.present || managed !== node.managed) {
      broken.push(`OV-1: node ${node.nid} has ${present} present and ${managed} managed pages`);
    }
    if (present > 0) mask |= 1 << node.nid;
  }
  const kept = [pm.nodesWithMemory, pm.graph.nodesWithMemory];
  if (kept.some((one) => one !== mask)) broken.push(`OV-1: N_MEMORY is ${mask.toString(2)}`);
}

/** Every zone with managed pages is in every list that may have it, and no other. */
function checkZonelists(pm: PhysicalMemory, broken: string[]): void {
  for (const node of pm.nodes) {
    if (!node.online) continue;
    for (let highest = 0; highest < MAX_NR_ZONES; highest++) {
      const usable = pm.zones.filter(
        (zone) => zone.type <= highest && zone.type !== ZONE_DEVICE && zone.managedPages > 0,
      );
      const list = pm.zonelists.fallback[node.nid * MAX_NR_ZONES + highest];
      const isRight =
        list.length === usable.length && usable.every((zone) => list.includes(zone.id));
      if (!isRight) broken.push(`PM-32: zonelist of node ${node.nid} up to type ${highest}`);
    }
  }
}

function checkBlock(pm: PhysicalMemory, block: number, broken: string[]): void {
  const { memoryBlocks, blocks } = pm;
  const state = memoryBlocks.state[block];
  const start = memoryBlocks.startFrame(block);
  if (start < 0) return;
  const zoneId = memoryBlocks.zoneId[block];
  const wanted = state === MEM_OFFLINE ? NO_ZONE : zoneId;
  const say = (what: string) =>
    broken.push(`OV-6: memory${block} (${MEMORY_STATE_NAMES[state]}): ${what}`);
  if (state === MEM_OFFLINE && zoneId >= 0) say('has a zone');
  if (wanted < 0) return;
  for (let frame = start; frame < start + memoryBlocks.blockPages; frame += PAGEBLOCK_NR) {
    const at = frame >>> PAGEBLOCK_ORDER;
    const zone = blocks.zoneOfBlock[at];
    // A block of which a part is a hole keeps the zone of the rest.
    if (zone !== wanted && !(state !== MEM_OFFLINE && zone === NO_ZONE)) {
      say(`pageblock ${at} is of zone ${zone}`);
    }
    const isIsolated = blocks.isolatedBlock[at] !== 0;
    if (state === MEM_GOING_OFFLINE && !isIsolated) say(`pageblock ${at} is not isolated`);
    if (state === MEM_OFFLINE && isIsolated) say(`pageblock ${at} is isolated`);
  }
}
