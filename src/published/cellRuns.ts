/**
 * From a table to what must be run: each cell's parts laid over each other. Cells that run the same
 * share the run. What needs no program (bandwidth, migration) is computed here, on hw's models.
 */
import { assert, UserError } from '../base/assert.ts';
import { type Order, PAGE_SIZE } from '../base/units.ts';
import {
  AccessCost,
  type MachineSpec,
  migrationNs,
  mixedBandwidth,
  nrTlbFlushes,
  runClosedLoop,
  type Stream,
  withNodeSize,
} from '../hw/index.ts';
import type { RunSpec } from '../sim/index.ts';
import {
  type CellRef,
  cellName,
  cellRun,
  type PublishedTable,
  type RunPart,
} from './publishedTable.ts';

/** Points of the series that metrics of the second half are read from. */
const SERIES_POINTS = 64;
const LINE_BYTES = 64;

export interface TableCell extends CellRef {
  readonly run: RunPart;
}

/** All cells that are run, row by row. */
export function cellsOf(table: PublishedTable): TableCell[] {
  return table.rows.flatMap(({ only }, row) => {
    const columns = only ?? [...table.columns.keys()];
    return columns.map((column) => ({ row, column, run: cellRun(table, { row, column }) }));
  });
}

/** Names of the machines that the cells run on. Errors: UserError for a cell without one. */
export function machinesOf(table: PublishedTable): string[] {
  const names = cellsOf(table).map((cell) => {
    if (cell.run.machine !== undefined) return cell.run.machine;
    throw new UserError(`${table.name}, ${cellName(table, cell)}`, 'has no machine', 'name one');
  });
  return [...new Set(names)];
}

/** The machine of a cell: that of the file with the cell's sizes, kernel and parallelism. */
function machineOf(run: RunPart, file: MachineSpec): MachineSpec {
  let spec = file;
  for (const [nid, bytes] of Object.entries(run.sizes ?? {})) {
    spec = withNodeSize(spec, Number(nid), bytes);
  }
  const { kernel = spec.kernel, parallelism = spec.costs.memoryParallelism } = run;
  const sysctl = { ...spec.sysctl, ...run.sysctl };
  return { ...spec, kernel, sysctl, costs: { ...spec.costs, memoryParallelism: parallelism } };
}

/** What the program of a cell is run as. Errors: UserError for a cell that lacks something. */
export function programSpec(table: PublishedTable, cell: TableCell, file: MachineSpec): RunSpec {
  const { workload, policy, params, seed = 1 } = cell.run;
  if (workload === undefined || policy === undefined) {
    const lacks = workload === undefined ? 'has no generator' : 'has no policy';
    throw new UserError(`${table.name}, ${cellName(table, cell)}`, lacks, 'give it one');
  }
  return {
    machine: machineOf(cell.run, file),
    policy,
    workload: { ...workload, params: { ...workload.params, ...params } },
    seed,
    seriesPoints: SERIES_POINTS,
    background: backgroundOf(cell.run, file),
  };
}

/** On the CPUs of the first node that has some. */
function backgroundOf({ background = [] }: RunPart, { nodes }: MachineSpec): Stream[] {
  const cpuNid = nodes.find(({ cpus }) => cpus.length > 0)!.nid;
  const busy = background.filter(({ cores }) => cores > 0);
  return busy.map(({ nid, cores, lines, readShare }) => ({
    cpuNid,
    inFlightBytes: cores * lines * LINE_BYTES,
    readShare,
    weights: nodes.map((node) => (node.nid === nid ? 1 : 0)),
  }));
}

/** The figure of a cell that needs no program. */
export function modelFigure(table: PublishedTable, cell: TableCell, file: MachineSpec): number {
  const { metric } = table.columns[cell.column]!;
  const spec = machineOf(cell.run, file);
  assert(table.measure !== 'program', 'programs are run');
  return table.measure === 'bandwidth'
    ? bandwidthFigure(cell.run, spec, metric)
    : migrationFigure(cell.run, spec, metric);
}

/** A benchmark that keeps its lines in flight, spread over the nodes. */
function bandwidthFigure(run: RunPart, spec: MachineSpec, metric: string): number {
  const { lines = 1, readShare = 1, weights = [1] } = run;
  const byNid = spec.nodes.map(({ nid }) => weights[nid] ?? 0);
  if (run.isMin === true) return narrowest(spec, readShare, byNid);
  const cpuNid = spec.nodes.find(({ cpus }) => cpus.length > 0)!.nid;
  const stream = { cpuNid, inFlightBytes: lines * LINE_BYTES, readShare, weights: byNid };
  const { bandwidth, latenciesNs } = runClosedLoop(spec, [stream]);
  return metric === 'bandwidth' ? bandwidth : latenciesNs[0]!;
}

/** Without queueing: the node whose share takes longest at its peak decides. */
function narrowest(spec: MachineSpec, readShare: number, weights: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const limits = spec.nodes.map(({ nid, perf }) => {
    const weight = weights[nid]!;
    return weight === 0 ? Infinity : (mixedBandwidth(perf, readShare) * total) / weight;
  });
  return Math.min(...limits);
}

/** One call that migrates folios; smaller ones than PMD size are mapped by PTEs. */
function migrationFigure(run: RunPart, spec: MachineSpec, metric: string): number {
  const { order = 0, folios = 1, from = 0, to = 1, cpusFlushed = 0 } = run;
  const cost = new AccessCost(spec);
  const nrPages = folios << order;
  const isPmdMapped = order === PMD_ORDER;
  const ns = migrationNs(cost, spec.costs, {
    srcNid: from,
    dstNid: to,
    nrFolios: folios,
    order,
    nrRmapEntries: isPmdMapped ? folios : nrPages,
    nrFlushes: nrTlbFlushes(spec.kernel, folios, order),
    nrCpusFlushed: cpusFlushed,
  });
  const bytes = nrPages * PAGE_SIZE;
  switch (metric) {
    case 'bandwidth':
      return bytes / ns;
    case 'us_per_call':
      return ns / 1e3;
    case 'us_per_page':
      return ns / 1e3 / nrPages;
    case 'kpages_per_s':
      return (nrPages / ns) * 1e6;
    default:
      return (100 * cost.copyNs(from, to, bytes)) / ns;
  }
}

const PMD_ORDER: Order = 9;
