/**
 * How free memory of a zone is cut up (mm/vmstat.c: fill_contig_page_info, __fragmentation_index,
 * extfrag_for_order; mm/compaction.c: fragmentation_score_zone). PM-86, PM-87, PM-90, PM-91.
 */
import { HPAGE_PMD_ORDER, MAX_PAGE_ORDER, type Order, PAGEBLOCK_NR } from '../base/units.ts';
import { MIGRATE_TYPES } from '../uapi/zone.ts';
import { PG_BUDDY, PG_LRU } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import type { Zone } from './zone.ts';

/** What fill_contig_page_info counts, isolated blocks included. */
interface ContigPages {
  freePages: number;
  freeBlocks: number;
  /** Blocks of the order that the free memory holds as it is. */
  suitableBlocks: number;
}

function contigPages(zone: Zone, suitable: Order): ContigPages {
  const info = { freePages: 0, freeBlocks: 0, suitableBlocks: 0 };
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    let blocks = 0;
    for (let type = 0; type < MIGRATE_TYPES; type++) blocks += zone.nrFreeBlocks(order, type);
    info.freeBlocks += blocks;
    info.freePages += blocks << order;
    if (order >= suitable) info.suitableBlocks += blocks << (order - suitable);
  }
  return info;
}

/**
 * fragmentation_index: -1000 if a block of the order is free; else from 0 (memory is short) to 1000
 * (it is there, but in pieces).
 */
export function fragmentationIndex(zone: Zone, order: Order): number {
  const info = contigPages(zone, order);
  if (info.freeBlocks === 0) return 0;
  if (info.suitableBlocks > 0) return -1000;
  const requested = 1 << order;
  const missing = 1000 + Math.floor((info.freePages * 1000) / requested);
  return 1000 - Math.floor(missing / info.freeBlocks);
}

/** extfrag_for_order: per cent of the free memory that is in blocks below the order. */
export function extfragForOrder(zone: Zone, order: Order): number {
  const info = contigPages(zone, order);
  if (info.freePages === 0) return 0;
  const usable = info.suitableBlocks << order;
  return Math.floor(((info.freePages - usable) * 100) / info.freePages);
}

/** fragmentation_score_zone: for huge pages. */
export function fragmentationScoreZone(zone: Zone): number {
  return extfragForOrder(zone, HPAGE_PMD_ORDER);
}

/** fragmentation_score_node: zones weigh by their size. */
export function fragmentationScoreNode(k: Kernel, nid: number): number {
  const node = k.pm.nodes[nid];
  let score = 0;
  for (const zone of node.zones) {
    if (!zone.isPopulated) continue;
    score += Math.floor((fragmentationScoreZone(zone) * zone.presentPages) / (node.present + 1));
  }
  return score;
}

/**
 * PM-91: pageblocks of a zone that are free, or that compaction could empty: free frames and folios
 * on the LRU without pins or references that nothing explains. Reads only.
 */
export function thpAvailable(k: Kernel, zone: Zone): number {
  let blocks = 0;
  for (const range of zone.presentRanges) {
    const first = Math.ceil(zone.managedFrom(range) / PAGEBLOCK_NR) * PAGEBLOCK_NR;
    for (let start = first; start + PAGEBLOCK_NR <= range.end; start += PAGEBLOCK_NR) {
      if (isMakeable(k, start)) blocks++;
    }
  }
  return blocks;
}

function isMakeable(k: Kernel, start: number): boolean {
  if (k.pm.buddy.blockOf(start) >= 0 && k.pm.isPristine(start)) return true;
  const f = k.frames;
  for (let frame = start; frame < start + PAGEBLOCK_NR; ) {
    if ((f.flags[frame] & PG_BUDDY) !== 0) {
      frame += 1 << f.orderOf(frame);
      continue;
    }
    const head = f.headOf(frame);
    if (k.pm.isFree(frame)) return true;
    const isMovable = (f.flags[head] & PG_LRU) !== 0;
    if (!isMovable || f.refcount[head] > k.folios.expectedRefs(head)) return false;
    frame = head + k.folios.nrPages(head);
  }
  return true;
}
