/**
 * The objection of the reply: a heat map names frames, and by the time of the call a frame may hold
 * something else. How often the wrong thing moves, by time between sample and call, and with
 * generations in the samples. PP-45, PP-60..PP-71, PP-90..PP-92.
 *
 * Two programs share a slow node; some pages of the first are hot and sampled. Until the call,
 * random pages of both are given back and touched again, so that frames change owners.
 */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import { type Kernel, pageAt, storeWord, type Task } from '../mm/index.ts';
import { integerKnob, type KnobValues, numberOf } from '../policy/index.ts';
import {
  madvise,
  movePhysPages,
  movePhysPages2,
  ORDER_UNKNOWN,
  RFC_V3,
  setMempolicy,
  UserAddresses,
  UserInts,
} from '../syscalls/index.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { MADV_DONTNEED } from '../uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { decimal, type FigureReader, rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB } from './labMachine.ts';

const FAST = 0;
const SLOW = 1;
const MOVE = 2;
const PERIODS_MS = [1, 10, 100, 1000, 10_000];

/** Of the churn that is asked about, for the second figure. */
const CHURN_SHARES = [0, 0.01, 0.1, 1, 10];
const CHURN_PERIODS_MS = [10, 100, 1000, 10_000];

/** Percent of what moves that may be something else before heat is called stale. */
const WRONG_MAX = 1;

interface Sizes {
  /** Pages of each program. */
  readonly pages: number;
  readonly hot: number;
  /** Pages a second that are given back and touched again. */
  readonly churn: number;
}

export const staleHeat: Lab = {
  name: 'stale-heat',
  question: 'How often does migration by physical address move something else than was sampled?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A2', 'A4', 'A5', 'F4'],
  rules: ['PP-45', 'PP-60', 'PP-67', 'PP-91'],
  knobs: [
    integerKnob('pages', 4096, 64, 262_144, 'pages', 'of each of the two programs'),
    integerKnob('hot', 1024, 1, 262_144, 'pages', 'of the first program that are hot and sampled'),
    integerKnob('churn', 2000, 0, 10_000_000, 'pages/s', 'given back and touched again'),
  ],
  setup: (knobs) => {
    const { pages, hot, churn } = sizesOf(knobs);
    return [
      `Two nodes; two programs of ${pages} pages each, all on the slow one.`,
      `${hot} pages of the first are sampled: address, and generation of the frame.`,
      `Until the call ${churn} pages a second, of both, are freed and touched again.`,
      'Then the samples are moved to the fast node: as posted (RFC v3), and with generations.',
    ];
  },
  measure,
  verdict,
  positions: [
    {
      who: 'Andy Lutomirski',
      says: 'a physical address names a place, not the data: what one decides on is gone by then',
      judge: judgeStale,
    },
    {
      who: 'Gregory Price',
      says: 'policies can act on heat maps by physical address without looking for tasks',
      judge: judgeUsable,
    },
  ],
  notModelled: [
    'heat that was true and has gone cold: only the identity of the content is compared',
    'the cost of reading generations in user space',
  ],
};

function sizesOf(knobs: KnobValues): Sizes {
  const pages = numberOf(knobs, 'pages');
  return { pages, hot: Math.min(pages, numberOf(knobs, 'hot')), churn: numberOf(knobs, 'churn') };
}

function measure({ knobs, seed }: LabRun): Measurement {
  const sizes = sizesOf(knobs);
  const data: Record<string, Record<string, number>> = {};
  const rows = PERIODS_MS.map((periodMs): Cell[] => {
    const posted = trial(sizes, seed, periodMs, false);
    const guarded = trial(sizes, seed, periodMs, true);
    data[`${periodMs} ms, as posted`] = posted.counters;
    data[`${periodMs} ms, with generations`] = guarded.counters;
    const percent = (n: number, of: number) => (of === 0 ? 0 : rounded((100 * n) / of, 2));
    return [
      periodMs,
      percent(posted.changed, sizes.hot),
      posted.moved,
      percent(posted.wrong, posted.moved),
      guarded.moved,
      guarded.stale,
      percent(guarded.wrong, guarded.moved),
    ];
  });
  return { figures: [figureOf(rows), churnFigure(sizes, seed)], published: [], data };
}

