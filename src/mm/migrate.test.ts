/**
 * MC-1..MC-62: what one migrate_pages call does with its folios, and what it returns and counts.
 */
import { describe, expect, it } from 'vitest';
import {
  MIGRATE_ASYNC,
  MIGRATE_SYNC,
  MIGRATE_SYNC_LIGHT,
  type MigrateMode,
  MR_DEMOTION,
  MR_LONGTERM_PIN,
  MR_NUMA_MISPLACED,
} from '../uapi/migrate.ts';
import { NR_ISOLATED_ANON, NR_WRITEBACK } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  CAUSE_EXTRA_REFERENCE,
  CAUSE_HWPOISON,
  CAUSE_LOCKED,
  CAUSE_NO_MEMORY,
  CAUSE_NO_MIGRATE_OP,
  CAUSE_PINNED,
  CAUSE_SPLIT_FAILED,
  CAUSE_WRITEBACK,
} from './failureLog.ts';
import { PG_DIRTY, PG_HWPOISON, PG_LOCKED, PG_UPTODATE, PG_WRITEBACK } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import { munmapRange } from './mmap.ts';
import { splitPmdAt } from './pteSetup.ts';
import {
  bootNodes,
  fillNode,
  fragmentNode,
  isolate,
  migrate,
  migration,
  TestProgram,
  vmstat,
} from './testProgram.ts';

