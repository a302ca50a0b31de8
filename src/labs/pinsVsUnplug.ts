/**
 * Pins against hot-unplug: how many memory blocks of ZONE_MOVABLE can still go offline when random
 * pages of a program are pinned, for short (FOLL_PIN, as direct I/O) and for long (FOLL_LONGTERM),
 * before and after long-term pins leave the zone. PM-53, PM-61, PM-71, PM-98, PM-106.
 *
 * What keeps a block comes from blockOfflineObstacles; at the largest number of pins every block is
 * also taken offline for real, pass by pass, and brought back.
 */
import type { Vpn } from '../base/units.ts';
import {
  blockOfflineObstacles,
  type OfflineObstacle,
  unpinUserPages,
  writeBlockState,
} from '../mm/index.ts';
import { integerKnob, type KnobValues, numberOf } from '../policy/index.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, migrationMs, PAGES_PER_MIB, twoZones } from './labMachine.ts';
import { BEFORE_AND_AFTER } from './words.ts';

interface Kind {
  readonly name: string;
  readonly flags: number;
  readonly staysInMovable: boolean;
}

const SHORT = 'short';
const BEFORE = 'long, before';
const AFTER = 'long, after';
const KINDS: readonly Kind[] = [
  { name: SHORT, flags: FOLL_WRITE, staysInMovable: false },
  { name: BEFORE, flags: FOLL_LONGTERM | FOLL_WRITE, staysInMovable: true },
  { name: AFTER, flags: FOLL_LONGTERM | FOLL_WRITE, staysInMovable: false },
];
/** Passes after which the administrator presses ^C. */
const PASSES_MAX = 4;

export const pinsVsUnplug: Lab = {
  name: 'pins-vs-unplug',
  question: 'How many pinned pages does it take to keep ZONE_MOVABLE from going offline?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E2', 'E3', 'F4'],
  rules: ['PM-17', 'PM-51', 'PM-61', 'PM-71', 'PM-98', 'PM-106'],
  knobs: [
    size('normal', 256, 64, 'size of ZONE_NORMAL'),
    size('movable', 2048, 256, 'size of ZONE_MOVABLE; blocks have 128 MiB'),
    size('user', 1536, 1, 'memory of the program; must leave a block of room'),
    integerKnob('pins', 256, 1, 65536, 'pages', 'the largest number of random pages to pin'),
  ],
  setup: (knobs) => [
    `One node: ZONE_NORMAL ${knobs.normal} MiB, ZONE_MOVABLE ${knobs.movable} MiB, no swap.`,
    `A program touches ${knobs.user} MiB; 1 to ${knobs.pins} of its pages, at random, are pinned.`,
    'short: FOLL_PIN as direct I/O takes it. long: FOLL_LONGTERM as RDMA, VFIO and io_uring do.',
    BEFORE_AND_AFTER,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Pavel Tatashin',
      says: 'pinned pages break what hot-remove relies on, and moving them out first restores it',
      judge: judgeRestored,
    },
    {
      who: 'Michal Hocko',
      says: 'only a zone without anything unmovable can be taken offline reliably',
      judge: judgeReliable,
    },
  ],
  notModelled: [
    'others that take references meanwhile; short pins last as long as the lab',
    'offlining of ZONE_NORMAL, which holds the kernel’s own memory',
  ],
};

function size(name: string, mib: number, min: number, doc: string) {
  return { kind: 'integer', name, default: mib, min, max: 65536, unit: 'MiB', doc } as const;
}

function measure({ knobs, seed }: LabRun): Measurement {
  const counts = countsUpTo(numberOf(knobs, 'pins'));
  const runs = KINDS.map((kind) => measureKind(kind, counts, knobs, seed));
  const shares = counts.map((count, i) => [count, ...runs.map(({ share }) => share[i])]);
  return {
    figures: [
      sharesFigure(shares),
      triedFigure(runs.map(({ tried }) => tried)),
      reasonsFigure(runs.flatMap(({ reasons }) => reasons)),
    ],
    published: [],
    data: Object.fromEntries(KINDS.map(({ name }, i) => [name, runs[i].counters])),
  };
}

