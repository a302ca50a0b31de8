/**
 * A balloon of 2 MiB blocks that must stay migratable: its driver splits each block when it
 * inflates, or keeps it whole until one of its pages is to move. Beside them the balloon of today,
 * which inflates by single pages. MC-70..MC-74.
 *
 * Pages are moved as CMA and offlining do it: a contiguous range is taken (alloc_contig_range) and
 * given back. Then the host gives the whole balloon back.
 */
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import { Balloon } from '../drivers/index.ts';
import {
  allocContigRange,
  findBrokenInvariants,
  freeContigRange,
  isolateFolio,
  migratePages,
  putbackMovablePages,
} from '../mm/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import { EBUSY } from '../uapi/errno.ts';
import { GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_CONTIG_RANGE } from '../uapi/migrate.ts';
import { decimal, type FigureReader } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, PAGES_PER_MIB, twoZones } from './labMachine.ts';

const SINGLE = 'single pages';
const START = 'split at the start';
const BEFORE = 'split before migration';
const BALLOONS = [SINGLE, START, BEFORE] as const;
type BalloonKind = (typeof BALLOONS)[number];

interface Load {
  readonly name: string;
  /** Share of the blocks that are touched, in percent. */
  readonly percent: number;
  /** Pages of each that must move. */
  readonly pages: number;
}

const NONE = 'nothing';
const EACH = '1 page of each block';
const LOADS: readonly Load[] = [
  { name: NONE, percent: 0, pages: 0 },
  { name: '1 page of a quarter', percent: 25, pages: 1 },
  { name: EACH, percent: 100, pages: 1 },
  { name: 'a quarter, whole', percent: 25, pages: HPAGE_PMD_NR },
  { name: 'all, whole', percent: 100, pages: HPAGE_PMD_NR },
];

export const balloonSplit: Lab = {
  name: 'balloon-split',
  question: 'Should a balloon of large blocks split them at the start or before migration?',
  thread: 'future-of-zone-device-2025',
  missions: ['D7', 'F4'],
  rules: ['MC-70', 'MC-73', 'MC-74', 'PM-50'],
  knobs: [integerKnob('balloon', 64, 8, 1024, 'MiB', 'that the guest gives to the host')],
  setup: (knobs) => [
    `A guest with three times ${knobs.balloon} MiB inflates its balloon by ${knobs.balloon} MiB.`,
    'Ranges that hold balloon pages are then taken and given back (alloc_contig_range). Where ' +
      'that is refused, the driver is asked for the pages directly.',
    'In the end the balloon is deflated. Each entry of its list is a call to the host.',
    `${SINGLE}: as Linux does today.`,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'David Hildenbrand',
      says: 'larger balloon pages need an option to split before migration, for compaction',
      judge: judgeReliable,
    },
    {
      who: 'David Hildenbrand',
      says: 'or split right at the start; both approaches have their pros and cons',
      judge: judgeBoth,
    },
  ],
  notModelled: [
    'the time of a call to the host; what the host gains by keeping 2 MiB mappings',
    'balloon pages that are reported in batches: a call each',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const blocks = Math.floor(numberOf(knobs, 'balloon') / 2);
  const rows = BALLOONS.flatMap((kind) =>
    LOADS.map((load): Cell[] => {
      const guest = new Guest(kind, blocks, seed);
      const cells = guest.live(load);
      data[`${kind}, ${load.name}`] = guest.machine.counters();
      return [kind, load.name, ...cells];
    }),
  );
  return { figures: [figureOf(rows)], published: [], data };
}

class Guest {
  readonly machine: LabMachine;
  readonly #balloon: Balloon;
  /** First frames of the blocks as they were inflated. */
  readonly #blocks: readonly FrameId[];

  constructor(kind: BalloonKind, nrBlocks: number, seed: number) {
    const mib = 6 * nrBlocks;
    const machine = new LabMachine({ nodes: [twoZones(mib, 0)], seed });
    const splitBlocks = kind === BEFORE ? 'before-migration' : 'at-inflation';
    const balloon = new Balloon(machine.k, { splitBlocks });
    if (kind === SINGLE) balloon.inflate(2 * nrBlocks * PAGES_PER_MIB, 0);
    else balloon.inflateBlocks(nrBlocks, 0);
    const isFirst = (page: FrameId) => machine.k.frames.pfnOf(page) % HPAGE_PMD_NR === 0;
    this.machine = machine;
    this.#balloon = balloon;
    this.#blocks = balloon.pages.filter(isFirst);
  }

