import { describe, expect, it } from 'vitest';
import type { CounterTrack, EventContext, EventFormat, EventSink } from '../events/index.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { type KnobValues, POLICIES } from '../policy/index.ts';
import { END, EVENT, SLICE, syntheticHeader, type TraceSource } from '../trace/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { runOne } from './run.ts';
import type { RunSpec } from './runResult.ts';

/** One mmap of `pages`, then slices that walk over a hot quarter and sometimes the rest. */
function hotQuarter(pages: number, slices: number): TraceSource {
  let at = -1;
  const base = new Float64Array(Math.ceil(pages / 512));
  for (let r = 0; r < base.length; r++) base[r] = 2 ** 20 + r * 512;
  const slice = {
    pid: 0,
    tid: 0,
    insnStart: 0,
    insnEnd: 0,
    count: 0,
    accesses: 0,
    page: new Uint32Array(4096),
    weight: new Uint16Array(4096),
    line: new Uint8Array(0),
  };
  const mmap = {
    kind: 'mmap',
    pid: 0,
    tid: 0,
    insn: 0,
    addr: 2 ** 32,
    len: pages * 4096,
    prot: 3,
    flags: 0x22,
    file: -1,
    offset: 0,
    result: 2 ** 32,
  } as const;
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 8;
  };
  return {
    header: { ...syntheticHeader('hot quarter', []) },
    processes: [{ name: 'p', parent: -1, recordedPid: 0 }],
    threads: [{ name: 't', pid: 0, recordedTid: 0 }],
    totals: { accesses: slices * 4096, runs: slices * 4096, slices, events: 1 },
    next() {
      at++;
      if (at === 0) return EVENT;
      if (at > slices) return END;
      slice.insnStart = (at - 1) * 40960;
      slice.insnEnd = at * 40960;
      slice.count = 4096;
      slice.accesses = 4096;
      for (let i = 0; i < 4096; i++) {
        const first = at <= pages / 4096;
        const hot = random() % 10 < 9;
        const quarter = pages / 4;
        let page = hot ? quarter * 3 + (random() % quarter) : random() % pages;
        if (first) page = (at - 1) * 4096 + i;
        slice.page[i] = ((page << 1) | (first || random() % 4 === 0 ? 1 : 0)) >>> 0;
        slice.weight[i] = 1;
      }
      return SLICE;
    },
    slice,
    event: mmap,
    regionBase: () => base,
    regionCount: () => base.length,
    rewind() {
      at = -1;
      seed = 1;
    },
  };
}

const SECTION = 32768;

/** A quarter of the footprint fits the DRAM node; the other node is three times as far. */
function spec(policy: string): RunSpec {
  const plain = plainMachine([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: SECTION / 2 }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 2 * SECTION }] },
  ]);
  const [dram, cxl] = plain.nodes;
  const far = { ...cxl.perf, readLatencyNs: 250, writeLatencyNs: 250, readBandwidth: 10 };
  return {
    machine: { ...plain, nodes: [dram, { ...cxl, kind: 'cxl', perf: far }] },
    policy: { name: policy, params: {} },
    workload: { name: 'hot quarter', trace: '', generator: '', params: {} },
    seed: 1,
    seriesPoints: 32,
  };
}

/** The same, and the program exits at the end. */
function withExit(source: TraceSource): TraceSource {
  const exit = { kind: 'exit_group', pid: 0, tid: 0, insn: 0, status: 0 } as const;
  let state: 'runs' | 'exits' | 'over' = 'runs';
  return {
    ...source,
    next() {
      if (state !== 'runs') {
        state = 'over';
        return END;
      }
      const kind = source.next();
      if (kind !== END) return kind;
      state = 'exits';
      return EVENT;
    },
    get event() {
      return state === 'exits' ? exit : source.event;
    },
  };
}

/** A sink that keeps what it hears. */
class Heard implements EventSink {
  readonly events: string[] = [];
  readonly tasks: Set<string> = new Set();
  readonly counters: Map<string, number[]> = new Map();
  isEnded = false;

  event(_nowNs: number, { pid, comm }: EventContext, format: EventFormat): void {
    this.events.push(format.event);
    this.tasks.add(`${comm}-${pid}`);
  }

  counter(_nowNs: number, { name }: CounterTrack, value: number): void {
    this.counters.set(name, [...(this.counters.get(name) ?? []), value]);
  }

  end(): void {
    this.isEnded = true;
  }
}

