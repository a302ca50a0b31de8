/** Looks: what the case sees of memory without (or, for data and read, by) touching it. */
import { PAGE_SIZE } from '../../base/units.ts';
import { LOAD_FAILED, loadWord, pageAt, type Vma } from '../../mm/index.ts';
import {
  buddyinfoOf,
  formatBuddyinfo,
  formatNumaMaps,
  numaMapsOf,
  smapsAreaOf,
} from '../../proc/index.ts';
import { NR_ANON_MAPPED } from '../../uapi/vmstat.ts';
import type { Fields, Json } from '../caseFile.ts';
import { byteOf, SAME_WORD, wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { labelAt } from '../labels.ts';
import { failure } from '../outcome.ts';
import type { Process } from '../process.ts';
import { toRuns } from '../runs.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';
import { MEMORY_BLOCK_LOOKS } from './memoryBlocks.ts';
import { PAGE_BIT_LOOKS } from './pageBits.ts';
import { freeKb } from './touching.ts';

function labels(world: World, process: Process, start: number, n: number): string[] {
  const mm = process.task.mm!;
  return Array.from({ length: n }, (_, i) => labelAt(world.k, mm, start + i));
}

function lookWhere(world: World, process: Process, inputs: Inputs): Fields {
  if (inputs.has('special')) {
    const vpn = world.specialPage(process, inputs.string('special'), inputs.place);
    return { pages: toRuns(labels(world, process, vpn, 1)) };
  }
  const n = world.count(inputs.get('n'), inputs.place);
  return { pages: toRuns(labels(world, process, process.firstPage(inputs), n)) };
}

function lookCount(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('region'), inputs.place);
  const pages: { [label: string]: Json } = {};
  for (const label of labels(world, process, region.start, region.pages)) {
    pages[label] = Number(pages[label] ?? 0) + 1;
  }
  return { pages };
}

/** A row of the region's area in smaps, in kB: the one that the answer names. */
function lookSmaps(world: World, process: Process, inputs: Inputs): Fields {
  const vma = areaOf(process, inputs);
  const field = String(inputs.get('field') ?? inputs.expect?.field ?? 'Rss').replace(/:$/, '');
  const rows = vma === null ? undefined : smapsAreaOf(world.k, vma).rows;
  if (vma !== null && !rows?.has(field)) {
    throw inputs.wrong('field', `one of ${[...(rows?.keys() ?? [])].join(', ')}`);
  }
  return { field: inputs.expect?.field ?? field, kb: rows?.get(field) ?? 0 };
}

/** The line of the region's area; its address is told if the answer begins with one. */
function lookNumaMaps(world: World, process: Process, inputs: Inputs): Fields {
  const vma = areaOf(process, inputs);
  if (vma === null) return { line: [] };
  const start = vma.start * PAGE_SIZE;
  const areas = numaMapsOf(world.k, process.task).filter((area) => area.start === start);
  const [address, ...words] = formatNumaMaps(areas).trimEnd().split(' ');
  const expected = inputs.expect?.line;
  const first = Array.isArray(expected) ? String(expected[0]) : '';
  return { line: /^[0-9a-f]{8,}$/.test(first) ? [address, ...words] : words };
}

/** The area at the beginning of a region, null after munmap. */
function areaOf(process: Process, inputs: Inputs): Vma | null {
  const region = process.region(inputs.string('region'), inputs.place);
  return process.task.mm?.findVma(region.start) ?? null;
}

/** Reads every page; what was swapped out comes back. */
function lookContent(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('region'), inputs.place);
  let isIntact = true;
  for (let page = 0; page < region.pages; page++) {
    const word = loadWord(world.k, process.task, region.start + page);
    if (word === LOAD_FAILED && !process.survives('SIGBUS')) return { signal: 'SIGBUS' };
    if (word !== (region.isSame ? SAME_WORD : wordOfPage(page))) isIntact = false;
  }
  return { data: isIntact ? 'intact' : 'changed' };
}

