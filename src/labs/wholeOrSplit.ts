/**
 * Large folios to a device and back: split into base pages first, as up to 6.18, or whole, as from
 * 6.19 on (MIGRATE_VMA_SELECT_COMPOUND). A fault of the device on the first page brings 2 MiB each
 * time; then the CPU reads all of it. DM-28, DM-60..DM-63.
 *
 * Device costs are calibrated on the two Xe rows (hw/deviceCost.ts), so our figures for a device
 * fault of 2 MiB meet them but for what the driver does not do. Free are the way back, and the
 * ratio for a device without a link, as lib/test_hmm.c is: its pages are system memory behind the
 * scenes, and a CPU copies them, at the speed that copies of CPUs have in the model.
 */
import { HPAGE_PMD_NR, MIB } from '../base/units.ts';
import {
  COST_DEFAULTS,
  DEVICE_COST_DEFAULTS,
  type DeviceCostSpec,
  KERNEL_VERSIONS,
  type KernelVersion,
  kernelProfile,
  PUBLISHED_DEVICE_FAULTS,
} from '../hw/index.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement, PublishedFigure } from './lab.ts';
import { LabDevice } from './labDevice.ts';
import { PAGES_PER_MIB } from './labMachine.ts';

/** The newest kernels that split, and that do not. */
const [SPLIT_KERNEL, WHOLE_KERNEL] = [false, true].map((isWhole) => {
  return KERNEL_VERSIONS.find((one) => kernelProfile(one).largeDeviceFolios === isWhole)!;
});
const SPLIT = `split (${SPLIT_KERNEL})`;
const WHOLE = `whole (${WHOLE_KERNEL})`;
const KERNELS = [
  { name: SPLIT, kernel: SPLIT_KERNEL },
  { name: WHOLE, kernel: WHOLE_KERNEL },
] as const;
const SIZES_MIB = [2, 8, 32] as const;
const LARGEST = SIZES_MIB.at(-1)!;
const XE = 'Intel Xe SVM, dri-devel msg582687; costs of the model come from it';
const TEST_HMM = 'lib/test_hmm.c, 512 KB to 256 MB, v6.19; a device without a link, CPUs copy';
/** Copied by a CPU; what migrating takes besides is the kernel's and stays. */
const NO_LINK: DeviceCostSpec = {
  ...DEVICE_COST_DEFAULTS,
  copyPieceNs: 0,
  linkBandwidth: COST_DEFAULTS.copyBandwidth,
};

export const wholeOrSplit: Lab = {
  name: 'whole-or-split',
  question: 'What does it gain to migrate large folios to a device whole?',
  thread: 'future-of-zone-device-2025',
  missions: ['D2', 'D8', 'F4'],
  rules: ['DM-28', 'DM-60', 'DM-61', 'DM-62'],
  knobs: [],
  setup: () => [
    'A program writes 2, 8 or 32 MiB in huge pages; an accelerator with private memory reads it.',
    'Each first access to 2 MiB is a device fault that brings them; then the CPU reads every page.',
    `Linux ${SPLIT_KERNEL} splits huge pages to migrate them; ${WHOLE_KERNEL} takes them whole.`,
    `Link ${decimal(DEVICE_COST_DEFAULTS.linkBandwidth)} GB/s a direction.`,
    'Without a link, as the kernel’s own test device: a call brings the pages, CPUs copy them at ' +
      `${decimal(NO_LINK.linkBandwidth)} GB/s.`,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Balbir Singh (large device-private folios, v6.19)',
      says: 'whole folios migrate with several times the throughput and a fraction of the latency',
      judge: judgeThroughput,
    },
    {
      who: 'Intel Xe, SVM',
      says: 'once folios are whole, nearly all that is left of a fault is the copy',
      judge: judgeCopy,
    },
  ],
  notModelled: [
    'sizes between 4 KiB and 2 MiB on the device',
    'several faults at a time; copies by several engines',
  ],
};

