/**
 * Runs one conformance case on a fresh kernel and compares, step by step, what the model answers
 * with what Linux answered.
 */
import { InvariantError, UserError } from '../base/assert.ts';
import type { KernelVersion } from '../hw/index.ts';
import type { Kernel } from '../mm/index.ts';
import { accountOf, causesSince } from './account.ts';
import {
  type ConformanceCase,
  caseOnKernel,
  type Fields,
  type Json,
  type RefusedCase,
  type Step,
} from './caseFile.ts';
import { compareStep, type Difference } from './compare.ts';
import { Inputs, NotModelled } from './inputs.ts';
import type { Process } from './process.ts';
import { rulesOfStep } from './ruleIds.ts';
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
  /** Rules about the step that differs, '' without any. */
  readonly rules: string;
  /** What the model itself has to say: why pages did not move, where the pages are. */
  readonly account: readonly string[];
}

/** Why a case could not be acted out: its input is wrong, or the model has a bug. */
export interface CaseError {
  readonly kind: 'input' | 'bug';
  readonly message: string;
}

export interface CaseResult {
  readonly id: string;
  readonly kernel: KernelVersion;
  readonly group: string;
  readonly status: Status;
  /** A case with an error has failed; others are run all the same. */
  readonly error: CaseError | null;
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
  const base = untold(one);
  try {
    const world = new World(machines, one.machine, one.kernel);
    const difference = runSteps(one, world);
    after(world.k);
    if (difference === null) return { ...base, status: 'passed' };
    if (one.strength === 'racy') return { ...base, status: 'passed', other: difference };
    return { ...base, status: 'failed', difference };
  } catch (error) {
    if (error instanceof NotModelled) {
      return { ...base, status: 'skipped', reason: `not modelled yet: ${error.message}` };
    }
    return { ...base, status: 'failed', error: describe(error, one) };
  }
}

/** Runs `one` as `kernel` answered it; a case that was not seen to run there is skipped. */
export function runCaseOnKernel(
  one: ConformanceCase,
  kernel: KernelVersion,
  machines: CaseMachines,
  after?: AfterCase,
): CaseResult {
  const there = caseOnKernel(one, kernel);
  if (there !== null) return runCase(there, machines, after);
  const reason = `not observed on ${kernel}`;
  return { ...untold({ ...one, kernel }), status: 'skipped', reason };
}

/** The result of a line that could not be read as a case: it failed, whatever it wanted. */
export function refusedResult(one: RefusedCase): CaseResult {
  return { ...untold(one), status: 'failed', error: { kind: 'input', message: one.message } };
}

function untold({
  id,
  group,
  kernel,
}: Pick<ConformanceCase, 'id' | 'group' | 'kernel'>): Omit<CaseResult, 'status'> {
  return { id, kernel, group, reason: '', error: null, difference: null, other: null };
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
    throw new UserError(`${one.place} step ${last}`, problem, `0 to ${one.steps.length - 1}`);
  }
  const world = new World(machines, one.machine, one.kernel);
  for (let i = 0; i <= last; i++) {
    try {
      runStep(one, world, one.steps[i], i);
    } catch (error) {
      if (!(error instanceof NotModelled)) throw error;
      const problem = `the model does not have it: ${error.message}`;
      throw new UserError(`${one.place} step ${i}`, problem, `--step ${i - 1}`);
    }
    world.endStep();
  }
  return world.k;
}

/** Wrong input has its place already; a bug says in which case it showed. */
function describe(error: unknown, one: ConformanceCase): CaseError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UserError) return { kind: 'input', message };
  const what = error instanceof InvariantError ? 'broken invariant' : 'unexpected error';
  return { kind: 'bug', message: `${one.place}: ${what}: ${message}` };
}

function runSteps(one: ConformanceCase, world: World): CaseDifference | null {
  const before = world.k.vmstat.snapshot();
  let first: CaseDifference | null = null;
  for (const [i, step] of one.steps.entries()) {
    const records = world.k.failures.written;
    const got = runStep(one, world, step, i);
    if (typeof got.signal === 'string' && got.signal === one.killedBy) return first;
    if (typeof got.blocked === 'string') {
      return one.timesOut ? first : (first ?? endless(step, i, got.blocked));
    }
    const difference = compareStep(step, got, one.strength, one.ignoredMarks);
    if (difference !== null) {
      first ??= located(world, step, i, difference, records);
      // A racy case is acted out to its end all the same.
      if (one.strength !== 'racy') return first;
    }
    world.endStep();
  }
  if (one.timesOut) return first ?? ended();
  if (one.killedBy !== null) return first ?? survived(one.killedBy);
  return one.strength === 'exact' ? compareCounters(one, world.k, before) : first;
}

/** A step that never ends, in a case that ended. */
function endless(step: Step, i: number, why: string): CaseDifference {
  const rest = { expected: 'the step ends', got: why, rules: rulesOfStep(step), account: [] };
  return { step: i, what: summary(step), field: 'time', ...rest };
}

/** The process was to hang. */
function ended(): CaseDifference {
  const rest = { expected: 'timeout', got: 'it ends', rules: '', account: [] };
  return { step: -1, what: 'expect.timeout', field: 'time', ...rest };
}

/** The process was to end by a signal. */
function survived(killedBy: string): CaseDifference {
  const what = 'expect.killed_by';
  const rest = { expected: killedBy, got: null, rules: 'MC-82a', account: [] };
  return { step: -1, what, field: 'signal', ...rest };
}

function runStep(one: ConformanceCase, world: World, step: Step, i: number): Fields {
  const place = `${one.place} step ${i}`;
  const process = world.process(step.by, place);
  if (process.task.exited) throw new UserError(place, `process ${step.by} has ended`);
  const got = verbOf(step)(world, process, new Inputs(step, place));
  return withPendingSignal(got, process);
}

/** The call returns to user space: a signal that the kernel sent meanwhile arrives. */
function withPendingSignal(got: Fields, process: Process): Fields {
  const { task } = process;
  if (task.pendingSignal === 0) return got;
  task.pendingSignal = 0;
  return process.survives('SIGBUS') ? got : { ...got, signal: 'SIGBUS' };
}

function verbOf(step: Step): Verb {
  const verb = (step.kind === 'do' ? VERBS : LOOKS)[step.name];
  if (verb === undefined) throw new NotModelled(`${step.kind} ${step.name}`);
  return verb;
}

function located(
  world: World,
  step: Step,
  i: number,
  difference: Difference,
  records: number,
): CaseDifference {
  const account = accountOf(world, step, records);
  return { step: i, what: summary(step), ...difference, rules: rulesOfStep(step), account };
}

/** "move_pages by child A": enough to find the step. */
function summary(step: Step): string {
  const by = step.by === 'main' ? '' : ` by ${step.by}`;
  const region = typeof step.fields.region === 'string' ? ` ${step.fields.region}` : '';
  return `${step.kind === 'look' ? 'look ' : ''}${step.name}${by}${region}`;
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
    const account = causesSince(k, 0);
    const rules = 'OV-44..47; MC-60,61';
    return { step: -1, what: 'expect.vmstat', field: name, expected, got, rules, account };
  }
  return null;
}
