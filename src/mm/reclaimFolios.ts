/**
 * Reclaim of a list of isolated folios (mm/vmscan.c: shrink_folio_list). TI-12, TI-14, TI-16.
 *
 * Deviates: I/O is synchronous: a dirty file folio is written and reclaimed in one pass where
 * Linux would leave it to the flusher threads, and swap-out completes at once (as with zram).
 * Not modelled: refault distances (workingset), congestion.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { vmEvent } from '../uapi/vmstat.ts';
import { tryToFreeBuffers } from './bufferHeads.ts';
import { canDemote, demoteFolioList } from './demote.ts';
import { removeFromPageCache, writeBack } from './fileFolio.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_LOCKED,
  PG_MLOCKED,
  PG_PARTIALLY_MAPPED,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { ScanControl } from './scanControl.ts';
import { splitFolio } from './splitFolio.ts';
import { addToSwapCache, deleteFromSwapCache } from './swapCache.ts';
import { folioReferenced, referencedFlags, tryToUnmap } from './unmapFolio.ts';

const PSWPOUT = vmEvent('pswpout');
const PGLAZYFREED = vmEvent('pglazyfreed');
const PGACTIVATE = vmEvent('pgactivate');
const THP_SWPOUT = vmEvent('thp_swpout');
const THP_SWPOUT_FALLBACK = vmEvent('thp_swpout_fallback');

const VERDICT_RECLAIM = 0;
const VERDICT_KEEP = 1;
const VERDICT_ACTIVATE = 2;
const VERDICT_CULL = 3;

/**
 * Reclaims what it can of `list` (isolated, NR_ISOLATED counted by the caller). Folios that stay
 * are left in `list` for putback. Returns base pages reclaimed or demoted.
 */
export function shrinkFolioList(
  k: Kernel,
  list: FrameId[],
  nid: Nid,
  sc: ScanControl,
  ignoreReferences: boolean,
): number {
  let reclaimed = 0;
  let demoting = canDemote(k, nid, sc);
  const demotable: FrameId[] = [];
  let queue = list.splice(0);
  for (;;) {
    const kept: FrameId[] = [];
    for (let n = 0; n < queue.length; n++) {
      const head = queue[n];
      const verdict = judge(k, head, sc, ignoreReferences);
      if (verdict === VERDICT_RECLAIM && demoting) {
        demotable.push(head);
        continue;
      }
      if (verdict === VERDICT_RECLAIM) {
        const pages = reclaimFolio(k, head, queue, sc);
        if (pages > 0) reclaimed += pages;
        else if (pages === 0) kept.push(head);
        continue;
      }
      if (verdict === VERDICT_ACTIVATE) activateLeftover(k, head, sc);
      kept.push(head);
    }
    list.push(...kept);
    if (demotable.length === 0) break;
    reclaimed += demoteFolioList(k, demotable, nid, sc);
    if (demotable.length === 0) break;
    // TI-14: leftovers are reclaimed the ordinary way, except by proactive reclaim.
    if (sc.kind === 2) {
      list.push(...demotable);
      break;
    }
    queue = demotable.splice(0);
    demoting = false;
  }
  return reclaimed;
}

/** TI-12, TI-16: the exits before reclaim or demotion. */
function judge(k: Kernel, head: FrameId, sc: ScanControl, ignoreReferences: boolean): number {
  const f = k.frames;
  const flags = f.flags[head];
  if ((flags & PG_LOCKED) !== 0) return VERDICT_KEEP;
  if ((flags & (PG_UNEVICTABLE | PG_MLOCKED)) !== 0) return VERDICT_CULL;
  const mapped = k.folios.mapcount(head) > 0;
  if (!sc.mayUnmap && mapped) return VERDICT_KEEP;
  const nr = k.folios.nrPages(head);
  const isDirty = (flags & (PG_DIRTY | PG_WRITEBACK)) !== 0;
  if (isDirty && k.folios.isFileLru(head)) sc.stat.dirty += nr;
  if ((flags & PG_WRITEBACK) !== 0) {
    sc.stat.writeback += nr;
    return VERDICT_ACTIVATE;
  }
  if (ignoreReferences) return VERDICT_RECLAIM;
  const young = mapped ? folioReferenced(k, head) : 0;
  if (mapped && referencedFlags.locked) return VERDICT_CULL;
  const referenced = (flags & PG_REFERENCED) !== 0;
  f.flags[head] &= ~PG_REFERENCED;
  if (young === 0) return VERDICT_RECLAIM;
  f.flags[head] |= PG_REFERENCED;
  if (referenced || young > 1) return VERDICT_ACTIVATE;
  if (referencedFlags.exec && k.folios.isFileLru(head)) return VERDICT_ACTIVATE;
  sc.stat.refKeep += nr;
  return VERDICT_KEEP;
}

