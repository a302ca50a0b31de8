import { describe, expect, it } from 'vitest';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { writeFilePages } from './fileWrite.ts';
import { GUP_PIN_COUNTING_BIAS } from './folio.ts';
import { exitTask } from './fork.ts';
import { PG_PRIVATE } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { munmapRange } from './mmap.ts';
import { splitPmdAt } from './pteSetup.ts';
import { bootNodes, isolate, migration, TestProgram } from './testProgram.ts';

const ZONES = [{ zone: ZONE_NORMAL, pages: 4096 }];

function boot(thp: 'always' | 'never' = 'never', mthp = 0): TestProgram {
  const k = bootNodes([
    { cpus: [0, 1], zones: ZONES },
    { cpus: [], zones: ZONES },
  ]);
  k.sysctl.thp_enabled = thp;
  k.sysctl.mthpAlways = mthp;
  return new TestProgram(k);
}

describe('references of a folio (OV-13, OV-39, OV-40)', () => {
  it('S-OV-01: an anonymous page mapped once: 1, isolated 2, at the freeze 1', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    const head = p.head(a);
    expect([p.refs(a), p.k.folios.expectedRefs(head)]).toEqual([1, 1]);
    const list = isolate(p, a, 1);
    expect(p.refs(a)).toBe(2);
    const op = migration(p.k, list, 1);
    op.step();
    expect([p.k.frames.refcount[head], p.k.folios.expectedRefs(head)]).toEqual([1, 0]);
    op.finish();
    checkInvariants(p.k);
  });

  it('S-OV-02: 16 pages of ext4 with private data, mapped 16 times: 34, at the freeze 18', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 0);
    expect(writeFilePages(p.k, p.task, file, 0, new Uint32Array(16).fill(7))).toBe(0);
    const a = p.map(16, { file, shared: true });
    expect(p.load(a)).toBe(7);
    const head = p.head(a);
    expect(p.k.folios.nrPages(head)).toBe(16);
    expect(p.k.frames.has(head, PG_PRIVATE)).toBe(true);
    expect(p.k.folios.mapcount(head)).toBe(16);
    const list = isolate(p, a, 1);
    expect(p.refs(a)).toBe(34);
    const op = migration(p.k, list, 1);
    op.step();
    expect(p.k.frames.refcount[head]).toBe(18);
    op.finish();
    expect([op.result, p.refs(a), p.nid(a)]).toEqual([0, 33, 1]);
    checkInvariants(p.k);
  });

  it('S-OV-03: a PMD mapping is one reference, after the split 512', () => {
    const p = boot('always');
    const a = p.mapWritten(512);
    const head = p.head(a);
    p.k.lru.drainAll();
    expect([p.refs(a), p.k.folios.mapcount(head), p.k.folios.entireMapcount(head)]).toEqual([
      1, 1, 1,
    ]);
    splitPmdAt(p.k, p.task.mm!, a);
    expect([p.refs(a), p.k.folios.mapcount(head), p.k.folios.entireMapcount(head)]).toEqual([
      512, 512, 0,
    ]);
    expect(p.k.folios.pageMapcount(head + 5)).toBe(1);
    checkInvariants(p.k);
  });
});