/** N0 with CPUs, N1 without. */
function boot(thp = false): TestProgram {
  const k = bootNodes([
    { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
  ]);
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  return new TestProgram(k);
}

function counters(p: TestProgram): Record<string, number> {
  const names = ['pgmigrate_success', 'pgmigrate_fail', 'thp_migration_success'];
  const thp = [
    'thp_migration_fail',
    'thp_migration_split',
    'thp_split_page',
    'thp_split_page_failed',
  ];
  const changed = [...names, ...thp].map((name) => [name, vmstat(p.k, name)] as const);
  return Object.fromEntries(changed.filter(([, n]) => n !== 0));
}

describe('one folio that cannot move', () => {
  interface Obstacle {
    readonly id: string;
    readonly what: string;
    readonly set: (p: TestProgram, page: number) => void;
    /** What undoes it. */
    readonly clear?: (p: TestProgram, page: number) => void;
    readonly cause: number;
    /** By mode ASYNC, SYNC_LIGHT, SYNC: 1 = failed, 0 = moved. */
    readonly result: readonly [number, number, number];
  }
  const flag = (bit: number) => ({
    set: (p: TestProgram, page: number) => p.k.frames.set(page, bit),
    clear: (p: TestProgram, page: number) => p.k.frames.clear(page, bit),
  });
  const obstacles: readonly Obstacle[] = [
    {
      id: 'S-MC-02, S-MC-03, MC-16',
      what: 'locked by somebody who does not let go',
      ...flag(PG_LOCKED),
      cause: CAUSE_LOCKED,
      result: [1, 1, 1],
    },
    {
      id: 'S-MC-04, S-MC-05, MC-17',
      what: 'under writeback',
      set: (p, page) => {
        p.k.frames.set(page, PG_WRITEBACK);
        p.k.vmstat.modNode(0, NR_WRITEBACK, 1);
      },
      clear: (p, page) => {
        if (p.k.frames.has(page, PG_WRITEBACK)) p.k.waitOnWriteback(page);
      },
      cause: CAUSE_WRITEBACK,
      result: [1, 1, 0],
    },
    {
      id: 'S-MC-07, MC-38, MC-46',
      what: 'one reference too many',
      set: (p, page) => p.k.folios.get(page),
      clear: (p, page) => p.k.putFolio(page),
      cause: CAUSE_EXTRA_REFERENCE,
      result: [1, 1, 1],
    },
    {
      id: 'S-MC-08, MC-27',
      what: 'pinned, and exclusive',
      set: (p, page) => p.k.folios.pin(page, 1),
      clear: (p, page) => void p.k.folios.unpin(page, 1),
      cause: CAUSE_PINNED,
      result: [1, 1, 1],
    },
  ];
  const modes: readonly [MigrateMode, string][] = [
    [MIGRATE_ASYNC, 'ASYNC'],
    [MIGRATE_SYNC_LIGHT, 'SYNC_LIGHT'],
    [MIGRATE_SYNC, 'SYNC'],
  ];
  const table = obstacles.flatMap((o) => modes.map(([mode, name]) => ({ ...o, mode, name })));

  it.each(table)('$id: $what, $name', ({ set, clear, cause, result, mode }) => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    const before = p.entry(a);
    p.k.lru.drainAll();
    set(p, page);
    const failed = result[mode];
    expect(migrate(p, a, 1, 1, mode)).toBe(failed);
    if (failed === 1) {
      expect(p.frame(a)).toBe(page);
      expect(p.entry(a)).toEqual(before);
      expect(p.k.failures.lastCauseOf(page)).toBe(cause);
      expect(counters(p)).toEqual({ pgmigrate_fail: 1 });
    } else {
      expect(p.nid(a)).toBe(1);
      expect(counters(p)).toEqual({ pgmigrate_success: 1 });
    }
    expect(p.load(a)).toBe(1);
    clear?.(p, page);
    checkInvariants(p.k);
  });

  it('MC-1, MC-16: SYNC_LIGHT does not wait for a page not up to date; reclaim never', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const list = isolate(p, a, 1);
    const holder = migration(p.k, list, 1);
    holder.step();
    const source = p.k.inFlight.keys().next().value as number;
    // As if a second call had isolated the same folio: only its lock decides here.
    p.k.folios.get(source);
    for (const [mode, reclaims] of [
      [MIGRATE_ASYNC, false],
      [MIGRATE_SYNC_LIGHT, false],
      [MIGRATE_SYNC, true],
    ] as const) {
      p.k.frames.clear(source, PG_UPTODATE);
      p.k.pm.hooks.inReclaim = reclaims;
      const second = migration(p.k, [source], 1, mode);
      second.finish();
      expect(second.result).toBe(1);
      expect(holder.isDone).toBe(false);
    }
    p.k.pm.hooks.inReclaim = false;
    p.k.frames.set(source, PG_UPTODATE);
    p.k.frames.refcount[source]--;
    holder.finish();
    expect(p.nid(a)).toBe(1);
    checkInvariants(p.k);
  });

  it('S-MC-06, MC-41: ramfs has no migrate operation: dirty pages stay, clean ones move', () => {
    const p = boot();
    const file = p.k.newFile('r', 'ramfs', 2);
    const a = p.map(2, { file, shared: true });
    p.store(a, 5);
    expect(p.load(a + 1)).toBe(0);
    expect(p.has(a, PG_DIRTY)).toBe(true);
    expect(migrate(p, a, 2, 1)).toBe(1);
    expect([p.nid(a), p.nid(a + 1)]).toEqual([0, 1]);
    expect(p.k.failures.lastCauseOf(p.head(a))).toBe(CAUSE_NO_MIGRATE_OP);
    expect(p.has(a, PG_DIRTY)).toBe(true);
    checkInvariants(p.k);
  });

  it('MC-41a, MC-47: secretmem always refuses; the page is mapped again at once', () => {
    const p = boot();
    const file = p.k.newFile('s', 'secretmem', 1);
    const a = p.mapWritten(1, { file, shared: true });
    expect(migrate(p, a, 1, 1)).toBe(1);
    expect(p.nid(a)).toBe(0);
    expect(p.load(a)).toBe(1);
  });

  it('S-MC-15, MC-39: an uncorrectable error met while copying: failed, source kept', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const list = isolate(p, a, 1);
    const source = list[0];
    const op = migration(p.k, list, 1, MIGRATE_ASYNC);
    op.step();
    p.k.frames.set(source, PG_HWPOISON);
    op.finish();
    expect(op.result).toBe(1);
    expect(p.frame(a)).toBe(source);
    expect(p.k.failures.lastCauseOf(source)).toBe(CAUSE_HWPOISON);
    expect(counters(p)).toEqual({ pgmigrate_fail: 1 });
    putbackMovablePages(p.k, list);
    checkInvariants(p.k);
  });
});

