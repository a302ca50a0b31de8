/** What frames, folios and address spaces are (OV-5..OV-43), and rules that no scenario shows. */
import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR, PAGE_SIZE } from '../../src/base/units.ts';
import { DmirrorDevice } from '../../src/drivers/index.ts';
import {
  checkInvariants,
  forkTask,
  freeCount,
  isolateFolio,
  Kernel,
  loadWord,
  MemoryBlocks,
  migratePages,
  PG_LRU,
  pageAt,
  pinUserPages,
  plainMachine,
  putbackMovablePages,
  splitFolio,
  storeWord,
  unpinUserPages,
  writeBlockState,
} from '../../src/mm/index.ts';
import { madvise, mlock, mmap, munmap } from '../../src/syscalls/index.ts';
import { EINVAL, ENOMEM } from '../../src/uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../../src/uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../../src/uapi/migrate.ts';
import { MADV_HUGEPAGE, MADV_PAGEOUT, MAP_SHARED } from '../../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import {
  boot,
  event,
  kernelTakes,
  movableMachine,
  PRIVATE,
  Program,
  RW,
  SECTION,
} from './machine.ts';

function twoNodes(): Kernel {
  const zones = [{ zone: ZONE_NORMAL, pages: SECTION }] as const;
  return boot([
    { cpus: [0], zones },
    { cpus: [1], zones },
  ]);
}

/** A program whose area begins with a huge page. */
function huge(k: Kernel): Program {
  k.sysctl.thp_enabled = 'always';
  const p = new Program(k, 2 * HPAGE_PMD_NR, 0);
  const first = Math.ceil(p.vpn(0) / HPAGE_PMD_NR) * HPAGE_PMD_NR - p.vpn(0);
  const at = Object.assign(Object.create(p) as Program, { area: p.area + first * PAGE_SIZE });
  expect(madvise(k, p.task, at.area, HPAGE_PMD_NR * PAGE_SIZE, MADV_HUGEPAGE)).toBe(0);
  storeWord(k, p.task, at.vpn(0), 1);
  expect(k.folios.isThp(at.frame(0))).toBe(true);
  return at;
}

function migrate(k: Kernel, head: number, nid: number): number {
  const list: number[] = [];
  k.lru.drainAll();
  expect(isolateFolio(k, head, list)).toBe(true);
  const to = { nid, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  const left = migratePages(k, list, to, MIGRATE_SYNC, MR_SYSCALL);
  putbackMovablePages(k, list);
  return left;
}

describe('physical memory', () => {
  it('OV-5, OV-6: a block is at least a section of 128 MiB; its frames are online together', () => {
    const k = movableMachine();
    const { memoryBlocks } = k.pm;
    expect(memoryBlocks).toBeInstanceOf(MemoryBlocks);
    const block = memoryBlocks.blockOf(k.pm.zones[1].presentRanges[0].start);
    expect(memoryBlocks.startPfn(block + 1) - memoryBlocks.startPfn(block)).toBe(SECTION);
    const op = writeBlockState(k, block, 'offline');
    if (typeof op === 'number') throw new Error(`offline returned ${op}`);
    while (!op.step());
    expect(op.result).toBe(0);
    expect(writeBlockState(k, block, 'offline')).toBe(-EINVAL);
    expect(k.pm.zones[1].presentPages).toBe(0);
    checkInvariants(k);
  });

  it('PM-75: memory of a device is no memory block that could go offline', () => {
    const k = new Kernel(
      plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: SECTION }] }], {
        startPfn: SECTION,
      }),
      { seed: 1, trackContent: false, deviceSections: 8 },
    );
    const coherentPfn = 2 ** 22;
    new DmirrorDevice(k, { name: 'test', coherentPfn, nid: 0 });
    const { memoryBlocks } = k.pm;
    expect(memoryBlocks.exists(memoryBlocks.blockOfPfn(coherentPfn))).toBe(false);
    expect(writeBlockState(k, memoryBlocks.blockOfPfn(coherentPfn), 'offline')).toBeLessThan(0);
  });
});

