/** Fast GUP and what long-term pins move out of the way: PM-2, PM-9, PM-15..PM-18, PM-22, DM-36. */
import { describe, expect, it } from 'vitest';
import { EBUSY, EFAULT, EINTR, EINVAL, ENOMEM, EOPNOTSUPP } from '../uapi/errno.ts';
import {
  FOLL_ANON,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_LONGTERM,
  FOLL_NOWAIT,
  FOLL_PCI_P2PDMA,
  FOLL_PIN,
  FOLL_WRITE,
} from '../uapi/gup.ts';
import { MR_LONGTERM_PIN } from '../uapi/migrate.ts';
import { PROT_READ } from '../uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { MIGRATE_VMA_SELECT_SYSTEM } from './deviceMigration.ts';
import { PG_ACTIVE, PG_LOCKED, PG_LRU, PG_REFERENCED } from './frameTable.ts';
import {
  getUserPages,
  getUserPagesFast,
  isLongtermPinnable,
  pinUserPages,
  pinUserPagesFast,
  putUserPages,
  unpinUserPages,
} from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { MEMORY_DEVICE_COHERENT, MEMORY_DEVICE_FS_DAX } from './memremap.ts';
import { munmapRange } from './mmap.ts';
import { mprotectRange } from './mprotect.ts';
import { PTE_KIND_PROTNONE, pteOther } from './pageTable.ts';
import { moveTo, TestDevice } from './testDevice.ts';
import { bootNodes, fillNode, isolate, migration, TestProgram, vmstat } from './testProgram.ts';
import { VM_DAX } from './vma.ts';

const LONG = FOLL_LONGTERM;
const LONG_WRITE = FOLL_LONGTERM | FOLL_WRITE;

/** N0 with NORMAL and MOVABLE, N1 with NORMAL, which long-term pins may be kept out of. */
function boot(otherTakesPins = true): TestProgram {
  const normal = { zone: ZONE_NORMAL, pages: 4096 } as const;
  const movable = { zone: ZONE_MOVABLE, pages: 4096 } as const;
  const rest = ['fallback', 'mempolicy', 'migrate_in', 'migrate_out'] as const;
  const k = bootNodes(
    [
      { cpus: [0, 1], zones: [normal, movable] },
      { cpus: [2], zones: [normal], ...(otherTakesPins ? {} : { capabilities: rest }) },
    ],
    { swapPages: 64, deviceSections: 2 },
  );
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

const fast = (p: TestProgram, vpn: number, n: number, flags: number, out: number[] = []) =>
  pinUserPagesFast(p.k, p.task, vpn, n, flags, out);
const zoneType = (p: TestProgram, vpn: number) => p.k.pm.zoneOf(p.frame(vpn)).type;
const pins = (p: TestProgram, vpn: number) => Math.floor(p.refs(vpn) / 1024);

describe('flags (PM-2)', () => {
  it.each([
    ['none', 0, 1, 1],
    ['PIN and GET are internal', FOLL_PIN, -EINVAL, -EINVAL],
    ['GET is what get_user_pages_fast does; no pin gets it', FOLL_GET, -EINVAL, 1],
    ['LONGTERM is for pins', LONG, 1, -EINVAL],
    ['nor with peer memory', LONG | FOLL_PCI_P2PDMA, -EINVAL, -EINVAL],
    ['peer memory alone', FOLL_PCI_P2PDMA, 1, 1],
    ['the fast way cannot wait or look at areas', FOLL_NOWAIT, -EINVAL, -EINVAL],
    ['ANON likewise', FOLL_ANON, -EINVAL, -EINVAL],
  ])('%s', (_what, flags, pinned, got) => {
    const p = boot();
    const a = p.mapWritten(1);
    expect(fast(p, a, 1, flags)).toBe(pinned);
    expect(getUserPagesFast(p.k, p.task, a, 1, flags, [])).toBe(got);
  });

  it('plain references and pins: one and 1024 (PM-6)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const before = p.refs(a);
    const got: number[] = [];
    getUserPagesFast(p.k, p.task, a, 1, FOLL_WRITE, got);
    expect([p.refs(a) - before, vmstat(p.k, 'nr_foll_pin_acquired')]).toEqual([1, 0]);
    getUserPages(p.k, p.task, a, 1, FOLL_WRITE, got);
    expect(p.refs(a) - before).toBe(2);
    putUserPages(p.k, got);
    fast(p, a, 1, FOLL_WRITE, got);
    expect([p.refs(a) - before, vmstat(p.k, 'nr_foll_pin_acquired')]).toEqual([1024, 1]);
    unpinUserPages(p.k, got.slice(2));
    expect([p.refs(a), vmstat(p.k, 'nr_foll_pin_released')]).toEqual([before, 1]);
  });
});

