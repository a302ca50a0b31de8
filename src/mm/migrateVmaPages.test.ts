/** The middle step of a device migration, slot by slot: DM-30, DM-32, DM-61. */
import { describe, expect, it } from 'vitest';
import { PROT_NONE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  type DeviceMigration,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
} from './deviceMigration.ts';
import {
  PG_ANON_EXCLUSIVE,
  PG_LOCKED,
  PG_LRU,
  PG_LRU_BATCH,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
} from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import {
  clearPages,
  MEMORY_DEVICE_COHERENT,
  MEMORY_DEVICE_PCI_P2PDMA,
  MEMORY_DEVICE_PRIVATE,
} from './memremap.ts';
import {
  MMU_NOTIFY_MIGRATE,
  MmuInterval,
  type MmuRange,
  mmuIntervalInsert,
} from './mmuNotifier.ts';
import {
  PTE_D,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_WRITE,
  pteFast,
  pteIsKind,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { addToSwapCache } from './swapCache.ts';
import { collected, finish, give, moveTo, systemPage, TestDevice } from './testDevice.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';
import { VM_UFFD_MISSING } from './vma.ts';

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;
const PRIVATE = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
const COMPOUND = MIGRATE_VMA_SELECT_COMPOUND;
const HUGE = 512 * 1024;
const RW = PROT_READ | PROT_WRITE;

function boot(thp: 'always' | 'never' = 'never'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const k = bootNodes([{ cpus: [0], zones }], { swapPages: 64, deviceSections: 2 });
  k.sysctl.thp_enabled = thp;
  return new TestProgram(k);
}

/** A destination for a hole: zeroes. */
function giveZeroes(p: TestProgram, m: DeviceMigration, slot: number, dst: number): void {
  clearPages(p.k, dst, p.k.folios.nrPages(dst));
  give(p.k, m, slot, dst);
}

describe('a hole is filled (DM-30)', () => {
  it.each([
    ['private', MEMORY_DEVICE_PRIVATE, RW],
    ['private, read-only', MEMORY_DEVICE_PRIVATE, PROT_READ],
    ['private, PROT_NONE', MEMORY_DEVICE_PRIVATE, PROT_NONE],
    ['coherent', MEMORY_DEVICE_COHERENT, RW],
    ['coherent, read-only', MEMORY_DEVICE_COHERENT, PROT_READ],
    ['coherent, PROT_NONE', MEMORY_DEVICE_COHERENT, PROT_NONE],
    ['of the system', 0, RW],
  ] as const)('%s', (_name, type, prot) => {
    const p = boot();
    const { k } = p;
    const device = type === 0 ? null : new TestDevice(k, type);
    const a = p.map(3, { prot });
    const m = collected(p, a, 3, SYSTEM);
    const dst = device?.page() ?? systemPage(k);
    giveZeroes(p, m, 1, dst);
    expect(finish(k, m)).toEqual([1]);
    const isPrivate = type === MEMORY_DEVICE_PRIVATE;
    const adw = prot === RW ? PTE_W | PTE_D : 0;
    const present = prot === PROT_NONE ? pteOther(PTE_KIND_PROTNONE, dst) : pteFast(dst, adw);
    const word = isPrivate ? pteOther(PTE_KIND_DEVICE_PRIVATE, dst) : present;
    const privateByte = prot === RW ? PTEB_WRITE : 0;
    expect(p.entry(a + 1)).toEqual({ word, byte: isPrivate ? privateByte : PTEB_SOFT_DIRTY });
    const { mm } = p.task;
    expect([mm!.rssAnon, k.folios.mapcount(dst), p.entry(a).word, p.entry(a + 2).word]).toEqual([
      1, 1, 0, 0,
    ]);
    expect(k.frames.flags[dst] & (PG_SWAPBACKED | PG_ANON_EXCLUSIVE | PG_LOCKED)).toBe(
      PG_SWAPBACKED | PG_ANON_EXCLUSIVE,
    );
    k.lru.drainAll();
    expect([k.frames.refcount[dst], k.frames.has(dst, PG_LRU)]).toEqual([1, type === 0]);
    expect(k.frames.has(dst, PG_LRU_BATCH)).toBe(false);
    checkInvariants(k);
  });

  it('the zero page gives way', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(1);
    expect(p.load(a)).toBe(0);
    const m = collected(p, a, 1, SYSTEM);
    const dst = device.page();
    giveZeroes(p, m, 0, dst);
    expect(finish(p.k, m)).toEqual([0]);
    expect(p.entry(a)).toEqual({ word: pteOther(PTE_KIND_DEVICE_PRIVATE, dst), byte: PTEB_WRITE });
    expect(p.task.mm!.rssAnon).toBe(1);
    checkInvariants(p.k);
  });

  it('what a program stored meanwhile stays, the destination is free again', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(2);
    const m = collected(p, a, 2, SYSTEM);
    p.store(a, 7);
    const [one, two] = [device.page(), device.page()];
    giveZeroes(p, m, 0, one);
    giveZeroes(p, m, 1, two);
    expect(finish(p.k, m)).toEqual([1]);
    expect([p.load(a), device.freed, p.task.mm!.rssAnon]).toEqual([7, [one], 2]);
    checkInvariants(p.k);
  });

  it('no anonymous page can be of other device memory', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PCI_P2PDMA);
    const a = p.mapWritten(1);
    const b = p.map(1);
    const [m, n] = [collected(p, a, 1, SYSTEM), collected(p, b, 1, SYSTEM)];
    const [one, two] = [device.page(), device.page()];
    give(p.k, m, 0, one);
    giveZeroes(p, n, 0, two);
    expect([finish(p.k, m), finish(p.k, n), device.freed]).toEqual([[], [], [one, two]]);
    expect([p.load(a), p.entry(b).word]).toEqual([1, 0]);
    checkInvariants(p.k);
  });

  it('mirrors hear once, from the first hole to the end', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(5);
    p.store(a, 1);
    const m = collected(p, a, 5, SYSTEM, device);
    const seen: MmuRange[] = [];
    const listener = { invalidate: (range: MmuRange) => seen.push(range) };
    expect(mmuIntervalInsert(new MmuInterval(p.task.mm!, a, a + 5, listener))).toBe(0);
    for (const i of [0, 2, 3]) give(p.k, m, i, device.page());
    expect(finish(p.k, m)).toEqual([0, 2, 3]);
    expect(seen).toEqual([{ start: a + 2, end: a + 5, event: MMU_NOTIFY_MIGRATE, owner: device }]);
  });

  it('mirrors hear nothing when no hole is filled', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const file = p.k.newFile('f', 'tmpfs', 1);
    const b = p.map(1, { file, shared: true });
    const m = collected(p, b, 1, SYSTEM, device);
    const seen: MmuRange[] = [];
    const listener = { invalidate: (range: MmuRange) => seen.push(range) };
    expect(mmuIntervalInsert(new MmuInterval(p.task.mm!, b, b + 1, listener))).toBe(0);
    const dst = device.page();
    give(p.k, m, 0, dst);
    expect([finish(p.k, m), seen, device.freed]).toEqual([[], [], [dst]]);
  });

  it('S-DM-32: a userfaultfd waits for missing pages there: the hole stays one', () => {
    const p = boot();
    const { k } = p;
    const device = new TestDevice(k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(2);
    p.task.mm!.findVma(a)!.flags |= VM_UFFD_MISSING;
    const m = collected(p, a, 2, SYSTEM);
    const dst = device.page();
    giveZeroes(p, m, 0, dst);
    expect([m.cpages, finish(k, m), m.wants(0), device.freed]).toEqual([2, [], false, [dst]]);
    expect([p.entry(a).word, p.task.mm!.rssAnon]).toEqual([0, 0]);
    checkInvariants(k);
  });

  it('no memory for its page table: it stays a hole', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(1, { addr: HUGE });
    const m = collected(p, a, 1, SYSTEM);
    const dst = device.page();
    giveZeroes(p, m, 0, dst);
    while (p.k.allocPageTable(0) >= 0);
    expect([finish(p.k, m), device.freed, p.task.mm!.rssAnon]).toEqual([[], [dst], 0]);
  });
});

