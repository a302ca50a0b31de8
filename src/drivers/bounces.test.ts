/** D8, D13: large pages and pages that device and CPU take turns with (experimental). */
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import {
  checkInvariants,
  exitTask,
  forkTask,
  loadWord,
  madviseRange,
  mmapRegion,
  munmapRange,
  pinUserPages,
  storeWord,
  type Task,
  unpinUserPages,
} from '../mm/index.ts';
import { EOPNOTSUPP } from '../uapi/errno.ts';
import { MADV_DONTNEED, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { AcceleratorBench, PLAIN_ACCELERATOR } from './acceleratorBench.ts';
import type { BounceSpec } from './bounces.ts';
import { PrivateAccelerator } from './privateAccelerator.ts';

const HUGE = 512;
const EXPERIMENTAL = [
  'device_merge_on_return',
  'device_shared_pages',
  'device_split_by_use',
] as const;

function bench(bounces: BounceSpec, splitsOnReturn = false) {
  return new AcceleratorBench({
    rangePages: HUGE,
    splitsOnReturn,
    bounces,
    experimental: EXPERIMENTAL,
  });
}

/** Pages of the 2 MiB that the device has now, all of it having been there. */
function afterCpu(b: AcceleratorBench, start: number, at: readonly number[]): number {
  b.context.load(b.task, start);
  for (const n of at) loadWord(b.k, b.task, start + n);
  return b.live;
}

function isHuge(b: AcceleratorBench, start: number): boolean {
  const mm = b.task.mm!;
  return mm.pmd[mm.slotOf(start)] !== 0;
}

it('what is not switched on is -EOPNOTSUPP', () => {
  const { k } = new AcceleratorBench();
  for (const bounces of [{ splitAfter: 1 }, { mergeAfter: 1 }, { shareAfter: 1 }]) {
    const device = new PrivateAccelerator(k, { ...PLAIN_ACCELERATOR, bounces });
    expect(device.probe(-1)).toBe(-EOPNOTSUPP);
  }
});

describe('split by use (DM-64)', () => {
  it('whole as often as the driver says, from then on the page that is touched', () => {
    const b = bench({ splitAfter: 2 });
    const start = b.mapWritten(HUGE, true);
    expect(afterCpu(b, start, [5])).toBe(0);
    expect(afterCpu(b, start, [6])).toBe(0);
    expect(afterCpu(b, start, [7])).toBe(511);
    expect(b.device.stats.pagesFromDevice).toBe(1025);
    expect(b.wrongPages(start, HUGE)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('memory that is mapped there later has no history', () => {
    const b = bench({ splitAfter: 1 });
    const start = b.mapWritten(HUGE, true);
    afterCpu(b, start, [5]);
    munmapRange(b.k, b.task.mm!, start, start + HUGE);
    expect(b.context.bounces.ranges.size).toBe(0);
    expect(b.end()).toEqual([]);
  });
});

describe('merge on return (D8)', () => {
  it('a CPU that wants more than some pages of a turn gets the rest at once, as 2 MiB', () => {
    const b = bench({ mergeAfter: 4 }, true);
    const start = b.mapWritten(HUGE, true);
    expect(afterCpu(b, start, [9, 8, 7, 6])).toBe(508);
    expect(isHuge(b, start)).toBe(false);
    expect(loadWord(b.k, b.task, start + 5)).toBe(6);
    expect([b.live, isHuge(b, start), b.device.stats.pagesMerged]).toEqual([0, true, 512]);
    checkInvariants(b.k);
    expect(b.wrongPages(start, HUGE)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('pages count turn by turn', () => {
    const b = bench({ mergeAfter: 2 }, true);
    const start = b.mapWritten(HUGE, true);
    for (let turn = 0; turn < 3; turn++) expect(afterCpu(b, start + 1, [0, 1])).toBe(510);
    expect(isHuge(b, start)).toBe(false);
    expect(b.end()).toEqual([]);
  });

  it('holes become zeroes; the page table is kept for a split', () => {
    const b = bench({ mergeAfter: 1 });
    const start = b.map(HUGE);
    storeWord(b.k, b.task, start, 1);
    storeWord(b.k, b.task, start + 1, 2);
    b.context.load(b.task, start);
    loadWord(b.k, b.task, start);
    madviseRange(b.k, b.task, start + 2, start + 9, MADV_DONTNEED);
    expect(loadWord(b.k, b.task, start + 1)).toBe(2);
    expect(loadWord(b.k, b.task, start + 2)).toBe(0);
    expect([b.live, isHuge(b, start)]).toEqual([0, true]);
    munmapRange(b.k, b.task.mm!, start + 4, start + 5);
    checkInvariants(b.k);
    expect(loadWord(b.k, b.task, start)).toBe(1);
    expect(b.end()).toEqual([]);
  });

  it('a page that fork shares, or that is pinned, keeps all of them small', () => {
    const b = bench({ mergeAfter: 1 }, true);
    const start = b.mapWritten(HUGE, true);
    afterCpu(b, start, [0]);
    const pinned: number[] = [];
    pinUserPages(b.k, b.task, start, 1, 0, pinned);
    expect(loadWord(b.k, b.task, start + 1)).toBe(2);
    expect([b.live, isHuge(b, start)]).toEqual([510, false]);
    unpinUserPages(b.k, pinned);
    checkInvariants(b.k);
    const child = forkTask(b.k, b.task) as Task;
    expect(loadWord(b.k, b.task, start + 2)).toBe(3);
    expect([b.live, isHuge(b, start)]).toEqual([509, false]);
    checkInvariants(b.k);
    for (let n = 0; n < HUGE; n++) expect(loadWord(b.k, child, start + n)).toBe(n + 1);
    exitTask(b.k, child);
    expect(b.wrongPages(start, HUGE)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('split by use learns from it: what is used whole comes back whole', () => {
    const b = bench({ splitAfter: 1, mergeAfter: 3 });
    const start = b.mapWritten(HUGE, true);
    const some = [1, 2, 3, 4];
    afterCpu(b, start, some);
    expect(b.device.stats.cpuFaults).toBe(1);
    afterCpu(b, start, some);
    expect([b.device.stats.cpuFaults, b.device.stats.pagesMerged]).toEqual([5, 512]);
    afterCpu(b, start, some);
    expect(b.device.stats.cpuFaults).toBe(6);
    expect(b.end()).toEqual([]);
  });
});

describe('pages that are fought over stay in system memory (D13)', () => {
  it('over the link: no fault on either side any more, and each sees what the other wrote', () => {
    const b = bench({ shareAfter: 1 });
    const start = b.mapWritten(HUGE, true);
    expect(afterCpu(b, start, [5])).toBe(511);
    expect(b.context.load(b.task, start + 5)).toBe(6);
    const { deviceFaults, cpuFaults } = b.device.stats;
    for (let n = 100; n < 110; n++) {
      storeWord(b.k, b.task, start + 5, n);
      expect(b.context.load(b.task, start + 5)).toBe(n);
      expect(b.context.store(b.task, start + 5, n * 2)).toBe(0);
      expect(loadWord(b.k, b.task, start + 5)).toBe(n * 2);
    }
    const now = b.device.stats;
    expect([now.deviceFaults, now.cpuFaults]).toEqual([deviceFaults, cpuFaults]);
    expect([b.live, now.remoteAccesses]).toEqual([511, 21]);
    expect(b.end()).toEqual([]);
  });

  it('exclusively: the CPU takes the page back, and no page moves (DM-70, DM-43)', () => {
    const b = bench({ shareAfter: 1, shareBy: 'exclusive' });
    const start = b.mapWritten(HUGE, true);
    afterCpu(b, start, [5]);
    const moved = b.device.stats.pagesFromDevice;
    for (let n = 100; n < 110; n++) {
      expect(b.context.store(b.task, start + 5, n)).toBe(0);
      expect(b.context.exclusive.has(start + 5)).toBe(true);
      expect(loadWord(b.k, b.task, start + 5)).toBe(n);
      expect(b.context.exclusive.size).toBe(0);
    }
    expect([b.device.stats.exclusiveEnded, b.device.stats.pagesFromDevice]).toEqual([10, moved]);
    expect(b.live).toBe(511);
    expect(b.end()).toEqual([]);
  });
});

describe('atomic operations of a device (DM-70)', () => {
  it('in its own memory, and on a page of system memory that it takes exclusively', () => {
    const b = new AcceleratorBench({ placement: 'hint' });
    const start = b.mapWritten(16);
    expect(b.context.atomicAdd(b.task, start, 10)).toBe(11);
    expect([b.live, b.context.exclusive.size]).toEqual([0, 1]);
    expect(b.context.atomicAdd(b.task, start, 10)).toBe(21);
    expect(loadWord(b.k, b.task, start)).toBe(21);
    expect(b.device.stats.exclusiveEnded).toBe(1);
    b.context.migrateToDevice(b.task, start, 16);
    expect(b.context.atomicAdd(b.task, start, 10)).toBe(31);
    expect([b.live, b.context.exclusive.size]).toEqual([16, 0]);
    expect(b.end()).toEqual([]);
  });

  it('of a file: -EOPNOTSUPP, as make_device_exclusive says', () => {
    const b = new AcceleratorBench();
    const file = b.k.newFile('data', 'tmpfs', 1);
    const prot = PROT_READ | PROT_WRITE;
    const request = { addr: 0, pages: 1, prot, flags: MAP_SHARED, file, pgoff: 0 };
    const start = mmapRegion(b.k, b.task.mm!, request);
    expect(b.context.atomicAdd(b.task, start, 1)).toBe(-EOPNOTSUPP);
  });
});

describe('random turns', () => {
  const kinds: readonly BounceSpec[] = [
    { splitAfter: 1, mergeAfter: 6 },
    { shareAfter: 2, mergeAfter: 3, shareBy: 'exclusive' },
    { splitAfter: 2, shareAfter: 1, shareBy: 'link' },
  ];
  it.each(kinds)('nothing is lost: %o', (bounces) => {
    const random = new RandomStream(1, 'bounces');
    const b = bench(bounces);
    const nr = 2 * HUGE;
    const start = b.mapWritten(nr, true);
    const words = Array.from({ length: nr }, (_, i) => i + 1);
    const { context } = b;
    for (let n = 0; n < 3000; n++) {
      const i = random.below(nr);
      const what = random.below(8);
      if (what < 2) expect(context.load(b.task, start + i)).toBe(words[i]);
      else if (what < 4) {
        if (what === 2) expect(context.store(b.task, start + i, n)).toBe(0);
        else storeWord(b.k, b.task, start + i, n);
        words[i] = n;
      } else if (what < 6) expect(loadWord(b.k, b.task, start + i)).toBe(words[i]);
      else if (what === 6) {
        words[i] += 3;
        expect(context.atomicAdd(b.task, start + i, 3)).toBe(words[i]);
      } else if (random.below(20) === 0) exitTask(b.k, forkTask(b.k, b.task) as Task);
      if (n % 500 === 0) checkInvariants(b.k);
    }
    for (let i = 0; i < nr; i++) expect(loadWord(b.k, b.task, start + i)).toBe(words[i]);
    expect(b.end()).toEqual([]);
  });
});
