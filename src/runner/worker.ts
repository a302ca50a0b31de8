/**
 * One run in a worker thread: the function that piscina calls. Everything that goes wrong becomes a
 * plain value, because errors lose their class on the way to the main thread.
 */
import { UserError } from '../base/assert.ts';
import type { RunOutcome, RunResult, RunSpec } from '../experiment/index.ts';
import { type RunOptions, runOne } from '../sim/index.ts';
import type { TraceSource } from '../trace/index.ts';
import { EventFile } from './eventFile.ts';
import { openSource } from './workloads.ts';

export interface RunTask {
  readonly spec: RunSpec;
  /** As in WorkloadPlace. */
  readonly tracePaths: readonly string[];
  readonly version: string;
  /** Accesses done, one number a run; this run writes `progress[index]`. */
  readonly progress: Float64Array;
  readonly index: number;
  /** Where the run's events go; '' = nobody wants them. */
  readonly eventPath: string;
}

export default async function run(task: RunTask): Promise<RunOutcome> {
  const { spec, tracePaths, version, progress, index, eventPath } = task;
  try {
    const { source, close } = await openSource({ workload: spec.workload, tracePaths }, spec.seed);
    try {
      const onProgress = (accesses: number) => {
        progress[index] = accesses;
      };
      const options = { hetmem: version, onProgress };
      if (eventPath === '') return { result: runOne(spec, source, options) };
      return { result: runWithEvents(spec, source, options, eventPath) };
    } finally {
      close();
    }
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

function runWithEvents(
  spec: RunSpec,
  source: TraceSource,
  options: RunOptions,
  eventPath: string,
): RunResult {
  const file = new EventFile(eventPath);
  try {
    const result = runOne(spec, source, { ...options, events: file.sink });
    file.commit();
    return result;
  } finally {
    file.discard();
  }
}

function failureOf(error: unknown) {
  if (error instanceof UserError) return { kind: 'input' as const, message: error.message };
  const isDebugging = (process.env.HETMEM_DEBUG ?? '0') !== '0';
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const stack = error instanceof Error && isDebugging ? `\n${error.stack}` : '';
  return { kind: 'bug' as const, message: `${message}${stack}` };
}
