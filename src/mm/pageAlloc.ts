/** The page allocator's front (mm/page_alloc.c __alloc_frozen_pages, free_pages). */
import { InvariantError } from '../base/assert.ts';
import type { FrameId, Nid, Order } from '../base/units.ts';
import type { PhysicalMemory } from './physicalMemory.ts';

/**
 * A block of 2^order frames with refcount 1, or -1.
 * `nodemask`: bit mask, -1 = all nodes with memory; the caller has folded its cpuset in.
 */
export function allocPages(
  pm: PhysicalMemory,
  order: Order,
  gfp: number,
  preferredNid: Nid,
  nodemask: number,
): FrameId {
  throw new InvariantError(`not built yet: ${pm} ${order} ${gfp} ${preferredNid} ${nodemask}`);
}

/** Frees a block as it was allocated (or split: any naturally aligned part). */
export function freePages(pm: PhysicalMemory, head: FrameId, order: Order): void {
  throw new InvariantError(`not built yet: ${pm} ${head} ${order}`);
}
