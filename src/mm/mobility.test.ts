import { describe, expect, it } from 'vitest';
import { __GFP_RECLAIMABLE, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import {
  MIGRATE_CMA,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  ZONE_DMA32,
  ZONE_NORMAL,
} from '../uapi/zone.ts';
import { PG_LRU } from './frameTable.ts';
import { checkFreeLists } from './freeListCheck.ts';
import { rmqueue } from './mobility.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import { NoReclaim, PhysicalMemory } from './physicalMemory.ts';
import { type PlainZone, plainMachine } from './plainMachine.ts';
import { ALLOC_CMA, freeCmaCount, freeCount } from './watermark.ts';

/** Two nodes, so that NORMAL without DMA32 below starts without ALLOC_NOFRAGMENT. */
function machine(...zones: PlainZone[]): PhysicalMemory {
  const other = { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 1024 }] } as const;
  const spec = plainMachine([{ cpus: [0], zones }, other], { sysctl: { min_free_kbytes: 128 } });
  const pm = new PhysicalMemory(spec, { trackContent: false });
  for (const zone of pm.zones) zone.watermark.fill(0);
  return pm;
}

function types(pm: PhysicalMemory, blocks: number): number[] {
  return [...pm.blocks.migratetypeOfBlock.subarray(0, blocks)];
}

/** Fills node 0 with movable LRU pages. */
function fill(pm: PhysicalMemory): number[] {
  const frames: number[] = [];
  for (let f = allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1); f >= 0; ) {
    pm.frames.flags[f] |= PG_LRU;
    frames.push(f);
    f = allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1);
  }
  return frames;
}

function release(pm: PhysicalMemory, from: number, to: number, step = 1): void {
  for (let f = from; f < to; f += step) freePages(pm, f, 0);
}

describe('PM-39: mobility fallback', () => {
  it('the first unmovable page claims the largest free block, with its pageblocks', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 4096 });
    allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1);
    const frame = allocPages(pm, 0, GFP_KERNEL, 0, 1);
    expect(frame).toBe(1024);
    expect(types(pm, 8)).toEqual([1, 1, 0, 0, 1, 1, 1, 1]);
    expect(allocPages(pm, 0, GFP_KERNEL, 0, 1)).toBe(1025);
    checkFreeLists(pm);
  });

  it('a pageblock is claimed when half of it is free or of the same kind', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 1024 });
    fill(pm);
    release(pm, 0, 256);
    expect(allocPages(pm, 0, GFP_KERNEL, 0, 1)).toBe(0);
    expect(types(pm, 2)).toEqual([MIGRATE_UNMOVABLE, MIGRATE_MOVABLE]);
    expect(freeCount(pm, pm.zones[0])).toBe(255);
    checkFreeLists(pm);
  });

  it('otherwise the smallest fitting block is stolen and the pageblock keeps its type', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 1024 });
    fill(pm);
    release(pm, 0, 128);
    release(pm, 512, 516);
    expect(allocPages(pm, 0, GFP_KERNEL, 0, 1)).toBe(512);
    expect(types(pm, 2)).toEqual([MIGRATE_MOVABLE, MIGRATE_MOVABLE]);
    checkFreeLists(pm);
  });

  it('pages that are neither free nor movable count as unmovable ones in a MOVABLE block', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 1024 });
    for (const f of fill(pm)) if (f >= 100 && f < 300) pm.frames.flags[f] = 0;
    release(pm, 0, 56);
    expect(allocPages(pm, 0, GFP_KERNEL, 0, 1)).toBeGreaterThanOrEqual(0);
    // 56 free + 200 unmovable = 256: just enough.
    expect(types(pm, 2)).toEqual([MIGRATE_UNMOVABLE, MIGRATE_MOVABLE]);
    checkFreeLists(pm);
  });

  it('movable requests steal blocks below order 4 and claim larger ones', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 2048 });
    pm.blocks.migratetypeOfBlock.fill(MIGRATE_MOVABLE);
    const kernel: number[] = [];
    for (let f = allocPages(pm, 0, GFP_KERNEL, 0, 1); f >= 0; ) {
      kernel.push(f);
      f = allocPages(pm, 0, GFP_KERNEL, 0, 1);
    }
    expect(types(pm, 4)).toEqual([0, 0, 0, 0]);
    release(pm, 0, 8);
    expect(allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1)).toBe(0);
    expect(types(pm, 4)).toEqual([0, 0, 0, 0]);
    // Half of block 2 is free, in single pages: still no claim.
    release(pm, 1024, 1536, 2);
    for (let i = 0; i < 12; i++) allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1);
    expect(types(pm, 4)).toEqual([0, 0, 0, 0]);
    release(pm, 512, 1024);
    while (types(pm, 4)[1] === 0) allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1);
    expect(types(pm, 4)).toEqual([0, 1, 0, 0]);
    checkFreeLists(pm);
  });

  it('prefers RECLAIMABLE over MOVABLE for unmovable, UNMOVABLE for reclaimable requests', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 3072 });
    const reclaimable = allocPages(pm, 10, GFP_KERNEL | __GFP_RECLAIMABLE, 0, 1);
    const unmovable = allocPages(pm, 10, GFP_KERNEL, 0, 1);
    expect([reclaimable, unmovable]).toEqual([0, 1024]);
    freePages(pm, reclaimable, 10);
    expect(types(pm, 6)).toEqual([2, 2, 0, 0, 1, 1]);
    expect(allocPages(pm, 0, GFP_KERNEL, 0, 1)).toBe(0);
    freePages(pm, unmovable, 10);
    expect(types(pm, 6)).toEqual([0, 0, 0, 0, 1, 1]);
    expect(allocPages(pm, 0, GFP_KERNEL | __GFP_RECLAIMABLE, 0, 1)).toBe(1024);
    expect(types(pm, 6)).toEqual([0, 0, MIGRATE_RECLAIMABLE, MIGRATE_RECLAIMABLE, 1, 1]);
    checkFreeLists(pm);
  });

  it('ALLOC_NOFRAGMENT: with DMA32 below, another zone is tried before blocks are mixed', () => {
    const normal = { zone: ZONE_NORMAL, pages: 1024 } as const;
    const pm = machine({ zone: ZONE_DMA32, pages: 1024 }, normal);
    // NORMAL (frames from 32768 on) is full but for a few pages of a movable block.
    const held = Array.from({ length: 1024 }, () => allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 1));
    expect(held.every((f) => f >= 32768)).toBe(true);
    release(pm, 32768, 32768 + 300);
    expect(pm.zoneOf(allocPages(pm, 0, GFP_KERNEL, 0, -1)).type).toBe(ZONE_DMA32);
    // Four pages of DMA32 are reserved (PM-35). Then, before leaving the node, the block is mixed.
    for (let i = 1; i < 1020; i++) allocPages(pm, 0, GFP_KERNEL, 0, -1);
    expect(freeCount(pm, pm.zones[0])).toBe(4);
    expect(pm.zoneOf(allocPages(pm, 0, GFP_KERNEL, 0, -1))).toBe(pm.zones[1]);
    checkFreeLists(pm);
  });
});

