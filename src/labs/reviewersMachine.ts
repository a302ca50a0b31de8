/**
 * The machine that J. Kim describes in the review: 512 MiB NORMAL, 512 MiB MOVABLE; 256 MiB
 * unmovable, 256 MiB movable that get pinned, 512 MiB movable that do not. Before the
 * series the pins stay in ZONE_MOVABLE; with it they must go to ZONE_NORMAL. PM-17, PM-25, PM-35,
 * PM-55, PM-95.
 *
 * Measured: what each zone holds after each step, how much could be pinned, what the kernel can
 * still have for itself, and the smallest ZONE_NORMAL in which everything succeeds.
 */
import type { Vpn } from '../base/units.ts';
import { booleanOf, integerKnob, type KnobValues, numberOf } from '../policy/index.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement, Part } from './lab.ts';
import {
  LabMachine,
  type LabProgram,
  mibOf,
  migrationMs,
  PAGES_PER_MIB,
  twoZones,
} from './labMachine.ts';
import { BEFORE_AND_AFTER, outcomeText } from './words.ts';

const BEFORE = 'before';
const AFTER = 'after';
const VARIANTS = [BEFORE, AFTER] as const;
/** Pages a call, as RDMA pins them (a page of struct page pointers). */
const PIN_BATCH = 512;

interface Sizes {
  readonly normalMib: number;
  readonly movableMib: number;
  readonly unmovableMib: number;
  readonly pinnedMib: number;
  readonly userMib: number;
  readonly swapMib: number;
  readonly growthMib: number;
  readonly accesses: number;
  readonly pinFirst: boolean;
}

interface Story {
  readonly steps: readonly Cell[][];
  readonly outcome: readonly Cell[];
  readonly counters: Record<string, number>;
}

export const reviewersMachine: Lab = {
  name: 'reviewers-machine',
  question:
    'Does the machine of the review, half ZONE_MOVABLE, survive when long-term pins must leave it?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E1', 'E5', 'F4'],
  rules: ['PM-15', 'PM-16', 'PM-17', 'PM-25', 'PM-35', 'PM-55', 'PM-95'],
  knobs: [
    size('normal', 512, 'size of ZONE_NORMAL'),
    size('movable', 512, 'size of ZONE_MOVABLE'),
    size('unmovable', 256, 'what the kernel takes for itself'),
    size('pinned', 256, 'what a program touches, then pins for long'),
    size('user', 512, 'what another program touches'),
    size('swap', 1024, 'swap space'),
    size('growth', 16, 'what the kernel asks for afterwards'),
    integerKnob(
      'accesses',
      200_000,
      0,
      10_000_000,
      '',
      'random accesses of the other program once the pins are there',
    ),
    {
      kind: 'boolean',
      name: 'pinFirst',
      default: false,
      doc: 'pin before the other program runs, instead of after',
    },
  ],
  setup: (knobs) => setupOf(sizesOf(knobs)),
  measure,
  verdict,
  positions: [
    {
      who: 'Joonsoo Kim',
      says: 'pinned pages need room in ZONE_NORMAL, which is then exhausted and the system suffers',
      judge: judgeExhaustion,
    },
    {
      who: 'Pavel Tatashin',
      says: 'the series restores what ZONE_MOVABLE promises: nothing in it is pinned for long',
      judge: judgePromise,
    },
    {
      who: 'David Hildenbrand',
      says: 'pinning can fail although ZONE_MOVABLE has much free memory, and costs migrations',
      judge: judgeWarning,
    },
  ],
  notModelled: [
    'the OOM killer: an allocation for which nothing can be reclaimed fails instead (PM-25)',
    'compaction of the kernel’s own memory, slab shrinkers: the kernel’s memory never shrinks',
    'time of swap I/O: faults are counted, not timed',
  ],
};

function size(name: string, mib: number, doc: string) {
  const max = 16384;
  const least = name === 'normal' ? 64 : 0;
  return { kind: 'integer', name, default: mib, min: least, max, unit: 'MiB', doc } as const;
}

function sizesOf(knobs: KnobValues): Sizes {
  return {
    normalMib: numberOf(knobs, 'normal'),
    movableMib: numberOf(knobs, 'movable'),
    unmovableMib: numberOf(knobs, 'unmovable'),
    pinnedMib: numberOf(knobs, 'pinned'),
    userMib: numberOf(knobs, 'user'),
    swapMib: numberOf(knobs, 'swap'),
    growthMib: numberOf(knobs, 'growth'),
    accesses: numberOf(knobs, 'accesses'),
    pinFirst: booleanOf(knobs, 'pinFirst'),
  };
}