describe('the fast way (PM-9)', () => {
  it('marks folios referenced and no more; faults make them active', () => {
    const p = boot();
    const a = p.mapWritten(2);
    for (const i of [0, 1]) p.k.frames.clear(p.head(a + i), PG_REFERENCED);
    for (let n = 0; n < 2; n++) getUserPagesFast(p.k, p.task, a, 1, FOLL_WRITE, []);
    for (let n = 0; n < 2; n++) getUserPages(p.k, p.task, a + 1, 1, FOLL_WRITE, []);
    expect([p.has(a, PG_REFERENCED), p.has(a, PG_ACTIVE)]).toEqual([true, false]);
    expect(p.has(a + 1, PG_ACTIVE)).toBe(true);
  });

  it('pages in order, from the first that it cannot take on by faults', () => {
    const p = boot();
    const a = p.map(6);
    for (const i of [0, 1, 3]) p.store(a + i, 1);
    const out: number[] = [];
    expect(fast(p, a, 5, FOLL_WRITE, out)).toBe(5);
    expect(out).toEqual([0, 1, 2, 3, 4].map((i) => p.frame(a + i)));
    expect([0, 1, 2, 3, 4].map((i) => pins(p, a + i))).toEqual([1, 1, 1, 1, 1]);
    expect(vmstat(p.k, 'pgfault')).toBe(5);
  });

  it('nothing: the errno; something: a short count', () => {
    const p = boot();
    const a = p.mapWritten(4);
    munmapRange(p.k, p.task.mm!, a + 2, a + 3);
    const out: number[] = [];
    expect([fast(p, a + 2, 2, 0, out), out]).toEqual([-EFAULT, []]);
    expect([fast(p, a, 4, 0, out), out.length]).toEqual([2, 2]);
    expect([fast(p, a, 0, 0, out), out.length]).toEqual([0, 2]);
  });

  it('a hole behind pages taken by faults: the count of both', () => {
    const p = boot();
    const a = p.map(4);
    p.store(a, 1);
    munmapRange(p.k, p.task.mm!, a + 2, a + 3);
    expect(fast(p, a, 4, FOLL_WRITE)).toBe(2);
  });

  it('NUMA hints are not for it; the slow way takes their pages without a fault', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const i = p.task.mm!.pteIndex(a);
    p.k.ptes.set(i, pteOther(PTE_KIND_PROTNONE, p.frame(a)), 0);
    const out: number[] = [];
    expect(getUserPagesFast(p.k, p.task, a, 1, 0, out)).toBe(1);
    // mark_page_accessed of the slow way.
    expect([out, vmstat(p.k, 'numa_hint_faults')]).toEqual([[p.frame(a)], 0]);
    expect(getUserPagesFast(p.k, p.task, a, 1, FOLL_HONOR_NUMA_FAULT, [])).toBe(1);
    expect(vmstat(p.k, 'numa_hint_faults')).toBe(1);
  });

  it('FORCE means nothing to it: the slow way writes to what is read-only', () => {
    const p = boot();
    const a = p.mapWritten(1);
    mprotectRange(p.k, p.task.mm!, a, a + 1, PROT_READ);
    p.k.frames.clear(p.head(a), PG_REFERENCED);
    const force = FOLL_WRITE | FOLL_FORCE;
    for (let n = 0; n < 2; n++) expect(fast(p, a, 1, force)).toBe(1);
    expect(p.has(a, PG_ACTIVE)).toBe(true);
    expect(fast(p, a, 1, FOLL_WRITE)).toBe(-EFAULT);
  });

  it('a page of the cache, long-term, for writing: the slow way says -EFAULT (PM-3)', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const flags = [LONG_WRITE, LONG, FOLL_WRITE];
    expect(flags.map((one) => fast(p, a, 1, one))).toEqual([-EFAULT, 1, 1]);
  });

  it('shmem, long-term, for writing: taken without marking it active', () => {
    const p = boot();
    const a = p.mapWritten(1, { file: p.k.newFile('f', 'tmpfs', 1), shared: true });
    fast(p, a, 1, LONG_WRITE); // out of ZONE_MOVABLE
    p.k.frames.clear(p.head(a), PG_ACTIVE | PG_REFERENCED);
    for (let n = 0; n < 2; n++) expect(fast(p, a, 1, LONG_WRITE)).toBe(1);
    expect([p.has(a, PG_REFERENCED), p.has(a, PG_ACTIVE)]).toEqual([true, false]);
  });

  it.each([
    ['for reading', LONG],
    ['for writing', LONG_WRITE],
  ])('FS-DAX, long-term, %s: -EOPNOTSUPP, mapped already or not (PM-3, PM-15)', (_what, flags) => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_FS_DAX);
    const file = p.k.newFile('f', 'dax', 2);
    file.specialFrames = Int32Array.of(device.pagemap.start, device.pagemap.start + 1);
    const a = p.map(2, { file, shared: true });
    p.store(a, 1);
    expect(p.task.mm!.findVma(a)!.has(VM_DAX)).toBe(true);
    const page = p.frame(a);
    expect([p.k.pm.isZoneDevice(page), isLongtermPinnable(p.k, page)]).toEqual([true, false]);
    expect([fast(p, a, 1, flags), fast(p, a + 1, 1, flags)]).toEqual([-EOPNOTSUPP, -EOPNOTSUPP]);
    expect(fast(p, a, 1, FOLL_WRITE)).toBe(1);
  });
});