describe('pins (OV-15)', () => {
  it.each([
    { id: 'S-OV-04', what: 'a small folio', pages: 1, thp: 'never' as const, looksPinned: true },
    {
      id: 'S-OV-05',
      what: 'a large folio',
      pages: 512,
      thp: 'always' as const,
      looksPinned: false,
    },
  ])('$id: 1100 plain references on $what', ({ pages, thp, looksPinned }) => {
    const p = boot(thp);
    const a = p.mapWritten(pages);
    const head = p.head(a);
    for (let n = 0; n < 1100; n++) p.k.folios.get(head);
    expect(p.k.folios.maybeDmaPinned(head)).toBe(looksPinned);
  });

  it('a pin of a small folio is 1024 references, of a large one 1 and a count', () => {
    const p = boot('always');
    const small = p.mapWritten(1);
    const large = p.mapWritten(512);
    p.k.lru.drainAll();
    p.k.folios.pin(p.head(small), 2);
    p.k.folios.pin(p.head(large), 2);
    expect(p.refs(small)).toBe(1 + 2 * GUP_PIN_COUNTING_BIAS);
    expect([p.refs(large), p.k.folios.pincount(p.head(large))]).toEqual([3, 2]);
    expect(p.k.folios.unpin(p.head(large), 2)).toBe(false);
    expect(p.k.folios.maybeDmaPinned(p.head(large))).toBe(false);
  });

  it('a folio that is free cannot be got (OV-12)', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const head = p.head(a);
    p.k.lru.drainAll();
    expect(p.k.folios.tryGet(head)).toBe(true);
    p.k.putFolio(head);
    munmapRange(p.k, p.task.mm!, a, a + 1);
    expect(p.k.folios.tryGet(head)).toBe(false);
  });
});

describe('is a folio shared? (OV-16, OV-17)', () => {
  /** Processes A, B, C map one folio of 16 pages. */
  function three(): { a: TestProgram; b: TestProgram; c: TestProgram; at: number; k: Kernel } {
    const a = boot('never', 1 << 4);
    const at = a.map(16, { addr: 0x100000 });
    a.store(at, 1);
    expect(a.k.folios.nrPages(a.head(at))).toBe(16);
    const b = a.fork();
    const c = a.fork();
    return { a, b, c, at, k: a.k };
  }

  it('small: more than one mapping, also of one process (OV-17)', () => {
    const p = boot();
    const file = p.k.newFile('f', 'tmpfs', 1);
    const first = p.mapWritten(1, { file, shared: true });
    expect(p.k.folios.maybeMappedShared(p.head(first))).toBe(false);
    const second = p.map(1, { file, shared: true });
    p.load(second);
    expect(p.k.folios.maybeMappedShared(p.head(first))).toBe(true);
  });

  it('S-OV-06: A and C gone, the slot of B owns all: exclusive again', () => {
    const { a, b, c, at, k } = three();
    const head = a.head(at);
    expect(k.folios.maybeMappedShared(head)).toBe(true);
    exitTask(k, a.task);
    exitTask(k, c.task);
    expect([k.folios.mapcount(head), k.folios.maybeMappedShared(head)]).toEqual([16, false]);
    expect(b.load(at)).toBe(1);
    checkInvariants(k);
  });

  it('S-OV-06: A and B gone, C has no slot: still shared, a false positive', () => {
    const { a, b, c, at, k } = three();
    const head = a.head(at);
    exitTask(k, a.task);
    exitTask(k, b.task);
    expect([k.folios.mapcount(head), k.folios.maybeMappedShared(head)]).toEqual([16, true]);
    expect(c.load(at)).toBe(1);
    checkInvariants(k);
  });

  it('S-OV-07: one mapping left in the whole system is never shared', () => {
    const { a, b, c, at, k } = three();
    const head = a.head(at);
    exitTask(k, a.task);
    exitTask(k, b.task);
    munmapRange(k, c.task.mm!, at + 1, at + 16);
    expect([k.folios.mapcount(head), k.folios.maybeMappedShared(head)]).toEqual([1, false]);
    checkInvariants(k);
  });
});

describe('isolation tokens', () => {
  it('S-OV-08: a page in the lru-add batch has one more reference and cannot be isolated', () => {
    const p = boot();
    const a = p.mapWritten(1);
    expect([p.refs(a), p.k.lru.isolate(p.head(a))]).toEqual([2, false]);
    p.k.lru.drainAll();
    expect(p.refs(a)).toBe(1);
    const list = isolate(p, a, 1);
    expect(list).toEqual([p.head(a)]);
    putbackMovablePages(p.k, list);
    checkInvariants(p.k);
  });
});