describe('2 MiB of nothing (DM-30, DM-61)', () => {
  function hole(touch: boolean, select = SYSTEM | COMPOUND) {
    const p = boot('always');
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(512, { addr: HUGE });
    if (touch) expect(p.load(a)).toBe(0);
    const m = collected(p, a, 512, select);
    const { mm } = p.task;
    const pmd = () => mm!.pmd[mm!.slotOf(a)];
    return { p, k: p.k, device, a, m, pmd };
  }

  it.each([
    ['never touched', false],
    ['the huge zero page', true],
  ])('%s: one entry, as a fault would make it', (_name, touch) => {
    const { p, k, device, a, m, pmd } = hole(touch);
    const faults = vmstat(k, 'thp_fault_alloc');
    const dst = device.page(9);
    giveZeroes(p, m, 0, dst);
    expect(finish(k, m)).toEqual([0]);
    expect(pmd()).toBe(pteOther(PTE_KIND_DEVICE_PRIVATE, dst));
    expect([p.entry(a).byte, p.task.mm!.rssAnon, k.frames.refcount[dst]]).toEqual([
      PTEB_WRITE,
      512,
      1,
    ]);
    expect(k.frames.flags[dst] & (PG_SWAPBACKED | PG_ANON_EXCLUSIVE)).toBe(
      PG_SWAPBACKED | PG_ANON_EXCLUSIVE,
    );
    expect([vmstat(k, 'thp_fault_alloc') - faults, device.freed]).toEqual([1, []]);
    expect([k.frames.has(dst, PG_LRU), k.frames.has(dst, PG_LRU_BATCH)]).toEqual([false, false]);
    checkInvariants(k);
  });

  it('S-DM-32: a userfaultfd waits for missing pages there: refused', () => {
    const { p, k, device, a, m, pmd } = hole(false);
    p.task.mm!.findVma(a)!.flags |= VM_UFFD_MISSING;
    const dst = device.page(9);
    giveZeroes(p, m, 0, dst);
    expect([finish(k, m), pmd(), device.freed]).toEqual([[], 0, [dst]]);
    checkInvariants(k);
  });

  it('a large folio of the system goes to the LRU', () => {
    const { p, k, m, pmd } = hole(false);
    const dst = systemPage(k, 9);
    giveZeroes(p, m, 0, dst);
    expect(finish(k, m)).toEqual([0]);
    k.lru.drainAll();
    expect([pmd(), k.frames.has(dst, PG_LRU), k.frames.refcount[dst]]).toEqual([
      pteFast(dst, PTE_W | PTE_D),
      true,
      1,
    ]);
    checkInvariants(k);
  });

  it.each([
    ['never touched', false, SYSTEM | COMPOUND],
    ['the huge zero page', true, SYSTEM | COMPOUND],
    ['the huge zero page, in small slots', true, SYSTEM],
  ])('%s: small destinations fill it page by page', (_name, touch, select) => {
    const { p, k, device, a, m } = hole(touch, select);
    for (const i of [0, 3, 511]) giveZeroes(p, m, i, device.page());
    expect(finish(k, m)).toEqual([0, 3, 511]);
    for (const i of [0, 3, 511]) {
      expect(pteIsKind(p.entry(a + i).word, PTE_KIND_DEVICE_PRIVATE)).toBe(true);
    }
    expect([p.task.mm!.rssAnon, vmstat(k, 'thp_fault_alloc')]).toEqual([3, 0]);
    expect(pteIsKind(p.entry(a + 1).word, PTE_KIND_DEVICE_PRIVATE)).toBe(false);
    checkInvariants(k);
  });

  it.each([
    ['a huge page', 'always', 9],
    ['a huge page', 'always', 0],
    ['a small page', 'never', 9],
  ] as const)('a fault made %s of it meanwhile (%s, order %i): refused', (_name, thp, order) => {
    const { p, k, device, a, m } = hole(false);
    k.sysctl.thp_enabled = thp;
    p.store(a, 7);
    const dst = device.page(order);
    giveZeroes(p, m, 0, dst);
    const faults = vmstat(k, 'thp_fault_alloc');
    expect([finish(k, m), device.freed, p.load(a)]).toEqual([[], [dst], 7]);
    expect([vmstat(k, 'thp_fault_alloc'), k.pm.isZoneDevice(p.frame(a))]).toEqual([faults, false]);
    checkInvariants(k);
  });

  it.each([
    ['that does not begin at 2 MiB', 1, 600],
    ['whose area ends before', 0, 256],
  ])('a large destination for a small hole %s: refused', (_name, slot, pages) => {
    const p = boot('always');
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.map(pages, { addr: HUGE });
    const m = collected(p, a, 256, SYSTEM);
    const dst = device.page(9);
    giveZeroes(p, m, slot, dst);
    expect([finish(p.k, m), device.freed, p.task.mm!.rssAnon]).toEqual([[], [dst], 0]);
    checkInvariants(p.k);
  });

  it('no memory for the page table beside it: refused', () => {
    const { p, k, device, m, pmd } = hole(false);
    const dst = device.page(9);
    giveZeroes(p, m, 0, dst);
    while (k.allocPageTable(0) >= 0);
    expect([finish(k, m), device.freed, p.task.mm!.rssAnon]).toEqual([[], [dst], 0]);
    expect(pmd() ?? 0).toBe(0);
  });
});

