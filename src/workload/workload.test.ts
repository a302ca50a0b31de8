import { describe, expect, it } from 'vitest';
import { resolveKnobs } from '../policy/index.ts';
import {
  END,
  EVENT,
  SLICE,
  SLICE_ACCESSES_MAX,
  type TraceEvent,
  type TraceSource,
  vpnOfPageWord,
} from '../trace/index.ts';
import {
  findWorkload,
  MEMORY_VPN,
  openWorkload,
  WORKLOADS,
  type WorkloadDescription,
  type WorkloadValues,
} from './index.ts';
import { skeleton } from './skeleton.ts';

/** Small: 2 MiB, 40,000 accesses. */
function values(of: WorkloadDescription, params: Record<string, unknown> = {}): WorkloadValues {
  const has = (name: string) => of.knobs.some((knob) => knob.name === name);
  const small = {
    ...(has('size') ? { size: 2 } : {}),
    ...(has('scale') ? { scale: has('edgefactor') ? 8 : 0.01 } : {}),
    ...(has('cold') ? { cold: 3 } : {}),
    ...(has('antagonistSize') ? { antagonistSize: 1 } : {}),
    accesses: 0.04,
  };
  const { values: resolved, problems } = resolveKnobs(of.knobs, { ...small, ...params });
  expect(problems).toEqual([]);
  return resolved;
}

function open(name: string, params: Record<string, unknown> = {}, seed = 1): TraceSource {
  const description = findWorkload(name)!;
  return openWorkload(description, values(description, params), seed);
}

interface Contents {
  readonly events: TraceEvent[];
  readonly runs: number;
  readonly slices: number;
  readonly accesses: number;
  /** By process: page -> accesses and writes, those that fill the memory left out. */
  readonly pages: Map<number, { reads: number; writes: number }>[];
  readonly digest: number;
}

function read(source: TraceSource, isFilled = true): Contents {
  const events: TraceEvent[] = [];
  const pages: Map<number, { reads: number; writes: number }>[] = [];
  let runs = 0;
  let slices = 0;
  let accesses = 0;
  let digest = 0;
  const insn = new Map<number, number>();
  /** By process: pages filled so far, from the first on. */
  const filled = source.processes.map(() => 0);
  for (let item = source.next(); item !== END; item = source.next()) {
    if (item === EVENT) {
      events.push(source.event);
      continue;
    }
    const { slice } = source;
    const { pid, tid, count, page, weight } = slice;
    expect(source.threads[tid].pid).toBe(pid);
    expect(slice.insnStart).toBe(insn.get(tid) ?? 0);
    insn.set(tid, slice.insnEnd);
    pages[pid] ??= new Map();
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const vpn = vpnOfPageWord(source.regionBase(pid), page[i]) - MEMORY_VPN;
      sum += weight[i];
      digest = (Math.imul(digest, 31) + page[i] + weight[i]) | 0;
      if (isFilled && filled[pid] === vpn && weight[i] === 64) {
        filled[pid]++;
        continue;
      }
      const at = pages[pid].get(vpn) ?? { reads: 0, writes: 0 };
      if ((page[i] & 1) !== 0) at.writes += weight[i];
      else at.reads += weight[i];
      pages[pid].set(vpn, at);
    }
    expect(sum).toBe(slice.accesses);
    expect(sum).toBeLessThanOrEqual(SLICE_ACCESSES_MAX);
    runs += count;
    accesses += sum;
    slices++;
  }
  return { events, runs, slices, accesses, pages, digest };
}

function total(pages: Map<number, { reads: number; writes: number }>, from = 0, to = Infinity) {
  let sum = 0;
  for (const [vpn, { reads, writes }] of pages) if (vpn >= from && vpn < to) sum += reads + writes;
  return sum;
}

