/** Machine files: what they mean, and what is said about wrong ones (place, field, remedy). */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GIB, MIB } from '../base/units.ts';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { machineJsonSchema, parseMachine } from './machineFile.ts';
import { endPfnMax, nodeManagedBytes } from './topology.ts';

const MACHINES = new URL('../../machines/', import.meta.url);

/** A machine of one DRAM node (line 4) and one CXL node (line 9), with `changes` applied. */
function machineText(...changes: [string, string][]): string {
  let text = `format: machine/1
name: small
nodes:
  - kind: dram
    cpus: 2
    size: 1GiB
    latency: 80ns
    bandwidth: 100GB/s
  - kind: cxl
    size: 2GiB
    latency: {read: 200ns, write: 180ns}
    bandwidth: {read: 20GB/s, mix: {"1:1": 30GB/s}}
`;
  for (const [from, to] of changes) {
    expect(text).toContain(from);
    text = text.replace(from, to);
  }
  return text;
}

/** The message about a wrong file, without the file name. */
function complaint(text: string): string {
  try {
    parseMachine(text, 'm.yaml');
  } catch (error) {
    expect((error as Error).name).toBe('UserError');
    return (error as Error).message.replaceAll('m.yaml:', '');
  }
  return 'accepted';
}

describe('a machine file', () => {
  test('says kinds, CPUs, sizes, latencies and bandwidths', () => {
    const spec = parseMachine(machineText(), 'm.yaml');
    const [dram, cxl] = spec.nodes;
    expect(spec).toMatchObject({ name: 'small', kernel: '7.3', vdso: true, links: [] });
    expect(dram).toMatchObject({ nid: 0, kind: 'dram', cpus: [0, 1], hotplugged: false });
    expect(dram!.perf).toMatchObject({ readLatencyNs: 80, writeLatencyNs: 80 });
    expect(cxl!.perf).toMatchObject({ readLatencyNs: 200, writeLatencyNs: 180 });
    expect(cxl!.perf.readBandwidth).toBe(20);
    expect(cxl!.perf.mixBandwidth).toEqual([1, 1.25, 1.5, 1.25, 1]);
    expect(spec.nodes.map(nodeManagedBytes)).toEqual([GIB, 2 * GIB]);
  });

  test('lays memory out from 4 GiB on, node after node', () => {
    const spec = parseMachine(machineText(), 'm.yaml');
    const zones = spec.nodes.flatMap((node) => node.zones);
    expect(zones.map((z) => [z.zone, z.startPfn, z.endPfn])).toEqual([
      [ZONE_NORMAL, 0x100000, 0x140000],
      [ZONE_NORMAL, 0x140000, 0x1c0000],
    ]);
  });

  test('has low zones and a PCI window as on x86 if asked', () => {
    const text = machineText(['nodes:', 'low_zones: true\nnodes:'], ['1GiB', '5GiB']);
    const spec = parseMachine(text, 'm.yaml');
    expect(spec.nodes[0]!.zones.map((z) => [z.zone, z.startPfn, z.endPfn])).toEqual([
      [ZONE_DMA, 0, 4096],
      [ZONE_DMA32, 4096, 0xc0000],
      [ZONE_NORMAL, 0x100000, 0x180000],
    ]);
    // The first page of memory is the firmware's.
    expect(nodeManagedBytes(spec.nodes[0]!)).toBe(5 * GIB - 4096);
    const tiny = parseMachine(machineText(['nodes:', 'low_zones: true\nnodes:']), 'm.yaml');
    expect(tiny.nodes[0]!.zones.map((z) => z.zone)).toEqual([ZONE_DMA, ZONE_DMA32]);
    expect(tiny.nodes[1]!.zones[0]!.startPfn).toBe(0x100000);
  });

  test('puts ZONE_MOVABLE at the end of a node (OV-4)', () => {
    const part = parseMachine(machineText(['2GiB', '2GiB\n    movable: 512MiB']), 'm.yaml');
    expect(part.nodes[1]!.zones.map((z) => [z.zone, z.endPfn - z.startPfn])).toEqual([
      [ZONE_NORMAL, (1536 * MIB) / 4096],
      [ZONE_MOVABLE, (512 * MIB) / 4096],
    ]);
    const all = parseMachine(machineText(['2GiB', '2GiB\n    movable: all']), 'm.yaml');
    expect(all.nodes[1]!.zones.map((z) => z.zone)).toEqual([ZONE_MOVABLE]);
  });

  test('gets distances from latencies, also between nodes without CPUs', () => {
    const more = machineText([
      '  - kind: cxl',
      '  - {kind: hbm, size: 1GiB, latency: 96ns, bandwidth: 1TB/s}\n  - kind: cxl',
    ]);
    expect(parseMachine(more, 'm.yaml').distance).toEqual([
      [10, 12, 25],
      [12, 10, 27],
      [25, 27, 10],
    ]);
    const given = `${machineText()}distances: [[10, 20], [20, 10]]\n`;
    expect(parseMachine(given, 'm.yaml').distance).toEqual([
      [10, 20],
      [20, 10],
    ]);
  });

  test('numbers CPUs, or takes their lists', () => {
    const text = machineText(['cpus: 2', 'cpus: "0-1,4"'], ['kind: cxl', 'kind: cxl\n    cpus: 2']);
    const spec = parseMachine(text, 'm.yaml');
    expect(spec.nodes.map((node) => node.cpus)).toEqual([
      [0, 1, 4],
      [5, 6],
    ]);
  });

  test('says zones in full, as /proc/zoneinfo does', () => {
    const zones = `zones:
      - {zone: DMA, start_pfn: 1, end_pfn: 4096, present_pages: 3998, managed_pages: 3840,
         watermark: {min: 143, low: 178, high: 213}}
      - {zone: Normal, start_pfn: 1048576, end_pfn: 1441792, present_pages: 262144,
         holes: [{start_pfn: 1048576, end_pfn: 1179648}],
         cma: [{start_pfn: 1310720, pages: 32768}]}`;
    const [dma, normal] = parseMachine(machineText(['size: 1GiB', zones]), 'm.yaml').nodes[0]!
      .zones;
    expect(dma).toMatchObject({ absentPages: 97, reservedPages: 158, watermark: { low: 178 } });
    expect(normal).toMatchObject({ zone: ZONE_NORMAL, absentPages: 131072, reservedPages: 0 });
    expect(normal!.cma).toEqual([{ startPfn: 1310720, pages: 32768 }]);
  });

  test('describes links, one way and both', () => {
    const text = `${machineText(['kind: cxl', 'kind: dram\n    cpus: 2'])}links:
  - {name: UPI, from: [0], to: [1], both_ways: true, latency: 60ns, bandwidth: 34GB/s}
`;
    const { links } = parseMachine(text, 'm.yaml');
    expect(links.map(({ name, from, to }) => [name, from, to])).toEqual([
      ['UPI 0>1', [0], [1]],
      ['UPI 1>0', [1], [0]],
    ]);
    expect(links[1]).toMatchObject({ latencyNs: 60, readBandwidth: 34, writeBandwidth: 34 });
  });

  test('sets costs, swap, sysctl and weights; defaults for the rest', () => {
    const text = `${machineText()}costs: {copy_bandwidth: 8GB/s, hint_fault: 1us}
swap: {size: 1GiB, read: 90us}
sysctl: {numa_balancing: 2, demotion_enabled: true}
interleave_weights: {0: 3, 1: 1}
kernel: 6.12
`;
    const spec = parseMachine(text, 'm.yaml');
    expect(spec.costs).toMatchObject({ copyBandwidth: 8, hintFaultNs: 1000, rmapEntryNs: 202 });
    expect(spec.swap).toEqual({ pages: 262144, readNs: 90_000, writeNs: 20_000 });
    expect(spec.sysctl).toEqual({ numa_balancing: 2, demotion_enabled: true });
    expect(spec.interleaveWeights).toEqual({ 0: 3, 1: 1 });
    expect(spec.kernel).toBe('6.12');
  });
});

