/** Verbs of files and settings: file.* memfd_secret mount sysfs.write ksm.merge lru.drain ... */
import { PAGE_SIZE } from '../../base/units.ts';
import { ksmPages, ksmScan, loadWord, syncFile, writeFilePages } from '../../mm/index.ts';
import type { Fields } from '../caseFile.ts';
import { wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { failure, returned, SUCCESS } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

/** Created or truncated, then written in chunks; content per page as by `touch`, or zero. */
function doCreate(world: World, process: Process, inputs: Inputs): Fields {
  const file = world.files.create(inputs.string('file'));
  world.files.truncate(file, 0);
  world.cgroups.chargeFile(file, process.task);
  const pages = inputs.integer('pages');
  const perChunk = Math.max(1, Math.floor(inputs.integer('chunk') / PAGE_SIZE));
  const isZero = inputs.get('content') === 'zero';
  for (let first = 0; first < pages; first += perChunk) {
    const words = new Uint32Array(Math.min(perChunk, pages - first));
    if (!isZero) for (let n = 0; n < words.length; n++) words[n] = wordOfPage(first + n);
    const result = writeFilePages(world.k, process.task, file, first, words);
    if (result < 0) return failure(result);
    for (let n = 0; n < words.length; n++) world.countTouch(process.task);
  }
  return {};
}

function doOpen(world: World, _process: Process, inputs: Inputs): Fields {
  world.files.create(inputs.string('file'));
  return {};
}

function doTruncate(world: World, _process: Process, inputs: Inputs): Fields {
  const file = world.files.find(inputs.string('file'), inputs.place);
  world.files.truncate(file, Math.ceil(inputs.integer('bytes') / PAGE_SIZE));
  return SUCCESS;
}

function doFsync(world: World, _process: Process, inputs: Inputs): Fields {
  syncFile(world.k, world.files.find(inputs.string('file'), inputs.place));
  return SUCCESS;
}

/** write(2) of one page's memory at the start of the file. */
function doWrite(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('out_of'), inputs.place);
  const word = loadWord(world.k, process.task, region.start + inputs.integer('page'));
  const file = world.files.find(inputs.string('file'), inputs.place);
  const bytes = inputs.integer('bytes');
  const words = new Uint32Array(Math.ceil(bytes / PAGE_SIZE)).fill(word);
  const result = writeFilePages(world.k, process.task, file, 0, words);
  return returned(result < 0 ? result : bytes);
}

export const FILE_VERBS: VerbTable = {
  'file.create': doCreate,
  'file.open': doOpen,
  'file.truncate': doTruncate,
  'file.fsync': doFsync,
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
    world.files.mount(inputs.string('at'), inputs.string('type'), inputs.string('options'));
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
