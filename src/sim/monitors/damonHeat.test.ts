import { describe, expect, it } from 'vitest';
import { EventQueue, VirtualClock } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { accessPage, checkInvariants, Kernel, NO_INTERVALS_GOAL, pageAt } from '../../mm/index.ts';
import { plainMachine } from '../../mm/plainMachine.ts';
import * as sys from '../../syscalls/index.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../uapi/mman.ts';
import { ZONE_NORMAL } from '../../uapi/zone.ts';
import { DamonHeatMonitor } from './damonHeat.ts';

const PAGE = 4096;
/** Three areas far from each other: DAMON leaves out the two gaps between them (HS-72). */
const AREAS = [0x10000, 0x400000, 0x4000000] as const;
const BASE = AREAS[1];
const NR_PAGES = 1024;
const MS = 1e6;

const ATTRS = {
  sampleUs: 100,
  aggrUs: 2000,
  goal: NO_INTERVALS_GOAL,
  updateUs: 2000,
  minNrRegions: 10,
  maxNrRegions: 200,
};

function machine(operations: 'vaddr' | 'paddr') {
  const spec = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 32768 }] }], {
    sysctl: { thp_enabled: 'never' },
  });
  const k = new Kernel(spec, { seed: 1, trackContent: false });
  const queue = new EventQueue(new VirtualClock());
  const monitor = new DamonHeatMonitor(k, queue, { operations, attrs: ATTRS, checkNs: 150 });
  const task = k.spawn(null, 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  for (const area of AREAS) {
    const nrPages = area === BASE ? NR_PAGES : 1;
    sys.mmap(k, task, area * PAGE, nrPages * PAGE, PROT_READ | PROT_WRITE, flags, null, 0);
    for (let page = 0; page < nrPages; page++) accessPage(k, task, area + page, true);
  }
  k.lru.drainAll();
  monitor.start(0);
  /** Runs on to `untilMs`; the first quarter of the middle area is accessed all the time. */
  const run = (untilMs: number): HeatTable => {
    for (let now = queue.clock.nowNs + 1e5; now <= untilMs * MS; now += 1e5) {
      for (let page = 0; page < NR_PAGES / 4; page++) accessPage(k, task, BASE + page, false);
      while (queue.nextNs <= now) {
        k.nowNs = queue.nextNs;
        queue.step();
      }
      queue.clock.advanceTo(now);
      k.nowNs = now;
    }
    const heat = new HeatTable();
    monitor.collect(heat);
    return heat;
  };
  return { k, task, monitor, run };
}

/** Sum of sightings of `nr` rows that the keys name. */
function heatOf(heat: HeatTable, pid: number, pages: readonly number[]): number {
  return pages.reduce((sum, page) => {
    const row = heat.find(pid, page);
    return row < 0 ? sum : sum + heat.reads[row];
  }, 0);
}

const HOT = Array.from({ length: NR_PAGES / 4 }, (_, page) => BASE + page);
const COLD = Array.from({ length: NR_PAGES / 4 }, (_, page) => BASE + NR_PAGES / 2 + page);

describe('DamonHeatMonitor', () => {
  it('finds the hot part of an address space when its regions have adapted (HS-74..HS-78)', () => {
    const { k, task, monitor, run } = machine('vaddr');
    run(40);
    const heat = run(80);
    const hot = heatOf(heat, task.tgid, HOT);
    expect(hot).toBeGreaterThan(10 * heatOf(heat, task.tgid, COLD));
    // At most one access a sample: 20 in each of 20 aggregations, and one more at the edges.
    for (const page of HOT) expect(heat.reads[heat.find(task.tgid, page)]).toBeLessThanOrEqual(420);
    expect(monitor.stats.programNs).toBe(0);
    expect(monitor.stats.backgroundNs).toBeGreaterThan(0);
    checkInvariants(k);
  });

  it('reports frames of physical memory, with what they hold (HS-73)', () => {
    const { k, task, run } = machine('paddr');
    run(40);
    const heat = run(80);
    const pfns = (pages: readonly number[]) =>
      pages.map((page): number => k.frames.pfnOf(pageAt(k, task.mm!, page)));
    expect(heatOf(heat, 0, pfns(HOT))).toBeGreaterThan(10 * heatOf(heat, 0, pfns(COLD)));
    const row = heat.find(0, pfns(HOT)[9]!);
    expect(heat.generation[row]).toBe(k.frames.generation[pageAt(k, task.mm!, BASE + 9)]);
  });

  it('costs by regions, not by memory', () => {
    const { monitor, run } = machine('paddr');
    run(80);
    // 200 regions, marked and looked at, 800 samples.
    expect(monitor.stats.backgroundNs).toBeLessThanOrEqual(2 * 200 * 800 * 150);
  });

  it('watches a process from the first aggregation after its start', () => {
    const { task, run } = machine('vaddr');
    expect(run(2).nrSeen).toBe(0);
    expect(run(20).find(task.tgid, BASE)).toBeGreaterThanOrEqual(0);
  });
});