describe('device memory nodes and experimental features', () => {
  const file = (more: string, top = '') => {
    const text = `format: machine/1
name: device
${top}nodes:
  - {kind: dram, cpus: 1, size: 256MiB, latency: 100ns, bandwidth: 100GB/s}
  - {kind: hbm, size: 256MiB, latency: 100ns, bandwidth: 100GB/s, ${more}}
`;
    return parseMachine(text, 'device.yaml');
  };

  test('D6: a preset, or a list of capabilities; without the key all', () => {
    expect(file('capabilities: coherent-2022').nodes[1].capabilities).toEqual([]);
    expect(file('capabilities: [damon, ksm]').nodes[1].capabilities).toEqual(['damon', 'ksm']);
    expect(file('hotplugged: false').nodes[1].capabilities).toBeUndefined();
    expect(() => file('capabilities: cdm-1999')).toThrow(
      /cdm-2016, public-2017, coherent-2022, private-2026/,
    );
  });

  test('what Linux does not have is named among the sources', () => {
    const spec = file('hotplugged: false', 'experimental: [device_page_cache]\n');
    expect(spec.experimental).toEqual(['device_page_cache']);
    expect(spec.sources).toContain('experimental, not in Linux: device_page_cache');
    expect(() => file('hotplugged: false', 'experimental: [magic]\n')).toThrow(/device_page_cache/);
    const twice = 'experimental: [device_page_cache, device_page_cache]\n';
    expect(() => file('hotplugged: false', twice)).toThrow(/device_page_cache twice/);
  });

  test('D9: dirty pages on a device need the page cache there', () => {
    const alone = 'experimental: [device_dirty_pages]\n';
    expect(() => file('hotplugged: false', alone)).toThrow(/add device_page_cache/);
    const both = 'experimental: [device_dirty_pages, device_page_cache]\n';
    expect(file('hotplugged: false', both).experimental).toHaveLength(2);
  });
});

