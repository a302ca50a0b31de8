import { describe, expect, it } from 'vitest';
import { EventQueue, VirtualClock } from '../../engine/index.ts';
import { HeatTable, type HeatView, PHYSICAL_PID } from '../../heat/index.ts';
import { accessPage, checkInvariants, Kernel, pageAt } from '../../mm/index.ts';
import { plainMachine } from '../../mm/plainMachine.ts';
import * as sys from '../../syscalls/index.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../uapi/mman.ts';
import { ZONE_NORMAL } from '../../uapi/zone.ts';
import { FrameHeat } from '../host/frameHeat.ts';
import { IdleBitmapMonitor } from './idleBitmap.ts';
import { LruAgesMonitor } from './lruAges.ts';
import type { Monitor } from './monitor.ts';
import { PageFlagsMonitor } from './pageFlags.ts';

const BASE = 0x10000;
const PAGE = 4096;

function machine(thp: 'always' | 'never' = 'never') {
  const spec = plainMachine([{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] }], {
    sysctl: { thp_enabled: thp, min_free_kbytes: 256 },
  });
  const k = new Kernel(spec, { seed: 1, trackContent: false });
  const task = k.spawn(null, 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  sys.mmap(k, task, BASE * PAGE, 4096 * PAGE, PROT_READ | PROT_WRITE, flags, null, 0);
  const pfnOf = (page: number) => k.frames.pfnOf(pageAt(k, task.mm!, BASE + page));
  return { k, task, queue: new EventQueue(new VirtualClock()), pfnOf };
}

function collected(monitor: Monitor): HeatTable {
  const heat = new HeatTable();
  monitor.collect(heat, 0);
  return heat;
}

const pages = (heat: HeatView) => {
  const rows = Array.from({ length: heat.nrRows }, (_, row) => row).filter(
    (row) => heat.pid[row] >= 0,
  );
  return rows.map((row) => [heat.vpn[row], heat.nrPages[row]]).sort((a, b) => a[0] - b[0]);
};

describe('page-idle', () => {
  it('reports the frames whose bit became 0, and sets all bits again (HS-4, HS-5)', () => {
    const { k, task, queue, pfnOf } = machine();
    const monitor = new IdleBitmapMonitor(k, queue, { intervalNs: 1000, pageNs: 150 });
    for (let page = 0; page < 4; page++) accessPage(k, task, BASE + page, true);
    k.lru.drainAll();
    monitor.start(0);
    accessPage(k, task, BASE + 2, false);
    queue.runUntil(1000);
    const heat = collected(monitor);
    expect(pages(heat)).toEqual([[pfnOf(2), 1]]);
    expect(heat.pid[0]).toBe(PHYSICAL_PID);
    expect(heat.generation[0]).toBe(k.frames.generation[k.frames.frameOfPfn(pfnOf(2))]);
    queue.runUntil(2000);
    expect(collected(monitor).nrSeen).toBe(0);
    // Four bits set three times, four and three and four read as 1 or swept.
    expect(monitor.stats.backgroundNs).toBe((3 * 4 + 2 * 4) * 150);
    checkInvariants(k);
  });

  it('sees a page that is new since the last sweep', () => {
    const { k, task, queue, pfnOf } = machine();
    const monitor = new IdleBitmapMonitor(k, queue, { intervalNs: 1000, pageNs: 150 });
    monitor.start(0);
    accessPage(k, task, BASE, true);
    k.lru.drainAll();
    queue.runUntil(1000);
    expect(pages(collected(monitor))).toEqual([[pfnOf(0), 1]]);
  });

  it('knows a large folio by its head only (HS-7)', () => {
    const { k, task, queue, pfnOf } = machine('always');
    const monitor = new IdleBitmapMonitor(k, queue, { intervalNs: 1000, pageNs: 150 });
    accessPage(k, task, BASE, true);
    k.lru.drainAll();
    monitor.start(0);
    accessPage(k, task, BASE + 77, false);
    queue.runUntil(1000);
    expect(pages(collected(monitor))).toEqual([[pfnOf(0), 512]]);
    expect(monitor.stats.samples).toBe(1);
  });
});

describe('kpageflags', () => {
  it('reports REFERENCED and ACTIVE folios on the LRU (HS-13), not what programs access', () => {
    const { k, task, queue, pfnOf } = machine();
    const monitor = new PageFlagsMonitor(k, queue, { intervalNs: 1000, frameNs: 10 });
    for (let page = 0; page < 4; page++) accessPage(k, task, BASE + page, true);
    k.lru.drainAll();
    monitor.start(0);
    queue.runUntil(1000);
    const before = pages(collected(monitor)).length;
    k.lru.markAccessed(k.frames.frameOfPfn(pfnOf(1)));
    accessPage(k, task, BASE + 3, false);
    queue.runUntil(2000);
    const seen = pages(collected(monitor));
    expect(seen).toContainEqual([pfnOf(1), 1]);
    expect(seen).toHaveLength(before + 1);
    expect(monitor.stats.backgroundNs).toBe(2 * k.frames.nrFrames * 10);
  });
});

