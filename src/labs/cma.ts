/**
 * Pins against contiguous memory: what a driver gets of a CMA area that a program uses meanwhile,
 * when some of its pages are pinned for a moment, for long, and for long while somebody else holds
 * a reference; and what alloc_contig_range gets where there is no area. PM-15, PM-54, PM-60,
 * PM-80..PM-83.
 *
 * Before Linux 5.13 what would not migrate out of CMA was pinned in it; since then the pin fails.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import {
  allocContigRange,
  type CmaArea,
  cmaAlloc,
  freeContigRange,
  getUserPages,
  type PlainNode,
  putUserPages,
} from '../mm/index.ts';
import { integerKnob, type KnobValues, numberOf } from '../policy/index.ts';
import { GFP_KERNEL } from '../uapi/gfp.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { ZONE_MOVABLE, ZONE_NORMAL, type ZoneType } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, migrationMs, PAGES_PER_MIB, twoZones } from './labMachine.ts';

const SHORT = 'short pins';
const LONG = 'long pins';
const BEFORE = 'long pins of held pages, before';
const AFTER = 'long pins of held pages, after';
const VARIANTS = [SHORT, LONG, BEFORE, AFTER] as const;
type Variant = (typeof VARIANTS)[number];
/** Pages of the area that are pinned or would be. */
const PINS = [0, 1, 2, 4, 8, 16, 32, 64] as const;
const MOST = PINS[PINS.length - 1];
/** CONFIG_CMA_ALIGNMENT: no more than that, and every buffer has as much. */
const BUFFER_ALIGN = 8;
/** Of the memory, in use by the program; a quarter of it is the area. */
const TOUCHED = 60;
/** Pageblocks with a page of the kernel, where there is no area; in percent. */
const SCATTERED = 25;
const PLACES = [ZONE_NORMAL, ZONE_MOVABLE] as const;
const ZONE_NAMES: Readonly<Record<number, string>> = {
  [ZONE_NORMAL]: 'ZONE_NORMAL',
  [ZONE_MOVABLE]: 'ZONE_MOVABLE',
};

export const cma: Lab = {
  name: 'cma',
  question: 'Does a driver get its contiguous memory back from the programs that use it?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E1', 'E2', 'E4', 'F4'],
  rules: ['PM-15', 'PM-54', 'PM-60', 'PM-80', 'PM-82', 'PM-83'],
  knobs: [
    integerKnob('memory', 256, 64, 1024, 'MiB', 'of the one node; a quarter of it is the CMA area'),
    integerKnob('buffer', 1, 1, 16, 'MiB', 'what the driver asks for at a time'),
  ],
  setup: (knobs) => [
    `One node of ${knobs.memory} MiB, all ZONE_NORMAL, a quarter of it a CMA area; no swap.`,
    `A program touches ${TOUCHED} % of the memory; what of it lies in the area is movable.`,
    'Some of its pages in the area, at random, are pinned: for a moment (FOLL_PIN), for long ' +
      '(FOLL_LONGTERM), or for long while direct I/O holds a reference, which then ends.',
    `A driver asks cma_alloc for ${knobs.buffer} MiB at a time until it gets no more.`,
    `Without an area: half of the node is ZONE_MOVABLE, ${SCATTERED} % of the kernel’s ` +
      'pageblocks hold one page of it, nothing is pinned, and alloc_contig_range is tried at ' +
      'every place.',
    'Before = Linux up to 5.12: what does not migrate out of CMA is pinned there. After: the ' +
      'pin fails with -ENOMEM.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Pavel Tatashin',
      says: 'pages can be migrated before they are pinned for long: CMA has done so all the time',
      judge: judgeScheme,
    },
    {
      who: 'Michal Hocko',
      says: 'correctness comes before optimisation: what must not be pinned there fails instead',
      judge: judgeCorrectness,
    },
  ],
  notModelled: [
    'time that cma_alloc waits for short pins to end: it passes on to the next stretch',
    'several areas, and areas that hugetlb or a device has for itself',
  ],
};

interface AreaRun {
  /** Of the area that the driver got, in percent. */
  readonly got: number;
  readonly failedPins: number;
  /** Pages migrated for the pins, and for the driver. */
  readonly movedForPins: number;
  readonly movedForDriver: number;
  readonly counters: Record<string, number>;
}

