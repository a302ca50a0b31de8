/** OV-29, OV-35: areas split and merge, and rmap finds their pages all the same. */
import { describe, expect, it } from 'vitest';
import {
  MADV_HUGEPAGE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { applyLockFlags } from './mlockRange.ts';
import { munmapRange, setBrk } from './mmap.ts';
import { mprotectRange } from './mprotect.ts';
import { mremapRange } from './mremap.ts';
import { PTE_A, PTE_D, PTE_FAST, PTE_KIND_PROTNONE, PTE_W, pteIsKind } from './pageTable.ts';
import { PAGE_NOT_PRESENT } from './pageWalk.ts';
import { bootNodes, fillNode, migrate, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

const RW = PROT_READ | PROT_WRITE;
const [EINVAL, ENOMEM, EFAULT] = [22, 12, 14];

function boot(thp = false): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([
    { cpus: [0, 1], zones },
    { cpus: [], zones },
  ]);
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  return new TestProgram(k);
}

const areas = (p: TestProgram): [number, number][] =>
  p.task.mm!.vmas.map((vma) => [vma.start, vma.end]);

describe('areas merge and split', () => {
  it('neighbours of the same kind are one area, also after they were different', () => {
    const p = boot();
    p.mapWritten(4, { addr: 0x1000 });
    p.mapWritten(4, { addr: 0x1004 });
    expect(areas(p)).toEqual([[0x1000, 0x1008]]);
    mprotectRange(p.k, p.task.mm!, 0x1002, 0x1004, PROT_READ);
    expect(areas(p)).toEqual([
      [0x1000, 0x1002],
      [0x1002, 0x1004],
      [0x1004, 0x1008],
    ]);
    mprotectRange(p.k, p.task.mm!, 0x1002, 0x1004, RW);
    expect(areas(p)).toEqual([[0x1000, 0x1008]]);
    checkInvariants(p.k);
  });

  it('areas with anon_vmas of their own do not merge', () => {
    const p = boot();
    p.mapWritten(2, { addr: 0x1000 });
    p.mapWritten(2, { addr: 0x1004 });
    p.map(2, { addr: 0x1002 });
    expect(areas(p)).toEqual([
      [0x1000, 0x1004],
      [0x1004, 0x1006],
    ]);
  });

  it("an area that may merge later takes its neighbour's anon_vma", () => {
    const p = boot();
    p.mapWritten(2, { addr: 0x1000 });
    p.mapWritten(2, { addr: 0x1002, prot: RW | PROT_EXEC });
    expect(areas(p)).toHaveLength(2);
    mprotectRange(p.k, p.task.mm!, 0x1002, 0x1004, RW);
    expect(areas(p)).toEqual([[0x1000, 0x1004]]);
    checkInvariants(p.k);
  });

  it('files merge only where offsets go on', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 8);
    p.map(2, { addr: 0x1000, file, shared: true, pgoff: 0 });
    p.map(2, { addr: 0x1002, file, shared: true, pgoff: 2 });
    p.map(2, { addr: 0x1004, file, shared: true, pgoff: 0 });
    expect(areas(p)).toEqual([
      [0x1000, 0x1004],
      [0x1004, 0x1006],
    ]);
  });

  it('munmap in the middle; the rest is found through rmap and moves', () => {
    const p = boot();
    const a = p.mapWritten(10);
    munmapRange(p.k, p.task.mm!, a + 3, a + 6);
    expect([p.frame(a + 3), p.load(a + 6)]).toEqual([PAGE_NOT_PRESENT, 7]);
    expect(migrate(p, a, 10, 1)).toBe(0);
    expect([p.nid(a), p.nid(a + 9), p.load(a + 9)]).toEqual([1, 1, 10]);
    checkInvariants(p.k);
  });

  it('a huge page across a cut is mapped by entries (thp_split_pmd), the folio stays', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    mprotectRange(p.k, p.task.mm!, a, a + 1, PROT_READ);
    expect([vmstat(p.k, 'thp_split_pmd'), p.k.folios.nrPages(p.head(a))]).toEqual([1, 512]);
    expect(p.k.deferredSplit.size).toBe(0);
    madviseRange(p.k, p.task, a, a + 512, MADV_HUGEPAGE);
    checkInvariants(p.k);
  });

  it('page tables go with the last area of their 2 MiB', () => {
    const p = boot();
    p.mapWritten(1, { addr: 0x200000 });
    p.mapWritten(1, { addr: 0x200100 });
    expect(vmstat(p.k, 'nr_page_table_pages')).toBe(1);
    munmapRange(p.k, p.task.mm!, 0x200000, 0x200001);
    expect(vmstat(p.k, 'nr_page_table_pages')).toBe(1);
    munmapRange(p.k, p.task.mm!, 0x200100, 0x200101);
    expect(vmstat(p.k, 'nr_page_table_pages')).toBe(0);
  });

  it('brk grows and shrinks one area', () => {
    const p = boot();
    const mm = p.task.mm!;
    mm.brkStart = 0x5000;
    mm.brk = 0x5000;
    expect(setBrk(p.k, mm, 0x5010)).toBe(0x5010);
    p.store(0x500f, 3);
    expect(setBrk(p.k, mm, 0x5020)).toBe(0x5020);
    expect(areas(p)).toEqual([[0x5000, 0x5020]]);
    expect(setBrk(p.k, mm, 0x5008)).toBe(0x5008);
    expect(p.frame(0x500f)).toBe(PAGE_NOT_PRESENT);
    expect(setBrk(p.k, mm, 0x4000)).toBe(0x5008);
    p.map(1, { addr: 0x500a });
    expect(setBrk(p.k, mm, 0x5010)).toBe(0x5008);
  });
});

