import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOMEM } from '../uapi/errno.ts';
import { FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '../uapi/gup.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { MR_CONTIG_RANGE } from '../uapi/migrate.ts';
import {
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { MIGRATE_CMA, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { exitTask, forkTask } from './fork.ts';
import {
  getUserPages,
  isLongtermPinnable,
  pinUserPages,
  pinUserPagesFast,
  putUserPages,
  unpinUserPages,
} from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { Kernel } from './kernel.ts';
import { madviseRange } from './madvise.ts';
import { Mempolicy } from './mempolicy.ts';
import { mmapRegion, munmapRange } from './mmap.ts';
import { mprotectRange } from './mprotect.ts';
import { pageAt } from './pageWalk.ts';
import { plainMachine } from './plainMachine.ts';
import type { Task } from './task.ts';
import { loadWord, storeWord } from './userCopy.ts';

const LONG = FOLL_LONGTERM;
const LONG_WRITE = FOLL_LONGTERM | FOLL_WRITE;

/** N0: NORMAL and MOVABLE; N1: MOVABLE only. A task with 8 pages, as first touch puts them. */
class Setup {
  readonly k: Kernel;
  readonly task: Task;
  readonly start: number;

  constructor(touched = 8, kernel: Kernel['spec']['kernel'] = '7.3') {
    const normal = { zone: ZONE_NORMAL, pages: 32768 } as const;
    const movable = { zone: ZONE_MOVABLE, pages: 32768 } as const;
    const nodes = [
      { cpus: [0], zones: [normal, movable] },
      { cpus: [], zones: [movable] },
    ];
    const spec = plainMachine(nodes, { startPfn: 32768 });
    const swap = { pages: 4096, readNs: 0, writeNs: 0 };
    this.k = new Kernel({ ...spec, swap, kernel }, { seed: 1, trackContent: true });
    this.task = this.k.spawn(null, 0);
    this.start = this.map(8);
    for (let page = 0; page < touched; page++) storeWord(this.k, this.task, this.start + page, 7);
  }

  map(pages: number, flags = MAP_PRIVATE | MAP_ANONYMOUS, prot = PROT_READ | PROT_WRITE): number {
    const request = { addr: 0, pages, prot, flags, file: null, pgoff: 0 };
    return mmapRegion(this.k, this.task.mm!, request);
  }

  frame(page: number, task: Task = this.task): number {
    return pageAt(this.k, task.mm!, this.start + page);
  }

  /** Node and zone of pages: "0N 0M 1M". */
  where(pages = 8): string {
    const names = Array.from({ length: pages }, (_, page) => {
      const frame = this.frame(page);
      if (frame < 0) return '-';
      const zone = this.k.pm.zoneOf(frame);
      return `${zone.nid}${zone.type === ZONE_MOVABLE ? 'M' : 'N'}`;
    });
    return names.join(' ');
  }

  event(name: string): number {
    return this.k.vmstat.snapshot().get(name)!;
  }

  pin(from: number, n: number, flags = LONG_WRITE, out: number[] = []): number {
    return pinUserPages(this.k, this.task, this.start + from, n, flags, out);
  }
}

describe('flags of GUP (PM-2)', () => {
  it.each([
    ['PIN is internal', FOLL_PIN],
    ['GET with a pin', FOLL_GET],
  ])('%s', (_what, flags) => {
    expect(new Setup().pin(0, 1, flags)).toBe(-EINVAL);
  });

  it('S-PM-09: LONGTERM is for pins only', () => {
    const { k, task, start } = new Setup();
    expect(getUserPages(k, task, start, 1, FOLL_LONGTERM, [])).toBe(-EINVAL);
  });
});

describe('long-term pins leave ZONE_MOVABLE (PM-15..PM-22)', () => {
  it('S-PM-01 PM-17: the page moves to NORMAL of its node, counted twice', () => {
    const s = new Setup();
    expect(s.where(2)).toBe('0M 0M');
    const pages: number[] = [];
    expect(s.pin(0, 1, LONG_WRITE, pages)).toBe(1);
    expect(s.where(2)).toBe('0N 0M');
    expect(pages).toEqual([s.frame(0)]);
    expect(s.event('pgmigrate_success')).toBe(1);
    expect(s.event('nr_foll_pin_acquired')).toBe(2);
    expect(s.event('nr_foll_pin_released')).toBe(1);
    expect(s.k.folios.maybeDmaPinned(s.frame(0))).toBe(true);
    unpinUserPages(s.k, pages);
    expect(s.k.folios.maybeDmaPinned(s.frame(0))).toBe(false);
    expect(loadWord(s.k, s.task, s.start)).toBe(7);
    checkInvariants(s.k);
  });

  it('S-PM-04 PM-20: from a movable-only node to another node', () => {
    const s = new Setup(0);
    s.task.policy = new Mempolicy(MPOL_BIND, 0, 2, 3);
    for (let page = 0; page < 8; page++) storeWord(s.k, s.task, s.start + page, 7);
    s.task.policy = null;
    expect(s.where(1)).toBe('1M');
    expect(s.pin(0, 8)).toBe(8);
    expect(s.where(2)).toBe('0N 0N');
  });

  it('S-PM-03 PM-20: a cpuset of movable-only nodes: -ENOMEM, nothing pinned or moved', () => {
    const s = new Setup(0);
    s.task.memsAllowed = 2;
    storeWord(s.k, s.task, s.start, 7);
    expect(s.pin(0, 1)).toBe(-ENOMEM);
    expect(s.where(1)).toBe('1M');
    expect(s.k.folios.maybeDmaPinned(s.frame(0))).toBe(false);
  });

  it('S-PM-25 PM-22: held by somebody else: -ENOMEM, and the others have moved for good', () => {
    const s = new Setup();
    const held: number[] = [];
    getUserPages(s.k, s.task, s.start + 1, 1, 0, held);
    expect(s.pin(0, 3)).toBe(-ENOMEM);
    expect(s.where(3)).toBe('0N 0M 0N');
    putUserPages(s.k, held);
    expect(s.pin(0, 3)).toBe(3);
    expect(s.where(3)).toBe('0N 0N 0N');
    checkInvariants(s.k);
  });

  it('S-PM-05 PM-17: pages in NORMAL are let go and pinned again with the others', () => {
    const s = new Setup();
    s.pin(0, 4);
    const before = s.event('nr_foll_pin_released');
    expect(s.pin(0, 5)).toBe(5);
    expect(s.event('nr_foll_pin_released') - before).toBe(5);
  });

  it('S-PM-06 PM-98: a short-term pin is taken where the page is', () => {
    const s = new Setup();
    expect(s.pin(0, 1, FOLL_WRITE)).toBe(1);
    expect(s.where(1)).toBe('0M');
  });

  it('PM-16: faults of the pin never use ZONE_MOVABLE, swapped pages neither', () => {
    const s = new Setup(4);
    madviseRange(s.k, s.task, s.start, s.start + 1, MADV_PAGEOUT);
    expect(s.pin(0, 8)).toBe(8);
    expect(s.where()).toBe(Array.from({ length: 8 }, () => '0N').join(' '));
    expect(s.event('pgmigrate_success')).toBe(3);
    expect(s.k.pm.hooks.memallocPin).toBe(false);
  });

  it.each([
    ['7.3', 8, '0N'],
    ['7.2', -ENOMEM, '-'],
  ] as const)(
    'PM-20a: untouched pages bound to a movable-only node, on %s',
    (kernel, ret, where) => {
      const s = new Setup(0, kernel);
      s.task.mm!.findVma(s.start)!.policy = new Mempolicy(MPOL_BIND, 0, 2, 3);
      expect(s.pin(0, 8)).toBe(ret);
      expect(s.where(1)).toBe(where);
    },
  );

  it('S-PM-26 PM-15: what CMA and isolation say comes before the zone', () => {
    const s = new Setup();
    s.pin(0, 1);
    const page = s.frame(0);
    expect(isLongtermPinnable(s.k, page)).toBe(true);
    s.k.pm.blocks.isolatedBlock[page >>> 9] = 1;
    expect(isLongtermPinnable(s.k, page)).toBe(false);
    s.k.pm.blocks.isolatedBlock[page >>> 9] = 0;
  });
});

describe('before Linux 5.13', () => {
  it('long-term pins stay in ZONE_MOVABLE, faulted in or present; CMA is left all the same', () => {
    const s = new Setup(4);
    s.k.pinsStayInMovable = true;
    expect(s.pin(0, 8)).toBe(8);
    expect(s.where()).toBe(Array.from({ length: 8 }, () => '0M').join(' '));
    expect(s.event('pgmigrate_success')).toBe(0);
    const cma = s.frame(0) >>> 9;
    s.k.pm.blocks.migratetypeOfBlock[cma] = MIGRATE_CMA;
    expect(isLongtermPinnable(s.k, s.frame(0))).toBe(false);
    expect(s.k.pm.hooks.memallocNocma).toBe(false);
  });

  it('what does not migrate out of CMA is pinned in it', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 8192, cma: [{ at: 4096, pages: 2048 }] } as const];
    const k = new Kernel(plainMachine([{ cpus: [0], zones }]), { seed: 1, trackContent: false });
    const task = k.spawn(null, 0);
    const request = { prot: PROT_READ | PROT_WRITE, file: null, pgoff: 0 };
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const start = mmapRegion(k, task.mm!, { addr: 0, pages: 6000, flags, ...request });
    for (let page = 0; page < 6000; page++) storeWord(k, task, start + page, 1);
    const inCma = (vpn: number) => {
      return k.pm.blocks.migratetypeOf(pageAt(k, task.mm!, vpn)) === MIGRATE_CMA;
    };
    let vpn = start;
    while (!inCma(vpn)) vpn++;
    const held: number[] = [];
    getUserPages(k, task, vpn, 1, 0, held);
    expect(pinUserPages(k, task, vpn, 1, LONG_WRITE, [])).toBe(-ENOMEM);
    k.pinsStayInMovable = true;
    expect(pinUserPages(k, task, vpn, 1, LONG_WRITE, [])).toBe(1);
    expect(inCma(vpn)).toBe(true);
    putUserPages(k, held);
    const reasons: unknown[] = [];
    k.trace.mmMigratePages.attach((_nowNs, values) => reasons.push(values.at(-1)));
    let other = vpn + 1;
    while (!inCma(other)) other++;
    expect(pinUserPages(k, task, other, 1, LONG_WRITE, [])).toBe(1);
    expect(reasons).toEqual([MR_CONTIG_RANGE]);
    expect(inCma(other)).toBe(false);
  });
});