function lookRead(world: World, process: Process, inputs: Inputs): Fields {
  const word = loadWord(world.k, process.task, process.firstPage(inputs, 'page'));
  if (word === LOAD_FAILED) return process.survives('SIGBUS') ? {} : { signal: 'SIGBUS' };
  return { byte: byteOf(word, inputs.integerOr('offset', 0)) };
}

function lookNode(world: World, _process: Process, inputs: Inputs): Fields {
  const nid = inputs.integer('node');
  const anon = (world.k.vmstat.nodeItem(nid, NR_ANON_MAPPED) * PAGE_SIZE) / 1024;
  return { free_kb: freeKb(world, nid), anon_kb: anon };
}

/** The first `n` pages from the first whose label contains a text become a region. */
function lookFind(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('region'), inputs.place);
  const text = inputs.string('contains');
  const all = labels(world, process, region.start, region.pages);
  const first = all.findIndex((label) => label.includes(text));
  if (first < 0) return { found: 0, first: -1 };
  const n = inputs.integer('n');
  const start = region.start + first;
  process.regions.set(inputs.string('as'), { start, pages: n, isSame: region.isSame });
  return { found: 1, first };
}

function framesOf(world: World, process: Process, inputs: Inputs): number[] {
  const start = process.firstPage(inputs);
  const n = world.count(inputs.get('n'), inputs.place);
  return Array.from({ length: n }, (_, i) => pageAt(world.k, process.task.mm!, start + i));
}

function lookFrameKeep(world: World, process: Process, inputs: Inputs): Fields {
  world.frames.set(inputs.string('as'), framesOf(world, process, inputs));
  return {};
}

function lookFrameSame(world: World, process: Process, inputs: Inputs): Fields {
  const kept = world.frames.get(inputs.string('as')) ?? [];
  const now = framesOf(world, process, inputs);
  return { same: toRuns(now.map((frame, i) => frame >= 0 && frame === kept[i])) };
}

function lookBuddyinfo(world: World, _process: Process, inputs: Inputs): Fields {
  const zones = buddyinfoOf(world.k).filter(({ nid }) => nid === inputs.integer('node'));
  return { line: formatBuddyinfo(zones).replace(/\n$/, '') };
}

/** /proc/self is the directory of the process that looks. */
function lookSysfs(world: World, process: Process, inputs: Inputs): Fields {
  const file = inputs.string('file').replace(/^\/proc\/self\//, `/proc/${process.task.tgid}/`);
  return world.sysfs.read(file);
}

/** Sums over what update_schemes_tried_regions found, and over the regions of the targets. */
function lookDamonRegions(world: World): Fields {
  const rows = world.k.damon.kdamonds.flatMap(({ contexts }) => contexts);
  const tried = rows.flatMap(({ schemes }) => schemes.flatMap((scheme) => scheme.tried.regions));
  const targets = rows.flatMap((row) => row.targets.flatMap((target) => target.regions));
  const bytes = (ranges: readonly { start: number; end: number }[]) =>
    ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  const regions = tried.map(({ region }) => region);
  return {
    regions: regions.length,
    bytes_total: bytes(regions),
    bytes_with_accesses: bytes(regions.filter(({ nrAccesses }) => nrAccesses > 0)),
    target_bytes: bytes(targets),
  };
}

export const LOOKS: VerbTable = {
  where: lookWhere,
  count: lookCount,
  data: lookContent,
  read: lookRead,
  node: lookNode,
  buddyinfo: lookBuddyinfo,
  find: lookFind,
  'frame.keep': lookFrameKeep,
  'frame.same': lookFrameSame,
  ...PAGE_BIT_LOOKS,
  ...MEMORY_BLOCK_LOOKS,
  cgroup: (world, _process, inputs) => {
    const file = inputs.string('file');
    const value = world.cgroups.read(inputs.string('cgroup'), file, inputs.place);
    return typeof value === 'number' ? failure(value) : { value };
  },
  smaps: lookSmaps,
  numa_maps: lookNumaMaps,
  sysfs: lookSysfs,
  'damon.regions': lookDamonRegions,
  signals: (_world, process, inputs) => ({
    n: process.signals.get(inputs.string('signal')) ?? 0,
  }),
};
