/**
 * Movable pages that are no folios: pages of drivers that can be asked to isolate, migrate and put
 * back a page of theirs (mm/migrate.c: isolate_movable_ops_page, migrate_movable_ops_page,
 * putback_movable_ops_page, set_movable_ops). MC-70..MC-73, OV-19 class 3.
 *
 * Such a page has a type (balloon: PGTY_OFFLINE, zsmalloc: PGTY_ZSMALLOC) and PG_MOVABLE_OPS, order
 * 0, no LRU list, no mapping, no page table entries. The mark says whose page it is until it is
 * freed; whether it is still in use only the driver knows.
 *
 * Order of isolation: reference -> mark -> lock -> not isolated yet -> driver -> isolated mark.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { EBUSY } from '../uapi/errno.ts';
import type { MigrateMode } from '../uapi/migrate.ts';
import {
  MAPPING_NONE,
  PG_HEAD,
  PG_LOCKED,
  PG_MOVABLE_OPS,
  PG_MOVABLE_OPS_ISOLATED,
  PG_RESERVED,
  PG_UPTODATE,
  PGTY_OFFLINE,
  PGTY_ZSMALLOC,
} from './frameTable.ts';
import type { Kernel } from './kernel.ts';

/** struct movable_operations. All are called with the page locked. */
export interface MovableOperations {
  /** Takes the page out of the driver's reach; false if it cannot be had now. */
  isolatePage(page: FrameId): boolean;
  /**
   * The content is to be in `dst` from now on. 0: done, the driver has taken a reference to `dst`
   * (unless it gave the page up) and dropped its own to `src`. -EAGAIN: try again. Other errno: no.
   */
  migratePage(dst: FrameId, src: FrameId, mode: MigrateMode): number;
  /** An isolated page comes back. */
  putbackPage(page: FrameId): void;
}

export type MovableType = typeof PGTY_OFFLINE | typeof PGTY_ZSMALLOC;

/** The operations of each page type: at most one driver has them. */
export class MovableOps {
  private offline: MovableOperations | null = null;
  private zsmalloc: MovableOperations | null = null;

  of(type: number): MovableOperations | null {
    if (type === PGTY_OFFLINE) return this.offline;
    return type === PGTY_ZSMALLOC ? this.zsmalloc : null;
  }

  /** set_movable_ops: 0, or -EBUSY where another driver is registered. null takes them away. */
  set(type: MovableType, ops: MovableOperations | null): number {
    if (ops !== null && this.of(type) !== null) return -EBUSY;
    if (type === PGTY_OFFLINE) this.offline = ops;
    else this.zsmalloc = ops;
    return 0;
  }
}

/** page_has_movable_ops. */
export function hasMovableOps(k: Kernel, page: FrameId): boolean {
  return (k.frames.flags[page] & PG_MOVABLE_OPS) !== 0;
}

/** A fresh page becomes a driver's: __SetPageOffline and the like, SetPageMovableOps. */
export function setPageType(k: Kernel, page: FrameId, type: MovableType, movable: boolean): void {
  const f = k.frames;
  f.mapcount[page] = type;
  f.flags[page] &= ~PG_UPTODATE;
  if (movable) f.flags[page] |= PG_MOVABLE_OPS;
}

/**
 * split_page: the pages of a driver's compound block go their own ways. Each gets the reference
 * count 1; the head keeps its flags and the references that others hold.
 */
export function splitDriverBlock(k: Kernel, head: FrameId): void {
  const f = k.frames;
  const nr = k.folios.nrPages(head);
  f.flags[head] &= ~PG_HEAD;
  f.setOrder(head, 0);
  for (let page = head + 1; page < head + nr; page++) {
    f.flags[page] = 0;
    f.refcount[page] = 1;
    f.mapcount[page] = 0;
    f.mapping[page] = MAPPING_NONE;
    f.private_[page] = 0;
    f.setIndex(page, 0);
    f.setOrder(page, 0);
  }
}

/** copy_highpage: one page's content, by a driver. */
export function copyHighpage(k: Kernel, dst: FrameId, src: FrameId): void {
  if (k.frames.content !== null) k.frames.content[dst] = k.frames.content[src];
}

/** isolate_movable_ops_page: a reference and the driver's consent, or false (MC-71). */
export function isolateMovableOpsPage(k: Kernel, page: FrameId): boolean {
  const f = k.frames;
  if ((f.flags[page] & PG_RESERVED) !== 0 || !k.folios.tryGet(page)) return false;
  const busy = PG_LOCKED | PG_MOVABLE_OPS_ISOLATED;
  const ops = k.movableOps.of(f.mapcount[page]);
  if (ops !== null && hasMovableOps(k, page) && (f.flags[page] & busy) === 0) {
    f.flags[page] |= PG_LOCKED;
    const isolated = ops.isolatePage(page);
    f.flags[page] &= ~PG_LOCKED;
    if (isolated) {
      f.flags[page] |= PG_MOVABLE_OPS_ISOLATED;
      return true;
    }
  }
  k.putFolio(page);
  return false;
}

/** migrate_movable_ops_page: what the driver said (MC-72). Both pages are locked. */
export function migrateMovableOpsPage(
  k: Kernel,
  dst: FrameId,
  src: FrameId,
  mode: MigrateMode,
): number {
  const result = operationsOf(k, src).migratePage(dst, src, mode);
  if (result === 0) k.frames.flags[src] &= ~PG_MOVABLE_OPS_ISOLATED;
  return result;
}

/** putback_movable_ops_page: the driver gets it back, the isolation reference goes (MC-73). */
export function putbackMovableOpsPage(k: Kernel, page: FrameId): void {
  const f = k.frames;
  assert((f.flags[page] & PG_MOVABLE_OPS_ISOLATED) !== 0, 'an isolated page is put back', page);
  f.flags[page] |= PG_LOCKED;
  operationsOf(k, page).putbackPage(page);
  f.flags[page] &= ~(PG_LOCKED | PG_MOVABLE_OPS_ISOLATED);
  k.putFolio(page);
}

function operationsOf(k: Kernel, page: FrameId): MovableOperations {
  const ops = k.movableOps.of(k.frames.mapcount[page]);
  assert(ops !== null, 'a page with PG_MOVABLE_OPS has a driver', page);
  return ops as MovableOperations;
}
