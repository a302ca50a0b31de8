import { describe, expect, it } from 'vitest';
import { UserError } from '../../base/assert.ts';
import { EventQueue, VirtualClock } from '../../engine/index.ts';
import { HeatTable } from '../../heat/index.ts';
import { CHMU_ALWAYS_ON, CHMU_EPOCH } from '../../hw/index.ts';
import { accessPage, Kernel, pageAt } from '../../mm/index.ts';
import { plainMachine } from '../../mm/plainMachine.ts';
import * as sys from '../../syscalls/index.ts';
import { MPOL_BIND } from '../../uapi/mempolicy.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../uapi/mman.ts';
import { ZONE_NORMAL } from '../../uapi/zone.ts';
import { CxlHeatMonitor, type CxlHeatOptions } from './cxlHeat.ts';
import { CxlSet } from './cxlSet.ts';

const BASE = 0x10000;
const PAGE = 4096;

const OPTIONS: CxlHeatOptions = {
  ways: 1,
  granularityBytes: 256,
  isXor: false,
  periodNs: 1e6,
  entryNs: 500,
  capabilities: {
    hotlistSize: 64,
    counterWidth: 16,
    downsampleMax: 15,
    epochMinNs: 1e5,
    epochMaxNs: 1e9,
  },
  config: {
    mode: CHMU_EPOCH,
    unitBytes: 4096,
    threshold: 4,
    downsample: 0,
    accessKinds: 3,
    epochScale: 2,
    epochMultiplier: 1,
  },
};

function options(
  change: Partial<CxlHeatOptions>,
  config: Partial<CxlHeatOptions['config']> = {},
): CxlHeatOptions {
  return { ...OPTIONS, ...change, config: { ...OPTIONS.config, ...config } };
}

describe('CxlSet', () => {
  it('finds the pages of a unit that their parts were counted in (HS-50, HS-59)', () => {
    for (const ways of [1, 2, 3, 4, 6, 8, 12, 16]) {
      for (const granularityBytes of [256, 1024, 4096, 16384]) {
        for (const isXor of [false, true]) {
          for (const unitBytes of [256, 4096, 65536]) {
            const set = new CxlSet(
              1,
              0,
              512,
              options({ ways, granularityBytes, isXor }, { unitBytes }),
            );
            const pages = new Int32Array(set.pagesOfUnitMax);
            for (const page of [0, 1, 77, 511]) {
              for (let part = 0; part < set.partsPerPage; part++) {
                const at = page * set.partsPerPage + part;
                const n = set.pagesOfUnit(set.deviceOf[at], set.unitOf[at], pages);
                expect(pages.subarray(0, n)).toContain(page);
              }
            }
          }
        }
      }
    }
  });

  it('gives each page of a single device a unit of its own', () => {
    const set = new CxlSet(1, 0, 512, OPTIONS);
    expect(new Set(set.unitOf.filter((_, at) => at % set.partsPerPage === 0)).size).toBe(512);
  });

  it('refuses what decoders cannot do (HS-40)', () => {
    expect(() => new CxlSet(1, 0, 512, options({ ways: 5 }))).toThrow(UserError);
    expect(() => new CxlSet(1, 0, 512, options({ granularityBytes: 300 }))).toThrow(UserError);
    expect(() => new CxlSet(1, 0, 512, options({}, { unitBytes: 5000 }))).toThrow(UserError);
  });
});

