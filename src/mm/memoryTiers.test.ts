import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { abstractDistance, type ObservedMachines, observedMachine } from '../hw/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { MemoryTiers } from './memoryTiers.ts';
import { PhysicalMemory } from './physicalMemory.ts';
import { plainMachine } from './plainMachine.ts';

interface Printed {
  readonly name: string;
  readonly demotion: Record<string, { preferred: number[]; fallback: number[] }>;
  readonly memory_tiers: Record<string, number[]>;
}

const TEXT = readFileSync(new URL('../../test/conformance/machines.json', import.meta.url), 'utf8');
const MACHINES: ObservedMachines = JSON.parse(TEXT);
const PRINTED: { readonly machines: readonly Printed[] } = JSON.parse(TEXT);

function nodesOf(mask: number): number[] {
  return Array.from({ length: 31 }, (_, nid) => nid).filter((nid) => (mask & (1 << nid)) !== 0);
}

/** Nodes of 4 MiB; CPUs on those listed. */
function machine(cpuNodes: readonly number[], distance: readonly (readonly number[])[]) {
  const zones = [{ zone: ZONE_NORMAL, pages: 1024 }] as const;
  const nodes = distance.map((_, nid) => ({ cpus: cpuNodes.includes(nid) ? [nid] : [], zones }));
  return new PhysicalMemory(plainMachine(nodes, { distance }), { trackContent: false });
}

describe('TI-1..TI-6 on the observed machines', () => {
  it.each(MACHINES.machines.map((m) => m.name))('%s: tiers and demotion targets', (name) => {
    const spec = observedMachine(MACHINES, name);
    const pm = new PhysicalMemory(spec, { trackContent: false });
    const tiers = new MemoryTiers(pm, abstractDistance(spec));
    const printed = PRINTED.machines.find((m) => m.name === name)!;
    expect(
      Object.fromEntries(tiers.tiers.map((t) => [`memory_tier${t.id}`, nodesOf(t.nodes)])),
    ).toEqual(printed.memory_tiers);
    for (const { nid } of pm.nodes) {
      expect({
        preferred: nodesOf(tiers.preferredTargets(nid)),
        fallback: nodesOf(tiers.lowerTierMask(nid)),
      }).toEqual(printed.demotion[nid]);
    }
    expect(pm.nodes.map(({ nid }) => tiers.isToptier(nid))).toEqual([true, false, false, false]);
  });

  it('6.1 has one tier only: no targets, all nodes toptier', () => {
    const spec = observedMachine(MACHINES, 'four-nodes', '6.1');
    const pm = new PhysicalMemory(spec, { trackContent: false });
    const tiers = new MemoryTiers(pm, abstractDistance(spec));
    expect(tiers.tiers.map((t) => [t.id, nodesOf(t.nodes)])).toEqual([[4, [0, 1, 2, 3]]]);
    expect(pm.nodes.map(({ nid }) => tiers.preferredTargets(nid))).toEqual([0, 0, 0, 0]);
    expect(pm.nodes.every(({ nid }) => tiers.isToptier(nid))).toBe(true);
  });
});

describe('TI-4: preferred targets', () => {
  it('are all nodes of the next tier at the smallest distance', () => {
    const pm = machine(
      [0],
      [
        [10, 20, 20, 30],
        [20, 10, 20, 20],
        [20, 20, 10, 20],
        [30, 20, 20, 10],
      ],
    );
    const tiers = new MemoryTiers(pm, [576, 2304, 2400, 2304]);
    expect(nodesOf(tiers.preferredTargets(0))).toEqual([1, 2]);
    expect(nodesOf(tiers.lowerTierMask(0))).toEqual([1, 2, 3]);
    expect(tiers.tierOf(2)).toBe(18);
  });

  it('skip no tier: the slowest is a fallback only', () => {
    const pm = machine(
      [0],
      [
        [10, 40, 15],
        [40, 10, 20],
        [15, 20, 10],
      ],
    );
    const tiers = new MemoryTiers(pm, [576, 1000, 5000]);
    expect(nodesOf(tiers.preferredTargets(0))).toEqual([1]);
    expect(nodesOf(tiers.preferredTargets(1))).toEqual([2]);
    expect(tiers.preferredTargets(2)).toBe(0);
  });
});

describe('worked numbers', () => {
  const twoNodes = [
    [10, 20],
    [20, 10],
  ];

  it('TI-100: DRAM with CPUs is toptier, CXL is not and is what DRAM demotes to', () => {
    const tiers = new MemoryTiers(machine([0], twoNodes), [576, 2304]);
    expect(tiers.tiers.map(({ id, adistanceStart }) => [id, adistanceStart])).toEqual([
      [4, 512],
      [18, 2304],
    ]);
    expect([0, 1].map((nid) => tiers.isToptier(nid))).toEqual([true, false]);
    expect([0, 1].map((nid) => nodesOf(tiers.preferredTargets(nid)))).toEqual([[1], []]);
    expect(nodesOf(tiers.lowerTierMask(0))).toEqual([1]);
  });

  it('TI-102: two DRAM nodes demote to the nearer of two CXL nodes, or to both', () => {
    const at = (far: number) => {
      const distance = [
        [10, 21, 20, far],
        [21, 10, far, 20],
        [20, far, 10, 21],
        [far, 20, 21, 10],
      ];
      const tiers = new MemoryTiers(machine([0, 1], distance), [576, 576, 2304, 2304]);
      return [0, 1].map((nid) => nodesOf(tiers.preferredTargets(nid)));
    };
    expect(at(30)).toEqual([[2], [3]]);
    expect(at(20)).toEqual([
      [2, 3],
      [2, 3],
    ]);
  });
});

describe('TI-6: toptier', () => {
  const distance = [
    [10, 20, 20],
    [20, 10, 20],
    [20, 20, 10],
  ];

  it('reaches down to the slowest tier with CPUs', () => {
    const tiers = new MemoryTiers(machine([0, 1], distance), [300, 576, 2880]);
    expect([0, 1, 2].map((nid) => tiers.isToptier(nid))).toEqual([true, true, false]);
  });

  it('S-TI-02, TI-7, TI-101: with its own CPUs the CXL node is toptier, nothing leaves it', () => {
    const distances = [576, 2304];
    const nodes = distance.slice(0, 2).map((row) => row.slice(0, 2));
    const without = new MemoryTiers(machine([0], nodes), distances);
    expect([without.isToptier(1), nodesOf(without.preferredTargets(0))]).toEqual([false, [1]]);
    const rebuilt = new MemoryTiers(machine([0, 1], nodes), distances);
    expect([rebuilt.isToptier(1), nodesOf(rebuilt.preferredTargets(0))]).toEqual([true, [1]]);
  });

  it('HBM faster than the CPUs own DRAM is toptier too', () => {
    const tiers = new MemoryTiers(machine([1], distance), [300, 576, 2880]);
    expect([0, 1, 2].map((nid) => tiers.isToptier(nid))).toEqual([true, true, false]);
    expect(nodesOf(tiers.preferredTargets(0))).toEqual([1]);
  });
});
