/** How GUP gets at one page: areas, entries and faults, flag by flag. PM-1, PM-3, PM-6a, PM-8. */
import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../hw/index.ts';
import { EFAULT, EHWPOISON, ENOMEM, EOPNOTSUPP } from '../uapi/errno.ts';
import {
  FOLL_ANON,
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_HONOR_NUMA_FAULT,
  FOLL_HWPOISON,
  FOLL_LONGTERM,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_SPLIT_PMD,
  FOLL_WRITE,
} from '../uapi/gup.ts';
import { PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_SIGSEGV } from './fault.ts';
import { PG_ACTIVE, PG_DIRTY, PG_REFERENCED } from './frameTable.ts';
import { getUserPages, pinUserPages, putUserPages } from './gup.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { checkInvariants } from './invariants.ts';
import type { FileKind } from './mappedFile.ts';
import { injectError } from './memoryFailure.ts';
import { munmapRange } from './mmap.ts';
import { mprotectRange } from './mprotect.ts';
import {
  PTE_A,
  PTE_D,
  PTE_KIND_PROTNONE,
  PTE_W,
  PTEB_UFFD_WP,
  pteIsKind,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { PAGE_ZERO } from './pageWalk.ts';
import { bootNodes, fillNode, isolate, migration, TestProgram, vmstat } from './testProgram.ts';
import { VM_DAX, VM_IO, VM_MIXEDMAP, VM_PFNMAP } from './vma.ts';

const RW = PROT_READ | PROT_WRITE;
const HUGE = 512 * 1024;

function boot(thp: 'always' | 'never' = 'never', kernel: KernelVersion = '7.3'): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
  const nodes = [
    { cpus: [0, 1], zones },
    { cpus: [2], zones },
  ];
  const k = bootNodes(nodes, { kernel });
  k.sysctl.thp_enabled = thp;
  return new TestProgram(k);
}

/** get_user_pages of one page; its reference goes at once. */
function get(p: TestProgram, vpn: number, flags = 0, n = 1): number {
  const got: number[] = [];
  const result = getUserPages(p.k, p.task, vpn, n, flags, got);
  putUserPages(p.k, got);
  return result;
}

/** pin_user_pages of one page, which stays pinned. */
function pin(p: TestProgram, vpn: number, flags = 0): number {
  return pinUserPages(p.k, p.task, vpn, 1, flags, []);
}

function withFlag(flag: number): [TestProgram, number] {
  const p = boot();
  const a = p.mapWritten(1);
  p.task.mm!.findVma(a)!.flags |= flag;
  return [p, a];
}

function mapFile(p: TestProgram, kind: FileKind, shared: boolean, prot = RW): number {
  return p.map(1, { file: p.k.newFile('f', kind, 1), shared, prot });
}

function mapHugetlb(p: TestProgram, prot = RW): number {
  p.k.hugetlb.resize(2, 0);
  const file = newHugetlbFile(p.k, p.task, 512, false)!;
  return p.map(512, { file, addr: HUGE, prot });
}