describe('CxlHeatMonitor', () => {
  /** DRAM and CXL memory; a program with `nrPages` pages on `nid`, and a replay of it. */
  function machine(nid: number, nrPages: number, given: CxlHeatOptions) {
    const plain = plainMachine(
      [
        { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 32768 }] },
        { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 32768 }] },
      ],
      { sysctl: { thp_enabled: 'never' } },
    );
    const k = new Kernel(plain, { seed: 1, trackContent: false });
    const task = k.spawn(null, 0);
    sys.setMempolicy(k, task, MPOL_BIND, { bits: [nid], maxnode: 8 });
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    sys.mmap(k, task, BASE * PAGE, 512 * PAGE, PROT_READ | PROT_WRITE, flags, null, 0);
    for (let page = 0; page < nrPages; page++) accessPage(k, task, BASE + page, true);
    const queue = new EventQueue(new VirtualClock());
    const monitor = new CxlHeatMonitor(k, queue, given);
    monitor.start(0);
    const mm = task.mm!;
    const replay = (...runs: readonly (readonly [page: number, n: number])[]) => {
      const served = Int32Array.from(runs, ([page]) => pageAt(k, mm, BASE + page));
      const words = Uint32Array.from(runs, ([page]) => page << 1);
      const weight = Uint16Array.from(runs, ([, n]) => n);
      monitor.onRuns(served, words, weight, 0, runs.length);
    };
    const seen = () => {
      const heat = new HeatTable();
      monitor.collect(heat);
      return Array.from({ length: heat.nrRows }, (_, row) => [heat.vpn[row], heat.reads[row]]);
    };
    const pfnOf = (page: number) => k.frames.pfnOf(pageAt(k, mm, BASE + page));
    return { k, task, queue, monitor, replay, seen, pfnOf };
  }

  it('reports frames of CXL memory that reached the threshold in an epoch (HS-54)', () => {
    const { queue, monitor, replay, seen, pfnOf } = machine(1, 4, OPTIONS);
    replay([0, 1], [1, 3], [2, 64], [1, 1]);
    expect(seen()).toEqual([]);
    queue.runUntil(1e6);
    // A single device: all of a page is in one unit.
    const expected = [
      [pfnOf(1), 4],
      [pfnOf(2), 64],
    ];
    expect(seen()).toEqual(expected.sort(([a], [b]) => a! - b!));
    expect(monitor.stats).toEqual({ samples: 2, lost: 0, programNs: 0, backgroundNs: 1000 });
    replay([0, 3]);
    queue.runUntil(2e6);
    expect(seen()).toEqual([]);
  });

  it('saturates at the width of its counters', () => {
    const capabilities = { ...OPTIONS.capabilities, counterWidth: 8 };
    const { queue, replay, seen, pfnOf } = machine(1, 1, { ...OPTIONS, capabilities });
    for (let n = 0; n < 10; n++) replay([0, 200]);
    queue.runUntil(1e6);
    expect(seen()).toEqual([[pfnOf(0), 255]]);
  });

  it('saturates at 32 bits as well, however many accesses an epoch has', () => {
    const capabilities = { ...OPTIONS.capabilities, counterWidth: 32 };
    const { queue, replay, seen, pfnOf } = machine(1, 1, { ...OPTIONS, capabilities });
    const runs = Array.from({ length: 4096 }, () => [0, 65535] as const);
    for (let n = 0; n < 20; n++) replay(...runs);
    queue.runUntil(1e6);
    expect(seen()).toEqual([[pfnOf(0), 2 ** 32 - 1]]);
  });

  it('spreads a unit over the pages that it has parts of (HS-59)', () => {
    const { queue, replay, seen, pfnOf } = machine(1, 1, options({ ways: 2 }));
    replay([0, 64]);
    queue.runUntil(1e6);
    // Each of the devices has half of this page and half of the next one in a unit.
    const first: number = pfnOf(0);
    expect(seen()).toEqual([
      [first, 32],
      [first + 1, 32],
    ]);
  });

  it('knows nothing of DRAM', () => {
    const { queue, replay, seen } = machine(0, 4, OPTIONS);
    replay([0, 100], [1, 100]);
    queue.runUntil(1e6);
    expect(seen()).toEqual([]);
  });

  it('adds up the devices of an interleave set by frame (HS-59)', () => {
    for (const ways of [2, 3, 16]) {
      const given = options({ ways, isXor: true }, { unitBytes: 256, threshold: 1 });
      const { queue, replay, seen, pfnOf } = machine(1, 1, given);
      replay([0, 32], [0, 7]);
      queue.runUntil(1e6);
      expect(seen()).toEqual([[pfnOf(0), 39]]);
    }
  });

  it('S-PP-24: leaves out a frame whose content changed during the epoch (PP-72)', () => {
    const { k, task, queue, monitor, replay, seen } = machine(1, 1, OPTIONS);
    replay([0, 50]);
    k.lru.drainAll(); // its batch holds the folio otherwise
    sys.munmap(k, task, BASE * PAGE, PAGE);
    queue.runUntil(1e6);
    expect(seen()).toEqual([]);
    expect(monitor.stats.lost).toBe(1);
  });

  it('loses what a full list cannot hold (HS-57)', () => {
    const { queue, monitor, replay, seen } = machine(1, 100, OPTIONS);
    replay(...Array.from({ length: 100 }, (_, page) => [page, 16] as const));
    queue.runUntil(1e6);
    expect(seen()).toHaveLength(63);
    expect(monitor.stats.lost).toBe(37);
  });

  it('lists a unit as often as it reaches the threshold when always on (HS-55)', () => {
    const { queue, monitor, replay, seen, pfnOf } = machine(
      1,
      1,
      options({}, { mode: CHMU_ALWAYS_ON }),
    );
    for (let n = 0; n < 10; n++) replay([0, 2]);
    queue.runUntil(1e6);
    expect(seen()).toEqual([[pfnOf(0), 20]]);
    expect(monitor.stats.samples).toBe(5);
  });
});
