/** What reclaim asks of rmap: who accessed a folio, and unmapping it. TI-12, TI-16, HS-8, PM-10. */
import { describe, expect, it } from 'vitest';
import { MADV_FREE, PROT_EXEC, PROT_READ } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { PG_DIRTY, PG_IDLE, PG_MLOCKED, PG_SWAPBACKED, PG_YOUNG } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { madviseRange } from './madvise.ts';
import { munmapRange } from './mmap.ts';
import {
  PTE_A,
  PTE_D,
  PTE_KIND_PROTNONE,
  PTE_KIND_SWAP,
  PTEB_EXCLUSIVE,
  PTEB_SOFT_DIRTY,
  PTEB_UFFD_WP,
  PTEB_YOUNG,
  pteIsKind,
  pteOther,
} from './pageTable.ts';
import { splitPmdAt } from './pteSetup.ts';
import { addToSwapCache } from './swapCache.ts';
import { bootNodes, TestProgram } from './testProgram.ts';
import { folioReferenced, referencedFlags, tryToUnmap } from './unmapFolio.ts';
import { VM_LOCKED } from './vma.ts';

const HUGE = 512 * 1024;

function boot(options: { thp?: boolean; mthp?: number } = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([{ cpus: [0, 1], zones }], { swapPages: 1024 });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.mthpAlways = options.mthp ?? 0;
  return new TestProgram(k);
}

const accessed = (p: TestProgram, vpn: number) => (p.entry(vpn).word & PTE_A) !== 0;

describe('in how many areas it was accessed (TI-16)', () => {
  it('counts areas, not entries, and clears the accessed bits', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(4, { addr: HUGE });
    const child = p.fork();
    child.load(a + 1);
    const head = p.head(a);
    expect([p.k.folios.nrPages(head), folioReferenced(p.k, head)]).toEqual([4, 2]);
    for (const one of [p, child]) expect(accessed(one, a + 1)).toBe(false);
    expect(folioReferenced(p.k, head)).toBe(0);
    p.load(a + 3);
    expect(folioReferenced(p.k, head)).toBe(1);
  });

  it('an area that maps it no more is none', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    child.store(a, 2);
    const head = p.head(a);
    p.load(a);
    expect([folioReferenced(p.k, head), folioReferenced(p.k, head)]).toEqual([1, 0]);
    expect(accessed(child, a)).toBe(true);
  });

  it('2 MiB by one entry, and by entries without access', () => {
    const p = boot({ thp: true });
    const a = p.mapWritten(512, { addr: HUGE });
    const head = p.head(a);
    expect([folioReferenced(p.k, head), accessed(p, a), folioReferenced(p.k, head)]).toEqual([
      1,
      false,
      0,
    ]);
    splitPmdAt(p.k, p.task.mm!, a);
    const i = p.task.mm!.pteIndex(a + 511);
    p.k.ptes.set(i, pteOther(PTE_KIND_PROTNONE, head + 511), PTEB_YOUNG | PTEB_SOFT_DIRTY);
    expect([folioReferenced(p.k, head), p.k.ptes.bytes[i]]).toEqual([1, PTEB_SOFT_DIRTY]);
  });

  it('HS-8: an access that idle tracking saw counts once, and ends idleness', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const head = p.head(a);
    folioReferenced(p.k, head);
    p.k.frames.set(head, PG_IDLE);
    expect([folioReferenced(p.k, head), p.k.frames.has(head, PG_IDLE)]).toEqual([0, true]);
    p.k.frames.set(head, PG_YOUNG);
    expect(folioReferenced(p.k, head)).toBe(1);
    expect([p.k.frames.has(head, PG_YOUNG), p.k.frames.has(head, PG_IDLE)]).toEqual([false, false]);
    expect(folioReferenced(p.k, head)).toBe(0);
  });

  it('tells of executable areas that were accessed', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 1);
    const a = p.map(1, { file, prot: PROT_READ | PROT_EXEC });
    p.load(a);
    expect([folioReferenced(p.k, p.head(a)), referencedFlags.exec]).toEqual([1, true]);
    expect([folioReferenced(p.k, p.head(a)), referencedFlags.exec]).toEqual([0, false]);
  });
});

