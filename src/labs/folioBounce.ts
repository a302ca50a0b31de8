/**
 * The bounce of a large folio: device and CPU take turns, and the CPU wants only some base pages of
 * 2 MiB. Either the whole folio comes back at the first fault, and goes again at the device's next;
 * or the driver splits it and sends the pages that are touched; or none of it moves for them any
 * more (bounceWays.ts). DM-41, DM-62, DM-64, DM-70.
 */
import { HPAGE_PMD_NR } from '../base/units.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import {
  figureOfReuse,
  figureOfWays,
  inPlaceUntil,
  linkUntil,
  playRounds,
  type Rounds,
  WAYS,
} from './bounceWays.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';

const WHOLE = 'whole';
const SPLIT = 'split';
/** The first two ways: what drivers of Linux can do. */
const DRIVERS = [WHOLE, SPLIT] as const;
const TOUCHED = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;

export const folioBounce: Lab = {
  name: 'folio-bounce',
  question: 'When a large folio bounces between device and CPU, is it better to split it?',
  thread: 'future-of-zone-device-2025',
  missions: ['D8', 'D13', 'F4'],
  rules: ['DM-41', 'DM-62', 'DM-64', 'DM-70'],
  experimental: ['device_split_by_use', 'device_merge_on_return', 'device_shared_pages'],
  knobs: [
    integerKnob('rounds', 8, 2, 1000, '', 'turns of the CPU and the device'),
    integerKnob(
      'accesses',
      32,
      1,
      100_000,
      '',
      'accesses of the device to each page in a round; 32 read all of it once',
    ),
  ],
  setup: (knobs) => [
    'A huge page is on an accelerator with private memory, used by a program on both sides.',
    `${knobs.rounds} times: the CPU writes 1 to 512 base pages of it, evenly spread; then the ` +
      'device reads all 512. A device fault brings all that is not there.',
    'whole: the fault of the CPU brings 2 MiB back. split: it splits and brings the base page.',
    'split once: what the first round costs more, when the device has to map all pages again.',
    'by use, experimental (device_split_by_use, device_merge_on_return): the driver splits what ' +
      'came back whole, and takes the rest as one page again when the CPU wants many of a turn.',
    'link, exclusive, experimental (device_shared_pages): a page that came back once stays, and ' +
      'the device uses it over the link, or takes it exclusively each time, as atomics need it.',
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
    'what the CPU waits for lines of a page that the device writes over the link',
  ],
};

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const played = new Map<number, readonly Rounds[]>();
  for (const touched of TOUCHED) {
    const ways = WAYS.map((way) => playRounds(way, touched, numberOf(knobs, 'rounds'), seed));
    for (const [i, { name }] of WAYS.entries()) data[`${name}, ${touched}`] = ways[i].counters;
    played.set(touched, ways);
  }
  const rows = [...played].map(([touched, ways]) => movingRow(touched, ways));
  const ways = figureOfWays(played, numberOf(knobs, 'accesses'));
  return { figures: [figureOf(rows), ways, figureOfReuse(played)], published: [], data };
}

function movingRow(touched: number, ways: readonly Rounds[]): Cell[] {
  const [whole, split] = ways;
  return [
    touched,
    rounded(whole.us),
    rounded(split.us),
    rounded(split.firstUs - split.us),
    roundsToPay(whole, split),
    rounded(whole.pages),
    rounded(split.pages),
    rounded(whole.faults),
    rounded(split.faults),
    ways.reduce((sum, { wrong }) => sum + wrong, 0),
  ];
}

/** Rounds after which splitting has paid for its first one; null = never. */
function roundsToPay(whole: Rounds, split: Rounds): number | null {
  if (split.us >= whole.us) return null;
  return Math.max(1, Math.ceil((split.firstUs - split.us) / (whole.us - split.us)));
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
    drawing: {
      kind: 'curves',
      x: 'CPU writes',
      series: [
        { column: WHOLE, shade: 'before' },
        { column: SPLIT, shade: 'after' },
      ],
      isLog: true,
    },
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
  if (until === 0) {
    return `No, not even for ${one} of ${HPAGE_PMD_NR} pages; ${cost}; ${lost}. ${inPlace(f)}`;
  }
  const share = decimal((100 * until) / HPAGE_PMD_NR);
  return (
    `Yes while the CPU writes at most ${until} of ${HPAGE_PMD_NR} pages (${share} %): for ${one} ` +
    `the whole folio costs ${times(f, one, WHOLE, SPLIT)} times as much and splitting has paid ` +
    `after ${f.text('rounds', [one], 'paid after')} rounds; ${cost}; ${lost}. ${inPlace(f)}`
  );
}

/** What not moving the pages that are fought over comes to. */
function inPlace(f: FigureReader): string {
  const until = inPlaceUntil(f);
  if (until === 0) return 'Leaving the pages where they are pays for none.';
  const limit = linkUntil(f);
  const reuse =
    limit === null
      ? 'however often the device uses them'
      : `unless the device accesses each page ${limit} times or more a round`;
  return (
    `Leaving the pages that are fought over in system memory, for the device to use over the ` +
    `link, is better still up to ${until} of ${HPAGE_PMD_NR} pages, ${reuse}.`
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
