/**
 * GUPS with a hot set: random updates, most of them in a part of the memory (Giga Updates Per
 * Second, HPC Challenge RandomAccess; with a hot set as HeMem, MEMTIS and Colloid use it).
 *
 * The hot set lies together: at a place that the seed decides, or at either end. Memory is filled
 * from its first page on, so first touch has the start in fast memory and the end in slow memory.
 * `scatter` spreads the hot set over all pages.
 */
import { RandomStream } from '../base/prng.ts';
import {
  booleanOf,
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
import { ScatteredStream } from './scatteredStream.ts';
import type { WorkloadDescription } from './workload.ts';

export const gups: WorkloadDescription = {
  name: 'gups',
  summary: 'random updates, most of them in a hot set',
  source: 'HPC Challenge RandomAccess, with the hot set of HeMem (SOSP 2021)',
  memoryParallelism: null,
  knobs: [
    SIZE_KNOB,
    number('hotFraction', 0.1, 0.0001, 1, '', 'of the memory that is hot'),
    number('hotShare', 0.9, 0, 1, '', 'of the accesses that go to the hot set'),
    {
      kind: 'choice',
      name: 'hotPlace',
      default: 'seed',
      choices: ['seed', 'start', 'end'],
      doc: 'where the hot set lies',
    },
    WRITE_KNOB,
    { kind: 'boolean', name: 'scatter', default: false, doc: 'hot pages do not lie together' },
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const hotPages = Math.max(1, Math.round(nrPages * numberOf(values, 'hotFraction')));
    const place = values.hotPlace;
    const drawn = new RandomStream(seed, 'workload/gups/place').below(nrPages);
    const end = place === 'end' ? nrPages - hotPages : 0;
    const first = place === 'seed' ? drawn : end;
    const set: HotSet = {
      nrPages,
      hotPages,
      hotShare: numberOf(values, 'hotShare'),
      writesOf256: writesOf256(values),
      firstAt: () => first,
    };
    const isScattered = booleanOf(values, 'scatter');
    const stream = (thread: number) => {
      const drawn = new HotSetStream(set, seed, `workload/gups/thread${thread}`);
      return isScattered
        ? new ScatteredStream(drawn, nrPages, seed, 'workload/gups/scatter')
        : drawn;
    };
    return [{ ...runPart(values), name: 'gups', nrPages, stream }];
  },
};