describe('pages that may not stay (PM-15, PM-17, PM-18)', () => {
  it('on a node that long-term pins are kept out of: to another node, not to the same', () => {
    const p = boot(false);
    p.task.cpu = 2;
    fillNode(p.k, 0, 0);
    const a = p.mapWritten(2);
    expect([p.nid(a), isLongtermPinnable(p.k, p.frame(a))]).toEqual([1, false]);
    expect([fast(p, a, 2, LONG_WRITE), p.nid(a)]).toEqual([-ENOMEM, 1]);
    const other = boot(false);
    other.task.memsAllowed = 2;
    const b = other.mapWritten(2);
    other.task.memsAllowed = 3;
    expect([other.nid(b), fast(other, b, 2, LONG_WRITE), other.nid(b)]).toEqual([1, 2, 0]);
    checkInvariants(other.k);
  });

  it('tracepoints say why: longterm_pin', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const reasons: unknown[] = [];
    p.k.trace.mmMigratePages.attach((_nowNs, values) => reasons.push(values.at(-1)));
    expect(pinUserPages(p.k, p.task, a, 1, LONG_WRITE, [])).toBe(1);
    expect([reasons, zoneType(p, a)]).toEqual([[MR_LONGTERM_PIN], ZONE_NORMAL]);
  });

  it('a page in the batch of another CPU moves', () => {
    const p = boot();
    p.task.cpu = 1;
    const a = p.mapWritten(2);
    p.task.cpu = 0;
    expect(p.has(a, PG_LRU)).toBe(false);
    expect(pinUserPages(p.k, p.task, a, 2, LONG_WRITE, [])).toBe(2);
    expect([zoneType(p, a), zoneType(p, a + 1)]).toEqual([ZONE_NORMAL, ZONE_NORMAL]);
  });

  it('PM-18: off its list with nobody to bring it back: spins until killed, -EINTR', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const list = isolate(p, a, 1);
    const before = p.refs(a);
    expect(pinUserPages(p.k, p.task, a, 1, LONG_WRITE, [])).toBe(-EINTR);
    expect([p.refs(a), list.length, p.k.pm.hooks.memallocPin]).toEqual([before, 1, false]);
  });

  it('PM-18: off its list by a migration on its way: pinned after that', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const op = migration(p.k, isolate(p, a, 1), 1);
    op.step();
    expect(fast(p, a, 2, LONG_WRITE)).toBe(2);
    expect([op.isDone, p.nid(a), zoneType(p, a + 1)]).toEqual([true, 1, ZONE_NORMAL]);
    checkInvariants(p.k);
  });

  it('a scope that was there before stays (PM-16)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.pm.hooks.memallocPin = true;
    pinUserPages(p.k, p.task, a, 1, LONG_WRITE, []);
    expect([p.k.pm.hooks.memallocPin, p.k.pm.hooks.memallocNocma]).toEqual([true, false]);
  });
});

