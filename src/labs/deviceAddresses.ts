/**
 * A device that counts by its own addresses (DPA), in an interleave set whose other devices have
 * the other parts of every page. A daemon reads the hot lists of all, goes back to the host's
 * addresses (HPA) by the decoders that the host has programmed, and moves the pages.
 * PP-42, HS-40..HS-47, HS-51..HS-57.
 */
import { type FrameId, PAGE_SIZE } from '../base/units.ts';
import {
  ADDRESS_INVALID,
  CHMU_EPOCH,
  CHMU_READS,
  type CxlRegion,
  checkRegion,
  dpaToHpa,
  encodeGranularity,
  encodeWays,
  epochRegister,
  exampleXorMaps,
  HotPageUnit,
  hpaToDpa,
} from '../hw/index.ts';
import { pageAt, type Task } from '../mm/index.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from '../policy/index.ts';
import { movePhysPages2, ORDER_UNKNOWN, setMempolicy } from '../syscalls/index.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, PAGES_PER_MIB } from './labMachine.ts';

const FAST = 0;
const SLOW = 1;
const MOVE = 2;
const EPOCH_NS = 100e6;
/** Smallest unit and granularity. */
const CHUNK = 256;
/** Accesses to 256 bytes in an epoch. */
const HOT_ACCESSES = 16;
const COLD_ACCESSES = 1;
const RING = 1 << 16;

const LINEAR = 'one after the other';
const MODULO = 'modulo decoders';
const XOR = 'XOR decoders';
type Translation = typeof LINEAR | typeof MODULO | typeof XOR;

interface Case {
  readonly ways: number;
  readonly granularity: number;
  readonly unit: number;
  /** How the host has programmed the root decoder, and how the daemon goes back. */
  readonly host: typeof MODULO | typeof XOR;
  readonly daemon: Translation;
}

const plain = { granularity: CHUNK, unit: CHUNK, host: MODULO, daemon: MODULO } as const;
/** A granularity of whole pages: a wrong device is a wrong page. */
const pageWise = { ...plain, granularity: PAGE_SIZE } as const;
const DECODE_CASES: readonly Case[] = [
  { ...pageWise, ways: 1, daemon: LINEAR },
  { ...pageWise, ways: 4, daemon: LINEAR },
  { ...pageWise, ways: 4 },
  { ...pageWise, ways: 4, host: XOR },
  { ...pageWise, ways: 4, host: XOR, daemon: XOR },
];
const UNIT_CASES: readonly Case[] = [1, 2, 4, 8].flatMap((ways) =>
  [256, 1024, 4096].map((unit) => ({ ...plain, ways, unit })),
);
const GRANULAR_CASES: readonly Case[] = [1024, 4096].map((granularity) => {
  return { ...plain, ways: 8, unit: 4096, granularity };
});

export const deviceAddresses: Lab = {
  name: 'device-addresses',
  question: 'Can pages be moved by the heat map of a device that knows only its own addresses?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A7', 'B4', 'F4'],
  rules: ['PP-42', 'HS-41', 'HS-43', 'HS-45', 'HS-46', 'HS-47', 'HS-57'],
  knobs: [
    integerKnob('memory', 32, 2, 256, 'MiB', 'of the program, on the interleave set'),
    numberKnob(
      'hot',
      2,
      0.1,
      100,
      '%',
      `of its pages: ${HOT_ACCESSES} accesses to each 256 bytes, to others ${COLD_ACCESSES}`,
    ),
    integerKnob(
      'threshold',
      4,
      1,
      64,
      '',
      'accesses to 256 bytes, on the average of a unit, that make it hot',
    ),
  ],
  setup: (knobs) => [
    `A slow node of 1 to 8 CXL devices, interleaved; a program has ${knobs.memory} MiB there.`,
    `${knobs.hot} % of its pages are hot. Each device counts units of its own addresses for an ` +
      `epoch; those with ${knobs.threshold} accesses to 256 bytes, on the average, are hot.`,
    'A daemon translates each hot unit, 256 bytes by 256 bytes, and moves the pages that it names.',
    `${LINEAR}: as if the devices lay behind each other, without decoders.`,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Gregory Price',
      says: 'from a heat map by DPA the host recovers the HPA by the mapping that it programmed',
      judge: judgeRecovers,
    },
    {
      who: 'Andy Lutomirski',
      says: 'a device knows neither page sizes nor where allocations end',
      judge: judgePages,
    },
  ],
  notModelled: [
    '3, 6 and 12 ways; regions in normalised addresses',
    'saturated and lost counters: rings are as large as the memory',
    'time between epoch and call (lab stale-heat)',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const run = (one: Case): Trial => {
    const trial = new Trial(one, knobs, seed);
    data[`${one.ways} ways, ${one.granularity} B, ${one.unit} B, ${one.daemon}`] = trial.counters;
    return trial;
  };
  const decode = DECODE_CASES.map((one): Cell[] => {
    return [one.ways, one.host, one.daemon, ...cellsOf(run(one))];
  });
  const units = [...UNIT_CASES, ...GRANULAR_CASES].map((one): Cell[] => {
    return [one.ways, one.granularity, one.unit, ...cellsOf(run(one))];
  });
  return { figures: [decodeFigure(decode), unitFigure(units)], published: [], data };
}

