/**
 * The migration engine and the calls in front of it: scenarios S-MP-*, S-MC-* that are not beside
 * their sources, and what file systems have to say.
 */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../src/base/units.ts';
import {
  accessPage,
  CAUSE_BUFFERS_BUSY,
  CAUSE_INACCESSIBLE,
  CAUSE_NO_MEMORY,
  checkInvariants,
  isolateFolio,
  type Kernel,
  ksmScan,
  loadWord,
  type MappedFile,
  migratePages,
  PG_DIRTY,
  PG_PRIVATE,
  pageAt,
  putbackMovablePages,
  storeWord,
  truncateFile,
  writeFilePages,
} from '../../src/mm/index.ts';
import { madvise, movePages, UserAddresses, UserInts } from '../../src/syscalls/index.ts';
import { EACCES, ENOMEM } from '../../src/uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../../src/uapi/gfp.ts';
import {
  MIGRATE_ASYNC,
  MIGRATE_SYNC,
  MIGRATE_SYNC_LIGHT,
  type MigrateMode,
  MR_SYSCALL,
} from '../../src/uapi/migrate.ts';
import { MADV_MERGEABLE, MAP_HUGETLB } from '../../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { boot, event, kernelTakes, PRIVATE, Program, SECTION } from './machine.ts';

const MOVE = 2;
const MOVE_ALL = 4;
const UNTOUCHED = -99999;

function twoNodes(): Kernel {
  const zones = [{ zone: ZONE_NORMAL, pages: SECTION }] as const;
  return boot([
    { cpus: [0], zones },
    { cpus: [1], zones },
  ]);
}

/** move_pages of one page of the program's area to node 1. */
function move(p: Program, page: number, flags = MOVE): { ret: number; status: number } {
  const addresses = new UserAddresses(Float64Array.of(p.vpn(page) * PAGE_SIZE));
  const slots = new Int32Array(1).fill(UNTOUCHED);
  const to = new UserInts(Int32Array.of(1));
  const ret = movePages(p.k, p.task, 0, 1, addresses, to, new UserInts(slots), flags);
  return { ret, status: slots[0] };
}

/** Isolates folios and migrates them to node 1; leftovers are put back. */
function migrate(k: Kernel, heads: readonly number[], mode: MigrateMode = MIGRATE_SYNC): number {
  const list: number[] = [];
  k.lru.drainAll();
  for (const head of heads) expect(isolateFolio(k, head, list)).toBe(true);
  const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  const left = migratePages(k, list, to, mode, MR_SYSCALL);
  putbackMovablePages(k, list);
  return left;
}

describe('move_pages of merged and of huge pages', () => {
  it('S-MP-38 MP-31: a KSM page with three mappings: MOVE says shared, MOVE_ALL moves all', () => {
    const k = twoNodes();
    const p = new Program(k, 4, 0);
    for (let page = 0; page < 3; page++) storeWord(k, p.task, p.vpn(page), 5);
    madvise(k, p.task, p.area, 4 * PAGE_SIZE, MADV_MERGEABLE);
    ksmScan(k);
    ksmScan(k);
    expect(k.folios.mapcount(p.frame(0))).toBe(3);
    expect(move(p, 0)).toEqual({ ret: 0, status: -EACCES });
    expect(p.where(3)).toBe('0N 0N 0N');
    expect(move(p, 0, MOVE_ALL)).toEqual({ ret: 0, status: 1 });
    expect(p.where(3)).toBe('1N 1N 1N');
    expect(k.folios.isKsm(p.frame(0))).toBe(true);
    checkInvariants(k);
  });

  it('S-MP-39 MP-111: a hugetlb page, no pool on the target: a fresh page of its buddy', () => {
    const k = twoNodes();
    k.hugetlb.resize(1, 0);
    const p = new Program(k, 512, 1, PRIVATE | MAP_HUGETLB);
    expect([k.hugetlb.nrHuge[0], k.hugetlb.nrHuge[1]]).toEqual([1, 0]);
    expect(move(p, 0)).toEqual({ ret: 0, status: 1 });
    expect([k.hugetlb.nrHuge[0], k.hugetlb.nrHuge[1]]).toEqual([0, 1]);
    expect([k.hugetlb.surplus[0], k.hugetlb.surplus[1]]).toEqual([0, 0]);
    expect(event(k, 'htlb_buddy_alloc_success')).toBe(1 + 1);
    checkInvariants(k);
  });

  it('S-MP-39 MP-111: -ENOMEM only where the target has no block of 2 MiB either', () => {
    const k = twoNodes();
    k.hugetlb.resize(1, 0);
    const p = new Program(k, 512, 1, PRIVATE | MAP_HUGETLB);
    kernelTakes(k, 1, 400);
    expect(move(p, 0)).toEqual({ ret: -ENOMEM, status: UNTOUCHED });
    expect(p.where(1)).toBe('0N');
    checkInvariants(k);
  });

  it('S-MC-27 MC-54: no hugetlb page to be had: -ENOMEM at once, the small ones untried', () => {
    const k = twoNodes();
    k.hugetlb.resize(1, 0);
    const huge = new Program(k, 512, 1, PRIVATE | MAP_HUGETLB);
    const small = new Program(k, 4);
    kernelTakes(k, 1, 400);
    const heads = [small.frame(0), huge.frame(0), small.frame(1)];
    expect(migrate(k, heads)).toBe(-ENOMEM);
    expect([small.where(2), huge.where(1)]).toEqual(['0N 0N', '0N']);
    expect(event(k, 'pgmigrate_success')).toBe(0);
    expect(event(k, 'pgmigrate_fail')).toBe(512);
    expect(k.failures.lastCauseOf(small.frame(0))).toBe(-1);
    expect(k.failures.lastCauseOf(huge.frame(0))).toBe(CAUSE_NO_MEMORY);
    checkInvariants(k);
  });
});

