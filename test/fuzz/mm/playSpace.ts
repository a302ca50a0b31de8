/** The operations of programs: address spaces, processes, accesses. */
import {
  accessPage,
  applyLockFlags,
  cloneThread,
  ENOMEM,
  exitTask,
  FAULT_ERROR,
  FAULT_OOM,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  forkTask,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_LOCKED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  mmapRegion,
  mprotectRange,
  mremapRange,
  munmapRange,
  populateRange,
  reapTask,
  setBrk,
  VM_LOCKED,
  VM_LOCKONFAULT,
} from './kernelDoor.ts';
import { Mismatch } from './mismatch.ts';
import { isAllowed, isOutOfReach, ModelFile, type ModelPage, store, wordOf } from './model.ts';
import type { Operation } from './operations.ts';
import { hasPrivateCopy } from './peek.ts';
import { playAdvice } from './playAdvice.ts';
import { LAZY_SETTLED, settle } from './settle.ts';
import type { Process, World } from './world.ts';

/** Fixed mappings go to these slots, 4 MiB apart and aligned. */
const SLOT_BASE = 0x100000;
const SLOT_PAGES = 1024;
/** From here on pages of the hugetlb pool; one that has none left is SIGBUS. */
export const HUGE_BASE = 0x400000;
const PROCESSES_MAX = 8;
/** Words that many pages hold, so that they can be merged. */
const SAME_WORDS = 0x40000000;

type Of<K extends Operation['op']> = Extract<Operation, { op: K }>;
type Player<K extends Operation['op']> = (w: World, o: Of<K>) => void;

const PLAYERS = {
  spawn(w: World, o: Of<'spawn'>) {
    if (w.processes.length < PROCESSES_MAX) w.spawn(o.cpu);
  },
  mmap: playMmap,
  munmap(w: World, o: Of<'munmap'>) {
    const p = w.process(o.proc);
    const [start, end] = w.range(p, o.range);
    munmapRange(w.k, p.task.mm!, start, end);
    p.space.unmap(start, end);
  },
  mprotect: playMprotect,
  mremap: playMremap,
  madvise: playAdvice,
  mlock: playLock,
  munlock: playLock,
  brk: playBrk,
  fork: playTask,
  clone: playTask,
  exit: playTask,
  cpu(w: World, o: Of<'cpu'>) {
    w.k.placeTask(w.process(o.proc).task, w.cpus[o.cpu % w.cpus.length]);
  },
  access(w: World, o: Of<'access'>) {
    const p = w.process(o.proc);
    const [start, end] = w.range(p, o.range);
    for (let vpn = start; vpn < end; vpn += o.stride) {
      if (access(w, p, vpn, o.write) === OUT_OF_MEMORY) break;
    }
  },
  storeSame(w: World, o: Of<'storeSame'>) {
    const p = w.process(o.proc);
    const [start, end] = w.range(p, o.range);
    for (let vpn = start; vpn < end; vpn++) access(w, p, vpn, true, SAME_WORDS + o.word);
  },
} satisfies { readonly [K in Operation['op']]?: Player<K> };

export type SpaceOperation = Of<keyof typeof PLAYERS>;

export function isSpaceOperation(o: Operation): o is SpaceOperation {
  return o.op in PLAYERS;
}

export function playSpace(w: World, o: SpaceOperation): void {
  (PLAYERS[o.op] as (w: World, o: Operation) => void)(w, o);
}

export const ACCESSED = 0;
export const SIGNALLED = 1;
export const OUT_OF_MEMORY = 2;

/** One access of a program, its outcome and its value checked. */
export function access(
  w: World,
  p: Process,
  vpn: number,
  write: boolean,
  same: number | null = null,
): number {
  const page = p.space.pages.get(vpn);
  const expected = expectedError(page, write);
  const outcome = accessPage(w.k, p.task, vpn, write);
  const got = outcome & FAULT_ERROR;
  const what = `${write ? 'write to' : 'read of'} page ${vpn} of task ${p.task.pid}`;
  if (got === FAULT_OOM && expected !== FAULT_SIGSEGV) return OUT_OF_MEMORY;
  if (got === FAULT_SIGBUS && vpn >= HUGE_BASE) return OUT_OF_MEMORY;
  if (got !== expected) throw new Mismatch(`${what}: outcome ${got}, expected ${expected}`);
  if (got !== 0 || page === undefined) return SIGNALLED;
  const frame = w.frameAt(p, vpn);
  const content = w.k.frames.content!;
  if (write) {
    if (frame < 0) throw new Mismatch(`${what}: page is ${frame} after a write fault`);
    checkWord(page, content[frame], what);
    const word = same ?? w.newWord();
    content[frame] = word;
    store(page, word);
  } else {
    checkWord(page, frame >= 0 ? content[frame] : 0, what);
  }
  return ACCESSED;
}

