/**
 * How large ZONE_MOVABLE may be: searched on the model by trying machines, not computed. A size is
 * good if on it the kernel gets its memory, everything that must be pinned can be pinned before
 * other programs fill the memory, these run, and the kernel can still grow. PM-25, PM-52, PM-53.
 *
 * On the largest good size the plan then tries what may go wrong: pins taken only when memory is
 * full, a tenth more of them, and whether the blocks can go offline.
 * Programs use huge pages where they get them (`hugePages`); pins take every page of them.
 */
import { assert } from '../base/assert.ts';
import { MIB, PAGE_SIZE } from '../base/units.ts';
import { blockOfflineObstacles, type PlainNode } from '../mm/index.ts';
import { ZONE_MOVABLE } from '../uapi/zone.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB, twoZones } from './labMachine.ts';
import { outcomeText } from './words.ts';

export interface ZonesAsked {
  /** Of all nodes with CPUs. */
  readonly memoryMib: number;
  /** Nodes with CPUs, of equal size. */
  readonly nodes: number;
  /** A further node without CPUs, onlined as ZONE_MOVABLE: a CXL expander. 0 = none. */
  readonly cxlMib: number;
  readonly pinnedMib: number;
  /** What the kernel takes for itself. */
  readonly unmovableMib: number;
  /** What it may take later. */
  readonly growthMib: number;
  /** Memory of programs that is not pinned. */
  readonly userMib: number;
  readonly swapMib: number;
  /** ZONE_MOVABLE of a node grows in memory blocks of this size. */
  readonly blockMib: number;
  readonly hugePages: boolean;
  readonly seed: number;
}

/** What happened on one machine. */
export interface ZonesTrial {
  /** ZONE_MOVABLE of the nodes with CPUs, together. */
  readonly movableMib: number;
  readonly normalMib: number;
  /** Pinned before other programs fill the memory, or only then. */
  readonly pins: 'first' | 'late';
  readonly askedMib: number;
  readonly pinnedMib: number;
  readonly ending: string;
  /** To get pinned pages out of ZONE_MOVABLE. */
  readonly migratedMib: number;
  /** What the kernel got when it grew. */
  readonly kernelMib: number;
  /** Free in ZONE_MOVABLE when a pin failed; 0 if none did. */
  readonly freeMovableMib: number;
  /** Memory blocks of ZONE_MOVABLE, and how many of them nothing keeps from going offline. */
  readonly blocks: number;
  readonly removable: number;
  /** The first thing that went wrong; '' if nothing did. */
  readonly problem: string;
}

export interface ZonesPlan {
  readonly format: 'plan-zones/1';
  readonly asked: ZonesAsked;
  /** What the modelled machine was smaller by. */
  readonly scale: number;
  /** null: no size is good, not even 0. */
  readonly movableMib: number | null;
  readonly perNodeMib: number | null;
  readonly normalMib: number | null;
  /** For the kernel's command line; '' without an answer. */
  readonly bootParameter: string;
  /** Ascending by size: how the answer was found. */
  readonly trials: readonly ZonesTrial[];
  /** On the answer: pinned late; a tenth more pinned. */
  readonly risks: readonly ZonesTrial[];
  readonly isDangerous: boolean;
  readonly warnings: readonly string[];
}

const PIN_BATCH = 512;
/** Larger machines are modelled smaller, everything in proportion. */
const MODELLED_MIB_MAX = 16384;
const SIZES = [
  'memoryMib',
  'cxlMib',
  'pinnedMib',
  'unmovableMib',
  'growthMib',
  'userMib',
  'swapMib',
  'blockMib',
] as const;
const TRIAL_SIZES = [
  'movableMib',
  'normalMib',
  'askedMib',
  'pinnedMib',
  'migratedMib',
  'kernelMib',
  'freeMovableMib',
] as const;
/** MOVABLE : KERNEL above which Documentation/admin-guide warns (PM-52). */
const RATIO_MAX = 4;
const PINNED_MORE = 1.1;

export function planZones(asked: ZonesAsked): ZonesPlan {
  const scale = scaleOf(asked);
  return grown(planOnModel(shrunk(asked, scale)), asked, scale);
}

/** What the machine is divided by, so that an answer takes seconds: a power of two, 1 if small. */
export function scaleOf({ memoryMib, cxlMib }: ZonesAsked): number {
  let scale = 1;
  while ((memoryMib + cxlMib) / scale > MODELLED_MIB_MAX) scale *= 2;
  return scale;
}

function shrunk(asked: ZonesAsked, scale: number): ZonesAsked {
  const sizes = SIZES.map((name) => [name, asked[name] / scale] as const);
  return { ...asked, ...Object.fromEntries(sizes) };
}

