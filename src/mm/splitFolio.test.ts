/** MC-85..MC-88: when a large folio can be split, and what its pieces are. */
import { describe, expect, it } from 'vitest';
import { MAP_LOCKED, PROT_READ } from '../uapi/mman.ts';
import { NR_FILE_PAGES, NR_SHMEM, NR_SHMEM_THPS, NR_WRITEBACK } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { syncFile, writeFilePages } from './fileWrite.ts';
import {
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_MLOCKED,
  PG_PRIVATE,
  PG_REFERENCED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import { munmapRange } from './mmap.ts';
import { mprotectRange } from './mprotect.ts';
import { PAGE_ZERO } from './pageWalk.ts';
import { splitFolio } from './splitFolio.ts';
import { bootNodes, isolate, migrate, migration, TestProgram, vmstat } from './testProgram.ts';

const [EAGAIN, EBUSY, EINVAL] = [11, 16, 22];

function boot(): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const k = bootNodes([
    { cpus: [0, 1], zones },
    { cpus: [], zones },
  ]);
  k.sysctl.thp_enabled = 'always';
  return new TestProgram(k);
}

/** Splits the folio of a page as a caller with one reference of its own. */
function split(p: TestProgram, vpn: number): number {
  const head = p.head(vpn);
  p.k.folios.get(head);
  const result = splitFolio(p.k, head, null);
  p.k.putFolio(p.k.frames.headOf(head));
  return result;
}

describe('preconditions (MC-85)', () => {
  const refusals: readonly {
    what: string;
    set: (p: TestProgram, head: number) => void;
    answer: number;
  }[] = [
    { what: 'one reference too many', set: (p, h) => p.k.folios.get(h), answer: -EAGAIN },
    { what: 'pinned (MC-88)', set: (p, h) => p.k.folios.pin(h, 1), answer: -EAGAIN },
    {
      what: 'under writeback',
      set: (p, h) => {
        p.k.frames.set(h, PG_WRITEBACK);
        p.k.vmstat.modNode(0, NR_WRITEBACK, 512);
      },
      answer: -EBUSY,
    },
    {
      what: 'truncated: neither anonymous nor in a cache',
      set: (p, h) => p.k.folios.clearMapping(h),
      answer: -EBUSY,
    },
  ];
  it.each(refusals)('$what: $answer', ({ set, answer }) => {
    const p = boot();
    const a = p.mapWritten(512);
    set(p, p.head(a));
    expect(split(p, a)).toBe(answer);
    expect(p.k.folios.nrPages(p.head(a))).toBe(512);
    expect([vmstat(p.k, 'thp_split_page'), vmstat(p.k, 'thp_split_page_failed')]).toEqual([0, 1]);
    if (answer === -EAGAIN) checkInvariants(p.k);
  });

  it('small folios and the huge zero page: -EINVAL', () => {
    const p = boot();
    const small = p.mapWritten(1);
    expect(split(p, small)).toBe(-EINVAL);
    p.access(p.map(512), false);
    expect(splitFolio(p.k, p.k.hugeZeroHead, null)).toBe(-EINVAL);
  });

  it('private data of a dirty file folio cannot be released: -EBUSY', () => {
    const p = boot();
    const file = p.k.newFile('e', 'ext4', 0);
    writeFilePages(p.k, p.task, file, 0, new Uint32Array(16).fill(3));
    const a = p.map(16, { file, shared: true });
    p.load(a);
    p.k.lru.drainAll();
    expect(split(p, a)).toBe(-EBUSY);
    syncFile(p.k, file);
    expect(split(p, a)).toBe(0);
    expect([p.k.folios.nrPages(p.head(a)), p.has(a, PG_PRIVATE)]).toEqual([1, false]);
    expect([p.load(a + 15), vmstat(p.k, 'thp_split_page')]).toEqual([3, 0]);
    checkInvariants(p.k);
  });
});

