/**
 * The machine model against what is known without it: closed formulas for any machine, and
 * published measurements for the shipped ones.
 *
 * Every row runs the model (AccessCost, migrationNs) and compares with a figure that is computed or
 * quoted here, never with another output of the model. `hetmem machine validate` prints the rows;
 * test/validation/ asserts their bounds.
 */
import { HPAGE_PMD_ORDER, type Nid, PAGE_SIZE } from '../base/units.ts';
import { AccessCost, mixedBandwidth } from './accessCost.ts';
import { runClosedLoop } from './closedLoop.ts';
import { curveFactor } from './loadedLatency.ts';
import type { MachineSpec, NodeSpec } from './machineSpec.ts';
import { accessCoordinates, cpuNids, isOnPath, memoryNids } from './topology.ts';

export interface ValidationRow {
  /** What is compared. */
  readonly what: string;
  readonly unit: string;
  /** By formula or as published. */
  readonly expected: number;
  readonly model: number;
  /** (model - expected) / expected, in %. */
  readonly deviationPercent: number;
  /** Largest deviation that passes, in %. */
  readonly boundPercent: number;
  /** Formula, or where it was published. */
  readonly source: string;
}

export function validationRow(
  what: string,
  unit: string,
  expected: number,
  model: number,
  boundPercent: number,
  source: string,
): ValidationRow {
  const deviationPercent = (100 * (model - expected)) / expected;
  return { what, unit, expected, model, deviationPercent, boundPercent, source };
}

/** Is the row within its bound? */
export function isValid(row: ValidationRow): boolean {
  return Math.abs(row.deviationPercent) <= row.boundPercent;
}

/** In flight: twice what saturates a device with the default curve, in latency * bandwidth. */
const SATURATING = 6;
const QUANTUM_NS = 1e6;
/** Loads at which queueing is compared. */
const LOADS = [0.5, 0.75, 0.875];
/** What steady open load is compared after. */
const SETTLING_QUANTA = 400;

/** Formulas that hold on every machine: latency, saturation, queueing, copies. */
export function validateFormulas(spec: MachineSpec): ValidationRow[] {
  const rows: ValidationRow[] = [];
  const memory = memoryNids(spec);
  for (const cpuNid of cpuNids(spec)) {
    for (const nid of memory) rows.push(...pathRows(spec, cpuNid, nid));
  }
  for (const src of memory) {
    for (const dst of memory) if (src !== dst) rows.push(copyRow(spec, src, dst));
  }
  return rows;
}

function pathRows(spec: MachineSpec, cpuNid: Nid, nid: Nid): ValidationRow[] {
  const path = `${cpuNid} to ${nid}`;
  return [
    unloadedRow(spec, cpuNid, nid, path),
    saturationRow(spec, cpuNid, nid, path, 1, 'reads'),
    saturationRow(spec, cpuNid, nid, path, 0.5, '1:1'),
    ...LOADS.flatMap((load) => queueingRows(spec, cpuNid, nid, path, load)),
  ];
}

/** Sum of the node's latency and that of each link on the path, by hand. */
function unloadedRow(spec: MachineSpec, cpuNid: Nid, nid: Nid, path: string): ValidationRow {
  const links = spec.links.filter((link) => link.from.includes(cpuNid) && link.to.includes(nid));
  const byHand = links.reduce(
    (sum, link) => sum + link.latencyNs,
    spec.nodes[nid]!.perf.readLatencyNs,
  );
  const cost = new AccessCost(spec);
  cost.endQuantum(QUANTUM_NS);
  const model = cost.readNs[cost.cpuNodeOfNid[cpuNid]! * cost.nrNodes + nid]!;
  return validationRow(`unloaded latency ${path}`, 'ns', byHand, model, 0.001, 'device + links');
}

