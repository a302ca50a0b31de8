/**
 * What makes a machine impossible: rules across the fields of a machine file. Each problem names
 * the field and what to write instead.
 *
 * Order: checkFields() before the machine is built (its answers guard the arithmetic of
 * machineBuild.ts), checkMachine() after.
 */
import { PAGE_SIZE, PAGES_PER_SECTION } from '../base/units.ts';
import { EINVAL } from '../uapi/errno.ts';
import { ZONE_NAMES } from '../uapi/zone.ts';
import { parseBitmapList } from './bitmapText.ts';
import { DEFAULT_KERNEL, type KernelVersion, kernelProfile } from './kernelProfile.ts';
import { CPUS_MAX, toBandwidth, toBytes, toNs } from './machineBuild.ts';
import type { LinkInput, MachineInput, NodeInput } from './machineSchema.ts';
import type { MachineSpec } from './machineSpec.ts';
import { NODES_MAX } from './nodeOrder.ts';
import { formatSize } from './quantity.ts';
import { endPfnMax, nodePresentPages, zonePresentPages } from './topology.ts';
import type { FieldPath } from './yamlReader.ts';

export type Report = (path: FieldPath, message: string, remedy: string) => void;

/** Frames a modelled machine may have: 1 TiB. */
const FRAMES_MAX = 0x1000_0000;
/** PFNs fit a signed 32-bit column. */
const PFN_MAX = 0x7fff_ffff;
const SECTION_BYTES = PAGES_PER_SECTION * PAGE_SIZE;

const LOCAL_DISTANCE = 10;
const UNREACHABLE = 255;

/** Problems in the fields themselves. */
export function checkFields(input: MachineInput, report: Report): void {
  if (input.nodes.length > NODES_MAX) {
    report(['nodes'], `${input.nodes.length} nodes`, `at most ${NODES_MAX}`);
  }
  for (const [i, node] of input.nodes.entries()) checkNode(node, ['nodes', i], report);
  const hasMemory = input.nodes.some((node) => node.zones !== undefined || bytesOf(node) > 0);
  if (!hasMemory) report(['nodes'], 'no node has memory', 'give one a size');
  const hasCpus = input.nodes.some((node) => node.cpus !== undefined && node.cpus !== 0);
  if (!hasCpus) report(['nodes'], 'no node has CPUs', 'give one cpus: 8');
  checkCpus(input.nodes, report);
  checkDistances(input, report);
  for (const [i, link] of (input.links ?? []).entries()) checkLink(input, link, i, report);
  checkWeights(input, report);
  checkExperimental(input, report);
  const copy = input.costs?.copy_bandwidth;
  if (copy !== undefined && toBandwidth(copy) <= 0) {
    report(['costs', 'copy_bandwidth'], 'a copy bandwidth of 0', 'omit it for the default');
  }
}

function checkExperimental({ experimental = [] }: MachineInput, report: Report): void {
  for (const [i, feature] of experimental.entries()) {
    if (experimental.indexOf(feature) === i) continue;
    report(['experimental', i], `${feature} twice`, 'remove one of them');
  }
  const dirty = experimental.indexOf('device_dirty_pages');
  if (dirty >= 0 && !experimental.includes('device_page_cache')) {
    const remedy = 'add device_page_cache';
    report(['experimental', dirty], 'device_dirty_pages does nothing alone', remedy);
  }
}

function bytesOf(node: NodeInput): number {
  return node.size === undefined ? 0 : toBytes(node.size);
}

function checkNode(node: NodeInput, path: FieldPath, report: Report): void {
  if (node.zones !== undefined) {
    for (const key of ['size', 'movable', 'start', 'reserved'] as const) {
      if (node[key] === undefined) continue;
      report([...path, key], `${key} beside zones`, 'zones say it all: remove one of them');
    }
    checkZones(node.zones, [...path, 'zones'], report);
  } else if (node.size === undefined) {
    report(path, 'size is missing', 'size: 64GiB, or zones: in full');
    return;
  } else {
    checkSizes(node, path, report);
    if (toBytes(node.size) === 0) return;
  }
  checkPerf(node, path, report);
}

