/** Setup, unmapping and the end of a device migration: DM-20, DM-25..DM-27, DM-31, DM-35, DM-36. */
import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../hw/index.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  DeviceMigration,
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
} from './deviceMigration.ts';
import { writeFilePages } from './fileWrite.ts';
import { PG_LOCKED, PG_LRU, PG_LRU_BATCH, PG_SWAPCACHE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { MEMORY_DEVICE_COHERENT, MEMORY_DEVICE_PRIVATE } from './memremap.ts';
import {
  migrateDeviceCoherentFolio,
  migrateDevicePfns,
  migrateDeviceRange,
  migrateVmaFinalize,
  migrateVmaSetup,
} from './migrateVma.ts';
import {
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  PTEB_WRITE,
  pteIsKind,
  ptePayload,
} from './pageTable.ts';
import { addToSwapCache } from './swapCache.ts';
import { collected, finish, give, moveTo, prepared, systemPage, TestDevice } from './testDevice.ts';
import { bootNodes, fillNode, TestProgram, vmstat } from './testProgram.ts';
import { VM_DAX, VM_DONTEXPAND, VM_HUGETLB, VM_IO, VM_MIXEDMAP, VM_PFNMAP } from './vma.ts';

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;
const PRIVATE = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
const TAKEN = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;

function boot(kernel: KernelVersion = '7.3'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { kernel, swapPages: 64, deviceSections: 2 });
  return new TestProgram(k);
}

/** Written pages on the LRU, and one page of device memory, mapped at `a` and unlocked. */
function onDevice(pages = 1) {
  const p = boot();
  const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
  const a = p.mapWritten(pages);
  moveTo(device, p, a, pages, SYSTEM);
  const page = (i = 0) => ptePayload(p.entry(a + i).word);
  return { p, k: p.k, device, a, page };
}

describe('what setup refuses (DM-20)', () => {
  it('no area is -EINVAL', () => {
    const p = boot();
    expect(migrateVmaSetup(p.k, new DeviceMigration(p.task, null, 0, 1, null, SYSTEM))).toBe(
      -EINVAL,
    );
  });

  it.each([
    ['VM_HUGETLB', VM_HUGETLB],
    ['VM_IO', VM_IO],
    ['VM_DONTEXPAND', VM_DONTEXPAND],
    ['VM_PFNMAP', VM_PFNMAP],
    ['VM_MIXEDMAP', VM_MIXEDMAP],
    ['VM_DAX', VM_DAX],
  ])('S-DM-07: %s is -EINVAL', (_name, flag) => {
    const p = boot();
    const m = prepared(p, p.map(2), 2, SYSTEM);
    m.vma!.flags |= flag;
    expect([migrateVmaSetup(p.k, m), m.cpages, m.npages]).toEqual([-EINVAL, 0, 0]);
  });

  it.each([
    ['an empty range', 1, 1, -EINVAL],
    ['a range from its end to its start', 2, 1, -EINVAL],
    ['a range that starts before the area', -1, 2, -EINVAL],
    ['a range that ends behind the area', 2, 5, -EINVAL],
    ['the whole area', 0, 4, 0],
  ])('%s', (_name, from, to, result) => {
    const p = boot();
    const a = p.map(4);
    const vma = p.task.mm!.findVma(a);
    const m = new DeviceMigration(p.task, vma, a + from, a + to, null, SYSTEM);
    expect([migrateVmaSetup(p.k, m), m.cpages]).toEqual([result, result === 0 ? to - from : 0]);
  });

  it('a fault page must be private and locked', () => {
    const { p, k, device, a, page } = onDevice();
    const system = systemPage(k);
    const tryWith = (fault: number) =>
      migrateVmaSetup(k, prepared(p, a, 1, PRIVATE, device, fault));
    expect([tryWith(system), tryWith(0), tryWith(page())]).toEqual([-EINVAL, -EINVAL, -EINVAL]);
    k.folios.get(page());
    k.frames.set(page(), PG_LOCKED);
    expect(tryWith(page())).toBe(0);
  });
});

