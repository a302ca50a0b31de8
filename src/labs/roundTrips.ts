/**
 * Back and forth: the CPU writes, the device writes, the CPU reads, thousands of times, with every
 * kind of memory, on private and on coherent device memory. What moved, what stayed, whether any
 * word was lost, and what is left when the program has ended and the device is gone.
 * DM-27..DM-33, DM-40..DM-43, DM-50, DM-53, DM-60..DM-62.
 */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  compactNodeByHand,
  forkTask,
  loadWord,
  mmapRegion,
  type Task,
  unpinUserPages,
} from '../mm/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import { exit, madvise, mprotect } from '../syscalls/index.ts';
import { FOLL_WRITE } from '../uapi/gup.ts';
import { MADV_PAGEOUT, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabDevice } from './labDevice.ts';

/** Pages that each round uses. */
const USED = 16;
const HUGE_PAGES = 512;
const PRIVATE = 'private';
const COHERENT = 'coherent';

interface Kind {
  readonly name: string;
  /** Pages from the one to the next that is used. */
  readonly stride: number;
  readonly map: (lab: LabDevice) => Vpn;
  readonly isForked?: boolean;
  /** Others meddle with it between the turns. */
  readonly isDisturbed?: boolean;
  /** On a kernel that lets file pages and shmem go to private memory, which Linux does not. */
  readonly isExperimental?: boolean;
}

const CACHE_ON_DEVICE = ['device_page_cache', 'device_dirty_pages'] as const;

const KINDS: readonly Kind[] = [
  { name: 'anonymous', stride: 1, map: ({ program }) => program.map(USED) },
  {
    name: 'anonymous, 2 MiB',
    stride: HUGE_PAGES / USED,
    map: ({ program }) => program.mapHuge(HUGE_PAGES),
  },
  { name: 'anonymous, forked', stride: 1, map: ({ program }) => program.map(USED), isForked: true },
  {
    name: 'anonymous, disturbed',
    stride: 1,
    map: ({ program }) => program.map(USED),
    isDisturbed: true,
  },
  { name: 'shared anonymous', stride: 1, map: ({ program }) => program.mapShared(USED) },
  { name: 'private file', stride: 1, map: (lab) => mapFile(lab, MAP_PRIVATE) },
  { name: 'shared file', stride: 1, map: (lab) => mapFile(lab, MAP_SHARED) },
  {
    name: 'shared anonymous, experimental',
    stride: 1,
    map: ({ program }) => program.mapShared(USED),
    isExperimental: true,
  },
  {
    name: 'shared file, experimental',
    stride: 1,
    map: (lab) => mapFile(lab, MAP_SHARED),
    isExperimental: true,
  },
];

export const roundTrips: Lab = {
  name: 'round-trips',
  question: 'Does memory survive thousands of trips to a device and back, and what do they cost?',
  thread: 'coherent-device-memory-glisse-2016',
  missions: ['D2', 'D4', 'D5', 'F4'],
  rules: ['DM-27', 'DM-32', 'DM-40', 'DM-41', 'DM-50', 'DM-53', 'DM-62'],
  experimental: [...CACHE_ON_DEVICE],
  knobs: [integerKnob('rounds', 2000, 1, 100_000, '', 'trips there and back')],
  setup: (knobs) => [
    `${knobs.rounds} times: the CPU writes ${USED} pages, the device reads and writes them, ` +
      'the CPU reads them.',
    'Device faults bring pages to the device. Private memory: faults of the CPU bring them back; ' +
      'coherent memory: the CPU reads them there, and the driver takes them back each round.',
    'disturbed: while it is there, by turns, mprotect, fork and exit, short and long-term pins, ' +
      'compaction, swapping out.',
    'forked: a child has had the memory since before the first round and reads it at the end.',
    'experimental (device_page_cache, device_dirty_pages): file pages and shmem go, too.',
    'Then the program ends and the device is removed.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Jérôme Glisse',
      says: 'HMM migrates anonymous and file-backed memory back and forth, many times',
      judge: judgeBoth,
    },
    {
      who: 'Anshuman Khandual',
      says: 'user mapped pages cannot yet go back and forth between LRU and non-LRU memory',
      judge: judgeNotYet,
    },
  ],
  notModelled: [
    'CPU and device at the same time: they take turns',
    'file pages and shmem on coherent memory',
  ],
};