/** Populating may copy private file pages before any store: they keep what the file has now. */
export function noteCopies(w: World, p: Process, start: number, end: number): void {
  const { k } = w;
  for (let vpn = start; vpn < end; vpn++) {
    const page = p.space.pages.get(vpn);
    if (page === undefined || page.shared || page.file === null || page.word !== null) continue;
    if (hasPrivateCopy(k, p.task, vpn)) page.word = wordOf(page);
  }
}

function checkWord(page: ModelPage, got: number, what: string): void {
  if (settle(page, got) === LAZY_SETTLED) return;
  const expected = wordOf(page);
  if (got !== expected) throw new Mismatch(`${what}: holds ${got}, must hold ${expected}`);
}

function expectedError(page: ModelPage | undefined, write: boolean): number {
  if (page === undefined || !isAllowed(page, write)) return FAULT_SIGSEGV;
  return isOutOfReach(page) ? FAULT_SIGBUS : 0;
}

function playMmap(w: World, o: Extract<Operation, { op: 'mmap' }>): void {
  const p = w.process(o.proc);
  const mm = p.task.mm!;
  const file = o.file >= 0 ? w.files[o.file % w.files.length] : null;
  const addr = o.fixed >= 0 ? SLOT_BASE + o.fixed * SLOT_PAGES : 0;
  const flags =
    (o.shared ? MAP_SHARED : MAP_PRIVATE) |
    (file === null ? MAP_ANONYMOUS : 0) |
    (o.fixed >= 0 ? MAP_FIXED : 0) |
    (o.locked ? MAP_LOCKED : 0);
  const kernelFile = file === null ? null : file.kernel;
  const { pages, prot, pgoff } = o;
  const start = mmapRegion(w.k, mm, { addr, pages, prot, flags, file: kernelFile, pgoff });
  if (start < 0) {
    if (start !== -ENOMEM) throw new Mismatch(`mmap returned ${start}`);
    return;
  }
  if (o.fixed < 0) {
    for (let i = 0; i < pages; i++) {
      if (p.space.pages.has(start + i)) throw new Mismatch(`mmap chose a used page ${start + i}`);
    }
  }
  let model = file === null ? null : file.model;
  if (file === null && o.shared) {
    model = new ModelFile(pages);
    w.modelOf.set(mm.findVma(start)!.file!, model);
  }
  for (let i = 0; i < pages; i++) {
    const index = file === null ? i : pgoff + i;
    p.space.pages.set(start + i, newPage(prot, o.shared, model, index, o.locked));
  }
  p.space.addArea(start, pages);
  if (o.populate || o.locked) {
    populateRange(w.k, p.task, start, start + pages);
    noteCopies(w, p, start, start + pages);
  }
}

export function newPage(
  prot: number,
  shared: boolean,
  file: ModelFile | null,
  index: number,
  locked: boolean,
): ModelPage {
  const none = {
    word: null,
    lazy: false,
    dontFork: false,
    wipeOnFork: false,
    isGone: false,
    isGuarded: false,
  };
  return { prot, shared, file, index, locked: locked && file?.isLockable !== false, ...none };
}

function playMprotect(w: World, o: Extract<Operation, { op: 'mprotect' }>): void {
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const result = mprotectRange(w.k, p.task.mm!, start, end, o.prot);
  let vpn = start;
  for (; vpn < end; vpn++) {
    const page = p.space.pages.get(vpn);
    if (page === undefined) break;
    page.prot = o.prot;
  }
  const expected = vpn < end ? -ENOMEM : 0;
  if (result !== expected) throw new Mismatch(`mprotect returned ${result}, not ${expected}`);
}

function playLock(w: World, o: Extract<Operation, { op: 'mlock' | 'munlock' }>): void {
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const locks = o.op === 'mlock';
  const flags = !locks ? 0 : o.onfault ? VM_LOCKED | VM_LOCKONFAULT : VM_LOCKED;
  const result = applyLockFlags(w.k, p.task.mm!, start, end, flags);
  let vpn = start;
  for (; vpn < end; vpn++) {
    const page = p.space.pages.get(vpn);
    if (page === undefined) break;
    page.locked = locks && page.file?.isLockable !== false;
  }
  const expected = vpn < end ? -ENOMEM : 0;
  if (result !== expected) throw new Mismatch(`${o.op} returned ${result}, not ${expected}`);
  if (!locks || o.onfault || result !== 0) return;
  populateRange(w.k, p.task, start, end);
  noteCopies(w, p, start, end);
}