describe('coherent device memory comes home before it is pinned (DM-36)', () => {
  function onDevice(pages: number) {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_COHERENT);
    const a = p.mapWritten(pages + 1);
    moveTo(device, p, a, pages, MIGRATE_VMA_SELECT_SYSTEM);
    const isDevice = () => [0, 1, 2].map((i) => p.k.pm.isZoneDevice(p.frame(a + i)));
    return { p, k: p.k, device, a, isDevice };
  }

  it('with pages of ZONE_MOVABLE beside it, in one call', () => {
    const { p, k, device, a, isDevice } = onDevice(2);
    const frames = [p.frame(a), p.frame(a + 1)];
    expect([isDevice(), zoneType(p, a + 2)]).toEqual([[true, true, false], ZONE_MOVABLE]);
    expect(isLongtermPinnable(k, frames[0])).toBe(false);
    const out: number[] = [];
    expect(fast(p, a, 3, LONG_WRITE, out)).toBe(3);
    expect([isDevice(), zoneType(p, a), zoneType(p, a + 2)]).toEqual([
      [false, false, false],
      ZONE_NORMAL,
      ZONE_NORMAL,
    ]);
    expect([device.freed, out]).toEqual([frames, [0, 1, 2].map((i) => p.frame(a + i))]);
    expect([0, 1, 2].map((i) => p.load(a + i))).toEqual([1, 2, 3]);
    unpinUserPages(k, out);
    checkInvariants(k);
  });

  it('alone: there is nothing to isolate, and it goes round again', () => {
    const { p, k, a, isDevice } = onDevice(2);
    expect([pinUserPages(k, p.task, a, 2, LONG, []), isDevice()]).toEqual([
      2,
      [false, false, false],
    ]);
  });

  it('a short-term pin is taken where it is', () => {
    const { p, a, isDevice } = onDevice(2);
    expect([fast(p, a, 3, FOLL_WRITE), isDevice()]).toEqual([3, [true, true, false]]);
  });

  it('held by somebody: -EBUSY; no pin, lock or reference stays, the rest is where it was', () => {
    const { p, k, a, isDevice } = onDevice(2);
    const first = p.frame(a);
    k.folios.get(first);
    k.folios.get(first);
    const refs = [0, 1, 2].map((i) => p.refs(a + i));
    expect(pinUserPages(k, p.task, a, 3, LONG_WRITE, [])).toBe(-EBUSY);
    expect([isDevice(), zoneType(p, a + 2)]).toEqual([[true, true, false], ZONE_MOVABLE]);
    k.lru.drainAll();
    expect([0, 1].map((i) => p.refs(a + i))).toEqual(refs.slice(0, 2));
    expect([0, 1, 2].map((i) => p.has(a + i, PG_LOCKED))).toEqual([false, false, false]);
    expect([p.has(a + 2, PG_LRU), p.refs(a + 2)]).toEqual([true, 1]);
    for (let n = 0; n < 2; n++) k.putFolio(first);
    checkInvariants(k);
  });

  it('the second one held: the first has come home and stays there', () => {
    const { p, k, a, isDevice } = onDevice(2);
    const held = p.frame(a + 1);
    for (let n = 0; n < 2; n++) k.folios.get(held);
    expect(pinUserPages(k, p.task, a, 2, LONG_WRITE, [])).toBe(-EBUSY);
    expect([isDevice(), k.frames.refcount[held]]).toEqual([[false, true, false], 1 + 2]);
    for (let n = 0; n < 2; n++) k.putFolio(held);
    expect([pinUserPages(k, p.task, a, 2, LONG_WRITE, []), isDevice()]).toEqual([
      2,
      [false, false, false],
    ]);
    checkInvariants(k);
  });
});