describe('the call as a whole', () => {
  it('S-MC-01, MC-14: a folio freed after isolation counts as success', () => {
    const p = boot();
    const a = p.mapWritten(2);
    const list = isolate(p, a, 2);
    munmapRange(p.k, p.task.mm!, a, a + 1);
    fillNode(p.k, 1, 1);
    const op = migration(p.k, list, 1);
    op.finish();
    expect(op.result).toBe(0);
    expect(counters(p)).toEqual({ pgmigrate_success: 2 });
    expect(p.nid(a + 1)).toBe(1);
    checkInvariants(p.k);
  });

  it('S-MC-13, MC-49: three small folios, memory for one: -ENOMEM, the third never tried', () => {
    const p = boot();
    const a = p.mapWritten(3);
    fillNode(p.k, 1, 1);
    const list = isolate(p, a, 3);
    const op = migration(p.k, list, 1);
    op.finish();
    expect([op.result, list.length]).toEqual([-12, 2]);
    expect(counters(p)).toEqual({ pgmigrate_success: 1, pgmigrate_fail: 1 });
    expect(p.k.failures.lastCauseOf(p.head(a + 1))).toBe(CAUSE_NO_MEMORY);
    expect(p.k.failures.lastCauseOf(p.head(a + 2))).toBe(-1);
    putbackMovablePages(p.k, list);
    expect(list.length).toBe(0);
    checkInvariants(p.k);
  });

  it('MC-51: the result is the number of folios left, 0 if none is', () => {
    const p = boot();
    const a = p.mapWritten(4);
    p.k.lru.drainAll();
    p.k.folios.get(p.head(a + 1));
    p.k.folios.get(p.head(a + 3));
    expect(migrate(p, a, 4, 1)).toBe(2);
    expect([0, 1, 2, 3].map((i) => p.nid(a + i))).toEqual([1, 0, 1, 0]);
    expect(counters(p)).toEqual({ pgmigrate_success: 2, pgmigrate_fail: 2 });
  });

  it('MC-52: a failure of the first, asynchronous step is not counted', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    p.k.frames.set(p.head(a), PG_WRITEBACK);
    p.k.vmstat.modNode(0, NR_WRITEBACK, 1);
    expect(migrate(p, a, 1, 1, MIGRATE_SYNC)).toBe(0);
    expect(counters(p)).toEqual({ pgmigrate_success: 1 });
  });

  it('MC-4, MC-53: more than 512 pages go in batches; out of memory in one ends all', () => {
    const p = boot();
    const a = p.mapWritten(1300);
    fillNode(p.k, 1, 600);
    const list = isolate(p, a, 1300);
    const op = migration(p.k, list, 1);
    let steps = 0;
    while (!op.step()) steps++;
    expect(steps).toBe(2);
    expect([op.result, list.length]).toEqual([-12, 700]);
    expect(counters(p)).toEqual({ pgmigrate_success: 600, pgmigrate_fail: 1 });
    putbackMovablePages(p.k, list);
    checkInvariants(p.k);
  });

  it('MC-60: a THP counts once as THP and 512 times as pages', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    expect(migrate(p, a, 512, 1)).toBe(0);
    expect(counters(p)).toEqual({ pgmigrate_success: 512, thp_migration_success: 1 });
    expect([p.nid(a), p.load(a + 511)]).toEqual([1, 512]);
    p.k.folios.get(p.head(a));
    expect(migrate(p, a, 512, 0)).toBe(1);
    expect(counters(p)).toMatchObject({ pgmigrate_fail: 512, thp_migration_fail: 1 });
  });

  it('OV-27, OV-54, MC-61, S-MC-26: isolated pages are counted down, but for demotion', () => {
    const p = boot();
    const a = p.mapWritten(32);
    const isolated = () => p.k.vmstat.nodeItem(0, NR_ISOLATED_ANON);
    const plain = isolate(p, a, 16);
    expect(isolated()).toBe(16);
    migration(p.k, plain, 1).finish();
    expect(isolated()).toBe(0);
    const demoted = isolate(p, a + 16, 16);
    migration(p.k, demoted, 1, MIGRATE_ASYNC, MR_DEMOTION).finish();
    expect([demoted.length, isolated()]).toEqual([0, 16]);
  });

  it('MC-62: leftovers go back to the LRU by their flags, by way of the batch', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    p.k.lru.activate(p.head(a));
    p.k.folios.get(p.head(a));
    expect(migrate(p, a, 1, 1)).toBe(1);
    p.k.putFolio(p.head(a));
    expect(isolate(p, a, 1)).toEqual([p.head(a)]);
    expect(p.k.frames.flags[p.head(a)] & (1 << 8)).not.toBe(0);
  });
});

