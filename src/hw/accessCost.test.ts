/** What accesses and copies cost under load: settling, back-pressure, links, copies. */
import { describe, expect, test } from 'vitest';
import { AccessCost, mixedBandwidth } from './accessCost.ts';
import { runClosedLoop } from './closedLoop.ts';
import { COST_DEFAULTS, SWAP_DEFAULTS } from './costDefaults.ts';
import {
  curveFactor,
  DEFAULT_CURVE,
  FLAT_CURVE,
  KNEE_UTILISATION,
  LATENCY_FACTOR_MAX,
  queueingFactor,
  steadyFactor,
} from './loadedLatency.ts';
import type { LinkSpec, LoadedLatencyCurve, MachineSpec, NodeSpec } from './machineSpec.ts';

const QUANTUM_NS = 1e6;

function node(nid: number, nrCpus: number, latencyNs: number, bandwidth: number): NodeSpec {
  return {
    nid,
    kind: nrCpus > 0 ? 'dram' : 'cxl',
    role: `node ${nid}`,
    cpus: Array.from({ length: nrCpus }, (_, i) => nid * 10 + i),
    zones: [
      {
        zone: 2,
        startPfn: 0x100000 + nid * 0x40000,
        endPfn: 0x140000 + nid * 0x40000,
        absentPages: 0,
        reservedPages: 0,
      },
    ],
    perf: {
      readLatencyNs: latencyNs,
      writeLatencyNs: latencyNs / 2,
      readBandwidth: bandwidth,
      writeBandwidth: bandwidth / 2,
      mixBandwidth: [0.5, 0.6, 0.8, 0.9, 1],
      curve: DEFAULT_CURVE,
    },
    hotplugged: false,
    costPerGib: 0,
  };
}

function machine(nodes: NodeSpec[], links: LinkSpec[] = []): MachineSpec {
  return {
    name: 'test',
    sources: [],
    kernel: '7.3',
    nodes,
    distance: nodes.map((a) => nodes.map((b) => (a === b ? 10 : 20))),
    links,
    swap: SWAP_DEFAULTS,
    costs: COST_DEFAULTS,
    sysctl: {},
    vdso: true,
  };
}

function link(from: number[], to: number[], bandwidth: number, latencyNs = 50): LinkSpec {
  return {
    name: 'link',
    from,
    to,
    latencyNs,
    readBandwidth: bandwidth,
    writeBandwidth: bandwidth,
    curve: DEFAULT_CURVE,
  };
}

describe('the default curve', () => {
  test('doubles latency at 70 % of a theoretical peak that is 1.25 times the sustained one', () => {
    expect(KNEE_UTILISATION * 0.8).toBeCloseTo(0.7, 10);
    expect(curveFactor(DEFAULT_CURVE, KNEE_UTILISATION)).toBeCloseTo(2, 10);
    expect(curveFactor(DEFAULT_CURVE, 1)).toBeCloseTo(2.9, 10);
    expect(curveFactor(DEFAULT_CURVE, 0)).toBe(1);
  });

  test('follows the queueing formula within 1.5 % between its points', () => {
    for (let u = 0; u <= 1; u += 0.01) {
      const deviation = curveFactor(DEFAULT_CURVE, u) / queueingFactor(u) - 1;
      expect(Math.abs(deviation)).toBeLessThan(0.015);
    }
  });
});

describe('the operating point', () => {
  const steps: LoadedLatencyCurve = { utilisation: [0, 0.5, 0.8], factor: [1, 1, 3] };
  test.each([
    ['default', DEFAULT_CURVE],
    ['flat', FLAT_CURVE],
    ['ends at 0.8', steps],
  ])('is where curve and bytes in flight agree: %s', (_, curve) => {
    const last = curve.utilisation.at(-1)! * curve.factor.at(-1)!;
    for (let i = 0; i < 50; i++) {
      const inFlight = (last * i) / 50;
      const factor = steadyFactor(curve, inFlight, 0);
      expect(curveFactor(curve, inFlight / factor)).toBeCloseTo(factor, 9);
    }
  });

  test('stays at the end of the curve beyond saturation', () => {
    expect(10 / steadyFactor(steps, 10, 0)).toBeCloseTo(0.8, 12);
    expect(100 / steadyFactor(DEFAULT_CURVE, 100, 0)).toBeCloseTo(1, 12);
    expect(steadyFactor(DEFAULT_CURVE, 1e9, 0)).toBe(LATENCY_FACTOR_MAX);
  });

  test('loses capacity by overload, gradually', () => {
    const at = (inFlight: number) => inFlight / steadyFactor(DEFAULT_CURVE, inFlight, 0.1);
    expect(at(2.9)).toBeCloseTo(1, 12);
    expect(at(5.8)).toBeCloseTo(0.95, 12);
    expect(at(2900)).toBeCloseTo(0.9, 3);
  });
});

