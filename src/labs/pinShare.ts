/**
 * How much of the memory of a machine can be pinned, as ZONE_MOVABLE grows: J. Gunthorpe fears that
 * "standard systems can no longer pin > 80% of their memory". PM-16, PM-20, PM-25, PM-52, PM-56.
 */
import { unpinUserPages } from '../mm/index.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from '../policy/index.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, PAGES_PER_MIB, twoZones } from './labMachine.ts';
import { BEFORE_AND_AFTER, outcomeText } from './words.ts';

const BEFORE = 'before';
const AFTER = 'after';
/** Percent of the memory that is ZONE_MOVABLE. */
const MOVABLE_SHARES = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90] as const;
const PIN_BATCH = 512;

export const pinShare: Lab = {
  name: 'pin-share',
  question: 'Can a machine still pin most of its memory when pins must leave ZONE_MOVABLE?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E1', 'E5', 'F4'],
  rules: ['PM-16', 'PM-25', 'PM-52', 'PM-56'],
  knobs: [
    integerKnob('memory', 512, 128, 16384, 'MiB', 'of the one node'),
    numberKnob('kernel', 4, 0, 50, '%', 'of the memory that the kernel takes for itself first'),
    numberKnob('wanted', 80, 1, 100, '%', 'of the memory that somebody wants to pin'),
  ],
  setup: (knobs) => [
    `One node of ${knobs.memory} MiB, no swap; a share of it is ZONE_MOVABLE.`,
    `The kernel takes ${knobs.kernel} % of it; a program pins (FOLL_LONGTERM) all it can get.`,
    BEFORE_AND_AFTER,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Jason Gunthorpe',
      says: 'standard systems that can no longer pin 80 % of their memory would be a regression',
      judge: judgeRegression,
    },
    {
      who: 'Pavel Tatashin',
      says: 'only who configures ZONE_MOVABLE pays: nothing changes without it',
      judge: judgeOptional,
    },
  ],
  notModelled: [
    'RLIMIT_MEMLOCK and the accounting of drivers (PM-24)',
    'the OOM killer: the pin fails instead (PM-25)',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const wanted = numberOf(knobs, 'wanted');
  const counters: Record<string, Record<string, number>> = {};
  const rows = MOVABLE_SHARES.map((percent): Cell[] => {
    const runs = [BEFORE, AFTER].map((variant) => {
      const run = pinAll(variant, percent, knobs, seed);
      counters[`${variant} ${percent} %`] = run.counters;
      return run;
    });
    return [percent, ...runs.map(({ share }) => rounded(share)), runs[1].ending, runs[1].free];
  });
  return {
    figures: [sharesFigure(rows), wantedFigure(rows, wanted)],
    published: [],
    data: counters,
  };
}

interface PinRun {
  /** Percent of the memory. */
  readonly share: number;
  readonly ending: string;
  /** MiB free in the machine then. */
  readonly free: number;
  readonly counters: Record<string, number>;
}

function pinAll(variant: string, percent: number, knobs: KnobValues, seed: number): PinRun {
  const mib = numberOf(knobs, 'memory');
  // Zones end at pageblocks of 2 MiB.
  const movable = 2 * Math.round((mib * percent) / 200);
  const machine = new LabMachine({
    nodes: [twoZones(mib - movable, movable)],
    seed,
    sysctl: { thp_enabled: 'never' },
    pinsStayInMovable: variant === BEFORE,
  });
  machine.takeKernelPages(Math.round((mib * PAGES_PER_MIB * numberOf(knobs, 'kernel')) / 100));
  const program = machine.program();
  const nr = mib * PAGES_PER_MIB;
  const { pages, errno } = program.pinLongterm(program.map(nr), nr, PIN_BATCH);
  const share = (100 * pages.length) / nr;
  const free = rounded(machine.vmstat('nr_free_pages') / PAGES_PER_MIB);
  const counters = machine.counters();
  unpinUserPages(machine.k, pages);
  return { share, ending: outcomeText(errno), free, counters };
}

function sharesFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'shares',
    title: 'What can be pinned, by the size of ZONE_MOVABLE',
    columns: [
      { name: 'ZONE_MOVABLE', unit: '%' },
      { name: BEFORE, unit: '%' },
      { name: AFTER, unit: '%' },
      { name: 'ended with', unit: '' },
      { name: 'free then', unit: 'MiB' },
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'ZONE_MOVABLE',
      series: [
        { column: BEFORE, shade: 'before' },
        { column: AFTER, shade: 'after' },
      ],
    },
  };
}

/** The largest ZONE_MOVABLE of those tried with which the wanted share can be pinned. */
function wantedFigure(rows: readonly (readonly Cell[])[], wanted: number): Figure {
  const largest = (column: number): number | null => {
    const enough = rows.filter((row) => (row[column] as number) >= wanted);
    return enough.length === 0 ? null : (enough.at(-1)![0] as number);
  };
  return {
    id: 'wanted',
    title: 'The largest ZONE_MOVABLE of these with which the wanted share can be pinned',
    columns: [
      { name: 'pins', unit: '' },
      { name: 'wanted', unit: '%' },
      { name: 'ZONE_MOVABLE at most', unit: '%' },
    ],
    rows: [
      [BEFORE, wanted, largest(1)],
      [AFTER, wanted, largest(2)],
    ],
    drawing: { kind: 'none' },
  };
}

function largestOf(f: FigureReader, variant: string): number | null {
  const cell = f.figure('wanted').rows.find(([pins]) => pins === variant)?.[2];
  return typeof cell === 'number' ? cell : null;
}

function verdict(f: FigureReader): string {
  const wanted = f.number('wanted', [AFTER], 'wanted');
  const most = largestOf(f, AFTER);
  const half = f.number('shares', [50], AFTER);
  const halved = `with half of the memory in ZONE_MOVABLE ${decimal(half)} % can be pinned`;
  const before = decimal(f.number('shares', [50], BEFORE));
  if (most === null)
    return `No: not even without ZONE_MOVABLE can ${wanted} % be pinned; ${halved}.`;
  if (most === MOVABLE_SHARES.at(-1)) return `Yes: ${wanted} % can be pinned at every size tried.`;
  const limit = `ZONE_MOVABLE is at most ${most} % of the memory`;
  return `Only while ${limit} can ${wanted} % be pinned; ${halved} (before: ${before} %).`;
}

function judgeRegression(f: FigureReader): Finding {
  const wanted = f.number('wanted', [AFTER], 'wanted');
  const lost = f.figure('shares').rows.filter((row) => {
    return (row[1] as number) >= wanted && (row[2] as number) < wanted;
  });
  const sizes = lost.map(([percent]) => percent as number);
  if (sizes.length === 0) {
    return {
      support: 'not supported',
      because: `${wanted} % can be pinned wherever it could before`,
    };
  }
  const range = `${Math.min(...sizes)} to ${Math.max(...sizes)} %`;
  return { support: 'supported', because: `${wanted} % is lost with ZONE_MOVABLE at ${range}` };
}

function judgeOptional(f: FigureReader): Finding {
  const [was, is] = [BEFORE, AFTER].map((variant) => f.number('shares', [0], variant));
  const because = `without ZONE_MOVABLE ${decimal(was)} % before, ${decimal(is)} % after`;
  return { support: was === is ? 'supported' : 'not supported', because };
}