function setupOf(s: Sizes): string[] {
  const touch = `a second program touches ${s.userMib} MiB`;
  const pin = `the first one’s ${s.pinnedMib} MiB are pinned (FOLL_LONGTERM, 512 pages a call)`;
  const zones = `ZONE_NORMAL ${s.normalMib} MiB, ZONE_MOVABLE ${s.movableMib} MiB`;
  const growth = `the kernel asks for ${s.growthMib} MiB more`;
  return [
    `One node: ${zones}, swap ${s.swapMib} MiB.`,
    `The kernel takes ${s.unmovableMib} MiB unmovable; a program touches ${s.pinnedMib} MiB.`,
    `Then ${s.pinFirst ? `${pin}; ${touch}` : `${touch}; ${pin}`}.`,
    `The second program makes ${s.accesses} random accesses; ${growth}.`,
    BEFORE_AND_AFTER,
  ];
}

function measure({ knobs, seed }: LabRun): Measurement {
  const sizes = sizesOf(knobs);
  const stories = VARIANTS.map((variant) => tell(variant, sizes, seed));
  const needed = VARIANTS.map((variant) => smallestNormal(variant, sizes, seed));
  const asked = sizes.unmovableMib + sizes.pinnedMib;
  const ours = needed[1];
  return {
    figures: [
      stepsFigure(stories.flatMap(({ steps }) => steps)),
      outcomeFigure(stories.map(({ outcome }) => outcome)),
      neededFigure(VARIANTS.map((variant, i) => [variant, sizes.normalMib, needed[i]])),
    ],
    published:
      ours === null
        ? []
        : [
            {
              what: 'ZONE_NORMAL needed once the pins must be in it',
              unit: 'MiB',
              published: asked,
              ours,
              source: 'J. Kim, 2020-12-04: unmovable + pinned, ignoring reserves and page tables',
            },
          ],
    data: Object.fromEntries(VARIANTS.map((variant, i) => [variant, stories[i].counters])),
  };
}

function stepsFigure(rows: readonly (readonly Cell[])[]): Figure {
  const parts: Part[] = [
    { column: 'NORMAL kernel', shade: 'kernel' },
    { column: 'NORMAL pinned', shade: 'pinned' },
    { column: 'NORMAL user', shade: 'user' },
    { column: 'NORMAL free', shade: 'free' },
    { column: 'MOVABLE pinned', shade: 'pinned', isApart: true },
    { column: 'MOVABLE user', shade: 'user' },
    { column: 'MOVABLE free', shade: 'free' },
  ];
  return {
    id: 'zones',
    title: 'What the zones hold',
    columns: [
      { name: 'pins', unit: '' },
      { name: 'after', unit: '' },
      ...parts.map(({ column }) => ({ name: column, unit: 'MiB' })),
      { name: 'swapped', unit: 'MiB' },
    ],
    rows,
    drawing: { kind: 'bars', labels: ['pins', 'after'], parts },
  };
}

function outcomeFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'outcome',
    title: 'What became of it',
    columns: [
      { name: 'pins', unit: '' },
      { name: 'asked to pin', unit: 'MiB' },
      { name: 'pinned', unit: 'MiB' },
      { name: 'ended with', unit: '' },
      { name: 'migrated', unit: 'MiB' },
      { name: 'migration time', unit: 'ms' },
      { name: 'swapped out to pin', unit: 'MiB' },
      { name: 'free in MOVABLE then', unit: 'MiB' },
      { name: 'major faults per 1000 accesses', unit: '' },
      { name: 'kernel got', unit: 'MiB' },
      { name: 'kernel asked', unit: 'MiB' },
    ],
    rows,
    drawing: { kind: 'bars', labels: ['pins'], parts: [{ column: 'pinned', shade: 'pinned' }] },
  };
}

function neededFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'needed',
    title: 'The smallest ZONE_NORMAL in which everything can be pinned',
    columns: [
      { name: 'pins', unit: '' },
      { name: 'has', unit: 'MiB' },
      { name: 'needs', unit: 'MiB' },
    ],
    rows,
    drawing: { kind: 'bars', labels: ['pins'], parts: [{ column: 'needs', shade: 'kernel' }] },
  };
}