describe('read-only pins get pages of their own (PM-8)', () => {
  it('S-PM-24 PM-7: the zero page, mapped or from a hole', () => {
    const s = new Setup(0);
    loadWord(s.k, s.task, s.start);
    expect(s.pin(0, 2, LONG)).toBe(2);
    expect(s.where(2)).toBe('0N 0N');
    expect(s.event('pgmigrate_success')).toBe(0);
    checkInvariants(s.k);
  });

  it('PM-7: a short-term pin of the zero page is none', () => {
    const s = new Setup(0);
    loadWord(s.k, s.task, s.start);
    const refs = s.k.frames.refcount[s.k.zeroFrame];
    const pages: number[] = [];
    expect(s.pin(0, 1, 0, pages)).toBe(1);
    expect(s.k.frames.refcount[s.k.zeroFrame]).toBe(refs);
    unpinUserPages(s.k, pages);
    expect(s.event('nr_foll_pin_acquired')).toBe(0);
  });

  it('a page shared along fork: the child keeps the old one; later writes need no copy', () => {
    const s = new Setup();
    const child = forkTask(s.k, s.task);
    if (typeof child === 'number') throw new Error('fork failed');
    const pages: number[] = [];
    expect(s.pin(0, 1, LONG, pages)).toBe(1);
    expect(s.frame(0)).not.toBe(s.frame(0, child));
    const pinned = s.frame(0);
    storeWord(s.k, s.task, s.start, 9);
    expect(s.frame(0)).toBe(pinned);
    expect(loadWord(s.k, child, s.start)).toBe(7);
    unpinUserPages(s.k, pages);
    checkInvariants(s.k);
  });

  it('PM-8: fork copies what is pinned, at once', () => {
    const s = new Setup();
    s.pin(0, 2);
    const child = forkTask(s.k, s.task);
    if (typeof child === 'number') throw new Error('fork failed');
    const same = [0, 1, 2].map((page) => s.frame(page) === s.frame(page, child));
    expect(same).toEqual([false, false, true]);
    expect(loadWord(s.k, child, s.start)).toBe(7);
  });
});