describe('locked areas (TI-12)', () => {
  function locked(options: { thp?: boolean; mthp?: number }, pages: number, keep = pages) {
    const p = boot(options);
    const a = p.mapWritten(pages, { addr: HUGE });
    const head = p.head(a);
    if (keep < pages) munmapRange(p.k, p.task.mm!, a + keep, a + pages);
    p.task.mm!.findVma(a)!.flags |= VM_LOCKED;
    p.k.lru.drainAll();
    return { p, k: p.k, a, head };
  }

  it.each([
    ['a small page', {}, 1],
    ['16 pages by 16 entries', { mthp: 1 << 4 }, 16],
    ['2 MiB by one entry', { thp: true }, 512],
  ])('%s, mapped whole: the mark that was missed; accessed bits stay', (_what, options, pages) => {
    const { p, k, a, head } = locked(options, pages);
    expect(k.folios.nrPages(head)).toBe(pages);
    expect([folioReferenced(k, head), referencedFlags.locked]).toEqual([0, true]);
    expect([k.frames.has(head, PG_MLOCKED), accessed(p, a)]).toEqual([true, true]);
  });

  it('2 MiB by entries, likewise', () => {
    const { p, k, a, head } = locked({ thp: true }, 512);
    splitPmdAt(k, p.task.mm!, a);
    expect([folioReferenced(k, head), referencedFlags.locked]).toEqual([0, true]);
  });

  it.each([
    ['it maps the rest', 12],
    ['it maps the first page', 1],
  ])('a part of a large folio is not locked; %s', (_what, keep) => {
    const { p, k, a, head } = locked({ mthp: 1 << 4 }, 16, keep);
    expect([folioReferenced(k, head), referencedFlags.locked]).toEqual([0, false]);
    expect([k.frames.has(head, PG_MLOCKED), accessed(p, a)]).toEqual([false, true]);
  });

  it('a page in the middle that is swapped out makes a part of it, too', () => {
    const { p, k, a, head } = locked({ mthp: 1 << 4 }, 16);
    const i = p.task.mm!.pteIndex(a + 15);
    const word = k.ptes.words[i];
    k.ptes.set(i, pteOther(PTE_KIND_SWAP, 5), 0);
    expect([folioReferenced(k, head), referencedFlags.locked]).toEqual([0, false]);
    k.ptes.set(i, word, 0);
    expect([folioReferenced(k, head), referencedFlags.locked]).toEqual([0, true]);
  });

  it('a process that locked its area and has a copy by now is no reason', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    child.store(a, 2);
    child.task.mm!.findVma(a)!.flags |= VM_LOCKED;
    p.load(a);
    expect([folioReferenced(p.k, p.head(a)), referencedFlags.locked]).toEqual([1, false]);
  });

  it('its pages are not unmapped, those of others are', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const child = p.fork();
    p.task.mm!.findVma(a)!.flags |= VM_LOCKED;
    const head = p.head(a);
    addToSwapCache(p.k, head, p.k.swap.allocate(1));
    expect([tryToUnmap(p.k, head), p.frame(a), child.frame(a)]).toEqual([false, head, -1]);
  });
});

