/** The test driver on the model, beyond what the observed cases have. */
import { describe, expect, it } from 'vitest';
import {
  accessPage,
  beginOffline,
  checkInvariants,
  DeviceMigration,
  exitTask,
  FAULT_ERROR,
  FAULT_WAIT,
  findBrokenInvariants,
  forkTask,
  handleFault,
  khugepagedScan,
  ksmScan,
  loadWord,
  MIGRATE_VMA_SELECT_SYSTEM,
  madviseCollapse,
  madviseRange,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
  mprotectRange,
  munmapRange,
  PG_LRU,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  pageAt,
  pinUserPages,
  pinUserPagesFast,
  pteIsKind,
  pteOther,
  ptePayload,
  splitMappedFolio,
  storeWord,
  type Task,
  unpinUserPages,
} from '../mm/index.ts';
import { EAGAIN, EBUSY, EINVAL } from '../uapi/errno.ts';
import { FOLL_LONGTERM } from '../uapi/gup.ts';
import { MADV_HUGEPAGE, MADV_MERGEABLE, MAP_SHARED, PROT_READ } from '../uapi/mman.ts';
import { COHERENT_PFN, DeviceBench, numbers, PRIVATE } from './deviceBench.ts';
import { copyToDevice } from './deviceCopy.ts';
import { Dmirror } from './dmirror.ts';
import { DmirrorDevice } from './dmirrorDevice.ts';

