/**
 * The shipped machines against published measurements: MLC tables, migration bandwidth, weighted
 * interleave, STREAM's loss by 1:1 interleave. Expected values are quotations.
 *
 * Weighted interleave: the mail does not say how many expanders its host has, nor how many lines
 * its cores keep in flight. Four x8 expanders with the figures of another publication are taken,
 * and 48 lines (the L2 miss queue of a Golden Cove core, an assumption). overload_loss of the
 * expanders is the one constant that was chosen on these figures; the rest of each machine file is
 * independent of them. "min()" is the model without queueing: each node's peak over its share of
 * the pages.
 */
import { type Nid, type Order, PAGE_SIZE } from '../base/units.ts';
import { AccessCost, mixedBandwidth } from './accessCost.ts';
import { runClosedLoop } from './closedLoop.ts';
import { COST_DEFAULTS } from './costDefaults.ts';
import { curveFactor, DEFAULT_CURVE } from './loadedLatency.ts';
import type { MachineSpec } from './machineSpec.ts';
import { type ValidationRow, validationRow } from './machineValidation.ts';
import { migrationNs, nrTlbFlushes, PUBLISHED_MIGRATION } from './migrationCost.ts';
import { cpuNids } from './topology.ts';

const MLC = 'MLC, gjbex/Code-optimization info/';
const LINE_BYTES = 64;
const LINES_IN_FLIGHT = 48;
/** Of a few hundred cores: saturates everything. */
const PLENTY_BYTES = 400e3;

/** Published figures for the machine of this name; [] for a machine without. */
export function validatePublished(spec: MachineSpec): ValidationRow[] {
  switch (spec.name) {
    case 'two-socket-dram':
      return [...twoSocketRows(spec), ...migrationRows(spec)];
    case 'dram-cxl-asic':
      return expanderRows(spec, 2.18, 250, { '3:1': 23.6, '1:1': 27.2 });
    case 'dram-cxl-fpga':
      return expanderRows(spec, 2.88, null, {});
    case 'dram-4cxl':
      return interleaveRows(spec);
    default:
      return [];
  }
}

/** What holds for no machine in particular: the default curve, STREAM's loss by 1:1 interleave. */
export function validateModel(spec: MachineSpec): ValidationRow[] {
  return [...curveRows(), streamRow(spec)];
}

/** Saturated reads and writes of every CPU node on its own memory. */
function allLocal(spec: MachineSpec, readShare: number): number {
  const streams = cpuNids(spec).map((cpuNid) => {
    const weights = spec.nodes.map((node) => (node.nid === cpuNid ? 1 : 0));
    return { cpuNid, inFlightBytes: PLENTY_BYTES, readShare, weights };
  });
  return runClosedLoop(spec, streams).bandwidth;
}

function twoSocketRows(spec: MachineSpec): ValidationRow[] {
  const source = `${MLC}cascadelake_mlc.txt`;
  const cost = new AccessCost(spec);
  const latency = (cpuNid: Nid, nid: Nid, published: number) => {
    const model = cost.readNs[cost.cpuNodeOfNid[cpuNid]! * cost.nrNodes + nid]!;
    return validationRow(`MLC idle ${cpuNid} to ${nid}`, 'ns', published, model, 1, source);
  };
  const peak = (mix: string, readShare: number, published: number) => {
    const model = allLocal(spec, readShare);
    return validationRow(`MLC peak ${mix}`, 'GB/s', published, model, 2, source);
  };
  const remote = { cpuNid: 0, inFlightBytes: PLENTY_BYTES, readShare: 1, weights: [0, 1] };
  return [
    latency(0, 0, 80.8),
    latency(0, 1, 140.4),
    latency(1, 0, 141.6),
    latency(1, 1, 81.5),
    peak('all reads', 1, 225.6308),
    peak('3:1', 0.75, 208.3499),
    peak('2:1', 2 / 3, 206.5103),
    peak('1:1', 0.5, 200.0318),
    validationRow(
      'MLC remote reads 0 to 1',
      'GB/s',
      34.3055,
      runClosedLoop(spec, [remote]).bandwidth,
      1,
      source,
    ),
  ];
}

/** move_pages by folio size from socket to socket, single-threaded: no CPU is interrupted. */
function migrationRows(spec: MachineSpec): ValidationRow[] {
  const source = 'lkml 2605.1/00684, two-socket Zen 3';
  const cost = new AccessCost(spec);
  const bandwidthOf = (order: Order) => {
    const nrFolios = 262144 >> order;
    const isPmdMapped = order === 9;
    const work = {
      srcNid: 0,
      dstNid: 1,
      nrFolios,
      order,
      nrRmapEntries: isPmdMapped ? nrFolios : 262144,
      nrFlushes: nrTlbFlushes(spec.kernel, nrFolios, order),
      nrCpusFlushed: 0,
    };
    return (262144 * PAGE_SIZE) / migrationNs(cost, spec.costs, work);
  };
  const rows = PUBLISHED_MIGRATION.map(({ order, bandwidth }) => {
    const size = `${(PAGE_SIZE << order) / 1024} KiB folios`;
    const model = bandwidthOf(order);
    return validationRow(`migrate 1 GiB, ${size}`, 'GB/s', bandwidth, model, 2, source);
  });
  const copyShare = (100 * cost.copyNs(0, 1, PAGE_SIZE) * bandwidthOf(0)) / PAGE_SIZE;
  rows.push(
    validationRow(
      'share of the copy, 4 KiB (published: at most)',
      '%',
      26.6,
      copyShare,
      15,
      'spinics dmaengine msg37980, another measurement',
    ),
  );
  return rows;
}