/** Narrowest stage: the device at this mix, or a direction of a link. */
function saturationRow(
  spec: MachineSpec,
  cpuNid: Nid,
  nid: Nid,
  path: string,
  readShare: number,
  mix: string,
): ValidationRow {
  const { perf } = spec.nodes[nid]!;
  const end = (curve: { utilisation: readonly number[] }) => curve.utilisation.at(-1)!;
  let narrowest = mixedBandwidth(perf, readShare) * end(perf.curve);
  for (const link of spec.links.filter((l) => isOnPath(l, cpuNid, nid))) {
    const reads = (link.readBandwidth * end(link.curve)) / readShare;
    const writes =
      readShare === 1 ? Infinity : (link.writeBandwidth * end(link.curve)) / (1 - readShare);
    narrowest = Math.min(narrowest, reads, writes);
  }
  const weights = spec.nodes.map((node) => (node.nid === nid ? 1 : 0));
  const { readLatencyNs } = accessCoordinates(spec, cpuNid, nid);
  const inFlightBytes = SATURATING * readLatencyNs * narrowest;
  const lossless = { ...spec, nodes: spec.nodes.map(withoutOverloadLoss) };
  const stream = { cpuNid, inFlightBytes, readShare, weights };
  const model = runClosedLoop(lossless, [stream]).bandwidth;
  const source = 'narrowest of device and links';
  return validationRow(`saturation ${path}, ${mix}`, 'GB/s', narrowest, model, 0.1, source);
}

function withoutOverloadLoss(node: NodeSpec): NodeSpec {
  return { ...node, perf: { ...node.perf, overloadLoss: 0 } };
}

/** A steady load of reads settles on the device's curve, or that of a busier link. */
function queueingRows(
  spec: MachineSpec,
  cpuNid: Nid,
  nid: Nid,
  path: string,
  load: number,
): ValidationRow[] {
  const { perf } = spec.nodes[nid]!;
  const { readBandwidth, readLatencyNs } = accessCoordinates(spec, cpuNid, nid);
  const offered = readBandwidth * load;
  const cost = new AccessCost(spec);
  const slot = cost.cpuNodeOfNid[cpuNid]! * cost.nrNodes + nid;
  for (let i = 0; i < SETTLING_QUANTA; i++) {
    cost.addAccess(slot, offered * QUANTUM_NS, 0);
    cost.endQuantum(QUANTUM_NS);
  }
  const stages = [{ curve: perf.curve, peak: perf.readBandwidth }];
  for (const link of spec.links.filter((l) => isOnPath(l, cpuNid, nid))) {
    stages.push({ curve: link.curve, peak: link.readBandwidth });
  }
  if (stages.some(({ curve, peak }) => offered / peak > curve.utilisation.at(-1)!)) return [];
  const factors = stages.map(({ curve, peak }) => curveFactor(curve, offered / peak));
  const expected = readLatencyNs * Math.max(...factors);
  const what = `latency ${path} at ${load * 100} % load`;
  const source = 'unloaded * curve of the busiest stage';
  return [validationRow(what, 'ns', expected, cost.readNs[slot]!, 0.5, source)];
}

/** 2 MiB by one core: lines in flight over the mean of both latencies, capped by both peaks. */
function copyRow(spec: MachineSpec, src: Nid, dst: Nid): ValidationRow {
  const bytes = PAGE_SIZE * (1 << HPAGE_PMD_ORDER);
  const cpus = cpuNids(spec);
  const rounds = cpus.map(
    (c) =>
      accessCoordinates(spec, c, src).readLatencyNs +
      accessCoordinates(spec, c, dst).writeLatencyNs,
  );
  // Local memory of a CPU node; where no CPU has any, the nearest memory of all.
  const withMemory = memoryNids(spec);
  const sameNode = (c: Nid, nid: Nid) => {
    const path = accessCoordinates(spec, c, nid);
    return path.readLatencyNs + path.writeLatencyNs;
  };
  const local = cpus.filter((c) => withMemory.includes(c)).map((c) => sameNode(c, c));
  const nearest = cpus.flatMap((c) => withMemory.map((nid) => sameNode(c, nid)));
  const reference = Math.min(...(local.length > 0 ? local : nearest));
  const bandwidth = Math.min(
    (spec.costs.copyBandwidth * reference) / Math.min(...rounds),
    spec.nodes[src]!.perf.readBandwidth,
    spec.nodes[dst]!.perf.writeBandwidth,
  );
  const model = new AccessCost(spec).copyNs(src, dst, bytes) / 1000;
  const source = 'bytes / min(one core, source reads, target writes)';
  return validationRow(
    `copy 2 MiB ${src} to ${dst}`,
    'us',
    bytes / bandwidth / 1000,
    model,
    0.001,
    source,
  );
}
