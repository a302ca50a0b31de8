/** OV section 6, OV-31a..OV-31d: what an access finds, and what a fault puts there. */
import { describe, expect, it } from 'vitest';
import { MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_PAGEOUT, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  accessPage,
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_DONE,
  FAULT_HUGE,
  FAULT_MAJOR,
  FAULT_POISONED,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  handleFault,
} from './fault.ts';
import { syncFile } from './fileWrite.ts';
import { PG_ANON_EXCLUSIVE, PG_DIRTY, PG_LRU, PG_SWAPBACKED, PG_UPTODATE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { mprotectRange } from './mprotect.ts';
import {
  MARKER_GUARD,
  MARKER_POISONED,
  MARKER_UFFD_WP,
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_HWPOISON,
  PTE_KIND_MARKER,
  PTE_W,
  PTEB_SOFT_DIRTY,
  PTEB_SPECIAL,
  pteOther,
} from './pageTable.ts';
import { PAGE_NOT_PRESENT, PAGE_SPECIAL, PAGE_ZERO } from './pageWalk.ts';
import { bootNodes, fragmentNode, TestProgram, vmstat } from './testProgram.ts';

function boot(options: { thp?: 'always' | 'madvise' | 'never'; mthp?: number } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes(
    [
      { cpus: [0, 1], zones },
      { cpus: [2], zones },
    ],
    { swapPages: 512 },
  );
  k.sysctl.thp_enabled = options.thp ?? 'never';
  k.sysctl.mthpAlways = options.mthp ?? 0;
  return new TestProgram(k);
}

describe('anonymous memory', () => {
  it('S-OV-09: a read maps the zero page: no rss, no mapcount; a store replaces it', () => {
    const p = boot();
    const a = p.map(2);
    expect(p.access(a, false)).toBe(FAULT_DONE);
    expect(p.frame(a)).toBe(PAGE_ZERO);
    expect(p.entry(a)).toEqual({
      word: ((p.k.zeroFrame << 4) | PTE_A | PTE_FAST) >>> 0,
      byte: PTEB_SPECIAL,
    });
    expect([p.task.mm!.rssAnon, p.k.folios.pageMapcount(p.k.zeroFrame)]).toEqual([0, 0]);
    expect(p.access(a, true)).toBe(FAULT_CLEARED);
    expect(p.frame(a)).toBeGreaterThanOrEqual(0);
    expect(p.task.mm!.rssAnon).toBe(1);
    checkInvariants(p.k);
  });

  it('a store maps a fresh page: exclusive, writable, dirty, on its way to the LRU', () => {
    const p = boot();
    const a = p.map(1);
    expect(p.access(a, true)).toBe(FAULT_CLEARED);
    const flags = p.k.frames.flags[p.frame(a)];
    const set = PG_ANON_EXCLUSIVE | PG_SWAPBACKED | PG_UPTODATE;
    expect(flags & (set | PG_LRU | PG_DIRTY)).toBe(set);
    expect(p.entry(a).word & 0xf).toBe(PTE_FAST | PTE_A | PTE_D | PTE_W);
    expect(p.entry(a).byte).toBe(PTEB_SOFT_DIRTY);
    expect(p.load(a)).toBe(0);
  });

  it('pgfault counts every fault, once per access', () => {
    const p = boot();
    const a = p.map(3);
    p.access(a, true);
    p.access(a, true);
    p.access(a + 1, false);
    p.access(a + 1, true);
    expect(vmstat(p.k, 'pgfault')).toBe(3);
  });

  it('pgfault: an access that no area allows is none', () => {
    const p = boot();
    const a = p.map(1, { prot: PROT_READ });
    expect([p.access(a, true), p.access(a + 100, false)]).toEqual([FAULT_SIGSEGV, FAULT_SIGSEGV]);
    expect(vmstat(p.k, 'pgfault')).toBe(0);
    expect(p.access(a, false)).toBe(FAULT_DONE);
    expect(vmstat(p.k, 'pgfault')).toBe(1);
  });

  const orders = [
    {
      what: 'the largest order that fits',
      mthp: (1 << 4) | (1 << 2),
      at: 20,
      pages: 64,
      first: 16,
      nr: 16,
    },
    {
      what: 'no larger than the area',
      mthp: (1 << 4) | (1 << 2),
      at: 9,
      pages: 12,
      first: 8,
      nr: 4,
    },
    { what: 'small where nothing fits', mthp: 1 << 4, at: 2, pages: 12, first: 2, nr: 1 },
  ];
  it.each(orders)('OV-31b: $what', ({ mthp, at, pages, first, nr }) => {
    const p = boot({ mthp });
    const a = p.map(pages, { addr: 0x100000 });
    p.store(a + at, 5);
    expect(p.k.folios.nrPages(p.head(a + at))).toBe(nr);
    expect(p.head(a + at)).toBe(p.frame(a + first));
    expect(p.frame(a + first - 1)).toBe(PAGE_NOT_PRESENT);
    expect(p.frame(a + first + nr)).toBe(PAGE_NOT_PRESENT);
    checkInvariants(p.k);
  });

  it('OV-31b: only where all entries are none', () => {
    const p = boot({ mthp: 1 << 4 });
    const a = p.map(32, { addr: 0x100000 });
    p.access(a + 3, false); // zero page
    p.store(a + 5, 1);
    p.store(a + 20, 1);
    expect([p.k.folios.nrPages(p.head(a + 5)), p.k.folios.nrPages(p.head(a + 20))]).toEqual([
      1, 16,
    ]);
  });

  const huge = [
    { thp: 'always' as const, advice: 0, order: 9 },
    { thp: 'always' as const, advice: MADV_NOHUGEPAGE, order: 0 },
    { thp: 'madvise' as const, advice: 0, order: 0 },
    { thp: 'madvise' as const, advice: MADV_HUGEPAGE, order: 9 },
    { thp: 'never' as const, advice: MADV_HUGEPAGE, order: 0 },
  ];
  it.each(huge)('huge pages: enabled=$thp, advice $advice: order $order', (row) => {
    const p = boot({ thp: row.thp });
    const a = p.map(512);
    if (row.advice !== 0) madviseRange(p.k, p.task, a, a + 512, row.advice);
    p.store(a + 7, 1);
    expect(p.k.folios.nrPages(p.head(a + 7))).toBe(1 << row.order);
    expect(vmstat(p.k, 'thp_fault_alloc')).toBe(row.order === 9 ? 1 : 0);
  });

  it('a read maps the huge zero page; a store replaces it by a huge page', () => {
    const p = boot({ thp: 'always' });
    const a = p.map(512);
    expect(p.access(a + 3, false)).toBe(FAULT_DONE | FAULT_HUGE);
    expect([p.frame(a + 100), vmstat(p.k, 'thp_zero_page_alloc')]).toEqual([PAGE_ZERO, 1]);
    expect(p.access(a + 3, true)).toBe(FAULT_CLEARED | FAULT_HUGE);
    expect([p.k.folios.nrPages(p.head(a)), p.task.mm!.rssAnon]).toEqual([512, 512]);
    checkInvariants(p.k);
  });

  it('without a free block the huge zero page is split and one small page put in', () => {
    const p = boot({ thp: 'always' });
    p.k.sysctl.thp_defrag = 'never';
    const a = p.map(512);
    p.access(a, false);
    const taken = [0, 1].flatMap((nid) => fragmentNode(p.k, nid));
    expect(taken.length).toBeGreaterThan(0);
    p.store(a + 9, 3);
    expect([p.k.folios.nrPages(p.head(a + 9)), p.frame(a + 10)]).toEqual([1, PAGE_ZERO]);
    expect([vmstat(p.k, 'thp_split_pmd'), vmstat(p.k, 'thp_fault_fallback')]).toEqual([1, 1]);
    checkInvariants(p.k);
  });
});

describe('what is not allowed or not there', () => {
  it.each([
    { prot: 0, write: false, outcome: FAULT_SIGSEGV },
    { prot: PROT_READ, write: true, outcome: FAULT_SIGSEGV },
    { prot: PROT_READ, write: false, outcome: FAULT_DONE },
  ])('prot $prot, write $write: outcome $outcome', ({ prot, write, outcome }) => {
    const p = boot();
    expect(p.access(p.map(1, { prot }), write)).toBe(outcome);
  });

  it('no area: SIGSEGV; behind the end of a file: SIGBUS', () => {
    const p = boot();
    expect(p.access(0x5000, false)).toBe(FAULT_SIGSEGV);
    const a = p.map(2, { file: p.k.newFile('f', 'ext4', 1) });
    expect(p.access(a + 1, false)).toBe(FAULT_SIGBUS);
  });

  it.each([
    {
      what: 'a guard region',
      word: pteOther(PTE_KIND_MARKER, MARKER_GUARD),
      outcome: FAULT_SIGSEGV,
    },
    {
      what: 'a poisoned marker',
      word: pteOther(PTE_KIND_MARKER, MARKER_POISONED),
      outcome: FAULT_POISONED,
    },
    { what: 'hwpoison', word: pteOther(PTE_KIND_HWPOISON, 5), outcome: FAULT_POISONED },
    {
      what: 'a uffd-wp marker',
      word: pteOther(PTE_KIND_MARKER, MARKER_UFFD_WP),
      outcome: FAULT_CLEARED,
    },
  ])('entry kinds: $what', ({ word, outcome }) => {
    const p = boot();
    const a = p.map(2);
    p.store(a, 1);
    p.k.ptes.set(p.task.mm!.pteIndex(a + 1), word, 0);
    expect(handleFault(p.k, p.task, a + 1, true)).toBe(outcome);
  });
});

describe('files', () => {
  it('OV-31d: a read maps cached neighbours within 16 pages and the area, a store one page', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 40);
    const writer = p.map(40, { file, shared: true, addr: 0x100000 });
    for (let i = 0; i < 40; i++) p.store(writer + i, i + 1);
    const present = (start: number) =>
      Array.from({ length: 40 }, (_, i) => i).filter((i) => p.frame(start + i) >= 0);
    const reader = p.map(40, { file, shared: true, addr: 0x200000 });
    p.load(reader + 20);
    expect(present(reader)).toEqual(Array.from({ length: 16 }, (_, i) => 16 + i));
    p.access(reader + 2, true);
    expect(present(reader)).toContain(2);
    expect(present(reader)).not.toContain(1);
    // x86-64: neighbours are mapped as accessed, too (smaps' Referenced of a captured process).
    expect(p.entry(reader + 17).word & PTE_A).toBe(PTE_A);
    expect(p.task.mm!.rssShmem).toBe(40 + 17);
    checkInvariants(p.k);
  });

  it('a first read of ext4 is a major fault, of tmpfs a fresh zero page', () => {
    const p = boot();
    const ext4 = p.map(1, { file: p.k.newFile('e', 'ext4', 1), shared: true });
    const tmpfs = p.map(1, { file: p.k.newFile('t', 'tmpfs', 1), shared: true });
    expect(p.access(ext4, false)).toBe(FAULT_MAJOR);
    expect(p.access(tmpfs, false)).toBe(FAULT_CLEARED);
    expect(vmstat(p.k, 'pgmajfault')).toBe(1);
  });

  it('a private store copies; the cache keeps its page', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 1);
    const shared = p.mapWritten(1, { file, shared: true });
    const a = p.map(1, { file });
    expect(p.load(a)).toBe(1);
    expect(p.frame(a)).toBe(p.frame(shared));
    expect(p.access(a, true)).toBe(FAULT_COPIED);
    p.store(a, 9);
    expect([p.load(a), p.load(shared), p.task.mm!.rssAnon]).toEqual([9, 1, 1]);
    checkInvariants(p.k);
  });

  it('a store to raw frames is in place, or to a copy if private (HS-22a)', () => {
    const p = boot();
    const file = p.k.newFile('/dev/mem', 'devmem', 2);
    const shared = p.map(1, { file, shared: true });
    const own = p.map(1, { file });
    for (const a of [shared, own]) expect(p.access(a, false)).toBe(FAULT_DONE);
    expect(p.access(shared, true)).toBe(FAULT_DONE);
    expect(p.frame(shared)).toBe(PAGE_SPECIAL);
    expect(p.access(own, true)).toBe(FAULT_CLEARED);
    expect(p.frame(own)).toBeGreaterThanOrEqual(0);
    expect(p.task.mm!.rssAnon).toBe(1);
    checkInvariants(p.k);
  });

  it('a shared mapping of ext4 is read-only until the first store says so (dirty)', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.map(1, { file, shared: true });
    p.load(a);
    expect(p.entry(a).word & PTE_W).toBe(0);
    p.store(a, 3);
    expect([p.entry(a).word & PTE_W, p.has(a, PG_DIRTY)]).toEqual([PTE_W, true]);
    expect(vmstat(p.k, 'nr_dirty')).toBe(1);
  });
});

