/** HS-70..HS-86: DAMON's regions, sampling, schemes, quotas, filters, on a small machine. */
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../base/prng.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import {
  type DamonAttrs,
  type DamonContext,
  type DamonRegion,
  type DamosFilter,
  type DamosScheme,
  NO_INTERVALS_GOAL,
  newDamonContext,
  newDamonRegion,
  newDamosFilter,
  newDamosScheme,
  U64_MAX,
} from './damonContext.ts';
import { mergeRegions, setRegions, splitRegions, splitToMinimum } from './damonRegions.ts';
import { threeRegions } from './damonSampling.ts';
import { hotScore, nextInput } from './damos.ts';
import { pinUserPages } from './gup.ts';
import { checkInvariants } from './invariants.ts';
import { runDamon, startDamon, stopDamon } from './kdamond.ts';
import { applyLockFlags, populateRange } from './mlockRange.ts';
import { PTE_KIND_SWAP, pteIsKind } from './pageTable.ts';
import { bootNodes, fillNode, TestProgram, vmstat } from './testProgram.ts';
import { VM_LOCKED } from './vma.ts';

const MS = 1_000_000;
const MIB = 1048576;
const ATTRS: DamonAttrs = {
  sampleUs: 5000,
  aggrUs: 100000,
  goal: NO_INTERVALS_GOAL,
  updateUs: 60000000,
  minNrRegions: 10,
  maxNrRegions: 1000,
};

function boot(): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const nodes = [
    { cpus: [0, 1], zones },
    { cpus: [], zones },
    { cpus: [], zones },
  ];
  const k = bootNodes(nodes, { swapPages: 2048 });
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

/** The physical range of all nodes. */
function everything(p: TestProgram): DamonRegion {
  const zones = p.k.pm.zones.filter((zone) => zone.presentPages > 0);
  const start = Math.min(...zones.map((zone) => zone.startPfn));
  const end = Math.max(...zones.map((zone) => zone.endPfn));
  return newDamonRegion(start * PAGE_SIZE, end * PAGE_SIZE);
}

/** A scheme that takes every region. */
function scheme(more: Partial<DamosScheme>): DamosScheme {
  const limits = { maxSize: U64_MAX, maxNrAccesses: 4294967295, maxAge: 4294967295 };
  return { ...newDamosScheme(), ...limits, ...more };
}

function filter(more: Partial<DamosFilter>): DamosFilter {
  return { ...newDamosFilter(), matching: true, ...more };
}

function paddr(p: TestProgram, schemes: DamosScheme[], attrs: Partial<DamonAttrs> = {}) {
  const ctx = newDamonContext('paddr', { ...ATTRS, ...attrs });
  ctx.targets = [{ pid: -1, regions: [everything(p)] }];
  ctx.schemes = schemes;
  expect(startDamon(p.k, ctx)).toBe(0);
  return ctx;
}

/** Lets `ms` go by; `touch` is called once per millisecond. */
function run(p: TestProgram, ms: number, touch: () => void = () => {}): void {
  for (let n = 0; n < ms; n++) {
    touch();
    p.k.nowNs += MS;
    runDamon(p.k);
  }
}

function regions(ctx: DamonContext): DamonRegion[] {
  return ctx.targets.flatMap((target) => target.regions);
}

function region(start: number, end: number, more: Partial<DamonRegion> = {}): DamonRegion {
  return { ...newDamonRegion(start * PAGE_SIZE, end * PAGE_SIZE), ...more };
}