describe('from the LRU (DM-25)', () => {
  it('a page in the batch of this CPU needs no drain of the others', () => {
    const p = boot();
    const other = new TestProgram(p.k, p.k.spawn(null, 1));
    const b = other.mapWritten(1);
    const a = p.mapWritten(2);
    expect([p.has(a, PG_LRU), other.has(b, PG_LRU)]).toEqual([false, false]);
    expect(collected(p, a, 2, SYSTEM).cpages).toBe(2);
    expect([other.has(b, PG_LRU), other.has(b, PG_LRU_BATCH)]).toEqual([false, true]);
  });

  it('a page in the batch of another CPU costs one drain of all', () => {
    const p = boot();
    p.task.cpu = 1;
    const a = p.mapWritten(2);
    p.task.cpu = 0;
    expect(p.has(a, PG_LRU)).toBe(false);
    expect(collected(p, a, 2, SYSTEM).cpages).toBe(2);
  });

  it('there is one drain a call, however many pages are off the LRU', () => {
    const p = boot();
    const a = p.mapWritten(3);
    p.k.lru.drainAll();
    for (const i of [0, 2]) p.k.lru.isolate(p.head(a + i));
    p.k.folios.get(p.head(a + 1));
    const m = collected(p, a, 3, SYSTEM);
    expect([m.cpages, ...m.src, ...m.srcBits]).toEqual([0, -1, -1, -1, 0, 0, 0]);
    // The page that somebody holds waits in the batch: the third one drained nothing.
    expect([p.has(a + 1, PG_LRU), p.has(a + 1, PG_LRU_BATCH)]).toEqual([false, true]);
    expect([0, 1, 2].map((i) => p.refs(a + i))).toEqual([2, 3, 2]);
    expect([0, 1, 2].map((i) => p.has(a + i, PG_LOCKED))).toEqual([false, false, false]);
    p.k.lru.drainAll();
    expect([p.has(a + 1, PG_LRU), p.refs(a + 1)]).toEqual([true, 2]);
    expect([0, 1, 2].map((i) => p.load(a + i))).toEqual([1, 2, 3]);
  });

  it('collected: the migration and nobody else has it, locked; DM-26: no counter tells', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    const head = p.head(a);
    const m = collected(p, a, 1, SYSTEM);
    expect([m.src[0], m.srcBits[0], m.cpages, m.npages]).toEqual([
      head,
      TAKEN | MIGRATE_PFN_WRITE,
      1,
      1,
    ]);
    expect(p.k.frames.refcount[head]).toBe(1);
    expect(p.k.frames.flags[head] & (PG_LOCKED | PG_LRU)).toBe(PG_LOCKED);
    expect([pteIsKind(p.entry(a).word, PTE_KIND_MIGRATION), p.task.mm!.rssAnon]).toEqual([true, 1]);
    expect([vmstat(p.k, 'nr_isolated_anon'), vmstat(p.k, 'pgmigrate_success')]).toEqual([0, 0]);
    expect(finish(p.k, m)).toEqual([]);
    expect([p.refs(a), p.has(a, PG_LOCKED), p.load(a)]).toEqual([2, false, 1]);
    p.k.lru.drainAll();
    expect([p.refs(a), p.has(a, PG_LRU)]).toEqual([1, true]);
    checkInvariants(p.k);
  });

  it('a page of the swap cache has one more reference that is known', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.lru.drainAll();
    for (const i of [0, 1]) addToSwapCache(p.k, p.head(a + i), p.k.swap.allocate(1));
    p.k.folios.get(p.head(a + 1));
    const m = collected(p, a, 2, SYSTEM);
    expect([m.cpages, m.wants(0), m.wants(1)]).toEqual([1, true, false]);
    expect([p.k.frames.has(m.src[0], PG_SWAPCACHE), p.k.frames.refcount[m.src[0]]]).toEqual([
      true,
      2,
    ]);
  });

  it.each([
    ['tmpfs, no private data', 'tmpfs' as const, 0],
    ['ext4, with private data', 'ext4' as const, 0],
    ['tmpfs, held', 'tmpfs' as const, 1],
    ['ext4, held', 'ext4' as const, 1],
  ])('a page of a file: %s', (_name, type, held) => {
    const p = boot();
    const file = p.k.newFile('f', type, 0);
    expect(writeFilePages(p.k, p.task, file, 0, new Uint32Array([7]))).toBe(0);
    const a = p.map(1, { file, shared: true });
    expect(p.load(a)).toBe(7);
    for (let n = 0; n < held; n++) p.k.folios.get(p.head(a));
    const m = collected(p, a, 1, SYSTEM);
    expect([m.cpages, m.wants(0)]).toEqual(held > 0 ? [0, false] : [1, true]);
    expect(finish(p.k, m)).toEqual([]);
    expect(p.load(a)).toBe(7);
  });

  it('DM-23: a process that shares the 2 MiB gets one entry for all of it', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'always';
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    const child = p.fork();
    const m = collected(p, a, 512, SYSTEM | MIGRATE_VMA_SELECT_COMPOUND);
    const { mm } = child.task;
    expect(pteIsKind(mm!.pmd[mm!.slotOf(a)], PTE_KIND_MIGRATION)).toBe(true);
    expect([m.cpages, m.npages]).toEqual([1, 512]);
    finish(p.k, m);
    expect([child.load(a + 5), p.load(a + 5)]).toEqual([6, 6]);
    checkInvariants(p.k);
  });
});

