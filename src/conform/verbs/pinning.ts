/** Verbs that pin pages for long: pin unpin pin.close. */
import { type FrameId, PAGE_SIZE, type Vpn } from '../../base/units.ts';
import {
  pageAt,
  pinUserPages,
  pinUserPagesFast,
  unpinUserPages,
  waitsForUserfault,
} from '../../mm/index.ts';
import { registerBuffer } from '../../syscalls/index.ts';
import { EBUSY, EFAULT, EINVAL, ENXIO, errnoName } from '../../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../../uapi/gup.ts';
import type { Fields, Json } from '../caseFile.ts';
import type { Inputs } from '../inputs.ts';
import { blocked, failure, returned, SUCCESS } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

function doPin(world: World, process: Process, inputs: Inputs): Fields {
  const n = world.count(inputs.get('n'), inputs.place);
  if (inputs.has('each')) return pinOneByOne(world, process, inputs, n);
  const name = `pin ${inputs.string('handle')}`;
  const pages = world.references.open(process, name, holderKind(inputs), true);
  // One buffer table a ring; one pin a file of gup_test.
  if (pages.length > 0) return failure(viaOf(inputs) === 'io_uring' ? -EBUSY : -EINVAL);
  const start = process.firstPage(inputs);
  for (let i = 0; i < n; i++) {
    if (!waitsForUserfault(world.k, process.task.mm!, start + i, true)) continue;
    world.userfaults++;
    return blocked(`pinning page ${i} waits for a reader of the userfaultfd`);
  }
  return returned(pinPages(world, process, inputs, start, n, name));
}

/** What keeps the pins, in Linux's words. */
function holderKind(inputs: Inputs): string {
  const via = viaOf(inputs);
  return via === 'io_uring' ? 'io_uring registered buffer' : `${via} (FOLL_LONGTERM)`;
}

function pinPages(
  world: World,
  process: Process,
  inputs: Inputs,
  start: Vpn,
  n: number,
  name: string,
): number {
  const pages = world.references.open(process, name, holderKind(inputs), true);
  if (viaOf(inputs) === 'io_uring') {
    const buffer = registerBuffer(world.k, process.task, start * PAGE_SIZE, n * PAGE_SIZE);
    if (typeof buffer === 'number') return buffer;
    for (const page of buffer.pages) pages.push(page);
    world.references.charge(process, name, buffer.accounted);
    return 0;
  }
  return gupTest(world, process, inputs, start, n, pages);
}

function viaOf(inputs: Inputs): string {
  return inputs.stringOr('via', 'io_uring');
}

/** PIN_LONGTERM_TEST_START of the gup_test driver: all of it, or nothing and the errno. */
function gupTest(
  world: World,
  process: Process,
  inputs: Inputs,
  start: Vpn,
  n: number,
  out: FrameId[],
): number {
  if (n === 0) return -EINVAL;
  const write = inputs.has('access') && inputs.string('access') === 'write';
  const flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
  const pin = inputs.get('fast') === true ? pinUserPagesFast : pinUserPages;
  const pages: FrameId[] = [];
  while (pages.length < n) {
    const got = pin(world.k, process.task, start + pages.length, n - pages.length, flags, pages);
    if (got > 0) continue;
    unpinUserPages(world.k, pages);
    return got < 0 ? got : -EFAULT;
  }
  for (const page of pages) out.push(page);
  return 0;
}

/** One pin and handle per page; `one_per` takes one page of each frame group. */
function pinOneByOne(world: World, process: Process, inputs: Inputs, n: number): Fields {
  const start = process.firstPage(inputs);
  const step = inputs.integerOr('step', 1);
  const groups = new Set<number>();
  let pinned = 0;
  let refused = 0;
  for (let i = 0; i < n; i += 1) {
    const vpn = start + i * step;
    if (!isChosen(world, process, inputs, vpn, groups)) continue;
    const name = `pin ${inputs.stringOr('handle', 'each')} ${vpn}`;
    const result = pinPages(world, process, inputs, vpn, 1, name);
    if (result === 0) pinned++;
    else if (refused === 0) refused = result;
  }
  return refused === 0 ? { pinned } : { pinned, errno: errnoName(refused) };
}

/** The first page met in each aligned group of frames of the node. */
function isChosen(
  world: World,
  process: Process,
  inputs: Inputs,
  vpn: Vpn,
  groups: Set<number>,
): boolean {
  const onePer = inputs.get('one_per');
  if (onePer === undefined) return true;
  const { node, frames } = onePer as { [field: string]: Json };
  const page = pageAt(world.k, process.task.mm!, vpn);
  if (page < 0 || world.k.pm.nidOf(page) !== node) return false;
  const group = Math.floor(world.k.frames.pfnOf(page) / Number(frames));
  if (groups.has(group)) return false;
  groups.add(group);
  return true;
}

export const PINNING_VERBS: VerbTable = {
  pin: doPin,
  unpin: (world, process, inputs) => {
    const name = `pin ${inputs.string('handle')}`;
    const held = world.references.release(process, name);
    // IORING_UNREGISTER_BUFFERS of a table without any.
    return held === 0 ? failure(-ENXIO) : SUCCESS;
  },
  'pin.close': (world, process, inputs) => {
    world.references.close(process, `pin ${inputs.string('handle')}`);
    return {};
  },
};
