import { describe, expect, it } from 'vitest';
import type { FrameId } from '../base/units.ts';
import {
  __GFP_DIRECT_RECLAIM,
  __GFP_IO,
  __GFP_NORETRY,
  GFP_KERNEL,
  GFP_TRANSHUGE_LIGHT,
} from '../uapi/gfp.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { MADV_HUGEPAGE } from '../uapi/mman.ts';
import { MIGRATE_MOVABLE, MIGRATE_UNMOVABLE, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { compactMemory, compactNodeByHand, tryToCompactPages } from './compactZone.ts';
import { CAUSE_EXTRA_REFERENCE, CAUSE_PINNED } from './failureLog.ts';
import {
  extfragForOrder,
  fragmentationIndex,
  fragmentationScoreNode,
  thpAvailable,
} from './fragmentation.ts';
import { pinUserPages } from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { kcompactdStep, proactiveStep } from './kcompactd.ts';
import type { Kernel } from './kernel.ts';
import { madviseRange } from './madvise.ts';
import { applyLockFlags } from './mlockRange.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import { COMPACT_DEFERRED, COMPACT_SKIPPED, COMPACT_SUCCESS } from './physicalMemory.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';
import { zapRange } from './zap.ts';

const BLOCK = 512;

/** A movable node beside the kernel's, written all over; then every second page is given back. */
function fragmented(blocks: number): { k: Kernel; p: TestProgram; start: number; pages: number } {
  const k = bootNodes([
    {
      cpus: [0],
      zones: [
        { zone: ZONE_NORMAL, pages: 8 * BLOCK },
        { zone: ZONE_MOVABLE, pages: blocks * BLOCK },
      ],
    },
  ]);
  k.sysctl.thp_enabled = 'never';
  const p = new TestProgram(k);
  const pages = blocks * BLOCK - 256;
  const start = p.mapWritten(pages);
  k.lru.drainAll();
  return { k, p, start, pages };
}

function punch(p: TestProgram, start: number, pages: number, every: number): void {
  const vma = p.task.mm!.findVma(start)!;
  for (let n = 0; n < pages; n += every) zapRange(p.k, vma, start + n, start + n + 1);
  p.k.lru.drainAll();
}

function movable(k: Kernel) {
  return k.pm.zones[1];
}

function hugeFree(k: Kernel): number {
  const zone = movable(k);
  return zone.nrFreeBlocks(9, MIGRATE_MOVABLE) + 2 * zone.nrFreeBlocks(10, MIGRATE_MOVABLE);
}

const THP = GFP_TRANSHUGE_LIGHT | __GFP_DIRECT_RECLAIM;

describe('compaction by hand', () => {
  it('PM-85, PM-88a: every second page free becomes free huge pages; values stay', () => {
    const { k, p, start, pages } = fragmented(16);
    punch(p, start, pages, 2);
    expect(hugeFree(k)).toBe(0);
    compactNodeByHand(k, 0);
    expect(hugeFree(k)).toBeGreaterThanOrEqual(6);
    for (let n = 1; n < pages; n += 2) expect(p.load(start + n)).toBe(n + 1);
    checkInvariants(k);
  });

  it('PM-85: pages go from the bottom of the zone to its top', () => {
    const { k, p, start, pages } = fragmented(8);
    punch(p, start, pages, 2);
    const middle = movable(k).presentRanges[0].start + 4 * BLOCK;
    compactNodeByHand(k, 0);
    let below = 0;
    for (let n = 1; n < pages; n += 2) if (p.frame(start + n) < middle - BLOCK) below++;
    expect(below).toBeLessThan(BLOCK);
  });

  it('PM-88, PM-88a: a pin in every 64 frames leaves no block above order 5', () => {
    const { k, p, start, pages } = fragmented(8);
    const held: FrameId[] = [];
    k.pinsStayInMovable = true;
    for (let n = 1; n < pages; n += 64) {
      expect(pinUserPages(k, p.task, start + n, 1, FOLL_WRITE | FOLL_LONGTERM, held)).toBe(1);
    }
    punch(p, start, pages, 2);
    compactNodeByHand(k, 0);
    const zone = movable(k);
    for (let order = 6; order <= 10; order++) {
      expect(zone.nrFreeBlocks(order, MIGRATE_MOVABLE), `order ${order}`).toBeLessThanOrEqual(1);
    }
    // Pinned pages are passed, not tried.
    const { pages: failed } = k.failures;
    expect([failed[CAUSE_PINNED], failed[CAUSE_EXTRA_REFERENCE]]).toEqual([0, 0]);
    expect(vmstat(k, 'compact_isolated')).toBeGreaterThan(0);
    checkInvariants(k);
  });

  it('MC-80: what is unevictable moves, unless the sysctl says no', () => {
    const { k, p, start, pages } = fragmented(4);
    applyLockFlags(k, p.task.mm!, start, start + pages, VM_LOCKED);
    const vma = p.task.mm!.findVma(start)!;
    for (let n = 0; n < pages; n += 2) zapRange(k, vma, start + n, start + n + 1);
    k.compaction.unevictableAllowed = false;
    compactMemory(k);
    expect(vmstat(k, 'pgmigrate_success')).toBe(0);
    k.compaction.unevictableAllowed = true;
    compactMemory(k);
    expect(vmstat(k, 'pgmigrate_success')).toBeGreaterThan(0);
    checkInvariants(k);
  });

  it('does nothing where nothing is fragmented', () => {
    const { k } = fragmented(4);
    compactMemory(k);
    expect(vmstat(k, 'pgmigrate_success')).toBe(0);
    checkInvariants(k);
  });
});

describe('compaction for an allocation', () => {
  it('PM-90: an order-9 allocation gets its block, and the counters say how', () => {
    const { k, p, start, pages } = fragmented(16);
    punch(p, start, pages, 2);
    // NORMAL has blocks of its own: ask for those of the movable zone only once it is empty.
    while (allocPages(k.pm, 9, GFP_KERNEL | __GFP_NORETRY, 0, -1) >= 0);
    const stalls = vmstat(k, 'compact_stall');
    const frame = allocPages(k.pm, 9, THP, 0, -1);
    expect(frame).toBeGreaterThanOrEqual(0);
    expect(k.pm.zoneOf(frame)).toBe(movable(k));
    expect(vmstat(k, 'compact_stall') - stalls).toBe(1);
    expect(vmstat(k, 'compact_success')).toBe(1);
    freePages(k.pm, frame, 9);
    checkInvariants(k);
  });

  it('PM-90: a page fault of an advised area, too', () => {
    const { k, p, start, pages } = fragmented(16);
    punch(p, start, pages, 2);
    while (allocPages(k.pm, 9, GFP_KERNEL | __GFP_NORETRY, 0, -1) >= 0);
    k.sysctl.thp_enabled = 'madvise';
    const huge = p.map(1024, { addr: 1024 * 1024 });
    madviseRange(k, p.task, huge, huge + 1024, MADV_HUGEPAGE);
    p.access(huge, true);
    expect(vmstat(k, 'thp_fault_alloc')).toBe(1);
    expect(vmstat(k, 'compact_success')).toBe(1);
    checkInvariants(k);
  });

  it('PM-86: without order-0 room for the destinations it is not tried', () => {
    const { k } = fragmented(4);
    expect(tryToCompactPages(k, 9, THP, 0, -1, 2, 0)).toBe(COMPACT_SUCCESS);
    while (allocPages(k.pm, 9, GFP_KERNEL | __GFP_NORETRY, 0, -1) >= 0);
    const result = tryToCompactPages(k, 9, THP, 0, -1, 2, 0);
    expect(result).toBe(COMPACT_SKIPPED);
    expect(tryToCompactPages(k, 9, THP & ~__GFP_IO, 0, -1, 2, 0)).toBe(COMPACT_SKIPPED);
  });

  it('PM-86: a run that comes to nothing makes the next ones be left out', () => {
    const { k, p, start, pages } = fragmented(8);
    while (allocPages(k.pm, 9, GFP_KERNEL | __GFP_NORETRY, 0, -1) >= 0);
    // Every odd page has a reference more: nothing can move.
    for (let n = 1; n < pages; n += 2) k.folios.get(p.head(start + n));
    punch(p, start, pages, 2);
    k.compaction.extfragThreshold = 0;
    const zone = movable(k);
    expect(tryToCompactPages(k, 9, THP, 0, -1, 1, 0)).not.toBe(COMPACT_SUCCESS);
    expect(k.compaction.deferShift[zone.id]).toBe(1);
    expect(tryToCompactPages(k, 9, THP, 0, -1, 1, 0)).toBe(COMPACT_DEFERRED);
    expect(tryToCompactPages(k, 3, THP, 0, -1, 1, 0)).not.toBe(COMPACT_DEFERRED);
    for (let n = 0; n < 200; n++) tryToCompactPages(k, 9, THP, 0, -1, 1, 0);
    expect(k.compaction.deferShift[zone.id]).toBe(6);
    for (let n = 1; n < pages; n += 2) k.putFolio(p.head(start + n));
    checkInvariants(k);
  });

  it('PM-87: an ASYNC run leaves pageblocks of other mobility alone', () => {
    const { k, p, start, pages } = fragmented(8);
    while (allocPages(k.pm, 9, GFP_KERNEL | __GFP_NORETRY, 0, -1) >= 0);
    punch(p, start, pages, 2);
    k.pm.blocks.migratetypeOfBlock.fill(MIGRATE_UNMOVABLE);
    const moved = vmstat(k, 'pgmigrate_success');
    tryToCompactPages(k, 9, THP, 0, -1, 2, 0);
    expect(vmstat(k, 'pgmigrate_success')).toBe(moved);
  });
});

describe('fragmentation', () => {
  it('PM-86: -1000 with a block, near 0 without memory, near 1000 in single pages', () => {
    const { k, p, start, pages } = fragmented(8);
    const zone = movable(k);
    expect(fragmentationIndex(k.pm.zones[0], 9)).toBe(-1000);
    expect(fragmentationIndex(zone, 9)).toBeLessThan(0.5 * 1000);
    punch(p, start, pages, 2);
    expect(fragmentationIndex(zone, 9)).toBeGreaterThan(990);
    expect(extfragForOrder(zone, 9)).toBe(100);
    expect(extfragForOrder(zone, 0)).toBe(0);
  });

  it('PM-91: pageblocks that could be a huge page: a single pin takes one away', () => {
    const { k, p, start, pages } = fragmented(8);
    punch(p, start, pages, 2);
    const makeable = thpAvailable(k, movable(k));
    expect(makeable).toBe(8);
    k.folios.get(p.head(start + 1));
    expect(thpAvailable(k, movable(k))).toBe(7);
  });
});

describe('kcompactd', () => {
  it('PM-87: runs for the order it was woken for, then sleeps', () => {
    const { k, p, start, pages } = fragmented(16);
    punch(p, start, pages, 2);
    k.compaction.wakeKcompactd(0, 9, ZONE_MOVABLE);
    expect(k.compaction.kcompactdWoken).toBe(1);
    kcompactdStep(k, 0);
    expect(k.compaction.kcompactdWoken).toBe(0);
    expect(hugeFree(k)).toBeGreaterThan(0);
    expect(vmstat(k, 'compact_daemon_wake')).toBe(1);
    expect(vmstat(k, 'compact_daemon_migrate_scanned')).toBeGreaterThan(0);
  });

  it('PM-87: by itself above 100 - proactiveness + 10 per cent, down to ten less', () => {
    const { k, p, start, pages } = fragmented(32);
    punch(p, start, pages, 2);
    while (allocPages(k.pm, 9, GFP_KERNEL | __GFP_NORETRY, 0, -1) >= 0);
    expect(fragmentationScoreNode(k, 0)).toBeGreaterThan(75);
    k.compaction.proactiveness = 0;
    expect(proactiveStep(k, 0)).toBe(false);
    k.compaction.proactiveness = 40;
    expect(proactiveStep(k, 0)).toBe(true);
    expect(fragmentationScoreNode(k, 0)).toBeLessThan(70);
    expect(hugeFree(k)).toBeLessThan(14);
    checkInvariants(k);
  });
});