describe('who else has a device page (DM-27, DM-30)', () => {
  it.each([
    [0, true, true],
    [1, true, false],
    [2, false, false],
  ])('%i references of others: collected %s, moved %s', (others, isCollected, isMoved) => {
    const { p, k, device, a, page } = onDevice();
    const head = page();
    for (let n = 0; n < others; n++) k.folios.get(head);
    const m = collected(p, a, 1, PRIVATE, device);
    expect([m.cpages, m.wants(0)]).toEqual([isCollected ? 1 : 0, isCollected]);
    const dst = isCollected ? systemPage(k) : -1;
    if (isCollected) give(k, m, 0, dst);
    expect(finish(k, m)).toEqual(isMoved ? [0] : []);
    const { word, byte } = p.entry(a);
    expect(ptePayload(word)).toBe(isMoved ? dst : head);
    expect(pteIsKind(word, PTE_KIND_DEVICE_PRIVATE)).toBe(!isMoved);
    if (!isMoved) expect(byte & PTEB_WRITE).toBe(PTEB_WRITE);
    if (isMoved) expect([device.freed, p.load(a)]).toEqual([[head], 1]);
    else
      expect([k.frames.refcount[head], k.frames.has(head, PG_LOCKED)]).toEqual([1 + others, false]);
    // A destination that was not used is free again.
    if (isCollected && !isMoved) expect(k.frames.refcount[dst]).toBe(0);
    expect(k.frames.has(head, PG_LRU) || k.frames.has(head, PG_LRU_BATCH)).toBe(false);
  });

  it.each([
    [0, true, true],
    [1, true, false],
    [2, false, false],
  ])('of a fault, %i others: collected %s, moved %s', (others, isCollected, isMoved) => {
    const { p, k, device, a, page } = onDevice();
    const head = page();
    for (let n = 0; n < others + 1; n++) k.folios.get(head);
    k.frames.set(head, PG_LOCKED);
    const m = collected(p, a, 1, PRIVATE, device, head);
    expect(m.cpages).toBe(isCollected ? 1 : 0);
    if (isCollected) give(k, m, 0, systemPage(k));
    expect(finish(k, m)).toEqual(isMoved ? [0] : []);
    // Lock and reference of the fault stay until it lets go.
    expect(k.frames.has(head, PG_LOCKED)).toBe(true);
    expect(k.frames.refcount[head]).toBe(1 + others + (isMoved ? 0 : 1));
  });

  it('the reference of a fault counts for its own page only', () => {
    const { p, k, device, a, page } = onDevice(2);
    const [fault, other] = [page(0), page(1)];
    k.folios.get(fault);
    k.frames.set(fault, PG_LOCKED);
    for (let n = 0; n < 2; n++) k.folios.get(other);
    const m = collected(p, a, 2, PRIVATE, device, fault);
    expect([m.cpages, m.wants(0), m.wants(1)]).toEqual([1, true, false]);
    expect([k.frames.has(fault, PG_LOCKED), k.frames.has(other, PG_LOCKED)]).toEqual([true, false]);
  });
});