/** The plan of a machine that is `scale` times as large. */
function grown(plan: ZonesPlan, asked: ZonesAsked, scale: number): ZonesPlan {
  if (scale === 1) return plan;
  const times = (mib: number | null) => (mib === null ? null : mib * scale);
  const ofTrial = (trial: ZonesTrial): ZonesTrial => {
    const sizes = TRIAL_SIZES.map((name) => [name, trial[name] * scale] as const);
    return { ...trial, ...Object.fromEntries(sizes) };
  };
  const movableMib = times(plan.movableMib);
  return {
    ...plan,
    asked,
    scale,
    movableMib,
    perNodeMib: times(plan.perNodeMib),
    normalMib: times(plan.normalMib),
    bootParameter: movableMib === null ? '' : `movablecore=${movableMib}M`,
    trials: plan.trials.map(ofTrial),
    risks: plan.risks.map(ofTrial),
  };
}

function planOnModel(asked: ZonesAsked): ZonesPlan {
  const trials = new Map<number, ZonesTrial>();
  const isGood = (blocks: number): boolean => {
    const trial = tryZones(asked, blocks * asked.blockMib * asked.nodes, 'first');
    trials.set(blocks, trial);
    return trial.problem === '';
  };
  const blocks = largestGood(mostBlocks(asked), isGood);
  const best = blocks === null ? null : trials.get(blocks)!;
  const risks = best === null ? [] : risksOf(asked, best.movableMib);
  const warnings = best === null ? noAnswer(asked) : warningsOf(asked, best, risks);
  return {
    format: 'plan-zones/1',
    asked,
    scale: 1,
    movableMib: best?.movableMib ?? null,
    perNodeMib: best === null ? null : best.movableMib / asked.nodes,
    normalMib: best?.normalMib ?? null,
    bootParameter: best === null ? '' : `movablecore=${best.movableMib}M`,
    trials: [...trials.values()].sort((a, b) => a.movableMib - b.movableMib),
    risks,
    isDangerous: warnings.length > 0,
    warnings,
  };
}

/** Blocks of ZONE_MOVABLE a node that leave it one for ZONE_NORMAL. */
function mostBlocks({ memoryMib, nodes, blockMib }: ZonesAsked): number {
  return Math.max(0, Math.floor(memoryMib / nodes / blockMib) - 1);
}

