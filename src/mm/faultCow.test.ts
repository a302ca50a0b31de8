/** OV-18, OV-18a: who may store in place, and who gets a copy. */
import { describe, expect, it } from 'vitest';
import { MADV_PAGEOUT, MAP_LOCKED } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_COPIED, FAULT_DONE, FAULT_HUGE } from './fault.ts';
import { exitTask } from './fork.ts';
import { PG_MLOCKED, PG_SWAPCACHE, PG_UNEVICTABLE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { munmapRange } from './mmap.ts';
import { bootNodes, fillNode, TestProgram, vmstat } from './testProgram.ts';

function boot(options: { thp?: boolean; pages?: number; swapPages?: number } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: options.pages ?? 4096 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { swapPages: options.swapPages ?? 256 });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  return new TestProgram(k);
}

describe('a store to a page that fork made read-only', () => {
  const cases: readonly {
    what: string;
    before: (parent: TestProgram, child: TestProgram, a: number) => void;
    inPlace: boolean;
  }[] = [
    { what: 'the child still maps it', before: () => {}, inPlace: false },
    {
      what: 'the child has gone: nobody else holds it',
      before: (p, child) => exitTask(p.k, child.task),
      inPlace: true,
    },
    {
      what: 'the child unmapped it',
      before: (p, child, a) => munmapRange(p.k, child.task.mm!, a, a + 1),
      inPlace: true,
    },
    {
      what: 'the child stored first',
      before: (_p, child, a) => void child.store(a, 50),
      inPlace: true,
    },
    {
      what: 'OV-18a: the child has gone, but a pipe holds 100 references',
      before: (p, child, a) => {
        for (let n = 0; n < 100; n++) p.k.folios.get(p.head(a));
        exitTask(p.k, child.task);
      },
      inPlace: false,
    },
    {
      what: 'the child has gone, the page waits in an lru-add batch: drained',
      before: (p, child) => {
        exitTask(p.k, child.task);
      },
      inPlace: true,
    },
  ];
  it.each(cases)('$what: in place $inPlace', ({ before, inPlace }) => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    const page = p.frame(a);
    expect(p.k.folios.isAnonExclusive(page)).toBe(false);
    before(p, child, a);
    const outcome = p.store(a, 7);
    expect(outcome).toBe(inPlace ? FAULT_DONE : FAULT_COPIED);
    expect(p.frame(a) === page).toBe(inPlace);
    expect(p.k.folios.isAnonExclusive(p.frame(a))).toBe(true);
    expect(vmstat(p.k, 'pgreuse')).toBe(inPlace ? 1 : 0);
    expect(p.load(a)).toBe(7);
    checkInvariants(p.k);
  });

  it('the old frame stays with whoever holds it, unchanged (pin_many_1024)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    const old = p.frame(a);
    p.k.folios.get(old);
    exitTask(p.k, child.task);
    p.store(a, 7);
    expect([p.k.frames.content![old], p.k.folios.mapcount(old)]).toEqual([1, 0]);
    p.k.lru.drainAll();
    expect(p.k.frames.refcount[old]).toBe(1);
  });

  it('huge: reused when alone, else split and only the page copied', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    const child = p.fork();
    expect(p.store(a + 5, 7) & FAULT_COPIED).toBe(FAULT_COPIED);
    expect([vmstat(p.k, 'thp_split_pmd'), p.task.mm!.rssAnon]).toEqual([1, 512]);
    expect([p.load(a + 5), child.load(a + 5), p.frame(a + 6)]).toEqual([7, 6, child.frame(a + 6)]);
    checkInvariants(p.k);
    exitTask(p.k, p.task);
    child.store(a + 6, 8);
    expect(child.frame(a + 6)).toBe(child.head(a) + 6);
    checkInvariants(p.k);
  });

  it('huge and alone after the child has gone: the PMD becomes writable again', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    exitTask(p.k, p.fork().task);
    const head = p.head(a);
    expect(p.access(a, true) & FAULT_HUGE).toBe(0);
    expect([p.head(a), vmstat(p.k, 'thp_split_pmd')]).toEqual([head, 0]);
    expect(p.k.folios.isAnonExclusive(head)).toBe(true);
  });
});

describe('copies under memory pressure', () => {
  it('reclaim for the copy may take the page itself: no word is lost', () => {
    const p = boot({ pages: 1024, swapPages: 2048 });
    const a = p.mapWritten(200);
    const child = p.fork();
    const taken = fillNode(p.k, 0, 3);
    for (let i = 0; i < 200; i++) child.store(a + i, 1000 + i);
    for (let i = 0; i < 200; i++)
      expect([p.load(a + i), child.load(a + i)]).toEqual([i + 1, 1000 + i]);
    expect(vmstat(p.k, 'pswpout')).toBeGreaterThan(100);
    checkInvariants(p.k);
    for (const frame of taken) p.k.putFolio(frame);
  });
});

describe('what a copy leaves behind', () => {
  it('the page of a locked private file area is unlocked when a copy takes its place', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 1);
    p.mapWritten(1, { file, shared: true });
    const a = p.map(1, { file, flags: MAP_LOCKED });
    p.load(a);
    const cached = p.frame(a);
    expect(p.k.frames.has(cached, PG_MLOCKED)).toBe(true);
    p.store(a, 5);
    p.k.lru.drainAll();
    expect(p.k.frames.flags[cached] & (PG_MLOCKED | PG_UNEVICTABLE)).toBe(0);
    expect(p.has(a, PG_MLOCKED)).toBe(true);
    checkInvariants(p.k);
  });

  it('a page of the swap cache whose last user copies it leaves the cache', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    madviseRange(p.k, child.task, a, a + 1, MADV_PAGEOUT); // shared: stays
    exitTask(p.k, child.task);
    madviseRange(p.k, p.task, a, a + 1, MADV_PAGEOUT);
    const second = p.fork();
    p.load(a); // in the swap cache, for the child's entry
    expect(p.has(a, PG_SWAPCACHE)).toBe(true);
    exitTask(p.k, second.task);
    expect(p.k.swap.used).toBe(1);
    p.k.folios.get(p.head(a));
    const old = p.frame(a);
    p.store(a, 9);
    expect([p.k.swap.used, p.k.frames.has(old, PG_SWAPCACHE)]).toEqual([0, false]);
    checkInvariants(p.k);
  });
});