describe('the end (DM-31)', () => {
  it('a destination nobody wanted is unlocked and let go of', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const file = p.k.newFile('f', 'tmpfs', 0);
    const a = p.map(1, { file, shared: true });
    const m = collected(p, a, 1, SYSTEM);
    expect([m.cpages, m.src[0], m.srcBits[0]]).toEqual([0, -1, 0]);
    const dst = device.page();
    m.setDestination(0, dst, false);
    migrateVmaFinalize(p.k, m);
    expect([device.freed, p.k.devices.livePages(device.pagemap)]).toEqual([[dst], 0]);
  });

  it('the source of a page that moved is free, the destination mapped once and unlocked', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(1);
    const src = p.head(a);
    const before = vmstat(p.k, 'nr_free_pages');
    const m = collected(p, a, 1, SYSTEM);
    const dst = device.page();
    give(p.k, m, 0, dst);
    expect(finish(p.k, m)).toEqual([0]);
    const f = p.k.frames;
    expect([f.refcount[src], f.refcount[dst], p.k.folios.mapcount(dst)]).toEqual([0, 1, 1]);
    expect([f.has(dst, PG_LOCKED), f.has(dst, PG_LRU), f.has(dst, PG_LRU_BATCH)]).toEqual([
      false,
      false,
      false,
    ]);
    expect(p.k.frames.content![dst]).toBe(1);
    p.k.lru.drainAll();
    expect(vmstat(p.k, 'nr_free_pages')).toBeGreaterThanOrEqual(before);
    checkInvariants(p.k);
  });
});