function measure({ knobs, seed }: LabRun): Measurement {
  const runs = new Map<string, AreaRun>();
  const rows = PINS.map((pins): Cell[] => {
    const shares = VARIANTS.map((variant) => {
      const run = tryPins(variant, pins, knobs, seed);
      runs.set(`${variant}, ${pins}`, run);
      return rounded(run.got);
    });
    return [pins, ...shares];
  });
  const most = VARIANTS.map((variant) => [variant, runs.get(`${variant}, ${MOST}`)!] as const);
  const data = Object.fromEntries([...runs].map(([name, { counters }]) => [name, counters]));
  const figures = [gotFigure(rows), workFigure(most), placesFigure(knobs, seed)];
  return { figures, published: [], data };
}

function areaNode(mib: number): PlainNode {
  const pages = mib * PAGES_PER_MIB;
  const area = { at: alignedQuarter(mib) * 2, pages: alignedQuarter(mib) };
  return { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages, cma: [area] }] };
}

/** A quarter of the memory in whole pairs of pageblocks. */
function alignedQuarter(mib: number): number {
  return Math.floor(mib / 16) * 4 * PAGES_PER_MIB;
}

function tryPins(variant: Variant, pins: number, knobs: KnobValues, seed: number): AreaRun {
  const mib = numberOf(knobs, 'memory');
  const machine = new LabMachine({
    nodes: [areaNode(mib)],
    seed,
    pinsStayInMovable: variant === BEFORE,
  });
  const [area] = machine.k.cma;
  const program = machine.program();
  const pages = Math.floor((mib * PAGES_PER_MIB * TOUCHED) / 100);
  const memory = program.map(pages);
  program.touch(memory, pages);
  machine.k.lru.drainAll();
  const failedPins = pinSome(program, variant, pagesIn(program, memory, pages, area), pins);
  const movedForPins = machine.vmstat('pgmigrate_success');
  const got = takeBuffers(machine, area, numberOf(knobs, 'buffer') * PAGES_PER_MIB);
  return {
    got: (100 * got) / area.count,
    failedPins,
    movedForPins,
    movedForDriver: machine.vmstat('pgmigrate_success') - movedForPins,
    counters: machine.counters(),
  };
}

/** The program's pages that lie in the area. */
function pagesIn(program: LabProgram, memory: Vpn, pages: number, area: CmaArea): Vpn[] {
  const start = program.machine.k.frames.frameOfPfn(area.basePfn);
  const found: Vpn[] = [];
  for (let vpn = memory; vpn < memory + pages; vpn++) {
    const frame = program.frame(vpn);
    if (frame >= start && frame < start + area.count) found.push(vpn);
  }
  return found;
}

/** Pins `nr` of the pages, at random, one a call; how many of the calls failed. */
function pinSome(program: LabProgram, variant: Variant, pages: Vpn[], nr: number): number {
  const { k, random } = program.machine;
  const flags = FOLL_WRITE | (variant === SHORT ? 0 : FOLL_LONGTERM);
  const isHeld = variant === BEFORE || variant === AFTER;
  let failed = 0;
  for (let n = 0; n < nr && pages.length > 0; n++) {
    const [vpn] = pages.splice(random.below(pages.length), 1);
    const held: FrameId[] = [];
    if (isHeld) getUserPages(k, program.task, vpn, 1, FOLL_WRITE, held);
    if (program.pin(vpn, 1, 1, flags).errno !== 0) failed++;
    putUserPages(k, held);
  }
  return failed;
}

/** Pages that the driver gets, buffer by buffer, until it is refused. */
function takeBuffers(machine: LabMachine, area: CmaArea, pages: number): number {
  let got = 0;
  while (cmaAlloc(machine.k, area, pages, BUFFER_ALIGN) >= 0) {
    got += pages;
    machine.runKswapd();
  }
  return got;
}

function gotFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'got',
    title: 'What the driver gets of the area',
    columns: [
      { name: 'pinned pages', unit: 'pages' },
      ...VARIANTS.map((name) => ({ name, unit: '%' })),
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'pinned pages',
      series: [
        { column: SHORT, shade: 'third' },
        { column: LONG, shade: 'fourth' },
        { column: BEFORE, shade: 'before' },
        { column: AFTER, shade: 'after' },
      ],
    },
  };
}