describe('what an area allows (PM-3)', () => {
  it.each([
    ['VM_IO', VM_IO],
    ['VM_PFNMAP', VM_PFNMAP],
  ])('%s: -EFAULT, whatever is asked for', (_name, flag) => {
    const [p, a] = withFlag(flag | VM_DAX);
    const long = FOLL_LONGTERM;
    expect([get(p, a), get(p, a, FOLL_FORCE), pin(p, a, long)]).toEqual([
      -EFAULT,
      -EFAULT,
      -EFAULT,
    ]);
  });

  it('ANON is for areas without a file', () => {
    const p = boot();
    expect(get(p, p.mapWritten(1), FOLL_ANON)).toBe(1);
    const a = mapFile(p, 'tmpfs', true);
    expect([get(p, a, FOLL_ANON), get(p, a)]).toEqual([-EFAULT, 1]);
  });

  it('DAX: no long-term pins, -EOPNOTSUPP; others are', () => {
    const [p, a] = withFlag(VM_DAX);
    expect([pin(p, a, FOLL_LONGTERM), pin(p, a)]).toEqual([-EOPNOTSUPP, 1]);
  });

  it('SPLIT_PMD of hugetlb memory is -EOPNOTSUPP; without it the page is there', () => {
    const p = boot();
    const a = mapHugetlb(p);
    expect([get(p, a, FOLL_SPLIT_PMD), get(p, a), get(p, a + 7)]).toEqual([-EOPNOTSUPP, 1, 1]);
    expect(get(p, p.mapWritten(1), FOLL_SPLIT_PMD)).toBe(1);
  });

  it('secret memory is -EFAULT', () => {
    const p = boot();
    const a = mapFile(p, 'secretmem', true);
    p.store(a, 1);
    expect([get(p, a), get(p, a, FOLL_WRITE | FOLL_FORCE)]).toEqual([-EFAULT, -EFAULT]);
  });

  it.each([
    ['ext4, shared', 'ext4', true, RW, -EFAULT],
    ['ext4, private', 'ext4', false, RW, 1],
    ['tmpfs, shared', 'tmpfs', true, RW, 1],
  ] as const)('a long-term pin for writing: %s', (_name, kind, shared, prot, result) => {
    const p = boot();
    const a = mapFile(p, kind, shared, prot);
    expect(pin(p, a, FOLL_LONGTERM | FOLL_WRITE)).toBe(result);
    expect([pin(p, a, FOLL_WRITE), pin(p, a, FOLL_LONGTERM)]).toEqual([1, 1]);
  });

  it.each([
    ['private', false, 1],
    ['shared', true, -EFAULT],
  ])('to write what is read-only takes FORCE and a private area: %s', (_name, shared, forced) => {
    const p = boot();
    const a = mapFile(p, 'tmpfs', shared, PROT_READ);
    const flags = [FOLL_WRITE, FOLL_WRITE | FOLL_FORCE, 0];
    expect(flags.map((one) => get(p, a, one))).toEqual([-EFAULT, forced, 1]);
  });

  it('to write read-only hugetlb memory is -EFAULT, forced or not', () => {
    const p = boot();
    const a = mapHugetlb(p, PROT_READ);
    const flags = [FOLL_WRITE, FOLL_WRITE | FOLL_FORCE, 0];
    expect(flags.map((one) => get(p, a, one))).toEqual([-EFAULT, -EFAULT, 1]);
  });

  it('to read what cannot be read takes FORCE', () => {
    const p = boot();
    const none = p.map(1, { prot: 0 });
    const writeOnly = p.map(1, { prot: PROT_WRITE });
    expect([get(p, none), get(p, none, FOLL_FORCE)]).toEqual([-EFAULT, 1]);
    expect([get(p, writeOnly), get(p, writeOnly, FOLL_WRITE)]).toEqual([-EFAULT, 1]);
  });
});

