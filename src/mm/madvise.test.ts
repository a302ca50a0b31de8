/** OV-24b, OV-31g: madvise, advice by advice; mlock. */
import { describe, expect, it } from 'vitest';
import { EFAULT, EHWPOISON, EINVAL, ENOMEM } from '../uapi/errno.ts';
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_WIPEONFORK,
  MAP_LOCKED,
  PROT_READ,
} from '../uapi/mman.ts';
import { NR_MLOCK } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_DONE, FAULT_ERROR } from './fault.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_LOCKED,
  PG_MLOCKED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
} from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { injectError } from './memoryFailure.ts';
import { applyLockFlags, populateRange } from './mlockRange.ts';
import { munmapRange } from './mmap.ts';
import {
  MARKER_GUARD,
  MARKER_POISONED,
  PTE_A,
  PTE_D,
  PTE_KIND_MARKER,
  PTE_KIND_SWAP,
  PTE_W,
  pteIsKind,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import { PAGE_NOT_PRESENT, PAGE_ZERO } from './pageWalk.ts';
import { splitPmdAt } from './pteSetup.ts';
import { bootNodes, fillNode, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED, VM_LOCKONFAULT } from './vma.ts';

function boot(options: { thp?: boolean; mthp?: number; swapPages?: number } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { swapPages: options.swapPages ?? 2048 });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.mthpAlways = options.mthp ?? 0;
  return new TestProgram(k);
}

function advise(p: TestProgram, start: number, pages: number, advice: number): number {
  return madviseRange(p.k, p.task, start, start + pages, advice);
}

function reclaimAll(p: TestProgram): void {
  const { hooks } = p.k.pm;
  hooks.inReclaim = true;
  for (let n = 0; n < 3; n++) hooks.directReclaim(0, 8, 0, 1);
  hooks.inReclaim = false;
}

describe('what madvise answers', () => {
  it.each([
    { advice: MADV_DONTNEED, answer: -EINVAL },
    { advice: MADV_DONTNEED_LOCKED, answer: 0 },
    { advice: MADV_FREE, answer: -EINVAL },
    { advice: MADV_COLD, answer: -EINVAL },
    { advice: MADV_PAGEOUT, answer: -EINVAL },
    { advice: MADV_HUGEPAGE, answer: 0 },
    { advice: 77, answer: -EINVAL },
  ])('on a locked area, advice $advice: $answer (OV-31g)', ({ advice, answer }) => {
    const p = boot();
    const a = p.mapWritten(2, { flags: MAP_LOCKED });
    expect(advise(p, a, 2, advice)).toBe(answer);
  });

  it('a hole: -ENOMEM, with the rest done', () => {
    const p = boot();
    const a = p.mapWritten(5);
    munmapRange(p.k, p.task.mm!, a + 2, a + 3);
    expect(advise(p, a, 5, MADV_DONTNEED)).toBe(-ENOMEM);
    expect([0, 1, 3, 4].map((i) => p.frame(a + i))).toEqual(new Array(4).fill(PAGE_NOT_PRESENT));
  });

  it('an area that refuses ends the walk', () => {
    const p = boot();
    const a = p.mapWritten(3, { addr: 0x100000 });
    applyLockFlags(p.k, p.task.mm!, a + 1, a + 2, VM_LOCKED);
    expect(advise(p, a, 3, MADV_DONTNEED)).toBe(-EINVAL);
    expect([p.frame(a), p.load(a + 1), p.load(a + 2)]).toEqual([PAGE_NOT_PRESENT, 2, 3]);
  });

  it('FREE and WIPEONFORK want anonymous memory', () => {
    const p = boot();
    const a = p.mapWritten(1, { file: p.k.newFile('t', 'tmpfs', 1) });
    expect([advise(p, a, 1, MADV_FREE), advise(p, a, 1, MADV_WIPEONFORK)]).toEqual([
      -EINVAL,
      -EINVAL,
    ]);
  });

  it('POPULATE_READ maps zero pages, POPULATE_WRITE real ones', () => {
    const p = boot();
    const a = p.map(2);
    expect(advise(p, a, 2, MADV_POPULATE_READ)).toBe(0);
    expect(p.frame(a)).toBe(PAGE_ZERO);
    expect(advise(p, a, 2, MADV_POPULATE_WRITE)).toBe(0);
    expect(p.frame(a)).toBeGreaterThanOrEqual(0);
  });
});

