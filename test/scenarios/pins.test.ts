/**
 * Pins and ZONE_MOVABLE: scenarios S-PM-* that are not beside mm/gup.ts, and the concern scenarios
 * PM-95..PM-105.
 */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../src/base/units.ts';
import {
  accessPage,
  allocFolio,
  allocPages,
  checkInvariants,
  freeCount,
  getUserPages,
  isLongtermPinnable,
  isolateFolio,
  ksmScan,
  MigrationOp,
  putbackMovablePages,
  putUserPages,
  storeWord,
  unpinUserPages,
  zoneWatermarkOk,
} from '../../src/mm/index.ts';
import { madvise, mmap, mprotect, vmsplice } from '../../src/syscalls/index.ts';
import { EFAULT, EINTR, EINVAL, ENOMEM, EOPNOTSUPP } from '../../src/uapi/errno.ts';
import {
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_TRANSHUGE,
} from '../../src/uapi/gfp.ts';
import {
  FOLL_ANON,
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_LONGTERM,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_PCI_P2PDMA,
  FOLL_PIN,
  FOLL_REMOTE,
  FOLL_SPLIT_PMD,
  FOLL_TOUCH,
  FOLL_WRITE,
} from '../../src/uapi/gup.ts';
import { MIGRATE_ASYNC, MR_COMPACTION } from '../../src/uapi/migrate.ts';
import {
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
} from '../../src/uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../../src/uapi/zone.ts';
import {
  boot,
  event,
  kernelTakes,
  LONG,
  LONG_WRITE,
  movableMachine,
  movablesTake,
  Program,
  RW,
} from './machine.ts';

describe('long-term pins and exhausted kernel zones', () => {
  it('S-PM-02 PM-25: oom = fail: -ENOMEM, and no pin remains', () => {
    const k = movableMachine(SMALL, 0, 0);
    const p = new Program(k);
    kernelTakes(k, 0, 0);
    expect(p.where(1)).toBe('0M');
    expect(p.pin(0, 16)).toBe(-ENOMEM);
    expect(p.pincount(0)).toBe(false);
    expect(event(k, 'nr_foll_pin_acquired')).toBe(event(k, 'nr_foll_pin_released'));
    expect(event(k, 'oom_kill')).toBe(0);
    checkInvariants(k);
  });

  it('S-PM-02 PM-25: oom = kill: a victim dies although ZONE_MOVABLE has room', () => {
    const k = movableMachine(SMALL, 0, 0);
    const p = new Program(k);
    const hog = new Program(k, 4000, 0);
    // The hog's pages lie in NORMAL: they were pinned once.
    expect(hog.pin(0, 2000)).toBe(2000);
    kernelTakes(k, 0, 0);
    k.oom = 'kill';
    expect(freeCount(k.pm, k.pm.zones[1])).toBeGreaterThan(1000);
    expect(p.pin(0, 16)).toBe(-ENOMEM);
    expect(hog.task.exited).toBe(true);
    expect(event(k, 'oom_kill')).toBe(1);
  });

  it('PM-25: what the victim had pinned stays; what it had not is room for the pin', () => {
    const k = movableMachine(SMALL, 0, 0);
    const p = new Program(k);
    const hog = new Program(k, 2000, 0);
    const pages: number[] = [];
    hog.pin(0, 2000, LONG_WRITE, pages);
    unpinUserPages(k, pages);
    kernelTakes(k, 0, 0);
    k.oom = 'kill';
    expect(p.pin(0, 16)).toBe(16);
    expect(hog.task.exited).toBe(true);
    expect(p.where(2)).toBe('0N 0N');
    checkInvariants(k);
  });

  it('S-PM-21 PM-55, PM-95: the 512/512 example, 128 MiB to 256 MiB of it', () => {
    const k = movableMachine(32768, 0, 0);
    const normal = k.pm.zones[0];
    kernelTakes(k, 0, 16384);
    // Memory to be pinned begins its life in MOVABLE, like all user memory.
    const p = new Program(k, 14000);
    expect(p.where(1)).toBe('0M');
    expect(p.pin(0, 14000)).toBe(14000);
    expect(event(k, 'pgmigrate_success')).toBe(14000);
    const next = new Program(k, 16);
    kernelTakes(k, 0, normal.watermark[0]);
    expect(freeCount(k.pm, k.pm.zones[1])).toBeGreaterThan(30000);
    expect(allocPages(k.pm, 0, GFP_KERNEL, 0, -1)).toBe(-1);
    expect(next.where(1)).toBe('0M');
    expect(next.pin(0, 16)).toBe(-ENOMEM);
    checkInvariants(k);
  });

  it('PM-96: it runs out in the middle: no pins left, what has moved stays in NORMAL', () => {
    const k = movableMachine(SMALL, 0, 0);
    const p = new Program(k, 2000);
    kernelTakes(k, 0, 1000);
    expect(p.pin(0, 2000)).toBe(-ENOMEM);
    const where = p.where(2000).split(' ');
    expect(where[0]).toBe('0N');
    expect(where[1999]).toBe('0M');
    expect(event(k, 'nr_foll_pin_acquired')).toBe(event(k, 'nr_foll_pin_released'));
    checkInvariants(k);
  });

  it('S-PM-22 PM-110: how many free pages of NORMAL a movable request must find', () => {
    const k = movableMachine(131072, 0, 0);
    const [normal] = k.pm.zones;
    movablesTake(k, 1, 0);
    kernelTakes(k, 0, 5001);
    const low = normal.watermark[1];
    expect(low + normal.lowmemReserve[ZONE_MOVABLE]).toBe(5001);
    expect(zoneWatermarkOk(k.pm, normal, 0, low, ZONE_MOVABLE, 0)).toBe(false);
    expect(zoneWatermarkOk(k.pm, normal, 0, low, ZONE_NORMAL, 0)).toBe(true);
    const before = k.kswapdWoken;
    allocPages(k.pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1);
    // The fast path failed: kswapd was woken by the slow one.
    expect([before, k.kswapdWoken]).toEqual([0, 1]);
  });
});

