import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../base/assert.ts';
import { RandomStream } from '../../base/prng.ts';
import { EventQueue, VirtualClock } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { accessPage, checkInvariants, Kernel, PG_YOUNG, pageAt } from '../../mm/index.ts';
import { plainMachine } from '../../mm/plainMachine.ts';
import { HEAT_SOURCES, NO_NEEDS } from '../../policy/index.ts';
import * as sys from '../../syscalls/index.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../uapi/mman.ts';
import { ZONE_NORMAL } from '../../uapi/zone.ts';
import { HintFaultMonitor } from './hintFaults.ts';
import { IbsMonitor, type IbsOptions } from './ibs.ts';
import { IdleBitsMonitor } from './idleBits.ts';
import { makeMonitor } from './monitorList.ts';
import { PebsMonitor, type PebsOptions } from './pebs.ts';

const PID = 100;
const OPTIONS: PebsOptions = {
  period: 100,
  bufferRecords: 64,
  drainIntervalNs: 1000,
  programNs: 300,
  drainNs: 50,
  skid: 0,
  prefetchAfter: 0,
  isPhysical: false,
};

function pebs(options: Partial<PebsOptions> = {}, seed = 1) {
  const queue = new EventQueue(new VirtualClock());
  const random = new RandomStream(seed, 'monitors.test');
  const monitor = new PebsMonitor(machine('never').k, 2, queue, random, { ...OPTIONS, ...options });
  monitor.start(0);
  return { queue, monitor };
}

/** Replays accesses to `pages` on CPU 0 as the loop does; returns the pages sampled. */
function replay(
  monitor: PebsMonitor | IbsMonitor,
  pages: readonly number[],
  weight = 1,
  isWrite = false,
) {
  let until = monitor.untilSample[0];
  const sampled: number[] = [];
  for (const vpn of pages) {
    until -= weight;
    while (until <= 0) {
      sampled.push(vpn);
      until += monitor.onSample(0, PID, vpn, 0, 1, isWrite, weight + until, 500);
    }
  }
  monitor.setUntilSample(0, until);
  return sampled;
}

function rows(heat: HeatTable): number[][] {
  return Array.from({ length: heat.nrRows }, (_, row) => [
    heat.vpn[row],
    heat.nrPages[row],
    heat.reads[row],
    heat.writes[row],
    heat.nid[row],
  ]);
}

describe('PebsMonitor', () => {
  it('samples one access in a period on average, whatever the weight of runs (HS-30)', () => {
    for (const weight of [1, 8, 1000]) {
      const { monitor } = pebs({ bufferRecords: 1 });
      const accesses = 1_000_000;
      replay(monitor, new Array<number>(accesses / weight).fill(5), weight);
      expect(monitor.stats.samples / (accesses / 100)).toBeCloseTo(1, 1);
    }
  });

  it('does not stay in step with a program that repeats (HS-33)', () => {
    const { monitor } = pebs({ bufferRecords: 4096 });
    const pages = Array.from({ length: 200_000 }, (_, i) => i % 100);
    const sampled = new Set(replay(monitor, pages));
    expect(sampled.size).toBe(100);
  });

  it('takes every access at a period of 1', () => {
    const { monitor } = pebs({ period: 1 });
    expect(replay(monitor, [1, 2, 3])).toEqual([1, 2, 3]);
  });

  it('shows records when they were drained, as reads and writes (HS-31, HS-35)', () => {
    const { queue, monitor } = pebs({ period: 1 });
    replay(monitor, [7, 8, 7]);
    replay(monitor, [8], 1, true);
    const heat = new HeatTable();
    monitor.collect(heat);
    expect(heat.nrSeen).toBe(0);
    queue.runUntil(1000);
    monitor.collect(heat);
    expect(rows(heat)).toEqual([
      [7, 1, 2, 0, 1],
      [8, 1, 1, 1, 1],
    ]);
    heat.clear();
    monitor.collect(heat);
    expect(heat.nrSeen).toBe(0);
  });

  it('loses what a full buffer cannot hold, and counts it', () => {
    const { queue, monitor } = pebs({ period: 1, bufferRecords: 3 });
    replay(monitor, [1, 2, 3, 4, 5]);
    queue.runUntil(1000);
    replay(monitor, [6]);
    queue.runUntil(2000);
    const heat = new HeatTable();
    monitor.collect(heat);
    expect(rows(heat).map(([vpn]) => vpn)).toEqual([1, 2, 3, 6]);
    expect(monitor.stats).toEqual({
      samples: 6,
      lost: 2,
      programNs: 6 * 300,
      backgroundNs: 4 * 50,
    });
  });

  it('forgets the records of a process', () => {
    const { queue, monitor } = pebs({ period: 1 });
    replay(monitor, [1, 2]);
    monitor.onSample(0, PID + 1, 9, 0, 0, false, 1, 500);
    monitor.forget(PID);
    queue.runUntil(1000);
    const heat = new HeatTable();
    monitor.collect(heat);
    expect(rows(heat).map(([vpn]) => vpn)).toEqual([9]);
  });

  it('samples the same with the same seed, and differently with another', () => {
    const pages = Array.from({ length: 20_000 }, (_, i) => i);
    const sampled = (seed: number) => replay(pebs({}, seed).monitor, pages);
    expect(sampled(1)).toEqual(sampled(1));
    expect(sampled(1)).not.toEqual(sampled(2));
  });

  it('finds the hot pages, with an error of 1 / sqrt(samples)', () => {
    const { queue, monitor } = pebs({ bufferRecords: 65536 });
    const random = new RandomStream(9, 'accesses');
    const pages = Array.from({ length: 400_000 }, () =>
      random.below(10) < 8 ? random.below(4) : 4 + random.below(400),
    );
    replay(monitor, pages);
    queue.runUntil(1000);
    const heat = new HeatTable();
    monitor.collect(heat);
    for (let vpn = 0; vpn < 4; vpn++) {
      const samples = heat.reads[heat.find(PID, vpn)];
      // 80,000 accesses, 800 samples, five standard deviations of them.
      expect(Math.abs(samples - 800)).toBeLessThan(5 * Math.sqrt(800));
    }
  });
});