describe('unmapping', () => {
  function cached() {
    const p = boot();
    const a = p.mapWritten(1);
    const head = p.head(a);
    const slot = p.k.swap.allocate(1);
    addToSwapCache(p.k, head, slot);
    return { p, k: p.k, a, head, slot, i: p.task.mm!.pteIndex(a) };
  }

  it('anonymous memory: swap entries that keep soft-dirty, uffd-wp and exclusiveness', () => {
    const { p, k, head, slot, i } = cached();
    k.ptes.bytes[i] |= PTEB_UFFD_WP;
    expect(tryToUnmap(k, head)).toBe(true);
    expect([k.ptes.words[i], k.ptes.bytes[i]]).toEqual([
      pteOther(PTE_KIND_SWAP, slot),
      PTEB_SOFT_DIRTY | PTEB_UFFD_WP | PTEB_EXCLUSIVE,
    ]);
    expect([p.task.mm!.rssAnon, p.task.mm!.swapEnts, k.frames.has(head, PG_DIRTY)]).toEqual([
      0,
      1,
      true,
    ]);
  });

  it('a clean entry does not make the folio dirty', () => {
    const { k, head, i } = cached();
    k.ptes.words[i] &= ~PTE_D;
    k.frames.clear(head, PG_DIRTY);
    expect([tryToUnmap(k, head), k.frames.has(head, PG_DIRTY)]).toEqual([true, false]);
  });

  it('without room in the swap area, or pinned (PM-10): the entry stays', () => {
    const p = boot();
    const a = p.mapWritten(1);
    expect([tryToUnmap(p.k, p.head(a)), p.load(a)]).toEqual([false, 1]);
    const { p: other, k, a: b, head } = cached();
    k.folios.pin(head, 1);
    expect([tryToUnmap(k, head), other.frame(b)]).toEqual([false, head]);
  });

  it('pages of a large folio, to the slots of each; others of its areas stay', () => {
    const p = boot({ mthp: 1 << 2 });
    const a = p.mapWritten(6, { addr: HUGE });
    const head = p.head(a);
    const slot = p.k.swap.allocate(4);
    addToSwapCache(p.k, head, slot);
    munmapRange(p.k, p.task.mm!, a + 1, a + 2);
    expect(tryToUnmap(p.k, head)).toBe(true);
    for (const i of [0, 2, 3]) {
      expect(p.entry(a + i).word).toBe(pteOther(PTE_KIND_SWAP, slot + i));
    }
    expect([p.frame(a + 4) >= 0, p.load(a + 5)]).toEqual([true, 6]);
  });

  it.each([
    ['ext4', 'rssFile'],
    ['tmpfs', 'rssShmem'],
  ] as const)('pages of %s: no entry is left, the folio is dirty if one was', (kind, rss) => {
    const p = boot();
    const a = p.mapWritten(2, { file: p.k.newFile('f', kind, 2), shared: true });
    const [dirty, clean] = [p.head(a), p.head(a + 1)];
    p.k.ptes.words[p.task.mm!.pteIndex(a + 1)] &= ~PTE_D;
    for (const head of [dirty, clean]) p.k.frames.flags[head] &= ~PG_DIRTY;
    expect([tryToUnmap(p.k, dirty), tryToUnmap(p.k, clean)]).toEqual([true, true]);
    expect([p.entry(a).word, p.entry(a + 1).word, p.task.mm![rss]]).toEqual([0, 0, 0]);
    expect([dirty, clean].map((head) => p.k.frames.has(head, PG_DIRTY))).toEqual([true, false]);
  });

  describe('what MADV_FREE gave up (OV-24b)', () => {
    function given() {
      const p = boot();
      const a = p.mapWritten(1);
      const head = p.head(a);
      p.k.lru.drainAll();
      madviseRange(p.k, p.task, a, a + 1, MADV_FREE);
      p.k.lru.drainAll();
      expect(p.k.frames.has(head, PG_SWAPBACKED)).toBe(false);
      p.k.lru.isolate(head);
      return { p, k: p.k, a, head };
    }

    it('is gone', () => {
      const { p, k, a, head } = given();
      expect([tryToUnmap(k, head), p.entry(a).word, p.task.mm!.rssAnon]).toEqual([true, 0, 0]);
    });

    it('stays with a reference too many', () => {
      const { p, k, a, head } = given();
      k.folios.get(head);
      expect([tryToUnmap(k, head), p.frame(a), k.frames.has(head, PG_SWAPBACKED)]).toEqual([
        false,
        head,
        false,
      ]);
    });

    it.each([
      ['its entry', false],
      ['the folio', true],
    ])('is ordinary again if %s is dirty', (_what, byFolio) => {
      const { p, k, a, head } = given();
      if (byFolio) k.frames.flags[head] |= PG_DIRTY;
      else p.store(a, 9);
      expect([tryToUnmap(k, head), k.frames.has(head, PG_SWAPBACKED)]).toEqual([false, true]);
      expect([p.frame(a), pteIsKind(p.entry(a).word, PTE_KIND_SWAP)]).toEqual([head, false]);
      expect(k.frames.has(head, PG_DIRTY)).toBe(true);
      k.putFolio(head);
      checkInvariants(k);
    });
  });
});
