/** Collapse: MADV_COLLAPSE of file ranges, and khugepaged's limits (OV-31i). */
import { describe, expect, it } from 'vitest';
import { MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_PAGEOUT, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { madviseCollapse } from './collapse.ts';
import { syncFile, writeFilePages } from './fileWrite.ts';
import { checkInvariants } from './invariants.ts';
import { khugepagedScan } from './khugepaged.ts';
import { madviseRange } from './madvise.ts';
import { bootNodes, fillNode, migrate, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

const [EAGAIN, EINVAL] = [11, 22];

function boot(): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const nodes = [
    { cpus: [0], zones },
    { cpus: [], zones },
  ];
  return new TestProgram(bootNodes(nodes, { swapPages: 4096 }));
}

const AT = 0x200000;

function collapse(p: TestProgram, start: number, pages = 512): number {
  return madviseCollapse(p.k, p.task, start, start + pages);
}

function isHuge(p: TestProgram, vpn: number): boolean {
  return p.k.folios.isThp(p.head(vpn)) && p.task.mm!.pmd[p.task.mm!.slotOf(vpn)] !== 0;
}

describe('MADV_COLLAPSE of anonymous ranges (OV-31i)', () => {
  const counts = (p: TestProgram) => [vmstat(p.k, 'thp_collapse_alloc'), vmstat(p.k, 'pswpin')];

  it('PM-10: a page that somebody holds is met before the huge page is allocated', () => {
    const p = boot();
    const a = p.mapWritten(512, { addr: AT });
    p.k.lru.drainAll();
    p.k.folios.get(p.head(a + 9));
    expect([collapse(p, a), ...counts(p)]).toEqual([-EAGAIN, 0, 0]);
    p.k.putFolio(p.head(a + 9));
    expect([collapse(p, a), ...counts(p)]).toEqual([0, 1, 0]);
    checkInvariants(p.k);
  });

  it('swapped pages come back after the allocation and have no say in the node', () => {
    const p = boot();
    const a = p.mapWritten(512, { addr: AT });
    madviseRange(p.k, p.task, a, a + 300, MADV_PAGEOUT);
    p.k.lru.drainAll();
    expect(migrate(p, a + 300, 212, 1)).toBe(0);
    expect([collapse(p, a), ...counts(p)]).toEqual([0, 1, 300]);
    expect(p.k.pm.nidOf(p.head(a))).toBe(1);
    for (const n of [0, 299, 300, 511]) expect(p.load(a + n)).toBe(n + 1);
    checkInvariants(p.k);
  });
});

describe('MADV_COLLAPSE when memory ends (OV-31i)', () => {
  it('pages that do not come back from swap stay there: -EINVAL, no content is lost', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
    const p = new TestProgram(bootNodes([{ cpus: [0], zones }], { swapPages: 300 }));
    const a = p.mapWritten(512, { addr: AT });
    madviseRange(p.k, p.task, a, a + 300, MADV_PAGEOUT);
    // What is left of it can neither be swapped nor reclaimed.
    for (let n = 300; n < 512; n++) p.k.folios.get(p.head(a + n));
    const taken = fillNode(p.k, 0, 700);
    for (let n = 300; n < 512; n++) p.k.putFolio(p.head(a + n));
    p.task.mm!.findVma(a)!.flags |= VM_LOCKED;
    expect(collapse(p, a)).toBe(-EINVAL);
    expect(isHuge(p, a + 511)).toBe(false);
    checkInvariants(p.k);
    for (const frame of taken) p.k.putFolio(frame);
    for (let n = 0; n < 512; n++) expect(p.load(a + n)).toBe(n + 1);
  });
});

describe('MADV_COLLAPSE of files (OV-31i)', () => {
  it('shmem: one huge page in the cache, mapped by a PMD, holes are zero', () => {
    const p = boot();
    const file = p.k.newFile('s', 'shmem', 512);
    const a = p.map(512, { file, shared: true, addr: AT });
    for (let n = 0; n < 400; n++) p.store(a + n, n + 1);
    const other = p.fork();
    expect(other.load(a + 7)).toBe(8);
    expect(collapse(p, a)).toBe(0);
    expect(isHuge(p, a)).toBe(true);
    expect([vmstat(p.k, 'thp_collapse_alloc'), vmstat(p.k, 'nr_shmem_hugepages')]).toEqual([
      1, 512,
    ]);
    expect([p.load(a), p.load(a + 399), p.load(a + 400)]).toEqual([1, 400, 0]);
    // The other process maps the huge page with its next fault.
    expect(other.load(a + 7)).toBe(8);
    expect(isHuge(other, a)).toBe(true);
    expect(collapse(p, a)).toBe(0);
    expect(vmstat(p.k, 'pgmigrate_success')).toBe(0);
    checkInvariants(p.k);
  });

  it('shmem: pages in swap come back first', () => {
    const p = boot();
    const file = p.k.newFile('s', 'shmem', 512);
    const a = p.mapWritten(512, { file, shared: true, addr: AT });
    madviseRange(p.k, p.task, a, a + 100, MADV_PAGEOUT);
    expect(file.swapSlotAt(5)).toBeGreaterThanOrEqual(0);
    expect(collapse(p, a)).toBe(0);
    for (const n of [0, 5, 99, 511]) expect(p.load(a + n)).toBe(n + 1);
    expect(p.k.swap.used).toBe(0);
    checkInvariants(p.k);
  });

  it('-EAGAIN while somebody holds a page; nothing is lost', () => {
    const p = boot();
    const file = p.k.newFile('s', 'shmem', 512);
    const a = p.mapWritten(512, { file, shared: true, addr: AT });
    const held = p.head(a + 9);
    p.k.folios.get(held);
    expect(collapse(p, a)).toBe(-EAGAIN);
    for (const n of [0, 9, 511]) expect(p.load(a + n)).toBe(n + 1);
    p.k.putFolio(held);
    expect(collapse(p, a)).toBe(0);
    expect(p.load(a + 9)).toBe(10);
    checkInvariants(p.k);
  });

  it('ext4: cached, clean and not writable; else -EINVAL or -EAGAIN', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 0);
    for (let n = 0; n < 512; n++) writeFilePages(p.k, p.task, file, n, Uint32Array.of(n + 1));
    const writable = p.map(512, { file, shared: true, addr: AT });
    p.load(writable);
    expect(collapse(p, writable)).toBe(-EINVAL);
    const text = p.map(512, { file, shared: true, prot: PROT_READ, addr: AT + 0x1000 });
    p.load(text);
    expect(collapse(p, text)).toBe(-EAGAIN);
    syncFile(p.k, file);
    expect(collapse(p, text)).toBe(0);
    expect([isHuge(p, text), p.load(text + 300)]).toEqual([true, 301]);
    expect(vmstat(p.k, 'nr_file_hugepages')).toBe(512);
    checkInvariants(p.k);
  });

  it('-EINVAL: not aligned to the file, or behind its end', () => {
    const p = boot();
    const file = p.k.newFile('s', 'shmem', 600);
    const shifted = p.map(512, { file, shared: true, addr: AT, pgoff: 1 });
    p.store(shifted, 1);
    expect(collapse(p, shifted)).toBe(-EINVAL);
    const short = p.k.newFile('t', 'shmem', 300);
    const a = p.map(512, { file: short, shared: true, addr: AT + 0x1000 });
    p.store(a, 1);
    expect(collapse(p, a)).toBe(-EINVAL);
  });
});

