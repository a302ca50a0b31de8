/**
 * What DMA loses when pinning breaks large folios: a buffer of huge pages is pinned for long while
 * ZONE_NORMAL is free, but in pieces. Before the change the huge pages stay in ZONE_MOVABLE whole;
 * after it each needs a free huge page in ZONE_NORMAL, or is split and moved page by page.
 * PM-21, PM-56, PM-100, MC-49.
 *
 * A scatter list has an entry for each run of frames; an IOMMU maps 2 MiB at once where address and
 * frames are aligned, else 4 KiB.
 */
import type { FrameId } from '../base/units.ts';
import { madviseRange } from '../mm/index.ts';
import { type KnobValues, numberOf } from '../policy/index.ts';
import { MADV_HUGEPAGE } from '../uapi/mman.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, PAGES_PER_MIB, twoZones } from './labMachine.ts';
import { BEFORE_AND_AFTER, outcomeText } from './words.ts';

const HUGE = 512;
const BEFORE = 'before';
const AFTER = 'after';
const VARIANTS = [BEFORE, AFTER] as const;
/** Percent of ZONE_NORMAL's pageblocks with a page of the kernel in them. */
const SCATTERED = [0, 25, 50, 75, 90, 100] as const;
const PIN_BATCH = 512;

export const pinsAndDma: Lab = {
  name: 'pins-and-dma',
  question: 'Do buffers of huge pages stay whole for DMA when pinning moves them?',
  thread: 'no-pins-in-zone-movable-2020',
  missions: ['E4', 'E6', 'F4'],
  rules: ['PM-21', 'PM-56', 'PM-90', 'PM-100', 'MC-49'],
  knobs: [
    size('normal', 256, 'size of ZONE_NORMAL, free but for what is scattered in it'),
    size('movable', 256, 'size of ZONE_MOVABLE'),
    size('buffer', 64, 'size of the buffer, all huge pages'),
  ],
  setup: (knobs) => [
    `One node: ZONE_NORMAL ${knobs.normal} MiB, ZONE_MOVABLE ${knobs.movable} MiB, no swap.`,
    `A program has a buffer of ${knobs.buffer} MiB in huge pages, in ZONE_MOVABLE.`,
    'The kernel has a page in 0 to 100 % of the pageblocks of ZONE_NORMAL; the rest is free.',
    `The buffer is pinned (FOLL_LONGTERM, ${PIN_BATCH} pages a call) for a device.`,
    BEFORE_AND_AFTER,
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Jason Gunthorpe',
      says: 'breaking huge pages when pinning is nasty, because DMA gains much from them',
      judge: judgeBroken,
    },
    {
      who: 'Pavel Tatashin',
      says: 'pages migrate in ZONE_NORMAL, too, so huge pages are found there in the usual case',
      judge: judgeUsual,
    },
  ],
  notModelled: [
    'the time of the device: entries and mappings are counted, not timed',
    'IOMMU page sizes other than 4 KiB and 2 MiB; merging of pages behind an IOMMU',
  ],
};

function size(name: string, mib: number, doc: string) {
  return { kind: 'integer', name, default: mib, min: 4, max: 8192, unit: 'MiB', doc } as const;
}

interface DmaRun {
  readonly pinned: number;
  readonly ending: string;
  readonly hugeMappings: number;
  readonly entries: number;
  readonly mappings: number;
  readonly split: number;
  readonly counters: Record<string, number>;
}

function measure({ knobs, seed }: LabRun): Measurement {
  const counters: Record<string, Record<string, number>> = {};
  const rows: Cell[][] = [];
  const details: Cell[][] = [];
  const mib = numberOf(knobs, 'buffer');
  for (const percent of SCATTERED) {
    const runs = VARIANTS.map((variant) => pinBuffer(variant, percent, knobs, seed));
    rows.push([percent, ...runs.map(({ mappings }) => rounded(mappings / mib, 2))]);
    for (const [i, variant] of VARIANTS.entries()) {
      const run = runs[i];
      counters[`${variant} ${percent} %`] = run.counters;
      details.push([
        variant,
        percent,
        rounded(run.pinned / PAGES_PER_MIB),
        run.ending,
        rounded((100 * run.hugeMappings * HUGE) / Math.max(1, run.pinned)),
        run.split,
        rounded(run.entries / mib, 2),
        rounded(run.mappings / mib, 2),
      ]);
    }
  }
  return { figures: [mappingsFigure(rows), detailsFigure(details)], published: [], data: counters };
}