describe('skid and prefetching', () => {
  it('names an access up to so many later, at the same rate', () => {
    const { monitor } = pebs({ skid: 10, bufferRecords: 8192 });
    const pages = Array.from({ length: 500_000 }, (_, i) => i);
    replay(monitor, pages);
    expect(monitor.stats.samples / 5000).toBeCloseTo(1, 0);
    expect(monitor.stats.programNs).toBe(monitor.stats.samples * 300);
  });

  it('moves samples of a rare page to its neighbours', () => {
    const seen = (skid: number): number => {
      const { queue, monitor } = pebs({ period: 7, skid, bufferRecords: 1 << 16 });
      replay(
        monitor,
        Array.from({ length: 70_000 }, (_, i) => (i % 7 === 0 ? 1 : 2)),
      );
      queue.runUntil(1000);
      const heat = new HeatTable();
      monitor.collect(heat);
      const row = heat.find(PID, 1);
      return row < 0 ? 0 : heat.reads[row] / monitor.stats.samples;
    };
    // In step with the program (the period is too short to be randomised): all or nothing.
    expect([0, 1]).toContain(seen(0));
    expect(seen(6)).toBeCloseTo(1 / 7, 1);
  });

  it('sees only the first accesses of a run that is prefetched (HS-34)', () => {
    const { monitor } = pebs({ prefetchAfter: 4, bufferRecords: 8192 });
    replay(monitor, new Array<number>(20_000).fill(5), 64);
    const share = monitor.stats.samples / ((20_000 * 64) / 100);
    expect(share).toBeGreaterThan(0.05);
    expect(share).toBeLessThan(0.075); // 4 of 64 are 0.0625
  });
});

describe('IbsMonitor (HS-32)', () => {
  const IBS: IbsOptions = {
    maxCount: 100,
    isMissOnly: true,
    bufferRecords: 64,
    drainIntervalNs: 1000,
    programNs: 1000,
    drainNs: 50,
    prefetchAfter: 0,
    isPhysical: true,
  };

  function ibs(options: Partial<IbsOptions> = {}) {
    const { k, task } = machine('never');
    const queue = new EventQueue(new VirtualClock());
    const random = new RandomStream(1, 'ibs.test');
    const monitor = new IbsMonitor(k, 2, queue, random, { ...IBS, ...options });
    monitor.start(0);
    return { k, task, queue, monitor };
  }

  it('tags one miss in maxCount, whatever else is dispatched', () => {
    const { monitor } = ibs();
    replay(monitor, new Array<number>(1_000_000).fill(5));
    expect(monitor.stats.samples / 10_000).toBeCloseTo(1, 1);
  });

  it('interrupts for ops that did not miss, unless the CPU filters', () => {
    const quiet = ibs().monitor;
    expect(quiet.onInstructions(1_000_000, 0)).toBe(0);
    const { monitor } = ibs({ isMissOnly: false });
    expect(monitor.onInstructions(1_000_000, 10_000)).toBe((990_000 / 100) * 1000);
    expect(monitor.stats.programNs).toBe(9_900_000);
    expect(monitor.stats.samples).toBe(0);
  });

  it('reports frames with what they held, and loses what the ring cannot hold', () => {
    const { k, task, queue, monitor } = ibs({ maxCount: 1, bufferRecords: 2 });
    accessPage(k, task, BASE, true);
    const frame = pageAt(k, task.mm!, BASE);
    for (let i = 0; i < 3; i++) monitor.onSample(0, task.tgid, BASE, frame, 0, true, 1, 500);
    queue.runUntil(1000);
    const heat = new HeatTable();
    monitor.collect(heat);
    expect(heat.nrSeen).toBe(1);
    expect([heat.pid[0], heat.vpn[0], heat.writes[0]]).toEqual([0, k.frames.pfnOf(frame), 2]);
    expect(heat.generation[0]).toBe(k.frames.generation[frame]);
    expect(monitor.stats).toEqual({ samples: 3, lost: 1, programNs: 3000, backgroundNs: 100 });
  });
});