describe('watermark boost (PM-37)', () => {
  it('each claim of a part of a pageblock raises the marks and wakes kswapd', () => {
    const pm = machine({ zone: ZONE_NORMAL, pages: 4096 });
    const woken: number[][] = [];
    pm.hooks = new (class extends NoReclaim {
      override wakeKswapd(...args: number[]): void {
        woken.push(args);
      }
    })();
    fill(pm);
    const [zone] = pm.zones;
    zone.watermark.set([0, 0, 600, 600]);
    woken.length = 0;
    release(pm, 0, 300);
    expect(rmqueue(pm, zone, 0, MIGRATE_UNMOVABLE, 1 << 11)).toBeGreaterThanOrEqual(0);
    expect(zone.watermarkBoost).toBe(512);
    expect(zone.boostWakesKswapd).toBe(true);
    zone.watermarkBoost = 0;
    allocPages(pm, 0, GFP_KERNEL, 0, 1);
    expect(woken).toEqual([[0, 0, ZONE_NORMAL]]);
    expect(zone.boostWakesKswapd).toBe(false);
  });

  it('is at most 150 % of the high mark, and none with factor 0 or in a small zone', () => {
    const boostOf = (pages: number, factor: number, times: number): number => {
      const pm = machine({ zone: ZONE_NORMAL, pages });
      pm.watermarkBoostFactor = factor;
      fill(pm);
      pm.zones[0].watermark.set([0, 0, 600, 600]);
      for (let i = 0; i < times; i++) {
        release(pm, i * 512, i * 512 + 300);
        rmqueue(pm, pm.zones[0], 8, MIGRATE_UNMOVABLE, 0);
      }
      return pm.zones[0].watermarkBoost;
    };
    expect(boostOf(4096, 15000, 3)).toBe(900);
    expect(boostOf(4096, 0, 3)).toBe(0);
    expect(boostOf(1024, 15000, 1)).toBe(0);
  });

  it('has the factor of the machine, 15000 where that names none', () => {
    const factorOf = (sysctl: object) => {
      const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
      const spec = plainMachine([{ cpus: [0], zones }], { sysctl });
      return new PhysicalMemory(spec, { trackContent: false }).watermarkBoostFactor;
    };
    expect(factorOf({})).toBe(15000);
    expect(factorOf({ watermark_boost_factor: 0 })).toBe(0);
  });
});

describe('CMA', () => {
  const zone = { zone: ZONE_NORMAL, pages: 4096, cma: [{ at: 1024, pages: 2048 }] } as const;

  it('is used for movable pages while it is more than half of what is free', () => {
    const pm = machine(zone);
    const [normal] = pm.zones;
    // 2048 of 4096 free pages: not more than half, so an ordinary page.
    expect(pm.blocks.migratetypeOf(rmqueue(pm, normal, 0, MIGRATE_MOVABLE, ALLOC_CMA))).toBe(1);
    expect(pm.blocks.migratetypeOf(rmqueue(pm, normal, 0, MIGRATE_MOVABLE, ALLOC_CMA))).toBe(
      MIGRATE_CMA,
    );
    expect(freeCmaCount(pm, normal)).toBe(2047);
    checkFreeLists(pm);
  });

  it('is never used by unmovable pages, nor by movable ones without ALLOC_CMA', () => {
    const pm = machine(zone);
    let taken = 0;
    while (rmqueue(pm, pm.zones[0], 0, MIGRATE_MOVABLE, 0) >= 0) taken++;
    expect(taken).toBe(2048);
    expect(rmqueue(pm, pm.zones[0], 0, MIGRATE_UNMOVABLE, 0)).toBe(-1);
    expect(freeCmaCount(pm, pm.zones[0])).toBe(2048);
    expect(types(pm, 8)).toEqual([1, 1, 4, 4, 4, 4, 1, 1]);
  });
});
