/**
 * What the kernel's own tests of this driver set up and assert
 * (tools/testing/selftests/mm/hmm-tests of 7.3, all rows), on the model; userfaultfd_read and
 * benchmark_thp_migration are in userfault.test.ts.
 */
import { describe, expect, it } from 'vitest';
import {
  checkInvariants,
  getUserPages,
  loadWord,
  madviseRange,
  mmapRegion,
  mprotectRange,
  mremapRange,
  munmapRange,
  newHugetlbFile,
  PM_PRESENT,
  PM_SWAP,
  pagemapEntry,
  pinUserPages,
  pinUserPagesFast,
  putUserPages,
  storeWord,
  unpinUserPages,
} from '../mm/index.ts';
import { EFAULT, EINVAL, ENOENT, EPERM } from '../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import {
  MADV_FREE,
  MADV_HUGEPAGE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { COHERENT_PFN, DeviceBench, numbers, PRIVATE } from './deviceBench.ts';
import { Dmirror } from './dmirror.ts';
import { DmirrorDevice } from './dmirrorDevice.ts';

const RW = PROT_READ | PROT_WRITE;
const vmstat = (b: DeviceBench, name: string) => b.k.vmstat.snapshot().get(name)!;

describe('hmm-tests: reading and writing through the mirror', () => {
  it('open_close: a device opens and closes, nothing is left', () => {
    expect(new DeviceBench().end()).toEqual([]);
  });

  it('anon_read: read-only memory with a hole and a zero page takes one fault (DM-14a)', () => {
    const b = new DeviceBench();
    const start = b.map(1024);
    b.loads(start + 1, 1);
    for (let i = 2; i < 1024; i++) storeWord(b.k, b.task, start + i, i);
    mprotectRange(b.k, b.task.mm!, start, start + 1024, PROT_READ);
    const { ret, faults, words } = b.mirror.read(b.task, start, 1024);
    expect([ret, faults]).toEqual([0, 1]);
    expect(words).toEqual([0, 0, ...numbers(1023).slice(1)]);
    expect(b.end()).toEqual([]);
  });

  it('anon_read_prot: PROT_NONE is EFAULT and harms nothing', () => {
    const b = new DeviceBench();
    const start = b.map(4);
    b.store(start, 4);
    mprotectRange(b.k, b.task.mm!, start, start + 4, PROT_NONE);
    expect(b.mirror.read(b.task, start, 4).ret).toBe(-EFAULT);
    mprotectRange(b.k, b.task.mm!, start, start + 4, RW);
    expect(b.loads(start, 4)).toEqual(numbers(4));
    expect(b.end()).toEqual([]);
  });

  it('anon_write, anon_write_huge: the CPU sees what the device wrote; one fault', () => {
    const b = new DeviceBench();
    const start = b.map(512);
    expect(b.mirror.write(b.task, start, numbers(512))).toMatchObject({ ret: 0, faults: 1 });
    expect(b.loads(start, 512)).toEqual(numbers(512));
    const huge = Math.ceil(b.map(1024) / 512) * 512;
    madviseRange(b.k, b.task, huge, huge + 512, MADV_HUGEPAGE);
    expect(b.mirror.write(b.task, huge, numbers(512))).toMatchObject({ ret: 0, faults: 1 });
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(huge)]).not.toBe(0);
    expect(b.loads(huge, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('anon_write_prot: EPERM on a read-only area; after mprotect the zero page gives way', () => {
    const b = new DeviceBench();
    const start = b.map(2);
    mprotectRange(b.k, b.task.mm!, start, start + 2, PROT_READ);
    expect(b.mirror.read(b.task, start, 1)).toMatchObject({ ret: 0, faults: 1, words: [0] });
    expect(b.mirror.write(b.task, start, [7, 8]).ret).toBe(-EPERM);
    expect(b.loads(start, 2)).toEqual([0, 0]);
    mprotectRange(b.k, b.task.mm!, start, start + 2, RW);
    expect(b.mirror.write(b.task, start, [7, 8]).ret).toBe(0);
    expect(b.loads(start, 2)).toEqual([7, 8]);
    expect(b.end()).toEqual([]);
  });

  it.each([
    ['system memory', false, false],
    ['the device', true, false],
    ['system memory, huge', false, true],
    ['the device, huge', true, true],
  ])('anon_write_child: a child writes its own copy; the pages are in %s', (_n, moved, huge) => {
    const b = new DeviceBench();
    const start = huge ? b.mapHuge() : b.map(512);
    b.store(start, 512);
    if (moved) expect(b.mirror.migrateToDevice(b.task, start, 512).ret).toBe(0);
    const child = b.fork();
    for (let i = 0; i < 512; i++) expect(loadWord(b.k, child.task, start + i)).toBe(i + 1);
    expect(child.mirror.write(child.task, start, new Array(512).fill(9))).toMatchObject({
      ret: 0,
      faults: 1,
    });
    expect(loadWord(b.k, child.task, start + 511)).toBe(9);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-13: a device write to a read-only page of its own private memory does not fault', () => {
    const b = new DeviceBench();
    const start = b.map(1);
    b.store(start, 1);
    b.mirror.migrateToDevice(b.task, start, 1);
    const child = b.fork();
    expect(child.mirror.write(child.task, start, [9])).toMatchObject({ ret: -EFAULT, faults: 0 });
    expect(b.end()).toEqual([]);
  });

  it('anon_write_child_shared, file_read, file_write: shared memory is seen by all', () => {
    const b = new DeviceBench();
    const file = b.k.newFile('shared', 'tmpfs', 4);
    const start = b.map(4, MAP_SHARED, file);
    b.store(start, 4);
    expect(b.mirror.read(b.task, start, 4)).toMatchObject({ faults: 1, words: numbers(4) });
    const child = b.fork();
    expect(child.mirror.write(child.task, start, [5, 6, 7, 8]).ret).toBe(0);
    expect(b.loads(start, 4)).toEqual([5, 6, 7, 8]);
    expect(b.k.frames.content![file.frameAt(0)]).toBe(5);
    expect(b.end()).toEqual([]);
  });
});

describe('hmm-tests: more memory of other kinds', () => {
  it('anon_write_hugetlbfs, compound: data arrive; every page says PMD, and its rights', () => {
    const b = new DeviceBench();
    b.k.hugetlb.resize(1, -1);
    const file = newHugetlbFile(b.k, b.task, 512, false)!;
    const at = { addr: 512 * 4096, pages: 512, prot: RW, flags: MAP_PRIVATE, file, pgoff: 0 };
    const start = mmapRegion(b.k, b.task.mm!, at);
    expect(b.mirror.write(b.task, start, numbers(512)).ret).toBe(0);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    const perms = () => new Set(b.mirror.snapshot(b.task, start, 512) as string[]);
    expect(perms()).toEqual(new Set(['PMD|WRITE']));
    mprotectRange(b.k, b.task.mm!, start, start + 512, PROT_READ);
    expect(perms()).toEqual(new Set(['PMD|READ']));
    munmapRange(b.k, b.task.mm!, start, start + 512);
    expect(b.mirror.table.size).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('mixedmap: pages that a driver put in are told as read-only; nothing faults or stays', () => {
    const b = new DeviceBench();
    const free = vmstat(b, 'nr_free_pages');
    const start = b.mirror.mmap(b.task, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    const faults = vmstat(b, 'pgfault');
    expect(b.mirror.snapshot(b.task, start, 2)).toEqual(['READ', 'READ']);
    expect([vmstat(b, 'pgfault') - faults, b.task.mm!.rssFile]).toEqual([0, 2]);
    expect(b.loads(start, 2)).toEqual([0, 0]);
    expect(b.mirror.migrateToDevice(b.task, start, 1).ret).toBe(-EINVAL); // VM_SPECIAL, DM-20
    checkInvariants(b.k);
    const child = b.fork();
    expect(loadWord(b.k, child.task, start + 1)).toBe(0);
    storeWord(b.k, b.task, start, 7);
    expect([b.loads(start, 2), loadWord(b.k, child.task, start)]).toEqual([[7, 0], 0]);
    checkInvariants(b.k);
    munmapRange(b.k, child.task.mm!, start, start + 2);
    munmapRange(b.k, b.task.mm!, start, start + 2);
    checkInvariants(b.k);
    expect(free - vmstat(b, 'nr_free_pages')).toBeLessThan(16); // tables and batches
    expect(b.end()).toEqual([]);
  });

  it('anon_read_multiple, anon_teardown: right data each time, an error once it is gone', () => {
    const b = new DeviceBench();
    for (let round = 0; round < 20; round++) {
      const start = b.map(16);
      b.store(start, 16);
      expect(b.mirror.read(b.task, start, 16).words).toEqual(numbers(16));
      munmapRange(b.k, b.task.mm!, start + 4, start + 16);
      const { ret, words } = b.mirror.read(b.task, start, 16);
      expect([ret, words]).toEqual([-EFAULT, numbers(4)]);
    }
    expect(b.end()).toEqual([]);
  });
});

describe('hmm-tests: migration', () => {
  it.each([
    ['private', PRIVATE],
    ['coherent', COHERENT_PFN],
  ])('migrate_fault, %s: half comes back by the CPU, the mixture goes again', (kind, pfn) => {
    const b = new DeviceBench(pfn);
    const start = b.map(16);
    b.store(start, 16);
    b.mirror.migrateToDevice(b.task, start, 16);
    expect(b.loads(start, 8)).toEqual(numbers(8));
    expect(b.live).toBe(kind === 'private' ? 8 : 16);
    expect(b.mirror.migrateToDevice(b.task, start, 16).words).toEqual(numbers(16));
    expect(b.live).toBe(16);
    expect(b.end()).toEqual([]);
  });

  it.each([
    ['private', PRIVATE],
    ['coherent', COHERENT_PFN],
  ])('migrate, migrate_release, %s: all pages go; the device gives them back', (_kind, pfn) => {
    const b = new DeviceBench(pfn);
    const start = b.map(32);
    b.store(start, 32);
    const { ret, words } = b.mirror.migrateToDevice(b.task, start, 32);
    expect([ret, words]).toEqual([0, numbers(32)]);
    expect(b.live).toBe(32);
    expect(b.device.release(b.task)).toBe(0);
    expect([b.loads(start, 32), b.device.chunks.length]).toEqual([numbers(32), 0]);
    expect(b.end()).toEqual([]);
  });

  it('migrate_shared: ENOENT for shared memory, nothing moves', () => {
    const b = new DeviceBench();
    const file = b.k.newFile('shared', 'shmem', 4);
    const start = b.map(4, MAP_SHARED, file);
    b.store(start, 4);
    expect(b.mirror.migrateToDevice(b.task, start, 4).ret).toBe(-ENOENT);
    expect([b.live, b.loads(start, 4)]).toEqual([0, numbers(4)]);
    expect(b.end()).toEqual([]);
  });

  it('migrate_mixed: PROT_NONE and holes are EINVAL, zero and read-only pages go', () => {
    const b = new DeviceBench();
    const start = b.map(8);
    b.loads(start + 2, 1);
    storeWord(b.k, b.task, start + 3, 3);
    storeWord(b.k, b.task, start + 4, 4);
    mprotectRange(b.k, b.task.mm!, start, start + 1, PROT_NONE);
    mprotectRange(b.k, b.task.mm!, start + 3, start + 4, PROT_READ);
    munmapRange(b.k, b.task.mm!, start + 1, start + 2);
    expect(b.mirror.migrateToDevice(b.task, start, 1).ret).toBe(-EINVAL);
    expect(b.mirror.migrateToDevice(b.task, start + 1, 2).ret).toBe(-EINVAL);
    const all = b.mirror.migrateToDevice(b.task, start + 2, 3);
    expect([all.ret, all.words, b.live]).toEqual([0, [0, 3, 4], 3]);
    expect(b.end()).toEqual([]);
  });

  it('migrate_anon_huge_empty: 2 MiB that nobody touched go as one, zeroes', () => {
    const b = new DeviceBench();
    const start = Math.ceil(b.map(1024) / 512) * 512;
    madviseRange(b.k, b.task, start, start + 512, MADV_HUGEPAGE);
    expect(b.mirror.migrateToDevice(b.task, start, 512).words).toEqual(new Array(512).fill(0));
    expect(b.mirror.snapshot(b.task, start, 1)).toEqual(['DEVPRIV_LOCAL|PMD|WRITE']);
    expect(b.end()).toEqual([]);
  });

  it('migrate_anon_huge_fault: one entry on the device; pagemap says swap; data come back', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    const perms = b.mirror.snapshot(b.task, start, 512) as string[];
    expect(new Set(perms)).toEqual(new Set(['DEVPRIV_LOCAL|PMD|WRITE']));
    const mm = b.task.mm!;
    for (const at of [0, 255, 511]) {
      const { bits } = pagemapEntry(b.k, mm, start + at);
      expect(bits & (PM_PRESENT | PM_SWAP)).toBe(PM_SWAP);
    }
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('migrate_anon_huge_err: small pages where no large one can be had, both ways', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.device.failsNext = true;
    expect(b.mirror.migrateToDevice(b.task, start, 512).words).toEqual(numbers(512));
    b.mirror.migrateToSystem(b.task, start, 512);
    const other = b.mapHuge();
    b.mirror.migrateToDevice(b.task, other, 512);
    b.device.failsNext = true;
    expect(b.mirror.migrateToSystem(b.task, other, 512)).toMatchObject({ ret: 0 });
    expect(b.onDevice(other, 512)).toBe(0);
    expect(b.mirror.migrateToDevice(b.task, other + 7, 1).ret).toBe(0);
    expect([b.loads(other + 7, 1), b.onDevice(other, 512)]).toEqual([[8], 0]);
    for (const at of [start, other]) expect(b.loads(at, 512)).toEqual(numbers(512));
    checkInvariants(b.k);
    expect(b.end()).toEqual([]);
  });

  it('migrate_file_private: written copies of a file go, data match', () => {
    const b = new DeviceBench();
    const file = b.k.newFile('file', 'ext4', 8);
    const start = b.map(8, MAP_PRIVATE, file);
    b.store(start, 8);
    expect(b.mirror.migrateToDevice(b.task, start, 8)).toMatchObject({ ret: 0, cpages: 8 });
    expect(b.loads(start, 8)).toEqual(numbers(8));
    expect(b.end()).toEqual([]);
  });

  it('migrate_multiple: many rounds there and back', () => {
    const b = new DeviceBench();
    const start = b.map(64);
    b.store(start, 64);
    for (let round = 0; round < 50; round++) {
      expect(b.mirror.migrateToDevice(b.task, start, 64).words).toEqual(numbers(64));
      expect(b.mirror.migrateToSystem(b.task, start, 64)).toMatchObject({ ret: 0, cpages: 64 });
    }
    expect(b.loads(start, 64)).toEqual(numbers(64));
    expect(b.end()).toEqual([]);
  });

  it('migrate_anon_huge_zero: the huge zero page goes as 512 zeroes', () => {
    const b = new DeviceBench();
    const start = Math.ceil(b.map(1024) / 512) * 512;
    madviseRange(b.k, b.task, start, start + 512, MADV_HUGEPAGE);
    b.loads(start, 1);
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(start)]).not.toBe(0);
    expect(b.mirror.migrateToDevice(b.task, start, 512).words).toEqual(new Array(512).fill(0));
    expect(b.onDevice(start, 512)).toBe(512);
    expect(b.loads(start, 512)).toEqual(new Array(512).fill(0));
    expect(b.end()).toEqual([]);
  });

  it('migrate_anon_huge_zero_err: without a large device page, 512 small ones', () => {
    const b = new DeviceBench();
    const start = Math.ceil(b.map(1024) / 512) * 512;
    madviseRange(b.k, b.task, start, start + 512, MADV_HUGEPAGE);
    b.device.failsNext = true;
    expect(b.mirror.migrateToDevice(b.task, start, 512).words).toEqual(new Array(512).fill(0));
    checkInvariants(b.k);
    expect(b.onDevice(start, 512)).toBe(512);
    expect(b.end()).toEqual([]);
  });

  it('migrate_anon_huge_free: MADV_FREE and munmap of a huge page on the device', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    expect(madviseRange(b.k, b.task, start, start + 512, MADV_FREE)).toBe(0);
    munmapRange(b.k, b.task.mm!, start, start + 512);
    expect(b.live).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it.each([0, 128, 256])('migrate_partial_unmap_fault: 256 pages unmapped at %i', (at) => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    munmapRange(b.k, b.task.mm!, start + at, start + at + 256);
    for (let i = 0; i < 512; i++) {
      if (i < at || i >= at + 256) expect(loadWord(b.k, b.task, start + i)).toBe(i + 1);
    }
    checkInvariants(b.k);
    expect(b.end()).toEqual([]);
  });

  it.each([
    ['before', MREMAP_MAYMOVE],
    ['before', MREMAP_MAYMOVE | MREMAP_DONTUNMAP],
    ['after', MREMAP_MAYMOVE],
    ['after', MREMAP_MAYMOVE | MREMAP_DONTUNMAP],
  ])('migrate_remap_fault: moved %s it went to the device, flags %i', (when, flags) => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    if (when === 'after') b.mirror.migrateToDevice(b.task, start, 512);
    const grown = (flags & MREMAP_DONTUNMAP) !== 0 ? 512 : 513;
    b.map(1); // the way to grow in place is closed
    const moved = mremapRange(b.k, b.task, start, 512, grown, flags, 0);
    expect(moved).toBeGreaterThan(0);
    if (when === 'before') b.mirror.migrateToDevice(b.task, moved, 512);
    checkInvariants(b.k);
    expect(b.loads(moved, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });
});

describe('hmm-tests: exclusive access', () => {
  it('exclusive: the device reads, the CPU takes back and its stores stay', () => {
    const b = new DeviceBench();
    const start = b.map(4);
    b.store(start, 4);
    expect(b.mirror.exclusive(b.task, start, 4).words).toEqual(numbers(4));
    expect(b.mirror.checkExclusive(start, 4).ret).toBe(-EPERM);
    for (let i = 0; i < 4; i++) storeWord(b.k, b.task, start + i, i + 11);
    expect(b.mirror.checkExclusive(start, 4).ret).toBe(0);
    expect(b.loads(start, 4)).toEqual([11, 12, 13, 14]);
    expect(b.end()).toEqual([]);
  });

  it('exclusive_mprotect: a device write after mprotect READ is EPERM', () => {
    const b = new DeviceBench();
    const start = b.map(2);
    b.store(start, 2);
    b.mirror.exclusive(b.task, start, 2);
    mprotectRange(b.k, b.task.mm!, start, start + 2, PROT_READ);
    expect(b.mirror.write(b.task, start, [5, 5]).ret).toBe(-EPERM);
    expect(b.end()).toEqual([]);
  });

  it('exclusive_cow: after fork both sides have pages of their own', () => {
    const b = new DeviceBench();
    const start = b.map(1);
    b.store(start, 1);
    b.mirror.exclusive(b.task, start, 1);
    const child = b.fork();
    storeWord(b.k, b.task, start, 5);
    storeWord(b.k, child.task, start, 6);
    expect([loadWord(b.k, b.task, start), loadWord(b.k, child.task, start)]).toEqual([5, 6]);
    expect(b.end()).toEqual([]);
  });
});

describe('hmm-tests: GUP and copy on write', () => {
  it.each([
    ['private', PRIVATE, 0],
    ['coherent', COHERENT_PFN, 2],
  ])('hmm_gup_test, %s: what stays on the device under references and pins', (_kind, pfn, stay) => {
    const b = new DeviceBench(pfn);
    const start = b.map(4);
    b.store(start, 4);
    b.mirror.migrateToDevice(b.task, start, 4);
    const got: number[] = [];
    const pinned: number[] = [];
    getUserPages(b.k, b.task, start, 1, 0, got);
    getUserPages(b.k, b.task, start + 1, 1, FOLL_WRITE, got);
    expect(pinUserPagesFast(b.k, b.task, start + 2, 1, FOLL_LONGTERM, pinned)).toBe(1);
    expect(pinUserPages(b.k, b.task, start + 3, 1, FOLL_LONGTERM | FOLL_WRITE, pinned)).toBe(1);
    expect(b.live).toBe(stay);
    expect(pinned.some((page) => b.k.pm.isZoneDevice(page))).toBe(false);
    putUserPages(b.k, got);
    unpinUserPages(b.k, pinned);
    expect(b.loads(start, 4)).toEqual(numbers(4));
    expect(b.end()).toEqual([]);
  });

  it.each([
    ['private', PRIVATE],
    ['coherent', COHERENT_PFN],
  ])('hmm_cow_in_device, %s: fork, then the parent writes', (_kind, pfn) => {
    const b = new DeviceBench(pfn);
    const start = b.map(2);
    b.store(start, 2);
    b.mirror.migrateToDevice(b.task, start, 2);
    const child = b.fork();
    b.store(start, 2);
    const perms = b.mirror.snapshot(b.task, start, 2);
    expect(perms).toEqual(['WRITE', 'WRITE']);
    expect(loadWord(b.k, child.task, start)).toBe(1);
    expect(b.end()).toEqual([]);
  });
});

describe('hmm-tests: two devices', () => {
  function second(b: DeviceBench): Dmirror {
    const device = DmirrorDevice.probe(b.k, { name: 'second', coherentPfn: PRIVATE, nid: 0 });
    const mirror = Dmirror.open(b.k, device, b.task);
    b.others.push({ task: b.fork().task, mirror });
    return mirror;
  }

  it('snapshot: each sees its own pages, not those of the other', () => {
    const b = new DeviceBench();
    const other = second(b);
    const start = b.map(5);
    b.loads(start, 1);
    for (let i = 1; i < 5; i++) storeWord(b.k, b.task, start + i, i);
    mprotectRange(b.k, b.task.mm!, start + 1, start + 2, PROT_READ);
    b.mirror.migrateToDevice(b.task, start + 3, 1);
    other.migrateToDevice(b.task, start + 4, 1);
    const perms = b.mirror.snapshot(b.task, start, 5);
    expect(perms).toEqual(['ZERO|READ', 'READ', 'WRITE', 'DEVPRIV_LOCAL|WRITE', 'NONE']);
    expect(b.mirror.migrateToDevice(b.task, start + 4, 1).ret).toBe(-2);
    expect(other.device.release(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('double_map: both read the same memory, also after one has it', () => {
    const b = new DeviceBench();
    const other = second(b);
    const start = b.map(8);
    b.store(start, 8);
    mprotectRange(b.k, b.task.mm!, start, start + 8, PROT_READ);
    expect(b.mirror.read(b.task, start, 8)).toMatchObject({ faults: 1, words: numbers(8) });
    expect(other.read(b.task, start, 8)).toMatchObject({ faults: 1, words: numbers(8) });
    expect(other.migrateToDevice(b.task, start, 8).ret).toBe(0);
    expect(b.mirror.read(b.task, start, 8)).toMatchObject({ faults: 1, words: numbers(8) });
    expect(other.device.release(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });
});
