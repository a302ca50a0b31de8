/** Device-private and device-exclusive entries: DM-40..DM-43, DM-70..DM-77. */
import { describe, expect, it } from 'vitest';
import { EBUSY, EFAULT, EOPNOTSUPP } from '../uapi/errno.ts';
import { PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { makeDeviceExclusive } from './deviceExclusive.ts';
import { MIGRATE_VMA_SELECT_COMPOUND, MIGRATE_VMA_SELECT_SYSTEM } from './deviceMigration.ts';
import { FAULT_DONE, FAULT_WAIT, handleFault } from './fault.ts';
import { exitTask } from './fork.ts';
import { PG_ANON_EXCLUSIVE, PG_DIRTY, PG_LOCKED } from './frameTable.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { checkInvariants } from './invariants.ts';
import { type DeviceFault, MEMORY_DEVICE_PRIVATE } from './memremap.ts';
import { mprotectRange } from './mprotect.ts';
import {
  PTE_D,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  pteFast,
  pteOther,
} from './pageTable.ts';
import { moveTo, TestDevice } from './testDevice.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';

const HUGE = 512 * 1024;

function boot(thp: 'always' | 'never' = 'never'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { deviceSections: 2 });
  k.sysctl.thp_enabled = thp;
  return new TestProgram(k);
}

const exclusive = (p: TestProgram, vpn: number) => makeDeviceExclusive(p.k, p.task, vpn, null);

describe('exclusive access for a device (DM-70, DM-72)', () => {
  it('a huge page of shmem is refused, and mapped by an entry then (FOLL_SPLIT_PMD)', () => {
    const p = boot('always');
    const file = p.k.newFile('t', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.mapWritten(512, { file, shared: true, addr: HUGE });
    const { mm } = p.task;
    expect(mm!.pmd[mm!.slotOf(a)]).not.toBe(0);
    expect(exclusive(p, a + 7)).toBe(-EOPNOTSUPP);
    expect(mm!.pmd[mm!.slotOf(a)]).toBe(0);
    checkInvariants(p.k);
    expect(p.load(a + 7)).toBe(8);
  });

  it('the page stays and keeps its mapping; the entry is the device’s, soft-dirty kept', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const [page, refs] = [p.frame(a), p.refs(a)];
    expect(exclusive(p, a)).toBe(page);
    expect(p.entry(a)).toEqual({
      word: pteOther(PTE_KIND_DEVICE_EXCLUSIVE, page),
      byte: PTEB_SOFT_DIRTY,
    });
    const f = p.k.frames;
    expect([f.refcount[page] - refs, p.k.folios.mapcount(page), p.task.mm!.rssAnon]).toEqual([
      1, 1, 1,
    ]);
    expect([f.has(page, PG_LOCKED), f.has(page, PG_DIRTY)]).toEqual([false, true]);
    checkInvariants(p.k);
  });

  it('a second time: taken back first, then given again', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = exclusive(p, a);
    const faults = vmstat(p.k, 'pgfault');
    expect([exclusive(p, a), vmstat(p.k, 'pgfault') - faults]).toEqual([page, 1]);
    expect(p.entry(a).word).toBe(pteOther(PTE_KIND_DEVICE_EXCLUSIVE, page));
  });

  it.each([
    ['there already', true],
    ['made by its own fault', false],
  ])('a page of 2 MiB, %s: the entries are split, the folio is not', (_what, isWritten) => {
    const p = boot('always');
    const a = isWritten ? p.mapWritten(512, { addr: HUGE }) : p.map(512, { addr: HUGE });
    const page = exclusive(p, a + 5);
    const head = p.k.frames.headOf(page);
    expect([page - head, p.k.folios.isLarge(head), vmstat(p.k, 'thp_split_pmd')]).toEqual([
      5,
      true,
      1,
    ]);
    expect(p.entry(a + 5).word).toBe(pteOther(PTE_KIND_DEVICE_EXCLUSIVE, page));
    expect(p.frame(a + 4)).toBe(head + 4);
    p.k.putFolio(head);
    expect(p.load(a + 5)).toBe(isWritten ? 6 : 0);
    checkInvariants(p.k);
  });

  it('a page shared along fork is copied first', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    const shared = p.frame(a);
    expect(exclusive(p, a)).not.toBe(shared);
    expect([child.frame(a), p.load(a)]).toEqual([shared, 1]);
  });

  it('-EFAULT: no memory map, no area, not writable', () => {
    const p = boot();
    const a = p.map(1, { prot: PROT_READ });
    expect([exclusive(p, a), exclusive(p, 0x5000)]).toEqual([-EFAULT, -EFAULT]);
    exitTask(p.k, p.task);
    expect(exclusive(p, a)).toBe(-EFAULT);
  });

  it('S-DM-25: -EOPNOTSUPP: pages of files and of hugetlb memory', () => {
    const p = boot();
    const a = p.mapWritten(1, { file: p.k.newFile('f', 'tmpfs', 1), shared: true });
    const refs = p.refs(a);
    expect([exclusive(p, a), p.refs(a)]).toEqual([-EOPNOTSUPP, refs]);
    p.k.hugetlb.resize(1, 0);
    const file = newHugetlbFile(p.k, p.task, 512, false)!;
    expect(exclusive(p, p.map(512, { file, addr: HUGE }))).toBe(-EOPNOTSUPP);
    expect(p.task.mm!.hugetlbPages).toBe(0);
  });

  it('-EBUSY: somebody has locked it; the entry and its references are as they were', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const [page, refs] = [p.frame(a), p.refs(a)];
    p.k.frames.set(page, PG_LOCKED);
    expect([exclusive(p, a), p.frame(a), p.refs(a)]).toEqual([-EBUSY, page, refs]);
  });
});