describe('AccessCost', () => {
  test('starts unloaded and stays so without traffic', () => {
    const cost = new AccessCost(machine([node(0, 2, 80, 100), node(1, 0, 200, 20)]));
    cost.endQuantum(QUANTUM_NS);
    expect([...cost.readNs]).toEqual([80, 200]);
    expect([...cost.writeNs]).toEqual([40, 100]);
    expect([...cost.cpuNodeOfCpu]).toEqual([0, 0]);
    expect([...cost.cpuNodeOfNid]).toEqual([0, -1]);
  });

  test('counts CPU nodes densely, whatever their nid', () => {
    const cost = new AccessCost(
      machine([node(0, 0, 200, 20), node(1, 1, 80, 100), node(2, 2, 80, 100)]),
    );
    expect(cost.nrCpuNodes).toBe(2);
    expect([...cost.cpuNodeNid]).toEqual([1, 2]);
    expect(cost.cpuNodeOfCpu[10]).toBe(0);
    expect(cost.cpuNodeOfCpu[21]).toBe(1);
    expect(cost.cpuNodeOfCpu[5]).toBe(-1);
  });

  test('a constant load settles on the curve', () => {
    const cost = new AccessCost(machine([node(0, 1, 80, 100)]));
    for (let i = 0; i < 300; i++) {
      cost.addTraffic(0, 0, 90 * QUANTUM_NS, 0);
      cost.endQuantum(QUANTUM_NS);
    }
    expect(cost.utilisation(0)).toBeCloseTo(0.9, 12);
    expect(cost.loadFactor(0)).toBeCloseTo(curveFactor(DEFAULT_CURVE, 0.9), 6);
    expect(cost.readNs[0]).toBeCloseTo(80 * curveFactor(DEFAULT_CURVE, 0.9), 4);
  });

  test('recovers at once when the load is gone', () => {
    const cost = new AccessCost(machine([node(0, 1, 80, 100)]));
    cost.addTraffic(0, 0, 1e9, 0);
    cost.endQuantum(QUANTUM_NS);
    expect(cost.readNs[0]).toBeGreaterThan(80);
    cost.endQuantum(QUANTUM_NS);
    expect(cost.readNs[0]).toBe(80);
  });

  test('the mix decides the peak', () => {
    const { perf } = node(0, 1, 80, 100);
    const peaks = [0, 0.125, 0.5, 0.75, 1].map((share) => mixedBandwidth(perf, share));
    const expected = [50, 55, 80, 90, 100];
    for (const [i, peak] of peaks.entries()) expect(peak).toBeCloseTo(expected[i]!, 12);
    const cost = new AccessCost(machine([node(0, 1, 80, 100)]));
    cost.addTraffic(0, 0, 20 * QUANTUM_NS, 20 * QUANTUM_NS);
    cost.endQuantum(QUANTUM_NS);
    expect(cost.utilisation(0)).toBeCloseTo(0.5, 12);
  });

  test('accesses slow down until throughput is what the device sustains', () => {
    const spec = machine([node(0, 1, 80, 100), node(1, 0, 200, 20)]);
    const stream = { cpuNid: 0, inFlightBytes: 200e3, readShare: 1, weights: [0, 1] };
    const { bandwidth, latenciesNs } = runClosedLoop(spec, [stream]);
    expect(bandwidth).toBeCloseTo(20, 9);
    expect(latenciesNs[0]).toBeCloseTo(200e3 / 20, 6);
  });

  test('settles without oscillating: from idle, latency only rises', () => {
    const cost = new AccessCost(machine([node(0, 1, 80, 100)]));
    const thinkNs = 60;
    let latencyNs = cost.readNs[0]!;
    for (let i = 0; i < 100; i++) {
      const bandwidth = 20e3 / (thinkNs + cost.readNs[0]!);
      cost.addTraffic(0, 0, bandwidth * QUANTUM_NS, 0);
      cost.endQuantum(QUANTUM_NS);
      expect(cost.readNs[0]).toBeGreaterThanOrEqual(latencyNs - 1e-9);
      latencyNs = cost.readNs[0]!;
    }
    const bandwidth = 20e3 / (thinkNs + latencyNs);
    expect(latencyNs).toBeCloseTo(80 * curveFactor(DEFAULT_CURVE, bandwidth / 100), 2);
  });

  test('two programs share a saturated node by what they keep in flight', () => {
    const spec = machine([node(0, 1, 80, 100)]);
    const stream = { cpuNid: 0, readShare: 1, weights: [1] };
    const { bandwidths } = runClosedLoop(spec, [
      { ...stream, inFlightBytes: 60e3 },
      { ...stream, inFlightBytes: 20e3 },
    ]);
    expect(bandwidths[0]).toBeCloseTo(75, 6);
    expect(bandwidths[1]).toBeCloseTo(25, 6);
  });

  test('a link adds latency, and its own traffic slows only the paths over it', () => {
    const spec = machine([node(0, 1, 80, 100), node(1, 1, 80, 100)], [link([0], [1], 30)]);
    const cost = new AccessCost(spec);
    expect([...cost.readNs]).toEqual([80, 130, 80, 80]);
    for (let i = 0; i < 300; i++) {
      cost.addTraffic(0, 1, 27 * QUANTUM_NS, 0);
      cost.endQuantum(QUANTUM_NS);
    }
    expect(cost.linkUtilisation(0)).toBeCloseTo(0.9, 12);
    expect(cost.utilisation(1)).toBeCloseTo(0.27, 12);
    expect(cost.readNs[1]).toBeCloseTo(130 * curveFactor(DEFAULT_CURVE, 0.9), 4);
    expect(cost.readNs[3]).toBeCloseTo(80 * curveFactor(DEFAULT_CURVE, 0.27), 4);
    expect(cost.readNs[0]).toBe(80);
  });

  test('a link is full duplex', () => {
    const cost = new AccessCost(
      machine([node(0, 1, 80, 100), node(1, 0, 80, 100)], [link([0], [1], 30)]),
    );
    cost.addTraffic(0, 1, 15 * QUANTUM_NS, 15 * QUANTUM_NS);
    cost.endQuantum(QUANTUM_NS);
    expect(cost.linkUtilisation(0)).toBeCloseTo(0.5, 12);
  });

  test('migration traffic loads both ends', () => {
    const cost = new AccessCost(machine([node(0, 1, 80, 100), node(1, 0, 200, 20)]));
    cost.addCopyTraffic(1, 0, 10 * QUANTUM_NS);
    cost.endQuantum(QUANTUM_NS);
    expect(cost.utilisation(1)).toBeCloseTo(0.5, 12);
    expect(cost.utilisation(0)).toBeCloseTo(0.2, 12);
  });

  test('a copy takes longer from slow and from busy nodes, and obeys the peaks', () => {
    const spec = machine([node(0, 1, 80, 100), node(1, 0, 200, 40)]);
    const cost = new AccessCost(spec);
    const local = cost.copyNs(0, 0, 1e6);
    expect(local).toBeCloseTo(1e6 / COST_DEFAULTS.copyBandwidth, 6);
    expect(cost.copyNs(0, 1, 1e6) / local).toBeCloseTo((80 + 100) / 120, 9);
    expect(cost.copyNs(1, 0, 1e6) / local).toBeCloseTo((200 + 40) / 120, 9);
    cost.addTraffic(0, 0, 90 * QUANTUM_NS, 0);
    cost.endQuantum(QUANTUM_NS);
    expect(cost.copyNs(0, 1, 1e6) / local).toBeGreaterThan(180 / 120);
    const narrow = new AccessCost(machine([node(0, 1, 80, 100), node(1, 0, 80, 4)]));
    expect(narrow.copyNs(1, 0, 1e6)).toBeCloseTo(1e6 / 4, 6);
    expect(narrow.copyNs(0, 1, 1e6)).toBeCloseTo(1e6 / 2, 6);
  });

  test('the same traffic gives the same bits', () => {
    const run = () => {
      const cost = new AccessCost(machine([node(0, 1, 80, 100), node(1, 0, 200, 20)]));
      for (let i = 1; i < 50; i++) {
        cost.addTraffic(0, i % 2, (i * 1e9) / 7, i * 3e7);
        cost.endQuantum(QUANTUM_NS);
      }
      return [...cost.readNs, ...cost.writeNs];
    };
    expect(run()).toEqual(run());
  });
});