const BASE = 0x10000;

function machine(thp: 'always' | 'never') {
  const spec = plainMachine(
    [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
      { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    ],
    { sysctl: { thp_enabled: thp, min_free_kbytes: 256 } },
  );
  const k = new Kernel(spec, { seed: 1, trackContent: false });
  const task = k.spawn(null, 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const prot = PROT_READ | PROT_WRITE;
  sys.mmap(k, task, BASE * 4096, 4096 * 4096, prot, flags, null, 0);
  const queue = new EventQueue(new VirtualClock());
  const monitor = new IdleBitsMonitor(k, queue, { intervalNs: 1000, pageNs: 150 });
  const seen = (): number[][] => {
    const heat = new HeatTable();
    monitor.collect(heat);
    return rows(heat).map(([vpn, ...rest]) => [vpn - BASE, ...rest]);
  };
  return { k, task, queue, monitor, seen };
}

describe('HintFaultMonitor', () => {
  it('counts each fault once', () => {
    const monitor = new HintFaultMonitor(machine('never').k);
    monitor.onHintFault(PID, 3, 1, false, 10);
    monitor.onHintFault(PID, 3, 1, true, 20);
    const heat = new HeatTable();
    monitor.collect(heat);
    expect(rows(heat)).toEqual([[3, 1, 1, 1, 1]]);
    expect(monitor.stats.samples).toBe(2);
  });
});

describe('IdleBitsMonitor', () => {
  it('sees each page accessed since the last walk, once', () => {
    const { k, task, queue, monitor, seen } = machine('never');
    for (let i = 0; i < 5; i++) accessPage(k, task, BASE + i, true);
    monitor.start(0);
    queue.runUntil(1000);
    expect(seen().map(([page]) => page)).toEqual([0, 1, 2, 3, 4]);
    for (let i = 0; i < 9; i++) accessPage(k, task, BASE + 3, false);
    queue.runUntil(2000);
    expect(seen()).toEqual([[3, 1, 1, 0, 0]]);
    queue.runUntil(3000);
    expect(seen()).toEqual([]);
    expect(monitor.stats).toEqual({
      samples: 6,
      lost: 0,
      programNs: 0,
      backgroundNs: 3 * 5 * 150,
    });
    checkInvariants(k);
  });

  it('leaves a mark for reclaim where it cleared one (HS-6)', () => {
    const { k, task, monitor } = machine('never');
    accessPage(k, task, BASE, true);
    const frame = pageAt(k, task.mm!, BASE);
    expect(k.frames.has(frame, PG_YOUNG)).toBe(false);
    monitor.scan(10);
    expect(k.frames.has(frame, PG_YOUNG)).toBe(true);
  });

  it('does not see the zero page', () => {
    const { k, task, monitor, seen } = machine('never');
    accessPage(k, task, BASE, false);
    monitor.scan(10);
    expect(seen()).toEqual([]);
  });

  it('sees a huge page as one (HS-7)', () => {
    const { k, task, monitor, seen } = machine('always');
    accessPage(k, task, BASE + 100, true);
    monitor.scan(10);
    expect(seen()).toEqual([[0, 512, 1, 0, 0]]);
    // Mapped by base pages after a part was unmapped: still one folio.
    sys.munmap(k, task, (BASE + 511) * 4096, 4096);
    for (const page of [5, 6, 7]) accessPage(k, task, BASE + page, false);
    monitor.scan(20);
    expect(seen()).toEqual([[0, 512, 1, 0, 0]]);
  });
});

describe('makeMonitor', () => {
  const kernel = new Kernel(
    plainMachine([{ cpus: [0, 5], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] }]),
    { seed: 1, trackContent: false },
  );
  const context = () => ({
    kernel,
    queue: new EventQueue(new VirtualClock()),
    random: new RandomStream(1, 'x'),
  });

  it('makes what a policy needs', () => {
    expect(makeMonitor(NO_NEEDS, context())).toBeNull();
    for (const { name: heat, addresses } of HEAT_SOURCES) {
      const monitor = makeMonitor({ ...NO_NEEDS, heat }, context());
      expect(monitor?.source).toBe(heat);
      expect(monitor?.isPhysical).toBe(addresses === 'physical');
    }
    const sampler = makeMonitor({ ...NO_NEEDS, heat: 'pebs' }, context())?.sampler;
    expect(sampler?.untilSample).toHaveLength(6);
    sampler?.onSample(0, PID, 0, 0, 0, false, 1, 0);
    expect(sampler?.costNs).toBe(kernel.spec.costs.sampleNs);
  });

  it('refuses knobs that the source does not have', () => {
    const needs = { ...NO_NEEDS, heat: 'pebs' as const, heatKnobs: { periode: 5 } };
    expect(() => makeMonitor(needs, context())).toThrow(InvariantError);
  });
});