/** The whole story with one behaviour of pins. */
function tell(variant: string, sizes: Sizes, seed: number): Story {
  const machine = boot(variant, sizes, seed);
  const steps: Cell[][] = [];
  const note = (step: string): void => void steps.push(stepRow(machine, variant, step));
  machine.takeKernelPages(sizes.unmovableMib * PAGES_PER_MIB);
  const programs = startPrograms(machine, sizes);
  const { second, memory, user } = programs;
  note(sizes.pinFirst ? 'kernel, first program' : 'kernel, programs');
  const pin = pinAll(machine, programs, sizes);
  note('pinning');
  if (sizes.pinFirst) second.touch(memory, user);
  const touched = second.touchAtRandom(memory, user, user === 0 ? 0 : sizes.accesses);
  const faults = touched.pages === 0 ? 0 : (1000 * touched.majorFaults) / touched.pages;
  note('accesses');
  const got = machine.takeKernelPages(sizes.growthMib * PAGES_PER_MIB);
  note('kernel growth');
  const outcome = [variant, ...pin, rounded(faults, 2), rounded(mibOf(got)), sizes.growthMib];
  return { steps, outcome, counters: machine.counters() };
}

interface Programs {
  readonly first: LabProgram;
  readonly buffer: Vpn;
  readonly second: LabProgram;
  readonly memory: Vpn;
  /** Pages of the second program. */
  readonly user: number;
}

function startPrograms(machine: LabMachine, sizes: Sizes): Programs {
  const [first, second] = [machine.program(), machine.program()];
  const user = sizes.userMib * PAGES_PER_MIB;
  const buffer = first.map(sizes.pinnedMib * PAGES_PER_MIB);
  const memory = second.map(Math.max(1, user));
  first.touch(buffer, sizes.pinnedMib * PAGES_PER_MIB);
  if (!sizes.pinFirst) second.touch(memory, user);
  return { first, buffer, second, memory, user };
}

function boot(variant: string, sizes: Sizes, seed: number): LabMachine {
  return new LabMachine({
    nodes: [twoZones(sizes.normalMib, sizes.movableMib)],
    seed,
    swapMib: sizes.swapMib,
    sysctl: { thp_enabled: 'never' },
    pinsStayInMovable: variant === BEFORE,
  });
}

/** Pins the buffer; the cells from 'asked to pin' to 'free in MOVABLE then'. */
function pinAll(machine: LabMachine, { first, buffer }: Programs, sizes: Sizes): Cell[] {
  const before = [machine.vmstat('pgmigrate_success'), machine.vmstat('pswpout')];
  const nr = sizes.pinnedMib * PAGES_PER_MIB;
  const { pages, errno } = first.pinLongterm(buffer, nr, PIN_BATCH);
  const migrated = machine.vmstat('pgmigrate_success') - before[0];
  const swapped = machine.vmstat('pswpout') - before[1];
  return [
    sizes.pinnedMib,
    rounded(mibOf(pages.length)),
    outcomeText(errno),
    rounded(mibOf(migrated)),
    rounded(migrationMs(migrated)),
    rounded(mibOf(swapped)),
    rounded(mibOf(machine.census(machine.zone(ZONE_MOVABLE)).free)),
  ];
}

function stepRow(machine: LabMachine, variant: string, step: string): Cell[] {
  const normal = machine.census(machine.zone(ZONE_NORMAL));
  const movable = machine.census(machine.zone(ZONE_MOVABLE));
  const swap = machine.k.swap;
  const pages = [
    normal.kernel,
    normal.pinned,
    normal.user,
    normal.free,
    movable.pinned,
    movable.user,
    movable.free,
    swap.nrSlots - swap.free,
  ];
  return [variant, step, ...pages.map((nr) => rounded(mibOf(nr)))];
}

/**
 * In steps of a pageblock (2 MiB): sizes above what must be in the zone, the distance doubled each
 * time, then bisection; null = not even twice what is asked is enough.
 */
