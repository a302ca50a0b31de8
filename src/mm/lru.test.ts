/** OV-24, OV-24b, OV-26, OV-27: lists, batches, isolation, and which list a folio is on. */
import { describe, expect, it } from 'vitest';
import { NR_ISOLATED_ANON, NR_ISOLATED_FILE, NR_LRU_BASE } from '../uapi/vmstat.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  PG_ACTIVE,
  PG_LRU,
  PG_LRU_BATCH,
  PG_MLOCKED,
  PG_REFERENCED,
  PG_UNEVICTABLE,
} from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import {
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
} from './lru.ts';
import { munmapRange } from './mmap.ts';
import { bootNodes, TestProgram, vmstat } from './testProgram.ts';

function boot(): TestProgram {
  const k = bootNodes([{ cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] }]);
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

describe('the lru-add batch (OV-24)', () => {
  it('holds a reference per folio and goes out at 31, or at once with a large folio', () => {
    const p = boot();
    const a = p.mapWritten(30);
    expect([p.has(a, PG_LRU), p.has(a, PG_LRU_BATCH), p.refs(a)]).toEqual([false, true, 2]);
    const b = p.mapWritten(1);
    expect([p.has(a, PG_LRU), p.has(b, PG_LRU), p.refs(a)]).toEqual([true, true, 1]);
    const c = p.mapWritten(1);
    p.k.sysctl.thp_enabled = 'always';
    p.mapWritten(512);
    expect(p.has(c, PG_LRU)).toBe(true);
    checkInvariants(p.k);
  });

  it('is one per CPU; lru_add_drain empties the own, drain_all all', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.placeTask(p.task, 1);
    const b = p.mapWritten(1);
    p.k.lru.drainCpu(1);
    expect([p.has(a, PG_LRU), p.has(b, PG_LRU)]).toEqual([false, true]);
    p.k.lru.drainAll();
    expect(p.has(a, PG_LRU)).toBe(true);
  });

  it('a page unmapped while it waits is freed by the drain', () => {
    const p = boot();
    const a = p.mapWritten(1);
    const page = p.frame(a);
    munmapRange(p.k, p.task.mm!, a, a + 1);
    expect(p.k.frames.refcount[page]).toBe(1);
    p.k.lru.drainAll();
    expect(p.k.frames.refcount[page]).toBe(0);
    checkInvariants(p.k);
  });
});

describe('lists (OV-26)', () => {
  it('by kind and by flags', () => {
    const p = boot();
    const anon = p.mapWritten(1);
    const shmem = p.mapWritten(1, { file: p.k.newFile('t', 'tmpfs', 1), shared: true });
    const file = p.mapWritten(1, { file: p.k.newFile('e', 'ext4', 1), shared: true });
    const ramfs = p.mapWritten(1, { file: p.k.newFile('r', 'ramfs', 1), shared: true });
    p.k.lru.drainAll();
    const list = (vpn: number): number => p.k.lru.listOf(p.head(vpn));
    expect([anon, shmem, file, ramfs].map(list)).toEqual([
      LRU_INACTIVE_ANON,
      LRU_INACTIVE_ANON,
      LRU_INACTIVE_FILE,
      LRU_UNEVICTABLE,
    ]);
    p.k.lru.activate(p.head(anon));
    p.k.lru.activate(p.head(file));
    expect([anon, file].map(list)).toEqual([LRU_ACTIVE_ANON, LRU_ACTIVE_FILE]);
    const sizes = [0, 1, 2, 3, 4].map((n) => p.k.vmstat.nodeItem(0, NR_LRU_BASE + n));
    expect(sizes).toEqual([1, 1, 0, 1, 1]);
    checkInvariants(p.k);
  });

  it('HS-8: marked accessed twice becomes active, then referenced again', () => {
    const p = boot();
    const head = p.head(p.mapWritten(1));
    p.k.lru.drainAll();
    const flags = () => p.k.frames.flags[head] & (PG_REFERENCED | PG_ACTIVE);
    p.k.lru.markAccessed(head);
    expect(flags()).toBe(PG_REFERENCED);
    p.k.lru.markAccessed(head);
    expect(flags()).toBe(PG_ACTIVE);
    p.k.lru.markAccessed(head);
    expect(flags()).toBe(PG_ACTIVE | PG_REFERENCED);
    expect(vmstat(p.k, 'pgactivate')).toBe(1);
    p.k.lru.deactivate(head);
    expect([flags(), vmstat(p.k, 'pgdeactivate')]).toEqual([0, 1]);
    p.k.lru.deactivate(head);
    expect(vmstat(p.k, 'pgdeactivate')).toBe(1);
  });

  it('the coldest is the one added first', () => {
    const p = boot();
    const a = p.mapWritten(3);
    p.k.lru.drainAll();
    expect(p.k.lru.tail[LRU_INACTIVE_ANON]).toBe(p.head(a));
    expect(p.k.lru.head[LRU_INACTIVE_ANON]).toBe(p.head(a + 2));
  });
});

describe('isolation and putback (MC-5, MC-62, OV-27)', () => {
  it('isolation takes a reference, the list and PG_lru; only once', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    const head = p.head(a);
    expect([p.k.lru.isolate(head), p.k.lru.isolate(head)]).toEqual([true, false]);
    expect([p.refs(a), p.has(a, PG_LRU), p.k.lru.size(0, LRU_INACTIVE_ANON)]).toEqual([
      2,
      false,
      0,
    ]);
    p.k.lru.putback(0, head);
    expect([p.refs(a), p.has(a, PG_LRU_BATCH)]).toEqual([2, true]);
    p.k.lru.drainAll();
    expect([p.refs(a), p.has(a, PG_LRU)]).toEqual([1, true]);
  });

  it('nr_isolated is of the kind of the LRU, in base pages', () => {
    const p = boot();
    const anon = p.head(p.mapWritten(1));
    const file = p.head(p.mapWritten(1, { file: p.k.newFile('e', 'ext4', 1), shared: true }));
    p.k.lru.countIsolated(anon, 1);
    p.k.lru.countIsolated(file, 1);
    const gauges = [NR_ISOLATED_ANON, NR_ISOLATED_FILE];
    expect(gauges.map((item) => p.k.vmstat.nodeItem(0, item))).toEqual([1, 1]);
  });

  it('putback of a folio that nobody uses any more frees it', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    const head = p.head(a);
    p.k.lru.isolate(head);
    munmapRange(p.k, p.task.mm!, a, a + 1);
    p.k.lru.putbackDirect(head);
    expect(p.k.frames.refcount[head]).toBe(0);
  });

  it('whether it is evictable is decided again when it comes back', () => {
    const p = boot();
    const a = p.mapWritten(1);
    p.k.lru.drainAll();
    const head = p.head(a);
    p.k.lru.isolate(head);
    p.k.frames.set(head, PG_UNEVICTABLE); // stale: nobody locks it
    p.k.lru.putbackDirect(head);
    expect([p.k.lru.listOf(head), vmstat(p.k, 'unevictable_pgs_rescued')]).toEqual([
      LRU_INACTIVE_ANON,
      1,
    ]);
    p.k.lru.isolate(head);
    p.k.frames.set(head, PG_MLOCKED | PG_ACTIVE);
    p.k.lru.putbackDirect(head);
    expect([p.k.lru.listOf(head), p.has(a, PG_ACTIVE)]).toEqual([LRU_UNEVICTABLE, false]);
    expect(vmstat(p.k, 'unevictable_pgs_culled')).toBe(1);
  });
});
