/**
 * Variations of a machine: the same machine with another amount of memory in a node, which is what
 * capacity-ratio sweeps need ("DRAM is a third of the program's footprint").
 *
 * How we model it: the span stays a multiple of a section (128 MiB); what is too much is a hole at
 * the start of the node's highest zone, so sizes are exact to a page. Nodes above move up when the
 * span grows into them.
 */
import { assert } from '../base/assert.ts';
import { type Bytes, type Nid, PAGE_SIZE, PAGEBLOCK_NR, PAGES_PER_SECTION } from '../base/units.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import type { MachineSpec, NodeSpec, ZoneSpec } from './machineSpec.ts';
import { zonePresentPages } from './topology.ts';

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function managedPages(zone: ZoneSpec): number {
  return zonePresentPages(zone) - zone.reservedPages;
}

/**
 * Managed pages each zone of the resized node gets: kernel zones are filled from the bottom, as
 * memory is on x86; ZONE_MOVABLE keeps its share of the node.
 */
function splitPages(zones: readonly ZoneSpec[], pages: number): number[] {
  const old = zones.map(managedPages);
  const oldTotal = old.reduce((sum, n) => sum + n, 0);
  const kernel = zones.filter((zone) => zone.zone !== ZONE_MOVABLE);
  const result: number[] = [];
  let movable = 0;
  for (const [i, zone] of zones.entries()) {
    if (zone.zone !== ZONE_MOVABLE) continue;
    const share = kernel.length === 0 ? 1 : old[i]! / oldTotal;
    movable = share === 1 ? pages : Math.floor((pages * share) / PAGEBLOCK_NR) * PAGEBLOCK_NR;
  }
  let rest = pages - movable;
  for (const [i, zone] of zones.entries()) {
    if (zone.zone === ZONE_MOVABLE) {
      result.push(movable);
      continue;
    }
    const isHighest = zone === kernel[kernel.length - 1];
    const taken = isHighest ? rest : Math.min(rest, old[i]!);
    result.push(taken);
    rest -= taken;
  }
  return result;
}

/** The zone with `managed` pages for the allocator, starting where it starts now. */
function resizeZone(zone: ZoneSpec, managed: number): ZoneSpec {
  if (managed === managedPages(zone)) return zone;
  const { startPfn, reservedPages } = zone;
  const present = managed + reservedPages;
  const aligned = roundUp(startPfn + present, PAGES_PER_SECTION);
  // A zone that ends inside a section (ZONE_DMA) keeps that end.
  const endPfn = startPfn + present <= zone.endPfn ? Math.min(aligned, zone.endPfn) : aligned;
  const absentPages = endPfn - startPfn - present;
  return { zone: zone.zone, startPfn, endPfn, absentPages, reservedPages };
}

/** Moves a zone up, if it starts at `fromPfn` or above. */
function shiftZone(zone: ZoneSpec, fromPfn: number, pages: number): ZoneSpec {
  if (pages === 0 || zone.startPfn < fromPfn) return zone;
  const cma = zone.cma?.map((area) => ({ ...area, startPfn: area.startPfn + pages }));
  const holes = zone.holes?.map((hole) => ({
    startPfn: hole.startPfn + pages,
    endPfn: hole.endPfn + pages,
  }));
  return {
    ...zone,
    startPfn: zone.startPfn + pages,
    endPfn: zone.endPfn + pages,
    ...(cma === undefined ? {} : { cma }),
    ...(holes === undefined ? {} : { holes }),
  };
}

/** One zone of one node resized, and everything above it moved out of its way. */
function withZoneSize(nodes: readonly NodeSpec[], nid: Nid, index: number, managed: number) {
  const zone = nodes[nid]!.zones[index]!;
  const resized = resizeZone(zone, managed);
  const growth = roundUp(Math.max(0, resized.endPfn - zone.endPfn), PAGES_PER_SECTION);
  return nodes.map((node) => ({
    ...node,
    zones: node.zones.map((other) =>
      other === zone ? resized : shiftZone(other, zone.endPfn, growth),
    ),
  }));
}

/**
 * The same machine whose node `nid` has exactly `bytes` (rounded up to a page) for programs and
 * kernel: present memory minus what boot reserves. Fixed watermarks, CMA areas and holes of
 * resized zones are dropped; a zone left without pages goes.
 * Preconditions: the node has memory; bytes > 0.
 */
export function withNodeSize(spec: MachineSpec, nid: Nid, bytes: Bytes): MachineSpec {
  const old = spec.nodes[nid];
  assert(old !== undefined && old.zones.length > 0, 'withNodeSize: a node with memory');
  assert(bytes > 0, 'withNodeSize: a size above 0');
  const sizes = splitPages(old.zones, Math.ceil(bytes / PAGE_SIZE));
  let nodes: readonly NodeSpec[] = spec.nodes;
  for (const [i, size] of sizes.entries()) {
    if (size > 0) nodes = withZoneSize(nodes, nid, i, size);
  }
  nodes = nodes.map((node) =>
    node.nid === nid ? { ...node, zones: node.zones.filter((_, i) => sizes[i]! > 0) } : node,
  );
  return { ...spec, nodes };
}