describe('attributes (HS-70, S-HS-18)', () => {
  it('refuses fewer than 3 regions, min above max, and sampling above aggregation', () => {
    const p = boot();
    for (const wrong of [
      { minNrRegions: 2 },
      { minNrRegions: 20, maxNrRegions: 10 },
      { sampleUs: 200000 },
    ]) {
      const ctx = newDamonContext('paddr', { ...ATTRS, ...wrong });
      ctx.targets = [{ pid: -1, regions: [everything(p)] }];
      expect(startDamon(p.k, ctx)).toBe(-EINVAL);
    }
  });

  it('wants processes for virtual memory, and runs a context once', () => {
    const p = boot();
    const ctx = newDamonContext('vaddr', ATTRS);
    ctx.targets = [{ pid: 4711, regions: [] }];
    expect(startDamon(p.k, ctx)).toBe(-EINVAL);
    const running = paddr(p, []);
    expect(startDamon(p.k, running)).toBe(-EBUSY);
    stopDamon(p.k, running);
    expect(p.k.damon.contexts).toEqual([]);
  });
});

describe('regions', () => {
  function context(list: DamonRegion[], more: Partial<DamonContext> = {}): DamonContext {
    const ctx = { ...newDamonContext('paddr', ATTRS), ...more };
    ctx.targets = [{ pid: -1, regions: list }];
    return ctx;
  }

  it('begin as an even division into min_nr_regions (HS-71)', () => {
    const ctx = context([region(0, 1003)]);
    splitToMinimum(ctx);
    expect(regions(ctx).map((r) => (r.end - r.start) / PAGE_SIZE)).toEqual([
      ...new Array(9).fill(100),
      103,
    ]);
  });

  it('merge with weighted averages when alike (HS-77, S-HS-19)', () => {
    const list = [
      region(0, 1, { nrAccesses: 10, lastNrAccesses: 10, age: 4 }),
      region(1, 4, { nrAccesses: 11, lastNrAccesses: 11, age: 8 }),
      region(4, 5, { nrAccesses: 14, lastNrAccesses: 14 }),
    ];
    const ctx = context(list, { sizeLimit: 100 * PAGE_SIZE });
    mergeRegions(ctx, 20);
    const [first, second] = regions(ctx);
    expect([first.end / PAGE_SIZE, first.nrAccesses, first.age]).toEqual([4, 10, 8]);
    expect([second.nrAccesses, second.age]).toEqual([14, 1]);
  });

  it('do not merge beyond the size limit, or over a hole', () => {
    const list = [region(0, 4), region(4, 8), region(9, 10)];
    const ctx = context(list, { sizeLimit: 7 * PAGE_SIZE });
    mergeRegions(ctx, 0);
    expect(regions(ctx).length).toBe(3);
  });

  it('start their age anew between never and once accessed (HS-76, S-HS-20)', () => {
    const list = [
      region(0, 1, { age: 7, nrAccesses: 1, lastNrAccesses: 0 }),
      region(2, 3, { age: 7, nrAccesses: 3, lastNrAccesses: 2 }),
    ];
    const ctx = context(list);
    mergeRegions(ctx, 20);
    expect(regions(ctx).map((r) => r.age)).toEqual([0, 8]);
  });

  it('merge harder while there are too many', () => {
    const list = Array.from({ length: 20 }, (_, i) => region(i, i + 1, { nrAccesses: i }));
    const ctx = context(list, {
      sizeLimit: 100 * PAGE_SIZE,
      attrs: { ...ATTRS, maxNrRegions: 5, minNrRegions: 3 },
    });
    mergeRegions(ctx, 19);
    expect(regions(ctx).length).toBeLessThanOrEqual(5);
  });

  it('split in two, in three if that changed nothing, not above half the maximum (S-HS-21)', () => {
    const random = new RandomStream(1, 'x');
    const two = context([region(0, 1000)]);
    splitRegions(two, random);
    expect(regions(two).length).toBe(2);
    const three = context([region(0, 1000)], { lastNrRegions: 1 });
    splitRegions(three, random);
    expect(regions(three).length).toBe(3);
    const full = context(Array.from({ length: 600 }, (_, i) => region(10 * i, 10 * i + 10)));
    splitRegions(full, random);
    expect(regions(full).length).toBe(600);
  });

  it('follow changed ranges and keep what is known', () => {
    const target = { pid: 1, regions: [region(10, 20, { age: 5 }), region(30, 40, { age: 6 })] };
    setRegions(target, [{ start: 5 * PAGE_SIZE, end: 50 * PAGE_SIZE }]);
    expect(target.regions.map((r) => [r.start / PAGE_SIZE, r.end / PAGE_SIZE, r.age])).toEqual([
      [5, 20, 5],
      [20, 30, 0],
      [30, 50, 6],
    ]);
  });

  it('of a process leave out its two largest gaps (HS-72)', () => {
    const p = boot();
    for (const at of [1000, 1100, 9000, 50000]) p.map(10, { addr: at });
    const pages = threeRegions(p.task.mm!)!.map((r) => [r.start / PAGE_SIZE, r.end / PAGE_SIZE]);
    expect(pages).toEqual([
      [1000, 1110],
      [9000, 9010],
      [50000, 50010],
    ]);
  });
});

