import { describe, expect, it } from 'vitest';
import {
  __GFP_COMP,
  __GFP_DMA,
  __GFP_DMA32,
  __GFP_HIGHMEM,
  __GFP_MOVABLE,
  __GFP_RECLAIMABLE,
  __GFP_THISNODE,
  GFP_HIGHUSER,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_USER,
} from '../uapi/gfp.ts';
import {
  NR_VM_NUMA_ITEMS,
  NUMA_FOREIGN,
  NUMA_HIT,
  NUMA_LOCAL,
  NUMA_MISS,
  NUMA_OTHER,
  vmEvent,
} from '../uapi/vmstat.ts';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { PG_HEAD, PG_HWPOISON, PG_TAIL, PGTY_SLAB } from './frameTable.ts';
import { checkFreeLists } from './freeListCheck.ts';
import { allocPages, freePages, gfpMigratetype, gfpZone } from './pageAlloc.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';
import { freeCount } from './watermark.ts';

/** Node 0: NORMAL 16 MiB and MOVABLE 8 MiB; node 1: NORMAL 16 MiB; node 2: MOVABLE 8 MiB. */
function machine(): PhysicalMemory {
  const normal = { zone: ZONE_NORMAL, pages: 4096 } as const;
  const movable = { zone: ZONE_MOVABLE, pages: 2048 } as const;
  const spec = plainMachine(
    [
      { cpus: [0], zones: [normal, movable] },
      { cpus: [], zones: [normal] },
      { cpus: [], zones: [movable] },
    ],
    { sysctl: { min_free_kbytes: 256 } },
  );
  return new PhysicalMemory(spec, { trackContent: false });
}

function place(pm: PhysicalMemory, frame: number): string {
  return `${pm.nidOf(frame)}/${pm.zoneOf(frame).name}`;
}

/** Zones that single pages of a request go to, in order, until it fails. */
function course(pm: PhysicalMemory, gfp: number, nid: number, nodemask = -1): string[] {
  const places: string[] = [];
  for (;;) {
    const frame = allocPages(pm, 0, gfp, nid, nodemask);
    if (frame < 0) return places;
    const here = place(pm, frame);
    if (places[places.length - 1] !== here) places.push(here);
  }
}

describe('PM-30: zone and mobility of a request', () => {
  it.each([
    ['GFP_KERNEL', GFP_KERNEL, ZONE_NORMAL, 0],
    ['GFP_USER', GFP_USER, ZONE_NORMAL, 0],
    ['GFP_HIGHUSER', GFP_HIGHUSER, ZONE_NORMAL, 0],
    ['GFP_HIGHUSER_MOVABLE', GFP_HIGHUSER_MOVABLE, ZONE_MOVABLE, 1],
    ['movable without highmem', GFP_KERNEL | __GFP_MOVABLE, ZONE_NORMAL, 1],
    ['reclaimable slab', GFP_KERNEL | __GFP_RECLAIMABLE, ZONE_NORMAL, 2],
    ['__GFP_DMA', __GFP_DMA, ZONE_DMA, 0],
    ['__GFP_DMA32', __GFP_DMA32, ZONE_DMA32, 0],
    ['__GFP_HIGHMEM alone', __GFP_HIGHMEM, ZONE_NORMAL, 0],
  ])('%s', (_name, gfp, zone, migratetype) => {
    expect(gfpZone(gfp)).toBe(zone);
    expect(gfpMigratetype(gfp)).toBe(migratetype);
  });
});

describe('PM-32: where pages come from', () => {
  it('user pages: the highest zone first, then other nodes; at last every zone down to min', () => {
    // The second turn of the list is the slow path at the min mark.
    const turn = ['0/Movable', '0/Normal', '1/Normal', '2/Movable'];
    expect(course(machine(), GFP_HIGHUSER_MOVABLE, 0)).toEqual([...turn, ...turn]);
  });

  it('PM-33, OV-31e: kernel pages never in MOVABLE, also preferring a movable-only node', () => {
    // Node 1 comes first, as node 0 has CPUs (TI-5).
    const turn = ['1/Normal', '0/Normal'];
    expect(course(machine(), GFP_KERNEL, 2)).toEqual([...turn, ...turn]);
  });

  it('a node mask confines; bits of absent nodes do not matter', () => {
    expect(course(machine(), GFP_HIGHUSER_MOVABLE, 0, 0b10010)).toEqual(['1/Normal']);
    expect(course(machine(), GFP_KERNEL, 0, 0b100)).toEqual([]);
  });

  it('__GFP_THISNODE stays on the node', () => {
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    const turn = ['0/Movable', '0/Normal'];
    expect(course(machine(), gfp, 0)).toEqual([...turn, ...turn]);
  });

  it('PM-16: inside memalloc_pin neither MOVABLE nor CMA', () => {
    const pm = machine();
    pm.hooks.memallocPin = true;
    expect(new Set(course(pm, GFP_HIGHUSER_MOVABLE, 0))).toEqual(new Set(['0/Normal', '1/Normal']));
    const cma = [{ at: 1024, pages: 1024 }];
    const zones = [{ zone: ZONE_NORMAL, pages: 3072, cma }] as const;
    const withCma = new PhysicalMemory(plainMachine([{ cpus: [0], zones }]), {
      trackContent: false,
    });
    withCma.hooks.memallocPin = true;
    course(withCma, GFP_HIGHUSER_MOVABLE, 0);
    expect(withCma.vmstat.snapshot().get('nr_free_cma')).toBe(1024);
    withCma.hooks.memallocPin = false;
    course(withCma, GFP_HIGHUSER_MOVABLE, 0);
    expect(withCma.vmstat.snapshot().get('nr_free_cma')).toBe(0);
    checkFreeLists(withCma);
  });
});