function activateLeftover(k: Kernel, head: FrameId, sc: ScanControl): void {
  if ((k.frames.flags[head] & PG_ACTIVE) !== 0) return;
  const nr = k.folios.nrPages(head);
  k.frames.flags[head] |= PG_ACTIVE;
  k.vmstat.count(PGACTIVATE, nr);
  if (k.folios.isFileLru(head)) sc.stat.activateFile += nr;
  else sc.stat.activateAnon += nr;
}

/**
 * reclaimFolio's answer for a folio that was split: its pieces, itself included, are in `queue`.
 */
const REQUEUED = -1;

/** Frees one folio: its pages, 0 if it must stay, or REQUEUED. */
function reclaimFolio(k: Kernel, head: FrameId, queue: FrameId[], sc: ScanControl): number {
  const f = k.frames;
  const anon = k.folios.isAnon(head);
  const nr = k.folios.nrPages(head);
  if (anon && k.folios.maybeDmaPinned(head)) return 0;
  const swapbacked = (f.flags[head] & PG_SWAPBACKED) !== 0;
  if (anon && swapbacked && (f.flags[head] & PG_SWAPCACHE) === 0) {
    // Unmapped parts of a large folio need no I/O: split it first.
    const partial = (f.flags[head] & PG_PARTIALLY_MAPPED) !== 0;
    if (nr > 1 && partial) return splitInto(k, head, queue);
    const slot = k.swap.allocate(nr);
    if (slot < 0) {
      if (nr === 1 || k.swap.free === 0) return 0;
      k.vmstat.count(THP_SWPOUT_FALLBACK, 1);
      return splitInto(k, head, queue);
    }
    addToSwapCache(k, head, slot);
  }
  if (k.folios.mapcount(head) > 0 && !tryToUnmap(k, head)) {
    abandonSwap(k, head);
    sc.stat.unmapFail += nr;
    return 0;
  }
  if (anon) return swapbacked ? finishSwapOut(k, head, nr) : finishLazyfree(k, head, nr);
  return finishFile(k, head, nr);
}

/** Splits an isolated folio; its pieces are judged next. */
function splitInto(k: Kernel, head: FrameId, queue: FrameId[]): number {
  return splitFolio(k, head, queue) === 0 ? REQUEUED : 0;
}

/** A folio that could not be unmapped leaves the swap cache again if nothing refers to it. */
function abandonSwap(k: Kernel, head: FrameId): void {
  if ((k.frames.flags[head] & PG_SWAPCACHE) === 0) return;
  const slot = k.frames.private_[head];
  const nr = k.folios.nrPages(head);
  for (let i = 0; i < nr; i++) if (k.swap.count(slot + i) > 0) return;
  deleteFromSwapCache(k, head);
}

function finishSwapOut(k: Kernel, head: FrameId, nr: number): number {
  const f = k.frames;
  const slot = f.private_[head];
  if (f.refcount[head] !== nr + 1) return 0;
  if (f.content !== null)
    for (let i = 0; i < nr; i++) k.swap.setContent(slot + i, f.content[head + i]);
  f.flags[head] &= ~PG_DIRTY;
  k.vmstat.count(PSWPOUT, nr);
  if (k.folios.isThp(head)) k.vmstat.count(THP_SWPOUT, 1);
  deleteFromSwapCache(k, head);
  k.putFolio(head);
  return nr;
}

function finishLazyfree(k: Kernel, head: FrameId, nr: number): number {
  if (k.frames.refcount[head] !== 1) return 0;
  k.vmstat.count(PGLAZYFREED, nr);
  k.putFolio(head);
  return nr;
}

function finishFile(k: Kernel, head: FrameId, nr: number): number {
  const f = k.frames;
  const file = k.folios.hasFileMapping(head) ? k.files[k.folios.mappingId(head)] : null;
  if (file === null) {
    if (!tryToFreeBuffers(k, head)) return 0;
    if (f.refcount[head] !== 1) return 0;
    k.putFolio(head);
    return nr;
  }
  if (f.refcount[head] !== k.folios.expectedRefs(head) + 1) return 0;
  if (file.isShmem()) return swapOutShmem(k, head, nr, file.pages);
  if (!file.traits.writeback) return 0;
  if ((f.flags[head] & PG_DIRTY) !== 0) writeBack(k, head);
  if (!tryToFreeBuffers(k, head)) return 0;
  removeFromPageCache(k, head, false);
  k.putFolio(head);
  return nr;
}

/** shmem_writeout: the cache's entries become swap entries. */
function swapOutShmem(k: Kernel, head: FrameId, nr: number, pages: Map<number, number>): number {
  const f = k.frames;
  const slot = k.swap.allocate(nr);
  if (slot < 0) return 0;
  const index = f.indexOf(head);
  for (let i = 0; i < nr; i++) {
    if (f.content !== null) k.swap.setContent(slot + i, f.content[head + i]);
    k.swap.duplicate(slot + i);
    pages.set(index + i, -1 - (slot + i));
  }
  f.flags[head] &= ~PG_DIRTY;
  removeFromPageCache(k, head, true);
  k.vmstat.count(PSWPOUT, nr);
  k.putFolio(head);
  return nr;
}