describe('mprotect', () => {
  it('a hole: -ENOMEM, the part before it is changed', () => {
    const p = boot();
    const a = p.mapWritten(4, { addr: 0x1000 });
    munmapRange(p.k, p.task.mm!, a + 2, a + 3);
    expect(mprotectRange(p.k, p.task.mm!, a, a + 4, PROT_READ)).toBe(-ENOMEM);
    expect([p.access(a, true), p.access(a + 3, true)].map((o) => o !== 0)).toEqual([true, false]);
  });

  it('PROT_NONE keeps the page, its dirty and young bits, rmap and rss (MP-30)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    mprotectRange(p.k, p.task.mm!, a, a + 1, 0);
    expect([pteIsKind(p.entry(a).word, PTE_KIND_PROTNONE), p.frame(a)]).toEqual([true, page]);
    expect([p.task.mm!.rssAnon, p.k.folios.mapcount(page)]).toEqual([1, 1]);
    mprotectRange(p.k, p.task.mm!, a, a + 1, RW);
    expect(p.entry(a).word & 0xf).toBe(PTE_FAST | PTE_A | PTE_D | PTE_W);
  });

  it('write comes back at once only to exclusive pages (can_change_pte_writable)', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const child = p.fork();
    child.store(a + 1, 9);
    p.store(a + 1, 8);
    mprotectRange(p.k, p.task.mm!, a, a + 2, PROT_READ);
    mprotectRange(p.k, p.task.mm!, a, a + 2, RW);
    expect([p.entry(a).word & PTE_W, p.entry(a + 1).word & PTE_W]).toEqual([0, PTE_W]);
    p.store(a, 7);
    expect(child.load(a)).toBe(1);
  });
});