describe('the CPU takes it back (DM-43)', () => {
  function given() {
    const p = boot();
    const a = p.mapWritten(1);
    const page = exclusive(p, a);
    p.k.putFolio(page);
    const i = p.task.mm!.pteIndex(a);
    const vma = p.task.mm!.findVma(a)!;
    return { p, k: p.k, a, page, i, vma };
  }

  it('waits for who has it locked', () => {
    const { p, k, a, page, i } = given();
    const word = k.ptes.words[i];
    k.frames.set(page, PG_LOCKED);
    expect([handleFault(k, p.task, a, false), k.ptes.words[i]]).toEqual([FAULT_WAIT, word]);
    k.frames.clear(page, PG_LOCKED);
    expect(handleFault(k, p.task, a, false)).toBe(FAULT_DONE);
    expect([p.frame(a), k.ptes.bytes[i]]).toEqual([page, PTEB_SOFT_DIRTY]);
  });

  it.each([
    ['writable, and dirty as the folio is', {}, PTE_W | PTE_D],
    ['writable, the folio is clean', { clean: true }, PTE_W],
    ['an area that may not be written', { prot: PROT_READ }, 0],
    ['a page that is not its own', { shared: true }, 0],
    ['a page that userfaultfd protects', { uffd: true }, 0],
  ])(
    '%s',
    (_what, how: { clean?: boolean; prot?: number; shared?: boolean; uffd?: boolean }, w) => {
      const { p, k, a, page, i, vma } = given();
      if (how.clean) k.frames.clear(page, PG_DIRTY);
      if (how.prot !== undefined) vma.flags &= ~2;
      if (how.shared) k.frames.clear(page, PG_ANON_EXCLUSIVE);
      if (how.uffd) k.ptes.bytes[i] |= PTEB_UFFD_WP;
      expect(handleFault(k, p.task, a, false)).toBe(FAULT_DONE);
      // Not marked accessed: the access that comes again does that.
      expect(k.ptes.words[i]).toBe(pteFast(page, w));
      expect(k.ptes.bytes[i]).toBe(PTEB_SOFT_DIRTY | (how.uffd ? PTEB_UFFD_WP : 0));
    },
  );

  it('DM-71: fork takes it back: both processes share it, and none may write', () => {
    const { p, a, page } = given();
    const child = p.fork();
    expect([p.frame(a), child.frame(a), p.entry(a).word & PTE_W]).toEqual([page, page, 0]);
    expect([p.load(a), child.load(a)]).toEqual([1, 1]);
    checkInvariants(p.k);
  });

  it('fork of an area without access: entries without access', () => {
    const { p, a, page } = given();
    mprotectRange(p.k, p.task.mm!, a, a + 1, 0);
    const child = p.fork();
    for (const one of [p, child]) {
      expect(one.entry(a)).toEqual({
        word: pteOther(PTE_KIND_PROTNONE, page),
        byte: PTEB_SOFT_DIRTY,
      });
    }
    checkInvariants(p.k);
  });
});

