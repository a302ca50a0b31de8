/**
 * The hmm_migrate of 2016 beside migrate_vma of today, on the same engine and the same driver: what
 * each takes to a device and brings back. D1, D2, DM-95..DM-98.
 */

import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import { copyToDevice, copyToSystem } from '../drivers/index.ts';
import {
  getUserPages,
  type HmmMigrateOps,
  hmmVmaMigrate,
  loadWord,
  mmapRegion,
  storeWord,
} from '../mm/index.ts';
import { madvise } from '../syscalls/index.ts';
import { MADV_PAGEOUT, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import type { FigureReader } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabDevice } from './labDevice.ts';

const PAGES = 16;
const HUGE_PAGES = 512;

interface Kind {
  readonly name: string;
  readonly pages: number;
  /** Memory of the kind; the first of its pages. */
  readonly map: (lab: LabDevice) => Vpn;
  /** What its pages hold; 0 = zeroes. */
  readonly isWritten: boolean;
}

const KINDS: readonly Kind[] = [
  { name: 'written', pages: PAGES, map: (lab) => written(lab), isWritten: true },
  { name: 'written, one page held (GUP)', pages: PAGES, map: held, isWritten: true },
  { name: 'written, one page in swap', pages: PAGES, map: swapped, isWritten: true },
  {
    name: 'never touched',
    pages: PAGES,
    map: ({ program }) => program.map(PAGES),
    isWritten: false,
  },
  { name: 'zero page', pages: PAGES, map: onlyRead, isWritten: false },
  { name: 'huge page', pages: HUGE_PAGES, map: huge, isWritten: true },
  { name: 'shared file', pages: PAGES, map: shared, isWritten: true },
];

/** Stores through the program, page by page: n + 1. */
function fill({ machine, program }: LabDevice, start: Vpn, nr: number): Vpn {
  for (let n = 0; n < nr; n++) storeWord(machine.k, program.task, start + n, n + 1);
  machine.k.lru.drainAll();
  return start;
}

function written(lab: LabDevice): Vpn {
  return fill(lab, lab.program.map(PAGES), PAGES);
}

function held(lab: LabDevice): Vpn {
  const start = written(lab);
  getUserPages(lab.machine.k, lab.program.task, start + 1, 1, 0, []);
  return start;
}

function swapped(lab: LabDevice): Vpn {
  const start = written(lab);
  madvise(lab.machine.k, lab.program.task, (start + 1) * PAGE_SIZE, PAGE_SIZE, MADV_PAGEOUT);
  return start;
}

function onlyRead({ program }: LabDevice): Vpn {
  const start = program.map(PAGES);
  program.read(start, PAGES);
  return start;
}

function huge(lab: LabDevice): Vpn {
  return fill(lab, lab.program.mapHuge(HUGE_PAGES), HUGE_PAGES);
}

function shared(lab: LabDevice): Vpn {
  const { k } = lab.machine;
  const file = k.newFile('file', 'ext4', PAGES);
  const prot = PROT_READ | PROT_WRITE;
  const request = { addr: 0, pages: PAGES, prot, flags: MAP_SHARED, file, pgoff: 0 };
  return fill(lab, mmapRegion(k, lab.program.task.mm!, request), PAGES);
}

/** hmm_migrate: one call, and the driver works in its callbacks. */
function byHmmMigrate(lab: LabDevice, start: Vpn, nr: number, isThere: boolean): void {
  const { machine, program, device } = lab;
  const ops: HmmMigrateOps = {
    allocAndCopy: (m) => {
      if (isThere) copyToDevice(machine.k, m, device);
      else copyToSystem(machine.k, m, device);
    },
    finalizeAndMap: () => {},
  };
  const vma = program.task.mm!.findVma(start)!;
  hmmVmaMigrate(machine.k, program.task, vma, start, start + nr, device, ops);
}

/** migrate_vma_setup, _pages and _finalize, called by the driver. */
function byMigrateVma(lab: LabDevice, start: Vpn, nr: number, isThere: boolean): void {
  if (isThere) lab.prefetch(start, nr);
  else lab.bringBack(start, nr);
}

interface Went {
  readonly there: number;
  readonly back: number;
  readonly wrong: number;
}

