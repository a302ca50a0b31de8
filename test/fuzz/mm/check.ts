/**
 * After each operation: the kernel's invariants, every word of every process and file, and every
 * reference of every folio explained.
 */
import {
  findBrokenInvariants,
  MEMORY_DEVICE_FS_DAX,
  MEMORY_DEVICE_GENERIC,
  MEMORY_DEVICE_PCI_P2PDMA,
  PG_BUDDY,
  PG_DIRTY,
  PG_HUGETLB,
  PG_HWPOISON,
  PG_LAZYFREE_BATCH,
  PG_LOCKED,
  PG_LRU,
  PG_LRU_BATCH,
  PG_RESERVED,
  PG_TAIL,
  PTE_FAST,
  PTE_W,
  ptePayload,
  wantsWriteNotify,
} from './kernelDoor.ts';
import { isOutOfReach, type ModelPage, wordOf } from './model.ts';
import { isGuard, mappedFrame, NO_ENTRY, peekFile, peekPage } from './peek.ts';
import { settle } from './settle.ts';
import type { Process, World } from './world.ts';

/** Types of device memory that is never on its way from here to there. */
const HELD_BY_MAPPINGS: ReadonlySet<number> = new Set([
  MEMORY_DEVICE_FS_DAX,
  MEMORY_DEVICE_GENERIC,
  MEMORY_DEVICE_PCI_P2PDMA,
]);

/** Sentences about what is wrong; empty if nothing is. */
export function findMismatches(w: World): string[] {
  const wrong = findBrokenInvariants(w.k);
  const seen = new Set<unknown>();
  for (const process of w.processes) {
    if (seen.has(process.space)) continue;
    seen.add(process.space);
    compareSpace(w, process, wrong);
    compareWriteNotify(w, process, wrong);
  }
  for (const { kernel, model } of w.files) {
    if (kernel.sizePages !== model.size) wrong.push(`file ${kernel.name}: size differs`);
    for (const [index, word] of model.words) {
      const got = peekFile(w.k, kernel, index);
      if (got !== word) wrong.push(`file ${kernel.name} page ${index} holds ${got}, not ${word}`);
    }
  }
  for (const held of w.held) {
    if (!w.isAttached(held) || held.mapped!.model.lazy) continue;
    const { process, vpn } = held.mapped!;
    if (mappedFrame(w.k, process.task, vpn) !== held.page) {
      wrong.push(`PM-8: page ${vpn} of task ${process.task.pid} left its pinned frame`);
    }
  }
  explainReferences(w, wrong);
  w.devices.compareMirrors(wrong);
  w.accelerators.compare(wrong);
  w.mappedDevices.compare(wrong);
  return wrong;
}

function compareSpace(w: World, process: Process, wrong: string[]): void {
  const mm = process.task.mm!;
  const { pages } = process.space;
  let mapped = 0;
  for (const vma of mm.vmas) mapped += vma.nrPages;
  if (mapped !== pages.size) wrong.push(`mm ${mm.id} maps ${mapped} pages, not ${pages.size}`);
  let locked = 0;
  for (const [vpn, page] of pages) {
    if (page.locked) locked++;
    if (mm.findVma(vpn) === null) wrong.push(`page ${vpn} of mm ${mm.id} is not mapped`);
    if (isGuard(w.k, process.task, vpn) !== page.isGuarded) {
      wrong.push(`page ${vpn} of mm ${mm.id} is ${page.isGuarded ? 'no longer' : 'a'} guard`);
    }
    const got = peekMapped(w, process, vpn, page);
    if (page.file?.kind === 'peer' && (got === NO_ENTRY) !== isOutOfReach(page)) {
      wrong.push(`DM-90: page ${vpn} of mm ${mm.id} ${got === NO_ENTRY ? 'is lost' : 'is back'}`);
    }
    if (got === NO_ENTRY || settle(page, got)) continue;
    const word = wordOf(page);
    if (got !== word) wrong.push(`page ${vpn} of mm ${mm.id} holds ${got}, not ${word}`);
  }
  if (locked !== mm.lockedVm) wrong.push(`mm ${mm.id} locks ${mm.lockedVm} pages, not ${locked}`);
}

