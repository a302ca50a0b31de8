/** TI-4, TI-10..TI-15, TI-18, S-MC-26: demotion in reclaim. */
import { describe, expect, it } from 'vitest';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { MAP_LOCKED } from '../uapi/mman.ts';
import { NR_WRITEBACK } from '../uapi/vmstat.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { canDemote } from './demote.ts';
import { PG_WRITEBACK } from './frameTable.ts';
import { checkInvariants } from './invariants.ts';
import type { Kernel } from './kernel.ts';
import type { KernelReclaim } from './kernelReclaim.ts';
import { type Mempolicy, makePolicy } from './mempolicy.ts';
import { PTE_A } from './pageTable.ts';
import { shrinkFolioList } from './reclaimFolios.ts';
import { RECLAIM_DIRECT, RECLAIM_PROACTIVE, type ReclaimKind, ScanControl } from './scanControl.ts';
import { bootNodes, fillNode, fragmentNode, isolate, TestProgram, vmstat } from './testProgram.ts';

interface Options {
  readonly swapPages?: number;
  readonly thp?: boolean;
  readonly lower?: number;
}

/** N0 with CPUs; `lower` nodes of the next tier behind it, one farther than the other. */
function boot(options: Options = {}): TestProgram {
  const lower = options.lower ?? 1;
  const nodes = [{ cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] }];
  for (let n = 0; n < lower; n++) {
    nodes.push({ cpus: [], zones: [{ zone: ZONE_MOVABLE as never, pages: 2048 }] });
  }
  const distance = nodes.map((_, a) => nodes.map((_n, b) => 10 + 10 * Math.abs(a - b)));
  const k = bootNodes(nodes, { swapPages: options.swapPages ?? 0, sysctl: { distance } });
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.demotion_enabled = true;
  return new TestProgram(k);
}

/** Reclaims the folios of `n` cold pages; returns pages reclaimed, with what stayed put back. */
function shrink(p: TestProgram, a: number, n: number, kind: ReclaimKind, mask = -1): number {
  for (let i = 0; i < n; i++) {
    const at = p.task.mm!.pteIndex(a + i);
    if (at >= 0) p.k.ptes.words[at] = (p.k.ptes.words[at] & ~PTE_A) >>> 0;
  }
  const list = isolate(p, a, n);
  const isolated = vmstat(p.k, 'nr_isolated_anon');
  const sc = new ScanControl(kind, 32, 60);
  sc.demotionMask = mask;
  const reclaimed = shrinkFolioList(p.k, list, 0, sc, true);
  p.k.vmstat.modNode(0, 7, -isolated);
  for (const head of list) p.k.lru.putbackDirect(head);
  return reclaimed;
}

const demoted = (k: Kernel, how: string): number => vmstat(k, `pgdemote_${how}`);

describe('may a node demote? (TI-10)', () => {
  it('switched on, a lower tier, allowed by the cgroup, not forbidden by the caller', () => {
    const { k } = boot();
    const sc = new ScanControl(RECLAIM_DIRECT, 32, 60);
    expect([canDemote(k, 0, sc), canDemote(k, 1, sc)]).toEqual([true, false]);
    sc.demotionMask = 0b01;
    expect(canDemote(k, 0, sc)).toBe(false);
    sc.demotionMask = -1;
    sc.noDemotion = true;
    expect(canDemote(k, 0, sc)).toBe(false);
    k.sysctl.demotion_enabled = false;
    expect(canDemote(k, 0, null)).toBe(false);
  });
});

