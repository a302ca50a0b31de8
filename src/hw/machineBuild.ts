/**
 * From a machine file's fields to the machine: units, defaults, zones, physical addresses,
 * distances.
 *
 * How we model it: nodes are laid out in the file's order. Without low zones memory begins at
 * 4 GiB, so that all of it is ZONE_NORMAL or ZONE_MOVABLE; with them the first node has ZONE_DMA
 * (16 MiB) and ZONE_DMA32 up to 3 GiB, a PCI window of 1 GiB, and the rest from 4 GiB on (x86).
 * Distances come from latencies (local 10), as firmware makes its SLIT; a path between two CPU-less
 * nodes goes through the CPUs that are closest to both.
 * Preconditions of everything here: the fields passed MACHINE_SCHEMA.
 */
import { assert } from '../base/assert.ts';
import { type Bytes, GIB, MIB, PAGE_SIZE, PAGES_PER_SECTION } from '../base/units.ts';
import {
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NAMES,
  ZONE_NORMAL,
  type ZoneType,
} from '../uapi/zone.ts';
import { parseBitmapList } from './bitmapText.ts';
import { COST_DEFAULTS, SWAP_DEFAULTS } from './costDefaults.ts';
import { experimentalNote } from './experimental.ts';
import { DEFAULT_KERNEL, type KernelVersion } from './kernelProfile.ts';
import { DEFAULT_CURVE, FLAT_CURVE } from './loadedLatency.ts';
import type { LinkInput, MachineInput, NodeInput } from './machineSchema.ts';
import type {
  CostSpec,
  LinkSpec,
  LoadedLatencyCurve,
  MachineSpec,
  NodePerf,
  NodeSpec,
  ZoneSpec,
} from './machineSpec.ts';
import { presetCapabilities } from './nodeCapability.ts';
import { BANDWIDTH, DURATION, parseQuantity, SIZE } from './quantity.ts';
import { accessCoordinates, cpuNids } from './topology.ts';

/** NR_CPUS of distribution kernels. */
export const CPUS_MAX = 8192;

type Quantity = string | 0;

/** The low zones: ZONE_DMA ends at 16 MiB, low memory at 3 GiB, ZONE_NORMAL begins at 4 GiB. */
const DMA_END_PFN = (16 * MIB) / PAGE_SIZE;
const LOW_END_PFN = (3 * GIB) / PAGE_SIZE;
const NORMAL_START_PFN = (4 * GIB) / PAGE_SIZE;

/** SLIT: local distance, and the largest that still means "reachable". */
const LOCAL_DISTANCE = 10;
const DISTANCE_MAX = 254;

export function toBytes(text: Quantity): Bytes {
  return parseQuantity(SIZE, String(text))!;
}
export function toNs(text: Quantity): number {
  return parseQuantity(DURATION, String(text))!;
}
export function toBandwidth(text: Quantity): number {
  return parseQuantity(BANDWIDTH, String(text))!;
}

function toPages(text: Quantity): number {
  return Math.ceil(toBytes(text) / PAGE_SIZE);
}

/** The machine of a file; distances are those of the file or computed. */
export function buildMachine(input: MachineInput): MachineSpec {
  const cpus = numberCpus(input.nodes);
  const zones = layOut(input);
  const nodes = input.nodes.map((node, nid) => buildNode(node, nid, cpus[nid]!, zones[nid]!));
  const links = (input.links ?? []).flatMap(buildLinks);
  const weights = input.interleave_weights;
  const spec: MachineSpec = {
    name: input.name,
    ...(input.description === undefined ? {} : { description: input.description }),
    sources: [...(input.sources ?? []), ...notesOf(input)],
    kernel: String(input.kernel ?? DEFAULT_KERNEL) as KernelVersion,
    nodes,
    distance: input.distances ?? [],
    links,
    swap: buildSwap(input),
    costs: buildCosts(input),
    sysctl: input.sysctl ?? {},
    ...(weights === undefined ? {} : { interleaveWeights: weights }),
    vdso: input.vdso ?? true,
    ...experimentalOf(input),
  };
  return input.distances === undefined ? { ...spec, distance: distancesOf(spec) } : spec;
}

