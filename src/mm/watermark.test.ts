import { describe, expect, it } from 'vitest';
import { GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOWAIT } from '../uapi/gfp.ts';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { allocPages } from './pageAlloc.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { type PlainNode, plainMachine } from './plainMachine.ts';
import {
  ALLOC_CMA,
  ALLOC_MIN_RESERVE,
  ALLOC_NON_BLOCK,
  ALLOC_OOM,
  freeCount,
  setWatermarkSysctls,
  wmarkPages,
  zoneWatermarkOk,
} from './watermark.ts';
import { WMARK_LOW, WMARK_MIN, type Zone } from './zone.ts';

function boot(
  nodes: readonly PlainNode[],
  options: Parameters<typeof plainMachine>[1] = {},
  thpRecommendedMin = false,
): PhysicalMemory {
  return new PhysicalMemory(plainMachine(nodes, options), {
    trackContent: false,
    thpRecommendedMin,
  });
}

function marks(zone: Zone): number[] {
  return [...zone.watermark];
}

/** Managed pages of the observed machines, as "Node 0, zone DMA ..." of their zoneinfo has them. */
const FOUR_NODES: readonly PlainNode[] = [
  {
    cpus: [0, 1],
    zones: [
      { zone: ZONE_DMA, pages: 3840 },
      { zone: ZONE_DMA32, pages: 238856 },
      { zone: ZONE_NORMAL, pages: 253844 },
      { zone: ZONE_MOVABLE, pages: 131072 },
    ],
  },
  { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 193532 }] },
  { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 63795 }] },
  { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 131072 }] },
];
const THREE_NODES_CXL: readonly PlainNode[] = [
  {
    cpus: [0, 1],
    zones: [
      { zone: ZONE_DMA, pages: 3840 },
      { zone: ZONE_DMA32, pages: 315584 },
    ],
  },
  { cpus: [], zones: [{ zone: ZONE_DMA32, pages: 129020 }] },
  { cpus: [], zones: [{ zone: ZONE_DMA32, pages: 47376 }] },
  { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 65536 }] },
];

describe('watermarks', () => {
  it('PM-110: NORMAL and MOVABLE of 512 MiB each', () => {
    const zones = [
      { zone: ZONE_NORMAL, pages: 131072 },
      { zone: ZONE_MOVABLE, pages: 131072 },
    ] as const;
    const pm = boot([{ cpus: [0], zones }]);
    expect(pm.minFreeKbytes).toBe(2896);
    expect(marks(pm.zones[0])).toEqual([724, 905, 1086, 1267]);
    expect(marks(pm.zones[1])).toEqual([128, 309, 490, 671]);
    expect(pm.zones[0].lowmemReserve[ZONE_MOVABLE]).toBe(4096);
  });

  it('PM-111: a live machine with min_free_kbytes 67584', () => {
    const zones = [
      { zone: ZONE_DMA, pages: 3840 },
      { zone: ZONE_DMA32, pages: 772915 },
      { zone: ZONE_NORMAL, pages: 2785280 },
    ] as const;
    const pm = boot([{ cpus: [0], zones }], { sysctl: { min_free_kbytes: 67584 } });
    expect(pm.zones.map(marks)).toEqual([
      [18, 22, 26, 30],
      [3666, 4582, 5498, 6414],
      [13211, 16513, 19815, 23117],
    ]);
    expect([...pm.zones[0].lowmemReserve].slice(0, 4)).toEqual([0, 3019, 13899, 13899]);
    expect([...pm.zones[1].lowmemReserve].slice(0, 4)).toEqual([0, 0, 10880, 10880]);
  });

  it('PM-112: khugepaged raises min_free_kbytes; zoneinfo of the four-node machine follows', () => {
    const pm = boot(FOUR_NODES, {}, true);
    expect(pm.minFreeKbytes).toBe(112640);
    expect(pm.zones.map(marks)).toEqual([
      [143, 178, 213, 248],
      [8922, 11152, 13382, 15612],
      [9482, 11852, 14222, 16592],
      [128, 1352, 2576, 3800],
      [7229, 9036, 10843, 12650],
      [2383, 2978, 3573, 4168],
      [128, 1352, 2576, 3800],
    ]);
    // "protection:" of zoneinfo.
    expect([...pm.zones[0].lowmemReserve]).toEqual([0, 933, 1924, 2436, 2436]);
    expect([...pm.zones[1].lowmemReserve]).toEqual([0, 0, 991, 1503, 1503]);
    expect([...pm.zones[2].lowmemReserve]).toEqual([0, 0, 0, 4096, 4096]);
    expect([...pm.zones[3].lowmemReserve]).toEqual([0, 0, 0, 0, 0]);
  });

  it('PM-112: and of the machine with an emulated CXL device', () => {
    const pm = boot(THREE_NODES_CXL, {}, true);
    expect(pm.minFreeKbytes).toBe(90112);
    expect(pm.zones.map(marks)).toEqual([
      [174, 217, 260, 303],
      [14338, 17922, 21506, 25090],
      [5862, 7327, 8792, 10257],
      [2152, 2690, 3228, 3766],
      [64, 808, 1552, 2296],
    ]);
    expect([...pm.zones[0].lowmemReserve]).toEqual([0, 1232, 1232, 1232, 1232]);
  });

  it('PM-36: min_free_kbytes is computed within bounds', () => {
    const of = (pages: number) =>
      boot([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages }] }]).minFreeKbytes;
    expect(of(64)).toBe(128);
    expect(of(2 ** 20)).toBe(8192);
  });

  it('takes fixed marks from the machine until a sysctl is written', () => {
    const spec = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 131072 }] }]);
    const watermark = { min: 10, low: 20, high: 35 };
    const [node] = spec.nodes;
    const nodes = [{ ...node, zones: [{ ...node.zones[0], watermark }] }];
    const pm = new PhysicalMemory({ ...spec, nodes }, { trackContent: false });
    expect(marks(pm.zones[0])).toEqual([10, 20, 35, 50]);
    setWatermarkSysctls(pm, 4000, 100);
    expect(marks(pm.zones[0])).toEqual([1000, 2310, 3620, 4930]);
    setWatermarkSysctls(pm, 0, 10);
    expect(pm.minFreeKbytes).toBe(2896);
  });
});