function measure({ seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const rows = KERNELS.flatMap(({ name, kernel }) =>
    SIZES_MIB.map((mib): Cell[] => {
      const run = thereAndBack(kernel, mib, seed);
      data[`${name}, ${mib} MiB`] = run.counters;
      const parts = mib / 2;
      return [
        name,
        mib,
        run.pieces / parts,
        rounded(run.thereNs / 1000 / parts),
        rounded((mib * MIB) / run.thereNs, 2),
        run.cpuFaults / parts,
        rounded(run.backNs / 1000 / parts),
        rounded((mib * MIB) / run.backNs, 2),
        run.wrong,
      ];
    }),
  );
  const without = KERNELS.map(({ name, kernel }): Cell[] => {
    const ns = broughtWithoutLink(kernel, seed);
    return [name, rounded((2 * ns) / 1000 / LARGEST), rounded((LARGEST * MIB) / ns, 2)];
  });
  const figures = [figureOf(rows), shareFigure(rows), withoutFigure(without)];
  return { figures, published: publishedOf(rows, without), data };
}

interface Run {
  /** Contiguous pieces copied to the device. */
  readonly pieces: number;
  readonly thereNs: number;
  readonly backNs: number;
  readonly cpuFaults: number;
  /** Pages whose content is not what was written. */
  readonly wrong: number;
  readonly counters: Record<string, number>;
}

function thereAndBack(kernel: KernelVersion, mib: number, seed: number): Run {
  const lab = new LabDevice({ seed, systemMib: 2 * mib + 64, kernel });
  const pages = mib * PAGES_PER_MIB;
  const start = lab.program.mapHuge(pages);
  for (let n = 0; n < pages; n++) lab.store(start + n, n + 1);
  let wrong = 0;
  for (let n = 0; n < pages; n += HPAGE_PMD_NR) {
    if (lab.deviceLoad(start + n) !== n + 1) wrong++;
  }
  const thereNs = lab.spentNs;
  const { pieces } = lab.device.engine;
  for (let n = 0; n < pages; n++) if (lab.load(start + n) !== n + 1) wrong++;
  const backNs = lab.spentNs - thereNs;
  const { cpuFaults } = lab.device.stats;
  return { pieces, thereNs, backNs, cpuFaults, wrong, counters: lab.machine.counters() };
}

/** The largest size, brought by a call of the program, not by faults: as the kernel's test does. */
function broughtWithoutLink(kernel: KernelVersion, seed: number): number {
  const lab = new LabDevice({ seed, systemMib: 2 * LARGEST + 64, kernel, cost: NO_LINK });
  const pages = LARGEST * PAGES_PER_MIB;
  const start = lab.program.mapHuge(pages);
  for (let n = 0; n < pages; n++) lab.store(start + n, n + 1);
  lab.prefetch(start, pages);
  return lab.spentNs;
}

function withoutFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'no link',
    title: `Without faults and link: a call brings ${LARGEST} MiB, CPUs copy; for each 2 MiB`,
    columns: [
      { name: 'huge pages', unit: '' },
      { name: 'there', unit: 'µs' },
      { name: 'there at', unit: 'GB/s' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'migration',
    title: 'To the device by its faults, and back by faults of the CPU; for each 2 MiB',
    columns: [
      { name: 'huge pages', unit: '' },
      { name: 'size', unit: 'MiB' },
      { name: 'pieces', unit: '' },
      { name: 'there', unit: 'µs' },
      { name: 'there at', unit: 'GB/s' },
      { name: 'CPU faults', unit: '' },
      { name: 'back', unit: 'µs' },
      { name: 'back at', unit: 'GB/s' },
      { name: 'wrong', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** Time of the copy alone, as a share of the way to the device. */
function shareFigure(rows: readonly (readonly Cell[])[]): Figure {
  const { copyPieceNs, linkBandwidth } = DEVICE_COST_DEFAULTS;
  const shares = rows
    .filter((row) => row[1] === LARGEST)
    .map((row): Cell[] => {
      const copyUs = ((row[2] as number) * copyPieceNs + (2 * MIB) / linkBandwidth) / 1000;
      return [row[0], rounded(copyUs), rounded((100 * copyUs) / (row[3] as number))];
    });
  return {
    id: 'copy',
    title: 'The copy in it',
    columns: [
      { name: 'huge pages', unit: '' },
      { name: 'copy', unit: 'µs' },
      { name: 'of the way there', unit: '%' },
    ],
    rows: shares,
    drawing: { kind: 'none' },
  };
}

function publishedOf(
  rows: readonly (readonly Cell[])[],
  [split, whole]: readonly (readonly Cell[])[],
): PublishedFigure[] {
  const of = (name: string, column: number) => {
    return rows.find((row) => row[0] === name && row[1] === LARGEST)![column] as number;
  };
  const [many, one] = PUBLISHED_DEVICE_FAULTS;
  const percent = (column: number) => {
    return 100 * ((whole[column] as number) / (split[column] as number) - 1);
  };
  return [
    figure('device fault of 2 MiB, split', 'µs', many.pagefaultNs / 1000, of(SPLIT, 3), XE),
    figure('device fault of 2 MiB, whole', 'µs', one.pagefaultNs / 1000, of(WHOLE, 3), XE),
    figure('throughput, whole over split', '%', 350, rounded(percent(2)), TEST_HMM),
    figure('latency, whole over split', '%', -80, rounded(percent(1)), TEST_HMM),
  ];
}

function figure(
  what: string,
  unit: string,
  published: number,
  ours: number,
  source: string,
): PublishedFigure {
  return { what, unit, published, ours, source };
}

function times(f: FigureReader, slow: string, fast: string, column: string): number {
  const at = (name: string) => f.number('migration', [name, LARGEST], column);
  return at(fast) / at(slow);
}

function verdict(f: FigureReader): string {
  const there = times(f, SPLIT, WHOLE, 'there at');
  const back = times(f, SPLIT, WHOLE, 'back at');
  const faults = f.number('migration', [SPLIT, LARGEST], 'CPU faults');
  const wrong = f.column('migration', 'wrong').reduce((sum, n) => sum + n, 0);
  const lost = wrong === 0 ? 'no content is lost' : `${wrong} pages have wrong contents`;
  if (there <= 1) return `Nothing: whole folios are ${decimal(there, 2)} times as fast; ${lost}.`;
  return (
    `${decimal(there)} times the throughput to the device and ${decimal(back)} times back, where ` +
    `one fault of the CPU does what took ${decimal(faults)}; ${lost}.`
  );
}

function judgeThroughput(f: FigureReader): Finding {
  const there = times(f, SPLIT, WHOLE, 'there at');
  const latency = 1 - times(f, SPLIT, WHOLE, 'there');
  const at = (name: string) => f.number('no link', [name], 'there at');
  const without = at(WHOLE) / at(SPLIT);
  const because =
    `${decimal(there)} times the throughput, ${decimal(100 * latency)} % less time; ` +
    `${decimal(without)} times without faults and link`;
  if (there >= 2 && without >= 2) return { support: 'supported', because };
  return { support: there > 1 ? 'partly' : 'not supported', because };
}

function judgeCopy(f: FigureReader): Finding {
  const [split, whole] = [SPLIT, WHOLE].map((name) => f.number('copy', [name], 'of the way there'));
  const because = `the copy is ${decimal(whole)} % of it, ${decimal(split)} % when split`;
  if (whole >= 75) return { support: 'supported', because };
  return { support: whole > split ? 'partly' : 'not supported', because };
}
