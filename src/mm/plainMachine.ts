/**
 * A machine from the sizes of its zones, everything else plain: for unit tests and benches of mm/.
 * Zones lie one after the other from a given PFN, each aligned up to a section.
 */
import { PAGES_PER_SECTION, type Pfn } from '../base/units.ts';
import {
  COST_DEFAULTS,
  DEFAULT_CURVE,
  DEFAULT_KERNEL,
  type MachineSpec,
  type NodeCapability,
  type SysctlSpec,
} from '../hw/index.ts';
import type { ZoneType } from '../uapi/zone.ts';

export interface PlainZone {
  readonly zone: ZoneType;
  /** Present pages. */
  readonly pages: number;
  readonly reserved?: number;
  readonly absent?: number;
  /** CMA areas: first page counted from the start of the zone, pages. */
  readonly cma?: readonly { readonly at: number; readonly pages: number }[];
}

export interface PlainNode {
  readonly cpus: readonly number[];
  readonly zones: readonly PlainZone[];
  readonly capabilities?: readonly NodeCapability[];
  readonly abstractDistance?: number;
}

/** `distance` by default 10 and 20. */
export function plainMachine(
  nodes: readonly PlainNode[],
  options: {
    readonly distance?: readonly (readonly number[])[];
    readonly sysctl?: Partial<SysctlSpec>;
    readonly startPfn?: Pfn;
  } = {},
): MachineSpec {
  let next = options.startPfn ?? 0;
  const place = (zone: PlainZone) => {
    const startPfn = next;
    const absentPages = zone.absent ?? 0;
    const endPfn = startPfn + absentPages + zone.pages;
    next = Math.ceil(endPfn / PAGES_PER_SECTION) * PAGES_PER_SECTION;
    const cma = (zone.cma ?? []).map((a) => ({ startPfn: startPfn + a.at, pages: a.pages }));
    const reservedPages = zone.reserved ?? 0;
    return { zone: zone.zone, startPfn, endPfn, absentPages, reservedPages, cma };
  };
  return {
    name: 'plain',
    sources: ['none: sizes only'],
    kernel: DEFAULT_KERNEL,
    nodes: nodes.map((node, nid) => ({
      nid,
      kind: node.cpus.length > 0 ? 'dram' : 'cxl',
      role: 'plain',
      cpus: node.cpus,
      zones: node.zones.map(place),
      perf: {
        readLatencyNs: 100,
        writeLatencyNs: 100,
        readBandwidth: 100,
        writeBandwidth: 100,
        mixBandwidth: [1, 1, 1, 1, 1],
        curve: DEFAULT_CURVE,
      },
      ...(node.capabilities === undefined ? {} : { capabilities: node.capabilities }),
      ...(node.abstractDistance === undefined ? {} : { abstractDistance: node.abstractDistance }),
      hotplugged: false,
      costPerGib: 0,
    })),
    distance: options.distance ?? nodes.map((_, a) => nodes.map((_node, b) => (a === b ? 10 : 20))),
    links: [],
    swap: { pages: 0, readNs: 0, writeNs: 0 },
    costs: COST_DEFAULTS,
    sysctl: options.sysctl ?? {},
    vdso: true,
  };
}
