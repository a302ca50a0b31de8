/**
 * Page cache that nobody maps: read(2) leaves it hot on a slow node without a page table entry that
 * points there. Who sees that it is hot, and who can bring it back; and how it got there.
 * PP-13, PP-78, HS-3, HS-6, HS-73, TI-20, TI-23.
 *
 * Every mechanism gets a machine of its own with a clean file on the slow node, read again and
 * again; once with a process that maps it and reads it through the mapping.
 */
import { type FrameId, type Nid, PAGE_SIZE, type Vpn } from '../base/units.ts';
import { AccessCost } from '../hw/index.ts';
import {
  cacheAccessed,
  cacheRead,
  isPageIdle,
  type MappedFile,
  memoryReclaim,
  mmapRegion,
  NO_INTERVALS_GOAL,
  newDamonContext,
  newDamonRegion,
  newDamosScheme,
  runDamon,
  setNumaBalancing,
  setPageIdle,
  startDamon,
  taskNumaWork,
  U64_MAX,
} from '../mm/index.ts';
import { integerKnob, numberOf } from '../policy/index.ts';
import {
  MPE_ALLOW_TAIL,
  MPF_UNMAPPED_CACHE,
  migratePagesCall,
  movePages,
  movePhysPages,
  movePhysPages2,
  ORDER_UNKNOWN,
  RFC_V3,
  setMempolicy,
  UserAddresses,
  UserInts,
} from '../syscalls/index.ts';
import { MPOL_BIND, MPOL_DEFAULT } from '../uapi/mempolicy.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import type { FigureReader } from './figureReader.ts';
import { rounded } from './figureReader.ts';
import type { Cell, Figure, Finding, Lab, LabRun, Measurement } from './lab.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB } from './labMachine.ts';
import { CXL_PERF, DRAM_PERF, expanderMachine } from './latencyOrBandwidth.ts';
import { outcomeText } from './words.ts';

const FAST = 0;
const SLOW = 1;
const MOVE = 2;
const MS = 1_000_000;
const NODE_MIB = 64;
/** Passes over the file while DAMON samples, one a millisecond. */
const DAMON_PASSES = 250;

interface Mechanism {
  readonly name: string;
  /** Tries to bring the cache to the fast node; and what it says. */
  readonly bring: (stage: CacheStage) => string;
}

const POSTED = 'move_phys_pages, RFC v3';
const DAMON = 'DAMON paddr, migrate_hot';
const CACHE_FLAG = '... with UNMAPPED_CACHE';

const MECHANISMS: readonly Mechanism[] = [
  { name: 'reading it again', bring: readAgain },
  { name: 'move_pages', bring: byVirtualAddress },
  { name: 'migrate_pages', bring: byProcess },
  { name: 'NUMA balancing, tiering', bring: byHintFaults },
  { name: DAMON, bring: byDamon },
  { name: POSTED, bring: byAddressAsPosted },
  { name: 'move_phys_pages2', bring: (stage) => byAddress(stage, MOVE) },
  {
    name: CACHE_FLAG,
    bring: (stage) => byAddress(stage, MOVE | MPF_UNMAPPED_CACHE),
  },
];
export const unmappedCache: Lab = {
  name: 'unmapped-cache',
  question: 'Who can bring back hot page cache that nobody maps?',
  thread: 'move-phys-pages-reply-lutomirski-2023',
  missions: ['A2', 'B1', 'B7', 'F4'],
  rules: ['PP-13', 'PP-78', 'HS-3', 'HS-6', 'TI-20', 'TI-23'],
  knobs: [integerKnob('pages', 256, 8, 4096, 'pages', 'of the file')],
  setup: (knobs) => [
    `A file of ${knobs.pages} pages is in the page cache of a slow node, clean, read by read(2).`,
    'Nobody maps it; or a process maps it and reads it through the mapping, too.',
    'Each mechanism tries to bring it to the fast node, on a machine of its own.',
    'Demotion: the cache begins on the fast node; half of it is reclaimed (memory.reclaim).',
  ],
  measure,
  verdict,
  positions: [
    {
      who: 'Gregory Price',
      says: 'physical addresses let tiering act without any task or mapping',
      judge: judgePhysical,
    },
    {
      who: 'Gregory Price (unmapped page cache promotion, RFC v4)',
      says: 'page cache that nobody maps is demoted but never promoted',
      judge: judgeOneWay,
    },
  ],
  notModelled: [
    'promotion at mark_page_accessed (RFC v1 to v4, not merged)',
    'the time of read(2) but for the copy: published figures contain all of it',
  ],
};

