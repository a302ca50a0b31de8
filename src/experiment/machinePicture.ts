/**
 * What a report tells of a machine: its nodes and links with the figures that decide an access.
 * Latency and bandwidth are those from the closest CPUs, links included.
 */
import {
  closestCoordinates,
  type MachineSpec,
  nodeManagedBytes,
  toptierNodes,
} from '../hw/index.ts';

export interface PicturedNode {
  readonly nid: number;
  /** dram, cxl, hbm, pmem. */
  readonly kind: string;
  readonly role: string;
  readonly nrCpus: number;
  readonly sizeBytes: number;
  readonly isToptier: boolean;
  /** 0 for a node without memory. */
  readonly readLatencyNs: number;
  /** Bytes a nanosecond = GB/s; 0 for a node without memory. */
  readonly readBandwidth: number;
  readonly writeBandwidth: number;
}

export interface PicturedLink {
  readonly name: string;
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly latencyNs: number;
  readonly readBandwidth: number;
}

export interface MachinePicture {
  readonly name: string;
  readonly kernel: string;
  readonly sources: readonly string[];
  readonly nodes: readonly PicturedNode[];
  readonly links: readonly PicturedLink[];
}

export function pictureOf(spec: MachineSpec): MachinePicture {
  const isToptier = toptierNodes(spec);
  return {
    name: spec.name,
    kernel: spec.kernel,
    sources: spec.sources,
    nodes: spec.nodes.map((node) => {
      const sizeBytes = nodeManagedBytes(node);
      const path = sizeBytes > 0 ? closestCoordinates(spec, node.nid) : null;
      return {
        nid: node.nid,
        kind: node.kind,
        role: node.role,
        nrCpus: node.cpus.length,
        sizeBytes,
        isToptier: isToptier[node.nid] === 1,
        readLatencyNs: path?.readLatencyNs ?? 0,
        readBandwidth: path?.readBandwidth ?? 0,
        writeBandwidth: path?.writeBandwidth ?? 0,
      };
    }),
    links: spec.links.map(({ name, from, to, latencyNs, readBandwidth }) => {
      return { name, from, to, latencyNs, readBandwidth };
    }),
  };
}

/** "DRAM" and "CXL": the kinds of the fast and of the slow nodes with memory; '' = none. */
export function tierNames(machine: MachinePicture): { fast: string; slow: string } {
  const kinds = (isToptier: boolean) => {
    const nodes = machine.nodes.filter((n) => n.sizeBytes > 0 && n.isToptier === isToptier);
    return [...new Set(nodes.map(({ kind }) => kind.toUpperCase()))].join('+');
  };
  return { fast: kinds(true), slow: kinds(false) };
}
