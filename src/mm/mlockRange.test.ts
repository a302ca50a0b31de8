/** mlock and munlock of ranges: what gets the mark, and what the gauges say. OV-31g, MC-92. */
import { describe, expect, it } from 'vitest';
import { EFAULT, ENOMEM } from '../uapi/errno.ts';
import { PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { MIGRATE_VMA_SELECT_SYSTEM } from './deviceMigration.ts';
import { PG_LRU, PG_MLOCKED, PG_UNEVICTABLE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { MEMORY_DEVICE_COHERENT } from './memremap.ts';
import { applyLockFlags, populateRange } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import { PTE_D, PTE_W } from './pageTable.ts';
import { PAGE_NOT_PRESENT, PAGE_ZERO } from './pageWalk.ts';
import { splitPmdAt } from './pteSetup.ts';
import { moveTo, TestDevice } from './testDevice.ts';
import { bootNodes, isolate, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED, VM_LOCKONFAULT } from './vma.ts';

const HUGE = 512 * 1024;

function boot(options: { thp?: boolean; mthp?: number } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { swapPages: 64, deviceSections: 2 });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.mthpAlways = options.mthp ?? 0;
  return new TestProgram(k);
}

function lock(p: TestProgram, start: number, pages: number, flags = VM_LOCKED): number {
  p.k.lru.drainAll();
  return applyLockFlags(p.k, p.task.mm!, start, start + pages, flags);
}

/** Pages marked, in kernel counts: nr_mlock and those of the areas. */
const locked = (p: TestProgram) => [vmstat(p.k, 'nr_mlock'), p.task.mm!.lockedVm];

describe('2 MiB', () => {
  function huge() {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: HUGE });
    return { p, k: p.k, a, head: p.head(a) };
  }

  it('by one entry: marked and unevictable whole, and back again', () => {
    const { p, a } = huge();
    expect([lock(p, a, 512), locked(p)]).toEqual([0, [512, 512]]);
    expect([p.has(a, PG_MLOCKED), p.has(a, PG_UNEVICTABLE)]).toEqual([true, true]);
    expect([lock(p, a, 512), locked(p)]).toEqual([0, [512, 512]]);
    expect([lock(p, a, 512, 0), locked(p)]).toEqual([0, [0, 0]]);
    expect([p.has(a, PG_MLOCKED), p.has(a, PG_UNEVICTABLE), p.has(a, PG_LRU)]).toEqual([
      false,
      false,
      true,
    ]);
    checkInvariants(p.k);
  });

  it('by entries, all of them in the area: likewise', () => {
    const { p, k, a } = huge();
    splitPmdAt(k, p.task.mm!, a);
    expect([lock(p, a, 512), locked(p)]).toEqual([0, [512, 512]]);
    expect([lock(p, a, 512, 0), locked(p)]).toEqual([0, [0, 0]]);
    checkInvariants(k);
  });

  it('a part: the area is cut, the folio is not marked', () => {
    const { p, k, a, head } = huge();
    expect([lock(p, a + 10, 100), locked(p)]).toEqual([0, [0, 100]]);
    expect(vmstat(k, 'thp_split_pmd')).toBe(1);
    expect(k.folios.isLarge(head)).toBe(true);
    // Area by area: none has all of it, until they are merged (and reclaim comes by).
    expect([lock(p, a, 512), locked(p)]).toEqual([0, [0, 512]]);
    lock(p, a, 512, 0);
    expect([lock(p, a, 512), locked(p)]).toEqual([0, [512, 512]]);
    checkInvariants(k);
  });

  it('mapped by a child that has locked nothing: marked, and gone with the last lock', () => {
    const { p, k, a } = huge();
    const child = p.fork();
    lock(p, a, 512);
    lock(child, a, 512);
    expect([locked(p), child.task.mm!.lockedVm]).toEqual([[512, 512], 512]);
    lock(p, a, 512, 0);
    expect([locked(p), p.has(a, PG_MLOCKED)]).toEqual([[512, 0], true]);
    munmapRange(k, child.task.mm!, a, a + 512);
    expect([locked(p), p.has(a, PG_UNEVICTABLE)]).toEqual([[0, 0], false]);
    checkInvariants(k);
  });

  it('the huge zero page is nobody’s', () => {
    const p = boot({ thp: true });
    const a = p.map(512, { addr: HUGE });
    p.load(a);
    expect([lock(p, a, 512), locked(p), p.frame(a)]).toEqual([0, [0, 512], PAGE_ZERO]);
  });
});