/** A machine with the cache of one file. */
class CacheStage {
  readonly machine: LabMachine;
  readonly reader: LabProgram;
  readonly daemon: LabProgram;
  readonly file: MappedFile;
  readonly pages: number;
  /** Where the reader maps the file, -1 = it does not. */
  mapping: Vpn = -1;

  constructor(pages: number, nid: Nid, isMapped: boolean, seed: number) {
    const machine = new LabMachine({
      nodes: [
        { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: NODE_MIB * PAGES_PER_MIB }] },
        { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: NODE_MIB * PAGES_PER_MIB }] },
      ],
      perf: [DRAM_PERF, CXL_PERF],
      seed,
      sysctl: { thp_enabled: 'never', demotion_enabled: true },
    });
    const { k } = machine;
    this.machine = machine;
    this.daemon = machine.program();
    this.reader = machine.program();
    this.pages = pages;
    this.file = k.newFile('file', 'ext4', pages);
    setMempolicy(k, this.reader.task, MPOL_BIND, { bits: [nid], maxnode: 65 });
    this.readAll();
    setMempolicy(k, this.reader.task, MPOL_DEFAULT, { bits: null, maxnode: 0 });
    if (isMapped) {
      const prot = PROT_READ | PROT_WRITE;
      const request = { addr: 0, pages, prot, flags: MAP_SHARED, file: this.file, pgoff: 0 };
      this.mapping = mmapRegion(k, this.reader.task.mm!, request);
      this.readAll();
    }
    k.lru.drainAll();
  }

  /** One pass of the reader over the file, by read(2), and through its mapping if it has one. */
  readAll(): void {
    const { k } = this.machine;
    for (let index = 0; index < this.pages; index++) {
      const { page } = cacheRead(k, this.reader.task, this.file, index);
      cacheAccessed(k, k.frames.headOf(page));
    }
    if (this.mapping >= 0) this.reader.read(this.mapping, this.pages);
  }

  frames(): FrameId[] {
    return Array.from({ length: this.pages }, (_, index) => this.file.frameAt(index));
  }

  addresses(): Float64Array {
    const { frames } = this.machine.k;
    return Float64Array.from(this.frames(), (frame) => frames.pfnOf(frame) * PAGE_SIZE);
  }

  /** Pages of the file in the cache of a node. */
  on(nid: Nid): number {
    const { pm } = this.machine.k;
    return this.frames().filter((frame) => frame >= 0 && pm.nidOf(frame) === nid).length;
  }
}

function readAgain(stage: CacheStage): string {
  stage.readAll();
  return 'read';
}

/** The statuses as one answer. */
function answerOf(status: Int32Array): string {
  const first = status[0];
  return status.every((one) => one === first) && first < 0 ? outcomeText(first) : 'done';
}

function byVirtualAddress({ machine, reader, daemon, mapping, pages }: CacheStage): string {
  if (mapping < 0) return 'no address';
  const at = Float64Array.from({ length: pages }, (_, i) => (mapping + i) * PAGE_SIZE);
  const status = new Int32Array(pages);
  const nodes = new UserInts(new Int32Array(pages).fill(FAST));
  const [addresses, slots] = [new UserAddresses(at), new UserInts(status)];
  const { pid } = reader.task;
  movePages(machine.k, daemon.task, pid, pages, addresses, nodes, slots, MOVE);
  return answerOf(status);
}

function byProcess({ machine, reader, daemon }: CacheStage): string {
  const nodes = (nid: Nid) => ({ bits: [nid], maxnode: 65 });
  return outcomeText(
    migratePagesCall(machine.k, daemon.task, reader.task.pid, nodes(SLOW), nodes(FAST)),
  );
}

function byHintFaults(stage: CacheStage): string {
  const { k } = stage.machine;
  k.sysctl.numa_balancing_scan_delay_ms = 1;
  setNumaBalancing(k, 2);
  let marked = 0;
  for (let pass = 0; pass < 4; pass++) {
    k.nowNs += 10_000 * MS;
    marked += taskNumaWork(k, stage.reader.task);
    stage.readAll();
  }
  return `${marked} entries marked`;
}

