/** Migration of hugetlb pages: MC-6, MC-54, MC-55, MP-110..MP-112. */
import { describe, expect, it } from 'vitest';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import {
  MIGRATE_ASYNC,
  MIGRATE_SYNC,
  MR_DEMOTION,
  MR_NUMA_MISPLACED,
  MR_SYSCALL,
} from '../uapi/migrate.ts';
import { MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  CAUSE_EXTRA_REFERENCE,
  CAUSE_HWPOISON,
  CAUSE_LOCKED,
  CAUSE_NO_MEMORY,
  CAUSE_PINNED,
} from './failureLog.ts';
import { PG_DIRTY, PG_HWPOISON, PG_LOCKED, PG_REFERENCED } from './frameTable.ts';
import { newHugetlbFile } from './hugetlb.ts';
import { HPAGE_MIGRATABLE } from './hugetlbPool.ts';
import { checkInvariants } from './invariants.ts';
import { isolateFolio, putbackMovablePages } from './isolateFolio.ts';
import { MigrationOp } from './migrate.ts';
import { isolateHugetlb } from './migrateHugetlb.ts';
import { mmapRegion, munmapRange } from './mmap.ts';
import {
  bootNodes,
  fillNode,
  isolate,
  migrate,
  migration,
  TestProgram,
  vmstat,
} from './testProgram.ts';

function boot(pool = 3): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 8192 }] as const;
  const nodes = [
    { cpus: [0, 1], zones },
    { cpus: [2], zones },
  ] as const;
  const k = bootNodes(nodes);
  k.hugetlb.resize(pool, 0);
  return new TestProgram(k);
}

/** `count` huge pages, the words 1, 2, 3 … at the start of each and 101 … at its end. */
function mapHuge(p: TestProgram, count: number, isShared = true): number {
  const pages = count * HPAGE_PMD_NR;
  const file = newHugetlbFile(p.k, p.task, pages, isShared)!;
  const flags = isShared ? MAP_SHARED : MAP_PRIVATE;
  const prot = PROT_READ | PROT_WRITE;
  const addr = 512 * 4096;
  const at = mmapRegion(p.k, p.task.mm!, { addr, pages, prot, flags, file, pgoff: 0 });
  for (let n = 0; n < count; n++) {
    p.store(at + n * HPAGE_PMD_NR, 1 + n);
    p.store(at + n * HPAGE_PMD_NR + 511, 101 + n);
  }
  return at;
}

const counters = (p: TestProgram) => [
  vmstat(p.k, 'pgmigrate_success'),
  vmstat(p.k, 'pgmigrate_fail'),
];

