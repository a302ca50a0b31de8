/**
 * What the model says of its own accord about a step that went another way than on Linux: which
 * causes it recorded for pages that did not move, and where the pages of the step are now.
 */
import { FAILURE_CAUSES, type Kernel } from '../mm/index.ts';
import { exampleText, failureWords } from '../why/index.ts';
import type { Step } from './caseFile.ts';
import { labelAt } from './labels.ts';
import { toRuns } from './runs.ts';
import type { World } from './world.ts';

/** Runs of labels that are told; more say little. */
const RUNS_MAX = 6;

/** Lines of the account. `records` is how many failures were recorded before the step. */
export function accountOf(world: World, step: Step, records: number): string[] {
  const now = causesSince(world.k, records);
  const earlier = now.length > 0 ? [] : causesSince(world.k, 0);
  const before = earlier.map((line) => `earlier in the case: ${line}`);
  return [...now, ...before, ...pagesOf(world, step)];
}

/** Pages that did not move since record number `since`, by cause, with why and an example. */
export function causesSince(k: Kernel, since: number): string[] {
  const log = k.failures;
  const ring = log.cause.length;
  const counts = new Map<string, { n: number; frame: number }>();
  for (let n = Math.max(since, log.written - ring); n < log.written; n++) {
    const cause = FAILURE_CAUSES[log.cause[n % ring]];
    const known = counts.get(cause);
    counts.set(cause, { n: (known?.n ?? 0) + 1, frame: log.frame[n % ring] });
  }
  return [...counts].map(([cause, { n, frame }]) => {
    const { sentence, rules } = failureWords(cause);
    const example = frame < 0 ? '' : `, e.g. ${exampleText(k, frame)}`;
    return `${cause} × ${n}: ${sentence}${rules === '' ? '' : ` (${rules})`}${example}`;
  });
}

/** Where the pages of the step's region are. */
function pagesOf(world: World, step: Step): string[] {
  const { region: name } = step.fields;
  const process = world.processes.get(step.by);
  const mm = process?.task.mm ?? null;
  if (typeof name !== 'string' || process === undefined || mm === null) return [];
  const region = process.regions.get(name);
  if (region === undefined) return [];
  const labels = Array.from({ length: region.pages }, (_, page) =>
    labelAt(world.k, mm, region.start + page),
  );
  const runs = toRuns(labels);
  const told = runs.slice(0, RUNS_MAX).map(([label, n]) => `${label} × ${n}`);
  if (runs.length > RUNS_MAX) told.push(`and ${runs.length - RUNS_MAX} more runs`);
  return [`pages of ${name} now: ${told.join(', ')}`];
}