/** Pages of each zone in tests that fill one. */
const SMALL = 4096;

describe('areas that cannot be pinned (PM-3)', () => {
  it('S-PM-07 PM-102: fs-dax: -EOPNOTSUPP for long, allowed for short', () => {
    const k = movableMachine();
    const p = new Program(k);
    const VM_DAX = 1 << 19;
    p.task.mm!.findVma(p.vpn(0))!.flags |= VM_DAX;
    expect(p.pin(0, 1, LONG)).toBe(-EOPNOTSUPP);
    expect(p.pin(0, 1, FOLL_WRITE)).toBe(1);
  });

  it('S-PM-08 PM-23: a shared file that tracks dirty pages: -EFAULT for writing', () => {
    const k = movableMachine();
    const p = new Program(k);
    const file = k.newFile('/data/f', 'ext4', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, file, 0);
    const page = (at - p.area) / PAGE_SIZE;
    expect(p.pin(page, 1, LONG_WRITE)).toBe(-EFAULT);
    expect(p.pin(page, 1, LONG)).toBe(1);
    expect(p.pin(page, 1, FOLL_WRITE)).toBe(1);
    const own = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_PRIVATE, file, 0);
    expect(p.pin((own - p.area) / PAGE_SIZE, 1, LONG_WRITE)).toBe(1);
  });

  it('PM-3: secret memory, holes, areas without access', () => {
    const k = movableMachine();
    const p = new Program(k);
    const secret = k.newFile('secret', 'secretmem', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, secret, 0);
    expect(p.pin((at - p.area) / PAGE_SIZE, 1, 0)).toBe(-EFAULT);
    mprotect(k, p.task, p.area, PAGE_SIZE, PROT_NONE);
    expect(p.pin(0, 1, 0)).toBe(-EFAULT);
  });

  it('PM-3: FOLL_ANON refuses files', () => {
    const k = movableMachine();
    const p = new Program(k);
    const file = k.newFile('/data/f', 'ext4', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, file, 0);
    expect(p.pin((at - p.area) / PAGE_SIZE, 1, FOLL_ANON)).toBe(-EFAULT);
    expect(p.pin(0, 1, FOLL_ANON)).toBe(1);
  });
});

