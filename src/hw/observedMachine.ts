/**
 * Machines that were observed running Linux, as the conformance tests describe them
 * (test/conformance/machines.json): zones with PFN ranges and watermarks as /proc/zoneinfo showed
 * them, holes, CMA areas, distances, performance data of the emulated firmware, settings.
 *
 * How we model it: everything the kernel printed is taken as it is. A node that has only
 * ZONE_MOVABLE came after boot (a hotplugged DIMM, dax/kmem); one without performance data has the
 * abstract distance that dax/kmem gives (TI-2).
 * Not modelled: costs. The machines were emulated, so their times mean nothing; where none is
 * given, figures of an ASIC expander stand in.
 */
import { assert } from '../base/assert.ts';
import { ZONE_NAMES, type ZoneType } from '../uapi/zone.ts';
import { COST_DEFAULTS } from './costDefaults.ts';
import { DEFAULT_KERNEL, type KernelVersion } from './kernelProfile.ts';
import { DEFAULT_CURVE } from './loadedLatency.ts';
import {
  type MachineSpec,
  type NodePerf,
  type NodeSpec,
  SYSCTL_DEFAULTS,
  type SysctlSpec,
  type ZoneSpec,
} from './machineSpec.ts';
import { MEMTIER_DEFAULT_DAX_ADISTANCE } from './memoryTiers.ts';

/** The part of machines.json that is read here. */
export interface ObservedMachines {
  readonly machines: readonly ObservedMachine[];
}

export interface ObservedMachine {
  readonly name: string;
  readonly nodes: readonly ObservedNode[];
  readonly holes?: readonly { readonly start_pfn: number; readonly end_pfn: number }[];
  readonly cma: readonly {
    readonly node: number;
    readonly zone: string;
    readonly start_pfn: number;
    readonly pages: number;
  }[];
  readonly swap: readonly { readonly pages: number }[];
  readonly settings: Readonly<Record<string, unknown>> & {
    readonly weighted_interleave: {
      readonly auto: boolean;
      readonly weights: Readonly<Record<string, number>>;
    };
  };
  readonly vdso: boolean;
  readonly block_pages?: number;
}

interface ObservedNode {
  readonly node: number;
  readonly role: string;
  readonly cpus: readonly number[];
  readonly distance: readonly number[];
  readonly zones: readonly ObservedZone[];
  readonly read_latency_ns?: number;
  readonly read_bandwidth_mb_s?: number;
}

interface ObservedZone {
  readonly zone: string;
  readonly start_pfn: number;
  readonly end_pfn: number;
  readonly present_pages: number;
  readonly managed_pages: number;
  readonly watermark: { readonly min: number; readonly low: number; readonly high: number };
}

/** Assumption: zram of these machines, one 4 KiB page. */
const ZRAM_READ_NS = 1000;
const ZRAM_WRITE_NS = 2000;

/** Stand-in costs of a node without performance data: an ASIC expander beside 80 ns DRAM. */
const STAND_IN_LATENCY_NS = 174;
const STAND_IN_BANDWIDTH = 16.8;

/**
 * The machine `name` of machines.json as the model's machine.
 * Preconditions: `json` has the documented shape and a machine of that name.
 */
export function observedMachine(
  json: ObservedMachines,
  name: string,
  kernel: KernelVersion = DEFAULT_KERNEL,
): MachineSpec {
  const machine = json.machines.find((candidate) => candidate.name === name);
  assert(machine !== undefined, `observedMachine: a machine called ${name}`);
  const { auto, weights } = machine.settings.weighted_interleave;
  return {
    name,
    sources: ['observed on a running kernel: test/conformance/machines.json'],
    kernel,
    nodes: machine.nodes.map((node) => nodeSpec(machine, node)),
    distance: machine.nodes.map((node) => [...node.distance]),
    links: [],
    swap: {
      pages: machine.swap.reduce((sum, area) => sum + area.pages, 0),
      readNs: ZRAM_READ_NS,
      writeNs: ZRAM_WRITE_NS,
    },
    costs: COST_DEFAULTS,
    sysctl: sysctlOf(machine),
    ...(auto ? {} : { interleaveWeights: { ...weights } }),
    vdso: machine.vdso,
    ...(machine.block_pages === undefined ? {} : { memoryBlockPages: machine.block_pages }),
  };
}

function nodeSpec(machine: ObservedMachine, node: ObservedNode): NodeSpec {
  const hasPerf = node.read_latency_ns !== undefined && node.read_bandwidth_mb_s !== undefined;
  return {
    nid: node.node,
    kind: node.cpus.length > 0 ? 'dram' : 'cxl',
    role: node.role,
    cpus: [...node.cpus],
    zones: node.zones.map((zone) => zoneSpec(machine, node, zone)),
    perf: perfOf(node),
    hotplugged: node.zones.every((zone) => zone.zone === 'Movable'),
    ...(hasPerf ? {} : { abstractDistance: MEMTIER_DEFAULT_DAX_ADISTANCE }),
    costPerGib: 0,
  };
}

function zoneSpec(machine: ObservedMachine, node: ObservedNode, zone: ObservedZone): ZoneSpec {
  const type = ZONE_NAMES.indexOf(zone.zone as (typeof ZONE_NAMES)[number]);
  assert(type !== -1, `observedMachine: ${zone.zone} is a zone`);
  const { start_pfn: startPfn, end_pfn: endPfn } = zone;
  const holes = (machine.holes ?? [])
    .map((hole) => ({
      startPfn: Math.max(hole.start_pfn, startPfn),
      endPfn: Math.min(hole.end_pfn, endPfn),
    }))
    .filter((hole) => hole.startPfn < hole.endPfn);
  const cma = machine.cma
    .filter((area) => area.node === node.node && area.zone === zone.zone)
    .map((area) => ({ startPfn: area.start_pfn, pages: area.pages }));
  return {
    zone: type as ZoneType,
    startPfn,
    endPfn,
    absentPages: endPfn - startPfn - zone.present_pages,
    ...(holes.length > 0 ? { holes } : {}),
    reservedPages: zone.present_pages - zone.managed_pages,
    watermark: { ...zone.watermark },
    ...(cma.length > 0 ? { cma } : {}),
  };
}

function perfOf(node: ObservedNode): NodePerf {
  const latencyNs = node.read_latency_ns ?? STAND_IN_LATENCY_NS;
  const mbPerS = node.read_bandwidth_mb_s ?? STAND_IN_BANDWIDTH * 1000;
  return {
    readLatencyNs: latencyNs,
    writeLatencyNs: latencyNs,
    readBandwidth: mbPerS / 1000,
    writeBandwidth: mbPerS / 1000,
    mixBandwidth: [1, 1, 1, 1, 1],
    curve: DEFAULT_CURVE,
  };
}

/** The settings the model knows, under the same names. */
function sysctlOf(machine: ObservedMachine): Partial<SysctlSpec> {
  const known = Object.keys(SYSCTL_DEFAULTS).filter((key) => key in machine.settings);
  return Object.fromEntries(known.map((key) => [key, machine.settings[key]]));
}
