/** zsmalloc pages in the migration engine: MC-75. */
import { describe, expect, it } from 'vitest';
import {
  checkInvariants,
  isolateFolio,
  Kernel,
  migratePages,
  plainMachine,
  putbackMovablePages,
} from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_COMPACTION } from '../uapi/migrate.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { ZsPool } from './zsmalloc.ts';

function boot(kernel: Kernel['spec']['kernel'] = '7.3'): Kernel {
  const zones = [{ zone: ZONE_NORMAL, pages: 32768 }] as const;
  const nodes = [
    { cpus: [0], zones },
    { cpus: [1], zones },
  ];
  const spec = plainMachine(nodes, { startPfn: 32768 });
  return new Kernel({ ...spec, kernel }, { seed: 1, trackContent: true });
}

function isolated(k: Kernel, page: number): number[] {
  const list: number[] = [];
  isolateFolio(k, page, list);
  return list;
}

function migrate(k: Kernel, list: number[]): number {
  const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  const left = migratePages(k, list, to, MIGRATE_SYNC, MR_COMPACTION);
  putbackMovablePages(k, list);
  return left;
}

/** The page an object lies in, while nobody holds it. */
function pageOf(pool: ZsPool, handle: number): number {
  const page = pool.readBegin(handle);
  pool.readEnd(handle);
  return page;
}

function event(k: Kernel, name: string): number {
  return k.vmstat.snapshot().get(name)!;
}

describe('zsmalloc (MC-75)', () => {
  it('objects of a size share a zspage; the last one takes it along', () => {
    const k = boot();
    const pool = new ZsPool(k);
    const handles = Array.from({ length: 8 }, () => pool.malloc(2048, 0));
    expect(pool.nrPages).toBe(4);
    expect(event(k, 'nr_zspages')).toBe(4);
    for (const handle of handles) pool.free(handle);
    expect([pool.nrPages, event(k, 'nr_zspages')]).toEqual([0, 0]);
    checkInvariants(k);
  });

  it('a size that does not divide a page makes a chain of pages', () => {
    const pool = new ZsPool(boot());
    pool.malloc(3072, 0);
    expect(pool.nrPages).toBe(3);
    expect(pool.malloc(4097, 0)).toBe(-EINVAL);
  });

  it('the handle finds the object in its new page; nr_zspages changes zones', () => {
    const k = boot();
    const pool = new ZsPool(k);
    const handle = pool.malloc(1024, 0);
    const before = pageOf(pool, handle);
    k.frames.content![before] = 77;
    expect(migrate(k, isolated(k, before))).toBe(0);
    const after = pageOf(pool, handle);
    expect([k.pm.nidOf(before), k.pm.nidOf(after)]).toEqual([0, 1]);
    expect(k.frames.content![after]).toBe(77);
    expect(k.pm.isFree(before)).toBe(true);
    expect(event(k, 'nr_zspages')).toBe(1);
    expect(event(k, 'pgmigrate_success')).toBe(1);
    checkInvariants(k);
  });

  it('S-MC-25: somebody reads an object of the zspage: -EINVAL, permanent in this step', () => {
    const k = boot();
    const pool = new ZsPool(k);
    const handle = pool.malloc(1024, 0);
    const page = pool.readBegin(handle);
    expect(migrate(k, isolated(k, page))).toBe(1);
    expect(event(k, 'pgmigrate_fail')).toBe(1);
    expect(pageOf(pool, handle)).toBe(page);
    pool.readEnd(handle);
    expect(migrate(k, isolated(k, page))).toBe(0);
    checkInvariants(k);
  });

  it('freed after isolation: success, and the page is gone', () => {
    const k = boot();
    const pool = new ZsPool(k);
    const handle = pool.malloc(1024, 0);
    const page = pageOf(pool, handle);
    const list = isolated(k, page);
    pool.free(handle);
    expect(k.frames.refcount[page]).toBe(1);
    expect(migrate(k, list)).toBe(0);
    expect(k.pm.isFree(page)).toBe(true);
    expect([pool.nrPages, event(k, 'nr_zspages')]).toEqual([0, 0]);
    checkInvariants(k);
  });
});
