/**
 * What happens when a page cannot leave ZONE_MOVABLE: the pin must fail, leave no pin behind and
 * lose nothing; short pins stay, and offlining waits for them. PM-3, PM-5, PM-17, PM-22, PM-25,
 * PM-54, PM-96, PM-98, PM-106.
 *
 * Each case is a machine of its own with a buffer of known contents, tried, then tried again once
 * what was in the way is gone.
 */
import type { Vpn } from '../base/units.ts';
import {
  getUserPages,
  loadWord,
  munmapRange,
  pinUserPages,
  putUserPages,
  storeWord,
  unpinUserPages,
  VM_DAX,
} from '../mm/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import type { FigureReader } from './figureReader.ts';
import type { Cell, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB, twoZones } from './labMachine.ts';
import { outcomeText } from './words.ts';

const LONG = FOLL_LONGTERM | FOLL_WRITE;
const ZONE_MIB = 32;

/** A machine with the buffer, for one case. */
interface Stage {
  readonly machine: LabMachine;
  readonly program: LabProgram;
  readonly at: Vpn;
  readonly pages: number;
}

interface Case {
  readonly name: string;
  readonly flags: number;
  /** Puts something in the way; the function takes it away again. */
  readonly hinder: (stage: Stage) => () => void;
}

const CASES: readonly Case[] = [
  { name: 'room in ZONE_NORMAL', flags: LONG, hinder: () => () => {} },
  { name: 'no room in ZONE_NORMAL', flags: LONG, hinder: fillNormal },
  { name: 'a page is referenced', flags: LONG, hinder: holdOne },
  { name: 'a page is pinned for short', flags: LONG, hinder: pinOne },
  { name: 'fs-dax', flags: LONG, hinder: markDax },
  { name: 'fs-dax, short pin', flags: FOLL_WRITE, hinder: markDax },
  { name: 'short pin', flags: FOLL_WRITE, hinder: () => () => {} },
];

export const pinFailure: Lab = {
  name: 'pin-failure',
  question: 'When a page cannot leave ZONE_MOVABLE, does pinning fail without losing anything?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E1', 'E2', 'F4'],
  rules: ['PM-3', 'PM-5', 'PM-17', 'PM-22', 'PM-25', 'PM-54', 'PM-96', 'PM-98'],
  knobs: [integerKnob('pages', 256, 2, 2048, 'pages', 'of the buffer, pinned in one call')],
  setup: (knobs) => [
    `One node: ZONE_NORMAL and ZONE_MOVABLE of ${ZONE_MIB} MiB each, no swap.`,
    `A program writes ${knobs.pages} pages in ZONE_MOVABLE, each with another content.`,
    'They are pinned in one call while something is in the way; then all contents are read.',
    'What was in the way is taken away, and the call is made again.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Michal Hocko',
      says: 'correctness comes before optimisation: no long-term pin may stay in ZONE_MOVABLE',
      judge: judgeCorrect,
    },
    {
      who: 'mm/gup.c, check_vma_flags',
      says: 'long pins of fs-dax are refused before anything is migrated',
      judge: judgeDax,
    },
  ],
  notModelled: [
    'files on fs-dax: an area with the flag of one stands for it',
    'the OOM killer: the pin fails instead (PM-25)',
  ],
};

/** The kernel takes all of ZONE_NORMAL but a few pages. */
function fillNormal({ machine }: Stage): () => void {
  const other = machine.program();
  const pages = ZONE_MIB * PAGES_PER_MIB;
  const at = other.map(pages);
  const { pages: taken } = other.pinLongterm(at, pages, 1);
  return () => {
    unpinUserPages(machine.k, taken);
    munmapRange(machine.k, other.task.mm!, at, at + pages);
    machine.k.lru.drainAll();
  };
}

function holdOne({ machine, program, at, pages }: Stage): () => void {
  const held: number[] = [];
  getUserPages(machine.k, program.task, at + (pages >> 1), 1, 0, held);
  return () => putUserPages(machine.k, held);
}

function pinOne({ machine, program, at, pages }: Stage): () => void {
  const { pages: held } = program.pin(at + (pages >> 1), 1, 1, FOLL_WRITE);
  return () => unpinUserPages(machine.k, held);
}