/** One machine, one epoch, one call. */
class Trial {
  readonly hotUnits: number;
  readonly translations: number;
  readonly named: number;
  /** Hot pages among the named, and in all. */
  readonly right: number;
  readonly hot: number;
  /** Hot pages that are on the fast node in the end. */
  readonly moved: number;
  readonly counters: Record<string, number>;

  constructor(one: Case, knobs: KnobValues, seed: number) {
    const world = new World(numberOf(knobs, 'memory'), seed);
    const { k } = world.machine;
    const hot = world.chooseHot(numberOf(knobs, 'hot'));
    const region = world.region(one.ways, one.granularity, one.host);
    const entries = heat(world, region, one.unit, hot, numberOf(knobs, 'threshold'));
    const seen = region.xorMaps.length > 0 && one.daemon === MODULO;
    const known = seen ? { ...region, xorMaps: [] } : region;
    const pages = new Set<number>();
    let translations = 0;
    for (const { position, unit } of entries) {
      for (let at = 0; at < one.unit; at += Math.min(one.unit, CHUNK)) {
        const hpa = translate(known, position, unit * one.unit + at, one.daemon);
        translations++;
        if (hpa !== ADDRESS_INVALID) pages.add(Math.floor(hpa / PAGE_SIZE));
      }
    }
    const frames = [...pages].map((pfn) => k.frames.frameOfPfn(pfn));
    this.hotUnits = entries.length;
    this.translations = translations;
    this.named = frames.length;
    this.right = frames.filter((frame) => hot.has(frame)).length;
    this.hot = hot.size;
    this.moved = world.move(pages, hot);
    this.counters = world.machine.counters();
  }
}

function translate(region: CxlRegion, position: number, dpa: number, daemon: Translation): number {
  if (daemon !== LINEAR) return dpaToHpa(region, position, dpa);
  return region.hpaBase + position * (region.hpaSize / region.dpaBase.length) + dpa;
}

interface HotUnit {
  readonly position: number;
  readonly unit: number;
}

/** What the hot lists of all devices hold after an epoch of accesses to all of the node. */
function heat(
  world: World,
  region: CxlRegion,
  unitBytes: number,
  hot: ReadonlySet<FrameId>,
  threshold: number,
): HotUnit[] {
  const ways = region.dpaBase.length;
  const { scale, multiplier } = epochRegister(EPOCH_NS);
  const devices = region.dpaBase.map(() => {
    const device = new HotPageUnit({
      deviceBytes: region.hpaSize / ways,
      hotlistSize: Math.max(RING, region.hpaSize / CHUNK) + 1,
      counterWidth: 16,
      downsampleMax: 0,
      epochMinNs: 0,
      epochMaxNs: 1e12,
    });
    device.enable({
      mode: CHMU_EPOCH,
      unitBytes,
      threshold: threshold * (unitBytes / CHUNK),
      downsample: 0,
      accessKinds: CHMU_READS,
      epochScale: scale,
      epochMultiplier: multiplier,
    });
    return device;
  });
  for (const frame of world.frames) {
    const accesses = hot.has(frame) ? HOT_ACCESSES : COLD_ACCESSES;
    const page = world.machine.k.frames.pfnOf(frame) * PAGE_SIZE;
    for (let at = 0; at < PAGE_SIZE; at += CHUNK) {
      const target = hpaToDpa(region, page + at);
      if (typeof target === 'number') throw new Error('the region holds the node');
      devices[target.position].count(Math.floor(target.dpa / unitBytes), accesses, 0);
    }
  }
  return devices.flatMap((device, position) => {
    device.endEpoch();
    const units: HotUnit[] = [];
    while (device.nrWaiting > 0) units.push({ position, unit: device.unitOf(device.take()) });
    return units;
  });
}

/** A program on a slow node that is an interleave set. */
class World {
  readonly machine: LabMachine;
  readonly frames: readonly FrameId[];
  readonly #daemon: Task;
  readonly #sizeBytes: number;