describe('effects (MC-86)', () => {
  it('OV-32: PMD mapping to entries, flags and exclusiveness kept, words kept', () => {
    const p = boot();
    const a = p.mapWritten(512);
    const head = p.head(a);
    p.k.lru.activate(head);
    p.k.frames.set(head, PG_REFERENCED);
    expect(split(p, a)).toBe(0);
    for (const i of [0, 1, 511]) {
      expect(p.frame(a + i)).toBe(head + i);
      expect(p.has(a + i, PG_ACTIVE | PG_REFERENCED)).toBe(true);
      expect(p.k.folios.isAnonExclusive(head + i)).toBe(true);
      expect([p.refs(a + i), p.k.folios.mapcount(head + i)]).toEqual([1, 1]);
      expect(p.load(a + i)).toBe(i + 1);
    }
    expect([vmstat(p.k, 'thp_split_page'), vmstat(p.k, 'thp_split_pmd')]).toEqual([1, 1]);
    expect(p.task.mm!.rssAnon).toBe(512);
    checkInvariants(p.k);
  });

  it('shared by fork: no page is exclusive afterwards, both keep their words', () => {
    const p = boot();
    const a = p.mapWritten(512);
    const child = p.fork();
    expect(split(p, a)).toBe(0);
    expect(p.k.frames.has(p.frame(a + 9), PG_ANON_EXCLUSIVE)).toBe(false);
    child.store(a + 9, 1);
    expect([p.load(a + 9), child.load(a + 10)]).toEqual([10, 11]);
    checkInvariants(p.k);
  });

  it('unmapped pages are freed', () => {
    const p = boot();
    const a = p.mapWritten(512);
    munmapRange(p.k, p.task.mm!, a, a + 200);
    const free = vmstat(p.k, 'nr_free_pages');
    expect(split(p, a + 200)).toBe(0);
    expect(vmstat(p.k, 'nr_free_pages') - free).toBe(200);
    expect(p.k.deferredSplit.size).toBe(0);
    checkInvariants(p.k);
  });

  it('shmem: cache entries and gauges are those of small pages', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.mapWritten(512, { file, shared: true, addr: 0x200000 });
    const head = p.head(a);
    expect(split(p, a)).toBe(0);
    expect([file.frameAt(7), p.k.folios.nrPages(file.frameAt(7))]).toEqual([head + 7, 1]);
    const gauges = [NR_FILE_PAGES, NR_SHMEM, NR_SHMEM_THPS];
    expect(gauges.map((item) => p.k.vmstat.nodeItem(0, item))).toEqual([512, 512, 0]);
    expect(p.load(a + 300)).toBe(301);
    checkInvariants(p.k);
  });

  it('file pages behind the end of the file are dropped', () => {
    const p = boot();
    const file = p.k.newFile('t', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.mapWritten(512, { file, shared: true, addr: 0x200000 });
    munmapRange(p.k, p.task.mm!, a, a + 512);
    file.sizePages = 100;
    const head = file.frameAt(0);
    p.k.folios.get(head);
    expect(splitFolio(p.k, head, null)).toBe(0);
    p.k.putFolio(head);
    expect([file.frameAt(99), file.frameAt(100)]).toEqual([head + 99, -1]);
    expect(p.k.vmstat.nodeItem(0, NR_SHMEM)).toBe(100);
    checkInvariants(p.k);
  });

  it('with a list the pieces stay isolated, one reference each, nr_isolated unchanged', () => {
    const p = boot();
    const a = p.mapWritten(512);
    const list = isolate(p, a, 1);
    const children: number[] = [];
    expect(splitFolio(p.k, list[0], children)).toBe(0);
    expect([children.length, children[0]]).toEqual([512, list[0]]);
    expect([p.refs(a), vmstat(p.k, 'nr_isolated_anon')]).toEqual([2, 512]);
    migration(p.k, children, 1).finish();
    expect([children.length, p.nid(a + 511), vmstat(p.k, 'nr_isolated_anon')]).toEqual([0, 1, 0]);
    putbackMovablePages(p.k, children);
    checkInvariants(p.k);
  });

  it('locks are those of the areas that map the pieces', () => {
    const p = boot();
    const a = p.mapWritten(512, { flags: MAP_LOCKED });
    expect(p.has(a, PG_MLOCKED)).toBe(true);
    expect(split(p, a)).toBe(0);
    expect(p.has(a + 3, PG_MLOCKED) && p.has(a + 3, PG_UNEVICTABLE)).toBe(true);
    expect(vmstat(p.k, 'nr_mlock')).toBe(512);
    checkInvariants(p.k);
  });
});