describe('PM-34: the watermark test', () => {
  const zones = [
    { zone: ZONE_NORMAL, pages: 8192, cma: [{ at: 4096, pages: 1024 }] },
    { zone: ZONE_MOVABLE, pages: 3200 },
  ] as const;
  const pm = boot([{ cpus: [0], zones }]);
  const [zone] = pm.zones;
  const ok = (order: number, mark: number, flags: number, highest: 2 | 3 = ZONE_NORMAL): boolean =>
    zoneWatermarkOk(pm, zone, order, mark, highest, flags);

  it('leaves out free CMA pages unless they may be used', () => {
    expect(ok(0, 8191, ALLOC_CMA)).toBe(true);
    expect(ok(0, 8192, ALLOC_CMA)).toBe(false);
    expect(ok(0, 7167, 0)).toBe(true);
    expect(ok(0, 7168, 0)).toBe(false);
  });

  it('leaves out the rest of the requested block', () => {
    expect(ok(9, 8192 - 512, ALLOC_CMA)).toBe(true);
    expect(ok(9, 8192 - 511, ALLOC_CMA)).toBe(false);
  });

  it('adds the lowmem reserve for requests that could use a higher zone (PM-35)', () => {
    expect(zone.lowmemReserve[ZONE_MOVABLE]).toBe(100);
    expect(ok(0, 8091, ALLOC_CMA, ZONE_MOVABLE)).toBe(true);
    expect(ok(0, 8092, ALLOC_CMA, ZONE_MOVABLE)).toBe(false);
  });

  it('lets urgent requests go deeper', () => {
    const most = (flags: number): number => {
      let mark = 0;
      while (ok(0, mark + 1, flags | ALLOC_CMA)) mark++;
      return mark;
    };
    expect(most(0)).toBe(8191);
    // Half of the mark, rounded up, must stay below 8192.
    expect(most(ALLOC_MIN_RESERVE)).toBe(16382);
    // Of 10921, the half of 21842, a quarter (2730) is given up as well: 8191.
    expect(most(ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK)).toBe(21842);
    expect(most(ALLOC_NON_BLOCK)).toBe(8191);
    expect(most(ALLOC_OOM)).toBe(16382);
  });

  it('needs a free block of the order', () => {
    const small = boot([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 1023 }] }]);
    expect(zoneWatermarkOk(small, small.zones[0], 9, 0, ZONE_NORMAL, 0)).toBe(true);
    expect(zoneWatermarkOk(small, small.zones[0], 10, -1000, ZONE_NORMAL, 0)).toBe(false);
  });
});

describe('PM-110: how far zones are filled', () => {
  it('a movable request enters NORMAL only above low mark plus reserve', () => {
    const zones = [
      { zone: ZONE_NORMAL, pages: 131072 },
      { zone: ZONE_MOVABLE, pages: 131072 },
    ] as const;
    const pm = boot([{ cpus: [0], zones }]);
    const [normal, movable] = pm.zones;
    while (pm.zoneOf(allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1)) === movable);
    // One page was taken from NORMAL just now; MOVABLE is at its low mark.
    expect(freeCount(pm, movable)).toBe(wmarkPages(movable, WMARK_LOW));
    let taken = 1;
    while (allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1) >= 0) taken++;
    expect(taken).toBeGreaterThan(100_000);
    // Slow path (no reclaim): down to min, reserve kept.
    expect(freeCount(pm, normal)).toBe(wmarkPages(normal, WMARK_MIN) + 4096);
    expect(freeCount(pm, movable)).toBe(wmarkPages(movable, WMARK_MIN));
    while (allocPages(pm, 0, GFP_KERNEL, 0, -1) >= 0);
    expect(freeCount(pm, normal)).toBe(wmarkPages(normal, WMARK_MIN));
  });

  it('GFP_NOWAIT does not reach below the min mark, __GFP_HIGH would', () => {
    const pm = boot([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 16384 }] }]);
    const [zone] = pm.zones;
    while (allocPages(pm, 0, GFP_NOWAIT, 0, -1) >= 0);
    expect(freeCount(pm, zone)).toBe(wmarkPages(zone, WMARK_MIN));
  });
});