describe('sampling', () => {
  it('of physical memory finds what is accessed and what is not (HS-73)', () => {
    const p = boot();
    const hot = p.mapWritten(1024);
    const cold = p.mapWritten(1024);
    p.k.lru.drainAll();
    const ctx = paddr(p, [], { minNrRegions: 100 });
    run(p, 400, () => {
      for (let n = 0; n < 1024; n += 1) p.load(hot + n);
    });
    const rate = (vpn: number) => {
      const address = p.k.frames.pfnOf(p.frame(vpn)) * PAGE_SIZE;
      return regions(ctx).find((r) => r.start <= address && address < r.end)!.lastNrAccesses;
    };
    expect(rate(hot + 500)).toBeGreaterThan(15);
    expect(rate(cold + 500)).toBeLessThan(3);
    expect(ctx.work.accessChecks).toBeGreaterThan(80 * 100);
    checkInvariants(p.k);
  });

  it('of virtual memory looks at the entries of the process (HS-74)', () => {
    const p = boot();
    const hot = p.mapWritten(512, { addr: 0x10000 });
    p.mapWritten(512, { addr: 0x20000 });
    p.mapWritten(512, { addr: 0x40000 });
    const ctx = newDamonContext('vaddr', ATTRS);
    ctx.targets = [{ pid: p.task.pid, regions: [] }];
    expect(startDamon(p.k, ctx)).toBe(0);
    run(p, 200, () => {
      for (let n = 0; n < 512; n++) p.load(hot + n);
    });
    const at = (vpn: number) => regions(ctx).find((r) => r.end > vpn * PAGE_SIZE)!.lastNrAccesses;
    expect(at(hot + 100)).toBeGreaterThan(15);
    expect(at(0x40000 + 100)).toBe(0);
  });

  it('ends when the process is gone', () => {
    const p = boot();
    const child = p.fork();
    child.mapWritten(4, { addr: 0x10000 });
    child.map(4, { addr: 0x20000 });
    child.map(4, { addr: 0x40000 });
    const ctx = newDamonContext('vaddr', ATTRS);
    ctx.targets = [{ pid: child.task.pid, regions: [] }];
    startDamon(p.k, ctx);
    p.k.tasks.delete(child.task.pid);
    run(p, 10);
    expect(ctx.isRunning).toBe(false);
  });
});

