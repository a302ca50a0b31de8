/**
 * Devices against programs: pages go to device memory and come back, devices read and write through
 * their mirrors, take pages for themselves, run out of memory, give it all up.
 */
import type { DmirrorResult } from './kernelDoor.ts';
import { Mismatch } from './mismatch.ts';
import { isAllowed, storeByDevice, wordOf } from './model.ts';
import type { Operation } from './operations.ts';
import { noteCopies } from './playSpace.ts';
import { settle } from './settle.ts';
import type { Process, World } from './world.ts';

export function playDevice(w: World, o: Extract<Operation, { op: 'device' }>): void {
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const nr = end - start;
  const mirror = w.devices.mirror(p.task, o.coherent);
  switch (o.what) {
    case 'migrate':
      compareWords(p, start, mirror.migrateToDevice(p.task, start, nr));
      break;
    case 'back':
      mirror.migrateToSystem(p.task, start, nr);
      break;
    case 'read':
      compareWords(p, start, mirror.read(p.task, start, nr));
      break;
    case 'write':
      writeWords(w, p, o.coherent, start, nr);
      break;
    case 'exclusive': {
      compareWords(p, start, mirror.exclusive(p.task, start, nr));
      noteCopies(w, p, start, end);
      break;
    }
    case 'snapshot':
      compareSnapshot(p, start, mirror.snapshot(p.task, start, nr));
      break;
    case 'failAlloc':
      mirror.device.failsNext = true;
      break;
    case 'release':
      releaseDevice(w, p, o.coherent);
      break;
  }
}

/** What the device read is what a program would. */
function compareWords(p: Process, start: number, { words }: DmirrorResult): void {
  words.forEach((word, i) => {
    const page = p.space.pages.get(start + i);
    if (page === undefined) throw new Mismatch(`device reads page ${start + i}, not mapped`);
    if (settle(page, word) || word === wordOf(page)) return;
    throw new Mismatch(`device reads ${word} at page ${start + i}, not ${wordOf(page)}`);
  });
}

function writeWords(w: World, p: Process, coherent: boolean, start: number, nr: number): void {
  const words = Array.from({ length: nr }, () => w.newWord());
  const { cpages } = w.devices.mirror(p.task, coherent).write(p.task, start, words);
  noteCopies(w, p, start, start + nr);
  for (let i = 0; i < cpages; i++) {
    const page = p.space.pages.get(start + i);
    if (page === undefined || !isAllowed(page, true)) {
      throw new Mismatch(`device writes page ${start + i}, which nobody may`);
    }
    storeByDevice(page, words[i]);
  }
}

/** DM-13: no area is an error, a page that may not be written is never told as writable. */
function compareSnapshot(p: Process, start: number, perms: readonly string[] | number): void {
  if (typeof perms === 'number') throw new Mismatch(`snapshot returned ${perms}`);
  perms.forEach((perm, i) => {
    const page = p.space.pages.get(start + i);
    const isReadable = page !== undefined && (page.prot & 1) !== 0;
    if (!isReadable && perm !== 'ERROR') throw new Mismatch(`snapshot of ${start + i}: ${perm}`);
    if (isReadable && perm === 'ERROR') throw new Mismatch(`snapshot of ${start + i}: ${perm}`);
    if (perm.includes('WRITE') && (page!.prot & 2) === 0) {
      throw new Mismatch(`snapshot of ${start + i} is writable`);
    }
  });
}

/** All pages come back, unless somebody holds them or there is no room. */
function releaseDevice(w: World, p: Process, coherent: boolean): void {
  const { device } = w.devices.mirror(p.task, coherent);
  device.failsNext = false;
  device.release(p.task);
}