describe('DUMP, NOFAULT, NOWAIT, HWPOISON (PM-1)', () => {
  it('DUMP: what was never touched and the zero page are holes', () => {
    const p = boot();
    const a = p.map(4, { addr: HUGE });
    expect(get(p, a, FOLL_DUMP)).toBe(-EFAULT); // no page table yet
    p.store(a, 1);
    p.load(a + 1);
    expect([0, 1, 2].map((i) => get(p, a + i, FOLL_DUMP))).toEqual([1, -EFAULT, -EFAULT]);
    expect([1, 2].map((i) => get(p, a + i))).toEqual([1, 1]);
    expect(p.frame(a + 2)).toBe(PAGE_ZERO);
    expect(get(p, mapFile(p, 'tmpfs', true), FOLL_DUMP)).toBe(1);
  });

  it('DUMP: the huge zero page is a hole, another huge page none', () => {
    const p = boot('always');
    const a = p.map(1024, { addr: HUGE });
    p.load(a);
    p.store(a + 512, 1);
    expect([get(p, a + 3, FOLL_DUMP), get(p, a + 3)]).toEqual([-EFAULT, 1]);
    expect(get(p, a + 515, FOLL_DUMP)).toBe(1);
  });

  it('NOFAULT: as far as no fault is needed, a copy included', () => {
    const p = boot();
    const a = p.map(3);
    expect(get(p, a, FOLL_NOFAULT)).toBe(-EFAULT);
    for (const i of [0, 1]) p.store(a + i, 1);
    expect(get(p, a, FOLL_NOFAULT | FOLL_WRITE, 3)).toBe(2);
    p.fork();
    expect(get(p, a, FOLL_NOFAULT)).toBe(1);
    expect([get(p, a, FOLL_NOFAULT | FOLL_WRITE), pin(p, a, FOLL_NOFAULT)]).toEqual([
      -EFAULT,
      -EFAULT,
    ]);
    expect(vmstat(p.k, 'pgfault')).toBe(2);
  });

  it('a page on its way: NOWAIT stops there without an error, others wait for it', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const op = migration(p.k, isolate(p, a + 1, 1), 1);
    op.step();
    expect([get(p, a, FOLL_NOWAIT, 2), get(p, a + 1, FOLL_NOWAIT)]).toEqual([1, 0]);
    expect(op.isDone).toBe(false);
    expect([get(p, a, 0, 2), op.isDone, p.nid(a + 1)]).toEqual([2, true, 1]);
    checkInvariants(p.k);
  });

  it('HWPOISON: -EHWPOISON for an error in memory, else -EFAULT (MC-82a)', () => {
    const p = boot();
    const a = p.mapWritten(2);
    injectError(p.k, p.task, a, a + 1, false);
    expect([get(p, a), get(p, a, FOLL_HWPOISON)]).toEqual([-EFAULT, -EHWPOISON]);
    expect(get(p, a + 1, FOLL_HWPOISON)).toBe(1);
    const end = p.map(2, { file: p.k.newFile('f', 'tmpfs', 1), shared: true });
    expect(get(p, end + 1, FOLL_HWPOISON)).toBe(-EFAULT);
  });

  it('no memory: -ENOMEM, or as many as there are', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const b = p.map(1);
    for (const nid of [0, 1]) fillNode(p.k, nid, 0);
    expect([get(p, b, FOLL_WRITE), get(p, a, FOLL_WRITE)]).toEqual([-ENOMEM, 1]);
  });
});