describe('flags of GUP (PM-1, PM-2)', () => {
  it.each([
    ['TOUCH', FOLL_TOUCH],
    ['PIN', FOLL_PIN],
    ['REMOTE', FOLL_REMOTE],
    ['LONGTERM with PCI_P2PDMA', FOLL_LONGTERM | FOLL_PCI_P2PDMA],
  ])('PM-2: %s: -EINVAL', (_name, flags) => {
    const p = new Program(movableMachine());
    expect(p.pin(0, 1, flags)).toBe(-EINVAL);
  });

  it('PM-1: NOFAULT takes what is there', () => {
    const p = new Program(movableMachine(), 16, 4);
    expect(p.pin(0, 8, FOLL_NOFAULT)).toBe(4);
    expect(p.pin(4, 1, FOLL_NOFAULT)).toBe(-EFAULT);
    expect(p.where(5)).toBe('0M 0M 0M 0M -');
  });

  it('PM-1: DUMP leaves holes and the zero page out', () => {
    const { k, task, ...p } = programWithZeroPage();
    const out: number[] = [];
    expect(getUserPages(k, task, p.first, 1, FOLL_DUMP, out)).toBe(1);
    expect(getUserPages(k, task, p.first + 1, 1, FOLL_DUMP, out)).toBe(-EFAULT);
    expect(getUserPages(k, task, p.first + 2, 1, FOLL_DUMP, out)).toBe(-EFAULT);
    putUserPages(k, out);
  });

  it('PM-1: SPLIT_PMD maps the huge page by entries, the folio stays', () => {
    const k = movableMachine();
    const p = new Program(k, 1024, 0);
    const first = 512 - (p.vpn(0) % 512);
    madvise(k, p.task, p.area, 1024 * PAGE_SIZE, MADV_HUGEPAGE);
    storeWord(k, p.task, p.vpn(first), 1);
    expect(p.pin(first, 1, FOLL_WRITE | FOLL_SPLIT_PMD)).toBe(1);
    expect([event(k, 'thp_split_pmd'), event(k, 'thp_split_page')]).toEqual([1, 0]);
    expect(k.folios.isThp(k.frames.headOf(p.frame(first)))).toBe(true);
    checkInvariants(k);
  });

  it('PM-1: NUMA hints are no obstacle, unless HONOR_NUMA_FAULT asks for the fault', () => {
    const p = new Program(movableMachine());
    mprotect(p.k, p.task, p.area, PAGE_SIZE, PROT_NONE);
    // PROT_NONE entries in an area that has access again are what NUMA balancing leaves.
    p.task.mm!.findVma(p.vpn(0))!.flags |= 3;
    const hints = () => event(p.k, 'numa_hint_faults');
    expect(p.pin(0, 1, 0)).toBe(1);
    expect(hints()).toBe(0);
    expect(p.pin(0, 1, FOLL_HONOR_NUMA_FAULT)).toBe(1);
    expect(hints()).toBe(1);
  });

  it('PM-1: NOWAIT gives up where a migration would have to be waited for', () => {
    const p = new Program(movableMachine());
    const op = startMigration(p, [2]);
    op.step();
    expect(p.pin(0, 4, FOLL_NOWAIT)).toBe(2);
    expect(p.pin(2, 1, FOLL_NOWAIT)).toBe(0);
    expect(op.isDone).toBe(false);
    expect(p.pin(2, 1, 0)).toBe(1);
    expect(op.isDone).toBe(true);
  });
});

function programWithZeroPage() {
  const k = movableMachine();
  const p = new Program(k, 16, 1);
  accessPage(k, p.task, p.vpn(1), false);
  return { k, task: p.task, first: p.vpn(0) };
}

