/**
 * What the fuzzer can do, as plain records: they print as they are and shrink by themselves.
 * Numbers
 * that pick something (process, area, file) are taken modulo what exists when the record is played.
 */
import fc from 'fast-check';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
  MR_COMPACTION,
  MR_LONGTERM_PIN,
  MR_MEMPOLICY_MBIND,
  MR_NUMA_MISPLACED,
  MR_SYSCALL,
} from './kernelDoor.ts';
import { type MappedDeviceOperation, mappedDeviceOperations } from './mappedDeviceOperations.ts';
import { type SystemOperation, systemOperations } from './systemOperations.ts';

/** A range: area number, first page and length within it (modulo, may reach over its end). */
export interface RangePick {
  readonly area: number;
  readonly at: number;
  readonly len: number;
}

export type Operation =
  | { op: 'spawn'; cpu: number }
  | {
      op: 'mmap';
      proc: number;
      pages: number;
      prot: number;
      shared: boolean;
      file: number;
      pgoff: number;
      fixed: number;
      locked: boolean;
      populate: boolean;
    }
  | { op: 'munmap'; proc: number; range: RangePick }
  | { op: 'mprotect'; proc: number; range: RangePick; prot: number }
  | { op: 'mremap'; proc: number; range: RangePick; newLen: number; how: number; fixed: number }
  | { op: 'madvise'; proc: number; range: RangePick; advice: number }
  | { op: 'mlock'; proc: number; range: RangePick; onfault: boolean }
  | { op: 'munlock'; proc: number; range: RangePick }
  | { op: 'brk'; proc: number; delta: number }
  | { op: 'fork'; proc: number }
  | { op: 'clone'; proc: number }
  | { op: 'exit'; proc: number }
  | { op: 'cpu'; proc: number; cpu: number }
  | { op: 'access'; proc: number; range: RangePick; write: boolean; stride: number }
  | { op: 'thp'; enabled: number; mthp: number }
  | { op: 'policy'; proc: number; mode: number; nodes: number; balancing: boolean }
  | { op: 'vmaPolicy'; proc: number; range: RangePick; mode: number; nodes: number }
  | {
      op: 'migrate';
      proc: number;
      range: RangePick;
      nid: number;
      mode: number;
      reason: number;
      /** Steps to take now; -1 = to the end. */
      steps: number;
    }
  | { op: 'stepMigration'; which: number; finish: boolean }
  | { op: 'numaScan'; proc: number; mode: number; ms: number }
  | { op: 'kswapd'; steps: number }
  | { op: 'reclaim'; nid: number }
  | { op: 'demotion'; on: boolean }
  | { op: 'split'; proc: number; range: RangePick }
  | { op: 'get'; proc: number; range: RangePick; pin: boolean }
  | { op: 'gup'; proc: number; range: RangePick; write: boolean; longterm: boolean }
  | { op: 'put'; which: number }
  | { op: 'dma'; which: number }
  | { op: 'truncate'; file: number; size: number }
  | { op: 'writeFile'; proc: number; file: number; at: number; pages: number }
  | { op: 'fsync'; file: number }
  | { op: 'storeSame'; proc: number; range: RangePick; word: number }
  | { op: 'ksm'; scans: number; across: boolean }
  | { op: 'uffd'; proc: number; range: RangePick }
  | { op: 'idle'; proc: number; range: RangePick }
  | { op: 'proactive'; pages: number }
  | { op: 'offline'; block: number; passes: number }
  | { op: 'online'; block: number; type: number }
  | { op: 'compact'; nid: number; how: number }
  | { op: 'contig'; zone: number; at: number; pages: number }
  | { op: 'drain' }
  | { op: 'device'; what: DeviceWhat; proc: number; range: RangePick; coherent: boolean }
  | { op: 'accelerator'; what: AcceleratorWhat; proc: number; range: RangePick; which: number }
  | SystemOperation
  | MappedDeviceOperation;