describe('mglru', () => {
  it('ages folios by generations since their last access, four at most (HS-60, HS-63)', () => {
    const { k, task, queue } = machine();
    const monitor = new LruAgesMonitor(k, queue, { intervalNs: 1000, pteNs: 15, frameNs: 10 });
    for (let page = 0; page < 3; page++) accessPage(k, task, BASE + page, true);
    k.lru.drainAll();
    const frame = (page: number) => pageAt(k, task.mm!, BASE + page);
    const ages: number[][] = [];
    for (let round = 0; round < 6; round++) {
      accessPage(k, task, BASE + 1, false);
      if (round % 2 === 0) accessPage(k, task, BASE + 2, false);
      monitor.age(round);
      ages.push([0, 1, 2].map((page) => monitor.ageOf(frame(page))));
    }
    expect(ages).toEqual([
      [0, 0, 0],
      [1, 0, 1],
      [2, 0, 0],
      [3, 0, 1],
      [3, 0, 0],
      [3, 0, 1],
    ]);
    // Three entries walked and all frames read, six times.
    expect(monitor.stats.backgroundNs).toBe(6 * (3 * 15 + k.frames.nrFrames * 10));
    checkInvariants(k);
  });

  it('reports the two youngest generations, the youngest twice as hot', () => {
    const { k, task, queue, pfnOf } = machine();
    const monitor = new LruAgesMonitor(k, queue, { intervalNs: 1000, pteNs: 15, frameNs: 10 });
    for (let page = 0; page < 2; page++) accessPage(k, task, BASE + page, true);
    k.lru.drainAll();
    monitor.start(0);
    queue.runUntil(1000);
    collected(monitor);
    accessPage(k, task, BASE + 1, false);
    queue.runUntil(2000);
    const heat = collected(monitor);
    const weight = (page: number) => {
      const pfn: number = pfnOf(page);
      return heat.reads[heat.find(PHYSICAL_PID, pfn)];
    };
    expect([weight(0), weight(1)]).toEqual([1, 2]);
    queue.runUntil(3000);
    const later = collected(monitor);
    expect(pages(later)).toEqual([[pfnOf(1), 1]]);
  });
});

describe('FrameHeat', () => {
  it('finds the pages that map a frame, in every process (HS-99)', () => {
    const { k, task, pfnOf } = machine();
    accessPage(k, task, BASE + 9, true);
    const child = sys.fork(k, task);
    const frames = new HeatTable();
    const generation = k.frames.generation[k.frames.frameOfPfn(pfnOf(9))];
    frames.seeFrame(pfnOf(9), 1, generation, 3, 1, 0, 500);
    const heat = new HeatTable();
    const translation = new FrameHeat(k);
    translation.translate(frames, heat);
    for (const pid of [task.tgid, child]) {
      const row = heat.find(pid, BASE + 9);
      expect([heat.reads[row], heat.writes[row], heat.lastSeenNs[row]]).toEqual([3, 1, 500]);
    }
    expect(heat.nrSeen).toBe(2);
    expect(translation.backgroundNs).toBe(k.spec.costs.scanFolioNs);
  });

  it('places a sample of a tail in its folio, and a report of a folio on all of it', () => {
    const { k, task, pfnOf } = machine('always');
    accessPage(k, task, BASE, true);
    const frames = new HeatTable();
    const generationOf = (page: number) => k.frames.generation[k.frames.frameOfPfn(pfnOf(page))];
    frames.seeFrame(pfnOf(0), 512, generationOf(0), 1, 0, 0, 1);
    frames.seeFrame(pfnOf(77), 1, generationOf(77), 1, 0, 0, 1);
    const heat = new HeatTable();
    new FrameHeat(k).translate(frames, heat);
    expect(pages(heat)).toEqual([
      [BASE, 512],
      [BASE + 77, 1],
    ]);
  });

  it('drops what was seen of a content that has left its frame (PP-91)', () => {
    const { k, task, pfnOf } = machine();
    accessPage(k, task, BASE, true);
    const pfn = pfnOf(0);
    const frames = new HeatTable();
    frames.seeFrame(pfn, 1, k.frames.generation[k.frames.frameOfPfn(pfn)], 5, 2, 0, 1);
    sys.munmap(k, task, BASE * PAGE, PAGE);
    for (let page = 1; page < 64; page++) accessPage(k, task, BASE + page, true);
    const heat = new HeatTable();
    const translation = new FrameHeat(k);
    translation.translate(frames, heat);
    expect(heat.nrSeen).toBe(0);
    expect(translation.stale).toBe(7);
  });

  it('forgets what was seen of the earlier content when a frame is seen again', () => {
    const frames = new HeatTable();
    frames.seeFrame(40, 1, 1, 5, 2, 0, 1);
    frames.seeFrame(40, 1, 2, 1, 0, 0, 2);
    expect([frames.nrSeen, frames.reads[0], frames.writes[0], frames.generation[0]]).toEqual([
      1, 1, 0, 2,
    ]);
  });
});