describe('a page is switched (DM-30)', () => {
  it('S-DM-13: a slot without a destination loses MIGRATE, the others move', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(3);
    const m = collected(p, a, 3, SYSTEM);
    for (const i of [0, 2]) give(p.k, m, i, device.page());
    expect([finish(p.k, m), m.wants(1)]).toEqual([[0, 2], false]);
    expect([p.load(a + 1), p.task.mm!.rssAnon]).toEqual([2, 3]);
    p.k.lru.drainAll();
    expect(p.has(a + 1, PG_LRU)).toBe(true);
    checkInvariants(p.k);
  });

  it('a slot that was not collected takes no destination', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(2);
    const m = collected(p, a, 2, SYSTEM);
    const dst = device.page();
    give(p.k, m, 0, dst);
    // The driver thinks better of it.
    m.srcBits[0] = 0;
    expect([finish(p.k, m), device.freed, p.load(a)]).toEqual([[], [dst], 1]);
    checkInvariants(p.k);
  });

  it('S-DM-14: a page of a file stays', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(1, { file: p.k.newFile('f', 'tmpfs', 1), shared: true });
    expect(moveTo(device, p, a, 1, SYSTEM)).toEqual([]);
    expect([device.freed.length, p.load(a), p.task.mm!.rssAnon]).toEqual([1, 1, 0]);
    checkInvariants(p.k);
  });

  it.each([
    ['device, slot free otherwise', true, false, true],
    ['device, slot still in use', true, true, false],
    ['system, slot still in use', false, true, true],
  ])('S-DM-35: in the swap cache, to the %s', (_name, toDevice, inUse, isMoved) => {
    const p = boot();
    const { k } = p;
    const device = new TestDevice(k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(1);
    k.lru.drainAll();
    const slot = k.swap.allocate(1);
    addToSwapCache(k, p.head(a), slot);
    if (inUse) k.swap.duplicate(slot);
    else while (k.swap.count(slot) > 0) k.swap.release(slot);
    const m = collected(p, a, 1, SYSTEM);
    const dst = toDevice ? device.page() : systemPage(k);
    give(k, m, 0, dst);
    expect(finish(k, m)).toEqual(isMoved ? [0] : []);
    const { word } = p.entry(a);
    expect([ptePayload(word) === dst, k.frames.content![ptePayload(word)]]).toEqual([isMoved, 1]);
    expect(k.frames.has(ptePayload(word), PG_SWAPCACHE)).toBe(inUse);
  });

  it('S-DM-23: a large destination for a small page: refused', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(1);
    const m = collected(p, a, 1, SYSTEM);
    const dst = device.page(9);
    m.setDestination(0, dst, true);
    expect([finish(p.k, m), device.freed, p.load(a)]).toEqual([[], [dst], 1]);
    checkInvariants(p.k);
  });
});

