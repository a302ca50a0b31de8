/** Small machines for tests: two nodes, DRAM with CPUs and CXL without. */
import type { MachineSpec } from '../hw/index.ts';
import { COST_DEFAULTS } from '../hw/index.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';

const FLAT = { utilisation: [0, 1], factor: [1, 1] };

/** `pages0` and `pages1` are multiples of 32768 (one section). */
export function twoNodes(
  pages0 = 32768,
  pages1 = 32768,
  options: { movable1?: boolean; swapPages?: number } = {},
): MachineSpec {
  const perf = (latency: number, bandwidth: number) => ({
    readLatencyNs: latency,
    writeLatencyNs: latency,
    readBandwidth: bandwidth,
    writeBandwidth: bandwidth,
    mixBandwidth: [1, 1, 1, 1, 1] as const,
    curve: FLAT,
  });
  const zone = (type: 2 | 3, startPfn: number, pages: number) => ({
    zone: type,
    startPfn,
    endPfn: startPfn + pages,
    absentPages: 0,
    reservedPages: 0,
  });
  return {
    name: 'two-nodes',
    sources: ['test'],
    kernel: '7.3',
    nodes: [
      {
        nid: 0,
        kind: 'dram',
        role: 'DRAM',
        cpus: [0, 1],
        perf: perf(80, 20),
        zones: [zone(ZONE_NORMAL, 32768, pages0)],
        hotplugged: false,
        costPerGib: 0,
      },
      {
        nid: 1,
        kind: 'cxl',
        role: 'CXL',
        cpus: [],
        perf: perf(250, 10),
        zones: [zone(options.movable1 ? ZONE_MOVABLE : ZONE_NORMAL, 32768 + pages0, pages1)],
        hotplugged: false,
        costPerGib: 0,
      },
    ],
    distance: [
      [10, 20],
      [20, 10],
    ],
    links: [],
    swap: { pages: options.swapPages ?? 4096, readNs: 1000, writeNs: 1000 },
    costs: COST_DEFAULTS,
    sysctl: {},
    vdso: false,
  };
}
