import { beforeAll, describe, expect, it } from 'vitest';
import { fabricateMachine } from '../../test/experiment/fabricate.ts';
import { GIB, MIB } from '../base/units.ts';
import {
  type MachineSpec,
  machineFileReader,
  nodeManagedBytes,
  withNodeSize,
} from '../hw/index.ts';
import { NO_HEADROOM, parseRatio } from './experiment.ts';
import {
  allFast,
  ampleBytes,
  fastBytes,
  pricePerGib,
  tierNodes,
  withRatio,
} from './machineSizing.ts';

let one: MachineSpec;
let four: MachineSpec;
beforeAll(async () => {
  one = await fabricateMachine('one');
  four = await fabricateMachine('four', 4);
});

const sizes = (spec: MachineSpec) => spec.nodes.map(nodeManagedBytes);
const need = (footprintBytes: number, fileBytes = 0) => ({ footprintBytes, fileBytes });
const ratio = (text: string) => parseRatio(text)!;

describe('parseRatio', () => {
  it.each([
    ['1:2', { fast: 1, slow: 2 }],
    ['2.5:1', { fast: 2.5, slow: 1 }],
    ['0:1', null],
    ['1:2:3', null],
    ['half', null],
    ['-1:2', null],
  ])('reads %s', (text, expected) => {
    expect(parseRatio(text)).toEqual(expected);
  });
});

describe('fastBytes', () => {
  it.each([
    ['1:2', NO_HEADROOM, 100],
    ['1:1', NO_HEADROOM, 150],
    ['1:8', NO_HEADROOM, 300 / 9],
    ['1:2', { bytes: 5 * MIB, share: 0 }, 105],
    ['1:2', { bytes: 0, share: 0.02 }, 106],
  ])('of 300 MiB at %s with %o is %d MiB, rounded up to a page', (text, headroom, expected) => {
    const bytes = fastBytes(300 * MIB, ratio(text), headroom);
    expect(bytes % 4096).toBe(0);
    expect(bytes - expected * MIB).toBeGreaterThanOrEqual(-1e-6);
    expect(bytes - expected * MIB).toBeLessThan(4096);
  });
});

describe('pricePerGib', () => {
  const priced = (prices: readonly number[]): MachineSpec => {
    const nodes = four.nodes.map((node, nid) => ({ ...node, costPerGib: prices[nid]! }));
    return withNodeSize({ ...four, nodes }, 4, 3 * nodeManagedBytes(four.nodes[1]!));
  };

  it('is the mean of the nodes by their sizes, as memory is split over them', () => {
    expect(pricePerGib(priced([4, 1, 2, 3, 5]), [0])).toBe(4);
    expect(pricePerGib(priced([4, 1, 2, 3, 5]), [1, 2, 3, 4])).toBe((1 + 2 + 3 + 3 * 5) / 6);
  });

  it('is not known when the price of one of them is missing', () => {
    expect(pricePerGib(priced([4, 1, 2, 0, 5]), [1, 2, 3, 4])).toBe(0);
  });
});

describe('withRatio', () => {
  it('sizes fast memory exactly and gives the slow nodes more than the program', () => {
    const sized = withRatio(one, ratio('1:2'), NO_HEADROOM, need(300 * MIB));
    expect(sizes(sized)).toEqual([100 * MIB, ampleBytes(need(300 * MIB))]);
    expect(ampleBytes(need(300 * MIB))).toBe(631 * MIB);
  });

  it('grows a node as well', () => {
    const sized = withRatio(one, ratio('1:1'), NO_HEADROOM, need(8 * GIB));
    expect(sizes(sized)[0]).toBe(4 * GIB);
  });

  it('splits slow memory over its nodes as they are sized', () => {
    const [dram, ...cxl] = sizes(withRatio(four, ratio('1:2'), NO_HEADROOM, need(300 * MIB)));
    expect(dram).toBe(100 * MIB);
    expect(new Set(cxl).size).toBe(1);
    expect(cxl.reduce((sum, bytes) => sum + bytes, 0)).toBe(ampleBytes(need(300 * MIB)));
  });

  it('keeps latencies, so tiers are the same (TI-6)', () => {
    expect(tierNodes(withRatio(four, ratio('1:8'), NO_HEADROOM, need(300 * MIB)))).toEqual({
      fast: [0],
      slow: [1, 2, 3, 4],
    });
  });

  it('refuses a machine of one kind of memory', async () => {
    const { parseMachine } = await machineFileReader();
    const text = `format: machine/1\nname: plain\nnodes:
  - {kind: dram, cpus: 4, size: 1GiB, latency: 100ns, bandwidth: 100GB/s}\n`;
    const plain = parseMachine(text, 'plain.yaml');
    expect(() => withRatio(plain, ratio('1:2'), NO_HEADROOM, need(GIB))).toThrow(
      /^plain 1:2: a ratio needs fast and slow memory/,
    );
    expect(sizes(allFast(plain, need(300 * MIB)))).toEqual([ampleBytes(need(300 * MIB))]);
  });

  it('says which kernel has no tiers from performance, and what makes some (TI-2)', () => {
    const old: MachineSpec = { ...one, kernel: '6.1' };
    expect(() => withRatio(old, ratio('1:2'), NO_HEADROOM, need(GIB))).toThrow(
      /^one 1:2: .*Linux 6\.1 has no tiers from latency and bandwidth.*abstract_distance: 2880/,
    );
    const [dram, cxl] = old.nodes;
    const kmem = { ...old, nodes: [dram!, { ...cxl!, abstractDistance: 2880 }] };
    expect(tierNodes(kmem)).toEqual({ fast: [0], slow: [1] });
  });

  it('refuses fast memory that no kernel could run in, unless headroom helps', () => {
    expect(() => withRatio(one, ratio('1:8'), NO_HEADROOM, need(20 * MIB))).toThrow(
      /one 1:8: 2\.2\d MiB of fast memory for a footprint of 20\.0 MiB is less than the 4\.00 MiB/,
    );
    const headroom = { bytes: 4 * MIB, share: 0 };
    expect(sizes(withRatio(one, ratio('1:8'), headroom, need(20 * MIB)))[0]).toBeGreaterThan(
      6 * MIB,
    );
  });
});

describe('allFast', () => {
  it('has room for the page cache of the files, too', () => {
    const [dram] = sizes(allFast(one, need(300 * MIB, 500 * MIB)));
    expect(dram).toBe(1256 * MIB);
  });

  it('holds the program in the fast node, and the CXL node is still there', () => {
    const sized = allFast(one, need(300 * MIB));
    expect(sizes(sized)).toEqual([ampleBytes(need(300 * MIB)), ampleBytes(need(300 * MIB))]);
  });
});