function byDamon(stage: CacheStage): string {
  const { k } = stage.machine;
  const zone = stage.machine.zone(ZONE_MOVABLE, SLOW)!;
  const attrs = {
    sampleUs: 5000,
    aggrUs: 50_000,
    goal: NO_INTERVALS_GOAL,
    updateUs: 60_000_000,
    minNrRegions: 100,
    maxNrRegions: 1000,
  };
  const ctx = newDamonContext('paddr', attrs);
  const region = newDamonRegion(zone.startPfn * PAGE_SIZE, zone.endPfn * PAGE_SIZE);
  ctx.targets = [{ pid: -1, regions: [region] }];
  const scheme = { ...newDamosScheme(), maxSize: U64_MAX, maxNrAccesses: 2 ** 32 - 1 };
  const more = { maxAge: 2 ** 32 - 1, minNrAccesses: 1, targetNid: FAST };
  ctx.schemes = [{ ...scheme, ...more, action: 'migrate_hot' }];
  startDamon(k, ctx);
  for (let pass = 0; pass < DAMON_PASSES; pass++) {
    stage.readAll();
    k.nowNs += MS;
    runDamon(k);
  }
  return `${ctx.schemes[0].stat.nrTried} regions tried`;
}

function byAddressAsPosted(stage: CacheStage): string {
  const { machine, daemon, pages } = stage;
  const status = new Int32Array(pages);
  const addresses = new UserAddresses(stage.addresses());
  const nodes = new UserInts(new Int32Array(pages).fill(FAST));
  const slots = new UserInts(status);
  movePhysPages(machine.k, daemon.task, RFC_V3, pages, addresses, nodes, slots, MOVE);
  return answerOf(status);
}

function byAddress(stage: CacheStage, flags: number): string {
  const { k } = stage.machine;
  const count = stage.pages;
  const status = new Int32Array(count);
  const entries = {
    count,
    address: stage.addresses(),
    generation: Uint32Array.from(stage.frames(), (frame) => k.frames.generation[frame]),
    order: new Uint8Array(count).fill(ORDER_UNKNOWN),
    flags: new Uint8Array(count).fill(MPE_ALLOW_TAIL),
    node: new Int32Array(count).fill(FAST),
  };
  movePhysPages2(k, stage.daemon.task, entries, status, flags);
  return answerOf(status);
}

function measure({ knobs, seed }: LabRun): Measurement {
  const pages = numberOf(knobs, 'pages');
  const data: Record<string, Record<string, number>> = {};
  const rows = MECHANISMS.map(({ name, bring }): Cell[] => {
    const cells = [false, true].flatMap((isMapped): Cell[] => {
      const stage = new CacheStage(pages, SLOW, isMapped, seed);
      const answer = bring(stage);
      data[`${name}, ${isMapped ? 'mapped' : 'nobody maps'}`] = stage.machine.counters();
      return [answer, stage.on(FAST)];
    });
    return [name, ...cells];
  });
  const demoted = [false, true].map((isMapped) => demotion(pages, isMapped, seed));
  return {
    figures: [broughtFigure(rows), seenFigure(pages, seed), demotionFigure(demoted)],
    published: [
      {
        what: 'time of reading from CXL by that from DRAM; ours: the copy alone',
        unit: '',
        published: 1.29,
        ours: rounded(copyRatio(), 2),
        source: 'G. Price, Z5EhcQERseKShtGY@gourry: 9.75 by 7.58, linear read of 128 GB, all of it',
      },
    ],
    data,
  };
}

/** Time of copying from an expander into DRAM, by that within DRAM. */
function copyRatio(): number {
  const cost = new AccessCost(expanderMachine());
  return cost.copyNs(SLOW, FAST, PAGE_SIZE) / cost.copyNs(FAST, FAST, PAGE_SIZE);
}

function demotion(pages: number, isMapped: boolean, seed: number): Cell[] {
  const stage = new CacheStage(pages, FAST, isMapped, seed);
  const { k } = stage.machine;
  memoryReclaim(k, FAST, pages / 2, () => true, (1 << FAST) | (1 << SLOW), 0);
  const demoted = stage.on(SLOW);
  const before = stage.machine.vmstat('pgpromote_success');
  k.sysctl.numa_balancing_scan_delay_ms = 1;
  setNumaBalancing(k, 2);
  for (let pass = 0; pass < 4; pass++) {
    k.nowNs += 10_000 * MS;
    taskNumaWork(k, stage.reader.task);
    stage.readAll();
  }
  const promoted = stage.machine.vmstat('pgpromote_success') - before;
  return [isMapped ? 'one process' : 'nobody', demoted, promoted, stage.on(SLOW)];
}

function demotionFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'demotion',
    title: 'Cache that is demoted, then read four times with NUMA balancing in tiering mode',
    columns: [
      { name: 'mapped by', unit: '' },
      { name: 'demoted', unit: 'pages' },
      { name: 'promoted', unit: 'pages' },
      { name: 'slow in the end', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

function broughtFigure(rows: readonly (readonly Cell[])[]): Figure {
  return {
    id: 'brought',
    title: 'What reaches the fast node',
    columns: [
      { name: 'by', unit: '' },
      { name: 'nobody maps it', unit: '' },
      { name: 'fast', unit: 'pages' },
      { name: 'a process maps it', unit: '' },
      { name: 'fast then', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

/** What the sources see of one pass over the file. */
function seenFigure(pages: number, seed: number): Figure {
  const rows = SOURCES.map(({ name, see }): Cell[] => {
    return [name, ...[false, true].map((mapped) => see(new CacheStage(pages, SLOW, mapped, seed)))];
  });
  return {
    id: 'seen',
    title: 'What a pass over the file leaves to see',
    columns: [
      { name: 'source', unit: '' },
      { name: 'nobody maps it', unit: 'pages' },
      { name: 'a process maps it', unit: 'pages' },
    ],
    rows,
    drawing: { kind: 'none' },
  };
}

interface Source {
  readonly name: string;
  readonly see: (stage: CacheStage) => number;
}

const SOURCES: readonly Source[] = [
  {
    name: 'page_idle bitmap',
    see: (stage) => {
      const { k } = stage.machine;
      for (const frame of stage.frames()) setPageIdle(k, frame);
      stage.readAll();
      return stage.frames().filter((frame) => !isPageIdle(k, frame)).length;
    },
  },
  {
    name: 'NUMA hint faults',
    see: (stage) => {
      byHintFaults(stage);
      return stage.machine.vmstat('numa_hint_faults');
    },
  },
  {
    name: 'page table entries, by rmap',
    see: (stage) => {
      const { k } = stage.machine;
      stage.readAll();
      return stage.frames().filter((frame) => k.folios.mapcount(frame) > 0).length;
    },
  },
];

function unmappedFast(f: FigureReader, name: string): number {
  return f.number('brought', [name], 'fast');
}

function verdict(f: FigureReader): string {
  const able = f
    .figure('brought')
    .rows.filter((row) => (row[2] as number) > 0)
    .map((row) => (row[0] === CACHE_FLAG ? 'move_phys_pages2 with UNMAPPED_CACHE' : row[0]));
  const posted = f.text('brought', [POSTED], 'nobody maps it');
  const fast = unmappedFast(f, POSTED);
  const call = fast > 0 ? `the posted call moves ${fast} pages` : `the posted call says ${posted}`;
  const who = able.length === 0 ? 'Nobody' : `Only ${able.join(' and ')}`;
  const seen = f.number('seen', ['page_idle bitmap'], 'nobody maps it');
  return `${who}; ${call}. The idle bitmap sees ${seen} pages of it in use.`;
}

function judgePhysical(f: FigureReader): Finding {
  const [posted, flagged] = [POSTED, CACHE_FLAG].map((name) => unmappedFast(f, name));
  const because = `RFC v3 brings ${posted} pages, with UNMAPPED_CACHE ${flagged}`;
  if (posted > 0) return { support: 'supported', because };
  return { support: flagged > 0 ? 'partly' : 'not supported', because };
}

function judgeOneWay(f: FigureReader): Finding {
  const demoted = f.number('demotion', ['nobody'], 'demoted');
  const promoted = f.number('demotion', ['nobody'], 'promoted');
  const damon = unmappedFast(f, DAMON);
  const back = `${promoted} promoted by hint faults, DAMON brings ${damon}`;
  const because = `${demoted} pages demoted, ${back}`;
  if (demoted === 0 || promoted > 0) return { support: 'not supported', because };
  return { support: damon === 0 ? 'supported' : 'partly', because };
}
