/** madvise: what each advice may do to values and attributes. */
import {
  EINVAL,
  ENOMEM,
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
  madviseRange,
} from './kernelDoor.ts';
import { Mismatch } from './mismatch.ts';
import type { ModelPage } from './model.ts';
import type { Operation } from './operations.ts';
import { isGuard, NO_ENTRY, peekPage } from './peek.ts';
import { noteCopies } from './playSpace.ts';
import type { Process, World } from './world.ts';

const UNCHECKED: ReadonlySet<number> = new Set([MADV_COLLAPSE, MADV_MERGEABLE, MADV_UNMERGEABLE]);

export function playAdvice(w: World, o: Extract<Operation, { op: 'madvise' }>): void {
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const result = madviseRange(w.k, p.task, start, end, o.advice);
  if (o.advice === MADV_POPULATE_READ || o.advice === MADV_POPULATE_WRITE) {
    noteCopies(w, p, start, end);
    return;
  }
  if (o.advice === MADV_GUARD_INSTALL && result === -ENOMEM) {
    noteGuards(w, p, start, end);
    return;
  }
  // Whether pages can be collapsed or merged is not a question of values.
  if (UNCHECKED.has(o.advice)) return;
  let expected = 0;
  for (let vpn = start; vpn < end; vpn++) {
    const page = p.space.pages.get(vpn);
    if (page === undefined) {
      expected = -ENOMEM;
    } else if (isRefused(page, o.advice, w.k.profile.guardRegions)) {
      expected = -EINVAL;
      break;
    } else {
      p.space.pages.set(vpn, advise(page, o.advice));
    }
  }
  if (result !== expected) {
    throw new Mismatch(`madvise ${o.advice} returned ${result}, not ${expected}`);
  }
}

/** Guards with a hole between them, or until no memory for page tables was left. */
function noteGuards(w: World, p: Process, start: number, end: number): void {
  for (let vpn = start; vpn < end; vpn++) {
    const page = p.space.pages.get(vpn);
    if (page === undefined) continue;
    const isGuarded = isGuard(w.k, p.task, vpn);
    const isEmpty = !page.isGuarded && peekPage(w.k, p.task, vpn) === NO_ENTRY;
    if (isEmpty) p.space.pages.set(vpn, { ...page, word: null, lazy: false, isGuarded });
  }
}

function isRefused(page: ModelPage, advice: number, guards: boolean): boolean {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_COLD:
    case MADV_PAGEOUT:
      return page.locked;
    case MADV_FREE:
      return page.locked || page.file !== null;
    case MADV_WIPEONFORK:
      return page.file !== null;
    case MADV_GUARD_INSTALL:
      return !guards || page.locked || page.file?.kind === 'peer';
    case MADV_GUARD_REMOVE:
      return !guards || page.file?.kind === 'peer';
    default:
      return false;
  }
}

/** The page afterwards: a new one where the old one was dropped, which is then no longer there. */
function advise(page: ModelPage, advice: number): ModelPage {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      return { ...page, word: null, lazy: false, isGone: page.file?.kind === 'peer' };
    case MADV_GUARD_INSTALL:
      if (page.isGuarded) return page;
      return { ...page, word: null, lazy: false, isGuarded: true };
    case MADV_GUARD_REMOVE:
      page.isGuarded = false;
      break;
    case MADV_FREE:
      page.lazy = true;
      break;
    case MADV_DONTFORK:
      page.dontFork = true;
      break;
    case MADV_DOFORK:
      page.dontFork = false;
      break;
    case MADV_WIPEONFORK:
      page.wipeOnFork = true;
      break;
    case MADV_KEEPONFORK:
      page.wipeOnFork = false;
      break;
  }
  return page;
}
