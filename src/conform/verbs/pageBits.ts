/** Bits of pages: looks kpage pagemap idle frame.flags; verbs idle.set uffd.register ... */
import type { FrameId } from '../../base/units.ts';
import {
  hasKpf,
  isPageIdle,
  kernelPageFlags,
  PM_FILE,
  PM_GUARD_REGION,
  PM_MMAP_EXCLUSIVE,
  PM_PRESENT,
  PM_SWAP,
  PM_UFFD_WP,
  pageAt,
  pagemapEntry,
  setPageIdle,
  userfaultProtect,
  userfaultRegister,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from '../../mm/index.ts';
import { EAGAIN } from '../../uapi/errno.ts';
import { KPF_NAMES } from '../../uapi/kernelPageFlags.ts';
import type { Fields } from '../caseFile.ts';
import { type Inputs, NotModelled } from '../inputs.ts';
import { failure, returned } from '../outcome.ts';
import type { Process } from '../process.ts';
import { toRuns } from '../runs.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

const PAGEMAP_NAMES: ReadonlyArray<readonly [string, number]> = [
  ['exclusive', PM_MMAP_EXCLUSIVE],
  ['uffd-wp', PM_UFFD_WP],
  ['guard', PM_GUARD_REGION],
  ['file-or-shared', PM_FILE],
  ['swapped', PM_SWAP],
  ['present', PM_PRESENT],
];

function flagNames(world: World, page: FrameId): string[] {
  const word = kernelPageFlags(world.k, page);
  const names: string[] = [];
  for (const [bit, name] of KPF_NAMES) if (hasKpf(word, bit)) names.push(name);
  return names;
}

function lookKpage(world: World, process: Process, inputs: Inputs): Fields {
  const { k } = world;
  const { payload, bits } = pagemapEntry(k, process.task.mm!, process.firstPage(inputs, 'page'));
  const pagemap = PAGEMAP_NAMES.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
  if ((bits & PM_PRESENT) === 0) return { mapcount: 0, flags: [], pagemap };
  const page = k.frames.frameOfPfn(payload);
  const isOutside = page === k.zeroFrame || k.pm.isZoneDevice(page);
  const mapcount = isOutside ? 0 : k.folios.pageMapcount(page);
  return { mapcount, flags: flagNames(world, page), pagemap };
}

function lookPagemap(world: World, process: Process, inputs: Inputs): Fields {
  const { bits } = pagemapEntry(world.k, process.task.mm!, process.firstPage(inputs, 'page'));
  return { uffd_wp: (bits & PM_UFFD_WP) !== 0 ? 1 : 0 };
}

/** The frames behind a range; pages without one are left out by the tracker. */
function frames(world: World, process: Process, inputs: Inputs): FrameId[] {
  const start = process.firstPage(inputs);
  const n = world.count(inputs.get('n'), inputs.place);
  return Array.from({ length: n }, (_, i) => pageAt(world.k, process.task.mm!, start + i));
}

function lookIdle(world: World, process: Process, inputs: Inputs): Fields {
  const isIdle = (page: FrameId): boolean => page >= 0 && isPageIdle(world.k, page);
  return { idle: toRuns(frames(world, process, inputs).map((page) => (isIdle(page) ? 1 : 0))) };
}

function doIdleSet(world: World, process: Process, inputs: Inputs): Fields {
  for (const page of frames(world, process, inputs)) if (page >= 0) setPageIdle(world.k, page);
  return {};
}

function lookFrameFlags(world: World, _process: Process, inputs: Inputs): Fields {
  const kept = world.frames.get(inputs.string('as')) ?? [];
  if (kept.length === 0 || kept[0] < 0) throw inputs.wrong('as', 'frames that were kept');
  return { flags: flagNames(world, kept[0]) };
}

function doRegister(world: World, process: Process, inputs: Inputs): Fields {
  const mode = inputs.string('mode');
  if (mode === 'MINOR') throw new NotModelled('uffd.register MINOR');
  const flag = mode === 'WP' ? VM_UFFD_WP : VM_UFFD_MISSING;
  const { start, pages } = process.region(inputs.string('region'), inputs.place);
  return returned(userfaultRegister(world.k, process.task.mm!, start, start + pages, flag));
}

function doProtect(world: World, process: Process, inputs: Inputs): Fields {
  const { start, pages } = process.region(inputs.string('region'), inputs.place);
  return returned(userfaultProtect(world.k, process.task.mm!, start, start + pages));
}

/** read(2) of the userfaultfd, which does not block: one message for a process that waits. */
function lookUffdEvent(world: World): Fields {
  return world.userfaults > 0 ? { ret: UFFD_MSG_BYTES } : failure(-EAGAIN);
}

/** sizeof(struct uffd_msg). */
const UFFD_MSG_BYTES = 32;

export const PAGE_BIT_LOOKS: VerbTable = {
  kpage: lookKpage,
  pagemap: lookPagemap,
  idle: lookIdle,
  'frame.flags': lookFrameFlags,
  'uffd.event': lookUffdEvent,
};

export const PAGE_BIT_VERBS: VerbTable = {
  'idle.set': doIdleSet,
  'uffd.register': doRegister,
  'uffd.protect': doProtect,
};