/** The same by churn: what a sampling period is worth depends on how fast frames change hands. */
function churnFigure(sizes: Sizes, seed: number): Figure {
  const wrong = (churn: number, periodMs: number, isGuarded: boolean) => {
    const { wrong: bad, moved } = trial({ ...sizes, churn }, seed, periodMs, isGuarded);
    return moved === 0 ? 0 : rounded((100 * bad) / moved, 2);
  };
  const churns = new Set(CHURN_SHARES.map((share) => Math.round(share * sizes.churn)));
  const rows = [...churns].map((churn): Cell[] => {
    const posted = CHURN_PERIODS_MS.map((periodMs) => wrong(churn, periodMs, false));
    const guarded = CHURN_PERIODS_MS.map((periodMs) => wrong(churn, periodMs, true));
    const good = CHURN_PERIODS_MS.filter((_, i) => posted[i] < WRONG_MAX);
    return [churn, ...posted, Math.max(0, ...good), Math.max(...guarded)];
  });
  return {
    id: 'churn',
    title: 'Wrong as posted, by churn and the time from sample to call',
    columns: [
      { name: 'churn', unit: 'pages/s' },
      ...CHURN_PERIODS_MS.map((periodMs) => ({ name: `after ${periodMs} ms`, unit: '%' })),
      { name: 'good for', unit: 'ms' },
      { name: 'wrong with generations', unit: '%' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function figureOf(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'wrong',
    title: 'What moved, by the time from sample to call',
    columns: [
      { name: 'sample to call', unit: 'ms' },
      { name: 'frames changed', unit: '%' },
      { name: 'moved as posted', unit: 'pages' },
      { name: 'wrong as posted', unit: '%' },
      { name: 'moved with generations', unit: 'pages' },
      { name: '-ESTALE', unit: 'pages' },
      { name: 'wrong with generations', unit: '%' },
    ],
    rows,
    drawing: {
      kind: 'curves',
      x: 'sample to call',
      series: [
        { column: 'wrong as posted', shade: 'before' },
        { column: 'wrong with generations', shade: 'after' },
      ],
    },
  };
}

interface Trial {
  /** Sampled frames that hold something else at the time of the call. */
  readonly changed: number;
  readonly moved: number;
  readonly wrong: number;
  readonly stale: number;
  readonly counters: Record<string, number>;
}

/** One sampling period, one form of the call. */
function trial(sizes: Sizes, seed: number, periodMs: number, isGuarded: boolean): Trial {
  const mib = Math.ceil((4 * sizes.pages) / PAGES_PER_MIB) + 16;
  const machine = new LabMachine({
    nodes: [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: mib * PAGES_PER_MIB }] },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: mib * PAGES_PER_MIB }] },
    ],
    seed,
    sysctl: { thp_enabled: 'never' },
    trackContent: true,
  });
  const { k } = machine;
  const world = new Churning(machine, sizes);
  const samples = world.sample();
  world.churn(Math.round((sizes.churn * periodMs) / 1000));
  k.lru.drainAll();
  const content = k.frames.content!;
  const changed = samples.frame.map((frame, i) => content[frame] !== samples.word[i]);
  const addresses = Float64Array.from(samples.frame, (frame) => k.frames.pfnOf(frame) * PAGE_SIZE);
  const status = new Int32Array(addresses.length);
  if (isGuarded) callGuarded(k, world.daemon, addresses, samples.generation, status);
  else callPosted(k, world.daemon, addresses, status);
  let moved = 0;
  let wrong = 0;
  let stale = 0;
  for (let i = 0; i < status.length; i++) {
    if (status[i] === FAST) moved++;
    else if (status[i] < 0) stale++;
    if (status[i] === FAST && changed[i]) wrong++;
  }
  const nrChanged = changed.filter(Boolean).length;
  return { changed: nrChanged, moved, wrong, stale, counters: machine.counters() };
}

function callPosted(k: Kernel, caller: Task, addresses: Float64Array, status: Int32Array): void {
  const nodes = new UserInts(new Int32Array(addresses.length).fill(FAST));
  const pages = new UserAddresses(addresses);
  movePhysPages(k, caller, RFC_V3, addresses.length, pages, nodes, new UserInts(status), MOVE);
}

function callGuarded(
  k: Kernel,
  caller: Task,
  address: Float64Array,
  generation: Uint32Array,
  status: Int32Array,
): void {
  const count = address.length;
  const order = new Uint8Array(count).fill(ORDER_UNKNOWN);
  const flags = new Uint8Array(count);
  const node = new Int32Array(count).fill(FAST);
  movePhysPages2(k, caller, { count, address, generation, order, flags, node }, status, MOVE);
}

interface Samples {
  readonly frame: readonly number[];
  readonly generation: Uint32Array;
  /** What the frame held. */
  readonly word: readonly number[];
}

/** Two programs on the slow node whose pages come and go. */
class Churning {
  readonly daemon: Task;
  readonly #machine: LabMachine;
  readonly #programs: readonly { readonly program: LabProgram; readonly start: Vpn }[];
  readonly #sizes: Sizes;
  /** A new one for each page that is written. */
  #word = 1;