/** OV-21: a writable shared mapping of a file that is written back means a dirty folio. */
function compareWriteNotify(w: World, process: Process, wrong: string[]): void {
  const { k } = w;
  const mm = process.task.mm!;
  for (const vma of mm.vmas) {
    if (!wantsWriteNotify(vma)) continue;
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      const i = mm.pteIndex(vpn);
      const word = i < 0 ? 0 : k.ptes.words[i];
      if ((word & (PTE_FAST | PTE_W)) !== (PTE_FAST | PTE_W)) continue;
      if (!k.frames.has(k.frames.headOf(ptePayload(word)), PG_DIRTY)) {
        wrong.push(`OV-21: page ${vpn} of mm ${mm.id} is writable, its folio clean`);
      }
    }
  }
}

/** The word a read would give, or NO_ENTRY where it would be a signal. */
function peekMapped(w: World, process: Process, vpn: number, page: ModelPage): number {
  const got = peekPage(w.k, process.task, vpn);
  if (got !== NO_ENTRY) return got;
  if (page.file === null) return 0;
  if (page.file.kind === 'peer' || page.index >= page.file.size) return NO_ENTRY;
  if (page.word !== null) return 0; // a private copy that is gone
  return peekFile(w.k, process.task.mm!.findVma(vpn)!.file!, page.index);
}

/** DM-50: nobody but mappings and drivers, and the device itself of what it never takes back. */
function explainDeviceReferences(
  { k }: World,
  drivers: ReadonlyMap<number, number>,
  wrong: string[],
): void {
  const { refcount, mapcount, flags } = k.frames;
  for (const { type, start, nrPages } of k.devices.pagemaps) {
    if (!HELD_BY_MAPPINGS.has(type)) continue;
    const base = type === MEMORY_DEVICE_GENERIC ? 1 : 0;
    for (let head = start; head < start + nrPages; head++) {
      // Nearly all of them are free.
      if (refcount[head] === base && mapcount[head] === 0 && !drivers.has(head)) continue;
      if ((flags[head] & PG_TAIL) !== 0) continue;
      const known = base + k.folios.mapcount(head) + (drivers.get(head) ?? 0);
      const extra = k.frames.refcount[head] - known;
      if (extra !== 0) wrong.push(`DM-50: device page ${head} has ${extra} references too many`);
    }
  }
}

/** OV-39, OV-40: what is not expected is a batch, an isolation or a driver's. */
function explainReferences(w: World, wrong: string[]): void {
  const { k } = w;
  const f = k.frames;
  const drivers = new Map<number, number>();
  for (const held of w.held) {
    const head = f.headOf(held.page);
    const refs = held.pinned && !k.folios.isLarge(head) ? 1024 : 1;
    drivers.set(head, (drivers.get(head) ?? 0) + refs);
  }
  explainDeviceReferences(w, drivers, wrong);
  const busy = w.underway.length > 0;
  for (const zone of k.pm.zones) {
    for (const range of zone.presentRanges) {
      for (let frame = zone.managedFrom(range); frame < range.end; frame++) {
        const flags = f.flags[frame];
        if (f.refcount[frame] === 0 || (flags & (PG_TAIL | PG_BUDDY | PG_RESERVED)) !== 0) continue;
        if (f.mapcount[frame] < 0 || (flags & PG_HWPOISON) !== 0) continue;
        let known = k.folios.expectedRefs(frame) + (drivers.get(frame) ?? 0);
        if ((flags & PG_LRU_BATCH) !== 0) known++;
        if ((flags & PG_LAZYFREE_BATCH) !== 0) known++;
        const extra = f.refcount[frame] - known;
        const isolated = (flags & (PG_LRU | PG_LRU_BATCH | PG_HUGETLB)) === 0;
        const allowed = extra === 0 || (extra === 1 && busy && isolated);
        if (!allowed) wrong.push(`OV-39: frame ${frame} has ${extra} references too many`);
        else if (extra === 0 && isolated && (drivers.get(frame) ?? 0) === 0) {
          wrong.push(`OV-26: frame ${frame} is on no list and nobody holds it`);
        }
        if ((flags & PG_LOCKED) !== 0 && !busy) wrong.push(`frame ${frame} stays locked`);
      }
    }
  }
}