/** Bisection: with pins first, more ZONE_MOVABLE only takes room from kernel and pins. */
function largestGood(most: number, isGood: (blocks: number) => boolean): number | null {
  if (isGood(most)) return most;
  if (most === 0 || !isGood(0)) return null;
  let [good, bad] = [0, most];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isGood(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

function risksOf(asked: ZonesAsked, movableMib: number): ZonesTrial[] {
  if (asked.pinnedMib === 0) return [];
  const more = { ...asked, pinnedMib: asked.pinnedMib * PINNED_MORE };
  return [tryZones(asked, movableMib, 'late'), tryZones(more, movableMib, 'first')];
}

/** One machine with this much ZONE_MOVABLE. */
export function tryZones(
  asked: ZonesAsked,
  movableMib: number,
  pins: 'first' | 'late',
): ZonesTrial {
  const pinsFirst = pins === 'first';
  const machine = boot(asked, movableMib);
  const kernelPages = asked.unmovableMib * PAGES_PER_MIB;
  let problem = '';
  if (takeKernel(machine, asked, kernelPages) < kernelPages) {
    problem = 'the kernel does not get its memory';
  }
  const holders = machine.k.spec.nodes.filter(({ cpus }) => cpus.length > 0);
  const buffers = holders.map(({ cpus }) => ({ program: machine.program(cpus[0]), at: 0 }));
  const each = Math.floor((asked.pinnedMib * PAGES_PER_MIB) / holders.length);
  const user = machine.program();
  const userPages = asked.userMib * PAGES_PER_MIB;
  for (const buffer of buffers) buffer.at = mapTouched(buffer.program, each).at;
  let touched = pinsFirst ? userPages : mapTouched(user, userPages).pages;
  let [pinned, errno] = [0, 0];
  const migratedBefore = machine.vmstat('pgmigrate_success');
  for (const { program, at } of buffers) {
    const result = program.pinLongterm(at, each, PIN_BATCH);
    pinned += result.pages.length;
    errno ||= result.errno;
  }
  const migrated = machine.vmstat('pgmigrate_success') - migratedBefore;
  const freeMovable = errno === 0 ? 0 : freeInMovable(machine);
  if (pinsFirst) touched = mapTouched(user, userPages).pages;
  const growth = asked.growthMib * PAGES_PER_MIB;
  const got = takeKernel(machine, asked, growth);
  const order = pinsFirst ? 'first thing' : 'when memory is full';
  const missing = each * holders.length - pinned;
  if (problem === '' && missing > 0) {
    problem = `not all can be pinned ${order}, ${outcomeText(errno)}`;
  }
  if (problem === '' && touched < userPages) problem = 'programs run out of memory';
  if (problem === '' && got < growth) problem = 'the kernel cannot grow';
  return {
    movableMib,
    normalMib: asked.memoryMib - movableMib,
    pins,
    askedMib: mib(each * holders.length),
    pinnedMib: mib(pinned),
    ending: outcomeText(errno),
    migratedMib: mib(migrated),
    kernelMib: mib(got),
    freeMovableMib: mib(freeMovable),
    ...blocksOf(machine),
    problem,
  };
}

function boot(asked: ZonesAsked, movableMib: number): LabMachine {
  const { nodes, memoryMib, cxlMib } = asked;
  const cpuNodes = Array.from({ length: nodes }, (_, nid): PlainNode => {
    const node = twoZones((memoryMib - movableMib) / nodes, movableMib / nodes);
    return { ...node, cpus: [nid] };
  });
  const cxl = cxlMib === 0 ? [] : [{ ...twoZones(0, cxlMib), cpus: [] }];
  return new LabMachine({
    nodes: [...cpuNodes, ...cxl],
    seed: asked.seed,
    swapMib: asked.swapMib,
    memoryBlockPages: asked.blockMib * PAGES_PER_MIB,
    sysctl: { thp_enabled: asked.hugePages ? 'always' : 'never' },
  });
}

/** Evenly from the nodes with CPUs. */
function takeKernel(machine: LabMachine, { nodes }: ZonesAsked, pages: number): number {
  const each = Math.floor(pages / nodes);
  let got = 0;
  for (let nid = 0; nid < nodes; nid++) {
    got += machine.takeKernelPages(nid === 0 ? pages - each * (nodes - 1) : each, nid);
  }
  return got;
}

function mapTouched(program: LabProgram, pages: number): { at: number; pages: number } {
  if (pages === 0) return { at: 0, pages: 0 };
  const at = program.map(pages);
  return { at, pages: program.touch(at, pages).pages };
}

function freeInMovable(machine: LabMachine): number {
  const zones = machine.k.pm.zones.filter(({ type }) => type === ZONE_MOVABLE);
  return zones.reduce((sum, zone) => sum + machine.census(zone).free, 0);
}

function blocksOf(machine: LabMachine): { blocks: number; removable: number } {
  const { memoryBlocks, zones } = machine.k.pm;
  const movable = memoryBlocks.numbers().filter((block) => {
    const id = memoryBlocks.zoneId[block];
    return id >= 0 && zones[id].type === ZONE_MOVABLE;
  });
  const removable = movable.filter((block) => blockOfflineObstacles(machine.k, block).length === 0);
  return { blocks: movable.length, removable: removable.length };
}

function warningsOf(asked: ZonesAsked, best: ZonesTrial, risks: readonly ZonesTrial[]): string[] {
  const warnings: string[] = [];
  if (best.movableMib === 0) {
    warnings.push('it works without ZONE_MOVABLE only: nothing of the DRAM can be unplugged');
  }
  const ratio = (best.movableMib + asked.cxlMib) / best.normalMib;
  if (ratio > RATIO_MAX) {
    const small = 'page tables, slab and every further pin must live in the small one';
    warnings.push(`ZONE_MOVABLE is ${ratio.toFixed(1)} times ZONE_NORMAL: ${small}`);
  }
  for (const risk of risks) {
    if (risk.problem === '') continue;
    const what = risk.pins === 'late' ? 'pinned late' : '10 % more pinned memory';
    warnings.push(`${what}: ${risk.problem}${lackOf(risk)}`);
  }
  if (best.removable < best.blocks) {
    const kept = best.blocks - best.removable;
    warnings.push(`${kept} of ${best.blocks} blocks of ZONE_MOVABLE cannot go offline`);
  }
  return warnings;
}

/** In percent, which no scale changes. */
function lackOf({
  askedMib,
  pinnedMib,
  freeMovableMib,
  normalMib,
  movableMib,
}: ZonesTrial): string {
  if (pinnedMib >= askedMib) return '';
  const got = Math.floor((100 * pinnedMib) / askedMib);
  const free = Math.round((100 * freeMovableMib) / (normalMib + movableMib));
  return ` after ${got} %, with ${free} % of the memory free in ZONE_MOVABLE`;
}

function noAnswer(asked: ZonesAsked): string[] {
  const need = asked.unmovableMib + asked.pinnedMib + asked.growthMib + asked.userMib;
  const has = asked.memoryMib + asked.cxlMib + asked.swapMib;
  const percent = Math.round((100 * need) / has);
  const tooMuch = need > has ? `${percent} % of the memory are asked for` : 'no size works';
  return [`${tooMuch}: pin less, add memory, or run fewer programs`];
}

function mib(pages: number): number {
  assert(pages >= 0, 'a number of pages');
  return Number(((pages * PAGE_SIZE) / MIB).toFixed(1));
}
