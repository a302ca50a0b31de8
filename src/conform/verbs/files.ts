/** Verbs of files and settings: file.* memfd_secret mount sysfs.write ksm.merge lru.drain ... */
import { PAGE_SIZE } from '../../base/units.ts';
import {
  dropCleanCache,
  ksmPages,
  ksmScan,
  LOAD_FAILED,
  loadWord,
  syncFile,
  writeFilePages,
} from '../../mm/index.ts';
import { EBADF, EFAULT } from '../../uapi/errno.ts';
import { O_RDONLY } from '../../uapi/open.ts';
import type { Fields } from '../caseFile.ts';
import { OPEN } from '../caseWords.ts';
import { wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { failure, returned, SUCCESS } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

/** Created or truncated, then written in chunks; content per page as by `touch`, or zero. */
function doCreate(world: World, process: Process, inputs: Inputs): Fields {
  const path = inputs.string('file');
  world.files.open(path, OPEN.RDWR | OPEN.CREAT | OPEN.TRUNC);
  const file = world.files.find(path, inputs.place);
  world.cgroups.chargeFile(file, process.task);
  const pages = inputs.integer('pages');
  const perChunk = Math.max(1, Math.floor(inputs.integerOr('chunk', PAGE_SIZE) / PAGE_SIZE));
  const isZero = inputs.get('content') === 'zero';
  for (let first = 0; first < pages; first += perChunk) {
    const words = new Uint32Array(Math.min(perChunk, pages - first));
    if (!isZero) for (let n = 0; n < words.length; n++) words[n] = wordOfPage(first + n);
    const result = writeFilePages(world.k, process.task, file, first, words);
    if (result < 0) return failure(result);
    world.files.advancePosition(file, words.length * PAGE_SIZE);
    for (let n = 0; n < words.length; n++) world.countTouch(process.task);
  }
  return {};
}

function doOpen(world: World, _process: Process, inputs: Inputs): Fields {
  return returned(world.files.open(inputs.string('file'), inputs.flags('flags', OPEN)));
}

function doTruncate(world: World, _process: Process, inputs: Inputs): Fields {
  const file = world.files.find(inputs.string('file'), inputs.place);
  const pages = Math.ceil(Number(inputs.get('bytes')) / PAGE_SIZE);
  return returned(world.files.truncate(file, pages));
}

function doFsync(world: World, _process: Process, inputs: Inputs): Fields {
  syncFile(world.k, world.files.find(inputs.string('file'), inputs.place));
  return SUCCESS;
}

/** posix_fadvise(2) for the whole file. */
function doFadvise(world: World, _process: Process, inputs: Inputs): Fields {
  const file = world.files.find(inputs.string('file'), inputs.place);
  // Without readahead, nothing else changes what is cached.
  if (inputs.string('advice') === 'DONTNEED') dropCleanCache(world.k, file);
  return SUCCESS;
}

/** write(2) of one page's memory where the descriptor stands: behind what was written before. */
function doWrite(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('out_of'), inputs.place);
  const file = world.files.find(inputs.string('file'), inputs.place);
  if (world.files.accessOf(file) === O_RDONLY) return failure(-EBADF);
  const word = loadWord(world.k, process.task, region.start + inputs.integer('page'));
  if (word === LOAD_FAILED) return failure(-EFAULT);
  const bytes = Number(inputs.get('bytes'));
  const at = world.files.advancePosition(file, bytes);
  const first = Math.floor(at / PAGE_SIZE);
  const words = new Uint32Array(Math.ceil((at + bytes) / PAGE_SIZE) - first).fill(word);
  const result = writeFilePages(world.k, process.task, file, first, words);
  return returned(result < 0 ? result : bytes);
}

export const FILE_VERBS: VerbTable = {
  'file.create': doCreate,
  'file.open': doOpen,
  'file.truncate': doTruncate,
  'file.fsync': doFsync,
  'file.fadvise': doFadvise,
  'file.write': doWrite,
  'file.close': () => ({}),
  'file.unlink': (world, _process, inputs) => {
    world.files.unlink(inputs.string('file'), inputs.place);
    return {};
  },
  memfd_secret: (world, _process, inputs) => {
    world.files.createSecret(inputs.string('file'));
    return {};
  },
  mount: (world, _process, inputs) => {
    world.files.mount(inputs.string('at'), inputs.string('type'), inputs.stringOr('options', ''));
    return {};
  },
  'sysfs.write': (world, process, inputs) =>
    world.sysfs.write(inputs.string('file'), inputs.string('value'), process.task),
  // The KSM thread runs for that many full scans, then stops.
  'ksm.merge': (world, _process, inputs) => {
    for (let scan = 0; scan < inputs.integer('full_scans'); scan++) ksmScan(world.k);
    const { shared, sharing } = ksmPages(world.k);
    return { pages_shared: shared, pages_sharing: sharing };
  },
  'lru.drain': (world) => {
    world.k.lru.drainAll();
    return {};
  },
  // The model has no cached translations: every access sees the page tables.
  'tlb.flush': () => ({}),
};
