/** Mappings of hugetlb pages: promises, faults, copies, fork, unmapping. MP-91, MP-110, PM-8. */
import { describe, expect, it } from 'vitest';
import { EINVAL } from '../uapi/errno.ts';
import { FOLL_WRITE } from '../uapi/gup.ts';
import { MPOL_BIND, MPOL_INTERLEAVE } from '../uapi/mempolicy.ts';
import { MADV_DONTNEED, PROT_READ } from '../uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import {
  FAULT_CLEARED,
  FAULT_COPIED,
  FAULT_DONE,
  FAULT_HUGE,
  FAULT_SIGBUS,
  FAULT_WAIT,
  handleFault,
} from './fault.ts';
import { exitTask } from './fork.ts';
import { PG_ANON_EXCLUSIVE } from './frameTable.ts';
import { pinUserPages } from './gup.ts';
import { checkHugetlbCuts, newHugetlbFile } from './hugetlb.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import type { MappedFile } from './mappedFile.ts';
import { Mempolicy } from './mempolicy.ts';
import { munmapRange } from './mmap.ts';
import {
  PTE_A,
  PTE_D,
  PTE_FAST,
  PTE_KIND_MIGRATION,
  PTE_W,
  PTEB_UFFD_WP,
  pteOther,
} from './pageTable.ts';
import { bootNodes, TestProgram } from './testProgram.ts';

const HUGE = 512 * 1024;

