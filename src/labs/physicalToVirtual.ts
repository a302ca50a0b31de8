/**
 * From a frame back to who maps it: the kernel's rmap walk for each hot frame (rmap_walk), against
 * a daemon that reads the pagemap of every process and keeps what points at a hot frame. By memory,
 * by tasks and how they share, and by how much is hot. PP-13, PP-14, HS-20..HS-23.
 *
 * Both are done on the model and must find the same mappings; ranges looked at and words read are
 * counted. Times are these counts by a price each: a step of rmap is half of what a migration pays
 * to take an entry out and put it back (CostSpec.rmapEntryNs); a word of pagemap took 42 ns on
 * Linux 6.18 (read of 512 MiB of small pages, AMD EPYC, virtual machine, least of 12).
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { COST_DEFAULTS } from '../hw/index.ts';
import { forkTask, pageAt, rmapCollect, type Task } from '../mm/index.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from '../policy/index.ts';
import { openPagemap, WORD_BYTES, wordHasBit } from '../proc/index.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, PAGES_PER_MIB, twoZones } from './labMachine.ts';

const SEPARATE = 'separate';
const SHARED = 'shared mapping';
const FORKED = 'forked, read only';
const WRITTEN = 'forked, parent’s';
const SHARINGS = [SEPARATE, SHARED, FORKED, WRITTEN] as const;
type Sharing = (typeof SHARINGS)[number];
const TASKS = [1, 4, 16, 64] as const;
const SIZES_MIB = [16, 64, 256, 1024] as const;
const HOT_PERCENT = [0.1, 1, 5, 10, 20, 50, 100] as const;
/** Bit of a pagemap word: the page is present. */
const PRESENT = 63;
const RATIO = 'pagemap : rmap';
/** Words a read. */
const CHUNK = 4096;

export const physicalToVirtual: Lab = {
  name: 'physical-to-virtual',
  question: 'What does it cost to find out who maps the frames that a heat map names?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A6', 'F4'],
  rules: ['PP-13', 'PP-14', 'PP-20', 'HS-20', 'HS-21', 'HS-23'],
  knobs: [
    integerKnob('memory', 4, 1, 64, 'MiB', 'that each task maps, when tasks and sharing vary'),
    integerKnob(
      'hot',
      256,
      1,
      4096,
      'frames',
      'that the heat map names, at random, when memory, tasks and sharing vary',
    ),
    numberKnob('word', 42, 0.1, 10_000, 'ns', 'to read one word of /proc/PID/pagemap'),
  ],
  setup: (knobs) => [
    `A heat map names ${knobs.hot} random frames of programs. Who maps them?`,
    'rmap: the kernel looks, for each frame, at every area that may map it.',
    'pagemap: a daemon with CAP_SYS_ADMIN reads the pagemaps of all areas of all tasks.',
    `A step of rmap: ${STEP_NS} ns. A word of pagemap: ${knobs.word} ns.`,
    'forked, parent’s: every task has written; the hot frames are the parent’s, which all of ' +
      'their areas may map, and one does.',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Gregory Price',
      says: 'translating back outside the kernel inspects every task and costs more than it gains',
      judge: judgeOutside,
    },
  ],
  notModelled: [
    'locks: anon_vma and i_mmap against faults, mmap_lock of every process against pagemap',
    'the daemon’s own look-up of the words that it read; PAGEMAP_SCAN, which skips entries',
    'changes during the scan: what is found may be gone (lab stale-heat)',
  ],
};

/** One of the two steps, out and in, that a migration pays for. */
const STEP_NS = COST_DEFAULTS.rmapEntryNs / 2;

function measure({ knobs, seed }: LabRun): Measurement {
  const data: Record<string, Record<string, number>> = {};
  const hot = numberOf(knobs, 'hot');
  const mib = numberOf(knobs, 'memory');
  const lookUp = (name: string, population: Population, nrHot: number) => {
    const found = population.lookUp(nrHot);
    data[name] = { ...found };
    return found;
  };
  const bySize = SIZES_MIB.map((size) => {
    const population = new Population(SEPARATE, 1, size, seed);
    return [size, ...workCells(lookUp(`memory ${size} MiB`, population, hot), knobs)];
  });
  const bySharing = SHARINGS.flatMap((sharing) =>
    TASKS.filter((tasks) => tasks > 1 || sharing === SEPARATE).map((tasks): Cell[] => {
      const population = new Population(sharing, tasks, mib, seed);
      const found = lookUp(`${sharing}, ${tasks} tasks`, population, hot);
      return [sharing, tasks, rounded(found.ranges / hot), ...workCells(found, knobs)];
    }),
  );
  const many = TASKS.at(-1)!;
  const shared = new Population(SHARED, many, 1, seed);
  const byHot = HOT_PERCENT.map((percent): Cell[] => {
    const nrHot = Math.max(1, Math.round((shared.frames.length * percent) / 100));
    return [percent, ...workCells(lookUp(`${percent} % hot`, shared, nrHot), knobs)];
  });
  const figures = [sizeFigure(bySize), sharingFigure(bySharing), hotFigure(byHot)];
  return { figures, published: [], data };
}

