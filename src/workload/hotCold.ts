/**
 * Hot/cold pairs: a program with a hot part that it goes through all the time and a cold part that
 * it filled first and never touches again. First touch gives the cold part the fast memory; the
 * right answer is known to the byte (field tests of a DAMON-like placement, linux-mm 2024-01-18).
 *
 * Sizes are those of the tests in MB, times `scale`. `all` runs the five pairs side by side.
 * Deviates: the hot part is accessed at random, page by page, where the tests read it in order.
 */
import { MIB, PAGE_SIZE } from '../base/units.ts';
import { number, numberOf, RUN_KNOBS, runPart, WRITE_KNOB, writesOf256 } from './commonKnobs.ts';
import { HotSetStream } from './hotSetStream.ts';
import type { ProgramPlan, WorkloadDescription, WorkloadValues } from './workload.ts';

interface Pair {
  readonly hot: number;
  readonly cold: number;
}

/** MB. */
const PAIRS: readonly Pair[] = [
  { hot: 1800, cold: 2000 },
  { hot: 300, cold: 500 },
  { hot: 800, cold: 3200 },
  { hot: 3, cold: 5 },
  { hot: 30, cold: 50 },
];

export const hotCold: WorkloadDescription = {
  name: 'hot-cold',
  summary: 'a hot part behind a cold one that was touched first',
  source: 'placement tests of linux-mm, 2024-01-18',
  memoryParallelism: null,
  knobs: [
    {
      kind: 'choice',
      name: 'pair',
      default: '300/500',
      choices: [...PAIRS.map(nameOf), 'all'],
      doc: 'hot/cold MB of the program; all: one program for each pair',
    },
    number('scale', 0.25, 0.001, 16, '', 'of the sizes'),
    WRITE_KNOB,
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const pair = values.pair;
    const chosen = PAIRS.filter((candidate) => pair === 'all' || nameOf(candidate) === pair);
    return chosen.map((candidate) => programOf(candidate, values, seed, chosen.length));
  },
};

function nameOf(pair: Pair): string {
  return `${pair.hot}/${pair.cold}`;
}

function programOf(
  pair: Pair,
  values: WorkloadValues,
  seed: number,
  nrPrograms: number,
): ProgramPlan {
  const scale = numberOf(values, 'scale');
  const pagesOf = (mb: number): number => Math.max(1, Math.round((mb * scale * MIB) / PAGE_SIZE));
  const coldPages = pagesOf(pair.cold);
  const hotPages = pagesOf(pair.hot);
  const part = runPart(values);
  const set = {
    nrPages: coldPages + hotPages,
    hotPages,
    hotShare: 1,
    writesOf256: writesOf256(values),
    firstAt: () => coldPages,
  };
  const name = `hot-cold ${nameOf(pair)}`;
  return {
    ...part,
    accesses: Math.max(1, Math.round(part.accesses / nrPrograms)),
    name,
    nrPages: set.nrPages,
    stream: (thread) => new HotSetStream(set, seed, `workload/${name}/thread${thread}`),
  };
}