/** What happens to the pages while they are on the device, one after the other in turn. */
const MEDDLERS: readonly ((lab: LabDevice, start: Vpn) => void)[] = [
  ({ machine, program }, start) => {
    const [address, bytes] = [start * PAGE_SIZE, USED * PAGE_SIZE];
    mprotect(machine.k, program.task, address, bytes, PROT_READ);
    mprotect(machine.k, program.task, address, bytes, PROT_READ | PROT_WRITE);
  },
  ({ machine, program }) => {
    const child = forkTask(machine.k, program.task);
    if (typeof child !== 'number') exit(machine.k, child);
  },
  ({ machine, program }, start) => {
    const { pages } = program.pin(start, USED, USED, FOLL_WRITE);
    unpinUserPages(machine.k, pages);
  },
  ({ machine, program }, start) => {
    const { pages } = program.pinLongterm(start, USED, USED);
    unpinUserPages(machine.k, pages);
  },
  ({ machine }) => compactNodeByHand(machine.k, 0),
  ({ machine, program }, start) => {
    program.read(start, USED);
    madvise(machine.k, program.task, start * PAGE_SIZE, USED * PAGE_SIZE, MADV_PAGEOUT);
  },
];

function mapFile({ machine, program }: LabDevice, how: number): Vpn {
  const file = machine.k.newFile('file', 'ext4', USED);
  const prot = PROT_READ | PROT_WRITE;
  const request = { addr: 0, pages: USED, prot, flags: how, file, pgoff: 0 };
  return mmapRegion(machine.k, program.task.mm!, request);
}

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rounds = numberOf(knobs, 'rounds');
  const rows = [PRIVATE, COHERENT].flatMap((device) =>
    kindsOf(device).map((kind): Cell[] => {
      const trip = new Trip(kind, device === COHERENT, seed);
      for (let round = 1; round <= rounds; round++) trip.go(round);
      data[`${device}, ${kind.name}`] = trip.counters();
      return [device, kind.name, ...trip.result(rounds)];
    }),
  );
  return { figures: [figureOf(rows)], published: [], data };
}

/** The cache on a device is of private memory. */
function kindsOf(device: string): readonly Kind[] {
  return KINDS.filter(({ isExperimental }) => device === PRIVATE || isExperimental !== true);
}

class Trip {
  readonly #lab: LabDevice;
  readonly #pages: readonly Vpn[];
  readonly #child: Task | null;
  readonly #isDisturbed: boolean;
  #wrong = 0;

