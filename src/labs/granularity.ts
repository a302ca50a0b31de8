/**
 * A device counts accesses to units of 256 bytes to 4 KiB and knows nothing of folios. What the
 * call by physical address makes of its addresses: units of one page, pages of one folio, frames
 * that hold no folio. PP-10..PP-13, PP-28, PP-46, PP-66, PP-76.
 *
 * Three daemons have the same heat map: one hands its addresses on as they are; one folds them to
 * pages first; one has tails allowed and generations (move_phys_pages2).
 */
import { type FrameId, PAGE_SIZE, type Vpn } from '../base/units.ts';
import { pageAt, type Task } from '../mm/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import {
  MPE_ALLOW_TAIL,
  movePhysPages,
  movePhysPages2,
  ORDER_UNKNOWN,
  PHYSICAL_CALL_DEFAULTS,
  PhysicalMoveCounts,
  RFC_V3,
  setMempolicy,
  UserAddresses,
  UserInts,
} from '../syscalls/index.ts';
import { ENOENT } from '../uapi/errno.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB } from './labMachine.ts';

const FAST = 0;
const SLOW = 1;
const MOVE = 2;
const ORDERS = [0, 4, 9] as const;
const UNIT_BYTES = [256, 1024, 4096] as const;
const RAW = 'as posted';
const FOLDED = 'folded to pages';
const TAILS = 'tails allowed';
const DAEMONS = [RAW, FOLDED, TAILS] as const;
type Daemon = (typeof DAEMONS)[number];

export const granularity: Lab = {
  name: 'granularity',
  question: 'What moves when a device that counts small units names addresses inside folios?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A7', 'F4'],
  rules: ['PP-11', 'PP-28', 'PP-46', 'PP-66', 'PP-76'],
  knobs: [
    integerKnob('memory', 128, 2, 512, 'MiB', 'of the program, all on the slow node'),
    integerKnob(
      'hot',
      512,
      1,
      100_000,
      '',
      'places of 4 KiB at random, aligned to 256 bytes, that the device finds hot',
    ),
  ],
  setup: (knobs) => [
    `A program has ${knobs.memory} MiB on a slow node, in folios of 4 KiB, 64 KiB or 2 MiB.`,
    `${knobs.hot} places of 4 KiB are hot; the device counts units of 256 B, 1 KiB or 4 KiB.`,
    `${RAW}: each hot unit is an entry of one call (RFC v3).`,
    `${FOLDED}: the same call, each page once. What is isolated already answers -ENOENT.`,
    `${TAILS}: each page once, and a tail stands for its folio (move_phys_pages2).`,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Andy Lutomirski',
      says: 'who has only a physical address does not know what the page is',
      judge: judgeBlind,
    },
    {
      who: 'Gregory Price',
      says: 'tiering can act on such heat maps by physical address directly',
      judge: judgeDirect,
    },
  ],
  notModelled: [
    'counters that saturate or lose units: the heat map is exact',
    'splitting of folios of which little is hot (SPLIT_COLD)',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const memory = numberOf(knobs, 'memory');
  const hot = numberOf(knobs, 'hot');
  const data: Record<string, Record<string, number>> = {};
  const rows: Cell[][] = [];
  for (const order of ORDERS) {
    for (const daemon of DAEMONS) {
      // Folding makes the same pages of all units.
      for (const unit of daemon === RAW ? UNIT_BYTES : [UNIT_BYTES[0]]) {
        const world = new World(memory, order, seed);
        const found = world.call(world.heatMap(hot, unit), daemon);
        data[`${folioText(order)}, ${unit} B, ${daemon}`] = world.machine.counters();
        rows.push([folioText(order), daemon, unit, ...found]);
      }
    }
  }
  return { figures: [figureOf(rows)], published: [], data };
}

function folioText(order: number): string {
  const kib = 4 << order;
  return kib < 1024 ? `${kib} KiB` : `${kib / 1024} MiB`;
}

/** A program on the slow node, and a daemon. */
class World {
  readonly machine: LabMachine;
  readonly #daemon: Task;
  readonly #program: LabProgram;
  readonly #start: Vpn;
  readonly #pages: number;