describe('large folios without room (MC-12, MC-49, MC-50, MC-88)', () => {
  it('S-MC-09: THP, no block of 2 MiB but many pages: split, all moved, 0', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    fragmentNode(p.k, 1);
    expect(migrate(p, a, 512, 1)).toBe(0);
    expect(counters(p)).toEqual({
      pgmigrate_success: 512,
      thp_migration_fail: 1,
      thp_migration_split: 1,
      thp_split_page: 1,
    });
    expect([p.nid(a), p.nid(a + 511), p.load(a + 300)]).toEqual([1, 1, 301]);
    checkInvariants(p.k);
  });

  it('S-MC-10: the same, pinned: the split refuses, -ENOMEM', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    p.k.folios.pin(p.head(a), 1);
    fragmentNode(p.k, 1);
    expect(migrate(p, a, 512, 1)).toBe(-12);
    expect(counters(p)).toEqual({
      pgmigrate_fail: 512,
      thp_migration_fail: 1,
      thp_split_page_failed: 1,
    });
    expect(p.k.failures.lastCauseOf(p.head(a))).toBe(CAUSE_SPLIT_FAILED);
    checkInvariants(p.k);
  });

  it('MC-49: for a long-term pin the split that says -EAGAIN is tried again', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    p.k.folios.get(p.head(a));
    fragmentNode(p.k, 1);
    expect(migrate(p, a, 512, 1, MIGRATE_SYNC, MR_LONGTERM_PIN)).toBe(1);
    expect(vmstat(p.k, 'thp_split_page_failed')).toBe(3 + 7);
    expect(counters(p)).toMatchObject({ pgmigrate_fail: 512, thp_migration_fail: 1 });
  });

  it('S-MC-11: a hint fault never splits', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    fragmentNode(p.k, 1);
    expect(migrate(p, a, 512, 1, MIGRATE_ASYNC, MR_NUMA_MISPLACED)).toBe(-12);
    expect(counters(p)).toEqual({ pgmigrate_fail: 512, thp_migration_fail: 1 });
    expect(p.k.folios.nrPages(p.head(a))).toBe(512);
  });

  it('S-MC-12: a THP of which half was unmapped is split first', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    munmapRange(p.k, p.task.mm!, a, a + 256);
    const b = a + 256;
    expect(migrate(p, b, 1, 1)).toBe(0);
    expect(counters(p)).toEqual({
      pgmigrate_success: 512,
      thp_migration_fail: 1,
      thp_migration_split: 1,
      thp_split_page: 1,
    });
    expect([p.nid(b), p.nid(b + 255), p.load(b + 10)]).toEqual([1, 1, 267]);
    expect(p.k.deferredSplit.size).toBe(0);
    checkInvariants(p.k);
  });

  it('MC-50: failures of the pieces are not in the result beyond their parent', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    munmapRange(p.k, p.task.mm!, a, a + 256);
    fillNode(p.k, 1, 100);
    const list = isolate(p, a + 256, 1);
    const op = migration(p.k, list, 1);
    op.finish();
    expect([op.result, list.length]).toEqual([1, 156]);
    expect(counters(p)).toMatchObject({ pgmigrate_success: 356, pgmigrate_fail: 1 });
    putbackMovablePages(p.k, list);
    checkInvariants(p.k);
  });

  it('MC-50: when the call ends with -ENOMEM pieces are not tried and stay in the list', () => {
    const p = boot();
    p.k.sysctl.mthpAlways = 1 << 4;
    const a = p.mapWritten(17, { addr: 0x200000 });
    expect(p.k.folios.nrPages(p.head(a))).toBe(16);
    fillNode(p.k, 1, 0);
    const list = isolate(p, a, 17);
    const op = migration(p.k, list, 1, MIGRATE_ASYNC);
    op.finish();
    expect([op.result, list.length]).toEqual([-12, 17]);
    expect(counters(p)).toEqual({ pgmigrate_fail: 1 });
    putbackMovablePages(p.k, list);
    checkInvariants(p.k);
  });

  it('MC-32: a huge page mapped by 512 entries moves whole and stays so mapped', () => {
    const p = boot(true);
    const a = p.mapWritten(512);
    splitPmdAt(p.k, p.task.mm!, a);
    expect(migrate(p, a, 512, 1)).toBe(0);
    expect(counters(p)).toEqual({ pgmigrate_success: 512, thp_migration_success: 1 });
    expect(p.k.folios.nrPages(p.head(a + 7))).toBe(512);
    expect(p.k.folios.mapcount(p.head(a))).toBe(512);
    checkInvariants(p.k);
  });
});

describe('the isolation (MC-5, MC-8)', () => {
  it('a folio in the lru-add batch is not isolatable until it is drained', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const list: number[] = [];
    expect(p.k.lru.isolate(p.head(a))).toBe(false);
    expect(list).toEqual([]);
    expect(isolate(p, a, 1)).toHaveLength(1);
    expect(p.k.lru.isolate(p.head(a))).toBe(false);
  });

  it('MC-8: while the batches are off, fresh folios are on their list at once', () => {
    const p = boot();
    p.k.lru.setDisabled(true);
    const a = p.mapWritten(1);
    expect(p.refs(a)).toBe(1);
    expect(p.k.lru.isolate(p.head(a))).toBe(true);
    p.k.lru.putback(0, p.head(a));
    expect(p.refs(a)).toBe(1);
    p.k.lru.setDisabled(false);
    checkInvariants(p.k);
  });
});
