/** What the first step of a device migration takes, entry by entry: DM-21..DM-24, DM-98. */
import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../hw/index.ts';
import { FOLL_WRITE } from '../uapi/gup.ts';
import { MADV_PAGEOUT, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  MIGRATE_PFN_COMPOUND,
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_COMPOUND,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_ENTRIES,
  MIGRATE_VMA_SELECT_SYSTEM,
} from './deviceMigration.ts';
import { PG_LOCKED } from './frameTable.ts';
import { pinUserPages } from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { MEMORY_DEVICE_COHERENT, MEMORY_DEVICE_PRIVATE } from './memremap.ts';
import {
  MMU_NOTIFY_MIGRATE,
  MmuInterval,
  type MmuRange,
  mmuIntervalInsert,
} from './mmuNotifier.ts';
import { mprotectRange } from './mprotect.ts';
import { PTE_KIND_MIGRATION, pteIsKind, ptePayload } from './pageTable.ts';
import { collected, finish, moveTo, TestDevice } from './testDevice.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;
const PRIVATE = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
const COHERENT = MIGRATE_VMA_SELECT_DEVICE_COHERENT;
const COMPOUND = MIGRATE_VMA_SELECT_COMPOUND;
const ENTRIES = MIGRATE_VMA_SELECT_ENTRIES;
const HOLE = MIGRATE_PFN_MIGRATE;
const READ = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
const WRITE = READ | MIGRATE_PFN_WRITE;
const HUGE = 512 * 1024;

function boot(thp: 'always' | 'never' = 'never', kernel: KernelVersion = '7.3'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const k = bootNodes([{ cpus: [0], zones }], { kernel, swapPages: 64, deviceSections: 2 });
  k.sysctl.thp_enabled = thp;
  return new TestProgram(k);
}

/** The PMD of an address. */
function pmdOf(p: TestProgram, vpn: number): number {
  const { mm } = p.task;
  return mm!.pmd[mm!.slotOf(vpn)];
}

