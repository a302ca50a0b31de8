/**
 * GUPS beside an antagonist: other cores that keep a tier's memory busy (Colloid, SOSP 2024). The
 * antagonist fills its memory first, so first touch gives it the fast tier, and reads it in order,
 * line by line; its cores decide how much is left of the tier's bandwidth.
 *
 * Deviates: all threads make the same number of accesses, so an antagonist's core is as fast as one
 * of GUPS, and policies may migrate its memory like any other.
 */
import { RandomStream } from '../base/prng.ts';
import { MIB, PAGE_SIZE } from '../base/units.ts';
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
import { DrawStream } from './drawStream.ts';
import { type HotSet, HotSetStream } from './hotSetStream.ts';
import { ScanPages } from './scan.ts';
import type { ProgramPlan, WorkloadDescription } from './workload.ts';

export const contention: WorkloadDescription = {
  name: 'contention',
  summary: 'gups beside cores that keep the fast tier busy',
  source: 'Colloid (SOSP 2024)',
  memoryParallelism: null,
  knobs: [
    SIZE_KNOB,
    number('hotFraction', 1 / 3, 0.0001, 1, '', 'of the memory of gups that is hot'),
    number('hotShare', 0.9, 0, 1, '', 'of the accesses that go to the hot set'),
    integer('antagonists', 5, 0, 256, 'threads', 'that read memory of their own'),
    integer('antagonistSize', 16, 1, 65536, 'MiB', 'memory that they read, all together'),
    WRITE_KNOB,
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const first = new RandomStream(seed, 'workload/contention/place').below(nrPages);
    const part = runPart(values);
    const set: HotSet = {
      nrPages,
      hotPages: Math.max(1, Math.round(nrPages * numberOf(values, 'hotFraction'))),
      hotShare: numberOf(values, 'hotShare'),
      writesOf256: writesOf256(values),
      firstAt: () => first,
    };
    const stream = (thread: number) => new HotSetStream(set, seed, `workload/contention/${thread}`);
    const gups: ProgramPlan = { ...part, name: 'gups', nrPages, stream };
    const nrThreads = numberOf(values, 'antagonists');
    if (nrThreads === 0) return [gups];
    const pages = (numberOf(values, 'antagonistSize') * MIB) / PAGE_SIZE;
    const antagonist: ProgramPlan = {
      ...part,
      name: 'antagonist',
      nrPages: pages,
      nrThreads,
      accesses: Math.round((part.accesses * nrThreads) / part.nrThreads),
      stream: (thread) => {
        const draw = new DrawStream(seed, `workload/contention/antagonist${thread}`);
        return new ScanPages(pages, Math.floor((pages * thread) / nrThreads), 0, draw);
      },
    };
    return [antagonist, gups];
  },
};