/** What an accelerator's driver is made to do. */
export type AcceleratorWhat =
  | 'migrate'
  | 'back'
  | 'load'
  | 'store'
  | 'atomic'
  | 'advise'
  | 'cpu'
  | 'evict'
  | 'close'
  | 'remove';

/** What a device is made to do. */
export type DeviceWhat =
  | 'migrate'
  | 'back'
  | 'read'
  | 'write'
  | 'exclusive'
  | 'snapshot'
  | 'failAlloc'
  | 'release';

const proc = fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4);
const prot = fc.constantFrom(3, 3, 3, 3, 3, 3, 1, 0, 7, 5);
const smallRange = fc.record({
  area: fc.nat({ max: 11 }),
  at: fc.nat({ max: 1100 }),
  len: fc.integer({ min: 1, max: 40 }),
});
const largeRange = fc.record({
  area: fc.nat({ max: 11 }),
  at: fc.constantFrom(0, 0, 0, 1, 256, 512),
  len: fc.constantFrom(16, 100, 256, 512, 513, 1024, 1024),
});
const range = fc.oneof({ weight: 2, arbitrary: smallRange }, { weight: 1, arbitrary: largeRange });
const nodes = fc.integer({ min: 1, max: 15 });
const mode = fc.integer({ min: 0, max: 6 });

const ADVICE = [
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_DONTNEED,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_FREE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_PAGEOUT,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLLAPSE,
  MADV_COLLAPSE,
  MADV_MERGEABLE,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
];

const REASONS = [MR_SYSCALL, MR_MEMPOLICY_MBIND, MR_NUMA_MISPLACED, MR_LONGTERM_PIN, MR_COMPACTION];

const mmap = fc.record({
  op: fc.constant('mmap' as const),
  proc,
  pages: fc.constantFrom(1, 16, 40, 64, 100, 512, 600, 1024),
  prot,
  shared: fc.nat({ max: 3 }).map((n) => n === 3),
  file: fc.integer({ min: -10, max: 6 }),
  pgoff: fc.constantFrom(0, 0, 0, 4, 512),
  fixed: fc.integer({ min: -4, max: 5 }),
  locked: fc.nat({ max: 7 }).map((n) => n === 7),
  populate: fc.nat({ max: 7 }).map((n) => n === 7),
});
/** Shared and aligned: what a file on a DAX device needs for entries of 2 MiB. */
const mmapDax = fc.record({
  op: fc.constant('mmap' as const),
  proc,
  pages: fc.constantFrom(512, 600, 1024),
  prot: fc.constantFrom(3, 3, 1),
  shared: fc.constant(true),
  file: fc.constant(6),
  pgoff: fc.constantFrom(0, 0, 512),
  fixed: fc.nat({ max: 5 }),
  locked: fc.constant(false),
  populate: fc.nat({ max: 3 }).map((n) => n === 3),
});
const access = fc.record({
  op: fc.constant('access' as const),
  proc,
  range: fc.oneof({ weight: 3, arbitrary: smallRange }, { weight: 1, arbitrary: largeRange }),
  write: fc.nat({ max: 3 }).map((n) => n < 3),
  stride: fc.constantFrom(1, 1, 1, 3, 17),
});
const migrate = fc.record({
  op: fc.constant('migrate' as const),
  proc,
  range,
  nid: fc.nat({ max: 3 }),
  mode: fc.integer({ min: 0, max: 2 }),
  reason: fc.constantFrom(...REASONS),
  steps: fc.constantFrom(-1, -1, 1, 1, 2),
});