function pinBuffer(variant: string, percent: number, knobs: KnobValues, seed: number): DmaRun {
  const machine = new LabMachine({
    nodes: [twoZones(numberOf(knobs, 'normal'), numberOf(knobs, 'movable'))],
    seed,
    sysctl: { thp_enabled: 'madvise', thp_defrag: 'always' },
    pinsStayInMovable: variant === BEFORE,
  });
  machine.scatterKernelPages(percent);
  const program = machine.program();
  const nr = numberOf(knobs, 'buffer') * PAGES_PER_MIB;
  const mapped = program.map(nr + HUGE);
  const at = Math.ceil(mapped / HUGE) * HUGE;
  madviseRange(machine.k, program.task, at, at + nr, MADV_HUGEPAGE);
  program.touch(at, nr);
  const { pages, errno } = program.pinLongterm(at, nr, PIN_BATCH);
  const hugeMappings = hugeRuns(pages);
  const counters = machine.counters();
  return {
    pinned: pages.length,
    ending: outcomeText(errno),
    hugeMappings,
    entries: runsOf(pages),
    mappings: hugeMappings + pages.length - hugeMappings * HUGE,
    split: counters.thp_migration_split ?? 0,
    counters,
  };
}

/** Runs of consecutive frames: entries of a scatter list. */
function runsOf(pages: readonly FrameId[]): number {
  return pages.filter((page, i) => i === 0 || pages[i - 1] + 1 !== page).length;
}

/** Aligned pieces of 2 MiB of the buffer that are one aligned piece of memory. */
function hugeRuns(pages: readonly FrameId[]): number {
  let nr = 0;
  for (let i = 0; i + HUGE <= pages.length; i += HUGE) {
    if (pages[i] % HUGE !== 0) continue;
    let n = 1;
    while (n < HUGE && pages[i + n] === pages[i] + n) n++;
    if (n === HUGE) nr++;
  }
  return nr;
}

function mappingsFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'mappings',
    title: 'IOMMU mappings for each MiB of the buffer',
    columns: [
      { name: 'pageblocks with a kernel page', unit: '%' },
      ...VARIANTS.map((name) => ({ name, unit: 'per MiB' })),
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'pageblocks with a kernel page',
      series: [
        { column: BEFORE, shade: 'before' },
        { column: AFTER, shade: 'after' },
      ],
    },
  };
}

function detailsFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'buffer',
    title: 'The buffer when it is pinned',
    columns: [
      { name: 'pins', unit: '' },
      { name: 'scattered', unit: '%' },
      { name: 'pinned', unit: 'MiB' },
      { name: 'ended with', unit: '' },
      { name: 'huge', unit: '%' },
      { name: 'huge pages split', unit: '' },
      { name: 'scatter entries', unit: 'per MiB' },
      { name: 'IOMMU mappings', unit: 'per MiB' },
    ],
    rows,
    drawing: {
      kind: 'bars',
      labels: ['pins', 'scattered'],
      parts: [{ column: 'huge', shade: 'pinned' }],
    },
  };
}

function verdict(f: FigureReader): string {
  const [none] = f.column('mappings', AFTER);
  const most = f.column('mappings', AFTER).at(-1)!;
  const before = f.column('mappings', BEFORE).at(-1)!;
  const last = f.column('mappings', 'pageblocks with a kernel page').at(-1)!;
  if (most <= before) {
    const was = `${decimal(before, 2)} before it`;
    return `Yes: ${decimal(most, 2)} IOMMU mappings per MiB after the change, ${was}.`;
  }
  const whole = none <= before ? 'Only while ZONE_NORMAL has free huge pages' : 'No';
  const split = f.number('buffer', [AFTER, last], 'huge pages split');
  return (
    `${whole}: with a kernel page in ${last} % of its pageblocks ${split} huge pages are ` +
    `split, and ` +
    `a MiB needs ${decimal(most, 2)} IOMMU mappings instead of ${decimal(before, 2)}.`
  );
}

function judgeBroken(f: FigureReader): Finding {
  const split = f.figure('buffer').rows.filter(([pins]) => pins === AFTER);
  const total = split.reduce((sum, row) => sum + (row[5] as number), 0);
  const most = f.column('mappings', AFTER).at(-1)! / f.column('mappings', BEFORE).at(-1)!;
  const times = `up to ${decimal(most)} times the mappings`;
  const because = `${total} huge pages split in all runs, ${times}`;
  return { support: total > 0 && most > 1 ? 'supported' : 'not supported', because };
}

function judgeUsual(f: FigureReader): Finding {
  const rows = f.figure('mappings').rows;
  const whole = rows.filter((row) => (row[2] as number) <= (row[1] as number));
  const until = whole.length === 0 ? 'never' : `up to ${whole.at(-1)![0]} % of the pageblocks`;
  const because = `the buffer stays whole ${until} with a kernel page in them`;
  if (whole.length === rows.length) return { support: 'supported', because };
  return { support: whole.length > 0 ? 'partly' : 'not supported', because };
}
