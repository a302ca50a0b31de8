/**
 * Accelerators against programs: their drivers move pages by faults, counters and hints, split what
 * comes back or not, make room, are closed while in use, and go away while in use.
 */
import { type AcceleratorContext, CoherentAccelerator, ENODEV, EREMOTEIO } from './kernelDoor.ts';
import { Mismatch } from './mismatch.ts';
import { isAllowed, storeByDevice, wordOf } from './model.ts';
import type { Operation } from './operations.ts';
import { noteCopies } from './playSpace.ts';
import { settle } from './settle.ts';
import type { Process, World } from './world.ts';

/** Pages that one operation has the device use. */
const USED_MAX = 40;

export function playAccelerator(w: World, o: Extract<Operation, { op: 'accelerator' }>): void {
  const p = w.process(o.proc);
  const { task } = p;
  const [start, end] = w.range(p, o.range);
  if (o.what === 'remove') {
    w.accelerators.remove(o.which, task);
    return;
  }
  const context = w.accelerators.context(task, o.which);
  if (context === null) return;
  const used = Math.min(end, start + USED_MAX);
  switch (o.what) {
    case 'migrate':
      context.migrateToDevice(task, start, end - start);
      break;
    case 'back':
      context.migrateToSystem(task, start, end - start);
      break;
    case 'load':
      for (let vpn = start; vpn < used; vpn++) loadPage(p, context, vpn);
      break;
    case 'store':
      for (let vpn = start; vpn < used; vpn++) storePage(w, p, context, vpn);
      break;
    case 'atomic':
      for (let vpn = start; vpn < used; vpn++) addToPage(w, p, context, vpn);
      break;
    case 'advise':
      context.advise(start, end - start, o.range.at % 2 === 0 ? 'device' : 'host');
      break;
    case 'cpu':
      noteCpu(p, context, start, used);
      break;
    case 'evict':
      evictOldest(p, context);
      break;
    case 'close':
      w.accelerators.close(context);
      checkClosed(p, context, start);
      break;
  }
}

/** What the device reads is what the program would; where there is no area it reads nothing. */
function loadPage(p: Process, context: AcceleratorContext, vpn: number): void {
  const page = p.space.pages.get(vpn);
  const word = context.load(p.task, vpn);
  if (word === -EREMOTEIO && page?.file?.kind !== 'peer') {
    throw new Mismatch(`DM-15: accelerator cannot reach page ${vpn}`);
  }
  if (word < 0) return;
  if (page === undefined || !isAllowed(page, false)) {
    throw new Mismatch(`accelerator reads page ${vpn}, which nobody may`);
  }
  if (settle(page, word) || word === wordOf(page)) return;
  throw new Mismatch(`accelerator reads ${word} at page ${vpn}, not ${wordOf(page)}`);
}

function storePage(w: World, p: Process, context: AcceleratorContext, vpn: number): void {
  const word = w.newWord();
  const ret = context.store(p.task, vpn, word);
  noteCopies(w, p, vpn, vpn + 1);
  if (ret >= 0) noteStored(p, vpn, word);
}

/** DM-70: the page is the device's alone while it adds to it. */
function addToPage(w: World, p: Process, context: AcceleratorContext, vpn: number): void {
  const addend = w.newWord();
  const sum = context.atomicAdd(p.task, vpn, addend);
  noteCopies(w, p, vpn, vpn + 1);
  if (sum < 0) return;
  const page = p.space.pages.get(vpn);
  const before = page === undefined ? 0 : wordOf(page);
  const isSettled = page !== undefined && settle(page, sum - addend);
  if (!isSettled && sum !== before + addend) {
    throw new Mismatch(`accelerator adds ${addend} to ${before} at page ${vpn}: ${sum}`);
  }
  noteStored(p, vpn, sum);
}

function noteStored(p: Process, vpn: number, word: number): void {
  const page = p.space.pages.get(vpn);
  if (page === undefined || !isAllowed(page, true)) {
    throw new Mismatch(`accelerator writes page ${vpn}, which nobody may`);
  }
  storeByDevice(page, word);
}

/** CPUs have used pages of a coherent device, which counts. */
function noteCpu(p: Process, context: AcceleratorContext, start: number, end: number): void {
  const { device } = context;
  if (!(device instanceof CoherentAccelerator)) return;
  for (let vpn = start; vpn < end; vpn++) device.noteCpuAccess(p.task, vpn);
}

/** Room is needed: the longest unused folio goes, whoever maps it. */
function evictOldest(p: Process, { device }: AcceleratorContext): void {
  const { oldest } = device.pages;
  if (oldest >= 0) device.sendHome(p.task, oldest);
}

function checkClosed(p: Process, context: AcceleratorContext, vpn: number): void {
  const ret = context.load(p.task, vpn);
  if (ret !== -ENODEV) throw new Mismatch(`a closed context reads ${ret}`);
}