describe('device-private entries', () => {
  function onDevice(thp: 'always' | 'never' = 'never') {
    const p = boot(thp);
    const device = new TestDevice(p.k, MEMORY_DEVICE_PRIVATE);
    const nr = thp === 'always' ? 512 : 2;
    const a = p.mapWritten(nr, { addr: HUGE });
    const select = MIGRATE_VMA_SELECT_SYSTEM | (nr > 2 ? MIGRATE_VMA_SELECT_COMPOUND : 0);
    moveTo(device, p, a, nr, select, nr > 2 ? 9 : 0);
    return { p, k: p.k, a, device };
  }

  it('DM-40, S-DM-17: a CPU waits for who has the page locked', () => {
    const { p, k, a, device } = onDevice();
    const page = device.pagemap.start;
    const refs = k.frames.refcount[page];
    k.frames.set(page, PG_LOCKED);
    expect(handleFault(k, p.task, a, false)).toBe(FAULT_WAIT);
    expect([k.frames.refcount[page], k.frames.has(page, PG_LOCKED)]).toEqual([refs, true]);
  });

  it('DM-42: of a PMD: waits if the folio is locked; else the driver is told of all 2 MiB', () => {
    const { p, k, a, device } = onDevice('always');
    const head = device.pagemap.start;
    const refs = k.frames.refcount[head];
    k.frames.set(head, PG_LOCKED);
    expect(handleFault(k, p.task, a + 3, false)).toBe(FAULT_WAIT);
    expect(k.frames.refcount[head]).toBe(refs);
    k.frames.clear(head, PG_LOCKED);
    const told: unknown[] = [];
    const migrateToRam = ({ vpn, page, isHuge }: DeviceFault) => {
      told.push(vpn - a, page - head, isHuge, k.frames.has(head, PG_LOCKED));
      return FAULT_DONE;
    };
    Object.assign(device, { migrateToRam });
    expect(handleFault(k, p.task, a + 3, false)).toBe(FAULT_DONE);
    expect(told).toEqual([3, 0, true, true]);
    expect([k.frames.refcount[head], k.frames.has(head, PG_LOCKED)]).toEqual([refs, false]);
  });

  it('DM-40: the driver has the page locked and held while it is called', () => {
    const { p, k, a, device } = onDevice();
    const page = device.pagemap.start + 1;
    const seen: unknown[] = [];
    device.migrateToRam = () => {
      seen.push(k.frames.has(page, PG_LOCKED), k.frames.refcount[page]);
      return FAULT_DONE;
    };
    expect(handleFault(k, p.task, a + 1, true)).toBe(FAULT_DONE);
    expect(seen).toEqual([true, 2]);
    expect([k.frames.has(page, PG_LOCKED), k.frames.refcount[page]]).toEqual([false, 1]);
  });

  it.each([
    ['pages', 'never'],
    ['2 MiB', 'always'],
  ] as const)('DM section 9: fork of %s: one mapping more, both of the read kind', (_what, thp) => {
    const { p, k, a, device } = onDevice(thp);
    const page = device.pagemap.start;
    const before = p.entry(a);
    expect(before.byte & PTEB_WRITE).toBe(PTEB_WRITE);
    const child = p.fork();
    const word = pteOther(PTE_KIND_DEVICE_PRIVATE, page);
    expect([p.entry(a), child.entry(a)]).toEqual([
      { word, byte: 0 },
      { word, byte: 0 },
    ]);
    expect([k.frames.refcount[page], k.frames.has(page, PG_ANON_EXCLUSIVE)]).toEqual([2, false]);
    expect(child.task.mm!.rssAnon).toBe(p.task.mm!.rssAnon);
    // Of the read kind already: nothing changes, soft-dirty stays.
    if (thp === 'always') return;
    k.ptes.bytes[p.task.mm!.pteIndex(a)] = PTEB_SOFT_DIRTY;
    const second = p.fork();
    expect([p.entry(a).byte, second.entry(a).byte]).toEqual([PTEB_SOFT_DIRTY, PTEB_SOFT_DIRTY]);
    checkInvariants(k);
  });

  it("what userfaultfd protects is the parent's affair", () => {
    const { p, k, a } = onDevice();
    const i = p.task.mm!.pteIndex(a);
    k.ptes.bytes[i] |= PTEB_UFFD_WP;
    const child = p.fork();
    expect([k.ptes.bytes[i], child.entry(a).byte]).toEqual([PTEB_UFFD_WP, 0]);
  });
});