describe('a wrong machine file', () => {
  const cxlMemory = '    bandwidth: {read: 20GB/s, mix: {"1:1": 30GB/s}}\n';
  const twoRows = (matrix: string): [string, string] => [
    cxlMemory,
    `${cxlMemory}distances: ${matrix}\n`,
  ];
  const link = (fields: string): [string, string] => [
    cxlMemory,
    `${cxlMemory}links: [{${fields}}]\n`,
  ];
  test.each<[string, [string, string][], string]>([
    [
      'no machine file',
      [['format: machine/1', 'format: experiment/1']],
      '1:9: format: not a machine file (it begins with format: machine/1)',
    ],
    ['broken YAML', [['[', '[']].slice(1) as [string, string][], 'accepted'],
    [
      'an unknown key',
      [['latency: 80ns', 'latancy: 80ns']],
      '7:5: nodes.0.latancy: unknown key latancy (did you mean latency?)',
    ],
    [
      'an unknown key, nothing near',
      [['latency: 80ns', 'colour: red']],
      '7:5: nodes.0.colour: unknown key colour (known: kind',
    ],
    ['a key twice', [['cpus: 2', 'cpus: 2\n    cpus: 3']], '6:5: Map keys must be unique'],
    [
      'an unknown kind',
      [['kind: cxl', 'kind: optane']],
      '9:11: nodes.1.kind: expected one of dram, cxl, hbm, pmem',
    ],
    [
      'a size without unit',
      [['1GiB', '64']],
      '6:11: nodes.0.size: expected a size with its unit (such as 64GiB',
    ],
    ['a decimal size', [['1GiB', '1GB']], '6:11: nodes.0.size: expected a size with its unit'],
    [
      'a time of another unit',
      [['80ns', '80min']],
      '7:14: nodes.0.latency: expected a time with its unit (such as 80ns',
    ],
    [
      'a bandwidth in bits',
      [['100GB/s', '100Gb/s']],
      '8:16: nodes.0.bandwidth: expected a bandwidth with its unit',
    ],
    [
      'a mix that is none',
      [['"1:1"', 'half']],
      'bandwidth.mix.half: expected a mix as READS:WRITES',
    ],
    [
      'a size off the grid',
      [['1GiB', '1000MiB']],
      '6:11: nodes.0.size: 1000MiB is not a multiple of 128MiB (Linux handles memory in sections',
    ],
    [
      'no memory',
      [
        ['1GiB', '0'],
        ['kind: cxl', 'kind: cxl\n    cpus: 2'],
        ['2GiB', '0'],
      ],
      '4:3: nodes: no node has memory',
    ],
    ['no CPUs', [['    cpus: 2\n', '']], '4:3: nodes: no node has CPUs (give one cpus: 8)'],
    [
      'a node with nothing',
      [['2GiB', '0']],
      '10:11: nodes.1.size: a node with neither memory nor CPUs',
    ],
    [
      'no size',
      [['    size: 1GiB\n', '']],
      '4:5: nodes.0: size is missing (size: 64GiB, or zones: in full)',
    ],
    ['no latency', [['    latency: 80ns\n', '']], '4:5: nodes.0: latency is missing'],
    ['bandwidth 0', [['100GB/s', '0GB/s']], '8:16: nodes.0.bandwidth: a bandwidth of 0'],
    ['latency 0', [['80ns', '0ns']], '7:14: nodes.0.latency: a latency of 0'],
    [
      'more movable than there is',
      [['2GiB', '2GiB\n    movable: 3GiB']],
      "11:14: nodes.1.movable: more than the node's 2GiB",
    ],
    [
      'all reserved',
      [['2GiB', '2GiB\n    reserved: 2GiB']],
      '11:15: nodes.1.reserved: boot would keep the whole node',
    ],
    [
      'a CPU in two nodes',
      [
        ['cpus: 2', 'cpus: "0-3"'],
        ['kind: cxl', 'kind: cxl\n    cpus: "3"'],
      ],
      '10:11: nodes.1.cpus: CPU 3 is already in node 0',
    ],
    [
      'a million CPUs',
      [['cpus: 2', 'cpus: "0-999999999"']],
      '5:11: nodes.0.cpus: CPU 999999999 (CPU numbers are below 8192)',
    ],
    [
      'memory over memory',
      [['2GiB', '2GiB\n    start: 4GiB']],
      '11:12: nodes.1.start: its memory overlaps that of node 0 (page 1310720 (5 GiB) is the',
    ],
    ['more than 1 TiB', [['2GiB', '1TiB']], '4:3: nodes: 1 TiB of memory in all'],
    [
      'distance matrix of another size',
      [twoRows('[[10]]')],
      '13:12: distances: 1 rows for 2 nodes',
    ],
    ['a short row', [twoRows('[[10, 20], [20]]')], '13:23: distances.1: 1 columns for 2 nodes'],
    [
      'asymmetric distances',
      [twoRows('[[10, 20], [21, 10]]')],
      '13:18: distances.0.1: 20 there and 21 back',
    ],
    [
      'distance below local',
      [twoRows('[[10, 9], [9, 10]]')],
      '13:18: distances.0.1: distance 9 (local is 10',
    ],
    [
      'local distance',
      [twoRows('[[11, 20], [20, 10]]')],
      '13:14: distances.0.0: local distance 11',
    ],
    [
      'a curve that falls',
      [['80ns', '80ns\n    curve: [[0, 1], [0.5, 3], [1, 2]]']],
      '8:31: nodes.0.curve.2: factor 2 after 3',
    ],
    [
      'a curve beyond 1',
      [['80ns', '80ns\n    curve: [[0, 1], [1.5, 3]]']],
      '8:21: nodes.0.curve.1: utilisation 1.5 after 0',
    ],
    [
      'a link to nowhere',
      [link('name: x, from: [0], to: [7], bandwidth: 1GB/s')],
      'links.0.to.0: there is no node 7 (nodes are 0 to 1)',
    ],
    [
      'a link from memory',
      [link('name: x, from: [1], to: [0], bandwidth: 1GB/s')],
      'links.0.from.0: node 1 has no CPUs',
    ],
    [
      'a dead link',
      [link('name: x, from: [0], to: [1], bandwidth: 0GB/s')],
      'links.0.bandwidth: a bandwidth of 0',
    ],
    [
      'weights of no node',
      [[cxlMemory, `${cxlMemory}interleave_weights: {4: 1}\n`]],
      '13:25: interleave_weights.4: there is no node 4 with memory',
    ],
    [
      'zones and size',
      [['1GiB', '1GiB\n    zones: [{zone: Normal, start_pfn: 0, end_pfn: 32768}]']],
      '6:11: nodes.0.size: size beside zones',
    ],
    [
      'zones out of order',
      [
        [
          'size: 1GiB',
          'zones: [{zone: Normal, start_pfn: 32768, end_pfn: 65536}, ' +
            '{zone: DMA32, start_pfn: 0, end_pfn: 32768}]',
        ],
      ],
      'nodes.0.zones.1: zone DMA32 after Normal',
    ],
    [
      'more present than spanned',
      [['size: 1GiB', 'zones: [{zone: Normal, start_pfn: 0, end_pfn: 9, present_pages: 10}]']],
      'nodes.0.zones.0.present_pages: more than the span of 9',
    ],
  ])('%s', (_, changes, expected) => {
    expect(complaint(machineText(...changes))).toContain(expected);
  });

  test('broken YAML is placed', () => {
    expect(complaint('format: machine/1\nnodes: [1, 2\nname: x\n')).toMatch(/^[23]:\d+: /);
    expect(complaint('')).toBe('1:1: Invalid input: expected object, received null');
  });

  test('all problems are listed, a line each', () => {
    const lines = complaint(machineText(['1GiB', '1000MiB'], ['80ns', '0ns'])).split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^7:14: nodes.0.latency: a latency of 0/);
  });

  test('what is missing is named', () => {
    const link = `${machineText()}links: [{name: x, from: [0], to: [1]}]\n`;
    expect(complaint(link)).toContain('13:9: links.0.bandwidth: is missing (such as');
    const latency = machineText(['latency: {read: 200ns, write: 180ns}', 'latency: {read: 200ns}']);
    expect(complaint(latency)).toContain('11:14: nodes.1.latency.write: is missing (such as 80ns');
  });

  test('aliases do not explode', () => {
    const levels = Array.from(
      { length: 9 },
      (_, i) => `a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}]`,
    );
    levels[0] = 'a0: &a0 [x]';
    expect(complaint(levels.join('\n'))).toContain('alias');
  });
});

describe('shipped machines', () => {
  const files = readdirSync(MACHINES).filter((name) => name.endsWith('.yaml'));
  test.each(files)('%s is valid, named like its file, with sources', (name) => {
    const text = readFileSync(new URL(name, MACHINES), 'utf8');
    const spec = parseMachine(text, name);
    expect(`${spec.name}.yaml`).toBe(name);
    expect(spec.sources.length).toBeGreaterThan(0);
    expect(endPfnMax(spec)).toBeGreaterThan(0);
    expect(text).toContain('# yaml-language-server: $schema=../docs/machine.schema.json');
  });
});

test('docs/machine.schema.json is what `hetmem machine schema` prints', () => {
  const path = new URL('../../docs/machine.schema.json', import.meta.url);
  const shipped = JSON.parse(readFileSync(path, 'utf8'));
  expect(shipped).toEqual(JSON.parse(JSON.stringify(machineJsonSchema())));
});