describe('what POPULATE answers', () => {
  const both = [MADV_POPULATE_READ, MADV_POPULATE_WRITE];
  const answers = (p: TestProgram, a: number, pages = 1) =>
    both.map((advice) => advise(p, a, pages, advice));

  it('-EINVAL where the area does not allow it, -ENOMEM at a hole', () => {
    const p = boot();
    expect(answers(p, p.map(1, { prot: 0 }))).toEqual([-EINVAL, -EINVAL]);
    expect(answers(p, p.map(1, { prot: PROT_READ }))).toEqual([0, -EINVAL]);
    const raw = p.map(1, { file: p.k.newFile('/dev/mem', 'devmem', 1), shared: true });
    expect(answers(p, raw)).toEqual([-EINVAL, -EINVAL]);
    const a = p.map(3);
    munmapRange(p.k, p.task.mm!, a + 1, a + 2);
    expect(answers(p, a, 3)).toEqual([-ENOMEM, -ENOMEM]);
    expect(p.frame(a)).toBeGreaterThanOrEqual(0);
  });

  it('-EFAULT behind the end of a file, -ENOMEM without memory', () => {
    const p = boot();
    const a = p.map(2, { file: p.k.newFile('t', 'tmpfs', 1), shared: true });
    expect(answers(p, a, 2)).toEqual([-EFAULT, -EFAULT]);
    const b = p.map(1);
    fillNode(p.k, 0, 0);
    expect(answers(p, b)).toEqual([0, -ENOMEM]); // the zero page is there
  });

  it('-EHWPOISON at a page with an error (MC-82a)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    injectError(p.k, p.task, a, a + 1, false);
    expect(answers(p, a)).toEqual([-EHWPOISON, -EHWPOISON]);
  });
});

describe('DONTNEED', () => {
  it('entries go, a read maps the zero page (OV-31g)', () => {
    const p = boot();
    const a = p.mapWritten(2);
    expect(advise(p, a, 2, MADV_DONTNEED)).toBe(0);
    expect([p.task.mm!.rssAnon, p.load(a), p.frame(a)]).toEqual([0, 0, PAGE_ZERO]);
  });

  it('of a part of a huge page: queued for splitting', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    const head = p.head(a);
    advise(p, a + 100, 10, MADV_DONTNEED);
    expect([p.k.deferredSplit.has(head), vmstat(p.k, 'thp_deferred_split_page')]).toEqual([
      true,
      1,
    ]);
    expect([p.load(a + 100), p.load(a + 110)]).toEqual([0, 111]);
    checkInvariants(p.k);
  });

  it('pressure splits what is queued and frees its unmapped pages', () => {
    const p = boot({ thp: true, swapPages: 0 });
    const a = p.mapWritten(512);
    advise(p, a, 256, MADV_DONTNEED);
    const before = vmstat(p.k, 'nr_free_pages');
    reclaimAll(p);
    expect([p.k.deferredSplit.size, vmstat(p.k, 'thp_split_page')]).toEqual([0, 1]);
    expect(vmstat(p.k, 'nr_free_pages') - before).toBe(256);
    expect(p.load(a + 300)).toBe(301);
    checkInvariants(p.k);
  });
});

