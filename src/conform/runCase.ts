/**
 * Runs one conformance case on a fresh kernel and compares, step by step, what the model answers
 * with what Linux answered.
 */
import { InvariantError, UserError } from '../base/assert.ts';
import { FAILURE_CAUSES, type Kernel } from '../mm/index.ts';
import type { ConformanceCase, Fields, Json, Step } from './caseFile.ts';
import { compareStep, type Difference } from './compare.ts';
import { Inputs, NotModelled } from './inputs.ts';
import { LOOKS, VERBS } from './verbs/registry.ts';
import type { Verb } from './verbTypes.ts';
import { type CaseMachines, World } from './world.ts';

export type Status = 'passed' | 'failed' | 'skipped';

/** Where a failed case first differs from Linux. */
export interface CaseDifference {
  /** Number of the step, from 0; -1 for what is compared over the whole case. */
  readonly step: number;
  readonly what: string;
  readonly field: string;
  readonly expected: Json;
  readonly got: Json;
  /** Why pages did not move during this step, by the model's own records. */
  readonly account: readonly string[];
}

export interface CaseResult {
  readonly id: string;
  readonly group: string;
  readonly status: Status;
  /** Why it was skipped; otherwise ''. */
  readonly reason: string;
  readonly difference: CaseDifference | null;
  /** A racy case that went another way than the outcome it shows: allowed, but told. */
  readonly other: CaseDifference | null;
}

/** What looks at the kernel when the case is over: tests check the invariants of the model. */
export type AfterCase = (kernel: Kernel) => void;

/** Runs `one` on the machine it names. */
export function runCase(
  one: ConformanceCase,
  machines: CaseMachines,
  after: AfterCase = () => {},
): CaseResult {
  const base = { id: one.id, group: one.group, reason: '', difference: null, other: null };
  try {
    const world = new World(machines, one.machine, one.kernel);
    const difference = runSteps(one, world);
    after(world.k);
    if (difference === null) return { ...base, status: 'passed' };
    if (one.strength === 'racy') return { ...base, status: 'passed', other: difference };
    return { ...base, status: 'failed', difference };
  } catch (error) {
    if (!(error instanceof NotModelled)) throw describe(error, one);
    return { ...base, status: 'skipped', reason: `not modelled yet: ${error.message}` };
  }
}

/**
 * The kernel after step `last` of a case (counted from 0), whatever the steps answered. Errors:
 * UserError for a step that the case or the model does not have.
 */
export function kernelAfterStep(
  one: ConformanceCase,
  machines: CaseMachines,
  last: number,
): Kernel {
  if (last >= one.steps.length) {
    const problem = `the case has ${one.steps.length} steps`;
    throw new UserError(`${one.id} step ${last}`, problem, `0 to ${one.steps.length - 1}`);
  }
  const world = new World(machines, one.machine, one.kernel);
  for (let i = 0; i <= last; i++) {
    try {
      runStep(one, world, one.steps[i], i);
    } catch (error) {
      if (!(error instanceof NotModelled)) throw describe(error, one);
      const problem = `the model does not have it: ${error.message}`;
      throw new UserError(`${one.id} step ${i}`, problem, `--step ${i - 1}`);
    }
    world.endStep();
  }
  return world.k;
}

/** A broken invariant says in which case. */
function describe(error: unknown, one: ConformanceCase): unknown {
  if (!(error instanceof InvariantError)) return error;
  const told = new InvariantError(`case ${one.id}: ${error.message}`);
  told.stack = error.stack;
  return told;
}

function runSteps(one: ConformanceCase, world: World): CaseDifference | null {
  const before = world.k.vmstat.snapshot();
  let first: CaseDifference | null = null;
  for (const [i, step] of one.steps.entries()) {
    const records = world.k.failures.written;
    const got = runStep(one, world, step, i);
    if (typeof got.signal === 'string' && got.signal === one.killedBy) return first;
    const difference = compareStep(step, got, one.strength);
    if (difference !== null) {
      first ??= located(world.k, step, i, difference, records);
      // A racy case is acted out to its end all the same.
      if (one.strength !== 'racy') return first;
    }
    world.endStep();
  }
  return one.strength === 'exact' ? compareCounters(one, world.k, before) : first;
}

function runStep(one: ConformanceCase, world: World, step: Step, i: number): Fields {
  const place = `${one.id} step ${i}`;
  const process = world.process(step.by, place);
  return verbOf(step)(world, process, new Inputs(step, place));
}

function verbOf(step: Step): Verb {
  const verb = (step.kind === 'do' ? VERBS : LOOKS)[step.name];
  if (verb === undefined) throw new NotModelled(`${step.kind} ${step.name}`);
  return verb;
}

function located(
  k: Kernel,
  step: Step,
  i: number,
  difference: Difference,
  records: number,
): CaseDifference {
  return { step: i, what: summary(step), ...difference, account: accountSince(k, records) };
}

/** "move_pages by child A": enough to find the step. */
function summary(step: Step): string {
  const by = step.by === 'main' ? '' : ` by ${step.by}`;
  const region = typeof step.fields.region === 'string' ? ` ${step.fields.region}` : '';
  return `${step.kind === 'look' ? 'look ' : ''}${step.name}${by}${region}`;
}

/** Pages that did not move, counted by cause, since record number `since`. */
function accountSince(k: Kernel, since: number): string[] {
  const log = k.failures;
  const ring = log.cause.length;
  const counts = new Map<string, number>();
  for (let n = Math.max(since, log.written - ring); n < log.written; n++) {
    const cause = FAILURE_CAUSES[log.cause[n % ring]];
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
  }
  return [...counts].map(([cause, n]) => `${cause} × ${n}`);
}

/** expect.vmstat: changes over the whole case. */
function compareCounters(
  one: ConformanceCase,
  k: Kernel,
  before: ReadonlyMap<string, number>,
): CaseDifference | null {
  const now = k.vmstat.snapshot();
  for (const [name, expected] of Object.entries(one.vmstat)) {
    const start = before.get(name);
    const got = start === undefined ? 'not counted' : (now.get(name) ?? 0) - start;
    if (got === expected) continue;
    const account = accountSince(k, 0);
    return { step: -1, what: 'expect.vmstat', field: name, expected, got, account };
  }
  return null;
}