function smallestNormal(variant: string, sizes: Sizes, seed: number): number | null {
  const isEnough = (normalMib: number): boolean => {
    const machine = boot(variant, { ...sizes, normalMib }, seed);
    const kernelPages = sizes.unmovableMib * PAGES_PER_MIB;
    if (machine.takeKernelPages(kernelPages) < kernelPages) return false;
    const { first, buffer } = startPrograms(machine, sizes);
    const nr = sizes.pinnedMib * PAGES_PER_MIB;
    return first.pinLongterm(buffer, nr, PIN_BATCH).pages.length === nr;
  };
  const asked = sizes.unmovableMib + sizes.pinnedMib;
  const most = 2 * Math.floor(sizes.unmovableMib / 2) + 2 * asked + 64;
  // Without reserves and page tables, so too small.
  let low = 2 * Math.floor((variant === AFTER ? asked : sizes.unmovableMib) / 2);
  let high = low + 2;
  while (!isEnough(high)) {
    if (high === most) return null;
    const distance = high - low;
    low = high;
    high = Math.min(high + 2 * distance, most);
  }
  while (high - low > 2) {
    const middle = low + 2 * Math.floor((high - low) / 4);
    if (isEnough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

function verdict(f: FigureReader): string {
  const asked = f.number('outcome', [AFTER], 'asked to pin');
  const pinned = f.number('outcome', [AFTER], 'pinned');
  const free = f.number('outcome', [AFTER], 'free in MOVABLE then');
  const needs = needsText(f);
  if (pinned < asked) {
    const errno = f.text('outcome', [AFTER], 'ended with');
    const got = `${decimal(pinned)} of ${decimal(asked)} MiB`;
    const beside = `with ${decimal(free)} MiB free in ZONE_MOVABLE`;
    return `No: pinning ends with ${errno} after ${got}, ${beside}. ${needs}`;
  }
  const [was, is] = VARIANTS.map((variant) => f.number('outcome', [variant], 'kernel got'));
  const want = f.number('outcome', [AFTER], 'kernel asked');
  if (is < want) {
    const instead = was > is ? ` (before: ${decimal(was)})` : '';
    const kernel = `the kernel then gets ${decimal(is)} of ${want} MiB${instead}`;
    return `All ${decimal(asked)} MiB are pinned, but ${kernel}. ${needs}`;
  }
  const kernel = `the kernel gets the ${want} MiB it asks for`;
  return `Yes: all ${decimal(asked)} MiB are pinned and ${kernel}. ${needs}`;
}

function needsText(f: FigureReader): string {
  const has = f.number('needed', [AFTER], 'has');
  const needs = f.figure('needed').rows.find(([pins]) => pins === AFTER)?.[2];
  if (typeof needs !== 'number') return 'No ZONE_NORMAL that was tried is large enough.';
  const compared = needs > has ? `it has ${has}` : `of the ${has} it has`;
  return `ZONE_NORMAL needs ${needs} MiB, ${compared}.`;
}

function judgeExhaustion(f: FigureReader): Finding {
  const missing =
    f.number('outcome', [AFTER], 'asked to pin') - f.number('outcome', [AFTER], 'pinned');
  const lost =
    f.number('outcome', [BEFORE], 'kernel got') - f.number('outcome', [AFTER], 'kernel got');
  const kernel = `the kernel gets ${decimal(lost)} MiB less than before`;
  const because = `${decimal(missing)} MiB cannot be pinned, and ${kernel}`;
  if (missing > 0 && lost > 0) return { support: 'supported', because };
  return { support: missing > 0 || lost > 0 ? 'partly' : 'not supported', because };
}

function judgePromise(f: FigureReader): Finding {
  const [was, is] = VARIANTS.map((variant) => {
    return f.number('zones', [variant, 'pinning'], 'MOVABLE pinned');
  });
  const because = `ZONE_MOVABLE holds ${decimal(is)} MiB of pins, before ${decimal(was)} MiB`;
  if (is > 0) return { support: 'not supported', because };
  return { support: was > 0 ? 'supported' : 'partly', because };
}

function judgeWarning(f: FigureReader): Finding {
  const missing =
    f.number('outcome', [AFTER], 'asked to pin') - f.number('outcome', [AFTER], 'pinned');
  const free = f.number('outcome', [AFTER], 'free in MOVABLE then');
  const moved = f.number('outcome', [AFTER], 'migrated');
  const ms = f.number('outcome', [AFTER], 'migration time');
  const cost = `${decimal(moved)} MiB migrated, ${decimal(ms)} ms`;
  const lack = `${decimal(missing)} MiB missing with ${decimal(free)} MiB free in ZONE_MOVABLE`;
  const because = `${lack}; ${cost}`;
  const fails = missing > 0 && free >= missing;
  if (fails && moved > 0) return { support: 'supported', because };
  return { support: fails || moved > 0 ? 'partly' : 'not supported', because };
}
