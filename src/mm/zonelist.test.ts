import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ObservedMachines, observedMachine } from '../hw/index.ts';
import { __GFP_DMA32, __GFP_THISNODE, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import { ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { zonelistOf } from './allocFastpath.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';

interface Printed {
  readonly name: string;
  readonly fallback_order: Record<string, number[]>;
}

const TEXT = readFileSync(new URL('../../test/conformance/machines.json', import.meta.url), 'utf8');
const MACHINES: ObservedMachines = JSON.parse(TEXT);
const PRINTED: { readonly machines: readonly Printed[] } = JSON.parse(TEXT);

function names(pm: PhysicalMemory, gfp: number, nid: number): string[] {
  return [...zonelistOf(pm, gfp, nid)].map((id) => `${pm.zones[id].nid}/${pm.zones[id].name}`);
}

describe('TI-5: node order', () => {
  it.each(MACHINES.machines.map((machine) => machine.name))('%s', (name) => {
    const pm = new PhysicalMemory(observedMachine(MACHINES, name), { trackContent: false });
    const printed = PRINTED.machines.find((machine) => machine.name === name)!.fallback_order;
    const order = Object.fromEntries(pm.nodes.map((n) => [n.nid, [...n.fallbackOrder]]));
    expect(order).toEqual(printed);
  });

  it('spreads the first fallback over equals (node_load)', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 1024 }] as const;
    const cpu = { cpus: [0], zones };
    const memory = { cpus: [], zones };
    // Two CPU nodes, two memory nodes, everything equally far.
    const pm = new PhysicalMemory(plainMachine([cpu, cpu, memory, memory]), {
      trackContent: false,
    });
    expect(pm.nodes.map((node) => [...node.fallbackOrder])).toEqual([
      [0, 2, 3, 1],
      [1, 3, 2, 0],
      [2, 3, 0, 1],
      [3, 2, 0, 1],
    ]);
  });

  it('prefers the next higher number among equals', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 1024 }] as const;
    const nodes = [0, 1, 2].map((cpu) => ({ cpus: [cpu], zones }));
    const pm = new PhysicalMemory(plainMachine(nodes), { trackContent: false });
    expect(pm.nodes.map((node) => [...node.fallbackOrder])).toEqual([
      [0, 1, 2],
      [1, 2, 0],
      [2, 0, 1],
    ]);
  });

  it('OV-2: a node without memory starts with its nearest node', () => {
    const zones = [{ zone: ZONE_NORMAL, pages: 1024 }] as const;
    const distance = [
      [10, 20, 30],
      [20, 10, 15],
      [30, 15, 10],
    ];
    const pm = new PhysicalMemory(
      plainMachine(
        [
          { cpus: [0], zones },
          { cpus: [1], zones: [] },
          { cpus: [], zones },
        ],
        { distance },
      ),
      { trackContent: false },
    );
    expect([...pm.nodes[1].fallbackOrder]).toEqual([2, 0]);
    expect(pm.nodesWithMemory).toBe(0b101);
    expect(pm.nodesWithCpu).toBe(0b011);
    expect(zonelistOf(pm, GFP_KERNEL | __GFP_THISNODE, 1)).toHaveLength(0);
  });
});

describe('PM-32: zones of a node from high to low, up to what the request may use (PM-30)', () => {
  const pm = new PhysicalMemory(
    plainMachine([
      {
        cpus: [0],
        zones: [
          { zone: ZONE_DMA32, pages: 1024 },
          { zone: ZONE_NORMAL, pages: 1024 },
          { zone: ZONE_MOVABLE, pages: 1024 },
        ],
      },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 1024 }] },
    ]),
    { trackContent: false },
  );

  it.each([
    ['user pages', GFP_HIGHUSER_MOVABLE, 0, ['0/Movable', '0/Normal', '0/DMA32', '1/Movable']],
    ['kernel pages', GFP_KERNEL, 0, ['0/Normal', '0/DMA32']],
    ['kernel pages of a movable-only node', GFP_KERNEL, 1, ['0/Normal', '0/DMA32']],
    ['__GFP_DMA32', GFP_KERNEL | __GFP_DMA32, 0, ['0/DMA32']],
    ['__GFP_THISNODE', GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, 1, ['1/Movable']],
  ])('%s', (_what, gfp, nid, expected) => {
    expect(names(pm, gfp, nid)).toEqual(expected);
  });
});