interface LookUp {
  /** Areas that the kernel looked at, for all hot frames together. */
  readonly ranges: number;
  /** Words of pagemap that the daemon read. */
  readonly words: number;
  /** Mappings of hot frames as the kernel, and as the daemon found them. */
  readonly inside: number;
  readonly outside: number;
}

/** Tasks that map memory, in one way of sharing it. */
class Population {
  /** Frames that may be hot. */
  readonly frames: readonly FrameId[];
  readonly #machine: LabMachine;
  readonly #tasks: readonly Task[];

  constructor(sharing: Sharing, nrTasks: number, mib: number, seed: number) {
    const copies = sharing === SEPARATE || sharing === WRITTEN ? nrTasks : 1;
    const zoneMib = Math.ceil(1.1 * mib * copies) + 64;
    const sysctl = { thp_enabled: 'never' } as const;
    const machine = new LabMachine({ nodes: [twoZones(zoneMib, 0)], seed, sysctl });
    const pages = mib * PAGES_PER_MIB;
    const first = machine.program();
    const memory = sharing === SHARED ? first.mapShared(pages) : first.map(pages);
    first.touch(memory, pages);
    const tasks = [first.task];
    while (tasks.length < nrTasks) {
      const isAlone = sharing === SEPARATE;
      const next = isAlone ? machine.program() : machine.adopt(forked(machine, first.task));
      const start = isAlone ? next.map(pages) : memory;
      if (sharing === FORKED || sharing === SHARED) next.read(start, pages);
      else next.touch(start, pages);
      tasks.push(next.task);
    }
    this.#machine = machine;
    this.#tasks = tasks;
    const owners = sharing === WRITTEN ? [first.task] : tasks;
    this.frames = [...new Set(owners.flatMap((task) => framesOf(machine, task)))];
  }

  /** Finds who maps `nrHot` random frames, both ways. */
  lookUp(nrHot: number): LookUp {
    const hot = new Set<FrameId>();
    const { random } = this.#machine;
    if (nrHot >= this.frames.length) for (const frame of this.frames) hot.add(frame);
    while (hot.size < nrHot && hot.size < this.frames.length) {
      hot.add(this.frames[random.below(this.frames.length)]);
    }
    return { ...this.#inside(hot), ...this.#outside(hot) };
  }

  #inside(hot: ReadonlySet<FrameId>): { ranges: number; inside: number } {
    const { k } = this.#machine;
    let ranges = 0;
    let inside = 0;
    for (const frame of hot) {
      const n = rmapCollect(k, frame);
      ranges += n;
      for (let r = 0; r < n; r++) {
        if (pageAt(k, k.rmap.vma[r].mm, k.rmap.vpn[r]) === frame) inside++;
      }
    }
    return { ranges, inside };
  }

  #outside(hot: ReadonlySet<FrameId>): { words: number; outside: number } {
    const { k } = this.#machine;
    const daemon = this.#machine.program().task;
    const pfns = new Set([...hot].map((frame) => k.frames.pfnOf(frame)));
    let words = 0;
    let outside = 0;
    for (const task of this.#tasks) {
      for (const { start, end } of task.mm!.vmas) {
        words += end - start;
        outside += countPfns(this.#machine, daemon, task, start, end, pfns);
      }
    }
    return { words, outside };
  }
}

function forked(machine: LabMachine, parent: Task): Task {
  const child = forkTask(machine.k, parent);
  if (typeof child === 'number') throw new Error('fork ran out of memory');
  return child;
}

function framesOf({ k }: LabMachine, task: Task): FrameId[] {
  const frames: FrameId[] = [];
  for (const { start, end } of task.mm!.vmas) {
    for (let vpn = start; vpn < end; vpn++) {
      const frame = pageAt(k, task.mm!, vpn);
      if (frame >= 0) frames.push(frame);
    }
  }
  return frames;
}

