/** fork, clone, exit: OV-18, OV-31f, PM-8, PM-8a, and what the child's entries look like. */
import { describe, expect, it } from 'vitest';
import {
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MADV_WIPEONFORK,
  MAP_LOCKED,
  PROT_READ,
} from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_POISONED, FAULT_SIGSEGV } from './fault.ts';
import { cloneThread, exitTask, forkTask } from './fork.ts';
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
  PTE_KIND_MARKER,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTE_W,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  pteIsKind,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { PAGE_NOT_PRESENT, PAGE_ZERO } from './pageWalk.ts';
import { bootNodes, fillNode, isolate, migration, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

function boot(thp = false): TestProgram {
  const k = bootNodes([{ cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] }], {
    swapPages: 64,
  });
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  return new TestProgram(k);
}

describe('fork of private anonymous memory (OV-18)', () => {
  it('write becomes read in both, exclusivity is lost, the child starts old', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    expect(p.entry(a).word & 0xf).toBe(PTE_FAST | PTE_A | PTE_D);
    expect(child.entry(a)).toEqual({
      word: (p.entry(a).word & ~PTE_A) >>> 0,
      byte: PTEB_SOFT_DIRTY,
    });
    expect(child.frame(a)).toBe(p.frame(a));
    expect([p.k.folios.isAnonExclusive(p.frame(a)), p.k.folios.mapcount(p.frame(a))]).toEqual([
      false,
      2,
    ]);
    expect([p.task.mm!.rssAnon, child.task.mm!.rssAnon]).toEqual([1, 1]);
    checkInvariants(p.k);
  });

  it('huge pages stay huge in both', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    const child = p.fork();
    expect([p.k.folios.mapcount(p.head(a)), p.refs(a)]).toEqual([2, 2]);
    expect([p.entry(a).word & PTE_W, child.entry(a).word & PTE_A]).toEqual([0, 0]);
    expect(vmstat(p.k, 'thp_split_pmd')).toBe(0);
    checkInvariants(p.k);
  });

  it('zero pages and pages never touched are the same in the child', () => {
    const p = boot();
    const a = p.mapWritten(1, { addr: 0x100000 });
    const b = p.map(2, { addr: 0x100001 });
    p.access(b, false);
    const child = p.fork();
    expect([child.frame(a) >= 0, child.frame(b), child.frame(b + 1)]).toEqual([
      true,
      PAGE_ZERO,
      PAGE_NOT_PRESENT,
    ]);
  });

  it('OV-25: swap entries are copied, counted, and exclusive in neither', () => {
    const p = boot();
    const a = p.mapWritten(2);
    madviseRange(p.k, p.task, a, a + 2, MADV_PAGEOUT);
    const slot = ptePayload(p.entry(a).word);
    expect([pteIsKind(p.entry(a).word, PTE_KIND_SWAP), p.k.swap.count(slot)]).toEqual([true, 1]);
    expect(p.entry(a).byte & PTEB_EXCLUSIVE).toBe(PTEB_EXCLUSIVE);
    const child = p.fork();
    expect([p.k.swap.count(slot), child.task.mm!.swapEnts]).toEqual([2, 2]);
    expect([p.entry(a).byte & PTEB_EXCLUSIVE, child.entry(a).byte & PTEB_EXCLUSIVE]).toEqual([
      0, 0,
    ]);
    expect(p.load(a)).toBe(1);
    expect([p.k.swap.count(slot), child.load(a), child.frame(a)]).toEqual([1, 1, p.frame(a)]);
    expect(p.k.swap.count(slot)).toBe(0);
    exitTask(p.k, child.task);
    exitTask(p.k, p.task);
    expect(p.k.swap.used).toBe(0);
    checkInvariants(p.k);
  });
});

