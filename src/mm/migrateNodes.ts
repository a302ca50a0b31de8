/**
 * Moving all pages of an address space from one set of nodes to another, position by position
 * (mm/mempolicy.c: do_migrate_pages, migrate_to_node). MP-64..MP-67, MP-103.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { type AddressSpace, TASK_SIZE_PAGES } from './addressSpace.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import type { Kernel } from './kernel.ts';
import { nthNode, ordinalOf, weightOf } from './mempolicy.ts';
import { migratePages } from './migrate.ts';
import { MPOL_MF_DISCONTIG_OK, queuePagesRange } from './queuePages.ts';

const INT_MAX = 2147483647;

/**
 * do_migrate_pages: `flags` is MPOL_MF_MOVE or MPOL_MF_MOVE_ALL, `memsAllowed` the nodes that the
 * caller may allocate from (-1 all). Returns the folios left behind (MP-67) or a negative errno.
 */
export function doMigratePages(
  k: Kernel,
  mm: AddressSpace,
  from: number,
  to: number,
  flags: number,
  memsAllowed: number,
): number {
  k.lru.setDisabled(true);
  let failed = 0;
  let rest = from;
  while (rest !== 0) {
    const source = nextSource(rest, from, to);
    if (source < 0) break;
    rest &= ~(1 << source);
    const dest = remapNode(source, from, to);
    const result = migrateToNode(k, mm, source, dest, flags, memsAllowed);
    if (result < 0) {
      failed = result;
      break;
    }
    failed += result;
  }
  k.lru.setDisabled(false);
  return Math.min(failed, INT_MAX);
}

/**
 * MP-64: the source node of the next pair, chosen so that a node is emptied before another one
 * fills it; -1 when no pair is left.
 */
function nextSource(rest: number, from: number, to: number): Nid {
  let source = -1;
  for (let s = 0; s < 32; s++) {
    if ((rest & (1 << s)) === 0) continue;
    // Sets of different size overlap on purpose: what is in both stays.
    if (weightOf(from) !== weightOf(to) && (to & (1 << s)) !== 0) continue;
    const dest = remapNode(s, from, to);
    if (dest === s) continue;
    source = s;
    if ((rest & (1 << dest)) === 0) break;
  }
  return source;
}

/** node_remap: the node of `to` at the position that `nid` has in `from`. */
export function remapNode(nid: Nid, from: number, to: number): Nid {
  const position = ordinalOf(from, nid);
  return position < 0 ? nid : nthNode(to, position % weightOf(to));
}

/** migrate_to_node: one pair. */
function migrateToNode(
  k: Kernel,
  mm: AddressSpace,
  source: Nid,
  dest: Nid,
  flags: number,
  memsAllowed: number,
): number {
  if (mm.vmas.length === 0) return 0;
  const list: FrameId[] = [];
  const failed = queuePagesRange(
    k,
    mm,
    mm.vmas[0].start,
    TASK_SIZE_PAGES,
    1 << source,
    flags | MPOL_MF_DISCONTIG_OK,
    MR_SYSCALL,
    list,
  );
  if (list.length === 0) return failed;
  const destination = { nid: dest, mask: memsAllowed, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  const result = migratePages(k, list, destination, MIGRATE_SYNC, MR_SYSCALL);
  if (result !== 0) putbackMovablePages(k, list);
  return result < 0 ? result : result + failed;
}