/** 0, 1, 2, 4 ... and the last. */
function countsUpTo(last: number): number[] {
  const counts = [0];
  for (let count = 1; count < last; count *= 2) counts.push(count);
  return [...counts, last];
}

interface KindRun {
  /** Percent of the blocks, by count. */
  readonly share: number[];
  readonly tried: readonly Cell[];
  readonly reasons: readonly Cell[][];
  readonly counters: Record<string, number>;
}

function measureKind(
  kind: Kind,
  counts: readonly number[],
  knobs: KnobValues,
  seed: number,
): KindRun {
  const machine = new LabMachine({
    nodes: [twoZones(numberOf(knobs, 'normal'), numberOf(knobs, 'movable'))],
    seed,
    sysctl: { thp_enabled: 'never' },
    pinsStayInMovable: kind.staysInMovable,
  });
  const program = machine.program();
  const pages = numberOf(knobs, 'user') * PAGES_PER_MIB;
  const memory = program.map(pages);
  const touched = program.touch(memory, pages).pages;
  const order = drawn(machine, touched, counts.at(-1)!);
  const pinned: number[] = [];
  const migratedBefore = machine.vmstat('pgmigrate_success');
  let next = 0;
  const share = counts.map((count) => {
    while (next < Math.min(count, order.length)) {
      pinned.push(...program.pin(memory + order[next++], 1, 1, kind.flags).pages);
    }
    const blocks = movableBlocks(machine);
    const free = blocks.filter((block) => obstaclesOf(machine, block).length === 0).length;
    return rounded((100 * free) / blocks.length);
  });
  const migrated = machine.vmstat('pgmigrate_success') - migratedBefore;
  const reasons = reasonRows(machine, kind.name);
  const counters = machine.counters();
  const held = tryAll(machine);
  unpinUserPages(machine.k, pinned);
  const released = tryAll(machine);
  const blocks = movableBlocks(machine).length;
  const tried = [
    kind.name,
    pinned.length,
    migrated,
    rounded(migrationMs(migrated), 3),
    blocks,
    held.offline,
    held.interrupted,
    released.offline,
  ];
  return { share, tried, reasons, counters };
}

/** `nr` different pages of `pages`, in the order in which they are pinned. */
function drawn(machine: LabMachine, pages: number, nr: number): Vpn[] {
  const chosen = new Set<number>();
  while (chosen.size < Math.min(nr, pages)) chosen.add(machine.random.below(pages));
  return [...chosen];
}

function movableBlocks({ k }: LabMachine): number[] {
  const { memoryBlocks, zones } = k.pm;
  return memoryBlocks.numbers().filter((block) => {
    const id = memoryBlocks.zoneId[block];
    return id >= 0 && zones[id].type === ZONE_MOVABLE;
  });
}

function obstaclesOf({ k }: LabMachine, block: number): OfflineObstacle[] {
  return blockOfflineObstacles(k, block);
}

/** Kinds of obstacles, over all blocks. */
function reasonRows(machine: LabMachine, kind: string): Cell[][] {
  const found = new Map<string, { effect: string; frames: number; blocks: Set<number> }>();
  for (const block of movableBlocks(machine)) {
    for (const obstacle of obstaclesOf(machine, block)) {
      const entry = found.get(obstacle.kind) ?? {
        effect: obstacle.effect,
        frames: 0,
        blocks: new Set<number>(),
      };
      entry.frames++;
      entry.blocks.add(block);
      found.set(obstacle.kind, entry);
    }
  }
  if (found.size === 0) return [[kind, 'none', '', 0, 0]];
  return [...found].map(([reason, { effect, frames, blocks }]) => {
    return [kind, reason, EFFECTS[effect] ?? effect, frames, blocks.size];
  });
}

const EFFECTS: Readonly<Record<string, string>> = {
  refuses: '-EBUSY at once',
  fails: '-EBUSY at the end',
  repeats: 'passes until a signal',
};

