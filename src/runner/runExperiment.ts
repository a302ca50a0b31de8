/**
 * An experiment from its description to its comparison: opens what it names, plans, does the runs
 * on all cores, keeps finished ones in a journal, puts the results together.
 */
import { fileURLToPath } from 'node:url';
import { PAGE_SIZE } from '../base/units.ts';
import {
  type Comparison,
  type Experiment,
  type PlannedRun,
  planRuns,
  type RunOutcome,
  type RunSpec,
  summarise,
} from '../experiment/index.ts';
import { eventPaths } from './eventFile.ts';
import { codeKey, type Journal, runKey } from './journal.ts';
import type { Library } from './library.ts';
import { RunPool } from './pool.ts';
import { type KnownWorkload, knowWorkload, placeOf } from './workloads.ts';

export interface RunExperimentOptions {
  readonly library: Library;
  /** Runs at a time. */
  readonly jobs: number;
  readonly journal: Journal;
  /** The command line that makes it again, for the result. */
  readonly command: string;
  /** Called some times a second. */
  readonly onProgress?: (progress: ExperimentProgress) => void;
  /** For tests: another module in place of worker.ts. */
  readonly worker?: string;
  /** Where events go (eventFile.ts); runs with events are done even if they were finished. */
  readonly eventPath?: string;
  /** Told each file of events before the first run; throws if it may not be written. */
  readonly onEventFile?: (path: string) => void;
}

export interface ExperimentProgress {
  readonly runsDone: number;
  readonly runs: number;
  /** Of the runs that this call does. */
  readonly accessesDone: number;
  readonly accesses: number;
}

const PROGRESS_MS = 200;

/** What is known before the first run. */
interface Prepared {
  readonly experiment: Experiment;
  readonly options: RunExperimentOptions;
  readonly workloads: readonly KnownWorkload[];
  readonly runs: readonly PlannedRun[];
}

/**
 * Does all runs and returns the comparison, failed runs included.
 * Errors: UserError for a machine or trace that cannot be opened, a journal that cannot be written.
 */
export async function runExperiment(
  experiment: Experiment,
  options: RunExperimentOptions,
): Promise<Comparison> {
  const { library } = options;
  const { machines, workloads, plan } = await planExperiment(experiment, library);
  const outcomes = await doRuns({ experiment, options, workloads, runs: plan.runs });
  return summarise({
    experiment,
    plan,
    machines,
    workloads,
    outcomes,
    catalogue: library.catalogue,
    version: library.version,
    command: options.command,
  });
}

/** Everything that is known before the first run. Errors: UserError for what cannot be opened. */
export async function planExperiment(experiment: Experiment, library: Library) {
  const machines = [];
  for (const { machine } of experiment.machines) machines.push(await library.machine(machine));
  const workloads: KnownWorkload[] = [];
  for (const workload of experiment.workloads) {
    workloads.push(await knowWorkload(placeOf(workload, library), experiment.seeds[0]!));
  }
  const plan = planRuns(experiment, {
    machines,
    needs: workloads.map(({ footprintPages, fileBytes }) => {
      return { footprintBytes: footprintPages * PAGE_SIZE, fileBytes };
    }),
    memoryParallelism: workloads.map(({ memoryParallelism }) => memoryParallelism),
  });
  return { machines, workloads, plan };
}

let code: string | null = null;

/** Key of hetmem's own code, read once: it is what this process has loaded. */
function ownCode(): string {
  code ??= codeKey(fileURLToPath(new URL('..', import.meta.url)));
  return code;
}

/** The file of events of each run, '' without one. */
function eventFiles({ experiment, options, runs }: Prepared): string[] {
  const { eventPath } = options;
  if (eventPath === undefined) return runs.map(() => '');
  const files = eventPaths(eventPath, experiment, runs);
  for (const file of files) if (file !== '') options.onEventFile?.(file);
  return files;
}

/** SHA-256 of every trace that a workload replays, '' for a synthetic program. */
function traceHashes({ provenance, programs }: KnownWorkload): string[] {
  return [provenance, ...programs.map((program) => program.provenance)].map((trace) => {
    return trace?.sha256 ?? '';
  });
}

/** The outcomes in the order of the plan. */
async function doRuns(prepared: Prepared): Promise<RunOutcome[]> {
  const { experiment, options, workloads, runs } = prepared;
  const { journal, library, onProgress } = options;
  const outcomes = new Array<RunOutcome>(runs.length);
  const progress = new Float64Array(new SharedArrayBuffer(8 * Math.max(1, runs.length)));
  const files = eventFiles(prepared);
  const pending: { index: number; key: string; spec: RunSpec }[] = [];
  for (const [index, { spec, problem, workload }] of runs.entries()) {
    if (spec === null) {
      outcomes[index] = { failure: { kind: 'input', message: problem } };
      continue;
    }
    const key = runKey([library.version, ownCode(), spec, traceHashes(workloads[workload]!)]);
    const result = files[index] === '' ? journal.finished.get(key) : undefined;
    if (result === undefined) pending.push({ index, key, spec });
    else outcomes[index] = { result };
  }
  const accesses = pending.map(({ index }) => workloads[runs[index]!.workload]!.accesses);
  const total = accesses.reduce((sum, count) => sum + count, 0);
  let nrDone = runs.length - pending.length;
  const report = () =>
    onProgress?.({
      runsDone: nrDone,
      runs: runs.length,
      accessesDone: progress.reduce((sum, done) => sum + done, 0),
      accesses: total,
    });
  const pool = new RunPool(Math.min(options.jobs, Math.max(1, pending.length)), options.worker);
  const timer = setInterval(report, PROGRESS_MS);
  try {
    const work = pending.map(async ({ index, key, spec }, i) => {
      const { tracePaths } = placeOf(experiment.workloads[runs[index]!.workload]!, library);
      const { version } = library;
      const eventPath = files[index]!;
      const outcome = await pool.run({ spec, tracePaths, version, progress, index, eventPath });
      if (outcome.result !== undefined) journal.add(key, outcome.result);
      outcomes[index] = outcome;
      progress[index] = accesses[i]!;
      nrDone++;
      report();
    });
    await Promise.all(work);
  } finally {
    clearInterval(timer);
    await pool.close();
    journal.close();
  }
  return outcomes;
}