describe('one entry (DM-22)', () => {
  it('DM-22.1, S-DM-09: a hole is anonymous memory to be filled, of a file nothing', () => {
    const p = boot();
    const a = p.map(3);
    p.store(a + 1, 7);
    const m = collected(p, a, 3, SYSTEM);
    expect([[...m.srcBits], [m.src[0], m.src[2]], m.cpages, m.npages]).toEqual([
      [HOLE, WRITE, HOLE],
      [-1, -1],
      3,
      3,
    ]);
    const file = p.k.newFile('f', 'tmpfs', 4);
    const b = p.map(3, { file, shared: true });
    p.store(b + 1, 7);
    const n = collected(p, b, 3, SYSTEM);
    expect([[...n.srcBits], n.cpages]).toEqual([[0, WRITE, 0], 1]);
  });

  it('DM-22.1, S-DM-08: an area that has no page table at all', () => {
    const p = boot();
    const a = p.map(1024, { addr: HUGE });
    p.store(a + 600, 7);
    const m = collected(p, a + 500, 120, SYSTEM);
    expect([m.npages, m.cpages, m.src[100], m.srcBits[100]]).toEqual([
      120,
      120,
      p.k.frames.headOf(m.src[100]),
      WRITE,
    ]);
    expect(m.srcBits.filter((bits) => bits === HOLE)).toHaveLength(119);
    const file = p.k.newFile('f', 'tmpfs', 4);
    const b = p.map(4, { file, shared: true });
    const n = collected(p, b, 4, SYSTEM);
    expect([[...n.srcBits], n.cpages, n.npages]).toEqual([[0, 0, 0, 0], 0, 4]);
  });

  it('DM-22.2: what is swapped out stays there', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.lru.drainAll();
    expect(madviseRange(p.k, p.task, a, a + 1, MADV_PAGEOUT)).toBe(0);
    const before = p.entry(a);
    const m = collected(p, a, 2, SYSTEM | PRIVATE | COHERENT);
    expect([[...m.srcBits], m.cpages, p.entry(a)]).toEqual([[0, WRITE], 1, before]);
  });

  it.each([
    ['private', MEMORY_DEVICE_PRIVATE, PRIVATE, true, 1],
    ['private of another owner', MEMORY_DEVICE_PRIVATE, PRIVATE, false, 0],
    ['private, not selected', MEMORY_DEVICE_PRIVATE, SYSTEM | COHERENT, true, 0],
    ['coherent', MEMORY_DEVICE_COHERENT, COHERENT, true, 1],
    ['coherent of another owner', MEMORY_DEVICE_COHERENT, COHERENT, false, 0],
    ['coherent, not selected', MEMORY_DEVICE_COHERENT, SYSTEM | PRIVATE, true, 0],
  ] as const)('DM-22.3, DM-22.5: %s', (_name, type, select, isOwner, count) => {
    const p = boot();
    const device = new TestDevice(p.k, type);
    const a = p.mapWritten(1);
    expect(moveTo(device, p, a, 1, SYSTEM)).toEqual([0]);
    const before = p.entry(a);
    const head = ptePayload(before.word);
    const m = collected(p, a, 1, select, isOwner ? device : p);
    expect([m.cpages, m.src[0], m.srcBits[0]]).toEqual(count === 1 ? [1, head, WRITE] : [0, -1, 0]);
    expect([p.k.frames.refcount[head], p.k.frames.has(head, PG_LOCKED)]).toEqual([1, count === 1]);
    if (count === 0) expect(p.entry(a)).toEqual(before);
    expect(finish(p.k, m)).toEqual([]);
    checkInvariants(p.k);
  });

  it.each([
    ['SYSTEM', SYSTEM, HOLE, 1],
    ['PRIVATE', PRIVATE, 0, 0],
    ['COHERENT', COHERENT, 0, 0],
  ])('DM-22.4: the zero page with %s', (_name, select, bits, count) => {
    const p = boot();
    const a = p.map(1);
    expect(p.load(a)).toBe(0);
    const before = p.entry(a);
    const m = collected(p, a, 1, select);
    expect([m.src[0], m.srcBits[0], m.cpages, p.entry(a)]).toEqual([-1, bits, count, before]);
  });

  it('DM-22.5: a system page that was not selected is as before', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const before = [p.entry(a), p.refs(a)];
    const m = collected(p, a, 1, PRIVATE | COHERENT);
    expect([m.src[0], m.srcBits[0], m.cpages]).toEqual([-1, 0, 0]);
    expect([p.entry(a), p.refs(a)]).toEqual(before);
  });

  it('DM-22.6: a large folio in PTEs is split', () => {
    const p = boot();
    p.k.sysctl.mthpAlways = 1 << 4;
    const a = p.mapWritten(16, { addr: HUGE });
    expect(p.k.folios.nrPages(p.head(a))).toBe(16);
    const m = collected(p, a, 16, SYSTEM);
    expect([m.cpages, m.srcBits.every((bits) => bits === WRITE)]).toEqual([16, true]);
    expect(new Set(m.src).size).toBe(16);
    expect(p.k.folios.isLarge(m.src[0])).toBe(false);
  });

  it('DM-22.6: one that cannot be split ends its table, not the range', () => {
    const p = boot();
    const a = p.map(1024, { addr: HUGE });
    p.store(a, 1);
    p.k.sysctl.mthpAlways = 1 << 4;
    p.store(a + 16, 2);
    p.k.sysctl.mthpAlways = 0;
    for (const i of [40, 520]) p.store(a + i, 3);
    p.k.lru.drainAll();
    expect(p.k.folios.nrPages(p.head(a + 16))).toBe(16);
    p.k.folios.get(p.head(a + 16));
    const refs = p.refs(a + 16);
    const m = collected(p, a, 1024, SYSTEM);
    expect([0, 1, 15, 16, 17, 40, 511].map((i) => m.srcBits[i])).toEqual([
      WRITE,
      HOLE,
      HOLE,
      0,
      0,
      0,
      0,
    ]);
    expect([512, 520, 521].map((i) => m.srcBits[i])).toEqual([HOLE, WRITE, HOLE]);
    expect([m.cpages, m.npages, p.refs(a + 16)]).toEqual([16 + 512, 1024, refs]);
  });

  it('DM-22.8, S-DM-10: a locked page is left out, with its references', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.lru.drainAll();
    const before = p.entry(a);
    p.k.frames.set(p.head(a), PG_LOCKED);
    const m = collected(p, a, 2, SYSTEM);
    expect([[...m.srcBits], m.cpages, p.refs(a), p.entry(a)]).toEqual([[0, WRITE], 1, 1, before]);
    expect(p.has(a, PG_LOCKED)).toBe(true);
  });

  it('DM-22.9, S-DM-11: a pinned page is left out, unlocked, with its entry', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const pages: number[] = [];
    expect(pinUserPages(p.k, p.task, a, 1, FOLL_WRITE, pages)).toBe(1);
    p.k.lru.drainAll();
    const before = [p.refs(a), p.entry(a)];
    const m = collected(p, a, 1, SYSTEM);
    expect([m.src[0], m.srcBits[0], m.cpages]).toEqual([-1, 0, 0]);
    expect([[p.refs(a), p.entry(a)], p.has(a, PG_LOCKED)]).toEqual([before, false]);
  });

  it('DM-22.10: WRITE only if the entry is writable', () => {
    const p = boot();
    const a = p.mapWritten(2);
    expect(mprotectRange(p.k, p.task.mm!, a, a + 2, PROT_READ)).toBe(0);
    expect([...collected(p, a, 2, SYSTEM).srcBits]).toEqual([READ, READ]);
  });

  it('DM-22: mirrors hear of the range, and whose migration it is', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const seen: MmuRange[] = [];
    const listener = { invalidate: (range: MmuRange) => seen.push(range) };
    expect(mmuIntervalInsert(new MmuInterval(p.task.mm!, a, a + 4, listener))).toBe(0);
    collected(p, a + 1, 2, SYSTEM, p);
    expect(seen).toEqual([{ start: a + 1, end: a + 3, event: MMU_NOTIFY_MIGRATE, owner: p }]);
  });
});

