/** OV-25: slots, their counts, the swap cache, and what keeps a slot in use. */
import { describe, expect, it } from 'vitest';
import { MADV_DONTNEED, MADV_FREE, MADV_PAGEOUT } from '../uapi/mman.ts';
import { NR_FILE_PAGES, NR_SHMEM, NR_SWAPCACHE } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { exitTask } from './fork.ts';
import { PG_SWAPCACHE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { munmapRange } from './mmap.ts';
import { PTE_KIND_SWAP, pteIsKind, ptePayload } from './pageTable.ts';
import { SwapArea } from './swap.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';

function boot(swapPages = 64, thp = false): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([{ cpus: [0], zones }], { swapPages });
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  return new TestProgram(k);
}

function pageout(p: TestProgram, start: number, n: number): void {
  expect(madviseRange(p.k, p.task, start, start + n, MADV_PAGEOUT)).toBe(0);
}

describe('the swap area', () => {
  it('gives naturally aligned runs, and -1 when none is left', () => {
    const swap = new SwapArea(40, false);
    expect(swap.allocate(1)).toBe(0);
    expect(swap.allocate(16)).toBe(16);
    expect(swap.allocate(16)).toBe(-1);
    expect([swap.allocate(8), swap.free]).toEqual([32, 15]);
  });

  it('a reserved slot has no reference yet; the first one makes it one', () => {
    const swap = new SwapArea(4, false);
    const slot = swap.allocate(1);
    expect(swap.count(slot)).toBe(0);
    swap.duplicate(slot);
    swap.duplicate(slot);
    expect(swap.count(slot)).toBe(2);
    swap.release(slot);
    swap.release(slot);
    expect([swap.used, swap.recountUsed()]).toEqual([0, 0]);
  });

  it('a cached slot stays in use without references', () => {
    const swap = new SwapArea(4, false);
    const slot = swap.allocate(1);
    swap.addToCache(slot, 7);
    swap.duplicate(slot);
    swap.release(slot);
    expect([swap.used, swap.cachedFrame(slot)]).toEqual([1, 7]);
    swap.duplicate(slot);
    swap.release(slot);
    swap.removeFromCache(slot);
    expect([swap.used, swap.cachedFrame(slot)]).toEqual([0, -1]);
  });
});

describe('pages on their way out and back', () => {
  it('swapped out: entry, count, word; swapped in: all gone', () => {
    const p = boot();
    const a = p.mapWritten(3);
    pageout(p, a, 3);
    expect([p.k.swap.used, p.task.mm!.rssAnon, p.task.mm!.swapEnts]).toEqual([3, 0, 3]);
    expect([0, 1, 2].map((i) => p.load(a + i))).toEqual([1, 2, 3]);
    expect([p.k.swap.used, vmstat(p.k, 'pswpin'), vmstat(p.k, 'pswpout')]).toEqual([0, 3, 3]);
    checkInvariants(p.k);
  });

  it('a reference stops the last step: the page waits unmapped in the swap cache', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    p.k.folios.get(page);
    pageout(p, a, 1);
    expect(pteIsKind(p.entry(a).word, PTE_KIND_SWAP)).toBe(true);
    expect(p.k.frames.has(page, PG_SWAPCACHE)).toBe(true);
    expect(p.k.vmstat.nodeItem(0, NR_SWAPCACHE)).toBe(1);
    expect(p.k.vmstat.nodeItem(0, NR_FILE_PAGES)).toBe(1);
    expect(p.load(a)).toBe(1);
    expect(p.frame(a)).toBe(page);
    expect([p.k.swap.used, vmstat(p.k, 'pswpin')]).toEqual([0, 0]);
    p.k.putFolio(page);
    checkInvariants(p.k);
  });

  it('a mapped page of the cache whose slot nobody means goes out through the same slot', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.folios.get(p.head(a));
    pageout(p, a, 1);
    const child = p.fork();
    p.load(a);
    const page = p.frame(a);
    const slot = p.k.frames.private_[page];
    exitTask(p.k, child.task); // the child's entry is gone; the page stays cached and mapped
    expect([p.k.swap.count(slot), p.k.swap.cachedFrame(slot)]).toEqual([0, page]);
    p.k.putFolio(page);
    pageout(p, a, 1);
    expect(ptePayload(p.entry(a).word)).toBe(slot);
    expect([p.k.swap.count(slot), p.load(a)]).toEqual([1, 1]);
    checkInvariants(p.k);
  });

  it('PM-10: a pinned page is not swapped out, its entry stays', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.folios.pin(p.head(a), 1);
    const entry = p.entry(a).word & ~2;
    pageout(p, a, 1);
    expect([p.entry(a).word & ~2, p.k.swap.used]).toEqual([entry, 0]);
  });

  it.each([
    { what: 'munmap', drop: (p: TestProgram, a: number) => munmapRange(p.k, p.task.mm!, a, a + 2) },
    {
      what: 'MADV_DONTNEED',
      drop: (p: TestProgram, a: number) => void madviseRange(p.k, p.task, a, a + 2, MADV_DONTNEED),
    },
    {
      what: 'MADV_FREE',
      drop: (p: TestProgram, a: number) => void madviseRange(p.k, p.task, a, a + 2, MADV_FREE),
    },
  ])('$what frees slots and the cached page', ({ drop }) => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.folios.get(p.head(a));
    const page = p.frame(a);
    pageout(p, a, 2);
    expect(p.k.swap.used).toBe(2);
    drop(p, a);
    expect([p.k.swap.used, p.task.mm!.swapEnts]).toEqual([0, 0]);
    p.k.putFolio(page);
    checkInvariants(p.k);
  });

  it('a huge page goes out whole if 512 aligned slots are free, else in pieces', () => {
    for (const [slots, whole] of [
      [1024, 1],
      [600, 1],
      [500, 0],
    ]) {
      const p = boot(slots, true);
      const a = p.mapWritten(512);
      if (whole === 0) p.k.swap.allocate(1);
      pageout(p, a, 512);
      expect([vmstat(p.k, 'thp_swpout'), vmstat(p.k, 'thp_split_page')]).toEqual([
        whole,
        1 - whole,
      ]);
      expect(vmstat(p.k, 'pswpout')).toBe(Math.min(512, slots - (1 - whole)));
      for (const i of [0, 100, 511]) expect(p.load(a + i)).toBe(i + 1);
      checkInvariants(p.k);
    }
  });
});

describe('shmem', () => {
  it('the cache index becomes a swap entry and comes back dirty', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 4);
    const a = p.mapWritten(4, { file, shared: true });
    pageout(p, a, 4);
    expect([file.frameAt(2), file.swapSlotAt(2) >= 0]).toEqual([-1, true]);
    expect(p.k.swap.count(file.swapSlotAt(2))).toBe(1);
    expect([p.task.mm!.rssShmem, p.k.vmstat.nodeItem(0, NR_SHMEM)]).toEqual([0, 0]);
    expect([0, 1, 2, 3].map((i) => p.load(a + i))).toEqual([1, 2, 3, 4]);
    expect([p.k.swap.used, p.k.vmstat.nodeItem(0, NR_SHMEM)]).toEqual([0, 4]);
    checkInvariants(p.k);
  });

  it('without swap it stays', () => {
    const p = boot(0);
    const a = p.mapWritten(1, { file: p.k.newFile('t', 'tmpfs', 1), shared: true });
    pageout(p, a, 1);
    expect(p.load(a)).toBe(1);
    checkInvariants(p.k);
  });
});