describe('fork of other areas', () => {
  it('OV-31f: shared mappings are not copied: the child faults them in', () => {
    const p = boot();
    const a = p.mapWritten(2, { file: p.k.newFile('t', 'tmpfs', 2), shared: true });
    const child = p.fork();
    expect([child.frame(a), p.k.folios.mapcount(p.head(a))]).toEqual([PAGE_NOT_PRESENT, 1]);
    expect(child.load(a)).toBe(1);
    expect(p.k.folios.mapcount(p.head(a))).toBe(2);
  });

  it('a private file area is copied once it has copies of its own', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 2);
    const a = p.map(2, { file });
    p.load(a);
    const before = p.fork();
    expect(before.frame(a)).toBe(PAGE_NOT_PRESENT);
    p.store(a, 7);
    const after = p.fork();
    expect([after.frame(a), after.load(a)]).toEqual([p.frame(a), 7]);
    checkInvariants(p.k);
  });

  it.each([
    { advice: MADV_DONTFORK, what: 'not there', frame: PAGE_NOT_PRESENT, mapped: false },
    { advice: MADV_WIPEONFORK, what: 'empty', frame: PAGE_NOT_PRESENT, mapped: true },
  ])('advice $advice: $what in the child', ({ advice, frame, mapped }) => {
    const p = boot();
    const a = p.mapWritten(1);
    madviseRange(p.k, p.task, a, a + 1, advice);
    const child = p.fork();
    expect([child.frame(a), child.task.mm!.findVma(a) !== null]).toEqual([frame, mapped]);
    expect(p.load(a)).toBe(1);
  });

  it('locks are not inherited', () => {
    const p = boot();
    const a = p.mapWritten(1, { flags: MAP_LOCKED });
    const child = p.fork();
    expect(child.task.mm!.findVma(a)!.has(VM_LOCKED)).toBe(false);
    expect([p.task.mm!.lockedVm, child.task.mm!.lockedVm]).toEqual([1, 0]);
    checkInvariants(p.k);
  });

  it('a file page mapped for reading by both is shared by both', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.map(1, { file, prot: PROT_READ });
    p.load(a);
    const child = p.fork();
    child.load(a);
    expect(p.k.folios.maybeMappedShared(p.head(a))).toBe(true);
  });
});

describe('what userfaultfd protects (dup_userfaultfd)', () => {
  const noneOf = (p: TestProgram, vpn: number) => p.entry(vpn).byte & PTEB_UFFD_WP;
  const protect = (p: TestProgram, vpn: number) => {
    p.k.ptes.bytes[p.task.mm!.pteIndex(vpn)] |= PTEB_UFFD_WP;
  };

  it("is the parent's affair: present, swapped out, zero, on its way, on 2 MiB", () => {
    const p = boot();
    const a = p.mapWritten(3);
    expect(madviseRange(p.k, p.task, a + 1, a + 2, MADV_PAGEOUT)).toBe(0);
    const zero = p.map(1);
    p.load(zero);
    const vpns = [a, a + 1, a + 2, zero];
    for (const vpn of vpns) protect(p, vpn);
    const op = migration(p.k, isolate(p, a + 2, 1), 0);
    op.step();
    expect(pteIsKind(p.entry(a + 2).word, PTE_KIND_MIGRATION)).toBe(true);
    const child = p.fork();
    expect(vpns.map((vpn) => noneOf(p, vpn))).toEqual(vpns.map(() => PTEB_UFFD_WP));
    expect(vpns.map((vpn) => noneOf(child, vpn))).toEqual([0, 0, 0, 0]);
    expect([p, child].map((one) => one.entry(zero).word & PTE_A)).toEqual([PTE_A, 0]);
    op.finish();
    expect([0, 1, 2].map((i) => child.load(a + i))).toEqual([1, 2, 3]);
    checkInvariants(p.k);
  });

  it.each([
    ['a huge page', true],
    ['the huge zero page', false],
  ])('%s', (_what, isWritten) => {
    const p = boot(true);
    const a = p.map(1024, { addr: 512 * 1024 });
    if (isWritten) p.store(a, 1);
    else p.load(a);
    p.store(a + 512, 1); // without anonymous pages nothing is copied (OV-31f)
    const { mm } = p.task;
    mm!.pmdByte[mm!.slotOf(a)] |= PTEB_UFFD_WP;
    const child = p.fork();
    expect([noneOf(p, a), noneOf(child, a)]).toEqual([PTEB_UFFD_WP, 0]);
    expect([p, child].map((one) => one.entry(a).word & PTE_A)).toEqual([PTE_A, 0]);
    expect(child.frame(a)).toBe(p.frame(a));
    checkInvariants(p.k);
  });

  it('a huge page on its way', () => {
    const p = boot(true);
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    const { mm } = p.task;
    mm!.pmdByte[mm!.slotOf(a)] |= PTEB_UFFD_WP;
    const op = migration(p.k, isolate(p, a, 1), 0);
    op.step();
    const child = p.fork();
    expect([noneOf(p, a), noneOf(child, a)]).toEqual([PTEB_UFFD_WP, 0]);
    op.finish();
    expect(child.load(a + 7)).toBe(8);
    checkInvariants(p.k);
  });

  it('markers: guards and errors go to the child, those of userfaultfd do not', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const markers = [MARKER_GUARD, MARKER_POISONED, MARKER_UFFD_WP];
    madviseRange(p.k, p.task, a, a + 3, MADV_DONTNEED);
    markers.forEach((marker, i) => {
      p.k.ptes.set(p.task.mm!.pteIndex(a + i), pteOther(PTE_KIND_MARKER, marker), 0);
    });
    const child = p.fork();
    expect([0, 1, 2].map((i) => child.entry(a + i).word)).toEqual([
      pteOther(PTE_KIND_MARKER, MARKER_GUARD),
      pteOther(PTE_KIND_MARKER, MARKER_POISONED),
      0,
    ]);
    expect([0, 1].map((i) => child.access(a + i, true))).toEqual([FAULT_SIGSEGV, FAULT_POISONED]);
  });
});