describe('a PMD (DM-23, DM-24)', () => {
  it('taken whole: one slot, locked, one reference', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const head = p.head(a);
    const m = collected(p, a, 512, SYSTEM | COMPOUND);
    expect([m.src[0], m.srcBits[0], m.cpages]).toEqual([head, WRITE | MIGRATE_PFN_COMPOUND, 1]);
    expect([m.src[1], m.srcBits[1]]).toEqual([-1, 0]);
    expect([p.k.frames.refcount[head], p.k.frames.has(head, PG_LOCKED)]).toEqual([1, true]);
    expect(pteIsKind(pmdOf(p, a), PTE_KIND_MIGRATION)).toBe(true);
    finish(p.k, m);
    expect([ptePayload(pmdOf(p, a)), p.has(a, PG_LOCKED), p.load(a + 9)]).toEqual([
      head,
      false,
      10,
    ]);
    checkInvariants(p.k);
  });

  it('read-only: without WRITE', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    expect(mprotectRange(p.k, p.task.mm!, a, a + 512, PROT_READ)).toBe(0);
    expect(collected(p, a, 512, SYSTEM | COMPOUND).srcBits[0]).toBe(READ | MIGRATE_PFN_COMPOUND);
  });

  it.each([
    ['without COMPOUND', '7.3', SYSTEM],
    ['DM-24: before 6.19', '6.12', SYSTEM | COMPOUND],
  ] as const)('%s it is split: 512 slots', (_name, kernel, select) => {
    const p = boot('always', kernel);
    const a = p.mapWritten(512, { addr: HUGE });
    const m = collected(p, a, 512, select);
    expect([m.cpages, m.srcBits.every((bits) => bits === WRITE)]).toEqual([512, true]);
    expect([vmstat(p.k, 'thp_split_page'), new Set(m.src).size]).toEqual([1, 512]);
    finish(p.k, m);
    p.k.lru.drainAll();
    expect([0, 100, 511].map((i) => p.refs(a + i))).toEqual([1, 1, 1]);
    checkInvariants(p.k);
  });

  it('part of it: split, and only the part is taken', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const m = collected(p, a + 100, 200, SYSTEM | COMPOUND);
    expect([m.cpages, m.npages, vmstat(p.k, 'thp_split_page')]).toEqual([200, 200, 1]);
    expect([p.load(a + 99), p.load(a + 300)]).toEqual([100, 301]);
  });

  it('locked: left out whole', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    p.k.lru.drainAll();
    const before = pmdOf(p, a);
    p.k.frames.set(p.head(a), PG_LOCKED);
    const m = collected(p, a, 512, SYSTEM | COMPOUND);
    expect([m.cpages, m.src[0], pmdOf(p, a), p.refs(a)]).toEqual([0, -1, before, 1]);
    expect(vmstat(p.k, 'thp_split_page_failed')).toBe(0);
  });

  it('pinned: a split is tried and fails, all as it was', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const pages: number[] = [];
    expect(pinUserPages(p.k, p.task, a + 3, 1, FOLL_WRITE, pages)).toBe(1);
    p.k.lru.drainAll();
    const refs = p.refs(a);
    const m = collected(p, a, 512, SYSTEM | COMPOUND);
    expect([m.cpages, m.src[0], m.srcBits[0], ptePayload(pmdOf(p, a))]).toEqual([
      0,
      -1,
      0,
      p.head(a),
    ]);
    expect([p.refs(a), p.has(a, PG_LOCKED)]).toEqual([refs, false]);
    expect(vmstat(p.k, 'thp_split_page_failed')).toBe(1);
  });

  it('of the system, not selected: as it was', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const before = pmdOf(p, a);
    const m = collected(p, a, 512, PRIVATE | COMPOUND);
    expect([m.cpages, m.src[0], pmdOf(p, a)]).toEqual([0, -1, before]);
  });

  it.each([
    ['COMPOUND', SYSTEM | COMPOUND, 1, HOLE | MIGRATE_PFN_COMPOUND, 0],
    ['small slots', SYSTEM, 512, HOLE, HOLE],
    ['not SYSTEM', PRIVATE | COMPOUND, 0, 0, 0],
    ['hmm_migrate of 2016 (DM-98)', SYSTEM | ENTRIES, 0, 0, 0],
  ])('the huge zero page is a hole: %s', (_name, select, count, first, last) => {
    const p = boot('always');
    const a = p.map(512, { addr: HUGE });
    expect(p.load(a)).toBe(0);
    const before = pmdOf(p, a);
    expect(before).not.toBe(0);
    const m = collected(p, a, 512, select);
    expect([m.cpages, m.srcBits[0], m.srcBits[511], m.src[0]]).toEqual([count, first, last, -1]);
    expect(pmdOf(p, a)).toBe(before);
  });

  it.each([
    ['COMPOUND', SYSTEM | COMPOUND, 512, 1],
    ['COMPOUND, half of it', SYSTEM | COMPOUND, 256, 256],
    ['small slots', SYSTEM, 512, 512],
    ['hmm_migrate of 2016 (DM-98)', SYSTEM | ENTRIES, 512, 0],
  ])('2 MiB of nothing: %s', (_name, select, nr, count) => {
    const p = boot('always');
    const a = p.map(512, { addr: HUGE });
    const m = collected(p, a, nr, select);
    expect([m.cpages, m.npages]).toEqual([count, nr]);
    const isWhole = count === 1;
    expect(m.isCompound(0)).toBe(isWhole);
    expect(m.wants(nr - 1)).toBe(count > 1);
  });

  it('DM-98: hmm_migrate takes pages with entries of their own only', () => {
    const p = boot();
    const a = p.map(64, { addr: HUGE });
    p.k.sysctl.mthpAlways = 1 << 4;
    p.store(a + 16, 1);
    p.k.sysctl.mthpAlways = 0;
    p.store(a, 1);
    expect(p.load(a + 1)).toBe(0);
    const large = p.head(a + 16);
    const m = collected(p, a, 64, SYSTEM | ENTRIES);
    expect([m.cpages, m.srcBits[0], m.srcBits[1], m.srcBits[2], m.srcBits[16]]).toEqual([
      1,
      WRITE,
      0,
      0,
      0,
    ]);
    expect(p.k.folios.isLarge(large)).toBe(true);
    const b = boot('always');
    const huge = b.mapWritten(512, { addr: HUGE });
    const before = pmdOf(b, huge);
    expect([collected(b, huge, 512, SYSTEM | ENTRIES).cpages, pmdOf(b, huge)]).toEqual([0, before]);
  });
});

