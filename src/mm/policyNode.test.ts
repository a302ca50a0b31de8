/** OV-31, OV-31a, OV-31e, TI-80, TI-81: where a fault's page comes from. */
import { describe, expect, it } from 'vitest';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import {
  MPOL_BIND,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../uapi/mempolicy.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { type Mempolicy, makePolicy } from './mempolicy.ts';
import { allocFolioPolicy, policyNode } from './policyNode.ts';
import { bootNodes, fillNode, TestProgram } from './testProgram.ts';
import { mergeRange, splitAtEnds } from './vmaList.ts';

/** N0, N1 with CPUs; N2, N3 without; distances grow with the difference of numbers. */
function boot(): TestProgram {
  const normal = [{ zone: ZONE_NORMAL, pages: 2048 }];
  const k = bootNodes(
    [
      { cpus: [0], zones: normal },
      { cpus: [1], zones: normal },
      { cpus: [], zones: normal },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 2048 }] },
    ],
    {
      sysctl: {
        distance: [
          [10, 20, 30, 40],
          [20, 10, 20, 30],
          [30, 20, 10, 20],
          [40, 30, 20, 10],
        ],
      },
    },
  );
  k.sysctl.thp_enabled = 'never';
  return new TestProgram(k);
}

function policy(mode: number, ...nodes: number[]): Mempolicy | null {
  const mask = nodes.reduce((bits, nid) => bits | (1 << nid), 0);
  const made = makePolicy(mode, 0, mask, 0b1111);
  if (typeof made === 'number') throw new Error(`policy: ${made}`);
  return made;
}

const placed = (p: TestProgram, n: number, at = 0x100000): number[] => {
  const a = p.mapWritten(n, { addr: at });
  return Array.from({ length: n }, (_, i) => p.nid(a + i));
};

describe('task policy', () => {
  const rows: readonly { what: string; cpu: number; of: Mempolicy | null; nodes: number[] }[] = [
    { what: 'default: the node of the CPU', cpu: 1, of: null, nodes: [1, 1, 1, 1] },
    { what: 'LOCAL: the node of the CPU', cpu: 1, of: policy(MPOL_LOCAL), nodes: [1, 1, 1, 1] },
    {
      what: 'BIND: the nearest of the mask',
      cpu: 0,
      of: policy(MPOL_BIND, 1, 2),
      nodes: [1, 1, 1, 1],
    },
    { what: 'BIND from node 1', cpu: 1, of: policy(MPOL_BIND, 0, 3), nodes: [0, 0, 0, 0] },
    {
      what: 'PREFERRED_MANY: the nearest',
      cpu: 0,
      of: policy(MPOL_PREFERRED_MANY, 2, 3),
      nodes: [2, 2, 2, 2],
    },
    {
      what: 'PREFERRED: the lowest number',
      cpu: 0,
      of: policy(MPOL_PREFERRED, 3, 1),
      nodes: [1, 1, 1, 1],
    },
    {
      what: 'PREFERRED without nodes: local',
      cpu: 1,
      of: policy(MPOL_PREFERRED),
      nodes: [1, 1, 1, 1],
    },
    {
      what: 'INTERLEAVE: in turn',
      cpu: 0,
      of: policy(MPOL_INTERLEAVE, 0, 2, 3),
      nodes: [0, 2, 3, 0],
    },
  ];
  it.each(rows)('OV-31a $what', ({ cpu, of, nodes }) => {
    const p = boot();
    p.k.placeTask(p.task, cpu);
    p.task.setPolicy(of);
    expect(placed(p, 4)).toEqual(nodes);
  });

  it('S-TI-16, TI-80, TI-105: WEIGHTED_INTERLEAVE {0:3, 1:1} in turn', () => {
    const p = boot();
    p.k.interleaveWeights[0] = 3;
    p.task.setPolicy(policy(MPOL_WEIGHTED_INTERLEAVE, 0, 1));
    expect(placed(p, 8)).toEqual([0, 0, 0, 1, 0, 0, 0, 1]);
  });

  it('TI-80: numa_interleave counts what landed where it should', () => {
    const p = boot();
    p.task.setPolicy(policy(MPOL_INTERLEAVE, 0, 1));
    placed(p, 6);
    expect(p.k.vmstat.snapshot().get('numa_interleave')).toBe(6);
  });

  it('a full node: PREFERRED and INTERLEAVE go on, BIND stays in the mask', () => {
    const p = boot();
    fillNode(p.k, 2, 0);
    p.task.setPolicy(policy(MPOL_PREFERRED, 2));
    expect(placed(p, 1, 0x100000)).toEqual([3]); // TI-5: nodes with CPUs come later
    p.task.setPolicy(policy(MPOL_PREFERRED_MANY, 2));
    expect(placed(p, 1, 0x110000)).toEqual([0]); // the second try starts at the CPU's node
    p.task.setPolicy(policy(MPOL_BIND, 2, 3));
    expect(placed(p, 1, 0x120000)).toEqual([3]);
  });
});