describe('folios', () => {
  it('OV-11: aligned to their size, state on the head, never anonymous ones of order 1', () => {
    const k = twoNodes();
    const p = huge(k);
    const head = p.frame(0);
    expect(k.frames.pfnOf(head) % HPAGE_PMD_NR).toBe(0);
    expect(k.frames.headOf(head + 77)).toBe(head);
    k.lru.drainAll();
    expect((k.frames.flags[head] & PG_LRU) !== 0).toBe(true);
    k.folios.get(head);
    expect(splitFolio(k, head, null, { order: 1, at: -1 })).toBe(-EINVAL);
    expect(splitFolio(k, head, null, { order: 4, at: -1 })).toBe(0);
    k.putFolio(head);
    expect(k.folios.nrPages(head)).toBe(16);
    expect(k.frames.headOf(head + 77)).toBe(head + 64);
    checkInvariants(k);
  });

  it('OV-14: entire mappings and pages’ own are counted apart', () => {
    const k = twoNodes();
    const p = huge(k);
    const head = p.frame(0);
    const counts = () => [k.folios.entireMapcount(head), k.folios.mapcount(head)];
    expect([...counts(), k.folios.pageMapcount(head + 3)]).toEqual([1, 1, 1]);
    expect(munmap(k, p.task, p.area, PAGE_SIZE)).toBe(0);
    expect([...counts(), k.folios.pageMapcount(head + 3)]).toEqual([0, 511, 1]);
    expect(k.folios.pageMapcount(head)).toBe(0);
    checkInvariants(k);
  });

  it('OV-22: anonymous, file, and nothing when the file lets go of it', () => {
    const k = twoNodes();
    const p = new Program(k, 1);
    expect(k.folios.isAnon(p.frame(0))).toBe(true);
    const file = k.newFile('f', 'ext4', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, file, 0) / PAGE_SIZE;
    storeWord(k, p.task, at + 2, 7);
    const page = pageAt(k, p.task.mm!, at + 2);
    expect([k.folios.hasFileMapping(page), k.frames.indexOf(page)]).toEqual([true, 2]);
    expect(file.frameAt(2)).toBe(page);
  });

  it('OV-36: who has a file mapped and did not touch the page is no mapper', () => {
    const k = twoNodes();
    const p = new Program(k, 1);
    const file = k.newFile('f', 'ext4', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, file, 0) / PAGE_SIZE;
    storeWord(k, p.task, at, 7);
    const child = forkTask(k, p.task);
    if (typeof child === 'number') throw new Error('fork failed');
    const page = pageAt(k, p.task.mm!, at);
    expect([k.folios.mapcount(page), pageAt(k, child.mm!, at)]).toEqual([1, -1]);
    expect(loadWord(k, child, at)).toBe(7);
    expect(k.folios.mapcount(page)).toBe(2);
  });

  it('PM-6: a pin for every page of a large folio, 1024 references for a small one', () => {
    const k = twoNodes();
    const p = huge(k);
    const head = p.frame(0);
    const refs = k.frames.refcount[head];
    const pages: number[] = [];
    expect(pinUserPages(k, p.task, p.vpn(0), 3, 0, pages)).toBe(3);
    expect([k.folios.pincount(head), k.frames.refcount[head] - refs]).toEqual([3, 3]);
    const small = new Program(k, 1);
    k.sysctl.thp_enabled = 'never';
    k.lru.drainAll();
    const before = k.frames.refcount[small.frame(0)];
    const one: number[] = [];
    expect(pinUserPages(k, small.task, small.vpn(0), 1, 0, one)).toBe(1);
    expect(k.frames.refcount[one[0]] - before).toBe(1024);
    expect(event(k, 'nr_foll_pin_acquired')).toBe(4);
    unpinUserPages(k, [...pages, ...one]);
    expect(event(k, 'nr_foll_pin_released')).toBe(4);
    checkInvariants(k);
  });

  it('OV-43: while nobody can get it, a look-up by frame fails', () => {
    const k = twoNodes();
    const p = new Program(k, 1);
    const page = p.frame(0);
    expect(k.folios.tryGet(page)).toBe(true);
    k.putFolio(page);
    expect(munmap(k, p.task, p.area, PAGE_SIZE)).toBe(0);
    k.lru.drainAll();
    expect(k.folios.tryGet(page)).toBe(false);
  });
});

describe('address spaces', () => {
  it('OV-28: rss by kind, swap entries, locked and pinned pages', () => {
    const k = twoNodes();
    const p = new Program(k, 8);
    const file = k.newFile('f', 'ext4', 4);
    const shm = k.newFile('s', 'shmem', 4);
    for (const one of [file, shm]) {
      const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, one, 0) / PAGE_SIZE;
      for (let n = 0; n < 3; n++) storeWord(k, p.task, at + n, 1);
    }
    const mm = p.task.mm!;
    expect([mm.rssAnon, mm.rssFile, mm.rssShmem, mm.swapEnts]).toEqual([8, 3, 3, 0]);
    expect(madvise(k, p.task, p.area, 2 * PAGE_SIZE, MADV_PAGEOUT)).toBe(0);
    expect([mm.rssAnon, mm.swapEnts]).toEqual([6, 2]);
    expect(mlock(k, p.task, p.area, 3 * PAGE_SIZE)).toBe(0);
    expect([mm.rssAnon, mm.swapEnts, mm.lockedVm]).toEqual([8, 0, 3]);
    checkInvariants(k);
  });

  it('MP-47: content, and who may write, are as before a move', () => {
    const k = twoNodes();
    const p = new Program(k, 4);
    const child = forkTask(k, p.task);
    if (typeof child === 'number') throw new Error('fork failed');
    for (let page = 0; page < 4; page++) expect(migrate(k, p.frame(page), 1)).toBe(0);
    expect(p.where(4)).toBe('1N 1N 1N 1N');
    storeWord(k, child, p.vpn(1), 7);
    expect([loadWord(k, p.task, p.vpn(1)), loadWord(k, child, p.vpn(1))]).toEqual([101, 7]);
    expect(loadWord(k, child, p.vpn(2))).toBe(102);
    checkInvariants(k);
  });
});

describe('pins and ZONE_MOVABLE', () => {
  it('PM-50: short pins may be there; PM-54: a long one that cannot leave fails', () => {
    const k = movableMachine(SECTION, 0, 0);
    const p = new Program(k, 4, 4, PRIVATE);
    expect(p.where(4)).toBe('0M 0M 0M 0M');
    const short: number[] = [];
    expect(p.pin(0, 1, 0, short)).toBe(1);
    kernelTakes(k, 0, 0);
    expect(p.pin(1, 2)).toBe(-ENOMEM);
    expect([p.where(4), p.pincount(0), p.pincount(1)]).toEqual(['0M 0M 0M 0M', true, false]);
    unpinUserPages(k, short);
    checkInvariants(k);
  });

  it('PM-31: kernel memory never lies there, user memory does', () => {
    expect(GFP_HIGHUSER_MOVABLE & GFP_KERNEL).toBe(GFP_KERNEL);
    const k = movableMachine();
    const [normal, movable] = k.pm.zones;
    const before = freeCount(k.pm, movable);
    const taken = kernelTakes(k, 0, 2000);
    expect(taken.every((frame) => k.pm.zoneOf(frame) === normal)).toBe(true);
    expect(freeCount(k.pm, movable)).toBe(before);
  });
});