describe('fork of pinned pages', () => {
  it('PM-8: the parent keeps its page alone, the child gets a copy at once', () => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.folios.pin(p.head(a), 1);
    const child = p.fork();
    expect(child.frame(a)).not.toBe(p.frame(a));
    expect(child.frame(a + 1)).toBe(p.frame(a + 1));
    expect(p.k.folios.isAnonExclusive(p.frame(a))).toBe(true);
    expect(p.k.folios.isAnonExclusive(child.frame(a))).toBe(true);
    p.store(a, 9);
    expect([p.load(a), child.load(a)]).toEqual([9, 1]);
    checkInvariants(p.k);
  });

  it('PM-8a: one pin in a huge page: the parent is split to entries, all 512 are copied', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    p.k.folios.pin(p.head(a), 1);
    const child = p.fork();
    expect([vmstat(p.k, 'thp_split_pmd'), vmstat(p.k, 'thp_split_page')]).toEqual([1, 0]);
    expect(p.k.folios.mapcount(p.head(a))).toBe(512);
    for (const i of [0, 5, 511]) expect(child.frame(a + i)).not.toBe(p.frame(a + i));
    expect(child.load(a + 511)).toBe(512);
    checkInvariants(p.k);
  });

  it('the copy of a page in an inaccessible area is inaccessible too', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.folios.pin(p.head(a), 1);
    mprotectRange(p.k, p.task.mm!, a, a + 1, 0);
    const child = p.fork();
    expect([child.frame(a) === p.frame(a), child.load(a)]).toEqual([false, -1]);
    mprotectRange(p.k, child.task.mm!, a, a + 1, PROT_READ);
    expect(child.load(a)).toBe(1);
    checkInvariants(p.k);
  });

  it('a plain reference does not matter', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.folios.get(p.head(a));
    expect(p.fork().frame(a)).toBe(p.frame(a));
  });
});

describe('threads, exit, failure', () => {
  it('threads share the address space; the last one tears it down', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const thread = new TestProgram(p.k, cloneThread(p.k, p.task));
    expect([thread.load(a + 3), p.task.mm!.users]).toEqual([4, 2]);
    exitTask(p.k, p.task);
    expect(thread.load(a)).toBe(1);
    exitTask(p.k, thread.task);
    expect(vmstat(p.k, 'nr_anon_pages')).toBe(0);
    checkInvariants(p.k);
  });

  it('out of memory: -ENOMEM, and nothing of the child is left', () => {
    const p = boot();
    const a = p.mapWritten(100);
    p.k.folios.pin(p.head(a), 1);
    fillNode(p.k, 0, 0);
    const before = [p.k.tasks.size, p.k.vmstat.snapshot().get('nr_page_table_pages')];
    p.k.swap.allocate(64);
    expect(forkTask(p.k, p.task)).toBe(-12);
    expect([p.k.tasks.size, p.k.vmstat.snapshot().get('nr_page_table_pages')]).toEqual(before);
    expect(p.load(a + 50)).toBe(51);
  });

  it('fork copies rights, policy and cpu', () => {
    const p = boot();
    p.task.uid = 5;
    p.k.placeTask(p.task, 1);
    const child = p.fork().task;
    expect([child.uid, child.cpu, child.tgid, child.parent]).toEqual([5, 1, child.pid, p.task]);
    const thread = cloneThread(p.k, p.task);
    expect([thread.tgid, thread.mm]).toEqual([p.task.pid, p.task.mm]);
  });
});