function trip(kind: Kind, way: typeof byHmmMigrate, seed: number): Went {
  const lab = new LabDevice({ seed, systemMib: 64, swapMib: 16 });
  const start = kind.map(lab);
  way(lab, start, kind.pages, true);
  const there = lab.live;
  way(lab, start, kind.pages, false);
  const back = there - lab.live;
  let wrong = 0;
  for (let n = 0; n < kind.pages; n++) {
    const expected = kind.isWritten ? n + 1 : 0;
    if (loadWord(lab.machine.k, lab.program.task, start + n) !== expected) wrong++;
  }
  return { there, back, wrong };
}

function measure({ seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rows = KINDS.map((kind): Cell[] => {
    const [old, today] = [byHmmMigrate, byMigrateVma].map((way) => trip(kind, way, seed));
    data[kind.name] = { hmm_migrate: old.there, migrate_vma: today.there };
    const wrong = old.wrong + today.wrong;
    return [kind.name, kind.pages, old.there, old.back, today.there, today.back, wrong];
  });
  return { figures: [figureOf(rows)], published: [], data };
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  const columns = ['pages', '2016, there', '2016, back', 'today, there', 'today, back', 'wrong'];
  return {
    id: 'interfaces',
    title: 'Pages that hmm_migrate of 2016 and migrate_vma of today take to a device and back',
    columns: [{ name: 'memory', unit: '' }, ...columns.map((name) => ({ name, unit: '' }))],
    rows,
    drawing: { kind: 'none' },
  };
}

/** Kinds of which today more goes, and of which some pages do not go today either. */
function compared(f: FigureReader): { readonly more: string[]; readonly stay: string[] } {
  const { rows } = f.figure('interfaces');
  const at = (row: readonly Cell[], column: number) => row[column] as number;
  const more = rows.filter((row) => at(row, 4) > at(row, 2)).map(([name]) => String(name));
  const stay = rows.filter((row) => at(row, 4) < at(row, 1)).map(([name]) => String(name));
  return { more, stay };
}

function total(f: FigureReader, column: string): number {
  return f.column('interfaces', column).reduce((sum, n) => sum + n, 0);
}

function verdict(f: FigureReader): string {
  const { more, stay } = compared(f);
  const wrong = total(f, 'wrong');
  const taken = more.length === 0 ? 'nothing' : more.join(', ');
  const left = stay.length === 0 ? '' : ` Not all goes today either: ${stay.join('; ')}.`;
  const lost = wrong === 0 ? 'No content is lost.' : `${wrong} pages have wrong contents.`;
  return `What hmm_migrate left behind and migrate_vma takes: ${taken}.${left} ${lost}`;
}

function bothDirections(f: FigureReader): Finding {
  const [there, back] = ['2016, there', '2016, back'].map((column) => total(f, column));
  const isBoth = there > 0 && there === back;
  return {
    support: isBoth ? 'supported' : 'not supported',
    because: `${there} pages went there with it, ${back} came back`,
  };
}

function heldIsRestored(f: FigureReader): Finding {
  const [went, of] = ['2016, there', 'pages'].map((column) => {
    return f.number('interfaces', ['written, one page held (GUP)'], column);
  });
  return {
    support: went === of - 1 && total(f, 'wrong') === 0 ? 'supported' : 'not supported',
    because: `${went} of ${of} pages go when one is held, and all hold what they held`,
  };
}

export const hmmThenAndNow: Lab = {
  name: 'hmm-then-and-now',
  question: 'What does migrate_vma take to a device that the hmm_migrate of 2016 did not?',
  thread: 'coherent-device-memory-glisse-2016',
  missions: ['D1', 'D2', 'F4'],
  rules: ['DM-22', 'DM-23', 'DM-25', 'DM-95', 'DM-96', 'DM-98'],
  knobs: [],
  setup: () => [
    'A program has memory of several kinds; a driver takes it to private memory and back.',
    '2016: hmm_migrate (v14), which collects, isolates and unmaps, calls alloc_and_copy, moves ' +
      'what it can, and calls finalize_and_map.',
    'Today: the same driver calls migrate_vma_setup, _pages and _finalize.',
    'Both are on the same engine, so what differs is what each collects.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Jérôme Glisse',
      says: 'hmm_migrate moves pages in both directions',
      judge: bothDirections,
    },
    {
      who: 'Jérôme Glisse',
      says: 'a pinned page gets its entry back and leaves the array, the others move',
      judge: heldIsRestored,
    },
  ],
  notModelled: [
    'file pages, for which patches were sent beside v13',
    'reference counts of 2016 in the engine: a free device page counts one to whoever looks (D12)',
  ],
};
