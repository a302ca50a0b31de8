import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type MachineSpec, type ObservedMachines, observedMachine } from '../hw/index.ts';
import { GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_CMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { checkFreeLists } from './freeListCheck.ts';
import { allocPages, freePages } from './pageAlloc.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';
import { freeCount } from './watermark.ts';

interface Printed {
  readonly name: string;
  readonly nodes: readonly {
    readonly zones: readonly {
      readonly zone: string;
      readonly present_pages: number;
      readonly managed_pages: number;
    }[];
  }[];
}

const TEXT = readFileSync(new URL('../../test/conformance/machines.json', import.meta.url), 'utf8');
const MACHINES: ObservedMachines = JSON.parse(TEXT);
const PRINTED: { readonly machines: readonly Printed[] } = JSON.parse(TEXT);

function boot(spec: MachineSpec): PhysicalMemory {
  return new PhysicalMemory(spec, { trackContent: false });
}

describe('boot', () => {
  it('of 1 TiB writes no rows: everything is pristine and free', () => {
    const pm = boot(plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 2 ** 28 }] }]));
    const [zone] = pm.zones;
    expect(freeCount(pm, zone)).toBe(2 ** 28);
    expect(zone.pristine).toEqual([{ start: 0, end: 2 ** 28, migratetype: 1 }]);
    expect(pm.isPristine(2 ** 27)).toBe(true);
    expect(pm.isFree(2 ** 27)).toBe(true);
    const frame = allocPages(pm, 0, GFP_HIGHUSER_MOVABLE, 0, -1);
    expect(frame).toBe(0);
    expect(zone.pristine[0].start).toBe(1024);
    freePages(pm, frame, 0);
    expect(freeCount(pm, zone)).toBe(2 ** 28);
  });

  it.each(MACHINES.machines.map((m) => m.name))('%s: zones as zoneinfo shows them', (name) => {
    const pm = boot(observedMachine(MACHINES, name));
    const printed = PRINTED.machines.find((m) => m.name === name)!.nodes.flatMap((n) => n.zones);
    expect(
      pm.zones.map((z) => ({
        zone: z.name,
        present_pages: z.presentPages,
        managed_pages: z.managedPages,
        free: freeCount(pm, z),
      })),
    ).toEqual(
      printed.map(({ zone, present_pages, managed_pages }) => ({
        zone,
        present_pages,
        managed_pages,
        free: managed_pages,
      })),
    );
    checkFreeLists(pm);
  });

  it('untouched zones have the free blocks of the captured buddyinfo', () => {
    const pm = boot(observedMachine(MACHINES, 'four-nodes-cma'));
    const blocks = (id: number): number[] =>
      Array.from({ length: 11 }, (_, order) =>
        [0, 1, 2, 3, 4, 5].reduce((sum, type) => sum + pm.zones[id].nrFreeBlocks(order, type), 0),
      );
    // Node 0, zone DMA; node 3, zone Movable.
    expect(blocks(0)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]);
    expect(blocks(6)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128]);
    const normal = pm.zones[2];
    expect(normal.cmaPages).toBe(32768);
    expect(normal.nrFreeBlocks(10, MIGRATE_CMA)).toBe(32);
  });
});

describe('what a frame is (OV-8)', () => {
  it('OV-3: holes, reserved and managed frames', () => {
    const spec = plainMachine([
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 3000, absent: 72, reserved: 100 }] },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 2048 }] },
    ]);
    const pm = boot(spec);
    const state = (f: number) => [pm.isPresent(f), pm.isReserved(f), pm.isFree(f)];
    expect(state(71)).toEqual([false, false, false]);
    expect(state(72)).toEqual([true, true, false]);
    expect(state(171)).toEqual([true, true, false]);
    expect(state(172)).toEqual([true, false, true]);
    expect(state(3071)).toEqual([true, false, true]);
    expect(state(3072)).toEqual([false, false, false]);
    // The next zone starts in the next section.
    expect(state(32767)).toEqual([false, false, false]);
    expect(state(32768)).toEqual([true, false, true]);
    expect(pm.nidOf(32768)).toBe(1);
    expect(pm.zoneOf(32768).type).toBe(ZONE_MOVABLE);
    checkFreeLists(pm);
  });

  it('holes inside a zone; sections without memory have no frames', () => {
    const base = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_DMA32, pages: 5 * 32768 }] }]);
    const [zone] = base.nodes[0].zones;
    const holes = [
      { startPfn: 32768 + 1000, endPfn: 4 * 32768 },
      { startPfn: 5 * 32768 - 48, endPfn: 5 * 32768 - 8 },
    ];
    const absentPages = 3 * 32768 - 1000 + 40 + 20;
    const spec = {
      ...base,
      nodes: [{ ...base.nodes[0], zones: [{ ...zone, holes, absentPages, reservedPages: 33000 }] }],
    };
    const pm = boot(spec);
    const [dma32] = pm.zones;
    expect(pm.frames.nrFrames).toBe(3 * 32768);
    expect(pm.frames.frameOfPfn(2 * 32768)).toBe(-1);
    expect(dma32.presentPages).toBe(5 * 32768 - absentPages);
    // 20 frames without a place are missing at the start; 33000 reserved ones follow.
    expect(pm.isPresent(19)).toBe(false);
    expect(pm.isReserved(20)).toBe(true);
    expect(pm.isReserved(33019)).toBe(true);
    expect(pm.isFree(33020)).toBe(true);
    expect(pm.isPresent(32768 + 1000)).toBe(false);
    expect(pm.isFree(2 * 32768)).toBe(true);
    expect(pm.isPresent(3 * 32768 - 48)).toBe(false);
    expect(pm.isFree(3 * 32768 - 8)).toBe(true);
    expect(dma32.managedPages).toBe(dma32.presentPages - 33000);
    expect(freeCount(pm, dma32)).toBe(dma32.managedPages);
    checkFreeLists(pm);
  });
});

describe('impossible machines', () => {
  const zones = [{ zone: ZONE_NORMAL, pages: 1024 }] as const;
  const base = plainMachine([{ cpus: [0], zones }]);
  const [node] = base.nodes;
  const withZone = (zone: object): MachineSpec => ({
    ...base,
    nodes: [{ ...node, zones: [{ ...node.zones[0], ...zone }] }],
  });

  it.each<[string, MachineSpec, RegExp]>([
    [
      'two zones in a pageblock',
      {
        ...base,
        nodes: [
          {
            ...node,
            zones: [
              { ...node.zones[0], endPfn: 700 },
              { ...node.zones[0], zone: ZONE_MOVABLE, startPfn: 700 },
            ],
          },
        ],
      },
      /pageblock/,
    ],
    ['two nodes of one number', { ...base, nodes: [node, node] }, /two nodes/],
    ['node 31', { ...base, nodes: [{ ...node, nid: 31 }] }, /below 31/],
    ['a zone that is all hole', withZone({ absentPages: 1024 }), /no memory/],
    ['more reserved than present', withZone({ reservedPages: 1025 }), /reserved/],
    ['a crooked CMA area', withZone({ cma: [{ startPfn: 100, pages: 512 }] }), /aligned/],
    [
      'a CMA area in reserved memory',
      withZone({ reservedPages: 600, cma: [{ startPfn: 512, pages: 512 }] }),
      /CMA area/,
    ],
  ])('%s', (_what, spec, message) => {
    expect(() => boot(spec)).toThrow(message);
  });
});