/** Nodes 0 and 1 with CPUs, the second one ZONE_MOVABLE; so many pages in the pools. */
function boot(pool0: number, pool1 = 0): TestProgram {
  const k = bootNodes([
    { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    { cpus: [2], zones: [{ zone: ZONE_MOVABLE, pages: 8192 }] },
  ]);
  k.hugetlb.resize(pool0, 0);
  k.hugetlb.resize(pool1, 1);
  return new TestProgram(k);
}

function mapHuge(
  p: TestProgram,
  count: number,
  options: { shared?: boolean; prot?: number; file?: MappedFile; addr?: number } = {},
): number {
  const shared = options.shared ?? false;
  const file = options.file ?? newHugetlbFile(p.k, p.task, count * 512, shared);
  if (file === null) throw new Error('nothing was promised');
  const { prot } = options;
  return p.map(count * 512, {
    file,
    shared,
    addr: options.addr ?? HUGE,
    ...(prot ? { prot } : {}),
  });
}

const pool = (p: TestProgram) => {
  const { total, totalFree, reserved, totalSurplus } = p.k.hugetlb;
  return { total, free: totalFree, reserved, surplus: totalSurplus };
};
const bits = (p: TestProgram, vpn: number) => p.entry(vpn).word & 0xf;

describe('promises (hugetlb_reserve_pages)', () => {
  it('mmap takes them or fails; faults use them up; the end gives the rest back', () => {
    const p = boot(3);
    expect(newHugetlbFile(p.k, p.task, 4 * 512, false)).toBeNull();
    const a = mapHuge(p, 2);
    expect(pool(p)).toEqual({ total: 3, free: 3, reserved: 2, surplus: 0 });
    expect(newHugetlbFile(p.k, p.task, 2 * 512, false)).toBeNull();
    p.store(a + 700, 1);
    expect(pool(p)).toEqual({ total: 3, free: 2, reserved: 1, surplus: 0 });
    munmapRange(p.k, p.task.mm!, a, a + 1024);
    expect(pool(p)).toEqual({ total: 3, free: 3, reserved: 0, surplus: 0 });
    checkInvariants(p.k);
  });

  it('are for the nodes of the cpuset only', () => {
    const p = boot(1, 1);
    p.task.memsAllowed = 1;
    expect(newHugetlbFile(p.k, p.task, 2 * 512, false)).toBeNull();
    p.task.memsAllowed = 3;
    expect(newHugetlbFile(p.k, p.task, 2 * 512, false)).not.toBeNull();
  });

  it('beyond the pool: surplus pages as far as overcommit goes, which go with the mapping', () => {
    const p = boot(1);
    p.k.hugetlb.overcommit = 2;
    expect(newHugetlbFile(p.k, p.task, 4 * 512, false)).toBeNull();
    const a = mapHuge(p, 3);
    expect(pool(p)).toEqual({ total: 3, free: 3, reserved: 3, surplus: 2 });
    for (const i of [0, 512, 1024]) p.store(a + i, 1);
    munmapRange(p.k, p.task.mm!, a, a + 1536);
    expect(pool(p)).toEqual({ total: 1, free: 1, reserved: 0, surplus: 0 });
    checkInvariants(p.k);
  });

  it('a page unmapped by MADV_DONTNEED is promised to its owner again', () => {
    const p = boot(2);
    const a = mapHuge(p, 2);
    p.store(a, 1);
    madviseRange(p.k, p.task, a, a + 512, MADV_DONTNEED);
    expect(pool(p)).toEqual({ total: 2, free: 2, reserved: 2, surplus: 0 });
    expect([p.load(a), pool(p).reserved]).toEqual([0, 1]);
    checkInvariants(p.k);
  });

  it('with surplus pages about it is not', () => {
    const p = boot(0);
    p.k.hugetlb.overcommit = 1;
    const a = mapHuge(p, 1);
    p.store(a, 1);
    madviseRange(p.k, p.task, a, a + 512, MADV_DONTNEED);
    expect(pool(p)).toEqual({ total: 0, free: 0, reserved: 0, surplus: 0 });
  });

  it('without one a fault takes what nobody was promised, else SIGBUS', () => {
    const p = boot(2);
    const file = newHugetlbFile(p.k, p.task, 1024, false, false)!;
    const a = mapHuge(p, 2, { file });
    expect(newHugetlbFile(p.k, p.task, 512, false)).not.toBeNull();
    expect(p.access(a, true) & FAULT_SIGBUS).toBe(0);
    expect(p.access(a + 512, true)).toBe(FAULT_SIGBUS);
    expect(p.task.mm!.hugetlbPages).toBe(512);
  });

  it('areas are cut between huge pages only', () => {
    const p = boot(2);
    const a = mapHuge(p, 2);
    const cut = (start: number, end: number) => checkHugetlbCuts(p.task.mm!, start, end);
    expect([cut(a, a + 512), cut(a + 512, a + 1024), cut(a, a + 100), cut(a + 1, a + 512)]).toEqual(
      [0, 0, -EINVAL, -EINVAL],
    );
    const small = p.map(10);
    expect(cut(small + 1, small + 2)).toBe(0);
  });

  it('half of an area unmapped: the promises of that half', () => {
    const p = boot(2);
    const a = mapHuge(p, 2);
    munmapRange(p.k, p.task.mm!, a, a + 512);
    expect(pool(p).reserved).toBe(1);
    p.store(a + 512, 3);
    expect([pool(p).reserved, p.load(a + 512)]).toEqual([0, 3]);
    checkInvariants(p.k);
  });
});

describe('faults', () => {
  it('private: anonymous, exclusive, writable by the first store', () => {
    const p = boot(1);
    const a = mapHuge(p, 1);
    expect(handleFault(p.k, p.task, a + 7, false)).toBe(FAULT_CLEARED | FAULT_HUGE);
    const head = p.frame(a);
    expect(bits(p, a)).toBe(PTE_FAST | PTE_A);
    expect([p.k.folios.isAnon(head), p.k.frames.has(head, PG_ANON_EXCLUSIVE)]).toEqual([
      true,
      true,
    ]);
    expect([p.frame(a + 7) - head, p.task.mm!.hugetlbPages, p.task.mm!.rssAnon]).toEqual([
      7, 512, 0,
    ]);
    expect([handleFault(p.k, p.task, a, true), p.frame(a)]).toEqual([FAULT_DONE, head]);
    expect(bits(p, a)).toBe(PTE_FAST | PTE_A | PTE_D | PTE_W);
    expect(handleFault(p.k, p.task, a, true)).toBe(FAULT_DONE);
    checkInvariants(p.k);
  });

  it('private, by a store: at once', () => {
    const p = boot(1);
    const a = mapHuge(p, 1);
    expect(handleFault(p.k, p.task, a, true)).toBe(FAULT_CLEARED | FAULT_HUGE);
    expect(bits(p, a)).toBe(PTE_FAST | PTE_A | PTE_D | PTE_W);
  });

  it('shared: the page of the object for all, writable where the area is', () => {
    const p = boot(1);
    const a = mapHuge(p, 1, { shared: true });
    p.store(a + 9, 5);
    const head = p.frame(a);
    const { file } = p.task.mm!.findVma(a)!;
    expect([file!.frameAt(0), file!.frameAt(511), p.k.folios.isAnon(head)]).toEqual([
      head,
      head + 511,
      false,
    ]);
    const b = mapHuge(p, 1, { shared: true, file: file!, prot: PROT_READ, addr: 4 * HUGE });
    expect([p.load(b + 9), p.frame(b), bits(p, b)]).toEqual([5, head, PTE_FAST | PTE_A]);
    expect([p.k.folios.mapcount(head), p.k.frames.refcount[head]]).toEqual([2, 512 + 2]);
    munmapRange(p.k, p.task.mm!, a, a + 512);
    expect([p.load(b + 9), p.k.frames.refcount[head]]).toEqual([5, 512 + 1]);
    munmapRange(p.k, p.task.mm!, b, b + 512);
    expect(pool(p)).toEqual({ total: 1, free: 1, reserved: 0, surplus: 0 });
    checkInvariants(p.k);
  });

  it('fresh pages are zero', () => {
    const p = boot(1);
    const a = mapHuge(p, 1);
    for (const i of [0, 511]) p.store(a + i, 9);
    munmapRange(p.k, p.task.mm!, a, a + 512);
    const b = mapHuge(p, 1);
    expect([p.load(b), p.load(b + 511)]).toEqual([0, 0]);
  });

  it('a page on its way is waited for', () => {
    const p = boot(1);
    const a = mapHuge(p, 1);
    p.store(a, 1);
    const { mm } = p.task;
    mm!.pmd[mm!.slotOf(a)] = pteOther(PTE_KIND_MIGRATION, p.frame(a));
    expect([false, true].map((write) => handleFault(p.k, p.task, a, write))).toEqual([
      FAULT_WAIT,
      FAULT_WAIT,
    ]);
  });

  it.each([
    ['BIND to the other node', new Mempolicy(MPOL_BIND, 0, 2, 2), [1, 1]],
    ['INTERLEAVE, by huge page', new Mempolicy(MPOL_INTERLEAVE, 0, 3, 3), [0, 1]],
    ['none: the own node', null, [0, 0]],
  ] as const)('MP-91: %s', (_what, policy, nodes) => {
    const p = boot(2, 2);
    const a = mapHuge(p, 2);
    p.task.mm!.findVma(a)!.policy = policy;
    for (const i of [0, 512]) p.store(a + i, 1);
    expect([p.nid(a), p.nid(a + 512)]).toEqual(nodes);
    expect(p.k.hugetlb.freeOf(0)).toBe(2 - nodes.filter((nid) => nid === 0).length);
  });
});

describe('copies and fork', () => {
  function forked(spare: number) {
    const p = boot(1 + spare);
    const a = mapHuge(p, 1);
    p.store(a + 3, 7);
    const child = p.fork();
    return { p, k: p.k, a, child, head: p.frame(a) };
  }

  it('both share it, and may not write; the copy of who writes is its own', () => {
    const { p, k, a, child, head } = forked(1);
    expect([child.frame(a), bits(p, a) & PTE_W, bits(child, a) & PTE_W]).toEqual([head, 0, 0]);
    // No huge page starts old in the child.
    expect(bits(child, a)).toBe(PTE_FAST | PTE_A | PTE_D);
    expect([k.frames.has(head, PG_ANON_EXCLUSIVE), child.task.mm!.hugetlbPages]).toEqual([
      false,
      512,
    ]);
    expect(handleFault(k, child.task, a, true)).toBe(FAULT_COPIED | FAULT_HUGE);
    expect([child.load(a + 3), p.frame(a), child.frame(a) === head]).toEqual([7, head, false]);
    child.store(a + 3, 8);
    expect([p.load(a + 3), child.load(a + 3)]).toEqual([7, 8]);
    // The one that is left needs no copy.
    expect([handleFault(k, p.task, a, true), p.frame(a)]).toEqual([FAULT_DONE, head]);
    checkInvariants(k);
  });

  it('without a page for the copy: the child that writes gets SIGBUS', () => {
    const { k, a, child, head } = forked(0);
    expect([handleFault(k, child.task, a, true), child.frame(a)]).toEqual([FAULT_SIGBUS, head]);
  });

  it('… and the owner that writes takes it from the child (unmap_ref_private)', () => {
    const { p, k, a, child, head } = forked(0);
    expect([handleFault(k, p.task, a, true), p.frame(a), child.frame(a)]).toEqual([
      FAULT_DONE,
      head,
      -1,
    ]);
    expect([bits(p, a) & PTE_W, child.task.mm!.hugetlbPages]).toEqual([PTE_W, 0]);
    expect(child.access(a, false)).toBe(FAULT_SIGBUS);
    checkInvariants(k);
  });

  it('promises are the owner’s: the child has none', () => {
    const p = boot(2);
    const a = mapHuge(p, 2);
    p.store(a, 1);
    const child = p.fork();
    expect(child.access(a + 512, true)).toBe(FAULT_SIGBUS);
    p.store(a + 512, 2);
    exitTask(p.k, child.task);
    expect([p.load(a + 512), pool(p).reserved]).toEqual([2, 0]);
    checkInvariants(p.k);
  });

  it('PM-8: a pinned page stays the parent’s, the child has a copy, accessed and dirty', () => {
    const p = boot(2);
    const a = mapHuge(p, 1);
    p.store(a + 3, 7);
    const head = p.frame(a);
    pinUserPages(p.k, p.task, a, 1, FOLL_WRITE, []);
    const child = p.fork();
    expect([p.frame(a), child.frame(a) === head, child.load(a + 3)]).toEqual([head, false, 7]);
    expect([bits(p, a), bits(child, a)].map((one) => one & (PTE_A | PTE_D | PTE_W))).toEqual([
      PTE_A | PTE_D | PTE_W,
      PTE_A | PTE_D | PTE_W,
    ]);
    expect(p.k.frames.has(child.frame(a), PG_ANON_EXCLUSIVE)).toBe(true);
    checkInvariants(p.k);
  });

  it('what userfaultfd protects is not protected in the child', () => {
    const p = boot(1);
    const a = mapHuge(p, 1);
    p.store(a, 1);
    p.task.mm!.pmdByte[p.task.mm!.slotOf(a)] |= PTEB_UFFD_WP;
    const child = p.fork();
    expect([p.entry(a).byte, child.entry(a).byte]).toEqual([PTEB_UFFD_WP, 0]);
  });
});