describe('area policy', () => {
  function bound(p: TestProgram, of: Mempolicy | null, at: number, n: number): number[] {
    const a = p.map(n, { addr: at });
    splitAtEnds(p.k, p.task.mm!, a, a + n);
    p.task.mm!.findVma(a)!.policy = of;
    mergeRange(p.k, p.task.mm!, a, a + n);
    for (let i = 0; i < n; i++) p.store(a + i, 1);
    return Array.from({ length: n }, (_, i) => p.nid(a + i));
  }

  it('OV-31: before the task policy', () => {
    const p = boot();
    p.task.setPolicy(policy(MPOL_BIND, 1));
    expect(bound(p, policy(MPOL_BIND, 2), 0x100000, 2)).toEqual([2, 2]);
    expect(bound(p, null, 0x110000, 2)).toEqual([1, 1]);
  });

  it('OV-31a: INTERLEAVE by address, not by turns', () => {
    const p = boot();
    expect(bound(p, policy(MPOL_INTERLEAVE, 0, 1, 2), 0x100002, 4)).toEqual([
      0x100002 % 3,
      0x100003 % 3,
      0x100004 % 3,
      0x100005 % 3,
    ]);
  });

  it('TI-81: WEIGHTED_INTERLEAVE by address: 3 of 4 on node 0', () => {
    const p = boot();
    p.k.interleaveWeights[0] = 3;
    const of = policy(MPOL_WEIGHTED_INTERLEAVE, 0, 1);
    expect(bound(p, of, 0x100000, 8)).toEqual([0, 0, 0, 1, 0, 0, 0, 1]);
    expect(bound(p, of, 0x100012, 2)).toEqual([0, 1]);
  });
});

describe('which allocations a mask governs (OV-31e)', () => {
  it('a mask of movable-only nodes does not bind kernel memory', () => {
    const p = boot();
    const of = policy(MPOL_BIND, 3);
    p.task.setPolicy(of);
    expect(placed(p, 2)).toEqual([3, 3]);
    const kernel = allocFolioPolicy(p.k, p.task, of, -1, 0, GFP_KERNEL);
    expect(p.k.pm.nidOf(kernel)).toBe(0);
    const mixed = policy(MPOL_BIND, 2, 3);
    const bound = allocFolioPolicy(p.k, p.task, mixed, -1, 0, GFP_KERNEL);
    expect(p.k.pm.nidOf(bound)).toBe(2);
  });

  it('MP-93a: the home node is where a BIND search starts', () => {
    const p = boot();
    const of = policy(MPOL_BIND, 0, 1, 2)!.withHomeNode(2);
    expect([policyNode(p.k, p.task, of, -1, GFP_KERNEL).nid]).toEqual([2]);
  });

  it('OV-31a: the highest zone of a node first', () => {
    const k = bootNodes([
      {
        cpus: [0],
        zones: [
          { zone: ZONE_NORMAL, pages: 1024 },
          { zone: ZONE_MOVABLE, pages: 1024 },
        ],
      },
    ]);
    const p = new TestProgram(k);
    const a = p.mapWritten(1);
    expect(k.pm.zoneOf(p.frame(a)).type).toBe(ZONE_MOVABLE);
  });
});