describe('FREE (OV-24b, OV-31g)', () => {
  it('keeps page and content until reclaim; then both are gone, without I/O', () => {
    const p = boot();
    const a = p.mapWritten(2);
    expect(advise(p, a, 2, MADV_FREE)).toBe(0);
    expect(p.entry(a).word & (PTE_A | PTE_D | PTE_W)).toBe(PTE_W);
    expect([p.load(a), p.load(a + 1)]).toEqual([1, 2]);
    p.k.lru.drainAll();
    expect([p.has(a, PG_SWAPBACKED), vmstat(p.k, 'pglazyfree')]).toEqual([false, 2]);
    reclaimAll(p);
    reclaimAll(p);
    expect([p.load(a), p.load(a + 1)]).toEqual([0, 0]);
    expect([vmstat(p.k, 'pswpout'), vmstat(p.k, 'pglazyfreed')]).toEqual([0, 2]);
    checkInvariants(p.k);
  });

  it('the count lags by what is still in the batch: four calls, three counted', () => {
    const p = boot();
    const a = p.mapWritten(4);
    p.k.lru.drainAll();
    for (let i = 0; i < 4; i++) advise(p, a + i, 1, MADV_FREE);
    expect(vmstat(p.k, 'pglazyfree')).toBe(3);
    advise(p, a, 4, MADV_DONTNEED);
    expect(vmstat(p.k, 'pglazyfree')).toBe(3);
    p.k.lru.drainAll();
    expect(vmstat(p.k, 'pglazyfree')).toBe(4);
  });

  it('a store makes the page ordinary again', () => {
    const p = boot({ swapPages: 0 });
    const a = p.mapWritten(1);
    advise(p, a, 1, MADV_FREE);
    p.k.lru.drainAll();
    expect(p.access(a, true)).toBe(FAULT_DONE);
    expect(vmstat(p.k, 'pgreuse')).toBe(0); // the entry kept its write bit: no fault
    reclaimAll(p);
    expect([p.load(a), p.has(a, PG_SWAPBACKED)]).toEqual([1, true]);
    expect(vmstat(p.k, 'nr_isolated_anon') + vmstat(p.k, 'nr_isolated_file')).toBe(0);
    checkInvariants(p.k);
  });

  it('entries of errors go, a guard stays (MC-82a)', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const at = (i: number) => p.task.mm!.pteIndex(a + i);
    injectError(p.k, p.task, a, a + 1, false);
    advise(p, a + 1, 2, MADV_DONTNEED);
    p.k.ptes.set(at(1), pteOther(PTE_KIND_MARKER, MARKER_POISONED), 0);
    p.k.ptes.set(at(2), pteOther(PTE_KIND_MARKER, MARKER_GUARD), 0);
    expect(advise(p, a, 4, MADV_FREE)).toBe(0);
    expect([0, 1].map((i) => p.k.ptes.words[at(i)])).toEqual([0, 0]);
    expect(p.k.ptes.words[at(2)]).toBe(pteOther(PTE_KIND_MARKER, MARKER_GUARD));
    expect([p.access(a, true) & FAULT_ERROR, p.load(a + 3)]).toEqual([0, 4]);
    checkInvariants(p.k);
  });

  it('swap entries go with their slots', () => {
    const p = boot();
    const a = p.mapWritten(2);
    advise(p, a, 2, MADV_PAGEOUT);
    const slot = ptePayload(p.entry(a).word);
    expect(p.task.mm!.swapEnts).toBe(2);
    advise(p, a, 1, MADV_FREE);
    expect([p.task.mm!.swapEnts, p.k.swap.count(slot), p.entry(a).word]).toEqual([1, 0, 0]);
    expect([p.load(a), p.load(a + 1)]).toEqual([0, 2]);
    checkInvariants(p.k);
  });

  it('a dirty folio that somebody has locked, or part of a large one, stays as it is', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(4, { addr: 0x100000 });
    p.k.lru.drainAll();
    p.k.frames.set(p.head(a), PG_LOCKED);
    advise(p, a, 2, MADV_FREE);
    expect([p.k.folios.nrPages(p.head(a)), p.entry(a).word & PTE_D]).toEqual([4, PTE_D]);
    p.k.frames.set(p.head(a), PG_DIRTY);
    advise(p, a, 4, MADV_FREE);
    p.k.lru.drainAll();
    expect([p.has(a, PG_SWAPBACKED), p.has(a, PG_DIRTY), p.entry(a).word & PTE_D]).toEqual([
      true,
      true,
      PTE_D,
    ]);
    p.k.frames.clear(p.head(a), PG_LOCKED);
    advise(p, a, 4, MADV_FREE);
    p.k.lru.drainAll();
    expect([p.has(a, PG_SWAPBACKED), p.has(a, PG_DIRTY), p.entry(a).word & PTE_D]).toEqual([
      false,
      false,
      0,
    ]);
    checkInvariants(p.k);
  });

  it('the huge zero page and its likes are passed over', () => {
    const p = boot({ thp: true });
    const a = p.map(1024, { addr: 512 * 1024 });
    p.load(a);
    p.store(a + 512, 1);
    const word = p.entry(a).word;
    expect(advise(p, a, 600, MADV_FREE)).toBe(0);
    expect([p.entry(a).word, p.frame(a), p.load(a + 512)]).toEqual([word, PAGE_ZERO, 1]);
    checkInvariants(p.k);
  });

  it('shared pages are left alone', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    advise(p, a, 1, MADV_FREE);
    p.k.lru.drainAll();
    expect(p.has(a, PG_SWAPBACKED)).toBe(true);
    expect(child.load(a)).toBe(1);
  });

  it('a huge page as a whole stays huge and writable; a part of it splits it', () => {
    const whole = boot({ thp: true });
    const a = whole.mapWritten(512);
    advise(whole, a, 512, MADV_FREE);
    expect(whole.entry(a).word & (PTE_A | PTE_D | PTE_W)).toBe(PTE_W);
    expect(whole.k.folios.nrPages(whole.head(a))).toBe(512);
    const part = boot({ thp: true });
    const b = part.mapWritten(512);
    advise(part, b, 100, MADV_FREE);
    part.k.lru.drainAll();
    expect([part.k.folios.nrPages(part.head(b)), vmstat(part.k, 'pglazyfree')]).toEqual([1, 100]);
    checkInvariants(part.k);
  });

  it('a 16-page folio mapped whole by the range is freed whole', () => {
    const p = boot({ mthp: 1 << 4 });
    const a = p.mapWritten(32, { addr: 0x100000 });
    advise(p, a, 16, MADV_FREE);
    p.k.lru.drainAll();
    expect([p.k.folios.nrPages(p.head(a)), vmstat(p.k, 'pglazyfree')]).toEqual([16, 16]);
    expect(p.has(a + 16, PG_SWAPBACKED)).toBe(true);
  });
});