describe('a large folio of a device (DM-23)', () => {
  function large() {
    const p = boot('always');
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const a = p.mapWritten(512, { addr: HUGE });
    expect(moveTo(device, p, a, 512, SYSTEM | COMPOUND, 9)).toEqual([0]);
    return { p, k: p.k, device, a, head: ptePayload(pmdOf(p, a)) };
  }

  it.each([
    ['its owner, whole', PRIVATE | COMPOUND, true, 1],
    ['its owner, in pieces', PRIVATE, true, 512],
    ['another owner', PRIVATE | COMPOUND, false, 0],
    ['not selected', SYSTEM | COMPOUND, true, 0],
  ])('%s', (_name, select, isOwner, count) => {
    const { p, k, device, a, head } = large();
    const before = pmdOf(p, a);
    const m = collected(p, a, 512, select, isOwner ? device : p);
    expect(m.cpages).toBe(count);
    if (count === 0) expect(pmdOf(p, a)).toBe(before);
    else expect([m.src[0], k.frames.refcount[head]]).toEqual([head, 1]);
    finish(k, m);
    expect([k.frames.refcount[head], k.frames.has(head, PG_LOCKED)]).toEqual([1, false]);
    checkInvariants(k);
  });

  it.each([0, 7])('a fault of page %i splits it: lock and reference follow the page', (at) => {
    const { p, k, device, a, head } = large();
    const f = k.frames;
    k.folios.get(head);
    f.set(head, PG_LOCKED);
    const m = collected(p, a, 512, PRIVATE, device, head + at);
    expect([m.cpages, k.folios.isLarge(head)]).toEqual([512, false]);
    expect([f.refcount[head + at], f.refcount[head + 9]]).toEqual([2, 1]);
    finish(k, m);
    // Its mapping and the fault.
    expect([f.refcount[head + at], f.has(head + at, PG_LOCKED)]).toEqual([2, true]);
    expect([f.refcount[head + 9], f.has(head + 9, PG_LOCKED)]).toEqual([1, false]);
    if (at !== 0) expect([f.refcount[head], f.has(head, PG_LOCKED)]).toEqual([1, false]);
    f.clear(head + at, PG_LOCKED);
    k.putFolio(head + at);
    checkInvariants(k);
  });

  it('a fault takes it whole though the fault has it locked', () => {
    const { p, k, device, a, head } = large();
    k.folios.get(head);
    k.frames.set(head, PG_LOCKED);
    const m = collected(p, a, 512, PRIVATE | COMPOUND, device, head + 7);
    expect([m.cpages, m.src[0], k.frames.refcount[head]]).toEqual([1, head, 2]);
    finish(k, m);
    expect([k.frames.refcount[head], k.frames.has(head, PG_LOCKED)]).toEqual([2, true]);
  });
});
