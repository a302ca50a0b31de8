/**
 * The bounce of a large folio: device and CPU take turns, and the CPU wants only some base pages of
 * 2 MiB. Either the whole folio comes back at the first fault, and goes again at the device's next;
 * or the driver splits it and sends the pages that are touched. DM-41, DM-62, DM-64.
 */
import { HPAGE_PMD_NR } from '../base/units.ts';
import { type KnobValues, numberOf } from '../policy/index.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabDevice } from './labDevice.ts';

const WHOLE = 'whole';
const SPLIT = 'split';
const DRIVERS = [WHOLE, SPLIT] as const;
const TOUCHED = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;

export const folioBounce: Lab = {
  name: 'folio-bounce',
  question: 'When a large folio bounces between device and CPU, is it better to split it?',
  thread: 'future-of-zone-device-2025',
  missions: ['D8', 'D13', 'F4'],
  rules: ['DM-41', 'DM-62', 'DM-64'],
  knobs: [
    {
      kind: 'integer',
      name: 'rounds',
      default: 8,
      min: 2,
      max: 1000,
      unit: '',
      doc: 'turns of the CPU and the device',
    },
  ],
  setup: (knobs) => [
    'A huge page is on an accelerator with private memory, used by a program on both sides.',
    `${knobs.rounds} times: the CPU writes 1 to 512 base pages of it, evenly spread; then the`,
    'device reads all 512. A device fault brings all that is not there.',
    'whole: the fault of the CPU brings 2 MiB back. split: it splits and brings the base page.',
    'split once: what the first round costs more, when the device has to map all pages again.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Zi Yan',
      says: 'bouncing a large folio for data shared within a base page is wasteful',
      judge: judgeFew,
    },
    {
      who: 'Alistair Popple',
      says: 'a driver might split a large page when it migrates back',
      judge: judgeRange,
    },
  ],
  notModelled: [
    'translations of the device: small pages need more of them, whether they bounce or not',
    'pages that the device uses over the link, or exclusively, instead of migrating them',
    'merging on return: what is split stays split',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rows = TOUCHED.map((touched): Cell[] => {
    const runs = DRIVERS.map((driver) => bounce(driver, touched, knobs, seed));
    for (const [i, driver] of DRIVERS.entries()) data[`${driver}, ${touched}`] = runs[i].counters;
    const [whole, split] = runs;
    return [
      touched,
      rounded(whole.us),
      rounded(split.us),
      rounded(split.firstUs - split.us),
      roundsToPay(whole, split),
      ...runs.map(({ pages }) => rounded(pages)),
      ...runs.map(({ faults }) => rounded(faults)),
      whole.wrong + split.wrong,
    ];
  });
  return { figures: [figureOf(rows)], published: [], data };
}

/** Rounds after which splitting has paid for its first one; null = never. */
function roundsToPay(whole: Bounce, split: Bounce): number | null {
  if (split.us >= whole.us) return null;
  return Math.max(1, Math.ceil((split.firstUs - split.us) / (whole.us - split.us)));
}

interface Bounce {
  /** Time lost in the first round. */
  readonly firstUs: number;
  /** Time lost, pages moved and faults on both sides, for each of the other rounds. */
  readonly us: number;
  readonly pages: number;
  readonly faults: number;
  /** Contents that one side wrote and the other did not read. */
  readonly wrong: number;
  readonly counters: Record<string, number>;
}