describe('numa_* and pgalloc_* (one numa event per allocation, whatever its order)', () => {
  const numa = (pm: PhysicalMemory, nid: number, item: number): number =>
    pm.vmstat.numa[nid * NR_VM_NUMA_ITEMS + item];

  it('hit and local on the own node', () => {
    const pm = machine();
    allocPages(pm, 3, GFP_HIGHUSER_MOVABLE, 0, -1);
    expect([NUMA_HIT, NUMA_LOCAL, NUMA_MISS].map((i) => numa(pm, 0, i))).toEqual([1, 1, 0]);
    expect(pm.vmstat.event[vmEvent('pgalloc_movable')]).toBe(8);
  });

  it('miss there and foreign here when the preferred node is full', () => {
    const pm = machine();
    while (pm.nidOf(allocPages(pm, 0, GFP_KERNEL, 0, -1)) === 0);
    expect([NUMA_MISS, NUMA_OTHER, NUMA_HIT].map((i) => numa(pm, 1, i))).toEqual([1, 1, 0]);
    expect(numa(pm, 0, NUMA_FOREIGN)).toBe(1);
  });

  it('a mask moves the preference: pages bound to node 1 hit there', () => {
    const pm = machine();
    allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 0b10);
    expect([NUMA_HIT, NUMA_MISS, NUMA_OTHER].map((i) => numa(pm, 1, i))).toEqual([1, 0, 1]);
    pm.currentNid = 1;
    allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, 0b10);
    expect(numa(pm, 1, NUMA_LOCAL)).toBe(1);
  });
});

describe('what an allocated block looks like', () => {
  it('a compound page has a head and tails that know it', () => {
    const pm = machine();
    const { frames } = pm;
    for (const order of [1, 4, 5, 9]) {
      const head = allocPages(pm, order, GFP_HIGHUSER_MOVABLE | __GFP_COMP, 0, -1);
      expect([frames.flags[head], frames.refcount[head]]).toEqual([PG_HEAD, 1]);
      expect(frames.orderOf(head)).toBe(order);
      for (let f = head + 1; f < head + (1 << order); f++) {
        expect([frames.flags[f], frames.headOf(f), frames.refcount[f]]).toEqual([PG_TAIL, head, 0]);
      }
      expect(frames.flags[head + (1 << order)] & PG_TAIL).toBe(0);
    }
  });

  it('without __GFP_COMP it is a head with plain pages behind', () => {
    const pm = machine();
    const head = allocPages(pm, 2, GFP_KERNEL, 0, -1);
    const rows = [0, 1, 2, 3].map((i) => [pm.frames.flags[head + i], pm.frames.refcount[head + i]]);
    expect(rows).toEqual([
      [0, 1],
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
  });

  it.each([0, 2, 9])(
    'PP-61: allocation and release change every generation (order %i)',
    (order) => {
      const pm = machine();
      const head = allocPages(pm, order, GFP_HIGHUSER_MOVABLE | __GFP_COMP, 0, -1);
      const end = head + (1 << order);
      expect(new Set(pm.frames.generation.subarray(head, end))).toEqual(new Set([1]));
      freePages(pm, head, order);
      expect(new Set(pm.frames.generation.subarray(head, end))).toEqual(new Set([2]));
      expect(pm.frames.generation[end]).toBe(0);
      pm.frames.generation.fill(0xffffffff, head, end);
      expect(allocPages(pm, order, GFP_HIGHUSER_MOVABLE, 0, -1)).toBe(head);
      // 0 means "unchecked" and is skipped.
      expect(new Set(pm.frames.generation.subarray(head, end))).toEqual(new Set([1]));
    },
  );

  it.each([0, 3, 9])('release leaves clean rows, also of typed pages (order %i)', (order) => {
    const pm = machine();
    const { frames } = pm;
    const head = allocPages(pm, order, GFP_KERNEL | __GFP_COMP, 0, -1);
    frames.mapcount[head] = PGTY_SLAB;
    frames.mapping[head] = 77;
    frames.flags[head] |= 0x1234;
    frames.refcount[head] = 0;
    freePages(pm, head, order);
    const again = allocPages(pm, order, GFP_KERNEL, 0, -1);
    expect(again).toBe(head);
    const row = [frames.flags, frames.mapcount, frames.mapping].map((column) => column[head]);
    expect(row).toEqual([0, 0, 0]);
    freePages(pm, again, order);
    checkFreeLists(pm);
  });

  it('OV-8(i): a poisoned page is not given back', () => {
    const pm = machine();
    const frame = allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1);
    const zone = pm.zoneOf(frame);
    const before = freeCount(pm, zone);
    pm.frames.flags[frame] |= PG_HWPOISON;
    freePages(pm, frame, 0);
    expect(freeCount(pm, zone)).toBe(before);
    expect(pm.frames.refcount[frame]).toBe(0);
    expect(pm.isFree(frame)).toBe(false);
  });
});