describe('a run', () => {
  it('looks at gauges while the program still holds its memory', () => {
    const result = runOne(spec('first-touch'), withExit(hotQuarter(SECTION, 40)), {
      hetmem: 'test',
    });
    expect(result.vmstat.nr_anon_pages).toBe(SECTION);
    const resident = result.nodes.reduce((sum, node) => sum + node.residentPages, 0);
    expect(resident).toBe(SECTION);
  });

  it('tells events with who makes them, and counters; the result stays the same', () => {
    const heard = new Heard();
    const run = () => hotQuarter(SECTION, 400);
    const result = runOne(spec('hemem'), run(), { hetmem: 'test', events: heard });
    expect(result).toEqual(runOne(spec('hemem'), run(), { hetmem: 'test' }));
    expect(heard.isEnded).toBe(true);
    expect(heard.events).toContain('mm_migrate_pages');
    expect([...heard.tasks]).toEqual(expect.arrayContaining(['migrated/0-80', 'kswapd0-16']));
    const migrated = heard.events.filter((event) => event === 'remove_migration_pte').length;
    expect(migrated).toBeGreaterThanOrEqual(result.migration.promotedPages);
    const free = heard.counters.get('node 0 free')!;
    expect(Math.max(...free)).toBeGreaterThan(free.at(-1)!);
    const rates = heard.counters.get('node 1 migrated to')!;
    expect(Math.max(...rates)).toBeGreaterThan(0);
  });

  for (const { name } of POLICIES) {
    it(`replays a trace under ${name}, and again with the same bytes`, () => {
      const first = runOne(spec(name), hotQuarter(SECTION, 120), { hetmem: 'test' });
      const again = runOne(spec(name), hotQuarter(SECTION, 120), { hetmem: 'test' });
      expect(JSON.stringify(again)).toBe(JSON.stringify(first));
      expect(first.accesses).toBe(120 * 4096);
      expect(first.footprintPages).toBe(SECTION);
      const { time } = first;
      const parts = time.computeNs + time.faultNs + time.migrationNs + time.observationNs;
      const stall = time.stallNs.reduce((a, b) => a + b, 0);
      expect(parts + stall).toBeCloseTo(time.totalNs, -3);
    });
  }

  it('moves the hot quarter up when the policy knows the future', () => {
    const blind = runOne(spec('first-touch'), hotQuarter(SECTION, 400), { hetmem: 'test' });
    const seeing = runOne(spec('oracle'), hotQuarter(SECTION, 400), { hetmem: 'test' });
    expect(blind.toptierHitRatio).toBeLessThan(0.2);
    expect(seeing.toptierHitRatio).toBeGreaterThan(0.8);
    expect(seeing.time.totalNs).toBeLessThan(0.7 * blind.time.totalNs);
    expect(seeing.migration.promotedPages).toBeGreaterThan(SECTION / 4);
  });

  describe('warnings of what never came to act', () => {
    const warnings = (name: string, params: KnobValues, slices = 40) => {
      const run = { ...spec(name), policy: { name, params } };
      return runOne(run, hotQuarter(SECTION, slices), { hetmem: 'test' }).warnings;
    };
    const sooner = (...knobs: string[]) => `what brings it sooner: smaller ${knobs.join(', ')}`;

    it('NUMA balancing that ends before its first scan (TI-20)', () => {
      const late = 'no NUMA balancing in a run shorter than its scan_delay (60000 ms)';
      const name = 'numa-balancing';
      const knobs = sooner('scanDelay', 'scanPeriodMin');
      expect(warnings(name, { scanDelay: 60_000 })).toEqual([
        `${late}: demotion alone works; ${knobs}`,
      ]);
      expect(warnings(name, { scanDelay: 60_000, demotion: false })).toEqual([
        `${late}: nothing moves; ${knobs}`,
      ]);
      expect(warnings(name, { scanDelay: 1 })).toEqual([]);
      expect(warnings(name, { mode: 0 })).toEqual([]);
      expect(warnings(name, { scanDelay: 1, demotion: false })[0]).toMatch(
        /^NUMA balancing promoted nothing, after \d+ hint faults: nothing moves; /,
      );
    });

    it('DAMON whose quotas are still small (HS-80, HS-81)', () => {
      const knobs = sooner('aggregation', 'sampleMax', 'applyInterval', 'resetInterval');
      const none = 'DAMON migrated nothing in a run of 30 ms';
      expect(warnings('damon', {})).toEqual([
        `${none}: its schemes are first due after 1000 ms; ${knobs}`,
      ]);
      const quick = { sample: 0.1, aggregation: 1, applyInterval: 1, resetInterval: 10 };
      const grew = 'the quota grows from one byte, twofold each 10 ms at most, and came to ';
      expect(warnings('damon', quick)[0]).toContain(grew);
      const untuned = { ...quick, aggregation: 0.5, applyInterval: 0.5, tuned: false };
      expect(warnings('damon', untuned)[0]).toContain('no region was hot enough for its scheme');
      // Intervals that double every third aggregation find no region in so short a run.
      expect(warnings('damon', untuned, 200)[0]).toContain('no region was hot enough');
      expect(warnings('damon', { ...untuned, sampleMax: 0.1 }, 200)).toEqual([]);
    });

    it.each([
      ['memtierd-age', {}, /^no decision in a run of 30 ms: the first is due after 5000 ms; /],
      ['memtierd-heat', {}, /^no decision in a run of 30 ms: the first is due after 5000 ms; /],
      ['memtis', { period: 1 }, /^no threshold was set/],
      ['hemem', { unit: '4KiB', period: 1 }, /^nothing to promote was found in \d+ decisions; /],
      ['physical-only', { period: 2 }, /^nothing to promote was found in \d+ decisions; /],
      ['bandwidth-spread', { period: 1 }, /^nothing was spread: fast nodes never used more than /],
    ] as const)('%s %o', (name, params, text) => {
      expect(warnings(name, params)).toEqual([expect.stringMatching(text)]);
    });

    it('none of policies that moved pages, or have nothing to decide', () => {
      for (const name of ['first-touch', 'interleave', 'demotion-only', 'observe', 'oracle']) {
        expect(warnings(name, {})).toEqual([]);
      }
    });
  });

  it('feeds a policy from accessed bits where there is no PEBS', () => {
    const idle = spec('hemem');
    const params = { source: 'idle-bits', scanInterval: 2, hotReads: 4, unit: '4KiB' };
    const run = { ...idle, policy: { name: 'hemem', params } };
    const result = runOne(run, hotQuarter(SECTION, 400), { hetmem: 'test' });
    expect(result.heat?.source).toBe('idle-bits');
    expect(result.heat?.samples).toBeGreaterThan(SECTION);
    expect(result.migration.promotedPages).toBeGreaterThan(0);
  });
});

