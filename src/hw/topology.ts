/**
 * Which path an access takes and what it finds there unloaded: latency and bandwidth of (CPU node
 * -> memory node), as firmware tables (ACPI HMAT, CXL CDAT) would report them.
 *
 * How we model it: the node's own figures, plus the latency of every link between that CPU node and
 * that memory node; bandwidth is the narrowest of device and links.
 * Not modelled: routing with a choice of paths; caches other than those of the trace's recorder.
 */
import { assert } from '../base/assert.ts';
import { type Bytes, type Nanoseconds, type Nid, PAGE_SIZE } from '../base/units.ts';
import { MAX_NR_ZONES } from '../uapi/zone.ts';
import type { LinkSpec, MachineSpec, NodeSpec, ZoneSpec } from './machineSpec.ts';

/** Linux's access coordinates of a memory node as seen from one CPU node (ns, bytes per ns). */
export interface AccessCoordinates {
  readonly readLatencyNs: Nanoseconds;
  readonly writeLatencyNs: Nanoseconds;
  readonly readBandwidth: number;
  readonly writeBandwidth: number;
}

/** Present frames of a zone (span minus holes). */
export function zonePresentPages(zone: ZoneSpec): number {
  return zone.endPfn - zone.startPfn - zone.absentPages;
}

/** Present frames of a node; 0 = a memory-less node. */
export function nodePresentPages(node: NodeSpec): number {
  let pages = 0;
  for (const zone of node.zones) pages += zonePresentPages(zone);
  return pages;
}

/** Frames that boot hands to the allocator, in bytes: what programs can use. */
export function nodeManagedBytes(node: NodeSpec): Bytes {
  let pages = 0;
  for (const zone of node.zones) pages += zonePresentPages(zone) - zone.reservedPages;
  return pages * PAGE_SIZE;
}

/** Nids of the nodes that have CPUs, ascending: the dense CPU-node indices of AccessCost. */
export function cpuNids(spec: MachineSpec): Nid[] {
  return spec.nodes.filter((node) => node.cpus.length > 0).map((node) => node.nid);
}

/** Nids of the nodes that have present memory (N_MEMORY, OV-1), ascending. */
export function memoryNids(spec: MachineSpec): Nid[] {
  return spec.nodes.filter((node) => nodePresentPages(node) > 0).map((node) => node.nid);
}

/** Is `link` on the path of accesses from CPUs of `cpuNid` to memory of `nid`? */
export function isOnPath(link: LinkSpec, cpuNid: Nid, nid: Nid): boolean {
  return link.from.includes(cpuNid) && link.to.includes(nid);
}

/** Unloaded latency and bandwidth of the path from CPUs of `cpuNid` to memory of `nid`. */
export function accessCoordinates(spec: MachineSpec, cpuNid: Nid, nid: Nid): AccessCoordinates {
  const { perf } = spec.nodes[nid]!;
  let { readLatencyNs, writeLatencyNs, readBandwidth, writeBandwidth } = perf;
  for (const link of spec.links) {
    if (!isOnPath(link, cpuNid, nid)) continue;
    readLatencyNs += link.latencyNs;
    writeLatencyNs += link.latencyNs;
    if (link.readBandwidth < readBandwidth) readBandwidth = link.readBandwidth;
    if (link.writeBandwidth < writeBandwidth) writeBandwidth = link.writeBandwidth;
  }
  return { readLatencyNs, writeLatencyNs, readBandwidth, writeBandwidth };
}

/**
 * The CPU node that reaches memory node `nid` fastest: itself if it has CPUs, else the one of
 * smallest read latency, then of smallest distance, then of smallest nid.
 * Preconditions: the machine has a CPU node.
 */
export function closestCpuNid(spec: MachineSpec, nid: Nid): Nid {
  if (spec.nodes[nid]!.cpus.length > 0) return nid;
  let best = -1;
  let bestLatencyNs = Infinity;
  for (const cpuNid of cpuNids(spec)) {
    const latencyNs = accessCoordinates(spec, cpuNid, nid).readLatencyNs;
    const isCloser =
      best !== -1 &&
      latencyNs === bestLatencyNs &&
      spec.distance[cpuNid]![nid]! < spec.distance[best]![nid]!;
    if (latencyNs < bestLatencyNs || isCloser) {
      best = cpuNid;
      bestLatencyNs = latencyNs;
    }
  }
  assert(best !== -1, 'closestCpuNid: the machine has a CPU node');
  return best;
}

/** Coordinates from the closest CPUs (access class 0): what tiers and weights are made of. */
export function closestCoordinates(spec: MachineSpec, nid: Nid): AccessCoordinates {
  return accessCoordinates(spec, closestCpuNid(spec, nid), nid);
}

/** Largest end PFN of any zone, or 0. */
export function endPfnMax(spec: MachineSpec): number {
  let end = 0;
  for (const node of spec.nodes) for (const zone of node.zones) end = Math.max(end, zone.endPfn);
  return end;
}

/** The zone of `node` with type `type`, if it has one. */
export function zoneOf(node: NodeSpec, type: number): ZoneSpec | undefined {
  assert(type >= 0 && type < MAX_NR_ZONES, 'zoneOf: a zone type');
  return node.zones.find((zone) => zone.zone === type);
}