/** Pages of [start, end) whose pagemap word names one of `pfns`. */
function countPfns(
  machine: LabMachine,
  daemon: Task,
  task: Task,
  start: Vpn,
  end: Vpn,
  pfns: ReadonlySet<number>,
): number {
  const file = openPagemap(machine.k, daemon, task);
  let nr = 0;
  for (let at = start; at < end; at += CHUNK) {
    const length = Math.min(CHUNK, end - at) * WORD_BYTES;
    const words = typeof file === 'number' ? file : file.read(at * WORD_BYTES, length);
    if (typeof words === 'number') throw new Error('a daemon with all rights reads every pagemap');
    for (let i = 0; i < words.length / 2; i++) {
      if (!wordHasBit(words, i, PRESENT)) continue;
      if (pfns.has(words[2 * i] + (words[2 * i + 1] & 0x7fffff) * 2 ** 32)) nr++;
    }
  }
  return nr;
}

function insideUs({ ranges }: LookUp): number {
  return (ranges * STEP_NS) / 1000;
}

function outsideUs({ words }: LookUp, knobs: KnobValues): number {
  return (words * numberOf(knobs, 'word')) / 1000;
}

function ratioOf(found: LookUp, knobs: KnobValues): number {
  return rounded(outsideUs(found, knobs) / insideUs(found), 2);
}

function workCells(found: LookUp, knobs: KnobValues): Cell[] {
  return [
    found.inside,
    found.outside,
    rounded(insideUs(found)),
    rounded(outsideUs(found, knobs)),
    rounded((found.words * WORD_BYTES) / 2 ** 20, 2),
    ratioOf(found, knobs),
  ];
}

const WORK_COLUMNS = [
  { name: 'found by rmap', unit: 'mappings' },
  { name: 'by pagemap', unit: 'mappings' },
  { name: 'rmap', unit: 'µs' },
  { name: 'pagemap', unit: 'µs' },
  { name: 'read', unit: 'MiB' },
  { name: RATIO, unit: '' },
] as const;

function sizeFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'size',
    title: 'One task, by memory',
    columns: [{ name: 'memory', unit: 'MiB' }, ...WORK_COLUMNS],
    rows,
    drawing: { kind: 'none' },
  };
}

function sharingFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'sharing',
    title: 'By tasks, and how they share',
    columns: [
      { name: 'memory is', unit: '' },
      { name: 'tasks', unit: '' },
      { name: 'areas a frame', unit: '' },
      ...WORK_COLUMNS,
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function hotFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'hot',
    title: `${TASKS.at(-1)} tasks that share a mapping of 1 MiB, by how much is hot`,
    columns: [{ name: 'hot', unit: '%' }, ...WORK_COLUMNS],
    rows,
    drawing: {
      kind: 'curves',
      x: 'hot',
      series: [
        { column: 'rmap', shade: 'after' },
        { column: 'pagemap', shade: 'before' },
      ],
    },
  };
}

/** Greatest hot share tried at which rmap is still cheaper. */
function untilText(f: FigureReader): string {
  const shares = f.column('hot', 'hot');
  const dearer = f.column('hot', RATIO).findIndex((ratio) => ratio <= 1);
  if (dearer < 0) return 'cheaper however much is hot';
  return dearer === 0
    ? 'never cheaper'
    : `cheaper while at most ${shares[dearer - 1]} % of the frames are hot`;
}

function verdict(f: FigureReader): string {
  const sizes = f.column('size', 'memory');
  const ratios = f.column('size', RATIO);
  const most = TASKS.at(-1)!;
  const areas = f.number('sharing', [WRITTEN, most], 'areas a frame');
  const mappings = f.number('sharing', [WRITTEN, most], 'found by rmap');
  const hot = f.number('sharing', [SEPARATE, 1], 'found by rmap');
  return (
    `Scanning pagemaps costs ${decimal(ratios[0])} times the rmap walk at ${sizes[0]} MiB, ` +
    `${decimal(ratios.at(-1)!)} times at ${sizes.at(-1)} MiB; rmap is ${untilText(f)}. ` +
    `After ${most - 1} forks rmap looks at ${areas} areas for ${decimal(mappings / hot)} mapping.`
  );
}

function judgeOutside(f: FigureReader): Finding {
  const ratios = ['size', 'sharing', 'hot'].flatMap((id) => f.column(id, RATIO));
  const dearer = ratios.filter((ratio) => ratio > 1).length;
  const range = `${decimal(Math.min(...ratios), 2)} to ${decimal(Math.max(...ratios))}`;
  const because = `${range} times the rmap walk; dearer in ${dearer} of ${ratios.length} cases`;
  if (dearer === ratios.length) return { support: 'supported', because };
  return { support: dearer > 0 ? 'partly' : 'not supported', because };
}
