/**
 * A device that works on a file: over the link, as today, or on its own copy of the cached pages,
 * as was proposed in 2025. What pays depends on how often the device uses a page before a CPU looks
 * it up again and has it back. D9, DM-85, DM-86.
 */
import { PAGES_PER_SECTION, type Vpn } from '../base/units.ts';
import { type AcceleratorContext, PrivateAccelerator } from '../drivers/index.ts';
import type { ExperimentalFeature } from '../hw/index.ts';
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
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LAB_ACCELERATOR, opened, probed } from './labAccelerator.ts';

/** Accesses of the device to a page between two look-ups of a CPU. */
const DENSITIES = [1, 32, 256, 1024, 2048, 4096, 8192] as const;
const PAGES = 32;
const ROUNDS = 2;

const CLEAN: readonly ExperimentalFeature[] = ['device_page_cache'];
const DIRTY: readonly ExperimentalFeature[] = ['device_page_cache', 'device_dirty_pages'];

interface Written {
  readonly ms: number;
  /** Pages whose data writeback fetched from the device. */
  readonly fetched: number;
  readonly migrated: number;
  readonly home: number;
  /** Pages of the file that do not hold what the device wrote last. */
  readonly wrong: number;
}

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

  constructor(experimental: readonly ExperimentalFeature[], seed: number) {
    const plain = plainMachine([
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: PAGES_PER_SECTION }] },
    ]);
    this.#k = new Kernel(
      { ...plain, experimental },
      { seed, trackContent: true, deviceSections: 1 },
    );
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
    const { stats } = this.#device;
    return { ms: this.#ms, migrated: stats.pagesToDevice, lookups: stats.cpuFaults, wrong };
  }

  /** Rounds: a CPU writes each page once, the device `density` times, then fsync. */
  write(density: number): Written {
    const word = (round: number, n: number) => (round + 1) * PAGES + n;
    for (let round = 0; round < ROUNDS; round++) {
      for (let n = 0; n < PAGES; n++) storeWord(this.#k, this.#task, this.#start + n, n);
      for (let n = 0; n < PAGES; n++) {
        for (let access = 0; access < density; access++) {
          this.#context.store(this.#task, this.#start + n, word(round, n));
        }
      }
      syncFile(this.#k, this.#file);
    }
    let wrong = 0;
    for (let n = 0; n < PAGES; n++) {
      if (this.#file.backing.get(n) !== word(ROUNDS - 1, n)) wrong++;
    }
    const { pagesWrittenBack: fetched, pagesToDevice, pagesFromDevice } = this.#device.stats;
    return { ms: this.#ms, fetched, migrated: pagesToDevice, home: pagesFromDevice, wrong };
  }

  /** The device's work, what CPUs waited for, and what its link is still busy with. */
  get #ms(): number {
    const { stats, clockNs, engine } = this.#device;
    return (Math.max(clockNs, engine.fromDeviceFreeNs) + stats.cpuFaultNs) / 1e6;
  }
}

function measure({ seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rows = DENSITIES.map((density): Cell[] => {
    const remote = new FileOnDevice([], seed).run(density);
    const there = new FileOnDevice(CLEAN, seed).run(density);
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
      ...COMPARED,
      { name: 'look-ups', unit: '' },
      { name: 'wrong', unit: 'pages' },
    ],
    rows,
    drawing: linkAndMigrated('accesses'),
  };
  return { figures: [figure, writtenFigure(seed, data)], published: [], data };
}

/** What both figures compare, by the density of accesses. */
const COMPARED = [
  { name: 'link', unit: 'ms' },
  { name: 'migrated', unit: 'ms' },
  { name: 'gain', unit: 'times' },
  { name: 'to device', unit: 'pages' },
] as const;

const linkAndMigrated = (x: string) =>
  ({
    kind: 'curves',
    x,
    series: [
      { column: 'link', shade: 'before' },
      { column: 'migrated', shade: 'after' },
    ],
    isLog: true,
  }) as const;

function writtenFigure(seed: number, data: Record<string, Record<string, number>>): Figure {
  const rows = DENSITIES.map((density): Cell[] => {
    const remote = new FileOnDevice([], seed).write(density);
    const there = new FileOnDevice(DIRTY, seed).write(density);
    data[`${density}, written`] = { ...there };
    return [
      density,
      rounded(remote.ms, 3),
      rounded(there.ms, 3),
      rounded(remote.ms / there.ms, 2),
      there.migrated,
      there.home,
      there.fetched,
      remote.wrong + there.wrong,
    ];
  });
  return {
    id: 'written',
    title: `CPU and device write them, fsync after each of ${ROUNDS} rounds`,
    columns: [
      { name: 'writes', unit: 'a page' },
      ...COMPARED,
      { name: 'home', unit: 'pages' },
      { name: 'fetched for writeback', unit: 'pages' },
      { name: 'wrong', unit: 'pages' },
    ],
    rows,
    drawing: linkAndMigrated('writes'),
  };
}

/** The lowest density at which migration wins, or 0. */
function breakEven(figures: FigureReader, figure: 'density' | 'written'): number {
  return DENSITIES.find((density) => figures.number(figure, [density], 'gain') > 1) ?? 0;
}

function sum(figures: FigureReader, figure: string, column: string): number {
  return figures.column(figure, column).reduce((total, n) => total + n, 0);
}

function limitsPerformance(figures: FigureReader): Finding {
  const from = breakEven(figures, 'density');
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
  const wrong = sum(figures, 'density', 'wrong');
  return {
    support: wrong === 0 ? 'supported' : 'not supported',
    because: `${wrong} reads by CPU or device saw something else than the file’s data`,
  };
}

function cannotBeWritten(figures: FigureReader): Finding {
  const fetched = sum(figures, 'written', 'fetched for writeback');
  const wrong = sum(figures, 'written', 'wrong');
  const isWritten = fetched > 0 && wrong === 0;
  return {
    support: isWritten ? 'not supported' : 'supported',
    because: isWritten
      ? `the driver sends the data of ${fetched} pages, which stay there, write-protected`
      : `${fetched} pages are fetched, ${wrong} pages of the file are not what was written`,
  };
}

/** What the figure of writes adds to the verdict. */
function writtenPart(figures: FigureReader): string {
  const from = breakEven(figures, 'written');
  const pays = from === 0 ? 'never pay' : `pay from ${from} writes`;
  const wrong = sum(figures, 'written', 'wrong');
  const right = wrong === 0 ? 'gets all data' : `misses ${wrong} pages`;
  return ` Dirty ones ${pays} between two fsync; writeback ${right}.`;
}

export const filesOnDevice: Lab = {
  name: 'files-on-device',
  question: 'Should a device have the file pages it works on in its own memory?',
  thread: 'future-of-zone-device-2025',
  missions: ['D9', 'F4'],
  rules: ['DM-30', 'DM-85', 'DM-86'],
  experimental: ['device_page_cache', 'device_dirty_pages'],
  knobs: [],
  setup: () => [
    `A file of ${PAGES} pages, mapped by a process that uses an accelerator.`,
    'Clean: the device reads each page some times, 128 bytes an access; then a CPU reads the file.',
    'Dirty: a CPU writes each page once, the device some times; then fsync.',
    'link: as Linux has it. migrated: experimental (device_page_cache; dirty: and ' +
      'device_dirty_pages).',
    'Costs of faults, migration and link as measured on Xe (dri-devel msg582687).',
  ],
  measure,
  verdict: (figures) => {
    const from = breakEven(figures, 'density');
    const written = writtenPart(figures);
    if (from === 0) return `The link is as good as a copy at every density measured.${written}`;
    const fewest = figures.number('density', [DENSITIES[0]], 'gain');
    return (
      `Pages on the device pay from ${from} accesses between two look-ups; ` +
      `used once, they cost ${decimal(1 / fewest)} times the link.${written}`
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
    {
      who: 'Hildenbrand (2025)',
      says: 'writing back the content of a ZONE_DEVICE folio is likely not possible',
      judge: cannotBeWritten,
    },
  ],
  notModelled: [
    'A device that fails, or is late, while it has dirty pages; file systems that refuse.',
    'Batches: a look-up brings one page back.',
  ],
};