describe('promotion by hint faults', () => {
  it('interrupts no CPU: time does not depend on the cost of a shootdown', () => {
    const { machine, ...rest } = spec('numa-balancing');
    const policy = { name: 'numa-balancing', params: { scanDelay: 1, scanPeriodMin: 5 } };
    const run = (tlbShootdownNs: number) => {
      const costs = { ...machine.costs, tlbShootdownNs };
      const at = { ...rest, policy, machine: { ...machine, costs } };
      return runOne(at, hotQuarter(SECTION, 60), { hetmem: 'test' });
    };
    const [cheap, dear] = [run(0), run(1_000_000)];
    expect(cheap.migration.promotedPages).toBeGreaterThan(0);
    expect(dear.time).toEqual(cheap.time);
  });
});

describe('a benchmark on other cores', () => {
  const alone = spec('first-touch');
  const run = (inFlightBytes: number) => {
    const stream = { cpuNid: 0, inFlightBytes, readShare: 0.5, weights: [1, 0] };
    return runOne({ ...alone, background: [stream] }, hotQuarter(32768, 60), { hetmem: 'test' });
  };

  it('loads its node, and that node alone, and leaves no accesses in the result', () => {
    const without = runOne(alone, hotQuarter(32768, 60), { hetmem: 'test' });
    const busy = run(100_000);
    const latency = (result: typeof busy, nid: number) => result.nodes[nid].meanLatencyNs;
    expect(latency(busy, 0)).toBeGreaterThan(2 * latency(without, 0));
    // The program is slower, so that it loads the other node less.
    expect(latency(busy, 1)).toBeLessThanOrEqual(latency(without, 1));
    expect(busy.accesses).toBe(without.accesses);
    expect(busy.nodes.map(({ reads }) => reads)).toEqual(without.nodes.map(({ reads }) => reads));
    expect(busy.time.totalNs).toBeGreaterThan(without.time.totalNs);
  });

  it('waits, too: with twice as much in flight the latency is not doubled', () => {
    const few = run(1000).nodes[0].meanLatencyNs;
    const more = run(2000).nodes[0].meanLatencyNs;
    expect(more).toBeGreaterThan(few);
    expect(more).toBeLessThan(2 * few);
  });
});