describe('a hugetlb page that moves (MP-110, MP-111)', () => {
  it.each([
    [true, 'shared: the page cache has it at its new place'],
    [false, 'private: anonymous'],
  ])('shared %s: %s', (isShared) => {
    const p = boot(1);
    const at = mapHuge(p, 1, isShared);
    const source = p.frame(at);
    p.k.frames.set(source, PG_DIRTY | PG_REFERENCED);
    p.k.frames.lastCpupid[source] = 77;
    expect(migrate(p, at, 1, 1)).toBe(0);
    const moved = p.frame(at);
    expect([p.nid(at), p.load(at), p.load(at + 511)]).toEqual([1, 1, 101]);
    expect([p.k.frames.has(moved, PG_DIRTY), p.k.frames.has(moved, PG_REFERENCED)]).toEqual([
      true,
      true,
    ]);
    expect(p.k.frames.lastCpupid[moved]).toBe(77);
    expect(counters(p)).toEqual([512, 0]);
    // A page made for the migration stays, the old one goes: N0 -1, N1 +1.
    expect([p.k.hugetlb.nrHuge[0], p.k.hugetlb.nrHuge[1]]).toEqual([0, 1]);
    checkInvariants(p.k);
    munmapRange(p.k, p.task.mm!, at, at + 512);
    expect(p.k.hugetlb.freeOf(1)).toBe(1);
    checkInvariants(p.k);
  });

  it('takes a free page of the pool before a fresh one', () => {
    const p = boot(2);
    const at = mapHuge(p, 1);
    p.k.hugetlb.resize(1, 1);
    expect(migrate(p, at, 1, 1)).toBe(0);
    expect([p.k.hugetlb.nrHuge[0], p.k.hugetlb.freeOf(0), p.k.hugetlb.nrHuge[1]]).toEqual([
      2, 2, 1,
    ]);
    checkInvariants(p.k);
  });

  it('a migration without a node asks for one of the own node', () => {
    const p = boot(1);
    const at = mapHuge(p, 1);
    const source = p.frame(at);
    const list = isolate(p, at, 1);
    const to = { nid: -1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    new MigrationOp(p.k, list, to, MIGRATE_SYNC, MR_SYSCALL).finish();
    expect([p.nid(at), p.frame(at) === source]).toEqual([0, false]);
  });

  it('tells who watches migrations', () => {
    const p = boot(1);
    const at = mapHuge(p, 1);
    const source = p.frame(at);
    const seen: number[][] = [];
    p.k.onMigrated = (...told) => seen.push(told as number[]);
    migrate(p, at, 1, 1);
    expect(seen).toEqual([[source, p.frame(at), 512, MR_SYSCALL]]);
  });

  it('a page that nobody maps any more is only put back', () => {
    const p = boot(1);
    const at = mapHuge(p, 1, false);
    const list = isolate(p, at, 1);
    munmapRange(p.k, p.task.mm!, at, at + 512);
    const op = migration(p.k, list, 1);
    op.finish();
    expect([op.result, list, p.k.hugetlb.freeOf(0)]).toEqual([0, [], 1]);
    checkInvariants(p.k);
  });

  it('hugetlb pages of a list go first; the others follow (MC-54)', () => {
    const p = boot(1);
    const small = p.mapWritten(2);
    const at = mapHuge(p, 1);
    const list = [...isolate(p, small, 2), ...isolate(p, at, 1)];
    const op = migration(p.k, list, 1);
    op.finish();
    expect([op.result, list, p.nid(at), p.nid(small), p.nid(small + 1)]).toEqual([0, [], 1, 1, 1]);
    expect(counters(p)).toEqual([514, 0]);
  });
});

describe('isolation (MC-6)', () => {
  it('takes the page once: it is migratable again when put back', () => {
    const p = boot(1);
    const at = mapHuge(p, 1);
    const head = p.head(at);
    const before = p.refs(at);
    expect(isolateHugetlb(p.k, head)).toBe(true);
    expect([p.refs(at), p.k.frames.private_[head] & HPAGE_MIGRATABLE]).toEqual([before + 1, 0]);
    expect(isolateHugetlb(p.k, head)).toBe(false);
    expect(p.refs(at)).toBe(before + 1);
    putbackMovablePages(p.k, [head]);
    expect([p.refs(at), p.k.frames.private_[head] & HPAGE_MIGRATABLE]).toEqual([before, 1]);
  });

  it('not a page that is not in use', () => {
    const p = boot(1);
    const head = p.k.hugetlb.take(0, -1, false);
    expect(isolateHugetlb(p.k, head)).toBe(false);
    expect(isolateFolio(p.k, head, [])).toBe(false);
    p.k.putFolio(head);
  });
});

describe('a hugetlb page that stays (MP-112)', () => {
  it('a reference: tried in all passes, counted once, by its size', () => {
    const p = boot(2);
    const at = mapHuge(p, 2);
    const held = p.head(at);
    p.k.folios.get(held);
    expect(migrate(p, at, 1025 - 512, 1)).toBe(1);
    expect([p.nid(at), p.nid(at + 512), p.load(at), p.load(at + 512)]).toEqual([0, 1, 1, 2]);
    expect(p.k.failures.lastCauseOf(held)).toBe(CAUSE_EXTRA_REFERENCE);
    expect(counters(p)).toEqual([512, 512]);
    p.k.putFolio(held);
    checkInvariants(p.k);
  });

  it.each([true, false])(
    'MC-39: an error in it, shared %s: tried once, the others go',
    (isShared) => {
      const p = boot(2);
      const at = mapHuge(p, 2, isShared);
      const bad = p.head(at);
      p.k.frames.set(bad + 5, PG_HWPOISON);
      const before = p.k.failures.written;
      expect(migrate(p, at, 1025 - 512, 1)).toBe(1);
      expect([p.k.failures.written - before, p.k.failures.lastCauseOf(bad)]).toEqual([
        1,
        CAUSE_HWPOISON,
      ]);
      expect([p.frame(at), p.nid(at + 512), p.load(at), p.load(at + 512)]).toEqual([bad, 1, 1, 2]);
      expect([counters(p), p.k.hugetlb.nrHuge[0], p.k.hugetlb.nrHuge[1]]).toEqual([
        [512, 512],
        1,
        1,
      ]);
    },
  );

  it('a pin of an anonymous page: it is not even unmapped', () => {
    const p = boot(1);
    const at = mapHuge(p, 1, false);
    p.k.folios.pin(p.head(at), 1);
    expect(migrate(p, at, 1, 1)).toBe(1);
    expect([p.nid(at), p.load(at)]).toEqual([0, 1]);
    expect(p.k.failures.lastCauseOf(p.head(at))).toBe(CAUSE_PINNED);
    p.k.folios.unpin(p.head(at), 1);
    checkInvariants(p.k);
  });

  it.each([
    [MIGRATE_ASYNC, 10],
    [MIGRATE_SYNC, 10],
  ] as const)(
    'mode %i, locked by nobody who could let go: refused in each of %i passes',
    (mode, n) => {
      const p = boot(1);
      const at = mapHuge(p, 1);
      p.k.frames.set(p.head(at), PG_LOCKED);
      const before = p.k.failures.written;
      expect(migrate(p, at, 1, 1, mode)).toBe(1);
      expect([p.nid(at), p.k.failures.written - before]).toEqual([0, n]);
      expect(p.k.failures.lastCauseOf(p.head(at))).toBe(CAUSE_LOCKED);
      p.k.frames.clear(p.head(at), PG_LOCKED);
    },
  );

  it('MP-112, MP-113: no page on that node: -ENOMEM ends the call, nothing behind is tried', () => {
    const p = boot(3);
    const at = mapHuge(p, 3);
    fillNode(p.k, 1, 0);
    const list = [0, 1, 2].map((n) => p.head(at + n * 512));
    const isolated: number[] = [];
    for (const head of list) isolateFolio(p.k, head, isolated);
    p.k.folios.get(list[0]);
    const op = migration(p.k, isolated, 1);
    op.finish();
    expect([op.result, isolated, counters(p)]).toEqual([-12, list, [0, 512]]);
    expect(p.k.failures.lastCauseOf(list[0])).toBe(CAUSE_NO_MEMORY);
    putbackMovablePages(p.k, isolated);
    p.k.putFolio(list[0]);
    checkInvariants(p.k);
  });

  it.each([
    [MR_SYSCALL, 1],
    [MR_NUMA_MISPLACED, 0],
    [MR_DEMOTION, 0],
  ])('reason %i: a page of another node than asked for: %i', (reason, moved) => {
    const p = boot(1);
    const at = mapHuge(p, 1);
    fillNode(p.k, 1, 0);
    const source = p.frame(at);
    const list = isolate(p, at, 1);
    const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE };
    new MigrationOp(p.k, list, to, MIGRATE_SYNC, reason).finish();
    putbackMovablePages(p.k, list);
    expect([p.nid(at), p.frame(at) === source]).toEqual([0, moved === 0]);
    expect(p.load(at)).toBe(1);
  });
});