describe('a large folio to small pages (DM-61, DM-62)', () => {
  function large() {
    const p = boot('always');
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(512, { addr: HUGE });
    expect(moveTo(device, p, a, 512, SYSTEM | COMPOUND, 9)).toEqual([0]);
    const { mm } = p.task;
    const pmd = () => mm!.pmd[mm!.slotOf(a)];
    return { p, k: p.k, device, a, head: ptePayload(pmd()), pmd };
  }

  it('split in the middle: those with a destination move, the rest are small pages', () => {
    const { p, k, device, a, head } = large();
    const m = collected(p, a, 512, PRIVATE | COMPOUND, device);
    give(k, m, 0, systemPage(k));
    const rest = [5, 511].map((i) => [i, systemPage(k)] as const);
    for (const [i, dst] of rest) {
      k.frames.content![dst] = i + 1;
      m.setDestination(i, dst, false);
    }
    expect(finish(k, m)).toEqual([0, 5, 511]);
    expect([0, 5, 511].map((i) => p.load(a + i))).toEqual([1, 6, 512]);
    expect(device.freed).toEqual([head, head + 5, head + 511]);
    expect([k.frames.refcount[head + 1], k.frames.has(head + 1, PG_LOCKED)]).toEqual([1, false]);
    expect(p.entry(a + 1).word).toBe(pteOther(PTE_KIND_DEVICE_PRIVATE, head + 1));
    checkInvariants(k);
  });

  it('DM-30: somebody else has it: not split, not moved', () => {
    const { p, k, device, a, head, pmd } = large();
    k.folios.get(head);
    const m = collected(p, a, 512, PRIVATE | COMPOUND, device);
    expect(m.cpages).toBe(1);
    const dst = systemPage(k);
    give(k, m, 0, dst);
    expect(finish(k, m)).toEqual([]);
    // The entries are small already when the folio turns out to be held.
    expect([k.frames.refcount[head], k.frames.refcount[dst]]).toEqual([512 + 1, 0]);
    expect([k.folios.isLarge(head), k.frames.has(head, PG_LOCKED)]).toEqual([true, false]);
    expect([0, 8].map((i) => p.entry(a + i).word !== 0)).toEqual([true, true]);
    expect(pmd()).toBe(0);
    checkInvariants(k);
  });

  it.each([
    [0, true],
    [1, false],
  ])('for a fault, %i others: split %s, the fault keeps its page', (others, isSplit) => {
    const { p, k, device, a, head } = large();
    for (let n = 0; n < 1 + others; n++) k.folios.get(head);
    k.frames.set(head, PG_LOCKED);
    const m = collected(p, a, 512, PRIVATE | COMPOUND, device, head + 7);
    expect(m.cpages).toBe(1);
    give(k, m, 0, systemPage(k));
    expect(finish(k, m)).toEqual(isSplit ? [0] : []);
    const f = k.frames;
    // Mappings, fault, others.
    if (isSplit) expect([f.refcount[head + 7], f.refcount[head + 8]]).toEqual([2, 1]);
    else expect(f.refcount[head]).toBe(512 + 1 + others);
    expect(f.has(isSplit ? head + 7 : head, PG_LOCKED)).toBe(true);
    expect(k.folios.isLarge(head)).toBe(!isSplit);
  });
});