describe('what file systems say (MC-37, MC-40, MC-41)', () => {
  /** A file with one written page in its cache, and that page. */
  function written(kind: MappedFile['kind'], sync = false): { k: Kernel; page: number } {
    const k = twoNodes();
    const file = k.newFile('/f', kind, 1);
    expect(writeFilePages(k, k.spawn(null, 0), file, 0, Uint32Array.of(7))).toBe(0);
    const page = file.frameAt(0);
    if (sync) k.frames.clear(page, PG_DIRTY);
    return { k, page };
  }

  it('S-MC-14 MC-37: guest_memfd: -EOPNOTSUPP, never copied', () => {
    const { k, page } = written('guest_memfd');
    expect(migrate(k, [page])).toBe(1);
    expect(k.failures.lastCauseOf(page)).toBe(CAUSE_INACCESSIBLE);
    expect(event(k, 'pgmigrate_fail')).toBe(1);
    expect(k.pm.nidOf(page)).toBe(0);
    checkInvariants(k);
  });

  const modes: readonly [string, MigrateMode, number][] = [
    ['ASYNC', MIGRATE_ASYNC, 1],
    ['SYNC_LIGHT', MIGRATE_SYNC_LIGHT, 0],
    ['SYNC', MIGRATE_SYNC, 0],
  ];

  it.each(modes)('MC-40: buffers under I/O, %s: it waits or it does not', (_n, mode, left) => {
    const { k, page } = written('ext4');
    k.buffers.lock(page);
    expect(migrate(k, [page], mode)).toBe(left);
    expect(k.failures.lastCauseOf(page)).toBe(CAUSE_BUFFERS_BUSY);
    checkInvariants(k);
  });

  it('MC-40: references to buffers go along in files, and stop the pages of block devices', () => {
    const ext4 = written('ext4');
    ext4.k.buffers.get(ext4.page);
    expect(migrate(ext4.k, [ext4.page])).toBe(0);
    const moved = ext4.k.files[1]!.frameAt(0);
    expect([ext4.k.buffers.isHeld(ext4.page), ext4.k.buffers.isHeld(moved)]).toEqual([false, true]);
    const device = written('bdev');
    device.k.buffers.get(device.page);
    expect(migrate(device.k, [device.page])).toBe(1);
    expect(device.k.failures.lastCauseOf(device.page)).toBe(CAUSE_BUFFERS_BUSY);
    device.k.buffers.put(device.page);
    expect(migrate(device.k, [device.page])).toBe(0);
    checkInvariants(device.k);
  });

  it('MC-21: truncated while the journal holds buffers: freed once it lets go', () => {
    const { k, page } = written('ext4', true);
    k.lru.drainAll();
    k.buffers.get(page);
    truncateFile(k, k.files[1]!, 0);
    expect([k.frames.refcount[page], k.frames.has(page, PG_PRIVATE)]).toEqual([1, true]);
    expect(migrate(k, [page])).toBe(1);
    k.buffers.put(page);
    // The first pass frees the buffers and says -EAGAIN, the next finds the folio freed (MC-14).
    expect(migrate(k, [page])).toBe(0);
    expect(k.pm.isFree(page)).toBe(true);
    checkInvariants(k);
  });

  it('MC-41: a clean page of a file system without the operation is copied', () => {
    const { k, page } = written('ramfs');
    expect(migrate(k, [page])).toBe(1);
    k.frames.clear(page, PG_DIRTY);
    expect(migrate(k, [page])).toBe(0);
    expect(k.frames.content![k.files[1]!.frameAt(0)]).toBe(7);
    checkInvariants(k);
  });
});

describe('content and identity (MC-94)', () => {
  it('a page is the same to its program before and after, however often it moves', () => {
    const k = twoNodes();
    const p = new Program(k, 8);
    for (let round = 0; round < 6; round++) {
      const to = 1 - (round % 2);
      const list: number[] = [];
      k.lru.drainAll();
      for (let page = 0; page < 8; page++) isolateFolio(k, p.frame(page), list);
      const destination = { nid: to, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
      expect(migratePages(k, list, destination, MIGRATE_SYNC, MR_SYSCALL)).toBe(0);
      for (let page = 0; page < 8; page++) {
        expect(loadWord(k, p.task, p.vpn(page))).toBe(100 + page);
        expect(k.pm.nidOf(pageAt(k, p.task.mm!, p.vpn(page)))).toBe(to);
      }
    }
    expect(accessPage(k, p.task, p.vpn(0), true)).toBe(0);
    checkInvariants(k);
  });
});
