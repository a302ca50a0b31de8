import { describe, expect, it } from 'vitest';
import type { FrameId } from '../base/units.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import {
  __GFP_COMP,
  __GFP_NOFAIL,
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
} from '../uapi/gfp.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { MR_CONTIG_RANGE } from '../uapi/migrate.ts';
import { MIGRATE_CMA, ZONE_NORMAL } from '../uapi/zone.ts';
import { allocContigRange, freeContigRange } from './allocContigRange.ts';
import { cmaAlloc, cmaRelease } from './cma.ts';
import { pinUserPages, unpinUserPages } from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { ISOLATE_MODE_OTHER, startIsolatePageRange, undoIsolatePageRange } from './isolation.ts';
import type { Kernel } from './kernel.ts';
import { bootNodes, fillNode, TestProgram, vmstat } from './testProgram.ts';
import { freeCmaCount, freeCount } from './watermark.ts';

const BLOCK = 512;

/** One node, a quarter of it a CMA area of four pageblocks. */
function machine(): Kernel {
  return bootNodes([
    {
      cpus: [0],
      zones: [{ zone: ZONE_NORMAL, pages: 16 * BLOCK, cma: [{ at: 8 * BLOCK, pages: 4 * BLOCK }] }],
    },
  ]);
}

/** Maps memory of which a part comes from the CMA area; the first `pages` pages there. */
function writtenInCma(k: Kernel, pages: number): { p: TestProgram; vpns: number[] } {
  const p = new TestProgram(k);
  const start = p.mapWritten(12 * BLOCK);
  k.lru.drainAll();
  const vpns: number[] = [];
  for (let vpn = start; vpns.length < pages; vpn++) {
    if (k.pm.blocks.migratetypeBelowIsolation(p.frame(vpn)) === MIGRATE_CMA) vpns.push(vpn);
  }
  return { p, vpns };
}

function free(k: Kernel): number {
  return freeCount(k.pm, k.pm.zones[0]);
}

