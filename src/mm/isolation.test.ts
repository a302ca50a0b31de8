import { beforeEach, describe, expect, it } from 'vitest';
import { EBUSY } from '../uapi/errno.ts';
import { __GFP_COMP, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import { MIGRATE_ISOLATE, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import {
  PG_HUGETLB,
  PG_HWPOISON,
  PG_LRU,
  PG_MOVABLE_OPS,
  PG_RESERVED,
  PGTY_OFFLINE,
} from './frameTable.ts';
import { checkFreeLists } from './freeListCheck.ts';
import {
  ISOLATE_MODE_CMA_ALLOC,
  ISOLATE_MODE_MEM_OFFLINE,
  ISOLATE_MODE_OTHER,
  type IsolateMode,
  startIsolatePageRange,
  testPagesIsolated,
  undoIsolatePageRange,
} from './isolation.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';
import { freeCount } from './watermark.ts';

/**
 * Zone 0: NORMAL, pageblocks 0 to 8; block 0 starts with a hole of 16 and 16 reserved frames,
 * blocks 4 and 5 are CMA. Zone 1: MOVABLE, pageblocks 64 to 67.
 */
function machine(): PhysicalMemory {
  const cma = [{ at: 2048, pages: 1024 }];
  const spec = plainMachine([
    {
      cpus: [0],
      zones: [
        { zone: ZONE_NORMAL, pages: 9 * 512 - 16, absent: 16, reserved: 16, cma },
        { zone: ZONE_MOVABLE, pages: 2048 },
      ],
    },
  ]);
  return new PhysicalMemory(spec, { trackContent: false });
}

let pm: PhysicalMemory;
beforeEach(() => {
  pm = machine();
});

function isolate(
  from: number,
  to: number,
  mode: IsolateMode = ISOLATE_MODE_OTHER,
  hugetlbMigratable = true,
): number {
  const ret = startIsolatePageRange(pm, from, to, mode, () => hugetlbMigratable);
  checkFreeLists(pm);
  return ret;
}

function undo(from: number, to: number): void {
  undoIsolatePageRange(pm, from, to);
  checkFreeLists(pm);
}

/** Takes every frame of pageblock `block` out of the allocator as single pages. */
function occupy(block: number, flags: number): void {
  const zone = pm.zoneOf(block * 512);
  for (let f = block * 512; f < block * 512 + 512; ) {
    const head = pm.buddy.blockOf(f);
    const order = pm.buddy.takeBlock(zone, head);
    for (let i = head; i < head + (1 << order); i++) {
      if (i >> 9 === block) {
        pm.frames.refcount[i] = 1;
        pm.frames.flags[i] = flags;
      } else pm.buddy.freeBlock(zone, i, 0, false);
    }
    f = head + (1 << order);
  }
  checkFreeLists(pm);
}

describe('PM-62, PM-63: isolating and undoing', () => {
  it('OV-7: takes free memory out of nr_free_pages, keeps the type below, gives both back', () => {
    const [zone] = pm.zones;
    const before = freeCount(pm, zone);
    expect(isolate(512, 1024)).toBe(0);
    expect(zone.nrIsolatePageblock).toBe(1);
    expect(pm.blocks.migratetypeOf(512)).toBe(MIGRATE_ISOLATE);
    expect(pm.blocks.migratetypeBelowIsolation(512)).toBe(1);
    expect(freeCount(pm, zone)).toBe(before - 512);
    expect(zone.nrFreeBlocks(9, MIGRATE_ISOLATE)).toBe(1);
    undo(512, 1024);
    expect(zone.nrIsolatePageblock).toBe(0);
    expect(freeCount(pm, zone)).toBe(before);
  });

  it('undoing merges with the neighbour again', () => {
    const [, movable] = pm.zones;
    const first = 64 * 512;
    expect(isolate(first, first + 512)).toBe(0);
    expect(movable.nrFreeBlocks(10, 1)).toBe(1);
    undo(first, first + 512);
    expect(movable.nrFreeBlocks(10, 1)).toBe(2);
  });

  it('a pair of isolated pageblocks may be undone one by one', () => {
    const [, movable] = pm.zones;
    const first = 64 * 512;
    expect(isolate(first, first + 1024)).toBe(0);
    expect(freeCount(pm, movable)).toBe(1024);
    undo(first + 512, first + 1024);
    expect(freeCount(pm, movable)).toBe(1536);
    undo(first, first + 512);
    expect(freeCount(pm, movable)).toBe(2048);
    expect(movable.nrFreeBlocks(10, 1)).toBe(2);
  });

  it('also when they became one free block while isolated', () => {
    const [, movable] = pm.zones;
    occupy(64, PG_LRU);
    occupy(65, PG_LRU);
    const first = 64 * 512;
    expect(isolate(first, first + 1024)).toBe(0);
    for (let f = first; f < first + 1024; f++) freePages(pm, f, 0);
    expect(movable.nrFreeBlocks(10, MIGRATE_ISOLATE)).toBe(1);
    undo(first, first + 512);
    expect(freeCount(pm, movable)).toBe(1536);
    expect(movable.nrFreeBlocks(9, MIGRATE_ISOLATE)).toBe(1);
    undo(first + 512, first + 1024);
    expect(movable.nrFreeBlocks(10, 1)).toBe(2);
  });

  it('isolates whole pageblocks, and all or none', () => {
    expect(isolate(700, 1100)).toBe(0);
    expect([1, 2, 3].map((b) => pm.blocks.isolatedBlock[b])).toEqual([1, 1, 0]);
    undo(700, 1100);
    occupy(2, 0);
    expect(isolate(512, 1536)).toBe(-EBUSY);
    expect(pm.zones[0].nrIsolatePageblock).toBe(0);
  });

  it('an isolated block cannot be isolated again', () => {
    expect(isolate(512, 1024)).toBe(0);
    expect(isolate(512, 1024)).toBe(-EBUSY);
    expect(pm.zones[0].nrIsolatePageblock).toBe(1);
  });

  it('pages freed into it are isolated too and never handed out (OV-56)', () => {
    occupy(1, PG_LRU);
    expect(isolate(512, 1024)).toBe(0);
    const before = freeCount(pm, pm.zones[0]);
    for (let f = 512; f < 1024; f++) freePages(pm, f, 0);
    expect(freeCount(pm, pm.zones[0])).toBe(before);
    checkFreeLists(pm);
    for (let f = allocPages(pm, 0, GFP_KERNEL, 0, -1); f >= 0; ) {
      expect(f >> 9).not.toBe(1);
      f = allocPages(pm, 0, GFP_KERNEL, 0, -1);
    }
    undo(512, 1024);
    expect(freeCount(pm, pm.zones[0])).toBeGreaterThanOrEqual(512);
  });

  it('a block that reaches out of the zone or holds reserved frames fails', () => {
    expect(isolate(0, 512)).toBe(-EBUSY);
    expect(isolate(32, 512)).toBe(0);
    undo(0, 512);
    const spec = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 2300 }] }]);
    pm = new PhysicalMemory(spec, { trackContent: false });
    expect(isolate(2048, 2300)).toBe(-EBUSY);
    expect(isolate(1536, 2048)).toBe(0);
  });
});

