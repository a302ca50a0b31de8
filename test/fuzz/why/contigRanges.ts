/**
 * What is said of ranges of frames and of CMA areas against alloc_contig_range and cma_alloc: on a
 * random machine it is asked what they would come to; then it is done on a restored copy.
 */
import fc from 'fast-check';
import { allocContigRange, cmaAlloc } from '../../../src/mm/index.ts';
import { decodeKernel, encodeKernel } from '../../../src/state/index.ts';
import { EBUSY, ENOMEM } from '../../../src/uapi/errno.ts';
import { GFP_KERNEL } from '../../../src/uapi/gfp.ts';
import { whyCma, whyRange } from '../../../src/why/index.ts';
import { type MachinePlan, machineArbitrary } from '../mm/machines.ts';
import { type Operation, operationArbitrary } from '../mm/operations.ts';
import { play } from '../mm/play.ts';
import { World } from '../mm/world.ts';
import { populated } from './askAndDo.ts';
import type { Verdicts } from './offlineBlocks.ts';

interface RangeAsk {
  /** Of all frames that the machine booted with. */
  readonly at: number;
  readonly pages: number;
  readonly align: number;
}

const askArbitrary: fc.Arbitrary<RangeAsk> = fc.record({
  at: fc.nat(20_000),
  pages: fc.constantFrom(1, 2, 7, 32, 64, 300, 512, 700),
  align: fc.constantFrom(0, 0, 3, 9),
});

/** Throws where what is told of a range or an area and the allocation differ. */
function askRanges(
  plan: MachinePlan,
  history: readonly Operation[],
  asks: readonly RangeAsk[],
  verdicts: Verdicts,
): void {
  const world = new World(plan);
  const { k } = world;
  for (const operation of history) play(world, operation);
  for (const one of world.underway) one.op.finish();
  world.sweepMigrations();
  const bytes = encodeKernel({ k, attached: null });
  for (const { at, pages, align } of asks) {
    askRange(world, at, pages, bytes, verdicts);
    if (k.cma.length > 0) askArea(world, pages, align, bytes, verdicts);
  }
}

function count(verdicts: Verdicts, verdict: string): void {
  verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
}

function askRange(
  { k }: World,
  at: number,
  asked: number,
  bytes: Uint8Array,
  verdicts: Verdicts,
): void {
  const ranges = k.pm.populatedZones().flatMap(({ presentRanges }) => presentRanges);
  const { start, end } = ranges[at % ranges.length];
  const first = start + (at % (end - start));
  const pages = Math.min(asked, end - first);
  const { verdict } = whyRange(k, k.frames.pfnOf(first), pages);
  const done = allocContigRange(decodeKernel(bytes).k, first, first + pages, false, GFP_KERNEL);
  count(verdicts, verdict.startsWith('can be had') ? 'can be had' : verdict);
  if (fits(verdict, done)) return;
  throw new Error(`range ${first}+${pages}: told "${verdict}", done ${done}`);
}

/** Lack of memory elsewhere is not told. */
function fits(verdict: string, done: number): boolean {
  if (verdict.startsWith('refused')) return done === -EBUSY;
  if (verdict.startsWith('fails')) return done === -EBUSY || done === -ENOMEM;
  return done === 0 || (verdict.includes('-ENOMEM') && done === -ENOMEM);
}

function askArea(
  { k }: World,
  pages: number,
  align: number,
  bytes: Uint8Array,
  verdicts: Verdicts,
): void {
  const { verdict, gives } = whyCma(k, k.cma[0], pages, align);
  const copy = decodeKernel(bytes).k;
  const frame = cmaAlloc(copy, copy.cma[0], pages, align);
  count(verdicts, verdict.startsWith('gives') ? 'gives' : 'area fails');
  if (frame >= 0 && copy.frames.pfnOf(frame) === gives) return;
  // What moved out of one stretch may lie in the next one, and lack of memory is not told.
  if (frame < 0 && (gives === null || verdict.includes('-ENOMEM'))) return;
  throw new Error(`cma ${pages}, align ${align}: told "${verdict}", done frame ${frame}`);
}

/** The report of the first verdict that was wrong, shrunk; null if all were right. */
export function fuzzRanges(
  seed: number,
  runs: number,
  verdicts: Verdicts,
  limitMs?: number,
): string | null {
  const begin = fc.array(populated, { minLength: 1, maxLength: 2 });
  const later = fc.array(operationArbitrary, { maxLength: 30, size: 'max' });
  const history = fc.tuple(begin, later).map(([first, rest]) => [...first, ...rest]);
  const asks = fc.array(askArbitrary, { minLength: 4, maxLength: 12, size: 'max' });
  const details = fc.check(
    fc.property(machineArbitrary, history, asks, (plan, past, asked) =>
      askRanges(plan, past, asked, verdicts),
    ),
    { seed, numRuns: runs, interruptAfterTimeLimit: limitMs },
  );
  if (!details.failed || details.counterexample === null) return null;
  const [plan, past, asked] = details.counterexample;
  const error = details.errorInstance;
  return [
    `seed ${details.seed} path ${details.counterexamplePath} after ${details.numRuns} runs`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `machine ${JSON.stringify(plan)}`,
    ...[...past, ...asked].map((record) => `  ${JSON.stringify(record)},`),
  ].join('\n');
}
