/**
 * The replay loop on a kernel with every page mapped: full memory management state, accessed and
 * dirty bits, per-node accounting, in batches as the simulator calls it, a sampling countdown on.
 * Zipf 0.99 and uniform over 2^20 and 2^24 pages, a quarter writes, pages on two nodes 1:3.
 *
 * With a CXL device's counters as heat source, which are told of every batch, the same accesses;
 * three quarters of the pages are the device's.
 *
 * Against a C loop (bench/replay.c, gcc -O3) doing the same look-ups, bits and counters.
 */
import { RandomStream } from '../src/base/prng.ts';
import { EventQueue, VirtualClock } from '../src/engine/index.ts';
import { accessPage, Kernel, mmapRegion } from '../src/mm/index.ts';
import { plainMachine } from '../src/mm/plainMachine.ts';
import { NO_NEEDS } from '../src/policy/index.ts';
import type { AccessObserver } from '../src/sim/monitors/monitor.ts';
import { makeMonitor } from '../src/sim/monitors/monitorList.ts';
import { ReplayBatch, replayRuns, STOP_FAULT } from '../src/sim/replayLoop.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../src/uapi/zone.ts';
import { type Figure, figure } from './support/figure.ts';
import { cLoop, pageWords, RUNS } from './support/replayLoad.ts';

const STEP = 512;
const ROUNDS = 9;
/** Accesses between two samples: HeMem's period. */
const PERIOD = 5000;
const SECTION = 32768;

/** A kernel with `pages` mapped pages, and the region table a trace would have. */
function mappedKernel(pages: number) {
  const first = Math.ceil(pages / 4 / SECTION + 1) * SECTION;
  const spec = plainMachine([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: first }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: pages + 2 * SECTION }] },
  ]);
  const machine = { ...spec, sysctl: { thp_enabled: 'never' } as const };
  const k = new Kernel(machine, { seed: 1, trackContent: false });
  const task = k.spawn(null, 0);
  const mm = task.mm!;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const prot = PROT_READ | PROT_WRITE;
  const start = mmapRegion(k, mm, { addr: 2 ** 30, pages, prot, flags, file: null, pgoff: 0 });
  for (let i = 0; i < pages; i++) accessPage(k, task, start + i, true);
  const slots = new Int32Array(pages / 512);
  for (let r = 0; r < slots.length; r++) slots[r] = mm.ensureSlot(start + r * 512);
  return { k, mm, slots };
}

/** The heat source with the most work: a device that counts three quarters of all accesses. */
function cxlObserver(k: Kernel): AccessObserver {
  const random = new RandomStream(1, 'replay');
  const queue = new EventQueue(new VirtualClock());
  const needs = { ...NO_NEEDS, heat: 'cxl' as const };
  const monitor = makeMonitor(needs, { kernel: k, queue, random });
  if (monitor === null || monitor.observer === null) throw new Error('cxl counts every access');
  return monitor.observer;
}

function secondsOfLoop(
  kernel: ReturnType<typeof mappedKernel>,
  words: Uint32Array,
  observer: AccessObserver | null,
): number {
  const { k, mm, slots } = kernel;
  const weight = new Uint16Array(RUNS).fill(1);
  const batch = new ReplayBatch();
  if (observer !== null) batch.served = new Int32Array(STEP);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    let until = PERIOD;
    batch.at = 0;
    while (batch.at < RUNS) {
      const end = Math.min(RUNS, batch.at + STEP);
      const from = batch.at;
      const stop = replayRuns(k, mm, slots, words, weight, end, until, batch);
      if (batch.served !== null) observer?.onRuns(batch.served, words, weight, from, batch.at);
      if (stop === STOP_FAULT) throw new Error('a page is not mapped');
      until -= batch.accesses;
      if (until <= 0) until += PERIOD;
      batch.counts.fill(0);
    }
    best = Math.min(best, (performance.now() - startMs) / 1000);
  }
  return best;
}

export async function* figures(): AsyncIterable<Figure> {
  for (const log of [20, 24]) {
    const pages = 2 ** log;
    const kernel = mappedKernel(pages);
    for (const kind of ['zipf', 'uniform']) {
      const words = pageWords(pages, kind === 'zipf');
      const seconds = secondsOfLoop(kernel, words, null);
      const other = cLoop(pages, words);
      yield figure(`replay/${kind}-2^${log}-pages`, RUNS / seconds, 'accesses/s', other);
      const counted = secondsOfLoop(kernel, words, cxlObserver(kernel.k));
      yield figure(`replay/cxl-${kind}-2^${log}-pages`, RUNS / counted, 'accesses/s', other);
    }
  }
}
