/** Lists along pages, run-length encoded: [["n1/Normal+anon", 3], ["none", 1]] is four pages. */
import type { Json } from './caseFile.ts';

export type Run = [Json, number];

/** Encodes; equal neighbours become one run. */
export function toRuns(values: readonly Json[]): Run[] {
  const runs: Run[] = [];
  for (const value of values) {
    const last = runs[runs.length - 1];
    if (last !== undefined && last[0] === value) last[1]++;
    else runs.push([value, 1]);
  }
  return runs;
}

/** Whether a value has the form of runs. */
export function isRuns(value: Json | undefined): value is Run[] {
  return (
    Array.isArray(value) &&
    value.every((run) => Array.isArray(run) && run.length === 2 && Number.isInteger(run[1]))
  );
}

/** One value per page. Preconditions: isRuns(runs). */
export function fromRuns(runs: readonly Run[]): Json[] {
  return runs.flatMap(([value, n]) => new Array<Json>(n).fill(value));
}

/** Neighbours with the same value joined. */
export function normalRuns(runs: readonly Run[]): Run[] {
  const out: Run[] = [];
  for (const [value, n] of runs) {
    const last = out[out.length - 1];
    if (last !== undefined && last[0] === value) last[1] += n;
    else out.push([value, n]);
  }
  return out;
}
