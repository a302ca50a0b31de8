/**
 * Pins against huge pages: how many a program can still get when single pages of another one stay
 * pinned here and there, without ZONE_MOVABLE, and with it before and after pins must leave it.
 * PM-10, PM-51, PM-85..PM-91.
 *
 * The other program's memory is given back but for some of its pages, so that huge pages need
 * compaction; the pinned ones outlive it and cannot be moved.
 */
import type { Vpn } from '../base/units.ts';
import { FAULT_HUGE, madviseRange, munmapRange } from '../mm/index.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from '../policy/index.ts';
import { MADV_DONTNEED, MADV_HUGEPAGE } from '../uapi/mman.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB, twoZones } from './labMachine.ts';
import { BEFORE_AND_AFTER } from './words.ts';

const HUGE = 512;
const NORMAL_ONLY = 'no ZONE_MOVABLE';
const BEFORE = 'half, before';
const AFTER = 'half, after';
const VARIANTS = [NORMAL_ONLY, BEFORE, AFTER] as const;
/** Pinned pages for every hundred pieces of 2 MiB of the program's memory. */
const DENSITIES = [0, 5, 10, 20, 40, 80, 160] as const;
/** Of the first program's memory that it touches, in percent of the machine. */
const TOUCHED = 70;

export const pinsVsThp: Lab = {
  name: 'pins-vs-thp',
  question: 'How many huge pages are left when single pages stay pinned?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E4', 'E6', 'F4'],
  rules: ['PM-10', 'PM-51', 'PM-85', 'PM-90', 'PM-91'],
  knobs: [
    integerKnob(
      'memory',
      512,
      128,
      8192,
      'MiB',
      'of the one node; half of it is ZONE_MOVABLE where there is one',
    ),
    numberKnob(
      'kept',
      20,
      0,
      100,
      '%',
      'of the first program’s pages that it keeps: movable, in the way until compacted',
    ),
  ],
  setup: (knobs) => [
    `One node of ${knobs.memory} MiB, no swap: all ZONE_NORMAL, or half of it ZONE_MOVABLE.`,
    `A program touches ${TOUCHED} % of it in small pages; some of them, at random, are ` +
      `pinned for long.`,
    `It keeps ${knobs.kept} % of its pages, at random, and gives the others back; what is ` +
      `pinned stays.`,
    'A second program then asks for huge pages over all that is free, with direct compaction.',
    BEFORE_AND_AFTER,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Joonsoo Kim',
      says: 'ZONE_MOVABLE is there to keep huge pages available, not only for hot-unplug',
      judge: judgeAvailability,
    },
    {
      who: 'Pavel Tatashin',
      says: 'pinning pages in ZONE_MOVABLE fragments it, so huge pages suffer from that, too',
      judge: judgeFragmented,
    },
  ],
  notModelled: ['khugepaged: huge pages come from faults only', 'other sizes of large folios'],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const counters: Record<string, Record<string, number>> = {};
  const rows = DENSITIES.map((density): Cell[] => {
    const shares = VARIANTS.map((variant) => {
      const run = tryDensity(variant, density, knobs, seed);
      counters[`${variant}, ${density}`] = run.counters;
      return rounded(run.share);
    });
    return [density, ...shares];
  });
  return { figures: [sharesFigure(rows), workFigure(counters)], published: [], data: counters };
}

interface DensityRun {
  /** Huge pages got, in percent of what is free. */
  readonly share: number;
  readonly counters: Record<string, number>;
}

function tryDensity(variant: string, density: number, knobs: KnobValues, seed: number): DensityRun {
  const mib = numberOf(knobs, 'memory');
  const movable = variant === NORMAL_ONLY ? 0 : 2 * Math.floor(mib / 4);
  const machine = new LabMachine({
    nodes: [twoZones(mib - movable, movable)],
    seed,
    sysctl: { thp_enabled: 'madvise', thp_defrag: 'always' },
    pinsStayInMovable: variant === BEFORE,
  });
  const pages = Math.floor((mib * PAGES_PER_MIB * TOUCHED) / 100);
  const first = machine.program();
  const memory = first.map(pages);
  first.touch(memory, pages);
  const pinned = pinSome(first, memory, pages, Math.round((density * pages) / HUGE / 100));
  giveBack(first, memory, pages, pinned, numberOf(knobs, 'kept'));
  const share = shareOfHugePages(machine, mib);
  return { share, counters: machine.counters() };
}