describe('pages of zeros (MC-87)', () => {
  function withZeros(options: { flags?: number } = {}): { p: TestProgram; a: number } {
    const p = boot();
    const a = p.map(512, options);
    for (let i = 0; i < 512; i += 2) p.store(a + i, 5);
    return { p, a };
  }

  it('are mapped by the zero page instead; rss falls, the frames are free', () => {
    const { p, a } = withZeros();
    const free = vmstat(p.k, 'nr_free_pages');
    expect(split(p, a)).toBe(0);
    expect([p.frame(a + 1), p.load(a + 1), p.load(a)]).toEqual([PAGE_ZERO, 0, 5]);
    expect([p.task.mm!.rssAnon, vmstat(p.k, 'nr_free_pages') - free]).toEqual([256, 256]);
    p.store(a + 1, 7);
    expect(p.load(a + 1)).toBe(7);
    checkInvariants(p.k);
  });

  it('not in locked areas', () => {
    const { p, a } = withZeros({ flags: MAP_LOCKED });
    expect(split(p, a)).toBe(0);
    expect([p.frame(a + 1) >= 0, p.task.mm!.rssAnon]).toEqual([true, 512]);
    checkInvariants(p.k);
  });

  it('an inaccessible area stays so', () => {
    const { p, a } = withZeros();
    mprotectRange(p.k, p.task.mm!, a, a + 512, 0);
    expect(split(p, a)).toBe(0);
    expect(p.load(a + 1)).toBe(-1);
    mprotectRange(p.k, p.task.mm!, a, a + 512, PROT_READ);
    expect([p.load(a + 1), p.load(a + 2)]).toEqual([0, 5]);
    checkInvariants(p.k);
  });

  it('S-MC-16: a split for migration: zero pages count as moved', () => {
    const { p, a } = withZeros();
    munmapRange(p.k, p.task.mm!, a, a + 2); // partly mapped: split first
    expect(migrate(p, a + 2, 1, 1)).toBe(0);
    expect(vmstat(p.k, 'pgmigrate_success')).toBe(512);
    expect([p.frame(a + 3), p.nid(a + 2), p.task.mm!.rssAnon]).toEqual([PAGE_ZERO, 1, 255]);
    checkInvariants(p.k);
  });
});

describe('splits to orders above 0 (MC-85, MC-86)', () => {
  function splitTo(p: TestProgram, vpn: number, to: { order: number; at: number }): number {
    const head = p.head(vpn);
    p.k.lru.drainAll();
    p.k.folios.get(head);
    const result = splitFolio(p.k, head, null, to);
    p.k.putFolio(head);
    return result;
  }

  function sizes(p: TestProgram, a: number): number[] {
    const heads = new Set(Array.from({ length: 512 }, (_, n) => p.head(a + n)));
    return [...heads].map((head) => p.k.folios.nrPages(head));
  }

  it('uniform: sixteen pieces of order 5, mapped and counted as before', () => {
    const p = boot();
    const a = p.mapWritten(512);
    expect(splitTo(p, a, { order: 5, at: -1 })).toBe(0);
    expect(sizes(p, a)).toEqual(Array.from({ length: 16 }, () => 32));
    expect([p.k.folios.mapcount(p.head(a)), p.refs(a), p.has(a, PG_ANON_EXCLUSIVE)]).toEqual([
      32,
      32,
      true,
    ]);
    for (const i of [0, 31, 32, 511]) expect(p.load(a + i)).toBe(i + 1);
    checkInvariants(p.k);
    // The pieces are folios like others.
    expect(migrate(p, a, 512, 1)).toBe(0);
    expect([p.nid(a), p.nid(a + 511)]).toEqual([1, 1]);
    checkInvariants(p.k);
  });

  it('at a page: the others as large as can be; anonymous memory has no order 1', () => {
    const p = boot();
    const a = p.mapWritten(512);
    expect(splitTo(p, a, { order: 0, at: p.head(a) + 5 })).toBe(0);
    expect(sizes(p, a)).toEqual([4, 1, 1, 1, 1, 8, 16, 32, 64, 128, 256]);
    checkInvariants(p.k);
  });

  it('refused: not smaller, order 1 of anonymous memory, in the swap cache', () => {
    const p = boot();
    const a = p.mapWritten(512);
    expect(splitTo(p, a, { order: 9, at: -1 })).toBe(-EINVAL);
    expect(splitTo(p, a, { order: 1, at: -1 })).toBe(-EINVAL);
    p.k.frames.set(p.head(a), PG_SWAPCACHE);
    expect(splitTo(p, a, { order: 4, at: -1 })).toBe(-EINVAL);
    p.k.frames.clear(p.head(a), PG_SWAPCACHE);
    const file = p.k.newFile('r', 'ext4', 0);
    writeFilePages(p.k, p.task, file, 0, new Uint32Array(4).fill(3));
    syncFile(p.k, file);
    const b = p.map(4, { file, shared: true });
    p.load(b);
    expect(p.k.folios.nrPages(p.head(b))).toBe(4);
    expect(splitTo(p, b, { order: 1, at: -1 })).toBe(0);
    expect(p.k.folios.nrPages(p.head(b))).toBe(2);
    checkInvariants(p.k);
  });
});
