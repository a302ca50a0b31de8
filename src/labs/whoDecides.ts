/**
 * Who should decide what lies in device memory: the first use by the device, the driver by the
 * device's counters, the program by hints, or the kernel by an LRU that sees no accesses of the
 * device. One program that uses some memory all the time and streams through more than fits. D14.
 */
import { RandomStream } from '../base/prng.ts';
import { MIB, PAGE_SIZE, PAGES_PER_SECTION } from '../base/units.ts';
import {
  COUNTER_THRESHOLD_DEFAULT,
  type PlacementName,
  PrivateAccelerator,
} from '../drivers/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LAB_ACCELERATOR, opened, probed } from './labAccelerator.ts';
import { LabMachine, PAGES_PER_MIB } from './labMachine.ts';

interface Decider {
  readonly name: string;
  readonly placement: PlacementName;
  readonly evictsByArrival: boolean;
  readonly what: string;
}

const DECIDERS: readonly Decider[] = [
  {
    name: 'fault',
    placement: 'fault',
    evictsByArrival: false,
    what: 'the first use brings a range; the device’s LRU makes room',
  },
  {
    name: 'kernel LRU',
    placement: 'fault',
    evictsByArrival: true,
    what: 'the first use brings a range; a kernel that sees no device accesses makes room',
  },
  {
    name: 'counter',
    placement: 'counter',
    evictsByArrival: false,
    what: `a range comes after ${COUNTER_THRESHOLD_DEFAULT} accesses over the link`,
  },
  {
    name: 'hint',
    placement: 'hint',
    evictsByArrival: false,
    what: 'the program says: what it uses all the time to the device, the stream not',
  },
];

const DEVICE_MIB = PAGES_PER_SECTION / PAGES_PER_MIB;
const HOT_MIB = 16;
const ROUNDS = 2;
/** Accesses to hot pages for each page of the stream. */
const HOT_ACCESSES = 8;

function run(decider: Decider, streamMib: number, seed: number) {
  const pages = (HOT_MIB + streamMib + 64) * PAGES_PER_MIB;
  const machine = new LabMachine({
    nodes: [{ cpus: [0], zones: [{ zone: ZONE_NORMAL, pages }] }],
    seed,
    deviceSections: 1,
  });
  const { placement, evictsByArrival } = decider;
  const spec = { ...LAB_ACCELERATOR, placement, evictsByArrival };
  const device = probed(new PrivateAccelerator(machine.k, spec));
  const program = machine.program();
  const context = opened(device, program.task);
  const hotPages = HOT_MIB * PAGES_PER_MIB;
  const streamPages = streamMib * PAGES_PER_MIB;
  const hot = program.map(hotPages);
  const stream = program.map(streamPages);
  program.touch(hot, hotPages);
  program.touch(stream, streamPages);
  context.advise(stream, streamPages, 'host');
  context.advise(hot, hotPages, 'device');
  const random = new RandomStream(seed, 'who-decides');
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 0; n < streamPages; n++) {
      context.load(program.task, stream + n);
      for (let i = 0; i < HOT_ACCESSES; i++) {
        context.load(program.task, hot + random.below(hotPages));
      }
    }
  }
  return device;
}

function measure({ knobs, seed }: LabRun): Measurement {
  const streamMib = numberOf(knobs, 'stream');
  const data: Record<string, Record<string, number>> = {};
  const rows = DECIDERS.map((decider): Cell[] => {
    const { clockNs, stats, engine } = run(decider, streamMib, seed);
    data[decider.name] = { ...stats };
    const copied = (engine.bytesToDevice + engine.bytesFromDevice) / MIB;
    const local = stats.localAccesses / (stats.localAccesses + stats.remoteAccesses);
    return [
      decider.name,
      rounded(clockNs / 1e6, 1),
      stats.deviceFaults,
      rounded(copied, 0),
      rounded((stats.pagesEvicted * PAGE_SIZE) / MIB, 0),
      rounded(100 * local, 1),
    ];
  });
  const figure = {
    id: 'deciders',
    title: `${HOT_MIB} MiB used all the time, ${streamMib} MiB streamed ${ROUNDS} times`,
    columns: [
      { name: 'who', unit: '' },
      { name: 'time', unit: 'ms' },
      { name: 'device faults', unit: '' },
      { name: 'copied', unit: 'MiB' },
      { name: 'evicted', unit: 'MiB' },
      { name: 'local', unit: '%' },
    ],
    rows,
    drawing: {
      kind: 'bars',
      labels: ['who'],
      parts: [{ column: 'time', shade: 'user' }],
    } as const,
  };
  return { figures: [figure], published: [], data };
}

function time(figures: FigureReader, who: string): number {
  return figures.number('deciders', [who], 'time');
}

function byTime(figures: FigureReader): readonly string[] {
  const names = DECIDERS.map(({ name }) => name);
  return names.sort((a, b) => time(figures, a) - time(figures, b));
}

function driverKnowsBest(figures: FigureReader): Finding {
  const best = Math.min(time(figures, 'counter'), time(figures, 'hint'));
  const others = Math.min(time(figures, 'fault'), time(figures, 'kernel LRU'));
  return {
    support: best < others ? 'supported' : 'not supported',
    because:
      `counters and hints take ${decimal(best)} ms at best, ` +
      `first use with either LRU ${decimal(others)} ms`,
  };
}

function kernelLruIsPointless(figures: FigureReader): Finding {
  const kernel = figures.number('deciders', ['kernel LRU'], 'copied');
  const device = figures.number('deciders', ['fault'], 'copied');
  return {
    support: kernel > device ? 'supported' : 'not supported',
    because:
      `${decimal(kernel, 0)} MiB are copied with it, ` +
      `${decimal(device, 0)} MiB with the device’s own`,
  };
}

export const whoDecides: Lab = {
  name: 'who-decides',
  question: 'Who should decide which pages lie in device memory?',
  thread: 'coherent-device-memory-glisse-2016',
  missions: ['D14', 'F4'],
  rules: ['DM-104'],
  knobs: [integerKnob('stream', 160, 1, 512, 'MiB', 'streamed through; the device has 128 MiB')],
  setup: (knobs) => [
    `A device with ${DEVICE_MIB} MiB; ranges of 64 KiB come, and as much goes; costs as on Xe.`,
    `The device uses ${HOT_MIB} MiB at random, ${HOT_ACCESSES} times for each page of a stream ` +
      `of ${numberOf(knobs, 'stream')} MiB, which it goes through ${ROUNDS} times.`,
    ...DECIDERS.map(({ name, what }) => `${name}: ${what}.`),
  ],
  measure,
  verdict: (figures) => {
    const order = byTime(figures);
    const worst = order[order.length - 1];
    const times = decimal(time(figures, worst) / time(figures, order[0]));
    const rest = order.slice(1).join(', ');
    return `Best decided by ${order[0]}, then ${rest}: ${worst} takes ${times} times as long.`;
  },
  positions: [
    {
      who: 'Glisse (2016)',
      says: 'only the driver knows enough, from the device’s counters and from the program’s hints',
      judge: driverKnowsBest,
    },
    {
      who: 'Glisse (2016)',
      says: 'ageing device pages on the kernel’s LRU is pointless',
      judge: kernelLruIsPointless,
    },
  ],
  notModelled: [
    'Overlap of a device’s work with its own faults: it stands still until a fault is over.',
    'Counters that migrate while the device goes on are free to it, but for the link.',
  ],
};
