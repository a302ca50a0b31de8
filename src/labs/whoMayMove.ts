/**
 * What callers with few rights can do and learn through a call that takes physical addresses, under
 * the permission models of the thread. PP-5, PP-13, PP-14, PP-17, PP-30, PP-43, PP-44.
 *
 * The caller owns none of the pages and was not told their addresses: it tries them all, as one
 * can who reads zone spans in /proc/zoneinfo.
 */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  accessPage,
  CAP_SYS_ADMIN,
  CAP_SYS_NICE,
  forkTask,
  type Kernel,
  pageAt,
  type Task,
} from '../mm/index.ts';
import { integerKnob } from '../policy/index.ts';
import {
  movePages,
  movePhysPages,
  type PhysicalProfile,
  RFC_V1,
  RFC_V3,
  UserAddresses,
  UserInts,
} from '../syscalls/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import type { FigureReader } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB } from './labMachine.ts';
import { outcomeText } from './words.ts';

const MOVE = 2;
const MOVE_ALL = 4;
const TARGET = 1;
const NODE_MIB = 32;

/** A call as somebody may be allowed to make it. */
interface Door {
  readonly name: string;
  /** null = move_pages(2), which needs the process and its addresses. */
  readonly profile: PhysicalProfile | null;
}

const DOORS: readonly Door[] = [
  { name: 'move_pages', profile: null },
  { name: 'no check at all', profile: { permission: 'none', isExactRmap: false } },
  { name: 'RFC v1', profile: RFC_V1 },
  { name: 'RFC v3', profile: RFC_V3 },
];

const CALLERS: readonly { readonly name: string; readonly caps: number }[] = [
  { name: 'unprivileged', caps: 0 },
  { name: 'CAP_SYS_NICE', caps: CAP_SYS_NICE },
  { name: 'CAP_SYS_ADMIN', caps: CAP_SYS_ADMIN },
];

