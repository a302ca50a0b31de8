/**
 * Runs what a published table asks for: programs in worker threads, each different run once however
 * many cells read it; what needs no program here.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blame, readingProblems } from '../base/fileProblems.ts';
import type { RunOutcome, RunSpec } from '../experiment/index.ts';
import type { MachineSpec } from '../hw/index.ts';
import {
  type CellOutcome,
  cellsOf,
  machinesOf,
  modelFigure,
  type PublishedTable,
  programSpec,
  publishedFileReader,
  type Reproduction,
  reproduction,
  type TableCell,
} from '../published/index.ts';
import type { Library } from './library.ts';
import { RunPool } from './pool.ts';
import { knowWorkload, placeOf } from './workloads.ts';

export interface RunPublishedOptions {
  /** Machine files and traces of the tables are relative to its base folder. */
  readonly library: Library;
  /** Runs at a time. */
  readonly jobs: number;
  readonly onProgress?: (runsDone: number, runs: number) => void;
  /** For tests: another module in place of worker.ts. */
  readonly worker?: string;
}

/** The tables of a folder, by name. Errors: as of readTable. */
export async function readTables(folder: string, library: Library): Promise<PublishedTable[]> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return Promise.all(names.sort().map((name) => readTable(join(folder, name), library)));
}

/** The table of a file. Errors: UserError with all that is wrong in it, or that it is not there. */
export async function readTable(path: string, library: Library): Promise<PublishedTable> {
  const { parseTable } = await publishedFileReader();
  const problems = readingProblems('hetmem published --list shows the shipped tables');
  const text = blame(path, problems, () => readFileSync(path, 'utf8'));
  return parseTable(text, path, library.catalogue);
}

/**
 * Does all runs of `table`; one that fails is told in the result.
 * Errors: UserError for a machine or trace that cannot be opened, a cell that lacks something.
 */
export async function runPublished(
  table: PublishedTable,
  options: RunPublishedOptions,
): Promise<Reproduction> {
  const { library } = options;
  const machines = new Map<string, MachineSpec>();
  for (const name of machinesOf(table)) machines.set(name, await library.machine(name));
  const cells = cellsOf(table);
  const machineOf = (cell: TableCell) => machines.get(cell.run.machine!)!;
  if (table.measure !== 'program') {
    const figures = cells.map((cell) => ({ figure: modelFigure(table, cell, machineOf(cell)) }));
    return reproduction(table, figures);
  }
  const specs: RunSpec[] = [];
  for (const cell of cells) {
    const spec = programSpec(table, cell, machineOf(cell));
    const isOwn = cell.run.parallelism !== undefined;
    specs.push(isOwn ? spec : await withWorkloadParallelism(spec, library));
  }
  return reproduction(table, await runAll(specs, options));
}

/** Misses in flight as the generator has them, a pointer chase one. */
async function withWorkloadParallelism(spec: RunSpec, library: Library): Promise<RunSpec> {
  const { workload, machine, seed } = spec;
  const { memoryParallelism } = await knowWorkload(placeOf(workload, library), seed);
  if (memoryParallelism === null) return spec;
  return { ...spec, machine: { ...machine, costs: { ...machine.costs, memoryParallelism } } };
}

/** By spec, in order; equal ones are run once. */
async function runAll(
  specs: readonly RunSpec[],
  { library, jobs, worker, onProgress }: RunPublishedOptions,
): Promise<CellOutcome[]> {
  const keys = specs.map((spec) => JSON.stringify(spec));
  const distinct = [...new Map(specs.map((spec, i) => [keys[i]!, spec]))];
  const progress = new Float64Array(new SharedArrayBuffer(8 * distinct.length));
  const pool = new RunPool(Math.min(jobs, distinct.length), worker);
  let done = 0;
  try {
    const outcomes = new Map<string, CellOutcome>();
    const work = distinct.map(async ([key, spec], index) => {
      const { tracePaths } = placeOf(spec.workload, library);
      const { version } = library;
      const task = { spec, tracePaths, version, progress, index, eventPath: '' };
      outcomes.set(key, outcomeOf(await pool.run(task)));
      done++;
      onProgress?.(done, distinct.length);
    });
    await Promise.all(work);
    return keys.map((key) => outcomes.get(key)!);
  } finally {
    await pool.close();
  }
}

function outcomeOf({ result, failure }: RunOutcome): CellOutcome {
  return result === undefined ? { failure: failure.message } : { result };
}
