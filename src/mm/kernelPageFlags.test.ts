import { describe, expect, it } from 'vitest';
import { KPF_NAMES } from '../uapi/kernelPageFlags.ts';
import { MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { accessPage } from './fault.ts';
import { PG_BUDDY } from './frameTable.ts';
import { Kernel } from './kernel.ts';
import { hasKpf, kernelPageFlags } from './kernelPageFlags.ts';
import { madviseRange } from './madvise.ts';
import { populateRange } from './mlockRange.ts';
import { mmapRegion } from './mmap.ts';
import {
  PM_FILE,
  PM_MMAP_EXCLUSIVE,
  PM_PRESENT,
  PM_SWAP,
  PM_UFFD_WP,
  pagemapEntry,
} from './pagemap.ts';
import { PTE_KIND_MIGRATION, pteOther } from './pageTable.ts';
import { pageAt } from './pageWalk.ts';
import { plainMachine } from './plainMachine.ts';
import type { Task } from './task.ts';
import { userfaultProtect, userfaultRegister } from './userfaultfd.ts';

const RW = PROT_READ | PROT_WRITE;

function setup(pages: number): { k: Kernel; task: Task; start: number } {
  const k = new Kernel(plainMachine([{ cpus: [0], zones: [{ zone: 2, pages: 32768 }] }]), {
    seed: 1,
    trackContent: false,
  });
  const task = k.spawn(null, 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const request = { addr: 0x700000000, pages, prot: RW, flags, file: null, pgoff: 0 };
  return { k, task, start: mmapRegion(k, task.mm!, request) };
}

function names(k: Kernel, page: number): string[] {
  const word = kernelPageFlags(k, page);
  return [...KPF_NAMES].filter(([bit]) => hasKpf(word, bit)).map(([, n]) => n);
}

describe('/proc/kpageflags', () => {
  it('HS-16: a written anonymous page, in its batch and on the LRU', () => {
    const { k, task, start } = setup(1);
    accessPage(k, task, start, true);
    const page = pageAt(k, task.mm!, start);
    expect(names(k, page)).toEqual(['UPTODATE', 'MMAP', 'ANON', 'SWAPBACKED', 'OWNER_2']);
    k.lru.drainAll();
    expect(names(k, page)).toEqual(['UPTODATE', 'LRU', 'MMAP', 'ANON', 'SWAPBACKED', 'OWNER_2']);
  });

  it('HS-13 HS-14: memory never used is BUDDY all through; boot’s is RESERVED', () => {
    const spec = plainMachine([{ cpus: [0], zones: [{ zone: 2, pages: 32768, reserved: 100 }] }]);
    const k = new Kernel(spec, { seed: 1, trackContent: false });
    const { managedStart } = k.pm.zones[0];
    expect(names(k, managedStart - 1)).toEqual(['RESERVED']);
    for (const frame of [20000, 20001, 20515]) expect(names(k, frame)).toEqual(['BUDDY']);
    expect(names(k, k.zeroFrame)).toContain('ZERO_PAGE');
  });

  it('PM-6a OV-31g: populate marks pages accessed as GUP does: REFERENCED', () => {
    const { k, task, start } = setup(2);
    expect(populateRange(k, task, start, start + 1)).toBe(0);
    accessPage(k, task, start + 1, true);
    const flags = (vpn: number) => names(k, pageAt(k, task.mm!, vpn));
    expect(flags(start)).toContain('REFERENCED');
    expect(flags(start + 1)).not.toContain('REFERENCED');
    expect(populateRange(k, task, start, start + 1)).toBe(0);
    expect(flags(start)).toContain('ACTIVE');
  });

  it('PM-6a: of a huge page the entry is marked, not the folio', () => {
    const { k, task, start } = setup(512);
    madviseRange(k, task, start, start + 512, MADV_HUGEPAGE);
    expect(populateRange(k, task, start, start + 512)).toBe(0);
    const flags = names(k, pageAt(k, task.mm!, start));
    expect(flags).toContain('THP');
    expect(flags).not.toContain('REFERENCED');
    expect(flags).not.toContain('ACTIVE');
  });

  it('HS-14: a tail has the flags of its folio; THP', () => {
    const { k, task, start } = setup(512);
    madviseRange(k, task, start, start + 512, MADV_HUGEPAGE);
    accessPage(k, task, start, true);
    const head = pageAt(k, task.mm!, start);
    expect(names(k, head)).toContain('COMPOUND_HEAD');
    const tail = names(k, head + 3);
    expect(tail).toEqual(expect.arrayContaining(['COMPOUND_TAIL', 'THP', 'ANON', 'OWNER_2']));
    expect(tail).not.toContain('COMPOUND_HEAD');
  });

  it('HS-14: every frame of a free block is BUDDY; the zero page; page tables', () => {
    const { k, task, start } = setup(1);
    const isBlock = (f: number): boolean => (k.frames.flags[f] & PG_BUDDY) !== 0;
    const head = [...k.frames.flags.keys()].find((f) => isBlock(f) && k.frames.orderOf(f) > 0)!;
    expect([names(k, head), names(k, head + 1)]).toEqual([['BUDDY'], ['BUDDY']]);
    expect(names(k, k.zeroFrame)).toEqual(expect.arrayContaining(['RESERVED', 'ZERO_PAGE']));
    accessPage(k, task, start, true);
    const table = k.ptes.frameOf[task.mm!.leaf[task.mm!.slotOf(start)]];
    expect(names(k, table)).toEqual(['PGTABLE']);
  });
});

describe('/proc/PID/pagemap', () => {
  it('HS-20 HS-22: nothing, zero page, exclusive page', () => {
    const { k, task, start } = setup(3);
    const mm = task.mm!;
    accessPage(k, task, start, true);
    accessPage(k, task, start + 1, false);
    const pfn = k.frames.pfnOf(pageAt(k, mm, start));
    const bits = PM_PRESENT | PM_MMAP_EXCLUSIVE;
    expect(pagemapEntry(k, mm, start)).toEqual({ payload: pfn, bits });
    const zero = { payload: k.frames.pfnOf(k.zeroFrame), bits: PM_PRESENT };
    expect(pagemapEntry(k, mm, start + 1)).toEqual(zero);
    expect(pagemapEntry(k, mm, start + 2)).toEqual({ payload: 0, bits: 0 });
  });

  it('HS-20: a page of a file', () => {
    const { k, task } = setup(1);
    const file = k.newFile('/dev/shm/f', 'shmem', 1);
    const request = { addr: 0, pages: 1, prot: RW, flags: 1, file, pgoff: 0 };
    const start = mmapRegion(k, task.mm!, request);
    accessPage(k, task, start, true);
    const { bits } = pagemapEntry(k, task.mm!, start);
    expect(bits).toBe(PM_PRESENT | PM_FILE | PM_MMAP_EXCLUSIVE);
  });

  it('S-HS-10: a migration entry is "swapped" and names its frame', () => {
    const { k, task, start } = setup(1);
    accessPage(k, task, start, true);
    const page = pageAt(k, task.mm!, start);
    const i = task.mm!.pteIndex(start);
    k.ptes.set(i, pteOther(PTE_KIND_MIGRATION, page), 0);
    const entry = { payload: k.frames.pfnOf(page), bits: PM_SWAP };
    expect(pagemapEntry(k, task.mm!, start)).toEqual(entry);
  });
});

describe('write protection by userfaultfd', () => {
  it.each([1, 512])('marks %i pages; a write lifts it', (pages) => {
    const { k, task, start } = setup(pages);
    if (pages > 1) madviseRange(k, task, start, start + pages, MADV_HUGEPAGE);
    accessPage(k, task, start, true);
    const mm = task.mm!;
    expect(userfaultProtect(k, mm, start, start + pages)).toBe(-2);
    expect(userfaultRegister(k, mm, start, start + pages)).toBe(0);
    expect(userfaultRegister(k, mm, start, start + pages + 1)).toBe(-22);
    expect(userfaultProtect(k, mm, start, start + pages)).toBe(0);
    expect(pagemapEntry(k, mm, start).bits & PM_UFFD_WP).toBe(PM_UFFD_WP);
    accessPage(k, task, start, false);
    expect(pagemapEntry(k, mm, start).bits & PM_UFFD_WP).toBe(PM_UFFD_WP);
    accessPage(k, task, start, true);
    expect(pagemapEntry(k, mm, start).bits & PM_UFFD_WP).toBe(0);
  });

  it('protects a part of a huge page', () => {
    const { k, task, start } = setup(512);
    madviseRange(k, task, start, start + 512, MADV_HUGEPAGE);
    accessPage(k, task, start, true);
    const mm = task.mm!;
    userfaultRegister(k, mm, start, start + 512);
    expect(userfaultProtect(k, mm, start + 8, start + 16)).toBe(0);
    const marked = Array.from({ length: 512 }, (_, i) => pagemapEntry(k, mm, start + i).bits);
    expect(marked.filter((bits) => (bits & PM_UFFD_WP) !== 0)).toHaveLength(8);
  });
});