/** Latency as a multiple of local DRAM; an expander card of another publication beside it. */
function expanderRows(
  spec: MachineSpec,
  ratio: number,
  cardNs: number | null,
  card: Readonly<Record<string, number>>,
): ValidationRow[] {
  const cost = new AccessCost(spec);
  const model = cost.readNs[1]! / cost.readNs[0]!;
  const wiki = 'x8 PCIe 5 expander, intel/CacheLib wiki';
  const rows = [validationRow('latency over local', 'x', ratio, model, 0.1, 'CXL-DMSim')];
  if (cardNs !== null) {
    rows.push(validationRow('latency of a card', 'ns', cardNs, cost.readNs[1]!, 10, wiki));
  }
  for (const [mix, published] of Object.entries(card)) {
    const [reads, writes] = mix.split(':').map(Number) as [number, number];
    const readShare = reads / (reads + writes);
    const stream = { cpuNid: 0, inFlightBytes: PLENTY_BYTES, readShare, weights: [0, 1] };
    const bandwidth = runClosedLoop(spec, [stream]).bandwidth;
    rows.push(validationRow(`bandwidth of a card, ${mix}`, 'GB/s', published, bandwidth, 10, wiki));
  }
  return rows;
}

/** MLC on DRAM alone, interleaved 1:1 and by weight: the model, and min() without queueing. */
function interleaveRows(spec: MachineSpec): ValidationRow[] {
  const source = 'G. Price, Z5O2QATuhvRnygcx@gourry (number of expanders: assumption)';
  const cores = spec.nodes[0]!.cpus.length;
  const inFlightBytes = cores * LINES_IN_FLIGHT * LINE_BYTES;
  const dramOnly = spec.nodes.map((node) => (node.nid === 0 ? 1 : 0));
  const evenly = spec.nodes.map(() => 1);
  const rows: ValidationRow[] = [];
  const mixes = [
    { mix: 'W2 (2:1)', readShare: 2 / 3, dram: 298.8, even: 113.04, weighted: 412.5 },
    { mix: 'W5 (1:1)', readShare: 1 / 2, dram: 273.2, even: 117.23, weighted: 382.7 },
  ];
  for (const { mix, readShare, dram, even, weighted } of mixes) {
    const run = (weights: readonly number[]) =>
      runClosedLoop(spec, [{ cpuNid: 0, inFlightBytes, readShare, weights }]).bandwidth;
    const peaks = spec.nodes.map((node) => mixedBandwidth(node.perf, readShare));
    const byBandwidth = [Math.round(peaks[0]! / peaks[1]!), ...spec.nodes.slice(1).map(() => 1)];
    const narrowest = (weights: readonly number[]) => {
      const total = weights.reduce((sum, w) => sum + w, 0);
      return Math.min(...weights.map((w, nid) => (w === 0 ? Infinity : (peaks[nid]! * total) / w)));
    };
    const wi = `weighted ${byBandwidth.join(':')}`;
    rows.push(
      validationRow(`${mix} DRAM alone`, 'GB/s', dram, run(dramOnly), 2, source),
      validationRow(`${mix} evenly`, 'GB/s', even, run(evenly), 10, source),
      validationRow(`${mix} evenly, min()`, 'GB/s', even, narrowest(evenly), 20, source),
      validationRow(`${mix} ${wi}`, 'GB/s', weighted, run(byBandwidth), 10, source),
      validationRow(`${mix} ${wi}, min()`, 'GB/s', weighted, narrowest(byBandwidth), 20, source),
    );
  }
  return rows;
}

/**
 * The default curve against MLC's loaded latencies (utilisation of the measured peak, latency over
 * idle latency); Cascade Lake, which rises less, has its own curve in its machine file.
 */
function curveRows(): ValidationRow[] {
  const measured: readonly { file: string; points: readonly [number, number][] }[] = [
    {
      file: 'icelake_mlc.txt',
      points: [
        [0.271, 1.093],
        [0.494, 1.201],
        [0.845, 1.686],
        [0.931, 2.026],
        [1, 2.894],
      ],
    },
    {
      file: 'granite_rapids_mlc.txt',
      points: [
        [0.271, 1.087],
        [0.43, 1.196],
        [0.604, 1.433],
        [0.766, 1.661],
        [0.845, 1.8],
        [1, 2.814],
      ],
    },
  ];
  return measured.flatMap(({ file, points }) =>
    points.map(([load, factor]) => {
      const what = `default curve at ${Math.round(load * 100)} % of peak`;
      return validationRow(what, 'x', factor, curveFactor(DEFAULT_CURVE, load), 15, MLC + file);
    }),
  );
}

/**
 * STREAM with 1:1 interleave over DRAM (200.9 GB/s) and CXL (22.2 GB/s) lost 78 %: the even half on
 * CXL holds the rest back. `spec` gives the latencies of the two nodes.
 */
function streamRow(spec: MachineSpec): ValidationRow {
  const bandwidths = [200.9, 22.2];
  const nodes = spec.nodes.slice(0, 2).map((node, i) => ({
    ...node,
    perf: {
      ...node.perf,
      readBandwidth: bandwidths[i]!,
      writeBandwidth: bandwidths[i]!,
      mixBandwidth: [1, 1, 1, 1, 1] as const,
    },
  }));
  const host: MachineSpec = { ...spec, nodes, links: [], costs: COST_DEFAULTS };
  const run = (weights: readonly number[]) =>
    runClosedLoop(host, [{ cpuNid: 0, inFlightBytes: PLENTY_BYTES, readShare: 0.5, weights }])
      .bandwidth;
  const lossPercent = 100 * (1 - run([1, 1]) / run([1, 0]));
  const source = 'G. Price, weighted interleave: STREAM -78 %';
  return validationRow('STREAM loss, 1:1 interleave', '%', 78, lossPercent, 5, source);
}