/** The arbitrary of one operation; frequent ones are those that fill memory and move it. */
export const operationArbitrary: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 14, arbitrary: mmap },
  { weight: 2, arbitrary: mmapDax },
  { weight: 22, arbitrary: access },
  { weight: 10, arbitrary: migrate },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('stepMigration' as const),
      which: fc.nat({ max: 3 }),
      finish: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('spawn' as const), cpu: fc.nat({ max: 7 }) }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('munmap' as const), proc, range }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('mprotect' as const), proc, range, prot }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('mremap' as const),
      proc,
      range,
      newLen: fc.constantFrom(1, 8, 16, 100, 512, 700),
      how: fc.nat({ max: 3 }),
      fixed: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('madvise' as const),
      proc,
      range,
      advice: fc.constantFrom(...ADVICE),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('mlock' as const),
      proc,
      range: smallRange,
      onfault: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('munlock' as const), proc, range }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('brk' as const),
      proc,
      delta: fc.integer({ min: -40, max: 60 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('fork' as const), proc }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('clone' as const), proc }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('exit' as const), proc }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('cpu' as const), proc, cpu: fc.nat({ max: 7 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('thp' as const),
      enabled: fc.nat({ max: 2 }),
      mthp: fc.constantFrom(0, 4, 16, 260),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('policy' as const),
      proc,
      mode,
      nodes,
      balancing: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('vmaPolicy' as const), proc, range, mode, nodes }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('numaScan' as const),
      proc,
      mode: fc.constantFrom(0, 1, 1, 2, 2, 3),
      ms: fc.constantFrom(100, 1500, 1500, 70000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('kswapd' as const),
      steps: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('reclaim' as const), nid: fc.nat({ max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('demotion' as const), on: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('split' as const), proc, range }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('get' as const), proc, range, pin: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('put' as const), which: fc.nat({ max: 7 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('dma' as const), which: fc.nat({ max: 7 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('truncate' as const),
      file: fc.nat({ max: 7 }),
      size: fc.constantFrom(0, 1, 10, 48, 300, 600, 1024),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('writeFile' as const),
      proc,
      file: fc.nat({ max: 6 }),
      at: fc.constantFrom(0, 0, 3, 16, 512),
      pages: fc.constantFrom(1, 4, 16, 48, 512),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('fsync' as const), file: fc.nat({ max: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('drain' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('offline' as const),
      block: fc.nat({ max: 15 }),
      passes: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('online' as const),
      block: fc.nat({ max: 7 }),
      type: fc.nat({ max: 2 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('compact' as const),
      nid: fc.nat({ max: 3 }),
      how: fc.constantFrom(0, 0, 1, 3, 9),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('contig' as const),
      zone: fc.nat({ max: 7 }),
      at: fc.nat({ max: 3000 }),
      pages: fc.constantFrom(1, 3, 16, 64, 512, 700),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('gup' as const),
      proc,
      range: smallRange,
      write: fc.boolean(),
      longterm: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('storeSame' as const),
      proc,
      range: smallRange,
      word: fc.nat({ max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('ksm' as const),
      scans: fc.integer({ min: 1, max: 3 }),
      across: fc.boolean(),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constant('device' as const),
      what: fc.constantFrom<DeviceWhat>(
        'migrate',
        'migrate',
        'migrate',
        'migrate',
        'back',
        'read',
        'write',
        'write',
        'exclusive',
        'snapshot',
        'failAlloc',
        'release',
      ),
      proc,
      range,
      coherent: fc.nat({ max: 2 }).map((n) => n === 2),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constant('accelerator' as const),
      what: fc.constantFrom<AcceleratorWhat>(
        'migrate',
        'migrate',
        'migrate',
        'back',
        'load',
        'load',
        'store',
        'store',
        'atomic',
        'advise',
        'cpu',
        'evict',
        'close',
        'remove',
      ),
      proc,
      range,
      which: fc.nat({ max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('uffd' as const), proc, range }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('idle' as const), proc, range }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('proactive' as const),
      pages: fc.integer({ min: 1, max: 300 }),
    }),
  },
  ...systemOperations(proc, range),
  ...mappedDeviceOperations(proc, range),
);