function startMigration(p: Program, pages: readonly number[]): MigrationOp {
  const list: number[] = [];
  p.k.lru.drainAll();
  for (const page of pages) isolateFolio(p.k, p.frame(page), list);
  const to = { nid: 0, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  return new MigrationOp(p.k, list, to, MIGRATE_ASYNC, MR_COMPACTION);
}

describe('FOLL_FORCE (PM-3): a debugger reads and writes what the program may not', () => {
  it('breaks copy-on-write of a read-only private area; the program still may not write', () => {
    const k = movableMachine();
    const p = new Program(k);
    const file = k.newFile('/data/text', 'ext4', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, PROT_READ, MAP_PRIVATE, file, 0);
    const page = (at - p.area) / PAGE_SIZE;
    accessPage(k, p.task, p.vpn(page), false);
    const cached = p.frame(page);
    const out: number[] = [];
    expect(p.pin(page, 1, FOLL_WRITE, out)).toBe(-EFAULT);
    expect(p.pin(page, 1, FOLL_WRITE | FOLL_FORCE, out)).toBe(1);
    expect(out[0]).not.toBe(cached);
    expect(k.folios.isAnon(out[0])).toBe(true);
    const SIGSEGV = 16;
    expect(accessPage(k, p.task, p.vpn(page), true)).toBe(SIGSEGV);
    // A second time nothing has to be broken out any more.
    expect(p.pin(page, 1, FOLL_WRITE | FOLL_FORCE, out)).toBe(1);
    expect(out[1]).toBe(out[0]);
    unpinUserPages(k, out);
    checkInvariants(k);
  });

  it('reads an area without access, faulting it in; it stays without access', () => {
    const k = movableMachine();
    const p = new Program(k, 16, 1);
    mprotect(k, p.task, p.area, 16 * PAGE_SIZE, PROT_NONE);
    const out: number[] = [];
    expect(p.pin(0, 2, FOLL_FORCE, out)).toBe(2);
    expect(out).toEqual([p.frame(0), k.zeroFrame]);
    expect(p.pin(3, 1, FOLL_FORCE | FOLL_WRITE, out)).toBe(1);
    const SIGSEGV = 16;
    for (const page of [0, 1, 3]) {
      expect(accessPage(k, p.task, p.vpn(page), false)).toBe(SIGSEGV);
    }
    unpinUserPages(k, out);
    checkInvariants(k);
  });

  it('does not reach shared areas', () => {
    const k = movableMachine();
    const p = new Program(k);
    const file = k.newFile('/data/f', 'ext4', 4);
    const at = mmap(k, p.task, 0, 4 * PAGE_SIZE, PROT_READ, MAP_SHARED, file, 0);
    expect(p.pin((at - p.area) / PAGE_SIZE, 1, FOLL_WRITE | FOLL_FORCE)).toBe(-EFAULT);
  });
});

describe('pages that are shared, isolated, held', () => {
  it('S-PM-11 PM-8: a KSM page is unshared before it is pinned', () => {
    const k = movableMachine();
    const p = new Program(k, 4, 0);
    for (let page = 0; page < 3; page++) storeWord(k, p.task, p.vpn(page), 5);
    madvise(k, p.task, p.area, 4 * PAGE_SIZE, MADV_MERGEABLE);
    ksmScan(k);
    ksmScan(k);
    const merged = p.frame(0);
    expect([p.frame(1), p.frame(2)]).toEqual([merged, merged]);
    const faults = event(k, 'pgfault');
    expect(p.pin(1, 1, LONG)).toBe(1);
    expect(p.frame(1)).not.toBe(merged);
    expect([event(k, 'cow_ksm'), event(k, 'pgfault') - faults]).toEqual([1, 1]);
    expect(p.where(3)).toBe('0M 0N 0M');
    expect([p.frame(0), p.frame(2)]).toEqual([merged, merged]);
    checkInvariants(k);
  });

  it('S-PM-23 PM-16, PM-105: inside the pin nothing is allocated from MOVABLE or CMA', () => {
    const cma = [{ at: 16384, pages: 4096 }];
    const k = boot([
      {
        cpus: [0],
        zones: [
          { zone: ZONE_NORMAL, pages: 32768, cma },
          { zone: ZONE_MOVABLE, pages: 32768 },
        ],
      },
    ]);
    k.pm.hooks.memallocPin = true;
    for (const [order, gfp] of [
      [0, GFP_HIGHUSER_MOVABLE],
      [9, GFP_TRANSHUGE],
    ]) {
      const heads: number[] = [];
      for (;;) {
        const head = allocFolio(k, order, gfp, 0, -1);
        if (head < 0) break;
        heads.push(head);
      }
      expect(heads.length).toBeGreaterThan(10);
      expect(heads.every((head) => isLongtermPinnable(k, head))).toBe(true);
      for (const head of heads) k.putFolio(head);
    }
    k.pm.hooks.memallocPin = false;
  });

  it('PM-101: a page in a CMA block of NORMAL leaves the block, not the zone', () => {
    const cma = [{ at: 4096, pages: 24576 }];
    const zones = [{ zone: ZONE_NORMAL, pages: 32768, cma }];
    const k = boot([{ cpus: [0], zones }]);
    const p = new Program(k);
    expect(isLongtermPinnable(k, p.frame(0))).toBe(false);
    expect(p.pin(0, 16)).toBe(16);
    expect(isLongtermPinnable(k, p.frame(0))).toBe(true);
    expect(event(k, 'pgmigrate_success')).toBe(16);
    checkInvariants(k);
  });

  it('PM-18, PM-103: isolated by a migration that is not over: waits for it, then moves it', () => {
    const p = new Program(movableMachine());
    const op = startMigration(p, [0]);
    op.step();
    expect(p.pin(0, 1)).toBe(1);
    expect(op.isDone).toBe(true);
    expect(p.where(1)).toBe('0N');
    checkInvariants(p.k);
  });

  it('PM-18: off the LRU for good and nobody to bring it back: spins until killed', () => {
    const p = new Program(movableMachine());
    const list: number[] = [];
    p.k.lru.drainAll();
    isolateFolio(p.k, p.frame(0), list);
    expect(p.pin(0, 1)).toBe(-EINTR);
    expect(p.pincount(0)).toBe(false);
    // Whoever runs tasks side by side lets the holder go on.
    p.k.letOthersRun = () => {
      putbackMovablePages(p.k, list);
      return true;
    };
    expect(p.pin(0, 1)).toBe(1);
    expect(p.where(1)).toBe('0N');
    checkInvariants(p.k);
  });

  it('PM-22, OV-42: pages in a pipe hold up the pin until the pipe is read', () => {
    const p = new Program(movableMachine());
    const pipe: number[] = [];
    expect(vmsplice(p.k, p.task, p.area + PAGE_SIZE, PAGE_SIZE, pipe)).toBe(PAGE_SIZE);
    expect(p.pin(0, 3)).toBe(-ENOMEM);
    expect(p.where(3)).toBe('0N 0M 0N');
    putUserPages(p.k, pipe);
    expect(p.pin(0, 3)).toBe(3);
    checkInvariants(p.k);
  });
});
