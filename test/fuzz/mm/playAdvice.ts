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
import { noteCopies } from './playSpace.ts';
import type { World } from './world.ts';

const UNCHECKED: ReadonlySet<number> = new Set([MADV_COLLAPSE, MADV_MERGEABLE, MADV_UNMERGEABLE]);

export function playAdvice(w: World, o: Extract<Operation, { op: 'madvise' }>): void {
  const p = w.process(o.proc);
  const [start, end] = w.range(p, o.range);
  const result = madviseRange(w.k, p.task, start, end, o.advice);
  if (o.advice === MADV_POPULATE_READ || o.advice === MADV_POPULATE_WRITE) {
    noteCopies(w, p, start, end);
    return;
  }
  // Whether pages can be collapsed or merged is not a question of values.
  if (UNCHECKED.has(o.advice)) return;
  let expected = 0;
  for (let vpn = start; vpn < end; vpn++) {
    const page = p.space.pages.get(vpn);
    if (page === undefined) {
      expected = -ENOMEM;
    } else if (isRefused(page, o.advice)) {
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

function isRefused(page: ModelPage, advice: number): boolean {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_COLD:
    case MADV_PAGEOUT:
      return page.locked;
    case MADV_FREE:
      return page.locked || page.file !== null;
    case MADV_WIPEONFORK:
      return page.file !== null;
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