interface Attempts {
  readonly offline: number;
  /** Ended by the signal. */
  readonly interrupted: number;
}

/** Each block by itself offline and back online. */
function tryAll(machine: LabMachine): Attempts {
  let [offline, interrupted] = [0, 0];
  for (const block of movableBlocks(machine)) {
    const op = writeBlockState(machine.k, block, 'offline');
    if (typeof op === 'number') continue;
    for (let pass = 0; pass < PASSES_MAX && !op.isDone; pass++) op.step();
    if (!op.isDone) {
      op.signalPending = true;
      op.step();
      interrupted++;
    } else if (op.result === 0) {
      offline++;
      writeBlockState(machine.k, block, 'online_movable');
    }
  }
  return { offline, interrupted };
}

function sharesFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'shares',
    title: 'Blocks of ZONE_MOVABLE that nothing keeps from going offline',
    columns: [
      { name: 'pinned pages', unit: '' },
      ...KINDS.map(({ name }) => ({ name, unit: '%' })),
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'pinned pages',
      series: [
        { column: SHORT, shade: 'third' },
        { column: BEFORE, shade: 'before' },
        { column: AFTER, shade: 'after' },
      ],
    },
  };
}

function triedFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'tried',
    title: `The same tried: each block offline, ^C after ${PASSES_MAX} passes`,
    columns: [
      { name: 'pins', unit: '' },
      { name: 'pinned', unit: 'pages' },
      { name: 'migrated to pin', unit: 'pages' },
      { name: 'that took', unit: 'ms' },
      { name: 'blocks', unit: '' },
      { name: 'went offline', unit: '' },
      { name: 'ended by ^C (-EINTR)', unit: '' },
      { name: 'went offline once unpinned', unit: '' },
    ],
    rows,
    drawing: {
      kind: 'bars',
      labels: ['pins'],
      parts: [{ column: 'went offline', shade: 'after' }],
    },
  };
}

function reasonsFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'reasons',
    title: 'What keeps the blocks, at the largest number of pins',
    columns: [
      { name: 'pins', unit: '' },
      { name: 'obstacle', unit: '' },
      { name: 'offlining', unit: '' },
      { name: 'folios', unit: '' },
      { name: 'blocks', unit: '' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function verdict(f: FigureReader): string {
  const [most] = f.figure('shares').rows.slice(-1);
  const last = most[0] as number;
  const share = (name: string) => f.number('shares', [last], name);
  const gone = f.figure('shares').rows.find((row) => row[2] === 0)?.[0];
  const before =
    gone === undefined
      ? `${last} long-term pins leave ${decimal(share(BEFORE))} % of the blocks removable`
      : `${gone} long-term pins are enough to keep every block`;
  const after = `after it ${last} pins leave ${decimal(share(AFTER))} %`;
  const short = `of short pins ${last} leave ${decimal(share(SHORT))} % until they are dropped`;
  return `Before the change ${before}; ${after}; ${short}.`;
}

function judgeRestored(f: FigureReader): Finding {
  const was = f.number('tried', [BEFORE], 'went offline');
  const is = f.number('tried', [AFTER], 'went offline');
  const all = f.number('tried', [AFTER], 'blocks');
  const because = `${was} of ${all} blocks go offline before, ${is} after`;
  if (is === all && was < all) return { support: 'supported', because };
  return { support: is > was ? 'partly' : 'not supported', because };
}

function judgeReliable(f: FigureReader): Finding {
  const all = f.number('tried', [SHORT], 'blocks');
  const held = [SHORT, BEFORE].map((name) => f.number('tried', [name], 'went offline'));
  const again = f.number('tried', [SHORT], 'went offline once unpinned');
  const pinned = `with short and long pins in the zone ${held.join(' and ')} of ${all} blocks`;
  const because = `${pinned} go offline; without, ${again}`;
  if (held.every((nr) => nr < all) && again === all) return { support: 'supported', because };
  return { support: held.some((nr) => nr < all) ? 'partly' : 'not supported', because };
}