describe.each([...WORKLOADS, skeleton].map((of) => [of.name, of] as const))('%s', (name, of) => {
  it('has knobs whose defaults are allowed', () => {
    const { values: defaults, problems } = resolveKnobs(of.knobs, {});
    expect([...problems, ...resolveKnobs(of.knobs, defaults).problems]).toEqual([]);
    expect(new Set(of.knobs.map((knob) => knob.name)).size).toBe(of.knobs.length);
  });

  it('gives as much as its totals say, in threads too', () => {
    for (const threads of [1, 3]) {
      const chosen = values(of, { threads });
      const source = openWorkload(of, chosen, 1);
      const { runs, slices, accesses, events } = read(source);
      expect({ accesses, runs, slices, events: events.length }).toEqual(source.totals);
      const plans = of.programs(chosen, 1);
      expect(plans.at(-1)!.nrThreads).toBe(threads);
      const nrThreads = plans.reduce((sum, plan) => sum + plan.nrThreads, 0);
      expect(source.threads.length).toBe(nrThreads);
    }
  });

  it('is the same again: after rewind, with the same seed, and not with another', () => {
    const source = openWorkload(of, values(of), 1);
    const first = read(source).digest;
    source.rewind();
    expect(read(source).digest).toBe(first);
    expect(read(openWorkload(of, values(of), 1)).digest).toBe(first);
    // A scan without writes has nothing to draw, and STREAM draws nothing.
    if (name !== 'scan' && name !== 'stream')
      expect(read(openWorkload(of, values(of), 2)).digest).not.toBe(first);
  });

  it('maps what it touches', () => {
    const source = openWorkload(of, values(of, { hugepages: true }), 1);
    const { events, pages } = read(source);
    for (const [pid, touched] of pages.entries()) {
      const mmap = events.find((event) => event.kind === 'mmap' && event.pid === pid);
      expect(mmap).toMatchObject({ addr: MEMORY_VPN * 4096, result: MEMORY_VPN * 4096 });
      const nrPages = (mmap as { len: number }).len / 4096;
      expect(Math.max(...touched.keys())).toBeLessThan(nrPages);
      expect(events.some((event) => event.kind === 'madvise' && event.pid === pid)).toBe(true);
    }
  });
});

describe('gups', () => {
  it('gives the hot set its share', () => {
    const { pages } = read(open('gups', { fill: false, accesses: 0.4 }), false);
    const counts = [...pages[0].values()].map(({ reads, writes }) => reads + writes);
    counts.sort((a, b) => b - a);
    const hot = counts.slice(0, 51).reduce((sum, n) => sum + n, 0);
    // 0.9 and a tenth of the rest.
    expect(hot / 400_000).toBeCloseTo(0.91, 2);
  });

  it('writes its share', () => {
    for (const writeShare of [0, 0.25, 1]) {
      const { pages } = read(open('gups', { fill: false, writeShare, accesses: 0.4 }), false);
      let writes = 0;
      for (const page of pages[0].values()) writes += page.writes;
      expect(writes / 400_000).toBeCloseTo(writeShare, 2);
    }
  });

  it('has the hot set at either end of the memory', () => {
    const hottest = (hotPlace: string) => {
      const { pages } = read(open('gups', { fill: false, hotPlace, accesses: 0.4 }), false);
      const hot = [...pages[0].entries()].filter(([, { reads, writes }]) => reads + writes > 1000);
      return hot.map(([page]) => page).sort((a, b) => a - b);
    };
    const nrPages = 512;
    expect(hottest('start')).toEqual([...Array(51).keys()]);
    expect(hottest('end')).toEqual([...Array(51).keys()].map((page) => nrPages - 51 + page));
  });

  it('scatters the hot set without changing how hot it is', () => {
    const sorted = (scatter: boolean) => {
      const { pages } = read(open('gups', { fill: false, scatter }), false);
      return [...pages[0].values()]
        .map(({ reads, writes }) => reads + writes)
        .sort((a, b) => a - b);
    };
    expect(sorted(true)).toEqual(sorted(false));
  });
});

