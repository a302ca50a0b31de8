/**
 * Answers of src/why against the calls themselves: on a random machine it is asked what move_pages
 * and mbind would say of a page; then the call is made on a restored copy of the machine. What was
 * said to be certain must be what happens.
 */
import fc from 'fast-check';
import { PAGE_SIZE } from '../../../src/base/units.ts';
import {
  CAP_ALL,
  compactMemory,
  PG_HWPOISON,
  PG_LOCKED,
  PG_WRITEBACK,
  pageAt,
  VM_IO,
} from '../../../src/mm/index.ts';
import { decodeKernel, encodeKernel } from '../../../src/state/index.ts';
import { mbind, movePages, UserAddresses, UserInts } from '../../../src/syscalls/index.ts';
import {
  MPOL_BIND,
  MPOL_MF_MOVE,
  MPOL_MF_MOVE_ALL,
  MPOL_MF_STRICT,
} from '../../../src/uapi/mempolicy.ts';
import { NR_WRITEBACK } from '../../../src/uapi/vmstat.ts';
import {
  type Answer,
  compactionObstacle,
  type MoveQuestion,
  mbindRangeOf,
  wouldMbind,
  wouldMovePages,
} from '../../../src/why/index.ts';
import type { Kernel } from '../mm/kernelDoor.ts';
import { type MachinePlan, machineArbitrary } from '../mm/machines.ts';
import { type Operation, operationArbitrary } from '../mm/operations.ts';
import { play } from '../mm/play.ts';
import { World } from '../mm/world.ts';

interface Ask {
  readonly proc: number;
  readonly caller: number;
  readonly area: number;
  readonly at: number;
  readonly nid: number;
  /** Which pages to choose from, if there are any of this kind. */
  readonly among: 'any' | 'present' | 'held';
  readonly rights: boolean;
  readonly call: 'move' | 'moveAll' | 'mbind' | 'compact';
}

const askArbitrary: fc.Arbitrary<Ask> = fc.record({
  proc: fc.nat(7),
  caller: fc.nat(15),
  area: fc.nat(15),
  at: fc.nat(1100),
  nid: fc.constantFrom(0, 0, 0, 1, 1, 1, 2, 3, -1, 4),
  among: fc.constantFrom('any', 'present', 'present', 'held', 'held'),
  rights: fc.nat(5).map((n) => n > 0),
  call: fc.constantFrom('move', 'move', 'moveAll', 'moveAll', 'mbind', 'mbind', 'compact'),
});

const DISTURBANCES = [
  'lock',
  'poison',
  'isolate',
  'pin',
  'reference',
  'writeback',
  'cpuset',
  'pfnmap',
] as const;

/** What the histories of the fuzzer do not bring about, or seldom. */
interface Disturbance {
  readonly what: (typeof DISTURBANCES)[number];
  readonly proc: number;
  readonly area: number;
  readonly at: number;
}

const disturbanceArbitrary: fc.Arbitrary<Disturbance> = fc.record({
  what: fc.constantFrom(...DISTURBANCES),
  proc: fc.nat(7),
  area: fc.nat(15),
  at: fc.nat(1100),
});

/** How often a cause was told, and how often the answer was certain. */
export interface Tally {
  asked: number;
  certain: number;
  moved: number;
  readonly causes: Map<string, number>;
  /** Pages that compaction left, by cause. */
  readonly compaction: Map<string, number>;
}

export function newTally(): Tally {
  return { asked: 0, certain: 0, moved: 0, causes: new Map(), compaction: new Map() };
}

/** Plays a history, disturbs it, asks and does. Throws where answer and call differ. */
export function askAndDo(
  plan: MachinePlan,
  history: readonly Operation[],
  disturbances: readonly Disturbance[],
  asks: readonly Ask[],
  tally: Tally,
): void {
  const world = new World(plan);
  for (const operation of history) play(world, operation);
  if (world.processes.length === 0) return;
  const places = disturbances.map((one) => disturb(world, one));
  for (const { mapped } of world.held) if (mapped !== null) places.push(mapped);
  const bytes = encodeKernel({ k: world.k, attached: null });
  for (const ask of asks) {
    const question = questionOf(world, ask, places);
    if (ask.call === 'compact') {
      askCompaction(world, question, bytes, tally);
      continue;
    }
    restrict(question.caller, ask);
    const answer = answerOf(world.k, question, ask);
    const copy = decodeKernel(bytes).k;
    restrict(copy.tasks.get(question.caller.pid)!, ask);
    const done = perform(copy, question, ask);
    count(tally, answer);
    if (!answer.isCertain) continue;
    const told = { returns: answer.returns, status: answer.status, moves: answer.moves };
    if (JSON.stringify(told) === JSON.stringify(done)) continue;
    const where = `page ${question.vpn} of ${question.target.pid} to node ${question.nid}`;
    throw new Error(
      `${answer.call}, ${where}: told ${JSON.stringify(answer)}, done ${JSON.stringify(done)}`,
    );
  }
}