function markDax({ program, at }: Stage): () => void {
  const vma = program.task.mm!.findVma(at)!;
  vma.flags |= VM_DAX;
  return () => {
    vma.flags &= ~VM_DAX;
  };
}

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rows = CASES.map((one): Cell[] => {
    const { row, counters } = tryCase(one, numberOf(knobs, 'pages'), seed);
    data[one.name] = counters;
    return row;
  });
  const figure = {
    id: 'cases',
    title: 'One call, what it left behind, and the same call again',
    columns: [
      { name: 'case', unit: '' },
      { name: 'asked', unit: 'pages' },
      { name: 'returned', unit: '' },
      { name: 'left pinned', unit: 'pages' },
      { name: 'long pins in MOVABLE', unit: 'pages' },
      { name: 'moved to NORMAL', unit: 'pages' },
      { name: 'contents lost', unit: 'pages' },
      { name: 'again', unit: '' },
    ],
    rows,
    drawing: {
      kind: 'bars' as const,
      labels: ['case'],
      parts: [{ column: 'moved to NORMAL', shade: 'pinned' as const }],
    },
  };
  return { figures: [figure], published: [], data };
}

function tryCase(
  { name, flags, hinder }: Case,
  pages: number,
  seed: number,
): { row: Cell[]; counters: Record<string, number> } {
  const machine = new LabMachine({
    nodes: [twoZones(ZONE_MIB, ZONE_MIB)],
    seed,
    sysctl: { thp_enabled: 'never' },
    trackContent: true,
  });
  const program = machine.program();
  const at = program.map(pages);
  for (let n = 0; n < pages; n++) storeWord(machine.k, program.task, at + n, n + 1);
  const clear = hinder({ machine, program, at, pages });
  const before = pinsHeld(machine);
  const out: number[] = [];
  const returned = pinUserPages(machine.k, program.task, at, pages, flags, out);
  const held = pinsHeld(machine) - before;
  const isLong = (flags & FOLL_LONGTERM) !== 0;
  const inMovable = isLong ? out.filter((page) => zoneType(machine, page) === ZONE_MOVABLE) : [];
  const moved = inNormal(program, at, pages);
  const lost = lostOf(program, at, pages);
  const counters = machine.counters();
  unpinUserPages(machine.k, out);
  clear();
  const again: number[] = [];
  const second = pinUserPages(machine.k, program.task, at, pages, flags, again);
  const row = [
    name,
    pages,
    returned < 0 ? outcomeText(returned) : `${returned} pages`,
    held,
    inMovable.length,
    moved,
    lost,
    second < 0 ? outcomeText(second) : `${second} pages`,
  ];
  return { row, counters };
}

function pinsHeld(machine: LabMachine): number {
  return machine.vmstat('nr_foll_pin_acquired') - machine.vmstat('nr_foll_pin_released');
}

function zoneType({ k }: LabMachine, page: number): number {
  return k.pm.zoneOf(page).type;
}

function inNormal(program: LabProgram, at: Vpn, pages: number): number {
  let nr = 0;
  for (let n = 0; n < pages; n++) {
    const frame = program.frame(at + n);
    if (frame >= 0 && zoneType(program.machine, frame) === ZONE_NORMAL) nr++;
  }
  return nr;
}

function lostOf({ machine, task }: LabProgram, at: Vpn, pages: number): number {
  let lost = 0;
  for (let n = 0; n < pages; n++) if (loadWord(machine.k, task, at + n) !== n + 1) lost++;
  return lost;
}

function sumOf(f: FigureReader, column: string): number {
  return f.column('cases', column).reduce((sum, value) => sum + value, 0);
}

/** Cases that returned an errno, and those of them that left pins behind. */
function failuresOf(f: FigureReader): { failed: number; leaking: number; healed: number } {
  const failed = f.figure('cases').rows.filter((row) => String(row[2]).startsWith('-'));
  const leaking = failed.filter((row) => (row[3] as number) !== 0).length;
  const healed = failed.filter((row) => row[7] === `${row[1]} pages`).length;
  return { failed: failed.length, leaking, healed };
}

function verdict(f: FigureReader): string {
  const { failed, leaking, healed } = failuresOf(f);
  const lost = sumOf(f, 'contents lost');
  const isClean = lost === 0 && leaking === 0;
  const loss = `${lost} contents are lost and ${leaking} of ${failed} failures leave pins behind`;
  const again = `${healed} of ${failed} succeed once nothing is in the way`;
  return `${isClean ? 'Yes' : 'No'}: ${loss}; ${again}.`;
}

function judgeCorrect(f: FigureReader): Finding {
  const inMovable = sumOf(f, 'long pins in MOVABLE');
  const { failed } = failuresOf(f);
  const because = `${inMovable} long-term pins in ZONE_MOVABLE, ${failed} calls failed instead`;
  return { support: inMovable === 0 ? 'supported' : 'not supported', because };
}

function judgeDax(f: FigureReader): Finding {
  const errno = f.text('cases', ['fs-dax'], 'returned');
  const moved = f.number('cases', ['fs-dax'], 'moved to NORMAL');
  const because = `${errno}, ${moved} pages moved`;
  const isEarly = errno === '-EOPNOTSUPP' && moved === 0;
  return { support: isEarly ? 'supported' : 'not supported', because };
}