describe('small pages', () => {
  it('present ones at once, others when they come', () => {
    const p = boot();
    const a = p.map(4);
    p.store(a, 1);
    p.load(a + 1);
    expect([lock(p, a, 4), locked(p)]).toEqual([0, [1, 4]]);
    p.store(a + 2, 3);
    p.k.lru.drainAll();
    expect([locked(p), p.has(a + 2, PG_UNEVICTABLE)]).toEqual([[2, 4], true]);
    checkInvariants(p.k);
  });

  it('isolated by somebody when the lock goes: evictable when it comes back (MC-92)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    lock(p, a, 1);
    const stranded = vmstat(p.k, 'unevictable_pgs_stranded');
    const [head] = isolate(p, a, 1);
    lock(p, a, 1, 0);
    expect([locked(p), p.has(a, PG_MLOCKED)]).toEqual([[0, 0], false]);
    expect(vmstat(p.k, 'unevictable_pgs_stranded') - stranded).toBe(1);
    p.k.lru.countIsolated(head, -1);
    p.k.lru.putback(0, head);
    p.k.lru.drainAll();
    expect([p.has(a, PG_LRU), p.has(a, PG_UNEVICTABLE)]).toEqual([true, false]);
    checkInvariants(p.k);
  });

  it('a file that is never evicted stays unevictable without the lock', () => {
    const p = boot();
    const a = p.mapWritten(1, { file: p.k.newFile('r', 'ramfs', 1), shared: true });
    lock(p, a, 1);
    lock(p, a, 1, 0);
    expect([locked(p), p.has(a, PG_UNEVICTABLE)]).toEqual([[0, 0], true]);
    checkInvariants(p.k);
  });

  it('device pages are not marked', () => {
    const p = boot();
    const device = new TestDevice(p.k, MEMORY_DEVICE_COHERENT);
    const a = p.mapWritten(2);
    moveTo(device, p, a, 1, MIGRATE_VMA_SELECT_SYSTEM);
    expect([lock(p, a, 2), locked(p), p.has(a, PG_MLOCKED)]).toEqual([0, [1, 2], false]);
  });

  it('a hole: -ENOMEM, what lies before it is locked', () => {
    const p = boot();
    const a = p.mapWritten(4);
    munmapRange(p.k, p.task.mm!, a + 2, a + 3);
    expect([lock(p, a, 4), locked(p)]).toEqual([-ENOMEM, [2, 2]]);
    expect([lock(p, a, 4, 0), locked(p)]).toEqual([-ENOMEM, [0, 0]]);
  });
});

describe('populating', () => {
  it('writes where the area is private and writable, reads elsewhere', () => {
    const p = boot();
    const own = p.map(1);
    const readOnly = p.map(1, { prot: PROT_READ });
    const shared = p.map(1, { file: p.k.newFile('e', 'ext4', 1), shared: true });
    const copied = p.map(1, { file: p.k.newFile('f', 'ext4', 1) });
    for (const vpn of [own, readOnly, shared, copied]) {
      expect(populateRange(p.k, p.task, vpn, vpn + 1)).toBe(0);
    }
    expect(p.entry(own).word & (PTE_W | PTE_D)).toBe(PTE_W | PTE_D);
    expect(p.frame(readOnly)).toBe(PAGE_ZERO);
    expect([p.k.folios.isAnon(p.head(shared)), p.entry(shared).word & PTE_W]).toEqual([false, 0]);
    expect(p.k.folios.isAnon(p.head(copied))).toBe(true);
  });

  it('is FORCEd where anything is allowed; -EFAULT where nothing is; -ENOMEM at a hole', () => {
    const p = boot();
    const executable = p.map(1, { prot: 4 });
    expect(populateRange(p.k, p.task, executable, executable + 1)).toBe(0);
    const none = p.map(1, { prot: 0 });
    expect([populateRange(p.k, p.task, none, none + 1), p.frame(none)]).toEqual([
      -EFAULT,
      PAGE_NOT_PRESENT,
    ]);
    expect(populateRange(p.k, p.task, 0x500, 0x501)).toBe(-ENOMEM);
  });

  it('leaves areas alone that are locked on fault', () => {
    const p = boot();
    const a = p.map(2);
    lock(p, a, 2, VM_LOCKED | VM_LOCKONFAULT);
    expect([populateRange(p.k, p.task, a, a + 2), p.frame(a)]).toEqual([0, PAGE_NOT_PRESENT]);
  });
});
