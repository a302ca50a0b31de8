/**
 * Runs histories: a machine and a list of operations, everything checked after each. A history
 * that fails is shrunk to a short one and printed with its seed and path, which play it again.
 */
import fc from 'fast-check';
import { findMismatches } from './check.ts';
import type { Kernel } from './kernelDoor.ts';
import { type MachinePlan, machineArbitrary } from './machines.ts';
import { type Operation, operationArbitrary } from './operations.ts';
import { play } from './play.ts';
import { reduceHistory } from './reduce.ts';
import { World } from './world.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  readonly operationsMax: number;
  /** Of a failure that was printed before: plays that history only. */
  readonly path?: string;
  /** Runs end after this time; so does shrinking, with the shortest history so far. */
  readonly limitMs?: number;
  /** Full checks come after this many operations and at the end. Default: after each. */
  readonly checkEvery?: number;
  /** Plants a bug in a fresh kernel: for canaries. Their failures are not shrunk. */
  readonly plant?: (k: Kernel) => void;
  /** How a failure is made short: by fast-check, or for long histories by reduce.ts. */
  readonly isLong?: boolean;
  /** false: a failure is reported as it is. */
  readonly shrinks?: boolean;
  /** Told after each history that passes: its number of operations. */
  readonly onPlayed?: (operations: number) => void;
}

/** Plays one history; throws at the first operation after which something is wrong. */
export function playHistory(
  plan: MachinePlan,
  operations: readonly Operation[],
  checkEvery: number,
  plant?: (k: Kernel) => void,
): void {
  const world = new World(plan);
  plant?.(world.k);
  for (const [i, operation] of operations.entries()) {
    play(world, operation);
    if ((i + 1) % checkEvery !== 0 && i + 1 < operations.length) continue;
    const wrong = findMismatches(world);
    if (wrong.length > 0) {
      throw new Error(`after ${operation.op}:\n${wrong.slice(0, 8).join('\n')}`);
    }
  }
  const left = world.tearDown();
  if (left.length > 0) throw new Error(`at the end:\n${left.join('\n')}`);
}

/** The report of the first failing history, shrunk; null if all runs pass. */
export function fuzz(options: FuzzOptions): string | null {
  const { operationsMax: maxLength, checkEvery = 1 } = options;
  const history = fc.array(operationArbitrary, { maxLength, size: 'max' });
  const details = fc.check(
    fc.property(machineArbitrary, history, (plan, operations) => {
      playHistory(plan, operations, checkEvery, options.plant);
      options.onPlayed?.(operations.length);
    }),
    {
      seed: options.seed,
      numRuns: options.runs,
      path: options.path,
      interruptAfterTimeLimit: options.limitMs,
      endOnFailure: options.plant !== undefined || options.shrinks === false,
    },
  );
  if (!details.failed || details.counterexample === null) return null;
  const [plan, found] = details.counterexample;
  const error = details.errorInstance;
  const operations = options.isLong ? reduceHistory(plan, found, failureOf) : found;
  return [
    `seed ${details.seed} path ${details.counterexamplePath} after ${details.numRuns} runs`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `machine ${JSON.stringify(plan)}`,
    ...operations.map((operation) => `  ${JSON.stringify(operation)},`),
  ].join('\n');
}

function failureOf(plan: MachinePlan, operations: readonly Operation[]): string | null {
  try {
    playHistory(plan, operations, 1);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export interface LongOptions {
  /** Of the first batch; the next one has the next seed. */
  readonly seed: number;
  readonly operations: number;
  /** Told after each batch: the seed to go on from and the operations played. */
  readonly onProgress: (nextSeed: number, played: number) => void;
}

const HISTORIES_PER_BATCH = 500;
const LONG_HISTORY = 400;
const LONG_CHECK_EVERY = 50;
const SHRINK_MS = 300_000;

/**
 * Batches of long histories until so many operations were played. A failing batch is played again
 * with a check after each operation, and its failure shrunk for some minutes.
 * Memory is bounded: a batch keeps nothing. Returns the report, or null.
 */
export function fuzzLong(options: LongOptions): string | null {
  let played = 0;
  const onPlayed = (operations: number): void => {
    played += operations;
  };
  for (let seed = options.seed; played < options.operations; seed++) {
    const batch = { seed, runs: HISTORIES_PER_BATCH, operationsMax: LONG_HISTORY, isLong: true };
    const report = fuzz({ ...batch, checkEvery: LONG_CHECK_EVERY, shrinks: false, onPlayed });
    if (report !== null) return fuzz({ ...batch, limitMs: SHRINK_MS }) ?? report;
    options.onProgress(seed + 1, played);
  }
  return null;
}