  constructor(memoryMib: number, seed: number) {
    const pages = memoryMib * PAGES_PER_MIB;
    const nodeMib = 32 * Math.ceil((memoryMib + 16) / 32);
    const machine = new LabMachine({
      nodes: [
        { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: (memoryMib + 64) * PAGES_PER_MIB }] },
        { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: nodeMib * PAGES_PER_MIB }] },
      ],
      seed,
      sysctl: { thp_enabled: 'never' },
    });
    const { k } = machine;
    this.#daemon = machine.program().task;
    const program = machine.program();
    setMempolicy(k, program.task, MPOL_BIND, { bits: [SLOW], maxnode: 65 });
    const start = program.map(pages);
    program.touch(start, pages);
    k.lru.drainAll();
    this.machine = machine;
    this.#sizeBytes = nodeMib * PAGES_PER_MIB * PAGE_SIZE;
    this.frames = Array.from({ length: pages }, (_, n) => pageAt(k, program.task.mm!, start + n));
  }

  chooseHot(percent: number): ReadonlySet<FrameId> {
    const { random } = this.machine;
    const nr = Math.max(1, Math.round((this.frames.length * percent) / 100));
    const hot = new Set<FrameId>();
    while (hot.size < nr) hot.add(this.frames[random.below(this.frames.length)]);
    return hot;
  }

  /** The node as one region. */
  region(ways: number, granularity: number, host: typeof MODULO | typeof XOR): CxlRegion {
    const eig = encodeGranularity(granularity);
    const region = {
      hpaBase: this.machine.zone(ZONE_MOVABLE, SLOW)!.startPfn * PAGE_SIZE,
      hpaSize: this.#sizeBytes,
      eig,
      eiw: encodeWays(ways),
      cacheBytes: 0,
      xorMaps: host === XOR ? exampleXorMaps(ways, eig) : [],
      dpaBase: new Array<number>(ways).fill(0),
    };
    if (checkRegion(region) !== 0) throw new Error('a region that decoders can hold');
    return region;
  }

  /** Moves the named pages to the fast node; how many hot ones went. */
  move(pfns: ReadonlySet<number>, hot: ReadonlySet<FrameId>): number {
    const { k } = this.machine;
    const count = pfns.size;
    const address = Float64Array.from(pfns, (pfn) => pfn * PAGE_SIZE);
    const frames = [...pfns].map((pfn) => k.frames.frameOfPfn(pfn));
    const entries = {
      count,
      address,
      generation: Uint32Array.from(frames, (frame) => (frame < 0 ? 0 : k.frames.generation[frame])),
      order: new Uint8Array(count).fill(ORDER_UNKNOWN),
      flags: new Uint8Array(count),
      node: new Int32Array(count).fill(FAST),
    };
    const status = new Int32Array(count);
    movePhysPages2(k, this.#daemon, entries, status, MOVE);
    return frames.filter((frame, i) => status[i] === FAST && hot.has(frame)).length;
  }
}

const percent = (part: number, of: number) => (of === 0 ? 0 : rounded((100 * part) / of));

function cellsOf(trial: Trial): Cell[] {
  const { hotUnits, translations, named, right, hot, moved } = trial;
  return [hotUnits, translations, named, percent(right, named), percent(right, hot), moved];
}

const COLUMNS = [
  { name: 'hot units', unit: '' },
  { name: 'translations', unit: '' },
  { name: 'named', unit: 'pages' },
  { name: 'hot of them', unit: '%' },
  { name: 'hot pages found', unit: '%' },
  { name: 'hot moved', unit: 'pages' },
] as const;

function decodeFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'decode',
    title: 'By the way back; units of 256 bytes, interleaved by 4 KiB',
    columns: [
      { name: 'ways', unit: '' },
      { name: 'host', unit: '' },
      { name: 'daemon', unit: '' },
      ...COLUMNS,
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function unitFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'units',
    title: 'By ways, granularity of the interleave, and unit of the counters',
    columns: [
      { name: 'ways', unit: '' },
      { name: 'granularity', unit: 'B' },
      { name: 'unit', unit: 'B' },
      ...COLUMNS,
    ],
    rows,
    drawing: {
      kind: 'bars',
      labels: ['ways', 'granularity', 'unit'],
      parts: [{ column: 'hot of them', shade: 'after' }],
    },
  };
}

function verdict(f: FigureReader): string {
  const found = (host: string, daemon: string) => {
    return f.number('decode', [4, host, daemon], 'hot pages found');
  };
  const [modulo, xor] = [found(MODULO, MODULO), found(XOR, XOR)];
  const [linear, wrong] = [found(MODULO, LINEAR), found(XOR, MODULO)];
  const coarse = (column: string) => f.number('units', [8, 256, 4096], column);
  const back = Math.min(modulo, xor) >= 99 ? 'Yes, by the decoders as programmed' : 'Not wholly';
  return (
    `${back}: ${decimal(Math.min(modulo, xor))} % of the hot pages are found, ` +
    `${decimal(linear)} % without decoders, ${decimal(wrong)} % if XOR is taken for modulo. ` +
    `Counters of 4 KiB over 8 ways of 256 B find ${decimal(coarse('hot pages found'))} %, and ` +
    `${decimal(coarse('hot of them'))} % of what they name is hot.`
  );
}

function judgeRecovers(f: FigureReader): Finding {
  const shares = [MODULO, XOR].flatMap((way) => [
    f.number('decode', [4, way, way], 'hot pages found'),
    f.number('decode', [4, way, way], 'hot of them'),
  ]);
  const because = `at least ${decimal(Math.min(...shares))} % right, by arithmetic alone`;
  return { support: Math.min(...shares) >= 99 ? 'supported' : 'not supported', because };
}

function judgePages(f: FigureReader): Finding {
  const found = f.column('units', 'hot pages found');
  const right = f.column('units', 'hot of them');
  const exact = found.filter((share, i) => share >= 99 && right[i] >= 99).length;
  const because = `exact in ${exact} of ${found.length} combinations of ways, granularity and unit`;
  if (exact === found.length) return { support: 'not supported', because };
  return { support: exact > 0 ? 'partly' : 'supported', because };
}