  constructor(memoryMib: number, order: number, seed: number) {
    const pages = 2 * Math.ceil(memoryMib / 2) * PAGES_PER_MIB;
    const sized = pages + 64 * PAGES_PER_MIB;
    const machine = new LabMachine({
      nodes: [
        { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: sized }] },
        { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: sized }] },
      ],
      seed,
      sysctl: { thp_enabled: 'never' },
    });
    this.#daemon = machine.program().task;
    this.#program = machine.program();
    setMempolicy(machine.k, this.#program.task, MPOL_BIND, { bits: [SLOW], maxnode: 65 });
    this.#start = this.#program.mapFolios(pages, order);
    this.#program.touch(this.#start, pages);
    machine.k.lru.drainAll();
    this.#pages = pages;
    this.machine = machine;
  }

  /** Physical addresses of the units of `unit` bytes that a hot place touches, ascending. */
  heatMap(nrHot: number, unit: number): number[] {
    const { random, k } = this.machine;
    const bytes = this.#pages * PAGE_SIZE;
    const places = bytes / UNIT_BYTES[0] - PAGE_SIZE / UNIT_BYTES[0];
    const units = new Set<number>();
    for (let n = 0; n < nrHot; n++) {
      const from = random.below(places) * UNIT_BYTES[0];
      for (let at = Math.floor(from / unit); at * unit < from + PAGE_SIZE; at++) {
        const offset = at * unit;
        const page = pageAt(
          k,
          this.#program.task.mm!,
          this.#start + Math.floor(offset / PAGE_SIZE),
        );
        units.add(k.frames.pfnOf(page) * PAGE_SIZE + (offset % PAGE_SIZE));
      }
    }
    return [...units].sort((a, b) => a - b);
  }

  /** What became of it, in the columns of the figure after the first three. */
  call(heat: readonly number[], daemon: Daemon): Cell[] {
    const { k } = this.machine;
    const frames = heat.map((address) => k.frames.frameOfPfn(Math.floor(address / PAGE_SIZE)));
    const hotPages = new Set(frames);
    const hotFolios = new Set(frames.map((frame) => k.frames.headOf(frame)));
    const addresses = daemon === RAW ? heat : pagesOf(heat);
    const before = this.#slowPages();
    const successes = this.machine.vmstat('pgmigrate_success');
    const status = daemon === TAILS ? this.#guarded(addresses) : this.#posted(addresses);
    const gone = before.filter((frame) => this.#isGone(frame));
    const moved = new Set(gone);
    const migrated = this.machine.vmstat('pgmigrate_success') - successes;
    const movedFolios = [...hotFolios].filter((head) => moved.has(head)).length;
    const useful = [...hotPages].filter((frame) => moved.has(frame)).length;
    return [
      addresses.length,
      status.filter((one) => one === -ENOENT).length,
      hotFolios.size,
      rounded((100 * movedFolios) / hotFolios.size, 1),
      gone.length,
      migrated - gone.length,
      gone.length === 0 ? 0 : rounded((100 * useful) / gone.length, 1),
    ];
  }

  #posted(addresses: readonly number[]): number[] {
    const { k } = this.machine;
    const status = new Int32Array(addresses.length).fill(-ENOENT);
    const pages = new UserAddresses(Float64Array.from(addresses));
    const nodes = new UserInts(new Int32Array(addresses.length).fill(FAST));
    const slots = new UserInts(status);
    movePhysPages(k, this.#daemon, RFC_V3, addresses.length, pages, nodes, slots, MOVE);
    return [...status];
  }

  #guarded(addresses: readonly number[]): number[] {
    const { k } = this.machine;
    const count = addresses.length;
    const address = Float64Array.from(addresses);
    const generation = Uint32Array.from(addresses, (at) => {
      const frame = k.frames.frameOfPfn(Math.floor(at / PAGE_SIZE));
      return k.frames.generation[k.frames.headOf(frame)];
    });
    const order = new Uint8Array(count).fill(ORDER_UNKNOWN);
    const flags = new Uint8Array(count).fill(MPE_ALLOW_TAIL);
    const node = new Int32Array(count).fill(FAST);
    const status = new Int32Array(count);
    const entries = { count, address, generation, order, flags, node };
    const counts = new PhysicalMoveCounts();
    movePhysPages2(k, this.#daemon, entries, status, MOVE, PHYSICAL_CALL_DEFAULTS, counts);
    return [...status];
  }

  #slowPages(): FrameId[] {
    const { k } = this.machine;
    const found: FrameId[] = [];
    for (let n = 0; n < this.#pages; n++) {
      found.push(pageAt(k, this.#program.task.mm!, this.#start + n));
    }
    this.#byFrame = new Map(found.map((frame, n) => [frame, n]));
    return found;
  }

  #byFrame: ReadonlyMap<FrameId, number> = new Map();

  /** The page that the frame held is on the fast node now. */
  #isGone(frame: FrameId): boolean {
    const { k } = this.machine;
    const n = this.#byFrame.get(frame)!;
    return k.pm.nidOf(pageAt(k, this.#program.task.mm!, this.#start + n)) === FAST;
  }
}

/** Each page once. */
function pagesOf(addresses: readonly number[]): number[] {
  return [...new Set(addresses.map((at) => Math.floor(at / PAGE_SIZE) * PAGE_SIZE))];
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'moved',
    title: 'One call with what the device found hot',
    columns: [
      { name: 'folios', unit: '' },
      { name: 'call', unit: '' },
      { name: 'counted', unit: 'B' },
      { name: 'entries', unit: '' },
      { name: '-ENOENT', unit: '' },
      { name: 'hot folios', unit: '' },
      { name: 'of them moved', unit: '%' },
      { name: 'moved', unit: 'pages' },
      { name: 'moved again', unit: 'pages' },
      { name: 'hot of what moved', unit: '%' },
    ],
    rows,
    drawing: {
      kind: 'bars',
      labels: ['folios', 'call', 'counted'],
      parts: [{ column: 'of them moved', shade: 'after' }],
    },
  };
}

const LARGEST = folioText(ORDERS.at(-1)!);
const SMALLEST = folioText(ORDERS[0]);

function movedShare(f: FigureReader, folios: string, daemon: Daemon): number {
  return f.number('moved', [folios, daemon, 256], 'of them moved');
}

function verdict(f: FigureReader): string {
  const [small, huge] = [SMALLEST, LARGEST].map((folios) => movedShare(f, folios, RAW));
  const tails = movedShare(f, LARGEST, TAILS);
  const hot = f.number('moved', [LARGEST, TAILS, 256], 'hot of what moved');
  const again = f.column('moved', 'moved again').reduce((sum, n) => sum + n, 0);
  const twice = again === 0 ? 'Nothing is migrated twice.' : `${again} pages are migrated twice.`;
  return (
    `As posted the call moves ${decimal(small)} % of the hot ${SMALLEST} folios and ` +
    `${decimal(huge)} % of the ${LARGEST} ones: it refuses tails. With tails allowed ` +
    `${decimal(tails)} % move, and ${decimal(hot)} % of what moves is hot. ${twice}`
  );
}

function judgeBlind(f: FigureReader): Finding {
  const huge = movedShare(f, LARGEST, RAW);
  const [refused, entries] = ['-ENOENT', 'entries'].map((column) => {
    return f.number('moved', [LARGEST, RAW, 256], column);
  });
  const because = `${refused} of ${entries} entries refused; ${decimal(huge)} % of ${LARGEST} move`;
  return { support: huge < 50 ? 'supported' : 'not supported', because };
}

function judgeDirect(f: FigureReader): Finding {
  const shares = [SMALLEST, LARGEST].map((folios) => movedShare(f, folios, RAW));
  const because = `${shares.map((share) => decimal(share)).join(' and ')} % of hot folios move`;
  if (Math.min(...shares) >= 90) return { support: 'supported', because };
  return { support: Math.max(...shares) >= 90 ? 'partly' : 'not supported', because };
}
