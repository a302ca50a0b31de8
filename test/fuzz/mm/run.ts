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
import { World } from './world.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  readonly operationsMax: number;
  /** Of a failure that was printed before: plays that history only. */
  readonly path?: string;
  /** Runs end after this time; so does shrinking, with the shortest history so far. */
  readonly limitMs?: number;
  /** Plants a bug in a fresh kernel: for canaries. Their failures are not shrunk. */
  readonly plant?: (k: Kernel) => void;
}

/** Plays one history; throws at the first operation after which something is wrong. */
export function playHistory(
  plan: MachinePlan,
  operations: readonly Operation[],
  plant?: (k: Kernel) => void,
): void {
  const world = new World(plan);
  plant?.(world.k);
  for (const operation of operations) {
    play(world, operation);
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
  const history = fc.array(operationArbitrary, { maxLength: options.operationsMax, size: 'max' });
  const details = fc.check(
    fc.property(machineArbitrary, history, (plan, operations) =>
      playHistory(plan, operations, options.plant),
    ),
    {
      seed: options.seed,
      numRuns: options.runs,
      path: options.path,
      interruptAfterTimeLimit: options.limitMs,
      endOnFailure: options.plant !== undefined,
    },
  );
  if (!details.failed || details.counterexample === null) return null;
  const [plan, operations] = details.counterexample;
  const error = details.errorInstance;
  return [
    `seed ${details.seed} path ${details.counterexamplePath} after ${details.numRuns} runs`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `machine ${JSON.stringify(plan)}`,
    ...operations.map((operation) => `  ${JSON.stringify(operation)},`),
  ].join('\n');
}