describe('alloc_contig_range', () => {
  it('PM-80: moves what is in the way, and gives back exactly what was asked for', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(700);
    const first = p.frame(start);
    const before = free(k);
    expect(allocContigRange(k, first, first + 300, false, GFP_KERNEL)).toBe(0);
    expect(free(k)).toBe(before - 300);
    for (let n = 0; n < 700; n++) {
      const frame = p.frame(start + n);
      expect(frame >= first && frame < first + 300).toBe(false);
      expect(p.load(start + n)).toBe(n + 1);
    }
    expect(k.frames.refcount[first + 299]).toBe(1);
    expect(k.pm.zones[0].nrIsolatePageblock).toBe(0);
    freeContigRange(k, first, 300);
    expect(free(k)).toBe(before);
    checkInvariants(k);
  });

  it('S-PM-19, PM-80: a pinned page is -EBUSY; the others have moved', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(64);
    k.lru.drainAll();
    const pinned: FrameId[] = [];
    pinUserPages(k, p.task, start + 10, 1, FOLL_WRITE, pinned);
    const first = p.frame(start);
    expect(allocContigRange(k, first, first + 64, false, GFP_KERNEL)).toBe(-EBUSY);
    expect(p.frame(start + 10)).toBe(pinned[0]);
    expect(p.frame(start + 11)).not.toBe(pinned[0] + 1);
    unpinUserPages(k, pinned);
    expect(allocContigRange(k, first, first + 64, false, GFP_KERNEL)).toBe(0);
    freeContigRange(k, first, 64);
    checkInvariants(k);
  });

  it('PM-80: a file page with a reference more: five calls of the engine', () => {
    const k = machine();
    const p = new TestProgram(k);
    const file = k.newFile('/f', 'tmpfs', 4);
    const start = p.map(4, { file, shared: true });
    for (let n = 0; n < 4; n++) p.store(start + n, n + 1);
    k.lru.drainAll();
    const head = p.head(start);
    k.folios.get(head);
    const written = k.failures.written;
    const failed = vmstat(k, 'pgmigrate_fail');
    expect(allocContigRange(k, head, head + 1, false, GFP_KERNEL)).toBe(-EBUSY);
    expect(vmstat(k, 'pgmigrate_fail') - failed).toBe(5);
    expect(k.failures.reason[written % 4096]).toBe(MR_CONTIG_RANGE);
    k.putFolio(head);
    checkInvariants(k);
  });

  it('PM-81: what is in the way goes to the same node while it has room, else to another', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 8 * BLOCK }] as const;
    const k = bootNodes([
      { cpus: [0], zones },
      { cpus: [1], zones },
    ]);
    const p = new TestProgram(k);
    const start = p.mapWritten(64);
    k.lru.drainAll();
    const first = p.frame(start);
    expect(allocContigRange(k, first, first + 32, false, GFP_KERNEL)).toBe(0);
    expect(p.nid(start)).toBe(0);
    fillNode(k, 0, 0);
    expect(allocContigRange(k, first + 32, first + 64, false, GFP_KERNEL)).toBe(0);
    expect([p.nid(start + 32), p.load(start + 32)]).toEqual([1, 33]);
    checkInvariants(k);
  });

  it('PM-60: a page in a per-CPU batch counts as unmovable, outside of CMA areas', () => {
    const k = machine();
    const p = new TestProgram(k);
    const frame = p.frame(p.mapWritten(1));
    expect(allocContigRange(k, frame, frame + 1, false, GFP_KERNEL)).toBe(-EBUSY);
    k.lru.drainAll();
    expect(allocContigRange(k, frame, frame + 1, false, GFP_KERNEL)).toBe(0);
    freeContigRange(k, frame, 1);
    checkInvariants(k);
  });

  it('S-PM-20, PM-62: a range that is isolated already, or holds the kernel’s, is -EBUSY', () => {
    const k = machine();
    const p = new TestProgram(k);
    const start = p.mapWritten(1);
    const first = p.frame(start);
    const end = first + 1;
    startIsolatePageRange(k.pm, first, end, ISOLATE_MODE_OTHER, () => true);
    expect(allocContigRange(k, first, end, false, GFP_KERNEL)).toBe(-EBUSY);
    undoIsolatePageRange(k.pm, first, end);
    expect(allocContigRange(k, k.zeroFrame, k.zeroFrame + 1, false, GFP_KERNEL)).toBe(-EBUSY);
    const [area] = k.cma;
    const inCma = k.frames.frameOfPfn(area.basePfn);
    expect(allocContigRange(k, inCma, inCma + 1, false, GFP_KERNEL)).toBe(-EBUSY);
    checkInvariants(k);
  });

  it('PM-80: flags it does not support are -EINVAL, those without a meaning are ignored', () => {
    const k = machine();
    const frame = k.frames.frameOfPfn(k.cma[0].basePfn) + 5 * BLOCK;
    for (const flag of [__GFP_COMP, __GFP_NOFAIL]) {
      expect(allocContigRange(k, frame, frame + 1, false, GFP_KERNEL | flag)).toBe(-EINVAL);
    }
    const hints = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    expect(allocContigRange(k, frame, frame + 1, false, hints)).toBe(0);
    freeContigRange(k, frame, 1);
    checkInvariants(k);
  });

  it('PM-80: clean file pages are dropped, dirty ones are migrated', () => {
    const k = machine();
    const p = new TestProgram(k);
    const file = k.newFile('/ext4/f', 'ext4', 8);
    const start = p.map(8, { file, shared: true });
    for (let n = 0; n < 8; n++) p.access(start + n, n >= 4);
    k.lru.drainAll();
    const first = p.frame(start);
    const end = first + 8;
    const moved = vmstat(k, 'pgmigrate_success');
    expect(allocContigRange(k, first, end, false, GFP_KERNEL)).toBe(0);
    expect(vmstat(k, 'pgmigrate_success') - moved).toBe(4);
    expect(file.frameAt(0)).toBe(-1);
    expect(file.frameAt(7)).toBeGreaterThanOrEqual(0);
    freeContigRange(k, first, 8);
    checkInvariants(k);
  });

  it('PM-80: a free huge page of the pool is replaced by another', () => {
    const k = machine();
    k.hugetlb.resize(1, 0);
    let head = -1;
    for (let f = 0; f < k.frames.nrFrames; f += BLOCK) if (k.hugetlb.isFree(f)) head = f;
    expect(allocContigRange(k, head, head + 10, false, GFP_KERNEL)).toBe(0);
    expect(k.hugetlb.freeOf(0)).toBe(1);
    freeContigRange(k, head, 10);
    checkInvariants(k);
  });
});

