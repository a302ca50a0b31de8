/** mm_migrate_pages(_start), migration entries, and the destination of a folio: MC-9, MC-50. */
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../base/units.ts';
import {
  __GFP_HIGHMEM,
  __GFP_RECLAIM,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_TRANSHUGE,
} from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { migrationGfp } from './migrateTarget.ts';
import { bootNodes, isolate, migrate, migration, TestProgram } from './testProgram.ts';

function boot(): TestProgram {
  const k = bootNodes([
    { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
    { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 4096 }] },
  ]);
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

describe('tracepoints of a call', () => {
  it('begin and end, with what moved and what did not', () => {
    const p = boot();
    const a = p.mapWritten(3);
    p.k.folios.get(p.head(a));
    const seen: unknown[][] = [];
    p.k.trace.mmMigratePagesStart.attach((_nowNs, values) => seen.push(['start', ...values]));
    p.k.trace.mmMigratePages.attach((_nowNs, values) => seen.push(['end', ...values]));
    migrate(p, a, 3, 1);
    expect(seen).toEqual([
      ['start', MIGRATE_SYNC, MR_SYSCALL],
      ['end', 2, 1, 0, 0, 0, 0, MIGRATE_SYNC, MR_SYSCALL],
    ]);
  });

  it("a later step is the caller's, whoever carries it out", () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.trace.run(7, 1);
    const op = migration(p.k, isolate(p, a, 1), 1);
    op.step();
    const pids: number[] = [];
    p.k.trace.mmMigratePages.attach(() => pids.push(p.k.trace.pid));
    p.k.trace.run(9, 0);
    op.finish();
    expect([pids, p.k.trace.pid, p.k.trace.cpu]).toEqual([[7], 9, 0]);
  });

  it('a call that has not begun is of whoever carries it out', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.trace.run(7, 1);
    const op = migration(p.k, isolate(p, a, 1), 1);
    p.k.trace.run(9, 0);
    const pids: number[] = [];
    for (const point of [p.k.trace.mmMigratePagesStart, p.k.trace.mmMigratePages]) {
      point.attach(() => pids.push(p.k.trace.pid));
    }
    op.finish();
    expect([pids, p.k.trace.pid]).toEqual([[9, 9], 9]);
  });
});

describe('tracepoints of migration entries (MC-26, MC-32, MC-36)', () => {
  function listen(p: TestProgram): unknown[][] {
    const seen: unknown[][] = [];
    const { setMigrationPte, removeMigrationPte, setMigrationPmd, removeMigrationPmd } = p.k.trace;
    setMigrationPte.attach((_nowNs, values) => seen.push(['set pte', ...values]));
    removeMigrationPte.attach((_nowNs, values) => seen.push(['remove pte', ...values]));
    setMigrationPmd.attach((_nowNs, values) => seen.push(['set pmd', ...values]));
    removeMigrationPmd.attach((_nowNs, values) => seen.push(['remove pmd', ...values]));
    return seen;
  }
  const physical = (p: TestProgram, vpn: number) => p.k.frames.pfnOf(p.frame(vpn)) * PAGE_SIZE;

  it('of a page: address, where it was, where it is, order', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const seen = listen(p);
    const from = physical(p, a);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect(seen).toEqual([
      ['set pte', a * PAGE_SIZE, from, 0],
      ['remove pte', a * PAGE_SIZE, physical(p, a), 0],
    ]);
  });

  it('of 2 MiB', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'always';
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    const seen = listen(p);
    const from = physical(p, a);
    expect(migrate(p, a, 1, 1)).toBe(0);
    expect(seen).toEqual([
      ['set pmd', a * PAGE_SIZE, from],
      ['remove pmd', a * PAGE_SIZE, physical(p, a)],
    ]);
  });

  it('of a large folio in PTEs: each page, and the order of the folio', () => {
    const p = boot();
    p.k.sysctl.mthpAlways = 1 << 2;
    const a = p.mapWritten(4, { addr: 512 * 1024 });
    const seen = listen(p);
    const from = physical(p, a);
    expect(migrate(p, a, 1, 1)).toBe(0);
    const entries = (name: string, first: number) =>
      [0, 1, 2, 3].map((i) => [name, (a + i) * PAGE_SIZE, first + i * PAGE_SIZE, 2]);
    expect(seen).toEqual([...entries('set pte', from), ...entries('remove pte', physical(p, a))]);
  });
});

describe('flags of the new folio (MC-9)', () => {
  it('a large one is asked for as a THP, without the reclaim of the caller', () => {
    const p = boot();
    p.k.sysctl.thp_enabled = 'always';
    const a = p.mapWritten(512, { addr: 512 * 1024 });
    const gfp = migrationGfp(p.k, p.head(a), GFP_KERNEL);
    expect(gfp).toBe((GFP_KERNEL & ~__GFP_RECLAIM) | GFP_TRANSHUGE);
  });

  it('from ZONE_MOVABLE it may lie in high memory, elsewhere only if the caller says so', () => {
    const p = boot();
    const a = p.mapWritten(1);
    expect(migrationGfp(p.k, p.head(a), GFP_KERNEL)).toBe(GFP_KERNEL);
    migrate(p, a, 1, 1);
    expect(migrationGfp(p.k, p.head(a), GFP_KERNEL)).toBe(GFP_KERNEL | __GFP_HIGHMEM);
    expect(migrationGfp(p.k, p.head(a), GFP_HIGHUSER_MOVABLE)).toBe(GFP_HIGHUSER_MOVABLE);
  });
});
