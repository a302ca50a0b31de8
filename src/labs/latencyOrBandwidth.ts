/**
 * When hot data belongs further away: cores that keep lines in flight, on DRAM and four expanders,
 * with a share of the hot pages on the expanders. With little in flight each access waits for the
 * latency of its node; with much, for the queue before it. PP-48, TI-82, TI-83.
 *
 * Steady states of the closed loop (hw/closedLoop.ts), with the loaded latency of every node. Nodes
 * as in machines/dram-4cxl.yaml, which names the sources.
 */
import {
  autoInterleaveWeights,
  DEFAULT_CURVE,
  type MachineSpec,
  type NodePerf,
  runClosedLoop,
} from '../hw/index.ts';
import { plainMachine } from '../mm/index.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from '../policy/index.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement, PublishedFigure } from './lab.ts';
import { PAGES_PER_MIB } from './labMachine.ts';

export const EXPANDERS = 4;
const CORES = [1, 4, 16, 24, 32, 48, 64] as const;
const MOST_CORES = CORES.at(-1)!;
const LINE_BYTES = 64;
/** Percent of the hot pages on all expanders together. */
const SHARES = [0, 5, 10, 15, 20, 25, 30, 40, 60, 80] as const;
const SHARE_STEP = 1;
const SHARE_MAX = 80;
const SOURCE = 'G. Price, Z5O2QATuhvRnygcx@gourry, MLC W2 (2 reads to 1 write)';

/** DDR5 of a socket: latency of a Xeon 8468, bandwidth at 1:1 and 2:1 as in the mail. */
export const DRAM_PERF: NodePerf = {
  readLatencyNs: 108.4,
  writeLatencyNs: 108.4,
  readBandwidth: 342,
  writeBandwidth: 245,
  mixBandwidth: [245 / 342, 259.1 / 342, 273.2 / 342, 309.6 / 342, 1],
  curve: DEFAULT_CURVE,
};

/** An x8 PCIe 5 expander (intel/CacheLib wiki). */
export const CXL_PERF: NodePerf = {
  readLatencyNs: 250,
  writeLatencyNs: 250,
  readBandwidth: 17.8,
  writeBandwidth: 17.8,
  mixBandwidth: [1, 22.5 / 17.8, 27.2 / 17.8, 23.6 / 17.8, 1],
  curve: DEFAULT_CURVE,
  overloadLoss: 0.1,
};

export const latencyOrBandwidth: Lab = {
  name: 'latency-or-bandwidth',
  question: 'When do hot pages belong on slower memory?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A8', 'C2', 'F4'],
  rules: ['PP-48', 'TI-82', 'TI-83'],
  knobs: [
    numberKnob('reads', 66.67, 0, 100, '%', 'of the accesses that read'),
    integerKnob(
      'lines',
      48,
      1,
      256,
      'lines',
      'of 64 bytes that a core keeps in flight (L2 miss queue of a Golden Cove core)',
    ),
  ],
  setup: (knobs) => [
    'One socket with DRAM, 108.4 ns, and four CXL expanders, 250 ns each (dram-4cxl).',
    `1 to ${MOST_CORES} cores keep ${knobs.lines} lines in flight each, ${knobs.reads} % reads.`,
    'All hot pages are in DRAM, spread evenly, by automatic weights, or as is best: any share ' +
      `of 0 to ${SHARE_MAX} % on the expanders, in steps of ${SHARE_STEP} %.`,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Gregory Price',
      says: 'who wants bandwidth spreads hot data over all devices, sometimes further away',
      judge: judgeFurther,
    },
    {
      who: 'Gregory Price',
      says: 'who wants latency moves hot data closer to the processor',
      judge: judgeCloser,
    },
  ],
  notModelled: [
    'what it costs to migrate pages there; caches and prefetchers',
    'request queues that tiers share: expanders do not slow DRAM down',
  ],
};

/** The socket with its expanders. */
export function expanderMachine(): MachineSpec {
  const gib = 1024 * PAGES_PER_MIB;
  const cpus = Array.from({ length: MOST_CORES }, (_, cpu) => cpu);
  const spec = plainMachine([
    { cpus, zones: [{ zone: ZONE_NORMAL, pages: 128 * gib }] },
    ...Array.from({ length: EXPANDERS }, () => {
      return { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 64 * gib }] };
    }),
  ]);
  const nodes = spec.nodes.map((node) => ({
    ...node,
    perf: node.nid === 0 ? DRAM_PERF : CXL_PERF,
  }));
  return { ...spec, nodes };
}

interface Steady {
  readonly bandwidth: number;
  readonly latencyNs: number;
}

class Bench {
  readonly #spec = expanderMachine();
  readonly #readShare: number;
  readonly #lines: number;

  constructor(knobs: KnobValues) {
    this.#readShare = numberOf(knobs, 'reads') / 100;
    this.#lines = numberOf(knobs, 'lines');
  }