function checkSizes(node: NodeInput, path: FieldPath, report: Report): void {
  const bytes = bytesOf(node);
  for (const key of ['size', 'movable', 'start'] as const) {
    const text = node[key];
    if (text === undefined || text === 'all' || text === 'none') continue;
    const value = toBytes(text);
    if (value % SECTION_BYTES === 0) continue;
    const near = Math.max(1, Math.round(value / SECTION_BYTES)) * SECTION_BYTES;
    const remedy = `Linux handles memory in sections of 128 MiB: ${formatSize(near)}`;
    report([...path, key], `${text} is not a multiple of 128MiB`, remedy.replace(/ (.iB)$/, '$1'));
  }
  if (bytes === 0 && (node.cpus === undefined || node.cpus === 0)) {
    report([...path, 'size'], 'a node with neither memory nor CPUs', 'give it one, or remove it');
  }
  const { movable, reserved } = node;
  if (movable !== undefined && movable !== 'all' && movable !== 'none') {
    if (toBytes(movable) > bytes) {
      report([...path, 'movable'], `more than the node's ${node.size}`, 'all, or a smaller size');
    }
  }
  if (reserved !== undefined && toBytes(reserved) >= bytes && bytes > 0) {
    report([...path, 'reserved'], 'boot would keep the whole node', `less than ${node.size}`);
  }
}

function checkPerf(node: NodeInput, path: FieldPath, report: Report): void {
  const { latency, bandwidth, curve } = node;
  if (latency === undefined) {
    report(path, 'latency is missing', 'latency: 80ns, unloaded, from the closest CPUs');
  } else {
    const all = typeof latency === 'object' ? [latency.read, latency.write] : [latency];
    if (all.some((text) => toNs(text) <= 0)) {
      report([...path, 'latency'], 'a latency of 0', 'local DRAM has about 80ns');
    }
  }
  if (bandwidth === undefined) {
    report(path, 'bandwidth is missing', 'bandwidth: 38.4GB/s, as a benchmark measures it');
  } else {
    checkBandwidth(bandwidth, [...path, 'bandwidth'], report);
  }
  if (curve !== undefined) checkCurve(curve, [...path, 'curve'], report);
}

function checkBandwidth(
  bandwidth: NonNullable<NodeInput['bandwidth']>,
  path: FieldPath,
  report: Report,
): void {
  const remedy = 'memory that cannot be read has no place in a machine';
  if (typeof bandwidth !== 'object') {
    if (toBandwidth(bandwidth) <= 0) report(path, 'a bandwidth of 0', remedy);
    return;
  }
  for (const key of ['read', 'write'] as const) {
    const text = bandwidth[key];
    if (text !== undefined && toBandwidth(text) <= 0) {
      report([...path, key], 'a bandwidth of 0', remedy);
    }
  }
  const shares = new Set<number>();
  for (const [ratio, text] of Object.entries(bandwidth.mix ?? {})) {
    const [reads, writes] = ratio.split(':').map(Number) as [number, number];
    const at = [...path, 'mix', ratio];
    if (toBandwidth(text) <= 0) report(at, 'a bandwidth of 0', remedy);
    if (reads === 0 || writes === 0) {
      report(at, 'not a mix', 'all reads or all writes belong to read: and write:');
    } else if (shares.has(reads / writes)) {
      report(at, 'this mix is given twice', 'keep one of them');
    }
    shares.add(reads / writes);
  }
}

function checkCurve(curve: NonNullable<NodeInput['curve']>, path: FieldPath, report: Report): void {
  if (typeof curve === 'string') return;
  const [first] = curve;
  if (first![0] !== 0 || first![1] !== 1) {
    report([...path, 0], 'the curve begins elsewhere', 'its first point is [0, 1]: idle, unloaded');
  }
  for (let i = 1; i < curve.length; i++) {
    const [u, f] = curve[i]!;
    const [uBefore, fBefore] = curve[i - 1]!;
    if (u <= uBefore || u > 1) {
      report([...path, i], `utilisation ${u} after ${uBefore}`, 'utilisation rises, at most to 1');
    }
    if (f < fBefore) {
      report([...path, i], `factor ${f} after ${fBefore}`, 'latency does not fall under load');
    }
  }
}

type ZoneInput = NonNullable<NodeInput['zones']>[number];

