/** Verbs of the address space: mmap munmap mprotect mremap madvise mlock munlock. */
import { PAGE_SIZE } from '../../base/units.ts';
import { type MappedFile, pageAt, type Task } from '../../mm/index.ts';
import {
  madvise,
  mlock,
  mlock2,
  mmap,
  mprotect,
  mremap,
  munlock,
  munmap,
} from '../../syscalls/index.ts';
import { O_RDWR } from '../../uapi/open.ts';
import type { Fields } from '../caseFile.ts';
import { ADVICE, MAP, MLOCK, MREMAP, PROT } from '../caseWords.ts';
import type { Inputs } from '../inputs.ts';
import { returned, returnedAddress } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

function doMmap(world: World, process: Process, inputs: Inputs): Fields {
  const flags = inputs.flags('flags', MAP);
  const pages = inputs.integer('pages');
  const at = inputs.address('at');
  const prot = inputs.flags('prot', PROT);
  const file = inputs.has('file') ? fileOf(world, inputs) : null;
  const offset = inputs.integerOr('offset', 0);
  const { k } = world;
  const access = file === null ? O_RDWR : world.files.accessOf(file);
  const start = mmap(k, process.task, at, pages * PAGE_SIZE, prot, flags, file, offset, access);
  const first = (start < 0 ? at : start) / PAGE_SIZE;
  process.regions.set(inputs.string('region'), { start: first, pages, isSame: false });
  return returnedAddress(start);
}

function fileOf(world: World, inputs: Inputs): MappedFile {
  return world.files.find(inputs.string('file'), inputs.place);
}

function doMremap(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('region'), inputs.place);
  const pages = inputs.integer('pages');
  const start = mremap(
    world.k,
    process.task,
    region.start * PAGE_SIZE,
    region.pages * PAGE_SIZE,
    pages * PAGE_SIZE,
    inputs.flags('flags', MREMAP),
    inputs.address('to'),
  );
  if (start >= 0) {
    region.start = start / PAGE_SIZE;
    region.pages = pages;
  }
  return returnedAddress(start);
}

/** A call on the pages `from`, `n` of a region: address and length in bytes. */
function onRange(call: (world: World, task: Task, address: number, len: number) => number) {
  return (world: World, process: Process, inputs: Inputs): Fields => {
    const len = world.count(inputs.get('n'), inputs.place) * PAGE_SIZE;
    return returned(call(world, process.task, process.address(inputs), len));
  };
}

/** One call for the range, or with `step` one call per page. */
function doMadvise(world: World, process: Process, inputs: Inputs): Fields {
  const name = inputs.string('advice');
  const advice = ADVICE[name];
  const { k } = world;
  const n = world.count(inputs.get('n'), inputs.place);
  const address = process.address(inputs);
  if (!inputs.has('step')) {
    return returned(madvise(k, process.task, address, n * PAGE_SIZE, advice));
  }
  const step = inputs.integer('step') * PAGE_SIZE;
  let failed = 0;
  for (let i = 0; i < n; i++) {
    const at = address + i * step;
    if (inputs.has('except') && isPinned(world, process, at / PAGE_SIZE)) continue;
    if (madvise(k, process.task, at, PAGE_SIZE, advice) < 0) failed++;
  }
  return { failed };
}

function isPinned(world: World, process: Process, vpn: number): boolean {
  const { k } = world;
  const page = pageAt(k, process.task.mm!, vpn);
  return page >= 0 && k.folios.maybeDmaPinned(k.frames.headOf(page));
}

function doMlock(world: World, process: Process, inputs: Inputs): Fields {
  const len = world.count(inputs.get('n'), inputs.place) * PAGE_SIZE;
  const flags = inputs.flags('flags', MLOCK);
  const address = process.address(inputs);
  const { task } = process;
  const result = inputs.has('flags')
    ? mlock2(world.k, task, address, len, flags)
    : mlock(world.k, task, address, len);
  return returned(result);
}

export const MAPPING_VERBS: VerbTable = {
  mmap: doMmap,
  munmap: onRange((world, task, address, len) => munmap(world.k, task, address, len)),
  mprotect: (world, process, inputs) => {
    const prot = inputs.flags('prot', PROT);
    const call = onRange((w, task, address, len) => mprotect(w.k, task, address, len, prot));
    return call(world, process, inputs);
  },
  mremap: doMremap,
  madvise: doMadvise,
  mlock: doMlock,
  munlock: onRange((world, task, address, len) => munlock(world.k, task, address, len)),
};