  run(cores: number, weights: readonly number[]): Steady {
    const inFlightBytes = cores * this.#lines * LINE_BYTES;
    const stream = { cpuNid: 0, inFlightBytes, readShare: this.#readShare, weights };
    const { bandwidth, latenciesNs } = runClosedLoop(this.#spec, [stream]);
    return { bandwidth, latencyNs: latenciesNs[0] };
  }

  byAutomaticWeights(cores: number): Steady {
    return this.run(cores, [...autoInterleaveWeights(this.#spec)]);
  }

  /** The share of the pages on the expanders, in percent, with the most bandwidth. */
  best(cores: number): Steady & { readonly share: number } {
    let best = { ...this.run(cores, weightsOf(0)), share: 0 };
    for (let share = SHARE_STEP; share <= SHARE_MAX; share += SHARE_STEP) {
      const steady = this.run(cores, weightsOf(share));
      if (steady.bandwidth > best.bandwidth) best = { ...steady, share };
    }
    return best;
  }
}

function weightsOf(share: number): number[] {
  return [100 - share, ...new Array<number>(EXPANDERS).fill(share / EXPANDERS)];
}

function measure({ knobs }: LabRun): Measurement {
  const bench = new Bench(knobs);
  const evenly = new Array<number>(EXPANDERS + 1).fill(1);
  const loads = CORES.map((cores): Cell[] => {
    const [dram, best] = [bench.run(cores, weightsOf(0)), bench.best(cores)];
    const shown = [dram, bench.run(cores, evenly), bench.byAutomaticWeights(cores)];
    return [
      cores,
      rounded(dram.latencyNs),
      ...shown.map(({ bandwidth }) => rounded(bandwidth)),
      best.share,
      rounded(best.bandwidth),
      rounded(best.latencyNs),
      rounded(100 * (best.bandwidth / dram.bandwidth - 1)),
    ];
  });
  const shares = SHARES.map((share): Cell[] => {
    return [
      share,
      ...[1, MOST_CORES].map((n) => rounded(bench.run(n, weightsOf(share)).bandwidth)),
    ];
  });
  const isW2 = Math.abs(numberOf(knobs, 'reads') - 66.67) < 0.1 && numberOf(knobs, 'lines') === 48;
  return {
    figures: [loadsFigure(loads), sharesFigure(shares)],
    published: isW2 ? publishedOf(loads.at(-1)!) : [],
    data: {},
  };
}

function publishedOf(most: readonly Cell[]): PublishedFigure[] {
  const figure = (what: string, published: number, ours: Cell) => {
    return { what, unit: 'GB/s', published, ours: Number(ours), source: SOURCE };
  };
  return [
    figure('all in DRAM', 298.8, most[2]),
    figure('spread evenly', 113.04, most[3]),
    figure('by weights (not stated)', 412.5, most[6]),
  ];
}

function loadsFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'loads',
    title: 'Bandwidth by load and placement of the hot pages',
    columns: [
      { name: 'cores', unit: '' },
      { name: 'DRAM latency', unit: 'ns' },
      { name: 'all in DRAM', unit: 'GB/s' },
      { name: 'evenly', unit: 'GB/s' },
      { name: 'automatic weights', unit: 'GB/s' },
      { name: 'best share on CXL', unit: '%' },
      { name: 'with it', unit: 'GB/s' },
      { name: 'latency', unit: 'ns' },
      { name: 'gain', unit: '%' },
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'cores',
      series: [
        { column: 'all in DRAM', shade: 'before' },
        { column: 'with it', shade: 'after' },
        { column: 'evenly', shade: 'third' },
      ],
    },
  };
}

function sharesFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'shares',
    title: 'Bandwidth by share of the hot pages on CXL',
    columns: [
      { name: 'on CXL', unit: '%' },
      { name: '1 core', unit: 'GB/s' },
      { name: `${MOST_CORES} cores`, unit: 'GB/s' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** Fewest cores at which a share on CXL pays; 0 = at none. */
function firstToPay(f: FigureReader): number {
  const at = f.column('loads', 'best share on CXL').findIndex((share) => share > 0);
  return at < 0 ? 0 : f.column('loads', 'cores')[at];
}

function verdict(f: FigureReader): string {
  const first = firstToPay(f);
  if (first === 0) return `Never up to ${MOST_CORES} cores: every page on CXL costs bandwidth.`;
  const [share, gain] = ['best share on CXL', 'gain'].map((column) => {
    return f.number('loads', [MOST_CORES], column);
  });
  const latency = f.number('loads', [first], 'DRAM latency');
  const evenly = f.number('loads', [MOST_CORES], 'evenly');
  const dram = f.number('loads', [MOST_CORES], 'all in DRAM');
  const cost = decimal(100 * (1 - evenly / dram));
  const spread = evenly < dram ? `spread evenly they lose ${cost} %` : 'evenly will do, too';
  return (
    `From ${first} cores on, when DRAM itself takes ${decimal(latency)} ns: with ` +
    `${MOST_CORES} cores ${decimal(share)} % on CXL give ${decimal(gain)} % more ` +
    `bandwidth, ${spread}.`
  );
}

function judgeFurther(f: FigureReader): Finding {
  const gains = f.column('loads', 'gain');
  const most = Math.max(...gains);
  const paying = gains.filter((gain) => gain > 0).length;
  const because = `it pays at ${paying} of ${gains.length} loads, by ${decimal(most)} % at most`;
  return { support: most >= 1 ? 'supported' : 'not supported', because };
}

function judgeCloser(f: FigureReader): Finding {
  const loads = f.column('loads', 'cores');
  const best = f.column('loads', 'best share on CXL');
  const idle = loads.filter((_, i) => best[i] === 0);
  const because =
    idle.length === 0
      ? 'a share on CXL is better at every load'
      : `with at most ${idle.at(-1)} cores all in DRAM is best`;
  return { support: idle.length > 0 ? 'supported' : 'not supported', because };
}
