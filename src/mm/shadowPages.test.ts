/** TI-71..TI-74: transactions and shadow pages. */
import { describe, expect, it } from 'vitest';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_ASYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { checkInvariants } from './invariants.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import type { KernelReclaim } from './kernelReclaim.ts';
import { migratePages } from './migrate.ts';
import { bootNodes, fillNode, isolate, migrate, TestProgram, vmstat } from './testProgram.ts';
import { freeCount } from './watermark.ts';

function boot(): TestProgram {
  const k = bootNodes([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
  ]);
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

function free(p: TestProgram, nid: number): number {
  return p.k.pm.nodes[nid].zones.reduce((sum, zone) => sum + freeCount(p.k.pm, zone), 0);
}

/** Pages on node 1, all written once. */
function slowPages(p: TestProgram, n: number): number {
  const vpn = p.mapWritten(n);
  expect(migrate(p, vpn, n, 1)).toBe(0);
  p.k.lru.drainAll();
  return vpn;
}

/** A transaction of one page to node 0; `meanwhile` runs while it is copied. */
function promote(p: TestProgram, vpn: number, meanwhile: () => void = () => {}): boolean {
  const { k } = p;
  const list = isolate(p, vpn, 1);
  expect(k.shadows.begin(list[0])).toBe(true);
  meanwhile();
  const isClean = !k.shadows.isDirty(list[0]);
  if (isClean) {
    k.shadows.beginCommit(list);
    const to = { nid: 0, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    expect(migratePages(k, list, to, MIGRATE_ASYNC, MR_SYSCALL)).toBe(0);
    k.shadows.endCommit();
  }
  putbackMovablePages(k, list);
  k.lru.drainAll();
  return isClean;
}

describe('TI-71: a transaction', () => {
  it('commits a page that was only read, and keeps it readable all the while', () => {
    const p = boot();
    const vpn = slowPages(p, 1);
    const before = free(p, 1);
    const reads: number[] = [];
    expect(promote(p, vpn, () => reads.push(p.access(vpn, false)))).toBe(true);
    expect(p.nid(vpn)).toBe(0);
    expect(p.k.shadows).toMatchObject({ size: 1, committed: 1, kept: 1 });
    // The shadow takes the place of the page.
    expect(free(p, 1)).toBe(before);
    checkInvariants(p.k);
  });

  it('S-TI-20: is void when the page is written meanwhile', () => {
    const p = boot();
    const vpn = slowPages(p, 1);
    expect(promote(p, vpn, () => p.access(vpn, true))).toBe(false);
    expect(p.nid(vpn)).toBe(1);
    expect(p.k.shadows.size).toBe(0);
    expect(promote(p, vpn)).toBe(true);
    checkInvariants(p.k);
  });

  it('is for pages with one mapping', () => {
    const p = boot();
    const vpn = slowPages(p, 1);
    p.fork();
    const [head] = isolate(p, vpn, 1);
    expect(p.k.shadows.begin(head)).toBe(false);
    putbackMovablePages(p.k, [head]);
  });
});

describe('TI-72, TI-73: a shadow', () => {
  it('goes with the first write, which faults', () => {
    const p = boot();
    const vpn = slowPages(p, 1);
    promote(p, vpn);
    const before = free(p, 1);
    const reused = vmstat(p.k, 'pgreuse');
    p.access(vpn, false);
    expect(p.k.shadows.size).toBe(1);
    p.access(vpn, true);
    expect(vmstat(p.k, 'pgreuse')).toBe(reused + 1);
    expect(p.k.shadows).toMatchObject({ size: 0, droppedByWrite: 1 });
    expect(free(p, 1)).toBe(before + 1);
    checkInvariants(p.k);
  });

  it('S-TI-21: is what its page is demoted to: no copy, no more memory', () => {
    const p = boot();
    const vpn = slowPages(p, 2);
    promote(p, vpn);
    const before = free(p, 1);
    const remaps: boolean[] = [];
    p.k.onMigrated = () => remaps.push(p.k.shadows.isRemap);
    const list = isolate(p, vpn, 1);
    const to = { nid: 1, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
    expect(migratePages(p.k, list, to, MIGRATE_ASYNC, MR_SYSCALL)).toBe(0);
    expect(p.nid(vpn)).toBe(1);
    expect([remaps, p.k.shadows.remapped, p.k.shadows.size]).toEqual([[true], 1, 0]);
    expect(free(p, 1)).toBe(before);
    checkInvariants(p.k);
  });

  it('of a page that was freed is of no use to the next one in its frame', () => {
    const p = boot();
    const vpn = slowPages(p, 1);
    promote(p, vpn);
    const frame = p.frame(vpn);
    p.k.frames.bumpGeneration(frame);
    p.k.shadows.migrated(frame, frame);
    expect(p.k.shadows).toMatchObject({ isRemap: false, size: 0 });
  });
});

it('TI-74: shadows are the first to go when slow memory runs short', () => {
  const p = boot();
  const vpn = slowPages(p, 64);
  for (let i = 0; i < 64; i++) promote(p, vpn + i);
  expect(p.k.shadows.size).toBe(64);
  fillNode(p.k, 1, 20);
  p.k.pm.hooks.wakeKswapd(1, 0, ZONE_NORMAL);
  expect((p.k.pm.hooks as KernelReclaim).kswapdStep(1)).toBe(true);
  expect(p.k.shadows).toMatchObject({ size: 0, reclaimed: 64 });
  expect(vmstat(p.k, 'pgscan_kswapd')).toBe(0);
});