function bounce(driver: string, touched: number, knobs: KnobValues, seed: number): Bounce {
  const rounds = numberOf(knobs, 'rounds');
  const lab = new LabDevice({ seed, systemMib: 64, splitsOnReturn: driver === SPLIT });
  const start = lab.program.mapHuge(HPAGE_PMD_NR);
  const words = new Array<number>(HPAGE_PMD_NR).fill(0);
  for (let n = 0; n < HPAGE_PMD_NR; n++) lab.store(start + n, 0);
  lab.deviceLoad(start);
  let wrong = 0;
  const turn = (word: number) => {
    for (let i = 0; i < touched; i++) {
      const n = Math.floor((i * HPAGE_PMD_NR) / touched);
      words[n] = word;
      lab.store(start + n, word);
    }
    for (let n = 0; n < HPAGE_PMD_NR; n++) {
      if (lab.deviceLoad(start + n) !== words[n]) wrong++;
    }
  };
  const before = lab.spentNs;
  turn(1);
  const first = { ns: lab.spentNs, pages: pagesMoved(lab), faults: faults(lab) };
  for (let round = 2; round <= rounds; round++) turn(round);
  const others = rounds - 1;
  return {
    firstUs: (first.ns - before) / 1000,
    us: (lab.spentNs - first.ns) / others / 1000,
    pages: (pagesMoved(lab) - first.pages) / others,
    faults: (faults(lab) - first.faults) / others,
    wrong,
    counters: { ...lab.machine.counters(), ...lab.device.stats },
  };
}

function pagesMoved({ device }: LabDevice): number {
  return device.stats.pagesToDevice + device.stats.pagesFromDevice;
}

function faults({ device }: LabDevice): number {
  return device.stats.cpuFaults + device.stats.deviceFaults;
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'rounds',
    title: 'What a round costs both sides, by the base pages that the CPU writes',
    columns: [
      { name: 'CPU writes', unit: 'pages' },
      ...DRIVERS.map((name) => ({ name, unit: 'µs' })),
      { name: 'split once', unit: 'µs' },
      { name: 'paid after', unit: 'rounds' },
      ...DRIVERS.map((name) => ({ name: `${name}, moved`, unit: 'pages' })),
      ...DRIVERS.map((name) => ({ name: `${name}, faults`, unit: '' })),
      { name: 'wrong', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** Most pages at which splitting is cheaper; 0 = at none. */
function splitUntil(f: FigureReader): number {
  const [whole, split] = DRIVERS.map((driver) => f.column('rounds', driver));
  const dearer = split.findIndex((us, i) => us >= whole[i]);
  const writes = f.column('rounds', 'CPU writes');
  if (dearer < 0) return writes.at(-1)!;
  return dearer === 0 ? 0 : writes[dearer - 1];
}

function times(f: FigureReader, touched: number, over: string, under: string): string {
  const [a, b] = [over, under].map((driver) => f.number('rounds', [touched], driver));
  return decimal(a / b);
}

function verdict(f: FigureReader): string {
  const until = splitUntil(f);
  const [one, all] = [TOUCHED[0], TOUCHED.at(-1)!];
  const wrong = f.column('rounds', 'wrong').reduce((sum, n) => sum + n, 0);
  const lost = wrong === 0 ? 'nothing is lost' : `${wrong} pages are wrong`;
  const cost = `for all ${all} split costs ${times(f, all, SPLIT, WHOLE)} times as much`;
  if (until === 0) return `No, not even for ${one} of ${HPAGE_PMD_NR} pages; ${cost}; ${lost}.`;
  const share = decimal((100 * until) / HPAGE_PMD_NR);
  return (
    `Yes while the CPU writes at most ${until} of ${HPAGE_PMD_NR} pages (${share} %): for ${one} ` +
    `the whole folio costs ${times(f, one, WHOLE, SPLIT)} times as much and splitting has paid ` +
    `after ${f.text('rounds', [one], 'paid after')} rounds; ${cost}; ${lost}.`
  );
}

function judgeFew(f: FigureReader): Finding {
  const [whole, split] = DRIVERS.map((driver) => f.number('rounds', [TOUCHED[0]], driver));
  const because = `for one base page ${decimal(whole)} µs a round, ${decimal(split)} µs split`;
  return { support: whole > split ? 'supported' : 'not supported', because };
}

function judgeRange(f: FigureReader): Finding {
  const until = splitUntil(f);
  const all = TOUCHED.at(-1)!;
  const because = until === 0 ? 'it never pays' : `it pays up to ${until} of ${HPAGE_PMD_NR} pages`;
  if (until === all) return { support: 'supported', because };
  return { support: until > 0 ? 'partly' : 'not supported', because };
}