describe('COLD and PAGEOUT (OV-31g)', () => {
  it('PAGEOUT: anonymous pages become swap entries, file and shmem entries none', () => {
    const p = boot();
    const anon = p.mapWritten(1);
    const shmem = p.mapWritten(1, { file: p.k.newFile('t', 'tmpfs', 1), shared: true });
    const clean = p.map(1, { file: p.k.newFile('e', 'ext4', 1), prot: PROT_READ });
    p.load(clean);
    for (const a of [anon, shmem, clean]) expect(advise(p, a, 1, MADV_PAGEOUT)).toBe(0);
    expect(pteIsKind(p.entry(anon).word, PTE_KIND_SWAP)).toBe(true);
    expect([p.entry(shmem).word, p.entry(clean).word]).toEqual([0, 0]);
    checkInvariants(p.k);
  });

  it('shared and pinned pages stay mapped, the call returns 0 (madv_pageout_shared)', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const child = p.fork();
    child.store(a + 1, 9);
    p.store(a + 1, 8);
    p.k.folios.pin(p.head(a + 1), 1);
    expect(advise(p, a, 2, MADV_PAGEOUT)).toBe(0);
    expect([p.frame(a) >= 0, p.frame(a + 1) >= 0]).toEqual([true, true]);
  });

  it('COLD: old, inactive, still there', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    p.k.lru.activate(p.head(a));
    expect(advise(p, a, 1, MADV_COLD)).toBe(0);
    expect([p.entry(a).word & PTE_A, p.has(a, PG_ACTIVE), p.load(a)]).toEqual([0, false, 1]);
  });

  it('a large folio that the range has whole goes out whole, else it is split', () => {
    const p = boot({ mthp: 1 << 4 });
    const a = p.mapWritten(32, { addr: 0x100000 });
    advise(p, a, 20, MADV_PAGEOUT);
    const out = Array.from({ length: 32 }, (_, i) => p.frame(a + i) < 0);
    expect(out.lastIndexOf(true)).toBe(19);
    expect(out.indexOf(false)).toBe(20);
    expect([p.k.folios.nrPages(p.head(a + 20)), p.load(a + 3)]).toEqual([1, 4]);
    checkInvariants(p.k);
  });

  it('a huge page mapped by entries is paged out too', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512);
    splitPmdAt(p.k, p.task.mm!, a);
    advise(p, a, 512, MADV_PAGEOUT);
    expect([p.task.mm!.swapEnts, vmstat(p.k, 'thp_swpout')]).toEqual([512, 1]);
  });
});