describe('what GUP refuses (PM-3, PM-5)', () => {
  it('areas without access, holes, files that track dirty pages', () => {
    const s = new Setup();
    mprotectRange(s.k, s.task.mm!, s.start, s.start + 1, PROT_READ);
    expect(s.pin(0, 1)).toBe(-EFAULT);
    expect(s.pin(0, 1, LONG)).toBe(1);
    mprotectRange(s.k, s.task.mm!, s.start + 1, s.start + 2, 0);
    expect(s.pin(1, 1, LONG)).toBe(-EFAULT);
    const file = s.k.newFile('/ext4/f', 'ext4', 4);
    const prot = PROT_READ | PROT_WRITE;
    const request = { addr: 0, pages: 4, prot, flags: MAP_SHARED, file, pgoff: 0 };
    const at = mmapRegion(s.k, s.task.mm!, request) - s.start;
    expect(s.pin(at, 1)).toBe(-EFAULT);
    expect(s.pin(at, 1, FOLL_WRITE)).toBe(1);
    expect(s.pin(at + 1, 1, LONG)).toBe(1);
  });

  it('PM-5: a short count up to the hole; the first page’s errno without any', () => {
    const s = new Setup();
    munmapRange(s.k, s.task.mm!, s.start + 2, s.start + 3);
    expect(s.pin(0, 4)).toBe(2);
    expect(s.pin(2, 1)).toBe(-EFAULT);
    expect(s.where(4)).toBe('0N 0N - 0M');
  });

  it('PM-9: the fast way leaves what it may not pin to the slow one', () => {
    const s = new Setup();
    const pages: number[] = [];
    s.pin(0, 1);
    expect(pinUserPagesFast(s.k, s.task, s.start, 3, LONG_WRITE, pages)).toBe(3);
    expect(pages).toEqual([s.frame(0), s.frame(1), s.frame(2)]);
    expect(s.where(3)).toBe('0N 0N 0N');
    munmapRange(s.k, s.task.mm!, s.start + 4, s.start + 5);
    expect(pinUserPagesFast(s.k, s.task, s.start + 3, 3, LONG_WRITE, [])).toBe(1);
  });
});