describe('a range of a device (DM-35)', () => {
  it('what is free or locked is left out, what is in use is unmapped', () => {
    const { k, p, device, a, page } = onDevice(3);
    const locked = page(1);
    k.frames.set(locked, PG_LOCKED);
    const m = migrateDeviceRange(k, p.task, page(0), 4);
    expect([m.npages, m.cpages]).toEqual([4, 2]);
    expect([...m.src]).toEqual([page(0), -1, page(2), -1]);
    expect([...m.srcBits]).toEqual([TAKEN, 0, TAKEN, 0]);
    expect([0, 1, 2].map((i) => k.frames.refcount[page(i)])).toEqual([1, 1, 1]);
    expect([0, 2].map((i) => k.frames.has(page(i), PG_LOCKED))).toEqual([true, true]);
    for (const i of [0, 2]) give(k, m, i, systemPage(k));
    const gone = [page(0), page(2)];
    expect(finish(k, m)).toEqual([0, 2]);
    expect([device.freed, k.devices.livePages(device.pagemap)]).toEqual([gone, 1]);
    expect([p.load(a), p.load(a + 2)]).toEqual([1, 3]);
  });

  it('migrate_device_pfns: folios that do not lie beside each other, in one batch', () => {
    const { k, p, device, a, page } = onDevice(4);
    k.frames.set(page(2), PG_LOCKED);
    const m = migrateDevicePfns(k, p.task, [page(3), page(0), page(2)]);
    expect([m.npages, m.cpages, [...m.src]]).toEqual([3, 2, [page(3), page(0), -1]]);
    const gone = [page(3), page(0)];
    const locked = page(2);
    for (const i of [0, 1]) give(k, m, i, systemPage(k));
    expect(finish(k, m)).toEqual([0, 1]);
    expect(device.freed).toEqual(gone);
    k.frames.clear(locked, PG_LOCKED);
    expect([p.load(a), p.load(a + 3)]).toEqual([1, 4]);
    checkInvariants(k);
  });

  it('a large folio is one slot', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'always';
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    moveTo(device, p, a, 512, SYSTEM | MIGRATE_VMA_SELECT_COMPOUND, 9);
    const { mm } = p.task;
    const head = ptePayload(mm!.pmd[mm!.slotOf(a)]);
    const m = migrateDeviceRange(p.k, p.task, head, 512);
    expect([m.cpages, m.src[0], m.srcBits[0]]).toEqual([1, head, TAKEN | MIGRATE_PFN_COMPOUND]);
    expect([m.src[1], m.srcBits[1]]).toEqual([-1, 0]);
    // Small destinations need an area: refused.
    give(p.k, m, 0, systemPage(p.k));
    expect(finish(p.k, m)).toEqual([]);
    expect([ptePayload(mm!.pmd[mm!.slotOf(a)]), p.k.frames.refcount[head]]).toEqual([head, 1]);
    checkInvariants(p.k);
  });
});

describe('a coherent page goes home (DM-36)', () => {
  function coherent() {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_COHERENT);
    const a = p.mapWritten(1);
    moveTo(device, p, a, 1, SYSTEM);
    const head = p.head(a);
    p.k.folios.get(head);
    return { p, k: p.k, device, a, head };
  }

  it('moves: the page is in system memory, the device has its own back', () => {
    const { p, k, device, a, head } = coherent();
    expect(migrateDeviceCoherentFolio(k, p.task, head)).toBe(0);
    k.lru.drainAll();
    expect([k.pm.isZoneDevice(p.head(a)), p.load(a), p.refs(a)]).toEqual([false, 1, 1]);
    expect([p.has(a, PG_LOCKED), p.has(a, PG_LRU), device.freed]).toEqual([false, true, [head]]);
    expect(vmstat(k, 'pgmigrate_success')).toBe(0);
    checkInvariants(k);
  });

  it('locked by somebody: -EBUSY, the reference of the caller is gone', () => {
    const { p, k, a, head } = coherent();
    k.frames.set(head, PG_LOCKED);
    expect(migrateDeviceCoherentFolio(k, p.task, head)).toBe(-EBUSY);
    expect([p.head(a), p.refs(a), p.has(a, PG_LOCKED)]).toEqual([head, 1, true]);
  });

  it.each([1, 2])('held by %i others: -EBUSY, as it was', (others) => {
    const { p, k, a, head } = coherent();
    for (let n = 0; n < others; n++) k.folios.get(head);
    expect(migrateDeviceCoherentFolio(k, p.task, head)).toBe(-EBUSY);
    expect([p.head(a), p.refs(a), p.has(a, PG_LOCKED)]).toEqual([head, 1 + others, false]);
    expect(p.load(a)).toBe(1);
  });

  it('no memory: -EBUSY, as it was', () => {
    const { p, k, a, head } = coherent();
    fillNode(k, 0, 0);
    k.swap.allocate(k.swap.free);
    const before = vmstat(k, 'nr_free_pages');
    const result = migrateDeviceCoherentFolio(k, p.task, head);
    expect([result, p.head(a), p.refs(a), p.has(a, PG_LOCKED)]).toEqual([-EBUSY, head, 1, false]);
    expect(vmstat(k, 'nr_free_pages')).toBe(before);
  });
});
