/**
 * More ways with 2 MiB that device and CPU take turns with than moving the whole or the pages that
 * are touched (folioBounce.ts): the driver chooses by what bounced, or leaves the pages that are
 * fought over in system memory and has the device use them there. D8, D13, DM-64, DM-70.
 */
import { HPAGE_PMD_NR, type Nanoseconds } from '../base/units.ts';
import type { BounceSpec } from '../drivers/index.ts';
import { DEVICE_COST_DEFAULTS, deviceAccessNs } from '../hw/index.ts';
import { type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure } from './lab.ts';
import { LabDevice } from './labDevice.ts';

export interface Way {
  readonly name: string;
  readonly splitsOnReturn: boolean;
  readonly bounces: BounceSpec;
}

/** As many pages of a turn as moving them one by one takes as long as moving 2 MiB whole. */
const MERGE_AFTER = 8;

export const WAYS: readonly Way[] = [
  { name: 'whole', splitsOnReturn: false, bounces: {} },
  { name: 'split', splitsOnReturn: true, bounces: {} },
  {
    name: 'by use',
    splitsOnReturn: false,
    bounces: { splitAfter: 1, mergeAfter: MERGE_AFTER },
  },
  { name: 'link', splitsOnReturn: true, bounces: { shareAfter: 1, shareBy: 'link' } },
  { name: 'exclusive', splitsOnReturn: true, bounces: { shareAfter: 1, shareBy: 'exclusive' } },
];
const IN_PLACE = ['link', 'exclusive'];

/** Accesses of the device to each page in a round, in the figure that varies them. */
const REUSES = [1, 32, 128, 512, 2048, 8192] as const;
/** Pages that the CPU writes there. */
export const REUSE_TOUCHED = 8;

/** What one round of a way came to, the first one left out. */
export interface Rounds {
  readonly firstUs: number;
  /** Time lost by both sides, without the device's accesses. */
  readonly us: number;
  readonly pages: number;
  readonly faults: number;
  /** Accesses of the device to its own memory and over the link, one a page. */
  readonly local: number;
  readonly remote: number;
  /** Contents that one side wrote and the other did not read. */
  readonly wrong: number;
  readonly counters: Record<string, number>;
}

interface Reading {
  readonly ns: Nanoseconds;
  readonly pages: number;
  readonly faults: number;
  readonly local: number;
  readonly remote: number;
}

function readingOf({ spentNs, device: { stats } }: LabDevice): Reading {
  return {
    ns: spentNs,
    pages: stats.pagesToDevice + stats.pagesFromDevice,
    faults: stats.cpuFaults + stats.deviceFaults + stats.exclusiveEnded,
    local: stats.localAccesses,
    remote: stats.remoteAccesses,
  };
}

/** Rounds of: the CPU writes `touched` pages, evenly spread; the device reads all. */
export function playRounds(way: Way, touched: number, rounds: number, seed: number): Rounds {
  const { splitsOnReturn, bounces } = way;
  const lab = new LabDevice({ seed, systemMib: 64, splitsOnReturn, bounces });
  const start = lab.program.mapHuge(HPAGE_PMD_NR);
  const words = new Array<number>(HPAGE_PMD_NR).fill(0);
  for (let n = 0; n < HPAGE_PMD_NR; n++) lab.store(start + n, 0);
  lab.deviceLoad(start);
  let wrong = 0;
  const turn = (word: number) => {
    for (let i = 0; i < touched; i++) {
      const n = Math.floor((i * HPAGE_PMD_NR) / touched);
      words[n] = word;
      lab.store(start + n, word);
    }
    for (let n = 0; n < HPAGE_PMD_NR; n++) {
      if (lab.deviceLoad(start + n) !== words[n]) wrong++;
    }
  };
  const before = lab.spentNs;
  turn(1);
  const first = readingOf(lab);
  for (let round = 2; round <= rounds; round++) turn(round);
  const last = readingOf(lab);
  const perRound = (of: (reading: Reading) => number) => (of(last) - of(first)) / (rounds - 1);
  return {
    firstUs: (first.ns - before) / 1000,
    us: perRound(({ ns }) => ns) / 1000,
    pages: perRound(({ pages }) => pages),
    faults: perRound(({ faults }) => faults),
    local: perRound(({ local }) => local),
    remote: perRound(({ remote }) => remote),
    wrong,
    counters: { ...lab.machine.counters(), ...lab.device.stats },
  };
}

/** Time of a round when the device accesses each page so often. */
function roundUs({ us, local, remote }: Rounds, accesses: number): number {
  let ns = 0;
  if (local > 0) ns += deviceAccessNs(DEVICE_COST_DEFAULTS, local * accesses, false);
  if (remote > 0) ns += deviceAccessNs(DEVICE_COST_DEFAULTS, remote * accesses, true);
  return us + ns / 1000;
}

/** The row of each way, with the name of the one that takes least. */
function compareWays(first: number, ways: readonly Rounds[], accesses: number): Cell[] {
  const us = ways.map((way) => rounded(roundUs(way, accesses)));
  return [first, ...us, WAYS[us.indexOf(Math.min(...us))].name];
}

function columnsOf(name: string, unit: string): Figure['columns'] {
  const ways = WAYS.map((way) => ({ name: way.name, unit: 'µs' }));
  return [{ name, unit }, ...ways, { name: 'least', unit: '' }];
}

/** Four lines can be told apart: `exclusive` stands in the table alone. */
function drawingOver(x: string): Figure['drawing'] {
  const shades = ['before', 'after', 'third', 'fourth'] as const;
  const series = shades.map((shade, i) => ({ column: WAYS[i].name, shade }));
  return { kind: 'curves', x, series, isLog: true };
}

export type Played = ReadonlyMap<number, readonly Rounds[]>;

/** What a round takes, by pages written, when the device accesses each page `accesses` times. */
export function figureOfWays(played: Played, accesses: number): Figure {
  return {
    id: 'ways',
    title: `What a round takes with the device's ${accesses} accesses a page, by pages written`,
    columns: columnsOf('CPU writes', 'pages'),
    rows: [...played].map(([touched, ways]) => compareWays(touched, ways, accesses)),
    drawing: drawingOver('CPU writes'),
  };
}

/** The same by accesses, for a few pages written. */
export function figureOfReuse(played: Played): Figure {
  const ways = played.get(REUSE_TOUCHED)!;
  return {
    id: 'reuse',
    title: `What a round takes by the device's accesses a page, the CPU writes ${REUSE_TOUCHED}`,
    columns: columnsOf('accesses', 'a page'),
    rows: REUSES.map((accesses) => compareWays(accesses, ways, accesses)),
    drawing: drawingOver('accesses'),
  };
}

/** Most pages written at which a page that stays beats moving whole and split; 0 = at none. */
export function inPlaceUntil(f: FigureReader): number {
  let until = 0;
  for (const row of f.figure('ways').rows) {
    const touched = Number(row[0]);
    if (IN_PLACE.includes(f.text('ways', [touched], 'least'))) until = touched;
  }
  return until;
}

/** Fewest accesses a page from which the link is not the best way; null = it always is. */
export function linkUntil(f: FigureReader): number | null {
  const { rows } = f.figure('reuse');
  for (const [accesses] of rows) {
    if (f.text('reuse', [accesses], 'least') !== 'link') return Number(accesses);
  }
  return null;
}