describe('zipf', () => {
  it('has its most popular page first unless scattered', () => {
    const hottest = (scatter: boolean): number => {
      const { pages } = read(open('zipf', { fill: false, scatter, accesses: 0.2 }), false);
      const counts = [...pages[0]].map(([vpn, n]) => [vpn, n.reads + n.writes] as const);
      return counts.sort((a, b) => b[1] - a[1])[0][0];
    };
    expect(hottest(false)).toBe(0);
    expect(hottest(true)).not.toBe(0);
  });
});

describe('scan', () => {
  it('goes through all pages in order, a line at a time', () => {
    const source = open('scan', { fill: false });
    const first: number[] = [];
    for (let item = source.next(); item !== END; item = source.next()) {
      if (item !== SLICE) continue;
      first.push(source.slice.page[0] >>> 1);
      expect(source.slice.weight[0]).toBe(64);
    }
    expect(first.slice(0, 9)).toEqual([0, 64, 128, 192, 256, 320, 384, 448, 0]);
  });
});

describe('phases', () => {
  it('has another hot set in each phase', () => {
    const source = open('phases', { fill: false, phases: 4, hotShare: 1, accesses: 0.16384 });
    const phases: Set<number>[] = [];
    let n = 0;
    for (let item = source.next(); item !== END; item = source.next()) {
      if (item !== SLICE) continue;
      const phase = Math.floor(n++ / 10);
      phases[phase] ??= new Set();
      for (let i = 0; i < source.slice.count; i++) phases[phase].add(source.slice.page[i] >>> 1);
    }
    expect(phases.map((pages) => pages.size)).toEqual([51, 51, 51, 51]);
    expect(new Set(phases.flatMap((pages) => [...pages])).size).toBe(204);
  });
});

describe('chase', () => {
  it('visits every page once before any again', () => {
    const source = open('chase', { size: 3, fill: false });
    const seen: number[] = [];
    for (let item = source.next(); item !== END; item = source.next()) {
      if (item !== SLICE) continue;
      for (let i = 0; i < source.slice.count; i++) seen.push(source.slice.page[i] >>> 1);
    }
    expect(new Set(seen.slice(0, 768)).size).toBe(768);
    expect(seen.slice(768, 1536)).toEqual(seen.slice(0, 768));
    expect(findWorkload('chase')?.memoryParallelism).toBe(1);
  });
});

describe('hot-cold', () => {
  it('fills the cold part first and never touches it again', () => {
    const { pages } = read(open('hot-cold', { pair: '300/500' }));
    const cold = 1280;
    expect(total(pages[0], 0, cold)).toBe(0);
    expect(total(pages[0], cold)).toBe(40_000);
  });

  it('runs the five pairs as five programs', () => {
    const source = open('hot-cold', { pair: 'all', fill: false });
    expect(source.processes.map(({ name }) => name)).toEqual([
      'hot-cold 1800/2000',
      'hot-cold 300/500',
      'hot-cold 800/3200',
      'hot-cold 3/5',
      'hot-cold 30/50',
    ]);
    const { pages } = read(source, false);
    expect(pages.map((touched) => total(touched))).toEqual([8000, 8000, 8000, 8000, 8000]);
  });
});

describe('pmbench', () => {
  it('is a bell around the middle: one standard deviation holds two thirds', () => {
    const { pages } = read(open('pmbench', { fill: false, accesses: 0.4 }), false);
    const deviation = Math.round(512 / Math.sqrt(48));
    const share = total(pages[0], 256 - deviation, 256 + deviation) / 400_000;
    expect(share).toBeCloseTo(0.68, 1);
    expect(total(pages[0], 0, 256) / 400_000).toBeCloseTo(0.5, 2);
    expect(total(pages[0], 0, 64)).toBeLessThan(total(pages[0], 224, 288) / 20);
  });

  it('of half the width leaves the ends alone', () => {
    const { pages } = read(open('pmbench', { fill: false, width: 0.5 }), false);
    expect(total(pages[0], 0, 128) + total(pages[0], 384)).toBe(0);
  });
});