/** CPU numbers of each node: lists as they are, counts numbered on from the highest so far. */
function numberCpus(nodes: readonly NodeInput[]): number[][] {
  let next = 0;
  return nodes.map(({ cpus = 0 }) => {
    const list =
      typeof cpus === 'number'
        ? Array.from({ length: cpus }, (_, i) => next + i)
        : parseBitmapList(cpus, CPUS_MAX);
    assert(typeof list !== 'number', 'a list of CPUs was checked');
    for (const cpu of list) next = Math.max(next, cpu + 1);
    return list;
  });
}

/** Zones of each node, laid out in physical memory. */
function layOut(input: MachineInput): ZoneSpec[][] {
  let next = input.low_zones === true ? 0 : NORMAL_START_PFN;
  return input.nodes.map((node, nid) => {
    const start = node.start === undefined ? next : toPages(node.start);
    let zones: ZoneSpec[] = [];
    if (node.zones !== undefined) zones = node.zones.map(buildZone);
    else if (node.size !== undefined && toBytes(node.size) > 0) {
      const hasLowZones = input.low_zones === true && nid === 0;
      zones = reserve(splitZones(node, start, hasLowZones), toPages(node.reserved ?? 0));
    }
    for (const zone of zones) next = Math.max(next, zone.endPfn);
    if (zones.length > 0 && next < NORMAL_START_PFN) next = NORMAL_START_PFN;
    next = Math.ceil(next / PAGES_PER_SECTION) * PAGES_PER_SECTION;
    return zones;
  });
}

function buildZone(zone: NonNullable<NodeInput['zones']>[number]): ZoneSpec {
  const span = zone.end_pfn - zone.start_pfn;
  const present = zone.present_pages ?? span;
  const holes = zone.holes?.map((h) => ({ startPfn: h.start_pfn, endPfn: h.end_pfn }));
  const cma = zone.cma?.map((area) => ({ startPfn: area.start_pfn, pages: area.pages }));
  return {
    zone: ZONE_NAMES.indexOf(zone.zone) as ZoneType,
    startPfn: zone.start_pfn,
    endPfn: zone.end_pfn,
    absentPages: span - present,
    ...(holes === undefined ? {} : { holes }),
    reservedPages: present - (zone.managed_pages ?? present),
    ...(zone.watermark === undefined ? {} : { watermark: zone.watermark }),
    ...(cma === undefined ? {} : { cma }),
  };
}

/** Kernel zones from `start` on, then ZONE_MOVABLE at the end (OV-4). */
function splitZones(node: NodeInput, start: number, hasLowZones: boolean): ZoneSpec[] {
  const pages = toPages(node.size!);
  const { movable = 'none' } = node;
  let movablePages = 0;
  if (movable === 'all') movablePages = pages;
  else if (movable !== 'none') movablePages = toPages(movable);
  const zones: ZoneSpec[] = [];
  let next = start;
  const add = (zone: ZoneType, nrPages: number) => {
    if (nrPages <= 0) return;
    zones.push({
      zone,
      startPfn: next,
      endPfn: next + nrPages,
      absentPages: 0,
      // The first page of memory belongs to the firmware.
      reservedPages: next === 0 ? 1 : 0,
    });
    next += nrPages;
  };
  let kernelPages = pages - movablePages;
  if (hasLowZones) {
    const low = Math.min(kernelPages, LOW_END_PFN - start);
    add(ZONE_DMA, Math.min(low, DMA_END_PFN - start));
    add(ZONE_DMA32, low - (next - start));
    kernelPages -= low;
    if (kernelPages > 0 || movablePages > 0) next = Math.max(next, NORMAL_START_PFN);
  }
  add(ZONE_NORMAL, kernelPages);
  add(ZONE_MOVABLE, movablePages);
  return zones;
}

/** Takes the boot reservation out of the largest kernel zone (the only zone, if all is movable). */
function reserve(zones: readonly ZoneSpec[], pages: number): ZoneSpec[] {
  const span = (zone: ZoneSpec) => (zone.zone === ZONE_MOVABLE ? 0 : zone.endPfn - zone.startPfn);
  let largest = zones[0]!;
  for (const zone of zones) if (span(zone) > span(largest)) largest = zone;
  return zones.map((zone) => (zone === largest ? { ...zone, reservedPages: pages } : zone));
}

