/**
 * A key-value cache beside cold memory: one program fills its memory and sleeps, then a cache fills
 * its own and serves requests. First touch gives the cold program the fast memory, and what it
 * leaves over to the cache (Redis with YCSB beside cold memory, series of DAMON's migrate actions,
 * linux-mm 2024).
 *
 * Popularity by a power law, spread over the memory, as YCSB's scrambled zipfian.
 * `files` are read before the memory is filled, so that page cache takes the fast tier first
 * (Meta's cache with TPP).
 */

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
import { ScatteredStream } from './scatteredStream.ts';
import type { PageStream, WorkloadDescription } from './workload.ts';
import { ZipfPages } from './zipf.ts';

export const coldCache: WorkloadDescription = {
  name: 'cold-cache',
  summary: 'a key-value cache that comes after cold memory',
  source: 'Redis and YCSB beside cold memory, commit a00ce85af2a1',
  memoryParallelism: null,
  knobs: [
    { ...SIZE_KNOB, doc: 'memory of the cache' },
    integer('cold', 256, 0, 65536, 'MiB', 'memory that is filled first and not touched again'),
    integer('files', 0, 0, 65536, 'MiB', 'files that the cache reads once before it is filled'),
    number('theta', 0.99, 0, 4, '', 'exponent of popularity: 0 is uniform'),
    { ...WRITE_KNOB, default: 0 },
    ...RUN_KNOBS,
  ],
  programs: (values, seed) => {
    const nrPages = sizePages(values);
    const coldPages = (numberOf(values, 'cold') * MIB) / PAGE_SIZE;
    const theta = numberOf(values, 'theta');
    const writes = writesOf256(values);
    const stream = (thread: number): PageStream => {
      const name = `workload/cold-cache/thread${thread}`;
      const drawn = new ZipfPages(nrPages, theta, writes, seed, name);
      return new ScatteredStream(drawn, nrPages, seed, 'workload/cold-cache/scatter');
    };
    const filePages = (numberOf(values, 'files') * MIB) / PAGE_SIZE;
    const cache = { ...runPart(values), name: 'cache', nrPages, filePages, stream };
    if (coldPages === 0) return [cache];
    const cold = { ...cache, name: 'cold', nrPages: coldPages, filePages: 0, accesses: 0 };
    return [cold, cache];
  },
};
