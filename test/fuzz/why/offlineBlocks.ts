/**
 * What is said of memory blocks against offlining them: on a random machine with small blocks it is
 * asked what a write of "offline" would come to; then it is done on a restored copy.
 */
import fc from 'fast-check';
import { beginOffline } from '../../../src/mm/index.ts';
import { decodeKernel, encodeKernel } from '../../../src/state/index.ts';
import { EBUSY, EINVAL } from '../../../src/uapi/errno.ts';
import { whyBlock } from '../../../src/why/index.ts';
import { type MachinePlan, machineArbitrary } from '../mm/machines.ts';
import { type Operation, operationArbitrary } from '../mm/operations.ts';
import { play } from '../mm/play.ts';
import { World } from '../mm/world.ts';
import { populated } from './askAndDo.ts';

/** Passes after which an offlining counts as one without end. */
const PASSES = 40;

/** How often which verdict was told. */
export type Verdicts = Map<string, number>;

/** Throws where the verdict on a block and its offlining differ. */
function askBlocks(plan: MachinePlan, history: readonly Operation[], verdicts: Verdicts): void {
  const world = new World(plan);
  const { k } = world;
  for (const operation of history) play(world, operation);
  world.giveUpOfflining();
  for (const one of world.underway) one.op.finish();
  world.sweepMigrations();
  const bytes = encodeKernel({ k, attached: null });
  for (const block of world.blocks) {
    const { verdict, startPfn } = whyBlock(k, block);
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    const done = offline(bytes, startPfn, k.pm.memoryBlocks.blockPages);
    if (done === 0) verdicts.set('did go offline', (verdicts.get('did go offline') ?? 0) + 1);
    if (!fits(verdict, done)) throw new Error(`block ${block}: told "${verdict}", done ${done}`);
  }
}

/** The errno of the write, 0, or 'passes' when it is not over after many passes. */
function offline(bytes: Uint8Array, startPfn: number, nrPages: number): number | 'passes' {
  const { k } = decodeKernel(bytes);
  const op = beginOffline(k, startPfn, nrPages);
  if (typeof op === 'number') return op;
  for (let n = 0; n < PASSES; n++) if (op.step()) return op.result;
  return 'passes';
}

/** Lack of memory elsewhere is not told: a block that would go offline may take passes. */
function fits(verdict: string, done: number | 'passes'): boolean {
  // A write of the state that the block is in already (PM-115).
  if (verdict === 'is not online') return done === -EINVAL;
  if (verdict === 'refused at once: -EINVAL') return done === -EINVAL;
  if (verdict === 'refused at once: -EBUSY') return done === -EBUSY;
  if (verdict.startsWith('tries for ever')) return done === 'passes';
  if (verdict.startsWith('fails after')) return done === -EBUSY || done === 'passes';
  return done === 0 || done === 'passes';
}

/** The report of the first verdict that was wrong, shrunk; null if all were right. */
export function fuzzBlocks(seed: number, runs: number, verdicts: Verdicts): string | null {
  const begin = fc.array(populated, { minLength: 1, maxLength: 2 });
  const later = fc.array(operationArbitrary, { maxLength: 30, size: 'max' });
  const history = fc.tuple(begin, later).map(([first, rest]) => [...first, ...rest]);
  const details = fc.check(
    fc.property(machineArbitrary, history, (plan, past) => askBlocks(plan, past, verdicts)),
    { seed, numRuns: runs },
  );
  if (!details.failed || details.counterexample === null) return null;
  const [plan, past] = details.counterexample;
  const error = details.errorInstance;
  return [
    `seed ${details.seed} path ${details.counterexamplePath} after ${details.numRuns} runs`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `machine ${JSON.stringify(plan)}`,
    ...past.map((record) => `  ${JSON.stringify(record)},`),
  ].join('\n');
}