describe('schemes', () => {
  const COLD = { maxNrAccesses: 0 };

  it('migrate_cold moves mlocked pages, leaves pinned ones, and begins ages anew (HS-85)', () => {
    const p = boot();
    const a = p.mapWritten(48);
    applyLockFlags(p.k, p.task.mm!, a, a + 16, VM_LOCKED);
    populateRange(p.k, p.task, a, a + 16);
    pinUserPages(p.k, p.task, a + 16, 16, FOLL_LONGTERM | FOLL_WRITE, []);
    p.k.lru.drainAll();
    paddr(p, [scheme({ ...COLD, action: 'migrate_cold', targetNid: 2 })]);
    run(p, 600);
    const nids = [0, 16, 32].map((n) => p.nid(a + n));
    expect([nids, p.load(a + 5), p.load(a + 40)]).toEqual([[2, 0, 2], 6, 41]);
    checkInvariants(p.k);
  });

  it('migrate without a usable node moves nothing (S-HS-22)', () => {
    const p = boot();
    const a = p.mapWritten(16);
    p.k.lru.drainAll();
    const one = scheme({ ...COLD, action: 'migrate_cold', targetNid: -1 });
    paddr(p, [one]);
    run(p, 300);
    expect([p.nid(a), one.stat.szApplied, one.stat.nrTried > 0]).toEqual([0, 0, true]);
  });

  it('migrate to a full node may end on another one (S-HS-23)', () => {
    const p = boot();
    const a = p.mapWritten(16);
    p.k.lru.drainAll();
    fillNode(p.k, 1, 0);
    paddr(p, [scheme({ ...COLD, action: 'migrate_cold', targetNid: 1 })]);
    run(p, 300);
    expect(p.nid(a)).not.toBe(1);
    expect(p.load(a)).toBe(1);
  });

  it('pageout takes cold pages, neither mlocked nor pinned ones', () => {
    const p = boot();
    const a = p.mapWritten(48);
    applyLockFlags(p.k, p.task.mm!, a, a + 16, VM_LOCKED);
    populateRange(p.k, p.task, a, a + 16);
    pinUserPages(p.k, p.task, a + 16, 16, FOLL_LONGTERM | FOLL_WRITE, []);
    p.k.lru.drainAll();
    const one = scheme({ ...COLD, action: 'pageout' });
    paddr(p, [one]);
    run(p, 800);
    expect([p.frame(a) >= 0, p.frame(a + 16) >= 0]).toEqual([true, true]);
    expect(pteIsKind(p.entry(a + 40).word, PTE_KIND_SWAP)).toBe(true);
    expect(p.load(a + 40)).toBe(41);
    expect(one.stat.szApplied).toBeGreaterThanOrEqual(16 * PAGE_SIZE);
    checkInvariants(p.k);
  });

  it('stat counts as tried, never as applied (HS-86)', () => {
    const p = boot();
    const one = scheme({});
    paddr(p, [one]);
    run(p, 250);
    expect([one.stat.nrTried > 0, one.stat.nrApplied]).toEqual([true, 0]);
    expect(vmstat(p.k, 'pgmigrate_success')).toBe(0);
  });

  it('apply nothing until their interval is over, and only what fits the pattern (HS-79)', () => {
    const p = boot();
    const early = scheme({ applyIntervalUs: 400000 });
    const old = scheme({ minAge: 1000 });
    paddr(p, [early, old]);
    run(p, 350);
    expect([early.stat.nrTried, old.stat.nrTried]).toEqual([0, 0]);
    run(p, 100);
    expect(early.stat.nrTried).toBeGreaterThan(0);
  });

  it('weighted destinations spread the pages of a process', () => {
    const p = boot();
    const a = p.mapWritten(64, { addr: 0x10000 });
    p.map(4, { addr: 0x20000 });
    p.map(4, { addr: 0x40000 });
    p.k.lru.drainAll();
    const ctx = newDamonContext('vaddr', ATTRS);
    ctx.targets = [{ pid: p.task.pid, regions: [] }];
    const dests = [
      { id: 1, weight: 3 },
      { id: 2, weight: 1 },
    ];
    ctx.schemes = [scheme({ action: 'migrate_hot', dests })];
    startDamon(p.k, ctx);
    run(p, 300);
    const nids = Array.from({ length: 64 }, (_, n) => p.nid(a + n));
    expect(nids.filter((nid) => nid === 1).length).toBe(48);
    expect(nids.filter((nid) => nid === 2).length).toBe(16);
    checkInvariants(p.k);
  });
});

