/**
 * A whole run, policies and heat sources included: time series, heat map, counts of all accesses,
 * samples, faults and migrations. Zipf 0.99 over 2^20 pages, a quarter writes, one thread, DRAM for
 * a quarter of them. Measured from when all pages are mapped; reading a trace is apart (trace/).
 *
 * Against the C loop of bench/replay.ts, which does the look-ups and nothing else.
 */
import { plainMachine } from '../src/mm/plainMachine.ts';
import { type RunSpec, runOne } from '../src/sim/index.ts';
import {
  END,
  EVENT,
  SLICE,
  syntheticHeader,
  type TraceItemKind,
  type TraceSource,
} from '../src/trace/index.ts';
import { ZONE_NORMAL } from '../src/uapi/zone.ts';
import { type Figure, figure } from './support/figure.ts';
import { cLoop, pageWords, RUNS } from './support/replayLoad.ts';

const PAGES = 1 << 20;
const SLICE_RUNS = 4096;
const ROUNDS = 24;
const INSN_PER_ACCESS = 100;
/** Every heat source, every kind of decision. */
const POLICIES = [
  'first-touch',
  'numa-balancing',
  'tpp',
  'nomad',
  'damon',
  'hemem',
  'memtis',
  'colloid',
  'physical-only',
  'bandwidth-spread',
  'memtierd-age',
];

/** All pages once, then ROUNDS times `words`; takes the time of each round. */
class TimedSource implements TraceSource {
  readonly header = syntheticHeader('bench', []);
  readonly processes = [{ name: 'bench', parent: -1, recordedPid: 0 }];
  readonly threads = [{ name: 'bench', pid: 0, recordedTid: 0 }];
  readonly totals: TraceSource['totals'];
  readonly event = {
    kind: 'mmap',
    pid: 0,
    tid: 0,
    insn: 0,
    addr: 2 ** 32,
    len: PAGES * 4096,
    prot: 3,
    flags: 0x22,
    file: -1,
    offset: 0,
    result: 2 ** 32,
  } as const;
  readonly slice = {
    pid: 0,
    tid: 0,
    insnStart: 0,
    insnEnd: 0,
    count: SLICE_RUNS,
    accesses: SLICE_RUNS,
    page: new Uint32Array(SLICE_RUNS),
    weight: new Uint16Array(SLICE_RUNS).fill(1),
    line: new Uint8Array(0),
  };
  readonly #words: Uint32Array;
  readonly #base: Float64Array;
  readonly #roundStartMs: number[] = [];
  #at = -1;

  constructor(words: Uint32Array) {
    this.#words = words;
    this.#base = Float64Array.from({ length: PAGES / 512 }, (_, r) => 2 ** 20 + r * 512);
    const slices = PAGES / SLICE_RUNS + (ROUNDS * RUNS) / SLICE_RUNS;
    const accesses = slices * SLICE_RUNS;
    this.totals = { accesses, runs: accesses, slices, events: 1 };
  }

  /** Of the fastest round. */
  get seconds(): number {
    const rounds = this.#roundStartMs.slice(1).map((ms, n) => ms - this.#roundStartMs[n]);
    return Math.min(...rounds) / 1000;
  }

  next(): TraceItemKind {
    const first = PAGES / SLICE_RUNS;
    const perRound = RUNS / SLICE_RUNS;
    this.#at++;
    if (this.#at === 0) return EVENT;
    const n = this.#at - 1;
    if (n >= first && (n - first) % perRound === 0) this.#roundStartMs.push(performance.now());
    if (n === first + ROUNDS * perRound) return END;
    const { page } = this.slice;
    if (n < first) for (let i = 0; i < SLICE_RUNS; i++) page[i] = ((n * SLICE_RUNS + i) << 1) | 1;
    else {
      const from = ((n - first) % perRound) * SLICE_RUNS;
      page.set(this.#words.subarray(from, from + SLICE_RUNS));
    }
    this.slice.insnStart = n * SLICE_RUNS * INSN_PER_ACCESS;
    this.slice.insnEnd = (n + 1) * SLICE_RUNS * INSN_PER_ACCESS;
    return SLICE;
  }

  regionBase(): Float64Array {
    return this.#base;
  }

  regionCount(): number {
    return this.#base.length;
  }

  rewind(): void {
    this.#at = -1;
    this.#roundStartMs.length = 0;
  }
}

function runSpec(policy: string): RunSpec {
  const plain = plainMachine([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: PAGES / 4 }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: PAGES }] },
  ]);
  const [dram, cxl] = plain.nodes;
  const far = { ...cxl.perf, readLatencyNs: 250, writeLatencyNs: 250, readBandwidth: 10 };
  const sysctl = { thp_enabled: 'never' } as const;
  return {
    machine: { ...plain, sysctl, nodes: [dram, { ...cxl, kind: 'cxl', perf: far }] },
    policy: { name: policy, params: {} },
    workload: { name: 'bench', trace: '', generator: '', params: {} },
    seed: 1,
    seriesPoints: 128,
  };
}

export async function* figures(): AsyncIterable<Figure> {
  const words = pageWords(PAGES, true);
  for (const policy of POLICIES) {
    const source = new TimedSource(words);
    runOne(runSpec(policy), source, { hetmem: 'bench' });
    const other = cLoop(PAGES, words);
    yield figure(`run/${policy}`, RUNS / source.seconds, 'accesses/s', other);
  }
}
