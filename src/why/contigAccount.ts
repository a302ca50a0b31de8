/**
 * Why a range of frames cannot be had at once: alloc_contig_range for a given range, cma_alloc for
 * an area. PM-80..PM-83.
 *
 * For an area every stretch that cma_alloc would try is tried here against what is in the way, in
 * its order, so that the answer names the frames it would get.
 */
import { type FrameId, type Order, PAGEBLOCK_NR } from '../base/units.ts';
import {
  type CmaArea,
  contigObstacles,
  type Kernel,
  type OfflineObstacle,
  PG_BUDDY,
} from '../mm/index.ts';
import { type ObstacleGroup, obstacleGroups } from './obstacleGroups.ts';
import { CONTIG_WORDS } from './obstacleWords.ts';

export interface RangeAccount {
  readonly place: string;
  readonly startPfn: number;
  readonly pages: number;
  readonly nid: number;
  /** Pages in use that would have to move first: without room for them it is -ENOMEM. */
  readonly toMove: number;
  /** Free huge pages of the pool that others would have to replace first, likewise. */
  readonly toReplace: number;
  /** What the call would come to. */
  readonly verdict: string;
  readonly obstacles: readonly ObstacleGroup[];
}

export interface CmaAccount extends RangeAccount {
  /** Pages of the area, free in its bitmap, and in the longest free stretch of that. */
  readonly count: number;
  readonly available: number;
  readonly longestFree: number;
  /** First PFN that cma_alloc would give; null: it fails. */
  readonly gives: number | null;
  /** Stretches it would try, the one it gets included. */
  readonly tries: number;
}

/** alloc_contig_range(startPfn, startPfn + pages). Precondition: all of it is memory. */
export function whyRange(k: Kernel, startPfn: number, pages: number): RangeAccount {
  const start = k.frames.frameOfPfn(startPfn);
  const found = contigObstacles(k, start, start + pages, false);
  const inTheWay = inTheWayOf(k, start, start + pages);
  return {
    place: `range:${startPfn}+${pages}`,
    startPfn,
    pages,
    nid: k.pm.nidOf(start),
    ...inTheWay,
    verdict: rangeVerdict(found, inTheWay),
    obstacles: obstacleGroups(k, found, CONTIG_WORDS),
  };
}

function rangeVerdict(found: readonly OfflineObstacle[], inTheWay: InTheWay): string {
  if (found.some(({ effect }) => effect === 'refuses')) return 'refused at once: -EBUSY';
  if (found.length > 0) return 'fails after everything else has moved: -EBUSY';
  return movedFirst('can be had', inTheWay);
}

interface InTheWay {
  readonly toMove: number;
  readonly toReplace: number;
}

function movedFirst(text: string, { toMove, toReplace }: InTheWay): string {
  const moved = toMove === 1 ? '1 page moves' : `${toMove} pages move`;
  const replaced = `${toReplace} huge page${toReplace === 1 ? '' : 's'} of the pool replaced`;
  const first = [...(toMove === 0 ? [] : [moved]), ...(toReplace === 0 ? [] : [replaced])];
  return first.length === 0 ? text : `${text}; ${first.join(', ')} first, without room -ENOMEM`;
}

/** cma_alloc of `pages` pages, aligned to 2^align. */
export function whyCma(k: Kernel, area: CmaArea, pages: number, align: Order): CmaAccount {
  const base = k.frames.frameOfPfn(area.basePfn);
  const found = areaObstacles(k, area, base);
  const blocked = new Uint8Array(area.count);
  for (const one of found) {
    const from = Math.max(0, one.frame - base);
    blocked.fill(1, from, Math.max(from, one.frame + one.nrPages - base));
  }
  const { at, tries } = firstStretch(k, area, blocked, pages, 1 << align);
  const first = base + Math.max(at, 0);
  const inTheWay = inTheWayOf(k, first, at < 0 ? first : first + pages);
  return {
    place: `cma:${area.name}+${pages}${align === 0 ? '' : `, aligned to ${1 << align}`}`,
    startPfn: area.basePfn,
    pages,
    nid: k.pm.nidOf(base),
    ...inTheWay,
    count: area.count,
    available: area.available,
    longestFree: area.longestFree,
    gives: at < 0 ? null : area.basePfn + at,
    tries,
    verdict: areaVerdict(area, pages, at, tries, inTheWay),
    obstacles: obstacleGroups(k, found, CONTIG_WORDS),
  };
}

/** What is in the way in those parts of the area that no driver has. */
function areaObstacles(k: Kernel, area: CmaArea, base: FrameId): OfflineObstacle[] {
  const found: OfflineObstacle[] = [];
  for (let at = 0; at < area.count; ) {
    let end = at;
    while (end < area.count && area.bitmap[end] === 0) end++;
    if (end > at) found.push(...contigObstacles(k, base + at, base + end, true));
    at = end + 1;
  }
  return found;
}

/** The stretch that cma_alloc ends with, by page of the area (-1: none), and how many it tries. */
function firstStretch(
  k: Kernel,
  area: CmaArea,
  blocked: Uint8Array,
  pages: number,
  align: number,
): { at: number; tries: number } {
  const base = k.frames.frameOfPfn(area.basePfn);
  let tries = 0;
  let from = 0;
  while (pages > 0 && pages <= area.available) {
    const at = area.findFree(pages, from, align);
    if (at < 0) break;
    tries++;
    const isFree = blocked.subarray(at, at + pages).indexOf(1) < 0;
    if (isFree && !isInsideFolio(k, base + at)) return { at, tries };
    from = at + align;
  }
  return { at: -1, tries };
}

function isInsideFolio(k: Kernel, frame: FrameId): boolean {
  const head = k.frames.headOf(frame);
  return head !== frame && k.frames.refcount[head] > 0 && !k.folios.isHugetlb(head);
}

function areaVerdict(
  area: CmaArea,
  pages: number,
  at: number,
  tries: number,
  inTheWay: InTheWay,
): string {
  if (at >= 0) {
    const passed = tries === 1 ? '' : ` after ${tries - 1} that were busy`;
    return movedFirst(`gives pfn ${area.basePfn + at}${passed}`, inTheWay);
  }
  if (pages > area.count) return `fails: the area has ${area.count} pages`;
  if (tries === 0) return `fails: ${area.available} pages free, ${area.longestFree} in one stretch`;
  const stretches = tries === 1 ? 'the only free stretch' : `each of ${tries} free stretches`;
  return `fails: -EBUSY in ${stretches}`;
}

/** What of [start, end) is not free. */
function inTheWayOf(k: Kernel, start: FrameId, end: FrameId): InTheWay {
  let toMove = 0;
  let toReplace = 0;
  for (let frame = start; frame < end; ) {
    if (k.pm.isPristine(frame)) {
      frame += PAGEBLOCK_NR - (frame % PAGEBLOCK_NR);
      continue;
    }
    const head = k.frames.headOf(frame);
    if (k.hugetlb.isFree(head)) {
      toReplace++;
      frame = head + k.folios.nrPages(head);
      continue;
    }
    const isFree = (k.frames.flags[frame] & PG_BUDDY) !== 0;
    if (!isFree && k.frames.refcount[head] > 0) toMove++;
    frame += isFree ? 1 << k.frames.orderOf(frame) : 1;
  }
  return { toMove, toReplace };
}