describe('quotas (HS-80..HS-82)', () => {
  it('charge no more bytes than allowed in an interval, and go on where they stopped', () => {
    const p = boot();
    p.mapWritten(1024);
    p.k.lru.drainAll();
    const one = scheme({ action: 'migrate_cold', targetNid: 1, maxNrAccesses: 0 });
    one.quota.bytes = 2 * MIB;
    one.quota.resetIntervalMs = 1000;
    paddr(p, [one]);
    run(p, 900);
    expect(one.stat.szTried).toBe(2 * MIB);
    run(p, 1000);
    expect(one.stat.szTried).toBeLessThanOrEqual(4 * MIB);
    expect(one.stat.szTried).toBeGreaterThan(2 * MIB);
    expect(one.stat.qtExceeds).toBeGreaterThan(0);
  });

  it('feed back from goals: more below, less above, the floor at twice the goal (HS-81)', () => {
    expect(nextInput(1_000_000, 5000)).toBe(1_500_000);
    expect(nextInput(1_000_000, 15000)).toBe(500_000);
    expect(nextInput(1_000_000, 20000)).toBe(10000);
  });

  it('score by frequency and age (HS-82)', () => {
    const ctx = newDamonContext('paddr', ATTRS);
    const quota = { ...newDamosScheme().quota, weightNrAccesses: 1, weightAge: 1 };
    const of = (nrAccesses: number, age: number) =>
      hotScore(ctx, region(0, 1, { nrAccessesBp: nrAccesses * 10000, age }), quota);
    expect(of(20, 0)).toBe(74); // (100 + 50) / 2 = 75, of 99
    expect(of(0, 0)).toBe(24);
    expect(of(0, 1000)).toBeLessThan(of(0, 10));
    expect(of(20, 1000)).toBeGreaterThan(of(20, 10));
  });
});

describe('watermarks (HS-83)', () => {
  it('keep a scheme waiting while there is more memory than `high`', () => {
    const p = boot();
    const one = scheme({});
    Object.assign(one.watermarks, {
      metric: 'free_mem_rate',
      intervalUs: 100000,
      high: 500,
      mid: 400,
      low: 10,
      isActive: false,
    });
    paddr(p, [one]);
    run(p, 500);
    expect(one.stat.nrTried).toBe(0);
    fillNode(p.k, 0, 0);
    fillNode(p.k, 1, 0);
    run(p, 500);
    expect(one.stat.nrTried).toBeGreaterThan(0);
  });
});

describe('filters (HS-84)', () => {
  function moved(p: TestProgram, opsFilters: DamosFilter[], coreFilters: DamosFilter[] = []) {
    const one = scheme({ action: 'migrate_hot', targetNid: 1, opsFilters, coreFilters });
    paddr(p, [one]);
    run(p, 300);
    return one;
  }

  it('allow anon: pages of files are rejected by default (S-HS-24)', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const file = p.k.newFile('f', 'ext4', 4);
    const b = p.map(4, { file, shared: true });
    p.load(b);
    p.k.lru.drainAll();
    moved(p, [filter({ type: 'anon', allow: true })]);
    expect([p.nid(a), p.nid(b)]).toEqual([1, 0]);
  });

  it('reject anon: everything else is allowed', () => {
    const p = boot();
    const a = p.mapWritten(4);
    const file = p.k.newFile('f', 'ext4', 4);
    const b = p.map(4, { file, shared: true });
    p.load(b);
    p.k.lru.drainAll();
    moved(p, [filter({ type: 'anon', allow: false })]);
    expect([p.nid(a), p.nid(b)]).toEqual([0, 1]);
  });

  it('addr cuts regions at its bounds', () => {
    const p = boot();
    const a = p.mapWritten(8);
    p.k.lru.drainAll();
    const addrStart = p.k.frames.pfnOf(p.frame(a + 2)) * PAGE_SIZE;
    const addrEnd = addrStart + PAGE_SIZE;
    moved(p, [], [filter({ type: 'addr', allow: true, addrStart, addrEnd })]);
    expect([p.nid(a), p.nid(a + 2), p.nid(a + 4)]).toEqual([0, 1, 0]);
  });
});