describe('khugepaged', () => {
  /** 512 small pages of which `touched` were written. */
  function smalls(p: TestProgram, touched = 512): number {
    const a = p.map(1024);
    const first = Math.ceil(a / 512) * 512;
    madviseRange(p.k, p.task, first, first + 512, MADV_NOHUGEPAGE);
    for (let n = 0; n < touched; n++) p.store(first + n, n + 1);
    madviseRange(p.k, p.task, first, first + 512, MADV_HUGEPAGE);
    return first;
  }

  it('collapses what was used, on the node with most of it', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'madvise';
    const a = smalls(p);
    expect(khugepagedScan(p.k)).toBe(1);
    expect(isHuge(p, a)).toBe(true);
    for (const n of [0, 1, 511]) expect(p.load(a + n)).toBe(n + 1);
    expect(vmstat(p.k, 'thp_collapse_alloc')).toBe(1);
    expect(p.k.khugepaged.pagesCollapsed).toBe(1);
    expect(khugepagedScan(p.k)).toBe(0);
    checkInvariants(p.k);
  });

  it.each([
    ['nothing was used since', (p: TestProgram, a: number) => clearYoung(p, a)],
    ['too many in swap', (p: TestProgram, a: number) => pageOut(p, a, 65)],
    ['a page is pinned', (p: TestProgram, a: number) => p.k.folios.pin(p.head(a), 1)],
    ['switched off', (p: TestProgram) => void Object.assign(p.k.sysctl, { thp_enabled: 'never' })],
    [
      'too many missing',
      (p: TestProgram) => void Object.assign(p.k.khugepaged, { maxPtesNone: 100 }),
    ],
  ] as const)('leaves the range alone: %s', (_why, set) => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'madvise';
    const a = smalls(p, 400);
    set(p, a);
    expect(khugepagedScan(p.k)).toBe(0);
    expect(p.k.folios.isThp(p.head(a))).toBe(false);
    checkInvariants(p.k);
  });

  it('shared pages: as many as max_ptes_shared allows', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'madvise';
    const a = smalls(p);
    const child = p.fork();
    expect(khugepagedScan(p.k)).toBe(0);
    p.k.khugepaged.maxPtesShared = 512;
    expect(khugepagedScan(p.k)).toBeGreaterThan(0);
    expect([p.load(a + 3), child.load(a + 3)]).toEqual([4, 4]);
    checkInvariants(p.k);
  });

  it('looks at pages_to_scan pages, then goes on from there', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'madvise';
    const starts = [smalls(p), smalls(p), smalls(p)];
    p.k.khugepaged.pagesToScan = 512;
    const collapsed = [0, 1, 2, 3].map(() => khugepagedScan(p.k));
    expect(collapsed.reduce((sum, n) => sum + n, 0)).toBe(3);
    expect(Math.max(...collapsed)).toBe(1);
    expect(starts.every((a) => isHuge(p, a))).toBe(true);
    checkInvariants(p.k);
  });

  it('collapses shmem too', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'always';
    const file = p.k.newFile('s', 'shmem', 512);
    const a = p.mapWritten(512, { file, shared: true, addr: AT });
    expect(khugepagedScan(p.k)).toBe(1);
    expect([isHuge(p, a), p.load(a + 77)]).toEqual([true, 78]);
    checkInvariants(p.k);
  });

  function clearYoung(p: TestProgram, a: number): void {
    for (let n = 0; n < 512; n++) p.k.ptes.words[p.task.mm!.pteIndex(a + n)] &= ~2;
  }

  function pageOut(p: TestProgram, a: number, pages: number): void {
    madviseRange(p.k, p.task, a, a + pages, MADV_PAGEOUT);
  }
});