  /** What a scanner would do that leaves it to the driver; pages that stayed. */
  #ask(block: FrameId, pages: number): number {
    const { k } = this.machine;
    const list: FrameId[] = [];
    for (let page = block; page < block + pages; page++) isolateFolio(k, page, list);
    const missing = pages - list.length;
    const to = { nid: 0, mask: -1, gfp: GFP_HIGHUSER_MOVABLE };
    const left = migratePages(k, list, to, MIGRATE_SYNC, MR_CONTIG_RANGE);
    putbackMovablePages(k, list);
    return missing + Math.abs(left);
  }

  /** The columns of the figure after balloon and load. */
  live({ percent, pages }: Load): Cell[] {
    const { k } = this.machine;
    const balloon = this.#balloon;
    const inflated = balloon.hostCalls;
    const held = balloon.nrPages;
    const touched = Math.round((this.#blocks.length * percent) / 100);
    let [refused, stuck] = [0, 0];
    for (const block of this.#blocks.slice(0, touched)) {
      const result = allocContigRange(k, block, block + pages, false, GFP_KERNEL);
      if (result === 0) {
        freeContigRange(k, block, pages);
        continue;
      }
      if (result === -EBUSY) refused++;
      stuck += this.#ask(block, pages);
    }
    const moved = balloon.hostCalls - inflated;
    const entries = balloon.pages.length;
    const whole = balloon.pages.filter((page) => k.folios.isLarge(page)).length;
    const lost = held - balloon.nrPages;
    balloon.deflate(entries);
    const deflated = balloon.hostCalls - inflated - moved;
    const broken = findBrokenInvariants(k).length;
    return [inflated, touched, refused, stuck, moved, entries, whole, deflated, lost + broken];
  }
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'balloon',
    title: 'A balloon from inflation to deflation, by what must move meanwhile',
    columns: [
      { name: 'balloon', unit: '' },
      { name: 'must move', unit: '' },
      { name: 'calls to inflate', unit: '' },
      { name: 'ranges', unit: '' },
      { name: 'refused (-EBUSY)', unit: '' },
      { name: 'stay when asked', unit: 'pages' },
      { name: 'calls to move', unit: '' },
      { name: 'entries then', unit: '' },
      { name: 'whole then', unit: 'blocks' },
      { name: 'calls to deflate', unit: '' },
      { name: 'lost or broken', unit: '' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function at(f: FigureReader, kind: BalloonKind, load: string, column: string): number {
  return f.number('balloon', [kind, load], column);
}

function total(f: FigureReader, kind: BalloonKind, column: string): number {
  const at = f.figure('balloon').columns.findIndex(({ name }) => name === column);
  const rows = f.figure('balloon').rows.filter((row) => row[0] === kind);
  return rows.reduce((sum, row) => sum + (row[at] as number), 0);
}

/** Calls to the host from inflation to deflation, with nothing moved or one page of each block. */
function callsOf(f: FigureReader, kind: BalloonKind, load: string): number {
  const columns = ['calls to inflate', 'calls to move', 'calls to deflate'];
  return columns.reduce((sum, column) => sum + at(f, kind, load, column), 0);
}

function verdict(f: FigureReader): string {
  const [start, before] = [START, BEFORE].map((kind) => callsOf(f, kind as BalloonKind, NONE));
  const each = [START, BEFORE].map((kind) => callsOf(f, kind as BalloonKind, EACH));
  const [refused, ranges] = ['refused (-EBUSY)', 'ranges'].map((name) => total(f, BEFORE, name));
  const today =
    refused === 0
      ? 'Blocks that are whole keep no range from being taken'
      : `Today ${refused} of ${ranges} ranges with whole blocks are refused as unmovable`;
  if (before >= start) return `At the start: ${start} calls to the host, else ${before}. ${today}.`;
  return (
    `Before migration: ${before} calls to the host, ${start} if at the start, while nothing ` +
    `moves; ${each[1]} against ${each[0]} once a page of each block does. ${today}.`
  );
}

function judgeReliable(f: FigureReader): Finding {
  const [refused, stuck] = ['refused (-EBUSY)', 'stay when asked'].map((name) => {
    return total(f, BEFORE, name);
  });
  const because = `${refused} ranges refused, ${stuck} pages stay if the driver splits`;
  if (refused > 0 && stuck === 0) return { support: 'supported', because };
  return { support: stuck > 0 ? 'not supported' : 'partly', because };
}

function judgeBoth(f: FigureReader): Finding {
  const ratio = callsOf(f, START, NONE) / callsOf(f, BEFORE, NONE);
  const refused = total(f, START, 'refused (-EBUSY)');
  const because =
    `at the start ${decimal(ratio)} times the calls to the host, ` +
    `and ${refused} ranges refused, against ${total(f, BEFORE, 'refused (-EBUSY)')}`;
  const hasCon = ratio > 1;
  const hasPro = refused < total(f, BEFORE, 'refused (-EBUSY)');
  if (hasCon && hasPro) return { support: 'supported', because };
  return { support: hasCon || hasPro ? 'partly' : 'not supported', because };
}