function buildNode(node: NodeInput, nid: number, cpus: number[], zones: ZoneSpec[]): NodeSpec {
  return {
    nid,
    kind: node.kind,
    role: node.role ?? node.kind,
    cpus,
    zones,
    perf: buildPerf(node),
    hotplugged: node.hotplugged ?? false,
    ...capabilitiesOf(node),
    ...(node.abstract_distance === undefined ? {} : { abstractDistance: node.abstract_distance }),
    costPerGib: node.cost_per_gib ?? 0,
  };
}

/** A memory-less node has no device: all zero. */
function buildPerf(node: NodeInput): NodePerf {
  const { latency = 0, bandwidth = 0 } = node;
  const isOne = typeof latency !== 'object';
  const mix = mixOf(bandwidth);
  return {
    readLatencyNs: toNs(isOne ? latency : latency.read),
    writeLatencyNs: toNs(isOne ? latency : latency.write),
    readBandwidth: mix.peak,
    writeBandwidth: mix.peak * mix.fractions[0],
    mixBandwidth: mix.fractions,
    curve: buildCurve(node.curve),
    ...(node.overload_loss === undefined ? {} : { overloadLoss: node.overload_loss }),
  };
}

/** Bandwidth at read shares 0, 1/4 ... 1, read off straight lines through the measured mixes. */
function mixOf(bandwidth: NonNullable<NodeInput['bandwidth']>) {
  if (typeof bandwidth !== 'object') {
    return { peak: toBandwidth(bandwidth), fractions: [1, 1, 1, 1, 1] as const };
  }
  const peak = toBandwidth(bandwidth.read);
  const points: [number, number][] = [
    [0, toBandwidth(bandwidth.write ?? bandwidth.read)],
    [1, peak],
  ];
  for (const [ratio, value] of Object.entries(bandwidth.mix ?? {})) {
    const [reads, writes] = ratio.split(':').map(Number) as [number, number];
    points.push([reads / (reads + writes), toBandwidth(value)]);
  }
  points.sort((a, b) => a[0] - b[0]);
  const at = (share: number) => {
    let i = 1;
    while (points[i]![0] < share) i++;
    const [x0, y0] = points[i - 1]!;
    const [x1, y1] = points[i]!;
    return (y0 + ((y1 - y0) * (share - x0)) / (x1 - x0)) / peak;
  };
  return { peak, fractions: [at(0), at(0.25), at(0.5), at(0.75), at(1)] as const };
}

function buildCurve(curve: NodeInput['curve']): LoadedLatencyCurve {
  if (curve === undefined || curve === 'queueing') return DEFAULT_CURVE;
  if (curve === 'flat') return FLAT_CURVE;
  return { utilisation: curve.map(([u]) => u), factor: curve.map(([, f]) => f) };
}

/** One link, or one a direction. */
function buildLinks(link: LinkInput): LinkSpec[] {
  const { bandwidth } = link;
  const isOne = typeof bandwidth !== 'object';
  const there: LinkSpec = {
    name: link.name,
    from: link.from,
    to: link.to,
    latencyNs: toNs(link.latency ?? 0),
    readBandwidth: toBandwidth(isOne ? bandwidth : bandwidth.read),
    writeBandwidth: toBandwidth(isOne ? bandwidth : bandwidth.write),
    curve: buildCurve(link.curve),
  };
  if (link.both_ways !== true) return [there];
  const name = (from: readonly number[], to: readonly number[]) =>
    `${link.name} ${from.join(',')}>${to.join(',')}`;
  return [
    { ...there, name: name(link.from, link.to) },
    { ...there, name: name(link.to, link.from), from: link.to, to: link.from },
  ];
}

function buildSwap({ swap }: MachineInput) {
  if (swap === undefined) return SWAP_DEFAULTS;
  return {
    pages: Math.floor(toBytes(swap.size) / PAGE_SIZE),
    readNs: swap.read === undefined ? SWAP_DEFAULTS.readNs : toNs(swap.read),
    writeNs: swap.write === undefined ? SWAP_DEFAULTS.writeNs : toNs(swap.write),
  };
}