describe('pages on the device', () => {
  it('DM-30, DM-41: content goes there and comes back with the first CPU access', () => {
    const b = new DeviceBench();
    const start = b.map(8);
    b.store(start, 8);
    const moved = b.mirror.migrateToDevice(b.task, start, 8);
    expect(moved).toEqual({ ret: 0, cpages: 8, faults: 0, words: numbers(8) });
    expect([b.onDevice(start, 8), b.live]).toEqual([8, 8]);
    expect(b.loads(start, 3)).toEqual([1, 2, 3]);
    expect([b.onDevice(start, 8), b.live]).toEqual([5, 5]);
    checkInvariants(b.k);
    expect(b.end()).toEqual([]);
  });

  it('DM-22.1: holes of an area are filled with zeroes on the device', () => {
    const b = new DeviceBench();
    const start = b.map(4);
    expect(b.mirror.migrateToDevice(b.task, start, 4).words).toEqual([0, 0, 0, 0]);
    expect(b.task.mm!.rssAnon).toBe(4);
    expect(b.end()).toEqual([]);
  });

  it('DM-76, DM-77: fork shares them read-only; one process brings a page back for both', () => {
    const b = new DeviceBench();
    const start = b.map(2);
    b.store(start, 2);
    b.mirror.migrateToDevice(b.task, start, 2);
    const child = forkTask(b.k, b.task) as Task;
    checkInvariants(b.k);
    expect(loadWord(b.k, child, start)).toBe(1);
    expect(b.onDevice(start, 2)).toBe(1);
    storeWord(b.k, child, start + 1, 77);
    expect(b.loads(start, 2)).toEqual([1, 2]);
    expect(loadWord(b.k, child, start + 1)).toBe(77);
    exitTask(b.k, child);
    expect(b.end()).toEqual([]);
  });

  it('nothing merges with a page that was merged and went to the device', () => {
    const b = new DeviceBench();
    const start = b.map(3);
    for (const n of [0, 1]) storeWord(b.k, b.task, start + n, 5);
    madviseRange(b.k, b.task, start, start + 3, MADV_MERGEABLE);
    ksmScan(b.k);
    expect(ksmScan(b.k)).toBe(1);
    expect(b.mirror.migrateToDevice(b.task, start, 1).words).toEqual([5]);
    storeWord(b.k, b.task, start + 2, 5);
    ksmScan(b.k);
    expect(ksmScan(b.k)).toBe(0);
    expect(b.onDevice(start, 3)).toBe(2);
    checkInvariants(b.k);
    expect(b.loads(start, 3)).toEqual([5, 5, 5]);
    expect(b.end()).toEqual([]);
  });

  it('DM-22: merged pages go where rmap finds their place, and stay where it does not', () => {
    const b = new DeviceBench();
    const start = b.map(2);
    storeWord(b.k, b.task, start, 5);
    storeWord(b.k, b.task, start + 1, 5);
    const child = forkTask(b.k, b.task) as Task;
    madviseRange(b.k, child, start, start + 2, MADV_MERGEABLE);
    ksmScan(b.k);
    ksmScan(b.k);
    const merged = b.k.folios.isKsm(pageAt(b.k, b.task.mm!, start)) ? start : start + 1;
    expect(b.mirror.migrateToDevice(b.task, merged, 1).cpages).toBe(0);
    expect(b.onDevice(start, 2)).toBe(0);
    checkInvariants(b.k);
    expect(b.loads(start, 2)).toEqual([5, 5]);
    exitTask(b.k, child);
    expect(b.end()).toEqual([]);
  });

  it('DM-33: a driver that cannot bring a page back fails the access', () => {
    const b = new DeviceBench();
    const start = b.map(1);
    b.store(start, 1);
    b.mirror.migrateToDevice(b.task, start, 1);
    b.device.failsNext = true;
    expect(accessPage(b.k, b.task, start, false) & FAULT_ERROR).not.toBe(0);
    expect(b.onDevice(start, 1)).toBe(1);
    expect(b.loads(start, 1)).toEqual([1]);
    expect(b.end()).toEqual([]);
  });

  it('DM-112, S-DM-33: setup and finalize without a destination leave everything as it was', () => {
    const b = new DeviceBench();
    const start = b.map(4);
    b.store(start, 4);
    b.device.failsNext = true;
    expect(b.mirror.migrateToDevice(b.task, start, 1).ret).toBe(-2);
    checkInvariants(b.k);
    expect(b.onDevice(start, 4)).toBe(0);
    expect(b.loads(start, 4)).toEqual(numbers(4));
    expect(b.end()).toEqual([]);
  });

  it('PM-75: device memory is in no memory block: nothing can write "offline" there', () => {
    for (const pfn of [PRIVATE, COHERENT_PFN]) {
      const b = new DeviceBench(pfn);
      const start = b.map(1);
      b.store(start, 1);
      b.mirror.migrateToDevice(b.task, start, 1);
      const { memoryBlocks } = b.k.pm;
      const pfns = [...b.k.devices.pagemaps].map(({ startPfn }) => startPfn);
      expect(pfns.length).toBeGreaterThan(0);
      for (const at of pfns) {
        expect(memoryBlocks.exists(memoryBlocks.blockOfPfn(at))).toBe(false);
        expect(beginOffline(b.k, at, memoryBlocks.blockPages)).toBe(-EINVAL);
      }
    }
  });

  it('DM-53, DM-35, S-DM-34: a device that goes gives its pages back first', () => {
    const b = new DeviceBench();
    const start = b.map(6);
    b.store(start, 6);
    b.mirror.migrateToDevice(b.task, start, 6);
    expect(b.device.release(b.task)).toBe(0);
    expect([b.onDevice(start, 6), b.k.devices.pagemaps.size]).toEqual([0, 0]);
    expect(b.loads(start, 6)).toEqual(numbers(6));
    expect(b.end()).toEqual([]);
  });
});

