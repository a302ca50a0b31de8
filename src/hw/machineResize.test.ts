/** The same machine with another amount of memory in a node: exact, without overlaps. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GIB, MIB, PAGE_SIZE } from '../base/units.ts';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { parseMachine } from './machineFile.ts';
import { withNodeSize } from './machineResize.ts';
import type { MachineSpec } from './machineSpec.ts';
import { type ObservedMachines, observedMachine } from './observedMachine.ts';
import { nodeManagedBytes, zonePresentPages } from './topology.ts';

const observed = JSON.parse(
  readFileSync(new URL('../../test/conformance/machines.json', import.meta.url), 'utf8'),
) as ObservedMachines;

function machine(dram: string, top = ''): MachineSpec {
  return parseMachine(
    `format: machine/1
name: m
${top}
nodes:
  - {kind: dram, cpus: 1, latency: 80ns, bandwidth: 100GB/s, ${dram}}
  - {kind: cxl, size: 2GiB, latency: 200ns, bandwidth: 20GB/s}
`,
    'm.yaml',
  );
}

function expectSound(spec: MachineSpec): void {
  const zones = spec.nodes.flatMap((node) => node.zones);
  zones.sort((a, b) => a.startPfn - b.startPfn);
  for (const [i, zone] of zones.entries()) {
    expect(zone.absentPages).toBeGreaterThanOrEqual(0);
    expect(zonePresentPages(zone)).toBeGreaterThan(zone.reservedPages);
    if (i > 0) expect(zone.startPfn).toBeGreaterThanOrEqual(zones[i - 1]!.endPfn);
  }
}

describe('withNodeSize', () => {
  test.each([
    ['smaller than a section', 33 * MIB],
    ['smaller', 1000 * MIB],
    ['odd bytes, rounded up to a page', 700 * MIB + 1],
    ['the same', GIB],
    ['larger', 5 * GIB + PAGE_SIZE],
  ])('%s', (_, bytes) => {
    const spec = withNodeSize(machine('size: 1GiB'), 0, bytes);
    expect(nodeManagedBytes(spec.nodes[0]!)).toBe(Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE);
    expect(nodeManagedBytes(spec.nodes[1]!)).toBe(2 * GIB);
    expect(spec.nodes[0]!.zones.every((zone) => zone.endPfn % 32768 === 0)).toBe(true);
    expectSound(spec);
  });

  test('leaves the rest of the machine alone, and the original too', () => {
    const spec = machine('size: 1GiB');
    const before = JSON.stringify(spec);
    const other = withNodeSize(spec, 1, 3 * GIB);
    expect(JSON.stringify(spec)).toBe(before);
    expect(other.nodes[0]).toEqual(spec.nodes[0]);
    expect({ ...other, nodes: [] }).toEqual({ ...spec, nodes: [] });
  });

  test('fills kernel zones from the bottom', () => {
    const spec = machine('size: 6GiB', 'low_zones: true');
    const sizes = (bytes: number) =>
      withNodeSize(spec, 0, bytes).nodes[0]!.zones.map((z) => [z.zone, zonePresentPages(z)]);
    expect(sizes(8 * MIB)).toEqual([[ZONE_DMA, 2048 + 1]]);
    expect(sizes(GIB)).toEqual([
      [ZONE_DMA, 4096],
      [ZONE_DMA32, 262144 - 4095],
    ]);
    expect(sizes(4 * GIB).map(([zone]) => zone)).toEqual([ZONE_DMA, ZONE_DMA32, ZONE_NORMAL]);
    for (const bytes of [8 * MIB, GIB, 4 * GIB, 9 * GIB]) {
      const resized = withNodeSize(spec, 0, bytes);
      expect(nodeManagedBytes(resized.nodes[0]!)).toBe(bytes);
      expectSound(resized);
    }
  });

  test('keeps the share of ZONE_MOVABLE, in pageblocks', () => {
    const spec = machine('size: 1GiB, movable: 512MiB');
    for (const bytes of [100 * MIB, 3 * GIB]) {
      const { zones } = withNodeSize(spec, 0, bytes).nodes[0]!;
      expect(zones.map((z) => z.zone)).toEqual([ZONE_NORMAL, ZONE_MOVABLE]);
      expect(zonePresentPages(zones[1]!)).toBe(bytes / 2 / PAGE_SIZE);
      expectSound(withNodeSize(spec, 0, bytes));
    }
  });

  test('keeps what boot reserves out of the size', () => {
    const spec = withNodeSize(machine('size: 1GiB, reserved: 16MiB'), 0, 640 * MIB);
    expect(nodeManagedBytes(spec.nodes[0]!)).toBe(640 * MIB);
    expect(spec.nodes[0]!.zones[0]!.reservedPages).toBe((16 * MIB) / PAGE_SIZE);
  });

  test('moves nodes between the zones of a node out of the way', () => {
    const spec = observedMachine(observed, 'four-nodes-cma');
    const resized = withNodeSize(spec, 0, 8 * GIB);
    expect(nodeManagedBytes(resized.nodes[0]!)).toBe(8 * GIB);
    for (const nid of [1, 2, 3]) {
      expect(nodeManagedBytes(resized.nodes[nid]!)).toBe(nodeManagedBytes(spec.nodes[nid]!));
    }
    expectSound(resized);
  });
});