function buildCosts({ costs = {} }: MachineInput): CostSpec {
  const ns = (given: Quantity | undefined, standard: number) =>
    given === undefined ? standard : toNs(given);
  const { copy_bandwidth: copy } = costs;
  return {
    migrateCallNs: ns(costs.migrate_call, COST_DEFAULTS.migrateCallNs),
    migrateFolioNs: ns(costs.migrate_folio, COST_DEFAULTS.migrateFolioNs),
    rmapEntryNs: ns(costs.rmap_entry, COST_DEFAULTS.rmapEntryNs),
    tlbShootdownNs: ns(costs.tlb_shootdown, COST_DEFAULTS.tlbShootdownNs),
    copyBandwidth: copy === undefined ? COST_DEFAULTS.copyBandwidth : toBandwidth(copy),
    minorFaultNs: ns(costs.minor_fault, COST_DEFAULTS.minorFaultNs),
    hintFaultNs: ns(costs.hint_fault, COST_DEFAULTS.hintFaultNs),
    clearPageNs: ns(costs.clear_page, COST_DEFAULTS.clearPageNs),
    majorFaultNs: ns(costs.major_fault, COST_DEFAULTS.majorFaultNs),
    scanFolioNs: ns(costs.scan_folio, COST_DEFAULTS.scanFolioNs),
    scanPteNs: ns(costs.scan_pte, COST_DEFAULTS.scanPteNs),
    sampleNs: ns(costs.sample, COST_DEFAULTS.sampleNs),
    memoryParallelism: costs.memory_parallelism ?? COST_DEFAULTS.memoryParallelism,
    instructionNs: ns(costs.instruction, COST_DEFAULTS.instructionNs),
  };
}

/** Distances from latencies: 10 * latency / local latency, symmetric, others 11 to 254. */
function distancesOf(spec: MachineSpec): number[][] {
  const cpus = cpuNids(spec);
  const localNs = localLatencyNs(spec);
  const clamp = (value: number) =>
    Math.min(DISTANCE_MAX, Math.max(LOCAL_DISTANCE + 1, Math.round(value)));
  const fromCpu = (cpuNid: number, nid: number) => {
    if (cpuNid === nid) return LOCAL_DISTANCE;
    const latencyNs = accessCoordinates(spec, cpuNid, nid).readLatencyNs;
    return clamp((LOCAL_DISTANCE * latencyNs) / localNs);
  };
  const distance = (a: number, b: number) => {
    if (a === b) return LOCAL_DISTANCE;
    const isCpuA = cpus.includes(a);
    const isCpuB = cpus.includes(b);
    if (isCpuA && isCpuB) return Math.max(fromCpu(a, b), fromCpu(b, a));
    if (isCpuA) return fromCpu(a, b);
    if (isCpuB) return fromCpu(b, a);
    const ways = cpus.map((c) => fromCpu(c, a) + fromCpu(c, b) - LOCAL_DISTANCE);
    return clamp(Math.min(...ways));
  };
  return spec.nodes.map((a) => spec.nodes.map((b) => distance(a.nid, b.nid)));
}

/** What distance 10 stands for: the fastest local memory of a CPU node, else any fastest memory. */
function localLatencyNs(spec: MachineSpec): number {
  const withMemory = spec.nodes.filter((node) => node.perf.readLatencyNs > 0);
  const local = withMemory.filter((node) => node.cpus.length > 0);
  const latencies = (local.length > 0 ? local : withMemory).map((node) => node.perf.readLatencyNs);
  return latencies.length > 0 ? Math.min(...latencies) : 1;
}

function capabilitiesOf({ capabilities }: NodeInput): Pick<NodeSpec, 'capabilities'> {
  if (capabilities === undefined) return {};
  if (typeof capabilities !== 'string') return { capabilities };
  return { capabilities: presetCapabilities(capabilities)! };
}

function experimentalOf(
  input: MachineInput,
): Pick<MachineSpec, 'experimental' | 'physicalAddressBits'> {
  const { experimental, physical_address_bits: bits } = input;
  return {
    ...(experimental === undefined ? {} : { experimental }),
    ...(bits === undefined ? {} : { physicalAddressBits: bits }),
  };
}

/** What Linux does not have is marked wherever the machine's sources are shown. */
function notesOf({ experimental = [] }: MachineInput): string[] {
  return experimental.length === 0 ? [] : [experimentalNote(experimental)];
}