describe('mirrors, counters and data', () => {
  it('DM-4: a driver passes over its own migration, another one hears of it', () => {
    const b = new DeviceBench();
    const start = b.map(4);
    b.store(start, 4);
    const device = DmirrorDevice.probe(b.k, { name: 'second', coherentPfn: -1, nid: 0 });
    const other = Dmirror.open(b.k, device, b.task);
    other.read(b.task, start, 4);
    b.mirror.migrateToDevice(b.task, start, 4);
    expect([b.mirror.table.size, other.table.size]).toEqual([4, 0]);
    other.close();
    expect(device.release(b.task)).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('DM-110: rss counts private and exclusive pages, the pagemap those in use', () => {
    const b = new DeviceBench();
    const start = b.map(8);
    b.store(start, 8);
    const rss = b.task.mm!.rssAnon;
    b.mirror.migrateToDevice(b.task, start, 4);
    b.mirror.exclusive(b.task, start + 4, 4);
    expect([b.task.mm!.rssAnon, b.live]).toEqual([rss, 4]);
    munmapRange(b.k, b.task.mm!, start, start + 8);
    expect([b.task.mm!.rssAnon, b.live]).toEqual([rss - 8, 0]);
    expect(b.end()).toEqual([]);
  });

  it('DM-111: an entry of the wrong kind, a device page on an LRU list: found', () => {
    const b = new DeviceBench();
    const start = b.map(2);
    b.store(start, 2);
    b.mirror.migrateToDevice(b.task, start, 1);
    const at = [0, 1].map((n) => b.task.mm!.pteIndex(start + n));
    const [word, system] = at.map((i) => b.k.ptes.words[i]);
    b.k.ptes.words[at[0]] = pteOther(PTE_KIND_DEVICE_PRIVATE, ptePayload(system));
    expect(findBrokenInvariants(b.k).join()).toContain('DM-111: a device entry of another kind');
    b.k.ptes.words[at[0]] = word;
    b.k.frames.set(ptePayload(word), PG_LRU);
    expect(findBrokenInvariants(b.k).join()).toContain('is on an LRU list');
    b.k.frames.clear(ptePayload(word), PG_LRU);
    expect(b.end()).toEqual([]);
  });

  it('DM-113: on its way a page is nowhere else: the CPU waits, then it is in one place', () => {
    const b = new DeviceBench();
    const start = b.map(1);
    b.store(start, 1);
    const vma = b.task.mm!.findVma(start);
    const { device, k, task } = b;
    const m = new DeviceMigration(task, vma, start, start + 1, device, MIGRATE_VMA_SELECT_SYSTEM);
    migrateVmaSetup(k, m);
    const at = task.mm!.pteIndex(start);
    expect(pteIsKind(k.ptes.words[at], PTE_KIND_MIGRATION)).toBe(true);
    expect(handleFault(k, task, start, true)).toBe(FAULT_WAIT);
    copyToDevice(k, m, device);
    const from = m.src[0];
    migrateVmaPages(k, m);
    migrateVmaFinalize(k, m);
    k.lru.drainAll();
    expect([k.frames.refcount[from], b.onDevice(start, 1)]).toEqual([0, 1]);
    expect([b.loads(start, 1), b.live]).toEqual([[1], 0]);
    expect(b.end()).toEqual([]);
  });
});

describe('a range that memory cannot hold at once', () => {
  it.each(['read', 'write'] as const)('DM-5: %s of it is given up: -EBUSY', (call) => {
    const b = new DeviceBench(PRIVATE, undefined, 1024);
    const nr = 2048;
    const start = b.map(nr, MAP_SHARED, b.k.newFile('f', 'ext4', nr));
    const result =
      call === 'read'
        ? b.mirror.read(b.task, start, nr)
        : b.mirror.write(b.task, start, numbers(nr));
    expect(result).toMatchObject({ ret: -EBUSY, cpages: 0 });
    expect(result.faults).toBeGreaterThan(1);
    checkInvariants(b.k);
    expect(b.mirror.read(b.task, start, 64)).toMatchObject({ ret: 0, cpages: 64 });
    expect(b.end()).toEqual([]);
  });
});

describe('2 MiB pages', () => {
  it('DM-61, DM-62, S-DM-20: go and come as one', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    expect(b.mirror.migrateToDevice(b.task, start, 512).ret).toBe(0);
    checkInvariants(b.k);
    expect([b.onDevice(start, 512), b.task.mm!.leaf[b.task.mm!.slotOf(start)]]).toEqual([512, -1]);
    expect(b.loads(start, 1)).toEqual([1]);
    expect(b.onDevice(start, 512)).toBe(0);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-61, DM-64: 512 small ones of a page that fork shares: both processes find them', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    const child = forkTask(b.k, b.task) as Task;
    b.device.failsNext = true;
    expect(b.mirror.migrateToDevice(b.task, start, 512).ret).toBe(0);
    checkInvariants(b.k);
    expect(b.onDevice(start, 512)).toBe(512);
    expect(loadWord(b.k, child, start + 7)).toBe(8);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    exitTask(b.k, child);
    expect(b.end()).toEqual([]);
  });

  it('DM-61, S-DM-22: the device has no large page: 512 small ones', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.device.failsNext = true;
    expect(b.mirror.migrateToDevice(b.task, start, 512).ret).toBe(0);
    checkInvariants(b.k);
    expect(b.onDevice(start, 512)).toBe(512);
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(start)]).toBe(0);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-62: no large page on the way back: the device folio is split', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    b.device.failsNext = true;
    expect(b.mirror.migrateToSystem(b.task, start, 512)).toMatchObject({ ret: 0, cpages: 512 });
    checkInvariants(b.k);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-62: the same in a CPU fault', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    b.device.failsNext = true;
    expect(b.loads(start + 9, 1)).toEqual([10]);
    checkInvariants(b.k);
    expect(b.onDevice(start, 512)).toBe(0);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-63: part of one unmapped, mprotected, forked', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    b.mirror.migrateToDevice(b.task, start, 512);
    const child = forkTask(b.k, b.task) as Task;
    checkInvariants(b.k);
    munmapRange(b.k, b.task.mm!, start, start + 100);
    mprotectRange(b.k, b.task.mm!, start + 400, start + 512, PROT_READ);
    checkInvariants(b.k);
    expect(b.loads(start + 100, 412)).toEqual(numbers(512).slice(100));
    expect(loadWord(b.k, child, start + 3)).toBe(4);
    checkInvariants(b.k);
    exitTask(b.k, child);
    expect(b.end()).toEqual([]);
  });

  it('DM-65: a split gives small folios of the same device; zeroes stay pages of their own', () => {
    const b = new DeviceBench();
    const start = b.mapHuge();
    storeWord(b.k, b.task, start + 5, 0);
    b.mirror.migrateToDevice(b.task, start, 512);
    const head = ptePayload(b.task.mm!.pmd[b.task.mm!.slotOf(start)]);
    munmapRange(b.k, b.task.mm!, start, start + 4);
    b.k.folios.get(head);
    expect(splitMappedFolio(b.k, head)).toBe(-EAGAIN);
    expect([b.k.folios.nrPages(head), b.onDevice(start + 4, 508)]).toEqual([512, 508]);
    b.k.putFolio(head);
    expect(b.loads(start + 9, 1)).toEqual([10]);
    expect([b.onDevice(start + 4, 508), b.live]).toEqual([507, 507]);
    for (const i of [4, 5, 100]) {
      expect([b.k.folios.nrPages(head + i), b.k.frames.refcount[head + i]]).toEqual([1, 1]);
      expect(b.device.owns(head + i)).toBe(true);
    }
    checkInvariants(b.k);
    expect(b.loads(start + 5, 1)).toEqual([0]);
    expect(b.end()).toEqual([]);
  });

  it('DM-66: small pages on a device are not collapsed, by nobody', () => {
    const b = new DeviceBench();
    const start = Math.ceil(b.map(1024) / 512) * 512;
    b.store(start, 512);
    b.mirror.migrateToDevice(b.task, start, 4);
    madviseRange(b.k, b.task, start, start + 512, MADV_HUGEPAGE);
    expect(madviseCollapse(b.k, b.task, start, start + 512)).toBe(-EINVAL);
    for (let scan = 0; scan < 4; scan++) expect(khugepagedScan(b.k)).toBe(0);
    expect(b.onDevice(start, 512)).toBe(4);
    b.loads(start, 4);
    expect(madviseCollapse(b.k, b.task, start, start + 512)).toBe(0);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-66: up to 6.18 MADV_COLLAPSE has them brought back, and exclusive access ends', () => {
    const b = new DeviceBench(PRIVATE, '6.12');
    const start = Math.ceil(b.map(1024) / 512) * 512;
    b.store(start, 512);
    b.mirror.migrateToDevice(b.task, start, 4);
    b.mirror.exclusive(b.task, start + 8, 4);
    madviseRange(b.k, b.task, start, start + 512, MADV_HUGEPAGE);
    expect(madviseCollapse(b.k, b.task, start, start + 512)).toBe(0);
    expect([b.onDevice(start, 512), b.live]).toEqual([0, 0]);
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(start)]).not.toBe(0);
    checkInvariants(b.k);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('DM-66: one that the driver cannot bring back stays, and nothing is collapsed', () => {
    const b = new DeviceBench(PRIVATE, '6.12');
    const start = Math.ceil(b.map(1024) / 512) * 512;
    b.store(start, 512);
    b.mirror.migrateToDevice(b.task, start, 4);
    madviseRange(b.k, b.task, start, start + 512, MADV_HUGEPAGE);
    b.device.failsNext = true;
    expect(madviseCollapse(b.k, b.task, start, start + 512)).toBe(-EINVAL);
    expect(b.onDevice(start, 4)).toBe(4);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    checkInvariants(b.k);
    expect(b.end()).toEqual([]);
  });

  it('DM-24: before 6.19 every large page is split', () => {
    const b = new DeviceBench(PRIVATE, '6.12');
    const start = b.mapHuge();
    expect(b.mirror.migrateToDevice(b.task, start, 512).ret).toBe(0);
    checkInvariants(b.k);
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(start)]).toBe(0);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });

  it('a coherent device has one chunk of small pages: a large page is split (selftests)', () => {
    const b = new DeviceBench(COHERENT_PFN);
    const start = b.mapHuge();
    expect(b.mirror.migrateToDevice(b.task, start, 512)).toMatchObject({ ret: 0, cpages: 512 });
    checkInvariants(b.k);
    expect(b.live).toBe(512);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.live).toBe(512);
    expect(b.mirror.migrateToSystem(b.task, start, 512)).toMatchObject({ ret: 0, cpages: 512 });
    expect(b.live).toBe(0);
    expect(b.end()).toEqual([]);
  });

  it('DM-36: a large coherent page is not pinned for long: -EBUSY, it stays', () => {
    const b = new DeviceBench(COHERENT_PFN);
    // A chunk that comes for a large page is large pages altogether.
    expect(b.device.release(b.task)).toBe(0);
    const start = b.mapHuge();
    expect(b.mirror.migrateToDevice(b.task, start, 512)).toMatchObject({ ret: 0, cpages: 512 });
    const head = b.task.mm!.pmd[b.task.mm!.slotOf(start)];
    const pinned: number[] = [];
    for (const pin of [pinUserPages, pinUserPagesFast]) {
      expect(pin(b.k, b.task, start + 7, 3, FOLL_LONGTERM, pinned)).toBe(-EBUSY);
    }
    expect([pinned, b.live]).toEqual([[], 512]);
    expect(b.task.mm!.pmd[b.task.mm!.slotOf(start)]).toBe(head);
    expect(pinUserPages(b.k, b.task, start + 7, 1, 0, pinned)).toBe(1);
    unpinUserPages(b.k, pinned);
    checkInvariants(b.k);
    expect(b.loads(start, 512)).toEqual(numbers(512));
    expect(b.end()).toEqual([]);
  });
});