/** What is said to stay in spite of compaction does; whether the rest moves, nobody knows. */
function askCompaction(world: World, question: MoveQuestion, bytes: Uint8Array, tally: Tally) {
  const { target, vpn } = question;
  const page = target.mm === null ? -1 : pageAt(world.k, target.mm, vpn);
  // Compaction may wait for a migration under way, which moves pages then.
  if (page < 0 || world.k.pm.isZoneDevice(page) || world.k.inFlight.size > 0) return;
  const cause = compactionObstacle(world.k, world.k.frames.headOf(page));
  if (cause === null) return;
  const copy = decodeKernel(bytes).k;
  compactMemory(copy);
  const after = pageAt(copy, copy.tasks.get(target.pid)!.mm!, vpn);
  tally.compaction.set(cause, (tally.compaction.get(cause) ?? 0) + 1);
  if (after === page) return;
  throw new Error(
    `compaction, page ${vpn} of ${target.pid}: told ${cause}, frame ${page}->${after}`,
  );
}

interface Place {
  readonly process: World['processes'][number];
  readonly vpn: number;
}

function questionOf(world: World, ask: Ask, places: readonly Place[]): MoveQuestion {
  const { process, vpn } = placeOf(world, ask, places);
  const { task } = process;
  const isOwn = ask.call === 'mbind' || ask.caller < 8;
  const caller = isOwn ? task : world.process(ask.caller).task;
  return { caller, target: task, vpn, nid: ask.nid % (world.k.pm.nodes.length + 1) };
}

function placeOf(world: World, ask: Ask, places: readonly Place[]): Place {
  const { proc, area, at, among } = ask;
  const here = places.filter((place) => place.process.task.mm !== null);
  if (among === 'held' && here.length > 0) return here[at % here.length];
  const process = world.process(proc);
  const present = [...process.space.pages.keys()].filter((vpn) => world.frameAt(process, vpn) >= 0);
  if (among !== 'any' && present.length > 0) {
    return { process, vpn: present[(area * 1101 + at * 7) % present.length] };
  }
  return { process, vpn: world.range(process, { area, at, len: 1 })[0] };
}

/** Without rights the caller is an ordinary user, who owns nothing of root's. */
function restrict(caller: MoveQuestion['caller'], { rights }: Ask): void {
  caller.caps = rights ? CAP_ALL : 0;
  caller.uid = rights ? 0 : 1000;
}

function answerOf(k: Kernel, question: MoveQuestion, { call }: Ask): Answer {
  if (call === 'mbind') return wouldMbind(k, question.target, question.vpn, question.nid);
  return wouldMovePages(k, question, call === 'moveAll');
}

interface Done {
  readonly returns: number;
  readonly status: number | null;
  readonly moves: boolean;
}

/** A value that no call writes as a status. */
const UNTOUCHED = -4096;

function perform(k: Kernel, question: MoveQuestion, { call }: Ask): Done {
  const caller = k.tasks.get(question.caller.pid)!;
  const target = k.tasks.get(question.target.pid)!;
  const mapped = target.mm === null ? -1 : pageAt(k, target.mm, question.vpn);
  const isFile = mapped >= 0 && k.folios.hasFileMapping(k.frames.headOf(mapped));
  const before = mapped < 0 ? -1 : k.pm.nidOf(mapped);
  let returns: number;
  const status = Int32Array.of(UNTOUCHED);
  if (call === 'mbind') {
    const vma = target.mm?.findVma(question.vpn) ?? null;
    const { start, nrPages } = mbindRangeOf(vma, question.vpn);
    const nodes = { bits: [question.nid].filter((nid) => nid >= 0), maxnode: 33 };
    const flags = MPOL_MF_STRICT | MPOL_MF_MOVE;
    returns = mbind(k, caller, start * PAGE_SIZE, nrPages * PAGE_SIZE, MPOL_BIND, nodes, flags);
  } else {
    const address = new UserAddresses(Float64Array.of(question.vpn * PAGE_SIZE));
    const node = new UserInts(Int32Array.of(question.nid));
    const flags = call === 'moveAll' ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE;
    const out = new UserInts(status);
    returns = movePages(k, caller, target.pid, 1, address, node, out, flags);
  }
  const after = nodeAt(k, target, question.vpn, isFile);
  // A poisoned page loses its entry, and moves nowhere.
  const moves = before >= 0 && after >= 0 && after !== before;
  return { returns, status: status[0] === UNTOUCHED ? null : status[0], moves };
}