describe('CMA', () => {
  it('PM-82: takes the first stretch that fits, from the bottom, aligned', () => {
    const k = machine();
    const [area] = k.cma;
    const base = k.frames.frameOfPfn(area.basePfn);
    expect(cmaAlloc(k, area, 3)).toBe(base);
    expect(cmaAlloc(k, area, 16, 4)).toBe(base + 16);
    expect(cmaAlloc(k, area, 2)).toBe(base + 3);
    expect(area.available).toBe(4 * BLOCK - 21);
    expect(vmstat(k, 'cma_alloc_success')).toBe(3);
    expect(cmaRelease(k, area, base + 3, 2)).toBe(true);
    expect(cmaRelease(k, area, base + 3, 2)).toBe(false);
    expect(cmaRelease(k, area, base - 1, 1)).toBe(false);
    expect([area.allocated, area.failed, area.released]).toEqual([21, 0, 2]);
    checkInvariants(k);
  });

  it('PM-82: none or too many is nothing', () => {
    const k = machine();
    const [area] = k.cma;
    expect(cmaAlloc(k, area, 0)).toBe(-1);
    expect(vmstat(k, 'cma_alloc_fail')).toBe(0);
    expect(cmaAlloc(k, area, 4 * BLOCK + 1)).toBe(-1);
    expect(vmstat(k, 'cma_alloc_fail')).toBe(1);
    const whole = cmaAlloc(k, area, 4 * BLOCK);
    expect(freeCmaCount(k.pm, k.pm.zones[0])).toBe(0);
    expect(cmaAlloc(k, area, 1)).toBe(-1);
    expect(cmaRelease(k, area, whole, 4 * BLOCK)).toBe(true);
    expect(freeCmaCount(k.pm, k.pm.zones[0])).toBe(4 * BLOCK);
    checkInvariants(k);
  });

  it('PM-82, PM-83: passes what a short pin holds, by the alignment; waits for nobody', () => {
    const k = machine();
    const { p, vpns } = writtenInCma(k, 1);
    const [start] = vpns;
    const pinned: FrameId[] = [];
    pinUserPages(k, p.task, start, 1, FOLL_WRITE, pinned);
    const [area] = k.cma;
    const base = k.frames.frameOfPfn(area.basePfn);
    const word = p.load(start);
    const got = cmaAlloc(k, area, 64, 6);
    expect(got).toBeGreaterThanOrEqual(0);
    expect((got - base) % 64).toBe(0);
    expect(pinned[0] >= got && pinned[0] < got + 64).toBe(false);
    // The whole area cannot be had while the pin lasts.
    cmaRelease(k, area, got, 64);
    expect(cmaAlloc(k, area, 4 * BLOCK)).toBe(-1);
    expect(p.load(start)).toBe(word);
    unpinUserPages(k, pinned);
    checkInvariants(k);
  });

  it('PM-83, PM-15, PM-101: a long-term pin leaves the area first, which stays usable', () => {
    const k = machine();
    const { p, vpns } = writtenInCma(k, 4);
    const pinned: FrameId[] = [];
    for (const vpn of vpns) {
      expect(pinUserPages(k, p.task, vpn, 1, FOLL_WRITE | FOLL_LONGTERM, pinned)).toBe(1);
    }
    for (const frame of pinned) {
      expect(k.pm.blocks.migratetypeBelowIsolation(frame)).not.toBe(MIGRATE_CMA);
    }
    expect(cmaAlloc(k, k.cma[0], BLOCK, 9)).toBeGreaterThanOrEqual(0);
    checkInvariants(k);
  });

  it('PM-39: movable pages use the area until a driver wants it', () => {
    const k = machine();
    const { p, vpns } = writtenInCma(k, 8);
    const words = vpns.map((vpn) => p.load(vpn));
    const frame = cmaAlloc(k, k.cma[0], BLOCK, 9);
    expect(frame).toBeGreaterThanOrEqual(0);
    expect(vpns.map((vpn) => p.load(vpn))).toEqual(words);
    checkInvariants(k);
  });
});