function playBrk(w: World, o: Extract<Operation, { op: 'brk' }>): void {
  const p = w.process(o.proc);
  const old = p.space.brk;
  const brk = setBrk(w.k, p.task.mm!, old + o.delta);
  if (brk !== old && brk !== old + o.delta) throw new Mismatch(`brk returned ${brk}`);
  for (let vpn = old; vpn < brk; vpn++) p.space.pages.set(vpn, newPage(3, false, null, 0, false));
  p.space.unmap(brk, old);
  p.space.brk = brk;
  if (brk > old) p.space.addArea(old, brk - old);
}

function playTask(w: World, o: Extract<Operation, { op: 'fork' | 'clone' | 'exit' }>): void {
  const p = w.process(o.proc);
  if (o.op === 'exit') {
    exitTask(w.k, p.task);
    reapTask(w.k, p.task);
    w.processes = w.processes.filter((other) => other !== p);
    return;
  }
  if (w.processes.length >= PROCESSES_MAX) return;
  if (o.op === 'clone') {
    w.processes.push({ task: cloneThread(w.k, p.task), space: p.space });
    return;
  }
  const child = forkTask(w.k, p.task);
  if (typeof child === 'number') {
    if (child !== -ENOMEM) throw new Mismatch(`fork returned ${child}`);
    return;
  }
  w.processes.push({ task: child, space: p.space.fork() });
}

/**
 * A move of several areas leaves holes as they are, at the source and at the target. One that
 * fails has moved the areas before, and emptied the place of the one that failed: which, is asked.
 */
function moveAreas(p: Process, start: number, end: number, target: number, at: number): void {
  const { space } = p;
  const isMapped = (vpn: number): boolean => p.task.mm!.findVma(vpn) !== null;
  if (at >= 0 && !space.pages.has(start)) throw new Mismatch(`mremap began with the hole ${start}`);
  for (let i = 0; i < end - start; i++) {
    const page = space.pages.get(start + i);
    if (page === undefined) continue;
    if (at >= 0 || !isMapped(start + i)) {
      space.pages.delete(start + i);
      space.pages.set(target + i, page);
    } else if (!isMapped(target + i)) space.pages.delete(target + i);
  }
  if (at >= 0) space.addArea(target, end - start);
}

function playMremap(w: World, o: Extract<Operation, { op: 'mremap' }>): void {
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const oldPages = end - start;
  const keepOld = o.how === 3;
  const newPages = keepOld ? oldPages : o.newLen;
  const flags = [
    0,
    MREMAP_MAYMOVE,
    MREMAP_MAYMOVE | MREMAP_FIXED,
    MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
  ][o.how];
  const target = SLOT_BASE + o.fixed * SLOT_PAGES;
  const at = mremapRange(w.k, p.task, start, oldPages, newPages, flags, target);
  const { space } = p;
  const fixed = o.how === 2;
  const overlaps = target < end && start < target + newPages;
  if (fixed && newPages === oldPages && !overlaps && w.k.profile.mremapMovesManyAreas) {
    moveAreas(p, start, end, target, at);
    return;
  }
  if (at < 0) {
    if (at === -ENOMEM && fixed) {
      space.unmap(target, target + newPages);
      if (newPages < oldPages) space.unmap(start + newPages, end);
    }
    return;
  }
  const moved: ModelPage[] = [];
  for (let i = 0; i < Math.min(oldPages, newPages); i++) {
    const page = space.pages.get(start + i);
    if (page === undefined) throw new Mismatch(`mremap accepted the hole at ${start + i}`);
    moved.push(page);
  }
  if (fixed) space.unmap(at, at + newPages);
  space.unmap(start, end);
  moved.forEach((page, i) => {
    space.pages.set(at + i, page);
    if (!keepOld) return;
    const { prot, shared, file, index, dontFork, wipeOnFork } = page;
    space.pages.set(start + i, {
      ...newPage(prot, shared, file, index, false),
      dontFork,
      wipeOnFork,
      isGone: file?.kind === 'peer',
    });
  });
  const first = moved[0];
  for (let i = oldPages; i < newPages; i++) {
    const { prot, shared, file, index, locked, dontFork, wipeOnFork } = first;
    const isGone = file?.kind === 'peer';
    const added = newPage(prot, shared, file, index + i, locked);
    const page = { ...added, dontFork, wipeOnFork, isGone };
    if (space.pages.has(at + i)) throw new Mismatch(`mremap grew over page ${at + i}`);
    space.pages.set(at + i, page);
  }
  if (at !== start) space.addArea(at, newPages);
}
