/** The observed machines: what the kernel printed must come back from the rules (TI-1..TI-7). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { autoInterleaveWeights } from './interleaveWeights.ts';
import type { MachineSpec } from './machineSpec.ts';
import {
  abstractDistance,
  demotionTargets,
  fallbackOrders,
  memoryTiers,
  toptierNodes,
} from './memoryTiers.ts';
import { type ObservedMachine, observedMachine } from './observedMachine.ts';
import { memoryNids, nodeManagedBytes } from './topology.ts';

interface Printed extends ObservedMachine {
  fallback_order: Record<string, number[]>;
  demotion: Record<string, { preferred: number[]; fallback: number[] }>;
  memory_tiers: Record<string, number[]>;
  nodes: (ObservedMachine['nodes'][number] & { mem_total_kb: number })[];
}

const json = JSON.parse(
  readFileSync(new URL('../../test/conformance/machines.json', import.meta.url), 'utf8'),
) as { machines: Printed[] };

describe.each(json.machines.map((m) => [m.name, m] as const))('%s', (name, printed) => {
  const spec = observedMachine(json, name);

  test('memory tiers as in /sys/devices/virtual/memory_tiering (TI-2)', () => {
    const tiers: Record<string, number[]> = {};
    for (const [nid, tier] of memoryTiers(spec).entries()) {
      const key = `memory_tier${tier}`;
      tiers[key] = [...(tiers[key] ?? []), nid];
    }
    expect(tiers).toEqual(printed.memory_tiers);
  });

  test('demotion targets as the kernel printed them (TI-4)', () => {
    const targets = Object.fromEntries(demotionTargets(spec).entries());
    expect(targets).toEqual(printed.demotion);
  });

  test('zonelist order as the kernel printed it (TI-5)', () => {
    const nids = memoryNids(spec);
    const orders = nids.map((nid) => [String(nid), fallbackOrders(spec)[nid]]);
    expect(Object.fromEntries(orders)).toEqual(printed.fallback_order);
  });

  test('automatic interleave weights (TI-83)', () => {
    const { weights } = printed.settings.weighted_interleave;
    expect(Object.fromEntries(autoInterleaveWeights(spec).entries())).toEqual(weights);
  });

  test('toptier is the node with the CPUs (TI-6)', () => {
    expect([...toptierNodes(spec)]).toEqual([1, 0, 0, 0]);
  });

  test('managed memory is MemTotal', () => {
    for (const [i, node] of printed.nodes.entries()) {
      expect(nodeManagedBytes(spec.nodes[i]!)).toBe(node.mem_total_kb * 1024);
    }
  });
});

/** N0 with CPUs, and N1 without; what their firmware tells. */
function told(cxl: Partial<MachineSpec['nodes'][number]['perf']>, dram: typeof cxl = {}) {
  const spec = observedMachine(json, 'four-nodes', '7.3');
  const nodes = spec.nodes.slice(0, 2).map((node, nid) => {
    const { abstractDistance: _, ...rest } = node;
    return { ...rest, hotplugged: false, perf: { ...node.perf, ...(nid === 0 ? dram : cxl) } };
  });
  return { ...spec, nodes, links: [] };
}

test('S-TI-01 TI-3: twice the latency at half the bandwidth is 2304, tier 18', () => {
  const latency = (ns: number) => ({ readLatencyNs: ns, writeLatencyNs: ns });
  const bandwidth = (gbps: number) => ({ readBandwidth: gbps, writeBandwidth: gbps });
  const dram = { ...latency(100), ...bandwidth(100) };
  const spec = told({ ...latency(200), ...bandwidth(50) }, dram);
  expect([...abstractDistance(spec)]).toEqual([576, 2304]);
  expect([...memoryTiers(spec)]).toEqual([4, 18]);
});

test('S-TI-18 TI-83: 300 and 100 GB/s: weights 3 and 1', () => {
  const spec = told(
    { readBandwidth: 100, writeBandwidth: 100 },
    { readBandwidth: 300, writeBandwidth: 300 },
  );
  expect([...autoInterleaveWeights(spec)]).toEqual([3, 1]);
});

test('zones keep holes and CMA where they were', () => {
  const spec = observedMachine(json, 'four-nodes-cma');
  const [dma, dma32, normal] = spec.nodes[0]!.zones;
  expect(dma).toMatchObject({ absentPages: 97, reservedPages: 158 });
  expect(dma32!.holes).toEqual([{ startPfn: 262144, endPfn: 1048576 }]);
  expect(dma32!.absentPages).toBe(1044480 - 258012);
  expect(normal!.holes).toEqual([{ startPfn: 1048576, endPfn: 1179648 }]);
  expect(normal!.cma).toEqual([{ startPfn: 1310720, pages: 32768 }]);
});

test('older kernels: 6.1 has one tier and no demotion, 6.12 no automatic weights', () => {
  const old = observedMachine(json, 'four-nodes', '6.1');
  expect([...memoryTiers(old)]).toEqual([4, 4, 4, 4]);
  expect(demotionTargets(old).every((t) => t.fallback.length === 0)).toBe(true);
  expect([...autoInterleaveWeights(observedMachine(json, 'four-nodes', '6.12'))]).toEqual([
    1, 1, 1, 1,
  ]);
});