function checkZones(zones: readonly ZoneInput[], path: FieldPath, report: Report): void {
  for (const [i, zone] of zones.entries()) {
    const at = [...path, i];
    const span = zone.end_pfn - zone.start_pfn;
    const present = zone.present_pages ?? span;
    if (span <= 0) report([...at, 'end_pfn'], 'the zone ends where it begins', 'it is exclusive');
    if (present > span) {
      report([...at, 'present_pages'], `more than the span of ${span}`, 'holes make it less');
    }
    if ((zone.managed_pages ?? 0) > present) {
      report([...at, 'managed_pages'], `more than the ${present} present`, 'boot keeps some');
    }
    const mark = zone.watermark;
    if (mark !== undefined && !(mark.min <= mark.low && mark.low <= mark.high)) {
      report([...at, 'watermark'], 'watermarks out of order', 'min <= low <= high');
    }
    const before = zones[i - 1];
    if (before !== undefined) {
      const isAscending =
        ZONE_NAMES.indexOf(before.zone) < ZONE_NAMES.indexOf(zone.zone) &&
        before.end_pfn <= zone.start_pfn;
      const remedy = 'DMA, DMA32, Normal, Movable, each at most once and above the last one';
      if (!isAscending) report(at, `zone ${zone.zone} after ${before.zone}`, remedy);
    }
    checkInsideZone(zone, at, report);
  }
}

/** Holes and CMA areas lie in the zone, in order, and the holes are absent pages. */
function checkInsideZone(zone: ZoneInput, path: FieldPath, report: Report): void {
  const remedy = `inside pages ${zone.start_pfn} to ${zone.end_pfn}, in order`;
  let end = zone.start_pfn;
  let absent = zone.end_pfn - zone.start_pfn - (zone.present_pages ?? 0);
  for (const [i, hole] of (zone.holes ?? []).entries()) {
    const isInside = hole.start_pfn >= end && hole.end_pfn <= zone.end_pfn;
    if (!isInside || hole.end_pfn <= hole.start_pfn) {
      report([...path, 'holes', i], 'a hole outside the zone or over another', remedy);
    }
    absent -= hole.end_pfn - hole.start_pfn;
    end = hole.end_pfn;
  }
  if (zone.holes !== undefined && absent < 0) {
    report([...path, 'holes'], 'holes larger than what is absent', 'lower present_pages');
  }
  end = zone.start_pfn;
  for (const [i, area] of (zone.cma ?? []).entries()) {
    const isInside = area.start_pfn >= end && area.start_pfn + area.pages <= zone.end_pfn;
    if (!isInside || area.pages === 0) {
      report([...path, 'cma', i], 'a CMA area outside the zone or over another', remedy);
    }
    end = area.start_pfn + area.pages;
  }
}

function checkCpus(nodes: readonly NodeInput[], report: Report): void {
  const owners = new Map<number, number>();
  for (const [nid, { cpus }] of nodes.entries()) {
    const path = ['nodes', nid, 'cpus'];
    if (typeof cpus === 'number' && cpus > CPUS_MAX) {
      report(path, `${cpus} CPUs`, `at most ${CPUS_MAX}`);
    }
    if (typeof cpus !== 'string') continue;
    for (const part of cpus.split(',')) {
      const list = parseBitmapList(part, CPUS_MAX);
      const [first, last = first] = part.split('-');
      if (list === -EINVAL) report(path, `the range ${part} is backwards`, `${last}-${first}`);
      else if (typeof list === 'number') {
        report(path, `CPU ${last}`, `CPU numbers are below ${CPUS_MAX}`);
      } else {
        const taken = list.find((cpu) => owners.has(cpu));
        if (taken !== undefined) {
          const owner = owners.get(taken);
          report(path, `CPU ${taken} is already in node ${owner}`, 'a CPU belongs to one node');
        }
        for (const cpu of list) owners.set(cpu, nid);
      }
    }
  }
}

function checkDistances(input: MachineInput, report: Report): void {
  const matrix = input.distances;
  if (matrix === undefined) return;
  const n = input.nodes.length;
  if (matrix.length !== n) {
    report(['distances'], `${matrix.length} rows for ${n} nodes`, 'a row and a column a node');
    return;
  }
  for (const [a, row] of matrix.entries()) {
    if (row.length !== n) {
      report(['distances', a], `${row.length} columns for ${n} nodes`, 'a column a node');
      return;
    }
  }
  for (const [a, row] of matrix.entries()) {
    for (const [b, distance] of row.entries()) {
      const path = ['distances', a, b];
      if (a === b && distance !== LOCAL_DISTANCE) {
        report(path, `local distance ${distance}`, 'the distance to itself is 10');
      } else if (a !== b && (distance <= LOCAL_DISTANCE || distance > UNREACHABLE)) {
        report(path, `distance ${distance}`, 'local is 10, others 11 to 254, unreachable 255');
      } else if (b > a && matrix[b]![a] !== distance) {
        const other = matrix[b]![a]!;
        report(path, `${distance} there and ${other} back`, 'distances are symmetric');
      }
    }
  }
}