describe('one pass over a list (TI-13, TI-14)', () => {
  it('S-MC-26: pages go to the next tier, count as reclaimed and demoted', () => {
    const p = boot();
    const a = p.mapWritten(32);
    expect(shrink(p, a, 32, RECLAIM_DIRECT)).toBe(32);
    expect([p.nid(a), p.load(a + 31), demoted(p.k, 'direct')]).toEqual([1, 32, 32]);
    expect(p.k.vmstat.nodeItem(0, 45)).toBe(32); // charged to the source node (OV-47)
    expect(vmstat(p.k, 'nr_isolated_anon')).toBe(0);
    expect(vmstat(p.k, 'pgmigrate_success')).toBe(32);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });

  it('S-TI-05: target full: the leftovers are swapped out in the same pass', () => {
    const p = boot({ swapPages: 64 });
    const a = p.mapWritten(20);
    fillNode(p.k, 1, 5);
    expect(shrink(p, a, 20, RECLAIM_DIRECT)).toBe(20);
    expect([demoted(p.k, 'direct'), vmstat(p.k, 'pswpout')]).toEqual([5, 15]);
    expect([p.load(a), p.load(a + 19)]).toEqual([1, 20]);
    p.k.lru.drainAll();
    checkInvariants(p.k);
  });

  it('S-TI-06: proactive reclaim does not swap the leftovers', () => {
    const p = boot({ swapPages: 64 });
    const a = p.mapWritten(20);
    fillNode(p.k, 1, 5);
    expect(shrink(p, a, 20, RECLAIM_PROACTIVE)).toBe(5);
    expect([demoted(p.k, 'proactive'), vmstat(p.k, 'pswpout')]).toEqual([5, 0]);
    checkInvariants(p.k);
  });

  it('TI-13: the preferred target first, then its zonelist within the allowed nodes', () => {
    const p = boot({ lower: 3 });
    const a = p.mapWritten(6);
    expect(p.k.tiers.preferredTargets(0)).toBe(0b0010);
    fillNode(p.k, 1, 2);
    expect(shrink(p, a, 6, RECLAIM_DIRECT)).toBe(6);
    expect(Array.from({ length: 6 }, (_, i) => p.nid(a + i))).toEqual([1, 1, 2, 2, 2, 2]);
  });

  it('S-TI-09, TI-10, TI-13: only nodes that the cgroup may use', () => {
    const p = boot({ lower: 3 });
    const a = p.mapWritten(4);
    expect(shrink(p, a, 4, RECLAIM_DIRECT, 0b1000)).toBe(4);
    expect(p.nid(a)).toBe(3);
  });

  it('S-TI-08, TI-15: policies of the mapping tasks are not asked', () => {
    const p = boot();
    p.task.setPolicy(makePolicy(MPOL_BIND, 0, 1, -1) as Mempolicy);
    const a = p.mapWritten(2);
    shrink(p, a, 2, RECLAIM_DIRECT);
    expect(p.nid(a)).toBe(1);
  });

  it.each([
    {
      what: 'under writeback',
      set: (p: TestProgram, a: number) => {
        p.k.frames.set(p.head(a), PG_WRITEBACK);
        p.k.vmstat.modNode(0, NR_WRITEBACK, 1);
      },
    },
    { what: 'pinned', set: (p: TestProgram, a: number) => p.k.folios.pin(p.head(a), 1) },
  ])('S-TI-07, TI-12: $what: not demoted', ({ set }) => {
    const p = boot();
    const a = p.mapWritten(2);
    p.k.lru.drainAll();
    set(p, a);
    expect(shrink(p, a, 2, RECLAIM_DIRECT)).toBe(1);
    expect([p.nid(a), p.nid(a + 1)]).toEqual([0, 1]);
  });

  it('S-TI-07: nor locked pages: reclaim does not even meet them', () => {
    const p = boot();
    const a = p.mapWritten(4, { flags: MAP_LOCKED });
    p.k.lru.drainAll();
    reclaimNode(p.k, 0);
    expect(p.nid(a)).toBe(0);
  });

  it('dirty file pages are demoted, not written (TI-12)', () => {
    const p = boot();
    const a = p.mapWritten(2, { file: p.k.newFile('e', 'ext4', 2), shared: true });
    shrink(p, a, 2, RECLAIM_DIRECT);
    expect([p.nid(a), vmstat(p.k, 'nr_dirty'), vmstat(p.k, 'nr_written')]).toEqual([1, 2, 0]);
  });

  it('a huge page moves whole; without a block it is split, and its pieces move (MC-49)', () => {
    const whole = boot({ thp: true });
    const a = whole.mapWritten(512);
    expect(shrink(whole, a, 1, RECLAIM_DIRECT)).toBe(512);
    expect([whole.nid(a), whole.k.folios.nrPages(whole.head(a))]).toEqual([1, 512]);
    const pieces = boot({ thp: true });
    const b = pieces.mapWritten(512);
    fragmentNode(pieces.k, 1);
    expect(shrink(pieces, b, 1, RECLAIM_DIRECT)).toBe(512);
    expect([pieces.nid(b), pieces.k.folios.nrPages(pieces.head(b))]).toEqual([1, 1]);
    expect(vmstat(pieces.k, 'thp_migration_split')).toBe(1);
    pieces.k.lru.drainAll();
    checkInvariants(pieces.k);
  });
});

describe('reclaim of whole nodes', () => {
  it('S-TI-04: kswapd demotes cold pages, and swaps none', () => {
    const p = boot({ swapPages: 512 });
    const a = p.map(5000);
    let touched = 0;
    while ((p.k.kswapdWoken & 1) === 0 && touched < 5000) p.store(a + touched++, 7);
    const hooks = p.k.pm.hooks as KernelReclaim;
    for (let n = 0; n < 200 && hooks.kswapdStep(0); n++);
    expect(demoted(p.k, 'kswapd')).toBeGreaterThan(0);
    expect(vmstat(p.k, 'pswpout')).toBe(0);
    expect([p.nid(a), p.load(a)]).toEqual([1, 7]); // the oldest went first
    checkInvariants(p.k);
  });

  it('TI-18: each tier demotes to the next, the last one swaps', () => {
    const p = boot({ swapPages: 512 });
    const a = p.mapWritten(40);
    reclaimNode(p.k, 0);
    expect(p.nid(a)).toBe(1);
    reclaimNode(p.k, 1);
    expect(p.frame(a)).toBeLessThan(0);
    expect(vmstat(p.k, 'pswpout')).toBeGreaterThan(0);
    expect(p.load(a)).toBe(1);
    checkInvariants(p.k);
  });

  it('TI-18: without swap the last tier keeps them', () => {
    const p = boot();
    const a = p.mapWritten(40);
    for (let n = 0; n < 3; n++) {
      reclaimNode(p.k, 0);
      reclaimNode(p.k, 1);
    }
    expect([p.nid(a), p.load(a)]).toEqual([1, 1]);
    checkInvariants(p.k);
  });
});

/** Direct reclaim of one node until nothing moves. */
function reclaimNode(k: Kernel, nid: number): void {
  k.lru.drainAll();
  k.pm.hooks.inReclaim = true;
  for (let n = 0; n < 8; n++) k.pm.hooks.directReclaim(0, GFP_HIGHUSER_MOVABLE, nid, 1 << nid);
  k.pm.hooks.inReclaim = false;
}