/**
 * The node of the page, -1 without one. Of a file's page the cached one, where cutting a VMA
 * unmapped a huge page of a file.
 */
function nodeAt(k: Kernel, { mm }: MoveQuestion['target'], vpn: number, isFile: boolean): number {
  const page = mm === null ? -1 : pageAt(k, mm, vpn);
  if (page >= 0) return k.pm.nidOf(page);
  const vma = isFile ? (mm?.findVma(vpn) ?? null) : null;
  const cached = vma?.file?.frameAt(vma.indexOf(vpn)) ?? -1;
  return cached < 0 ? -1 : k.pm.nidOf(cached);
}

/** Returns the place that it disturbed. */
function disturb(world: World, { what, proc, area, at }: Disturbance): Place {
  const { k } = world;
  const process = world.process(proc);
  const { task } = process;
  const [vpn] = world.range(process, { area, at, len: 1 });
  const place = { process, vpn };
  if (what === 'cpuset') task.memsAllowed = 1 << (at % k.pm.nodes.length);
  const vma = task.mm?.findVma(vpn) ?? null;
  if (what === 'pfnmap' && vma !== null) vma.flags |= VM_IO;
  const page = world.frameAt(process, vpn);
  if (page < 0) return place;
  const head = k.frames.headOf(page);
  if (what === 'lock') k.frames.set(head, PG_LOCKED);
  else if (what === 'poison') k.frames.set(page, PG_HWPOISON);
  else if (what === 'isolate') k.lru.isolate(head);
  else if (what === 'pin') k.folios.pin(head, 1);
  else if (what === 'reference') k.folios.get(head);
  else if (what === 'writeback' && !k.frames.has(head, PG_WRITEBACK)) {
    k.frames.set(head, PG_WRITEBACK);
    k.vmstat.modNode(k.pm.nidOf(head), NR_WRITEBACK, k.folios.nrPages(head));
  }
  return place;
}

function count(tally: Tally, { isCertain, moves, cause }: Answer): void {
  tally.asked++;
  if (isCertain) tally.certain++;
  if (moves) tally.moved++;
  if (cause !== null) tally.causes.set(cause, (tally.causes.get(cause) ?? 0) + 1);
}

/** Memory in use from the start, so that there is something to ask about. */
export const populated: fc.Arbitrary<Operation> = fc.record({
  op: fc.constant('mmap' as const),
  proc: fc.constant(0),
  pages: fc.constantFrom(16, 100, 600, 1024),
  prot: fc.constant(3),
  shared: fc.boolean(),
  file: fc.integer({ min: -4, max: 4 }),
  pgoff: fc.constant(0),
  fixed: fc.integer({ min: 0, max: 3 }),
  locked: fc.boolean(),
  populate: fc.constant(true),
});

/** The report of the first answer that was wrong, shrunk; null if all were right. */
export function fuzzWhy(seed: number, runs: number, tally: Tally, limitMs?: number): string | null {
  const begin = fc.array(populated, { minLength: 1, maxLength: 3 });
  const later = fc.array(operationArbitrary, { maxLength: 40, size: 'max' });
  const history = fc.tuple(begin, later).map(([first, rest]) => [...first, ...rest]);
  const disturbances = fc.array(disturbanceArbitrary, { maxLength: 6, size: 'max' });
  const asks = fc.array(askArbitrary, { minLength: 4, maxLength: 12, size: 'max' });
  const details = fc.check(
    fc.property(machineArbitrary, history, disturbances, asks, (plan, past, disturbed, asked) =>
      askAndDo(plan, past, disturbed, asked, tally),
    ),
    { seed, numRuns: runs, interruptAfterTimeLimit: limitMs },
  );
  if (!details.failed || details.counterexample === null) return null;
  const [plan, past, disturbed, asked] = details.counterexample;
  const error = details.errorInstance;
  return [
    `seed ${details.seed} path ${details.counterexamplePath} after ${details.numRuns} runs`,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
    `machine ${JSON.stringify(plan)}`,
    ...[...past, ...disturbed, ...asked].map((record) => `  ${JSON.stringify(record)},`),
  ].join('\n');
}