describe('PM-60: what is unmovable', () => {
  const normal = 512; // block 1
  const movable = 65 * 512;

  it.each<[string, number, (frame: number) => void, IsolateMode, boolean]>([
    ['a kernel page', normal, () => {}, ISOLATE_MODE_OTHER, false],
    ['any page of ZONE_MOVABLE', movable, () => {}, ISOLATE_MODE_OTHER, true],
    ['a page on the LRU', normal, (f) => setFlags(f, PG_LRU), ISOLATE_MODE_OTHER, true],
    ['a movable_ops page', normal, (f) => setFlags(f, PG_MOVABLE_OPS), ISOLATE_MODE_OTHER, true],
    ['a reserved page in MOVABLE', movable, (f) => setFlags(f, PG_RESERVED), 2, false],
    ['poison when offlining', normal, (f) => setFlags(f, PG_HWPOISON), 0, true],
    ['poison otherwise', normal, (f) => setFlags(f, PG_HWPOISON), ISOLATE_MODE_OTHER, false],
    ['PG_offline when offlining', normal, setOffline, ISOLATE_MODE_MEM_OFFLINE, true],
    ['PG_offline otherwise', normal, setOffline, ISOLATE_MODE_OTHER, false],
    ['a page without references', normal, (f) => setRefs(f, 0), ISOLATE_MODE_OTHER, true],
    // PM-61: pins are not looked at.
    ['a pinned LRU page', normal, (f) => setFlagsRefs(f, PG_LRU, 1025), 2, true],
  ])('%s', (_what, start, make, mode, isMovable) => {
    occupy(start >> 9, PG_LRU);
    const frame = start + 300;
    setFlags(frame, 0);
    make(frame);
    expect(isolate(start, start + 512, mode)).toBe(isMovable ? 0 : -EBUSY);
  });

  function setFlags(frame: number, flags: number): void {
    pm.frames.flags[frame] = flags;
  }
  function setRefs(frame: number, refs: number): void {
    pm.frames.refcount[frame] = refs;
  }
  function setFlagsRefs(frame: number, flags: number, refs: number): void {
    setFlags(frame, flags);
    setRefs(frame, refs);
  }
  function setOffline(frame: number): void {
    pm.frames.mapcount[frame] = PGTY_OFFLINE;
  }

  it('compound pages: on the LRU or not; hugetlb by its size', () => {
    // Takes the head of a claimed order-10 block: pageblocks 2 and 3.
    const head = allocPages(pm, 4, GFP_KERNEL | __GFP_COMP, 0, -1);
    const start = head & ~511;
    expect(isolate(start, start + 512)).toBe(-EBUSY);
    pm.frames.flags[head] |= PG_LRU;
    expect(isolate(start, start + 512)).toBe(0);
    undo(start, start + 512);
    pm.frames.flags[head] = (pm.frames.flags[head] & ~PG_LRU) | PG_HUGETLB;
    expect(isolate(start, start + 512)).toBe(0);
    undo(start, start + 512);
    expect(isolate(start, start + 512, ISOLATE_MODE_OTHER, false)).toBe(-EBUSY);
  });

  it('tests only the frames of the range', () => {
    occupy(1, PG_LRU);
    setFlags(600, 0);
    expect(isolate(601, 1024)).toBe(0);
    undo(601, 1024);
    expect(isolate(600, 1024)).toBe(-EBUSY);
  });

  it('CMA pageblocks only for CMA allocations', () => {
    expect(isolate(2048, 2560)).toBe(-EBUSY);
    const free = pm.vmstat.snapshot().get('nr_free_cma');
    expect(isolate(2048, 2560, ISOLATE_MODE_CMA_ALLOC)).toBe(0);
    expect(pm.vmstat.snapshot().get('nr_free_cma')).toBe(free! - 512);
    undo(2048, 2560);
    expect(pm.vmstat.snapshot().get('nr_free_cma')).toBe(free);
  });
});