describe('write-back (OV-21)', () => {
  it('protects the mappings: the next store faults and makes the page dirty again', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const b = p.map(1, { file, shared: true });
    p.store(b, 5);
    syncFile(p.k, file);
    expect([p.entry(a).word & (PTE_W | PTE_D), p.entry(b).word & (PTE_W | PTE_D)]).toEqual([0, 0]);
    expect([p.has(a, PG_DIRTY), vmstat(p.k, 'nr_dirty')]).toEqual([false, 0]);
    p.store(a, 6);
    expect([p.has(a, PG_DIRTY), vmstat(p.k, 'nr_dirty'), p.load(b)]).toEqual([true, 1, 6]);
    checkInvariants(p.k);
  });
});

describe('swap-in (OV-31c)', () => {
  it('comes back by the policy in force, not to the old node', () => {
    const p = boot();
    p.k.placeTask(p.task, 2);
    const a = p.mapWritten(4);
    expect(p.nid(a)).toBe(1);
    madviseRange(p.k, p.task, a, a + 4, MADV_PAGEOUT);
    expect([p.frame(a), p.task.mm!.swapEnts]).toEqual([PAGE_NOT_PRESENT, 4]);
    p.k.placeTask(p.task, 0);
    expect(accessPage(p.k, p.task, a, false)).toBe(FAULT_MAJOR);
    expect([p.nid(a), p.load(a), p.task.mm!.swapEnts]).toEqual([0, 1, 3]);
    expect(p.k.folios.isAnonExclusive(p.frame(a))).toBe(true);
    checkInvariants(p.k);
  });

  it('a store to a page that only this entry means takes one fault', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    madviseRange(p.k, p.task, a, a + 1, MADV_PAGEOUT);
    expect(p.frame(a)).toBeGreaterThanOrEqual(0); // shared: left alone (OV-31g)
    p.store(a, 5);
    child.store(a, 6);
    madviseRange(p.k, p.task, a, a + 1, MADV_PAGEOUT);
    const faults = vmstat(p.k, 'pgfault');
    p.store(a, 7);
    expect(vmstat(p.k, 'pgfault') - faults).toBe(1);
    expect([p.load(a), child.load(a)]).toEqual([7, 6]);
    checkInvariants(p.k);
  });

  it('a page of a read-only area comes back without the write bit', () => {
    const p = boot();
    const a = p.mapWritten(1);
    madviseRange(p.k, p.task, a, a + 1, MADV_PAGEOUT);
    mprotectRange(p.k, p.task.mm!, a, a + 1, PROT_READ);
    expect(p.load(a)).toBe(1);
    expect(p.entry(a).word & PTE_W).toBe(0);
  });
});