  constructor(machine: LabMachine, sizes: Sizes) {
    this.#machine = machine;
    this.#sizes = sizes;
    this.daemon = machine.program().task;
    this.#programs = [0, 1].map(() => {
      const program = machine.program();
      setMempolicy(machine.k, program.task, MPOL_BIND, { bits: [SLOW], maxnode: 65 });
      return { program, start: program.map(sizes.pages) };
    });
    for (let page = 0; page < sizes.pages; page++) {
      for (const owner of this.#programs) this.#write(owner.program, owner.start + page);
    }
  }

  sample(): Samples {
    const { k } = this.#machine;
    const [{ program, start }] = this.#programs;
    const frame: number[] = [];
    for (let page = 0; page < this.#sizes.hot; page++) {
      frame.push(pageAt(k, program.task.mm!, start + page));
    }
    const generation = Uint32Array.from(frame, (one) => k.frames.generation[one]);
    return { frame, generation, word: frame.map((one) => k.frames.content![one]) };
  }

  /** Gives `nr` random pages back, in turns of 64, and touches them again in another order. */
  churn(nr: number): void {
    const { random, k } = this.#machine;
    for (let left = nr; left > 0; left -= 64) {
      const gone = Array.from({ length: Math.min(64, left) }, () => {
        const { program, start } = this.#programs[random.below(2)];
        return { program, vpn: start + random.below(this.#sizes.pages) };
      });
      for (const { program, vpn } of gone) {
        madvise(k, program.task, vpn * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED);
      }
      for (const { program, vpn } of gone) this.#write(program, vpn);
    }
  }

  #write(program: LabProgram, vpn: Vpn): void {
    storeWord(this.#machine.k, program.task, vpn, this.#word++);
  }
}

function verdict(figures: FigureReader): string {
  const periods = figures.column('wrong', 'sample to call');
  const posted = figures.column('wrong', 'wrong as posted');
  const guarded = worstGuarded(figures);
  const worst = Math.max(...posted);
  if (worst === 0) return 'Nothing wrong moved: no sampled frame changed before the call.';
  const first = posted.findIndex((share) => share >= WRONG_MAX);
  const from = first < 0 ? '' : `, from ${periods[first]} ms on more than ${WRONG_MAX} %`;
  const cure =
    guarded === 0
      ? 'with generations none, and what changed is answered with -ESTALE'
      : `with generations still ${decimal(guarded, 2)} %`;
  const share = `As posted up to ${decimal(worst)} % of what moves is something else${from}`;
  return `${share}; ${cure}. ${churnSentence(figures)}`;
}

/** The least and the greatest churn at which anything changes hands, and how old samples may be. */
function churnSentence(figures: FigureReader): string {
  const churns = figures.column('churn', 'churn');
  const good = figures.column('churn', 'good for');
  const moving = churns.flatMap((churn, i) => (churn > 0 ? [{ churn, good: good[i] }] : []));
  if (moving.length === 0) return '';
  const words = [moving[0], moving.at(-1)!].map((row) => {
    const age = row.good === 0 ? 'no time' : `${row.good} ms`;
    return `${age} at ${row.churn} pages/s`;
  });
  return `Samples are good for ${words.join(', ')}.`;
}

function worstGuarded(figures: FigureReader): number {
  const columns = ['wrong', 'churn'].map((id) => figures.column(id, 'wrong with generations'));
  return Math.max(...columns.flat());
}

function judgeStale(figures: FigureReader): Finding {
  const worst = Math.max(...figures.column('wrong', 'wrong as posted'));
  const guarded = worstGuarded(figures);
  const cured = `${decimal(guarded, 2)} % with generations`;
  const last = Math.max(...figures.column('wrong', 'sample to call'));
  const because = `${decimal(worst)} % wrong as posted after up to ${last} ms, ${cured}`;
  if (worst < WRONG_MAX) return { support: 'not supported', because };
  return { support: guarded < WRONG_MAX ? 'partly' : 'supported', because };
}

function judgeUsable(figures: FigureReader): Finding {
  const periods = figures.column('wrong', 'sample to call');
  const posted = figures.column('wrong', 'wrong as posted');
  const good = periods.filter((_, i) => posted[i] < WRONG_MAX);
  const share = `${WRONG_MAX} % wrong`;
  if (good.length === periods.length) {
    return { support: 'supported', because: `less than ${share} at every period` };
  }
  if (good.length === 0)
    return { support: 'not supported', because: `over ${share} at any period` };
  const age = `only while samples are at most ${Math.max(...good)} ms old`;
  return { support: 'partly', because: `less than ${share} ${age}` };
}