describe('entries', () => {
  it('SPLIT_PMD: the page of a huge page by an entry of its own', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const head = p.frame(a);
    const got: number[] = [];
    expect(getUserPages(p.k, p.task, a + 5, 2, 0, got)).toBe(2);
    expect([got, vmstat(p.k, 'thp_split_pmd')]).toEqual([[head + 5, head + 6], 0]);
    expect(getUserPages(p.k, p.task, a + 7, 1, FOLL_SPLIT_PMD, got)).toBe(1);
    expect([got[2], vmstat(p.k, 'thp_split_pmd')]).toEqual([head + 7, 1]);
    expect([p.k.folios.isLarge(head), p.k.frames.refcount[head]]).toEqual([true, 512 + 3]);
  });

  it('raw frames in an area that has pages, too: -EFAULT', () => {
    const p = boot();
    const file = p.k.newFile('/dev/mem', 'devmem', 1);
    const a = p.map(1, { file, shared: true });
    p.access(a, false);
    p.task.mm!.findVma(a)!.flags &= ~(VM_PFNMAP | VM_IO);
    p.task.mm!.findVma(a)!.flags |= VM_MIXEDMAP;
    expect(get(p, a)).toBe(-EFAULT);
  });

  it.each([
    ['7.3', 0, 0],
    ['7.3', FOLL_HONOR_NUMA_FAULT, 1],
    ['7.3', FOLL_HONOR_NUMA_FAULT | FOLL_FORCE, 1],
    ['6.12', 0, 0],
    ['6.1', 0, 1],
    ['6.1', FOLL_FORCE, 0],
  ] as const)('%s: a NUMA hint, flags %i: %i hint faults', (kernel, flags, faults) => {
    const p = boot('never', kernel);
    const a = p.mapWritten(1);
    const frame = p.frame(a);
    p.k.ptes.set(p.task.mm!.pteIndex(a), pteOther(PTE_KIND_PROTNONE, frame), 0);
    expect(get(p, a, flags)).toBe(1);
    expect(vmstat(p.k, 'numa_hint_faults')).toBe(faults);
  });

  it('an area without access has no hints: HONOR_NUMA_FAULT takes its pages', () => {
    const p = boot();
    const a = p.mapWritten(1);
    mprotectRange(p.k, p.task.mm!, a, a + 1, 0);
    const faults = vmstat(p.k, 'pgfault');
    expect(get(p, a, FOLL_FORCE | FOLL_HONOR_NUMA_FAULT)).toBe(1);
    expect([vmstat(p.k, 'numa_hint_faults'), vmstat(p.k, 'pgfault') - faults]).toEqual([0, 0]);
  });

  it.each([
    ['to write, entry clean', FOLL_WRITE, false, true],
    ['to write, entry dirty', FOLL_WRITE, true, false],
    ['to read', 0, false, false],
  ])('PM-6a: %s: the folio is dirty %s', (_name, flags, entryDirty, dirty) => {
    const p = boot();
    const a = p.mapWritten(1);
    const i = p.task.mm!.pteIndex(a);
    if (!entryDirty) p.k.ptes.words[i] &= ~PTE_D;
    p.k.frames.clear(p.head(a), PG_DIRTY | PG_REFERENCED);
    expect(get(p, a, flags)).toBe(1);
    expect([p.has(a, PG_DIRTY), p.has(a, PG_REFERENCED)]).toEqual([dirty, true]);
    get(p, a, flags);
    expect(p.has(a, PG_ACTIVE)).toBe(true);
  });

  it('PM-6a: a pin alone leaves no trace of an access', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.frames.clear(p.head(a), PG_DIRTY | PG_REFERENCED);
    const i = p.task.mm!.pteIndex(a);
    p.k.ptes.words[i] &= ~(PTE_D | PTE_A);
    expect(pin(p, a, FOLL_WRITE)).toBe(1);
    expect([p.has(a, PG_DIRTY), p.has(a, PG_REFERENCED)]).toEqual([false, false]);
  });

  it.each([
    ['to read', 0, PTE_A],
    ['to write', FOLL_WRITE, PTE_A | PTE_D],
  ])('PM-6a: a huge page %s: its entry is marked, not the folio', (_name, flags, marks) => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const { mm } = p.task;
    const slot = mm!.slotOf(a);
    mm!.pmd[slot] = (mm!.pmd[slot] & ~(PTE_A | PTE_D)) >>> 0;
    p.k.frames.clear(p.head(a), PG_DIRTY | PG_REFERENCED);
    expect(get(p, a + 9, flags)).toBe(1);
    expect(p.entry(a).word & (PTE_A | PTE_D)).toBe(marks);
    expect([p.has(a, PG_DIRTY), p.has(a, PG_REFERENCED)]).toEqual([false, false]);
  });
});

