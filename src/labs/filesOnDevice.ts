/**
 * A device that works on a file: over the link, as today, or on its own copy of the cached pages,
 * as was proposed in 2025. What pays depends on how often the device uses a page before a CPU looks
 * it up again and has it back. D9, DM-85, DM-86.
 */
import { PAGES_PER_SECTION, type Vpn } from '../base/units.ts';
import { type AcceleratorContext, PrivateAccelerator } from '../drivers/index.ts';
import {
  cacheRead,
  devicePageLoad,
  Kernel,
  type MappedFile,
  mmapRegion,
  plainMachine,
  storeWord,
  syncFile,
} from '../mm/index.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LAB_ACCELERATOR, opened, probed } from './labAccelerator.ts';

/** Accesses of the device to a page between two look-ups of a CPU. */
const DENSITIES = [1, 32, 256, 1024, 2048, 4096, 8192] as const;
const PAGES = 32;
const ROUNDS = 2;

interface Ran {
  readonly ms: number;
  readonly migrated: number;
  readonly lookups: number;
  readonly wrong: number;
}

class FileOnDevice {
  readonly #k: Kernel;
  readonly #device: PrivateAccelerator;
  readonly #file: MappedFile;
  readonly #start: Vpn;
  readonly #context: AcceleratorContext;
  readonly #task;

  constructor(isOn: boolean, seed: number) {
    const plain = plainMachine([
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: PAGES_PER_SECTION }] },
    ]);
    const spec = isOn ? { ...plain, experimental: ['device_page_cache'] as const } : plain;
    this.#k = new Kernel(spec, { seed, trackContent: true, deviceSections: 1 });
    this.#task = this.#k.spawn(null, 0);
    this.#device = probed(new PrivateAccelerator(this.#k, LAB_ACCELERATOR));
    this.#file = this.#k.newFile('data', 'ext4', PAGES);
    const prot = PROT_READ | PROT_WRITE;
    const request = { addr: 0, pages: PAGES, prot, flags: MAP_SHARED, file: this.#file, pgoff: 0 };
    this.#start = mmapRegion(this.#k, this.#task.mm!, request);
    for (let n = 0; n < PAGES; n++) storeWord(this.#k, this.#task, this.#start + n, n + 1);
    syncFile(this.#k, this.#file);
    this.#context = opened(this.#device, this.#task);
  }

  /** Rounds: the device uses each page `density` times, then a CPU reads the file. */
  run(density: number): Ran {
    let wrong = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let n = 0; n < PAGES; n++) {
        for (let access = 0; access < density; access++) {
          if (this.#context.load(this.#task, this.#start + n) !== n + 1) wrong++;
        }
      }
      for (let n = 0; n < PAGES; n++) {
        const { page } = cacheRead(this.#k, this.#task, this.#file, n);
        if (devicePageLoad(this.#k, page) !== n + 1) wrong++;
      }
    }
    const { stats, clockNs } = this.#device;
    const ms = (clockNs + stats.cpuFaultNs) / 1e6;
    return { ms, migrated: stats.pagesToDevice, lookups: stats.cpuFaults, wrong };
  }
}

function measure({ seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rows = DENSITIES.map((density): Cell[] => {
    const remote = new FileOnDevice(false, seed).run(density);
    const there = new FileOnDevice(true, seed).run(density);
    data[`${density}`] = { ...there };
    return [
      density,
      rounded(remote.ms, 3),
      rounded(there.ms, 3),
      rounded(remote.ms / there.ms, 2),
      there.migrated,
      there.lookups,
      remote.wrong + there.wrong,
    ];
  });
  const figure = {
    id: 'density',
    title: `${PAGES} pages of a file, ${ROUNDS} rounds`,
    columns: [
      { name: 'accesses', unit: 'a page' },
      { name: 'link', unit: 'ms' },
      { name: 'migrated', unit: 'ms' },
      { name: 'gain', unit: 'times' },
      { name: 'to device', unit: 'pages' },
      { name: 'look-ups', unit: '' },
      { name: 'wrong', unit: 'pages' },
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'accesses',
      series: [
        { column: 'link', shade: 'before' },
        { column: 'migrated', shade: 'after' },
      ],
    } as const,
  };
  return { figures: [figure], published: [], data };
}

/** The lowest density at which migration wins, or 0. */
function breakEven(figures: FigureReader): number {
  return DENSITIES.find((density) => figures.number('density', [density], 'gain') > 1) ?? 0;
}

function limitsPerformance(figures: FigureReader): Finding {
  const from = breakEven(figures);
  const best = Math.max(...figures.column('density', 'gain'));
  return {
    support: from > 0 ? 'supported' : 'not supported',
    because:
      from > 0
        ? `from ${from} accesses a page the device is faster with it, up to ${decimal(best)} times`
        : 'at no density measured is the device faster with the page',
  };
}

function alwaysOwned(figures: FigureReader): Finding {
  const wrong = figures.column('density', 'wrong').reduce((sum, n) => sum + n, 0);
  return {
    support: wrong === 0 ? 'supported' : 'not supported',
    because: `${wrong} reads by CPU or device saw something else than the file’s data`,
  };
}

export const filesOnDevice: Lab = {
  name: 'files-on-device',
  question: 'Should a device have the file pages it works on in its own memory?',
  thread: 'future-of-zone-device-2025',
  missions: ['D9', 'F4'],
  rules: ['DM-30', 'DM-85', 'DM-86'],
  experimental: ['device_page_cache'],
  knobs: [],
  setup: () => [
    `A clean file of ${PAGES} pages, mapped by a process that uses an accelerator.`,
    'The device reads each page some times, 128 bytes an access; then a CPU reads the file.',
    'link: as Linux has it. migrated: experimental (device_page_cache).',
    'Costs of faults, migration and link as measured on Xe (dri-devel msg582687).',
  ],
  measure,
  verdict: (figures) => {
    const from = breakEven(figures);
    if (from === 0) return 'The link is as good as a copy at every density measured.';
    const fewest = figures.number('density', [DENSITIES[0]], 'gain');
    return (
      `Pages on the device pay from ${from} accesses between two look-ups; ` +
      `used once, they cost ${decimal(1 / fewest)} times the link.`
    );
  },
  positions: [
    {
      who: 'Popple (2025)',
      says: 'remote access to files limits what devices can do',
      judge: limitsPerformance,
    },
    {
      who: 'Popple (2025)',
      says: 'the CPU always owns the page and can have it back',
      judge: alwaysOwned,
    },
  ],
  notModelled: [
    'Dirty pages on a device, and what writeback would do with them (Hildenbrand’s question).',
    'Batches: a look-up brings one page back.',
  ],
};
