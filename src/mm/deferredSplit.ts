/**
 * The deferred split shrinker (mm/huge_memory.c: deferred_split_scan;
 * mm/shrinker.c: do_shrink_slab). Large anonymous folios of which a part was unmapped are split
 * under pressure, and the unmapped pages are freed. MC-12, MC-87.
 *
 * Not modelled: the scan for underused huge pages, which the default max_ptes_none switches off.
 */
import type { FrameId, Nid } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import { splitMappedFolio } from './splitFolio.ts';

/** Objects that make a scan worth while (SHRINK_BATCH). */
const SHRINK_BATCH = 128;

/** Splits queued folios of a node, as many as the pressure asks for. */
export function deferredSplitScan(k: Kernel, nid: Nid, priority: number): void {
  if (k.deferredSplit.size === 0) return;
  const queue: FrameId[] = [];
  for (const head of k.deferredSplit) if (k.pm.nidOf(head) === nid) queue.push(head);
  // Four in DEFAULT_SEEKS (two) of the queue, shifted by the priority, but no scan of a few.
  const wanted = Math.min(Math.floor(queue.length / (1 << priority)) * 2, queue.length);
  if (wanted < Math.min(SHRINK_BATCH, queue.length)) return;
  for (let n = 0; n < wanted; n++) splitMappedFolio(k, queue[n]);
}