describe('FORCE writes to what is read-only', () => {
  function readOnly(p: TestProgram, pages = 1): number {
    const a = p.mapWritten(pages);
    mprotectRange(p.k, p.task.mm!, a, a + pages, PROT_READ);
    return a;
  }
  const force = FOLL_WRITE | FOLL_FORCE;

  it("a page that is the process's alone: no fault; the CPU may still not write", () => {
    const p = boot();
    const a = readOnly(p);
    const [frame, faults] = [p.frame(a), vmstat(p.k, 'pgfault')];
    expect(get(p, a, force)).toBe(1);
    expect([p.frame(a), vmstat(p.k, 'pgfault')]).toEqual([frame, faults]);
    expect([p.entry(a).word & PTE_W, p.access(a, true)]).toEqual([0, FAULT_SIGSEGV]);
  });

  it('a page of others, too: a copy, which the CPU may read only', () => {
    const p = boot();
    const a = readOnly(p);
    const child = p.fork();
    const frame = p.frame(a);
    expect(get(p, a, force)).toBe(1);
    expect([child.frame(a), p.frame(a) === frame]).toEqual([frame, false]);
    expect([p.load(a), p.entry(a).word & PTE_W, p.access(a, true)]).toEqual([1, 0, FAULT_SIGSEGV]);
    checkInvariants(p.k);
  });

  it('a hole, the zero page, a page of a file: an anonymous page', () => {
    const p = boot();
    const a = p.map(2, { prot: PROT_READ });
    const file = mapFile(p, 'tmpfs', false, PROT_READ);
    for (const vpn of [a + 1, file]) p.load(vpn);
    for (const vpn of [a, a + 1, file]) {
      expect(get(p, vpn, force)).toBe(1);
      expect(p.k.folios.isAnon(p.head(vpn))).toBe(true);
      expect([p.entry(vpn).word & PTE_W, p.access(vpn, true)]).toEqual([0, FAULT_SIGSEGV]);
    }
    expect(p.task.mm!.rssAnon).toBe(3);
    checkInvariants(p.k);
  });

  it('where the area is writable again, a write fault', () => {
    const p = boot();
    const a = readOnly(p);
    const i = p.task.mm!.pteIndex(a);
    p.task.mm!.findVma(a)!.flags |= 2;
    expect(p.k.ptes.words[i] & PTE_W).toBe(0);
    const faults = vmstat(p.k, 'pgfault');
    expect(get(p, a, force)).toBe(1);
    expect([vmstat(p.k, 'pgfault') - faults, p.k.ptes.words[i] & PTE_W]).toEqual([1, PTE_W]);
  });

  it('a page that userfaultfd protects: a write fault', () => {
    const p = boot();
    const a = readOnly(p);
    p.k.ptes.bytes[p.task.mm!.pteIndex(a)] |= PTEB_UFFD_WP;
    const faults = vmstat(p.k, 'pgfault');
    expect(get(p, a, force)).toBe(1);
    expect(vmstat(p.k, 'pgfault') - faults).toBe(1);
  });

  it('reads of an area without access: pages come, and no entry allows anything', () => {
    const p = boot();
    const file = p.k.newFile('f', 'tmpfs', 1200);
    const writer = p.map(1200, { file, shared: true });
    for (let i = 500; i < 540; i++) p.store(writer + i, i);
    // Spans three page tables; faults map cached neighbours (OV-31d).
    const a = p.map(1200, { file, shared: true, prot: 0, addr: HUGE - 20 });
    expect(get(p, a + 534, FOLL_FORCE)).toBe(1);
    const mapped = Array.from({ length: 1200 }, (_, i) => i).filter((i) => p.frame(a + i) >= 0);
    expect(mapped.length).toBeGreaterThan(1);
    for (const i of mapped) expect(pteIsKind(p.entry(a + i).word, PTE_KIND_PROTNONE)).toBe(true);
    expect([p.task.mm!.findVma(a)!.flags & 7, p.access(a + 534, false)]).toEqual([
      0,
      FAULT_SIGSEGV,
    ]);
    checkInvariants(p.k);
  });
});