export const whoMayMove: Lab = {
  name: 'who-may-move',
  question: 'What can a caller with few rights do, and learn, by physical address?',
  thread: 'move-phys-pages-cover-2023',
  missions: ['A3', 'F4'],
  rules: ['PP-5', 'PP-14', 'PP-17', 'PP-30', 'PP-43', 'PP-44'],
  knobs: [
    integerKnob(
      'pages',
      256,
      1,
      1024,
      'pages',
      'of another user: alone, shared with a child, and in a cpuset of one node each',
    ),
  ],
  setup: () => [
    `Two nodes of ${NODE_MIB} MiB; another user’s pages are all on node 0.`,
    'Some are its own, some shared with a child, some of a process with a cpuset of node 0 only.',
    'A caller asks for all of them to go to node 1, with MPOL_MF_MOVE and MPOL_MF_MOVE_ALL.',
    'Then it asks which frames of the machine there are (nodes = NULL).',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Jonathan Corbet',
      says: 'as posted the ability to move pages is unrestricted but for shared ones',
      judge: (figures) => judgeHole(figures),
    },
    {
      who: 'Gregory Price',
      says: 'a check of CAP_SYS_ADMIN was forgotten and closes it',
      judge: (figures) => judgeClosed(figures),
    },
  ],
  notModelled: [
    'LSM hooks, user namespaces',
    'what timing tells: latencies of an own page before and after somebody else is moved',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const pages = Number(knobs.pages);
  const rows: Cell[][] = [];
  for (const door of DOORS) {
    for (const { name, caps } of CALLERS) rows.push(tryDoor(door, name, caps, pages, seed));
  }
  return { figures: [figureOf(rows)], published: [], data: {} };
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'doors',
    title: 'What the caller gets',
    columns: [
      { name: 'call', unit: '' },
      { name: 'caller', unit: '' },
      { name: 'MOVE', unit: '' },
      { name: 'moved alone', unit: 'pages' },
      { name: 'MOVE_ALL', unit: '' },
      { name: 'moved shared', unit: 'pages' },
      { name: 'moved against the cpuset', unit: 'pages' },
      { name: 'frames seen', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** A fresh machine, one call, one caller: its row. */
function tryDoor(door: Door, callerName: string, caps: number, pages: number, seed: number) {
  const victims = new Victims(pages, seed);
  const caller = victims.stranger(caps);
  const alone = victims.ask(door, caller, victims.alone, MOVE);
  const shared = victims.ask(door, caller, victims.shared, MOVE_ALL);
  const confined = victims.ask(door, caller, victims.confined, MOVE_ALL);
  return [
    door.name,
    callerName,
    outcomeText(Math.min(0, alone)),
    victims.moved(victims.alone),
    outcomeText(Math.min(0, shared)),
    victims.moved(victims.shared),
    confined < 0 ? 0 : victims.moved(victims.confined),
    victims.seen(door, caller),
  ];
}

interface Victim {
  readonly program: LabProgram;
  readonly start: Vpn;
}

/** Another user's pages. */
class Victims {
  readonly k: Kernel;
  readonly alone: Victim;
  readonly shared: Victim;
  readonly confined: Victim;
  readonly #machine: LabMachine;
  readonly #pages: number;

  constructor(pages: number, seed: number) {
    const zones = [{ zone: ZONE_NORMAL, pages: NODE_MIB * PAGES_PER_MIB }] as const;
    const nodes = [
      { cpus: [0], zones },
      { cpus: [1], zones },
    ];
    this.#machine = new LabMachine({ nodes, seed, sysctl: { thp_enabled: 'never' } });
    this.k = this.#machine.k;
    this.#pages = pages;
    this.alone = this.#victim();
    this.shared = this.#victim();
    forkTask(this.k, this.shared.program.task);
    this.confined = this.#victim();
    this.confined.program.task.memsAllowed = 1;
    this.k.lru.drainAll();
  }

  stranger(caps: number): Task {
    const { task } = this.#machine.program();
    Object.assign(task, { uid: 2000, euid: 2000, suid: 2000, caps });
    return task;
  }

  /** Asks for all pages of a victim to go to node 1; what the call returns. */
  ask(door: Door, caller: Task, { program, start }: Victim, flags: number): number {
    const n = this.#pages;
    const nodes = new UserInts(new Int32Array(n).fill(TARGET));
    const status = new UserInts(new Int32Array(n));
    if (door.profile === null) {
      const virtual = Float64Array.from({ length: n }, (_, i) => (start + i) * PAGE_SIZE);
      const { pid } = program.task;
      return movePages(this.k, caller, pid, n, new UserAddresses(virtual), nodes, status, flags);
    }
    const physical = Float64Array.from({ length: n }, (_, i) => {
      return this.k.frames.pfnOf(pageAt(this.k, program.task.mm!, start + i)) * PAGE_SIZE;
    });
    const pages = new UserAddresses(physical);
    return movePhysPages(this.k, caller, door.profile, n, pages, nodes, status, flags);
  }

  /** Pages of a victim on node 1. */
  moved({ program, start }: Victim): number {
    let moved = 0;
    for (let i = 0; i < this.#pages; i++) {
      const page = pageAt(this.k, program.task.mm!, start + i);
      if (page >= 0 && this.k.pm.nidOf(page) === TARGET) moved++;
    }
    return moved;
  }

  /** Frames of both nodes whose node the caller is told. */
  seen(door: Door, caller: Task): number {
    if (door.profile === null) return 0;
    const { nrFrames } = this.k.frames;
    const pages = new UserAddresses(
      Float64Array.from({ length: nrFrames }, (_, f) => this.k.frames.pfnOf(f) * PAGE_SIZE),
    );
    const status = new Int32Array(nrFrames).fill(-1);
    const slots = new UserInts(status);
    movePhysPages(this.k, caller, door.profile, nrFrames, pages, null, slots, 0);
    return status.reduce((sum, nid) => sum + (nid >= 0 ? 1 : 0), 0);
  }

  #victim(): Victim {
    const program = this.#machine.program();
    Object.assign(program.task, { uid: 1000, euid: 1000, suid: 1000 });
    const start = program.map(this.#pages);
    for (let i = 0; i < this.#pages; i++) accessPage(this.k, program.task, start + i, true);
    return { program, start };
  }
}

function verdict(figures: FigureReader): string {
  const at = (call: string, caller: string, column: string) =>
    figures.number('doors', [call, caller], column);
  const nobody = at('RFC v1', 'unprivileged', 'moved alone');
  const open = at('no check at all', 'unprivileged', 'moved shared');
  const v3 =
    at('RFC v3', 'unprivileged', 'moved alone') + at('RFC v3', 'CAP_SYS_NICE', 'moved shared');
  const seen = at('RFC v3', 'unprivileged', 'frames seen');
  const against = Math.max(...figures.column('doors', 'moved against the cpuset'));
  const hole =
    nobody > 0
      ? `In RFC v1 anybody moves others’ pages (${nobody}), unchecked shared ones too (${open})`
      : 'In RFC v1 nobody moves other users’ pages';
  const closed =
    v3 + seen === 0
      ? 'CAP_SYS_ADMIN for every use (RFC v3) leaves nothing to do or to see without it'
      : `RFC v3 still lets others move ${v3} pages and see ${seen} frames`;
  const cpuset =
    against === 0 ? 'no caller moves a page against its cpuset' : 'cpusets are broken into';
  return `${hole}; ${closed}; ${cpuset}.`;
}

function judgeHole(figures: FigureReader): Finding {
  const alone = figures.number('doors', ['RFC v1', 'unprivileged'], 'moved alone');
  const shared = figures.number('doors', ['RFC v1', 'unprivileged'], 'moved shared');
  const because = `RFC v1: anybody moves ${alone} pages of one owner, ${shared} shared`;
  if (alone === 0) return { support: 'not supported', because };
  return { support: shared === 0 ? 'supported' : 'partly', because };
}

function judgeClosed(figures: FigureReader): Finding {
  const row = ['RFC v3', 'unprivileged'];
  const moved = figures.number('doors', row, 'moved alone');
  const seen = figures.number('doors', row, 'frames seen');
  const because = `without it ${moved} pages move and ${seen} frames are seen`;
  return { support: moved + seen === 0 ? 'supported' : 'not supported', because };
}