function checkLink(input: MachineInput, link: LinkInput, index: number, report: Report): void {
  const path = ['links', index];
  const hasCpus = (nid: number) => Boolean(input.nodes[nid]?.cpus);
  const hasMemory = (nid: number) =>
    input.nodes[nid]?.zones !== undefined || bytesOf(input.nodes[nid]!) > 0;
  for (const side of ['from', 'to'] as const) {
    for (const [i, nid] of link[side].entries()) {
      const at = [...path, side, i];
      if (nid >= input.nodes.length) {
        report(at, `there is no node ${nid}`, `nodes are 0 to ${input.nodes.length - 1}`);
        continue;
      }
      const needsCpus = side === 'from' || link.both_ways === true;
      const needsMemory = side === 'to' || link.both_ways === true;
      if (needsCpus && !hasCpus(nid)) {
        report(at, `node ${nid} has no CPUs`, 'from: names the nodes whose CPUs use the link');
      } else if (needsMemory && !hasMemory(nid)) {
        report(at, `node ${nid} has no memory`, 'to: names the nodes whose memory is behind it');
      }
    }
  }
  if ((input.links ?? []).findIndex((other) => other.name === link.name) < index) {
    report([...path, 'name'], `a second link called ${link.name}`, 'names are unique');
  }
  const { bandwidth } = link;
  const all = typeof bandwidth === 'object' ? [bandwidth.read, bandwidth.write] : [bandwidth];
  if (all.some((text) => toBandwidth(text) <= 0)) {
    report([...path, 'bandwidth'], 'a bandwidth of 0', 'a link that carries nothing is no link');
  }
  if (link.curve !== undefined) checkCurve(link.curve, [...path, 'curve'], report);
}

function checkWeights(input: MachineInput, report: Report): void {
  const weights = input.interleave_weights;
  if (weights === undefined) return;
  const version = String(input.kernel ?? DEFAULT_KERNEL) as KernelVersion;
  if (!kernelProfile(version).weightedInterleave) {
    report(['interleave_weights'], `Linux ${version} has no weighted interleave`, 'remove them');
  }
  for (const nid of Object.keys(weights)) {
    const node = input.nodes[Number(nid)];
    const hasMemory = node !== undefined && (node.zones !== undefined || bytesOf(node) > 0);
    if (!hasMemory) {
      report(['interleave_weights', nid], `there is no node ${nid} with memory`, 'remove it');
    }
  }
}

/** Problems of the machine as a whole: places in physical memory and the amount of it. */
export function checkMachine(input: MachineInput, spec: MachineSpec, report: Report): void {
  const zones = spec.nodes.flatMap((node) =>
    node.zones.map((zone, i) => ({ nid: node.nid, zone, i })),
  );
  zones.sort((a, b) => a.zone.startPfn - b.zone.startPfn);
  for (const [i, { nid, zone, i: index }] of zones.entries()) {
    const before = zones[i - 1];
    if (before === undefined || before.zone.endPfn <= zone.startPfn) continue;
    const node = input.nodes[nid]!;
    const path = ['nodes', nid, ...(node.zones === undefined ? ['start'] : ['zones', index])];
    const end = before.zone.endPfn;
    const remedy = `page ${end} (${formatSize(end * PAGE_SIZE)}) is the first free one`;
    report(path, `its memory overlaps that of node ${before.nid}`, remedy);
  }
  checkReserved(input, spec, report);
  const frames = spec.nodes.reduce((sum, node) => sum + nodePresentPages(node), 0);
  if (frames > FRAMES_MAX) {
    const total = formatSize(frames * PAGE_SIZE);
    report(['nodes'], `${total} of memory in all`, 'a modelled machine has at most 1 TiB');
  }
  if (endPfnMax(spec) > PFN_MAX) {
    report(['nodes'], 'memory above 8 TiB', 'physical addresses of the model end there');
  }
}

/** Boot can only keep memory of the zone it takes it from (the largest kernel zone). */
function checkReserved(input: MachineInput, spec: MachineSpec, report: Report): void {
  for (const node of spec.nodes) {
    for (const zone of node.zones) {
      if (zone.reservedPages <= zonePresentPages(zone)) continue;
      if (input.nodes[node.nid]!.reserved === undefined) continue;
      const room = formatSize(zonePresentPages(zone) * PAGE_SIZE);
      const zoneName = ZONE_NAMES[zone.zone];
      report(['nodes', node.nid, 'reserved'], `more than zone ${zoneName} has`, `at most ${room}`);
    }
  }
}