/** Pins `nr` random pages; the set of them. */
function pinSome(program: LabProgram, at: Vpn, pages: number, nr: number): Set<number> {
  const pinned = new Set<number>();
  while (pinned.size < nr) {
    const page = program.machine.random.below(pages);
    if (!pinned.has(page)) program.pinLongterm(at + page, 1, 1);
    pinned.add(page);
  }
  return pinned;
}

/** Unpinned pages but `kept` percent are freed; pinned ones outlive their mapping (PM-10). */
function giveBack(
  program: LabProgram,
  at: Vpn,
  pages: number,
  pinned: ReadonlySet<number>,
  kept: number,
): void {
  const { k, random } = program.machine;
  for (let page = 0; page < pages; page++) {
    if (!pinned.has(page) && random.below(10_000) < kept * 100) continue;
    madviseRange(k, program.task, at + page, at + page + 1, MADV_DONTNEED);
  }
  k.lru.drainAll();
}

/** Asks for a huge page at every 2 MiB of as much memory as is free. */
function shareOfHugePages(machine: LabMachine, mib: number): number {
  const wanted = Math.floor(machine.vmstat('nr_free_pages') / HUGE);
  const second = machine.program();
  const memory = second.map(mib * PAGES_PER_MIB);
  madviseRange(machine.k, second.task, memory, memory + mib * PAGES_PER_MIB, MADV_HUGEPAGE);
  const start = Math.ceil(memory / HUGE) * HUGE;
  let got = 0;
  for (let n = 0; n < wanted; n++) {
    const vpn = start + n * HUGE;
    if ((second.access(vpn, true) & FAULT_HUGE) !== 0) got++;
    else munmapRange(machine.k, second.task.mm!, vpn, vpn + HUGE);
  }
  return wanted === 0 ? 0 : (100 * got) / wanted;
}

function sharesFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'shares',
    title: 'Huge pages that can be had, of what is free',
    columns: [
      { name: 'pins per 200 MiB', unit: '' },
      ...VARIANTS.map((name) => ({ name, unit: '%' })),
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'pins per 200 MiB',
      series: [
        { column: NORMAL_ONLY, shade: 'third' },
        { column: BEFORE, shade: 'before' },
        { column: AFTER, shade: 'after' },
      ],
    },
  };
}

function workFigure(counters: Readonly<Record<string, Readonly<Record<string, number>>>>): Figure {
  const names = [
    'thp_fault_alloc',
    'thp_fault_fallback',
    'compact_migrate_scanned',
    'compact_fail',
  ];
  const rows = VARIANTS.map((variant): Cell[] => {
    const found = counters[`${variant}, ${DENSITIES.at(-1)}`];
    return [variant, ...names.map((name) => found[name] ?? 0)];
  });
  return {
    id: 'work',
    title: `What it took, with ${DENSITIES.at(-1)} pins per 200 MiB`,
    columns: [
      { name: 'ZONE_MOVABLE', unit: '' },
      ...names.map((name) => ({ name, unit: name === 'compact_migrate_scanned' ? 'pages' : '' })),
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** What a variant loses from no pins to the most. */
function lossOf(f: FigureReader, variant: string): number {
  const column = f.column('shares', variant);
  return column[0] - column.at(-1)!;
}

function verdict(f: FigureReader): string {
  const dense = f.column('shares', 'pins per 200 MiB').at(-1)!;
  const [none, before, after] = VARIANTS.map((variant) => {
    return decimal(f.column('shares', variant).at(-1)!);
  });
  const least = Math.min(...VARIANTS.map((variant) => lossOf(f, variant)));
  const best = VARIANTS.filter((variant) => lossOf(f, variant) === least).join(' and ');
  return (
    `With ${dense} pinned pages per 200 MiB ${after} % of the free memory can be had as huge ` +
    `pages after ` +
    `the change, ${before} % before it, ${none} % without ZONE_MOVABLE; pins cost least ` +
    `with: ${best}.`
  );
}

function judgeAvailability(f: FigureReader): Finding {
  const [none, after] = [NORMAL_ONLY, AFTER].map((variant) => f.column('shares', variant).at(-1)!);
  const because = `${decimal(after)} % with ZONE_MOVABLE, ${decimal(none)} % without`;
  return { support: after > none ? 'supported' : 'not supported', because };
}

function judgeFragmented(f: FigureReader): Finding {
  const [before, after] = [BEFORE, AFTER].map((variant) => lossOf(f, variant));
  const because = `pins cost ${decimal(before)} points in it, ${decimal(after)} once they leave it`;
  if (before <= 0) return { support: 'not supported', because };
  return { support: after < before ? 'supported' : 'partly', because };
}