describe('cold-cache', () => {
  it('fills cold memory first, and never touches it again', () => {
    const source = open('cold-cache');
    expect(source.processes.map(({ name }) => name)).toEqual(['cold', 'cache']);
    const { pages } = read(source);
    expect(pages.map((touched) => total(touched))).toEqual([0, 40_000]);
    expect(open('cold-cache', { cold: 0 }).processes.length).toBe(1);
  });

  it('reads its files once, from the first page to the last, before anything else', () => {
    const source = open('cold-cache', { cold: 0, files: 1 });
    const { events } = read(source);
    const reads = events.filter((event) => event.kind === 'read');
    expect(reads.map(({ offset }) => offset / 65536)).toEqual([...Array(16).keys()]);
    expect(reads.every(({ bytes }) => bytes === 65536)).toBe(true);
    expect(events.length).toBe(source.totals!.events);
  });
});

describe('stream', () => {
  it('reads b and c and writes a, as often as each other, each thread its own part', () => {
    const source = open('stream', {
      size: 3,
      kernel: 'triad',
      threads: 2,
      fill: false,
      accesses: 0.147456,
    });
    const { pages } = read(source, false);
    const array = (from: number) =>
      [...Array(256).keys()].map((page) => pages[0].get(from + page)!);
    const written = array(0);
    expect(written.every(({ reads, writes }) => reads === 0 && writes > 0)).toBe(true);
    for (const from of [256, 512]) {
      expect(total(new Map(array(from).entries()))).toBe(total(new Map(written.entries())));
      expect(array(from).every(({ writes }) => writes === 0)).toBe(true);
    }
  });

  it('copy leaves the third array alone', () => {
    const { pages } = read(open('stream', { size: 3, fill: false, accesses: 0.1 }), false);
    expect([...pages[0].keys()].filter((page) => page >= 512)).toEqual([]);
  });
});

describe('xsbench', () => {
  const { pages } = read(open('xsbench', { size: 64, fill: false, accesses: 1 }), false);
  const counts = [...pages[0].entries()].map(([page, { reads }]) => ({ page, reads }));
  const energyPages = Math.round((16_384 * 8) / 1476);
  const pointPages = Math.round((16_384 * 48) / 1476);
  const share = (isIn: (page: number) => boolean) => {
    const lines = counts.filter(({ page }) => isIn(page)).map(({ reads }) => reads);
    return lines.reduce((a, b) => a + b, 0) / 1_000_000;
  };

  it('only reads, four lines of energies a look-up', () => {
    expect(counts.every(({ page }) => pages[0].get(page)!.writes === 0)).toBe(true);
    // Mean lines of a look-up: 4 + indices + 2 a nuclide, by how often a material is drawn.
    const permille = [140, 52, 275, 134, 154, 64, 66, 55, 8, 15, 24, 13];
    const nuclides = [321, 5, 4, 4, 27, 21, 21, 21, 21, 21, 9, 9];
    const mean = (of: (n: number) => number) => {
      return nuclides.reduce((sum, n, i) => sum + (permille[i] * of(n)) / 1000, 0);
    };
    const lines = mean((n) => 4 + Math.ceil(n / 16) + 2 * n);
    expect(share((page) => page < energyPages)).toBeCloseTo(4 / lines, 2);
    const points = mean((n) => 2 * n) / lines;
    expect(share((page) => page >= 16_384 - pointPages)).toBeCloseTo(points, 2);
  });

  it('reads the index grid evenly', () => {
    const rows = counts.filter(({ page }) => page >= energyPages && page < 16_384 - pointPages);
    const first = rows.filter(({ page }) => page < 8192).reduce((sum, { reads }) => sum + reads, 0);
    const all = rows.reduce((sum, { reads }) => sum + reads, 0);
    expect(first / all).toBeCloseTo((8192 - energyPages) / (16_384 - energyPages - pointPages), 1);
  });
});