describe('PM-64: testPagesIsolated', () => {
  it('needs all frames free in isolated blocks', () => {
    expect(testPagesIsolated(pm, 512, 1024, ISOLATE_MODE_OTHER)).toBe(-EBUSY);
    isolate(512, 1536);
    expect(testPagesIsolated(pm, 512, 1536, ISOLATE_MODE_OTHER)).toBe(0);
    expect(testPagesIsolated(pm, 512, 1537, ISOLATE_MODE_OTHER)).toBe(-EBUSY);
  });

  it('when offlining, poisoned pages and PG_offline without references are fine', () => {
    occupy(1, PG_LRU);
    isolate(512, 1024, ISOLATE_MODE_MEM_OFFLINE);
    for (let f = 512; f < 1022; f++) freePages(pm, f, 0);
    const test = (mode: IsolateMode): number => testPagesIsolated(pm, 512, 1024, mode);
    expect(test(ISOLATE_MODE_MEM_OFFLINE)).toBe(-EBUSY);
    pm.frames.flags[1022] = PG_HWPOISON;
    pm.frames.mapcount[1023] = PGTY_OFFLINE;
    expect(test(ISOLATE_MODE_MEM_OFFLINE)).toBe(-EBUSY);
    pm.frames.refcount[1023] = 0;
    expect(test(ISOLATE_MODE_MEM_OFFLINE)).toBe(0);
    expect(test(ISOLATE_MODE_OTHER)).toBe(-EBUSY);
  });
});

it('free huge blocks in isolated memory are not allocated either', () => {
  isolate(512, 4608, ISOLATE_MODE_OTHER);
  expect(pm.zones[0].nrIsolatePageblock).toBe(0); // CMA is in the way: nothing isolated
  expect(isolate(512, 2048)).toBe(0);
  const taken = new Set<number>();
  for (let f = allocPages(pm, 9, GFP_HIGHUSER_MOVABLE, 0, -1); f >= 0; ) {
    taken.add(f >> 9);
    f = allocPages(pm, 9, GFP_HIGHUSER_MOVABLE, 0, -1);
  }
  expect([1, 2, 3].some((block) => taken.has(block))).toBe(false);
});