describe('mremap', () => {
  const remap = (p: TestProgram, at: number, old: number, now: number, flags = 0, to = 0) =>
    mremapRange(p.k, p.task, at, old, now, flags, to);

  it.each([
    { what: 'to nothing', old: 4, now: 0, flags: 0, answer: -EINVAL },
    { what: 'FIXED without MAYMOVE', old: 4, now: 4, flags: MREMAP_FIXED, answer: -EINVAL },
    {
      what: 'DONTUNMAP with another size',
      old: 4,
      now: 8,
      flags: MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
      answer: -EINVAL,
    },
    { what: 'more than the area has', old: 9, now: 4, flags: 0, answer: -EFAULT },
    { what: 'growing where it is taken', old: 4, now: 6, flags: 0, answer: -ENOMEM },
  ])('$what: $answer', ({ old, now, flags, answer }) => {
    const p = boot();
    p.mapWritten(4, { addr: 0x1000 });
    p.map(1, { addr: 0x1005, prot: PROT_READ });
    expect(remap(p, 0x1000, old, now, flags, 0x9000)).toBe(answer);
    expect(p.load(0x1003)).toBe(4);
  });

  it('shrinks and grows in place', () => {
    const p = boot();
    p.mapWritten(8, { addr: 0x1000 });
    expect(remap(p, 0x1000, 8, 3)).toBe(0x1000);
    expect(remap(p, 0x1000, 3, 6)).toBe(0x1000);
    expect([p.load(0x1002), p.load(0x1005)]).toEqual([3, 0]);
    checkInvariants(p.k);
  });

  it.each([false, true])('moves entries and pages stay (huge: %s)', (thp) => {
    const p = boot(thp);
    const pages = thp ? 512 : 8;
    const a = p.mapWritten(pages);
    const frame = p.frame(a + 1);
    const to = 0x400000;
    expect(remap(p, a, pages, pages, MREMAP_MAYMOVE | MREMAP_FIXED, to)).toBe(to);
    expect([p.frame(to + 1), p.frame(a + 1), p.load(to + pages - 1)]).toEqual([
      frame,
      PAGE_NOT_PRESENT,
      pages,
    ]);
    expect(vmstat(p.k, 'thp_split_pmd')).toBe(0);
    expect(migrate(p, to, pages, 1)).toBe(0);
    expect(p.nid(to + pages - 1)).toBe(1);
    checkInvariants(p.k);
  });

  it('a huge page that moves to an unaligned place is mapped by entries', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    expect(remap(p, a, 512, 512, MREMAP_MAYMOVE | MREMAP_FIXED, 0x400001)).toBe(0x400001);
    expect([vmstat(p.k, 'thp_split_pmd'), p.load(0x400001 + 511)]).toEqual([1, 512]);
    checkInvariants(p.k);
  });

  it('DONTUNMAP leaves an empty area; the lock goes with the pages', () => {
    const p = boot();
    const a = p.mapWritten(4);
    applyLockFlags(p.k, p.task.mm!, a, a + 4, VM_LOCKED);
    const to = remap(p, a, 4, 4, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    expect([p.load(to + 3), p.load(a + 3)]).toEqual([4, 0]);
    expect(p.task.mm!.findVma(a)!.has(VM_LOCKED)).toBe(false);
    expect([p.task.mm!.findVma(to)!.has(VM_LOCKED), p.task.mm!.lockedVm]).toEqual([true, 4]);
    p.store(a, 9);
    expect([p.load(a), p.load(to)]).toEqual([9, 1]);
    checkInvariants(p.k);
  });

  it('no memory for page tables: everything is back where it was', () => {
    const p = boot();
    const a = p.mapWritten(4);
    applyLockFlags(p.k, p.task.mm!, a, a + 4, VM_LOCKED);
    for (const nid of [0, 1]) fillNode(p.k, nid, 0);
    exhaust(p);
    expect(remap(p, a, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 0x400000)).toBe(-ENOMEM);
    expect([p.load(a + 3), p.frame(0x400000)]).toEqual([4, PAGE_NOT_PRESENT]);
    expect(p.task.mm!.lockedVm).toBe(4);
  });
});

/** Takes what fillNode leaves to kernel allocations. */
function exhaust(p: TestProgram): void {
  while (p.k.allocPageTable(0) >= 0);
}