  constructor(kind: Kind, isCoherent: boolean, seed: number) {
    const { map, stride, isForked, isDisturbed } = kind;
    const experimental = kind.isExperimental === true ? CACHE_ON_DEVICE : [];
    const lab = new LabDevice({ seed, systemMib: 64, swapMib: 16, isCoherent, experimental });
    this.#isDisturbed = isDisturbed === true;
    const start = map(lab);
    this.#lab = lab;
    this.#pages = Array.from({ length: USED }, (_, i) => start + i * stride);
    for (const [i, vpn] of this.#pages.entries()) lab.store(vpn, i);
    const child = isForked === true ? forkTask(lab.machine.k, lab.program.task) : null;
    if (typeof child === 'number') throw new Error('fork ran out of memory');
    this.#child = child;
  }

  /** One trip: every word is another one. */
  go(round: number): void {
    const lab = this.#lab;
    const word = (i: number, side: number) => (round * USED + i) * 2 + side;
    for (const [i, vpn] of this.#pages.entries()) lab.store(vpn, word(i, 0));
    for (const [i, vpn] of this.#pages.entries()) {
      if (lab.deviceLoad(vpn) !== word(i, 0)) this.#wrong++;
      if (lab.deviceStore(vpn, word(i, 1)) !== 0) this.#wrong++;
    }
    if (this.#isDisturbed) MEDDLERS[round % MEDDLERS.length](lab, this.#pages[0]);
    for (const [i, vpn] of this.#pages.entries()) if (lab.load(vpn) !== word(i, 1)) this.#wrong++;
    if (!lab.device.isCoherent) return;
    const first = this.#pages[0];
    lab.bringBack(first, this.#pages.at(-1)! + 1 - first);
  }

  counters(): Record<string, number> {
    return { ...this.#lab.machine.counters(), ...this.#lab.device.stats };
  }

  /** The columns of the figure after device and kind. Ends the program and removes the device. */
  result(rounds: number): Cell[] {
    const lab = this.#lab;
    const { stats } = lab.device;
    const { pagesToDevice, pagesFromDevice, localAccesses, remoteAccesses, cpuFaults } = stats;
    const us = lab.spentNs / rounds / 1000;
    const remote = (100 * remoteAccesses) / (localAccesses + remoteAccesses);
    if (this.#child !== null) {
      for (const [i, vpn] of this.#pages.entries()) {
        if (loadWord(lab.machine.k, this.#child, vpn) !== i) this.#wrong++;
      }
      exit(lab.machine.k, this.#child);
    }
    const { live, broken } = lab.end();
    return [
      rounded(pagesToDevice / rounds, 2),
      rounded(pagesFromDevice / rounds, 2),
      rounded(cpuFaults / rounds, 2),
      rounded(remote),
      rounded(us),
      this.#wrong,
      live,
      broken,
    ];
  }
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'trips',
    title: `Of each round, ${USED} pages used`,
    columns: [
      { name: 'device memory', unit: '' },
      { name: 'pages', unit: '' },
      { name: 'there', unit: 'pages' },
      { name: 'back', unit: 'pages' },
      { name: 'CPU faults', unit: '' },
      { name: 'over the link', unit: '%' },
      { name: 'faults and copies', unit: 'µs' },
      { name: 'lost', unit: 'words' },
      { name: 'left on the device', unit: 'pages' },
      { name: 'invariants broken', unit: '' },
    ],
    rows,
    drawing: {
      kind: 'bars',
      labels: ['device memory', 'pages'],
      parts: [{ column: 'faults and copies', shade: 'user' }],
    },
  };
}

function sum(f: FigureReader, column: string): number {
  return f.column('trips', column).reduce((total, n) => total + n, 0);
}

function verdict(f: FigureReader): string {
  const [lost, left, broken] = ['lost', 'left on the device', 'invariants broken'].map((column) => {
    return sum(f, column);
  });
  const us = (device: string, kind: string) =>
    decimal(f.number('trips', [device, kind], 'faults and copies'));
  const named = (isMeant: (there: number, back: number) => boolean, device: string) =>
    f
      .figure('trips')
      .rows.filter((row) => row[0] === device && isMeant(row[2] as number, row[3] as number))
      .map(([, kind]) => kind)
      .join(', ');
  const stays = named((there) => there === 0, PRIVATE);
  const gone = named((there, back) => there > 0 && back === 0, COHERENT);
  const isWell = lost + left + broken === 0;
  const found = isWell
    ? 'Yes: no word is lost, nothing is left on the device'
    : `No: ${lost} words are lost, ${left} pages are left, ${broken} invariants are broken`;
  const not = stays === '' ? '' : ` Not migrated, used over the link: ${stays}.`;
  const kept = gone === '' ? '' : ` Coherent memory does not give back: ${gone} (DM-23).`;
  return (
    `${found}. A round of ${USED} small pages costs ${us(PRIVATE, 'anonymous')} µs on private ` +
    `memory, of one huge page ${us(PRIVATE, 'anonymous, 2 MiB')} µs.${not}${kept}`
  );
}

/** Whether memory of these kinds goes to private device memory and comes back with its words. */
function travels(f: FigureReader, isMeant: (kind: string) => boolean): boolean {
  const rows = f
    .figure('trips')
    .rows.filter((row) => row[0] === PRIVATE && isMeant(String(row[1])));
  return rows.every((row) => (row[3] as number) > 0 && (row[7] as number) === 0);
}

const isAnonymous = (kind: string) => kind.startsWith('anonymous') || kind === 'private file';
const isOfTheFuture = (kind: string) => kind.endsWith(', experimental');

function judgeBoth(f: FigureReader): Finding {
  const anonymous = travels(f, isAnonymous);
  const files = travels(f, (kind) => !isAnonymous(kind) && !isOfTheFuture(kind));
  const future = travels(f, isOfTheFuture) ? 'and does' : 'nor does it';
  const because =
    `anonymous memory ${anonymous ? 'goes and comes back' : 'does not'}, ` +
    `shared and file memory ${files ? 'too' : 'does not (as Linux is today)'}, ${future} with ` +
    'what was proposed in 2025';
  if (anonymous && files) return { support: 'supported', because };
  return { support: anonymous || files ? 'partly' : 'not supported', because };
}

function judgeNotYet(f: FigureReader): Finding {
  const isSolved = travels(f, isAnonymous);
  const because = isSolved
    ? `${f.number('trips', [PRIVATE, 'anonymous'], 'back')} pages a round come back, mapped`
    : 'anonymous memory does not come back whole';
  return { support: isSolved ? 'not supported' : 'supported', because };
}
