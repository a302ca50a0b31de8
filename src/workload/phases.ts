/**
 * Phase change: a hot set that jumps to another place at the beginning of each phase. How long a
 * policy takes to notice, and what it costs to follow, is what it shows (MEMTIS, ARMS).
 */
import { RandomStream } from '../base/prng.ts';
import {
  integer,
  number,
  numberOf,
  RUN_KNOBS,
  runPart,
  SIZE_KNOB,
  sizePages,
  WRITE_KNOB,
  writesOf256,
} from './commonKnobs.ts';
import { type HotSet, HotSetStream } from './hotSetStream.ts';
import type { WorkloadDescription } from './workload.ts';

export const phases: WorkloadDescription = {
  name: 'phases',
  summary: 'a hot set that jumps to another place in each phase',
  source: 'phase-change experiments of tiering papers',
  memoryParallelism: null,
  knobs: [
    SIZE_KNOB,
    integer('phases', 4, 1, 10_000, 'phases', 'of equal numbers of accesses'),
    number('hotFraction', 0.1, 0.0001, 1, '', 'of the memory that is hot'),
    number('hotShare', 0.9, 0, 1, '', 'of the accesses that go to the hot set'),
    WRITE_KNOB,
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const nrPhases = numberOf(values, 'phases');
    const part = runPart(values);
    const perPhase = Math.ceil(part.accesses / part.nrThreads / nrPhases);
    const hotPages = Math.max(1, Math.round(nrPages * numberOf(values, 'hotFraction')));
    const start = new RandomStream(seed, 'workload/phases/place').below(nrPages);
    // Phases share no page as long as they fit side by side.
    const distance = Math.max(hotPages, Math.floor(nrPages / nrPhases));
    const set: HotSet = {
      nrPages,
      hotPages,
      hotShare: numberOf(values, 'hotShare'),
      writesOf256: writesOf256(values),
      firstAt: (runs) => (start + Math.floor(runs / perPhase) * distance) % nrPages,
    };
    const stream = (thread: number) =>
      new HotSetStream(set, seed, `workload/phases/thread${thread}`);
    return [{ ...part, name: 'phases', nrPages, stream }];
  },
};