describe('a read-only pin gets a page of its own (PM-8)', () => {
  it('a page shared along fork: copied, read-only and clean; others keep theirs', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    const frame = p.frame(a);
    expect([get(p, a), p.frame(a)]).toEqual([1, frame]);
    expect(pin(p, a)).toBe(1);
    expect([child.frame(a), p.frame(a) === frame]).toEqual([frame, false]);
    expect([p.entry(a).word & (PTE_W | PTE_D), p.load(a)]).toEqual([0, 1]);
    const own = p.frame(a);
    p.store(a, 9);
    expect([p.frame(a), child.load(a)]).toEqual([own, 1]);
    checkInvariants(p.k);
  });

  it('the last one to have a page keeps it', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    munmapRange(p.k, child.task.mm!, a, a + 1);
    p.k.lru.drainAll();
    const frame = p.frame(a);
    expect([pin(p, a), p.frame(a), vmstat(p.k, 'pgreuse')]).toEqual([1, frame, 0]);
  });

  it.each([
    ['short-term', 0, true],
    ['long-term', FOLL_LONGTERM, false],
  ])('%s, a page of the cache in a private area: the cache has it still %s', (_n, flags, same) => {
    const p = boot();
    const file = p.k.newFile('f', 'tmpfs', 1);
    const shared = p.mapWritten(1, { file, shared: true });
    const a = p.map(1, { file });
    expect([pin(p, a, flags), p.load(a), p.frame(a) === p.frame(shared)]).toEqual([1, 1, same]);
    expect(p.k.folios.isAnon(p.head(a))).toBe(!same);
    expect([pin(p, shared, flags), p.load(shared)]).toEqual([1, 1]);
    checkInvariants(p.k);
  });

  it('part of a huge page that a child has, too: only that page', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const child = p.fork();
    const head = child.frame(a);
    expect(pin(p, a + 5)).toBe(1);
    expect([p.frame(a + 5) === head + 5, p.frame(a + 6)]).toEqual([false, head + 6]);
    expect([child.frame(a + 5), p.load(a + 5)]).toEqual([head + 5, 6]);
    // The entries of this process are small now, those of the child still one.
    const word = child.task.mm!.pmd[child.task.mm!.slotOf(a)];
    expect([ptePayload(word), vmstat(p.k, 'thp_split_pmd')]).toEqual([head, 1]);
    checkInvariants(p.k);
  });

  it('part of a huge page of this process alone: nothing happens', () => {
    const p = boot('always');
    const a = p.mapWritten(512, { addr: HUGE });
    const frame = p.frame(a + 5);
    expect([pin(p, a + 5), p.frame(a + 5), vmstat(p.k, 'thp_split_pmd')]).toEqual([1, frame, 0]);
  });

  it('hugetlb memory that a child has, too: a huge page of its own, read-only', () => {
    const p = boot();
    const a = mapHugetlb(p);
    p.store(a + 3, 7);
    const child = p.fork();
    const head = p.frame(a);
    expect(pin(p, a + 3)).toBe(1);
    expect([child.frame(a), p.frame(a) === head, p.load(a + 3)]).toEqual([head, false, 7]);
    expect(p.entry(a).word & PTE_W).toBe(0);
    checkInvariants(p.k);
  });

  it('without access: the copy has none either', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.fork();
    const frame = p.frame(a);
    mprotectRange(p.k, p.task.mm!, a, a + 1, 0);
    expect([pin(p, a, FOLL_FORCE), p.frame(a) === frame]).toEqual([1, false]);
    expect([pteIsKind(p.entry(a).word, PTE_KIND_PROTNONE), p.access(a, false)]).toEqual([
      true,
      FAULT_SIGSEGV,
    ]);
    checkInvariants(p.k);
  });

  it('without memory for the copy: -ENOMEM, and the entry is as it was', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.fork();
    const [frame, word] = [p.frame(a), p.entry(a).word];
    for (const nid of [0, 1]) fillNode(p.k, nid, 0);
    expect([pin(p, a), p.frame(a), p.entry(a).word]).toEqual([-ENOMEM, frame, word]);
  });
});