function workFigure(runs: readonly (readonly [Variant, AreaRun])[]): Figure {
  const rows = runs.map(([variant, run]): Cell[] => [
    variant,
    run.failedPins,
    run.movedForPins,
    run.movedForDriver,
    rounded(migrationMs(run.movedForPins + run.movedForDriver), 2),
  ]);
  return {
    id: 'work',
    title: `What it took, with ${MOST} pages to be pinned`,
    columns: [
      { name: 'pins', unit: '' },
      { name: 'failed', unit: 'pins' },
      { name: 'migrated for the pins', unit: 'pages' },
      { name: 'migrated for the driver', unit: 'pages' },
      { name: 'CPU time', unit: 'ms' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** alloc_contig_range at every place of both zones of a machine without an area. */
function placesFigure(knobs: KnobValues, seed: number): Figure {
  const mib = numberOf(knobs, 'memory');
  const pages = numberOf(knobs, 'buffer') * PAGES_PER_MIB;
  const movable = 2 * Math.floor(mib / 4);
  const machine = new LabMachine({ nodes: [twoZones(mib - movable, movable)], seed });
  machine.scatterKernelPages(SCATTERED);
  const program = machine.program();
  const touched = Math.floor((mib * PAGES_PER_MIB * TOUCHED) / 100);
  program.touch(program.map(touched), touched);
  machine.k.lru.drainAll();
  const rows = PLACES.map((type): Cell[] => {
    const { places, had } = tryPlaces(machine, type, pages);
    return [ZONE_NAMES[type], places, had, rounded((100 * had) / places)];
  });
  return {
    id: 'places',
    title: `Places without an area that give ${numberOf(knobs, 'buffer')} MiB`,
    columns: [
      { name: 'zone', unit: '' },
      { name: 'places', unit: '' },
      { name: 'had', unit: '' },
      { name: 'share', unit: '%' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** Tries each place of a zone by itself: what one gives is given back before the next. */
function tryPlaces(
  machine: LabMachine,
  type: ZoneType,
  pages: number,
): { places: number; had: number } {
  const { k } = machine;
  let places = 0;
  let had = 0;
  for (const range of machine.zone(type)!.presentRanges) {
    const first = Math.ceil(range.start / pages) * pages;
    for (let start = first; start + pages <= range.end; start += pages) {
      places++;
      if (allocContigRange(k, start, start + pages, false, GFP_KERNEL) !== 0) continue;
      had++;
      freeContigRange(k, start, pages);
    }
  }
  return { places, had };
}

function least(f: FigureReader, variant: Variant): number {
  return Math.min(...f.column('got', variant));
}

function verdict(f: FigureReader): string {
  const [short, long, before, after] = VARIANTS.map((variant) => decimal(least(f, variant)));
  const [normal, movable] = PLACES.map((type) => {
    return decimal(f.number('places', [ZONE_NAMES[type]], 'share'));
  });
  const pins = f.column('got', 'pinned pages').at(-1)!;
  return (
    `At worst, with up to ${pins} pinned pages, the driver gets ${short} % of the area beside ` +
    `short pins and ${long} % beside long ones, which leave it; ${before} % where held pages ` +
    `were pinned all the same, ${after} % where that fails. Without an area ${normal} % of the ` +
    `places in ZONE_NORMAL can be had, ${movable} % in ZONE_MOVABLE.`
  );
}

function judgeScheme(f: FigureReader): Finding {
  const [none] = f.column('got', LONG);
  const worst = least(f, LONG);
  const moved = f.number('work', [LONG], 'migrated for the pins');
  const because =
    `beside long pins the driver gets ${decimal(worst)} % of the area, ${decimal(none)} % ` +
    `without pins; ${moved} pages were migrated for them`;
  if (worst >= none) return { support: 'supported', because };
  return { support: worst > least(f, SHORT) ? 'partly' : 'not supported', because };
}

function judgeCorrectness(f: FigureReader): Finding {
  const [before, after] = [least(f, BEFORE), least(f, AFTER)];
  const failed = f.number('work', [AFTER], 'failed');
  const because =
    `${decimal(after)} % of the area after and ${decimal(before)} % before, at the price of ` +
    `${failed} pins that failed`;
  return { support: after > before ? 'supported' : 'not supported', because };
}