describe('pins and the life of pages (PM-10)', () => {
  it('the frame outlives munmap and exit, and goes with the pin', () => {
    const s = new Setup();
    const pages: number[] = [];
    s.pin(0, 1, LONG_WRITE, pages);
    munmapRange(s.k, s.task.mm!, s.start, s.start + 1);
    expect(s.k.pm.isFree(pages[0])).toBe(false);
    exitTask(s.k, s.task);
    unpinUserPages(s.k, pages);
    s.k.lru.drainAll();
    expect(s.k.frames.refcount[pages[0]]).toBe(0);
    checkInvariants(s.k);
  });

  it('S-PM-12 PM-21: a huge page moves whole, all of its pages are pinned with it', () => {
    const s = new Setup();
    const at = s.map(512);
    madviseRange(s.k, s.task, at, at + 512, 14);
    storeWord(s.k, s.task, at, 7);
    const page = at - s.start;
    expect(s.pin(page + 9, 1)).toBe(1);
    const head = s.k.frames.headOf(s.frame(page));
    expect(s.k.folios.isThp(head)).toBe(true);
    expect(s.k.pm.zoneOf(head).type).toBe(ZONE_NORMAL);
    expect(s.k.folios.pincount(head)).toBe(1);
    checkInvariants(s.k);
  });
});