describe('mlock', () => {
  it('OV-31g: faults the range in writable; ONFAULT maps nothing', () => {
    const p = boot();
    const a = p.map(4);
    applyLockFlags(p.k, p.task.mm!, a, a + 2, VM_LOCKED);
    expect(populateRange(p.k, p.task, a, a + 2)).toBe(0);
    applyLockFlags(p.k, p.task.mm!, a + 2, a + 4, VM_LOCKED | VM_LOCKONFAULT);
    expect(p.entry(a).word & (PTE_W | PTE_D)).toBe(PTE_W | PTE_D);
    expect([p.has(a, PG_MLOCKED), p.frame(a + 2)]).toEqual([true, PAGE_NOT_PRESENT]);
    expect([p.load(a + 2), p.frame(a + 2)]).toEqual([0, PAGE_ZERO]);
    p.store(a + 3, 1);
    expect(p.has(a + 3, PG_MLOCKED)).toBe(true);
    expect([p.task.mm!.lockedVm, p.k.vmstat.zoneItem(0, NR_MLOCK)]).toEqual([4, 3]);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });

  it('munlock, munmap and exit of a sharer: unevictable while locked anywhere', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 1);
    const a = p.mapWritten(1, { file, shared: true });
    const b = p.map(1, { file, shared: true });
    p.load(b);
    const page = p.frame(a);
    const lock = (at: number, flags: number) => applyLockFlags(p.k, p.task.mm!, at, at + 1, flags);
    const locked = () => (p.k.frames.flags[page] & (PG_MLOCKED | PG_UNEVICTABLE)) !== 0;
    lock(a, VM_LOCKED);
    lock(b, VM_LOCKED);
    lock(a, 0);
    expect(locked()).toBe(true);
    munmapRange(p.k, p.task.mm!, b, b + 1);
    expect(locked()).toBe(false);
    checkInvariants(p.k);
  });

  it('large folios are marked only by an area that has all of them', () => {
    const p = boot({ mthp: 1 << 4 });
    const a = p.mapWritten(16, { addr: 0x100000 });
    p.k.lru.drainAll();
    applyLockFlags(p.k, p.task.mm!, a, a + 8, VM_LOCKED);
    expect(p.has(a, PG_MLOCKED)).toBe(false);
    applyLockFlags(p.k, p.task.mm!, a, a + 8, 0);
    applyLockFlags(p.k, p.task.mm!, a, a + 16, VM_LOCKED);
    expect([p.has(a, PG_MLOCKED), p.k.vmstat.zoneItem(0, NR_MLOCK)]).toEqual([true, 16]);
    reclaimAll(p);
    expect(p.frame(a)).toBeGreaterThanOrEqual(0);
    checkInvariants(p.k);
  });

  it('a page that comes back from the swap cache into a locked area is locked', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.folios.get(p.head(a));
    const page = p.frame(a);
    advise(p, a, 1, MADV_PAGEOUT);
    applyLockFlags(p.k, p.task.mm!, a, a + 1, VM_LOCKED);
    p.load(a);
    expect([p.frame(a), p.has(a, PG_MLOCKED)]).toEqual([page, true]);
    p.k.putFolio(page);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });
});
