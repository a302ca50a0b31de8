/**
 * Host memory closer to the device that uses it (A8): what a program does that reads a device's
 * counters and calls move_pages (mm/migrate.c: do_pages_move), here for the pages of one range.
 *
 * The device's entries go with the first page (CLEAR); its next access is a device fault.
 */
import type { FrameId, Nid, Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  isolateFolio,
  type Kernel,
  MigrationOp,
  pageAt,
  putbackMovablePages,
} from '../mm/index.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';

/**
 * The pages of [start, end) that are in host memory elsewhere go to node `nid`. How many are there
 * that were not: what is pinned or held stays, and all do when the node is full.
 */
export function migrateNear(k: Kernel, mm: AddressSpace, start: Vpn, end: Vpn, nid: Nid): number {
  const far: Vpn[] = [];
  const list: FrameId[] = [];
  k.lru.drainAll();
  for (let vpn = start; vpn < end; vpn++) {
    const page = pageAt(k, mm, vpn);
    if (page < 0 || k.pm.isZoneDevice(page) || k.pm.nidOf(page) === nid) continue;
    far.push(vpn);
    isolateFolio(k, k.frames.headOf(page), list);
  }
  if (list.length === 0) return 0;
  const to = { nid, mask: -1, gfp: GFP_HIGHUSER_MOVABLE | __GFP_THISNODE };
  new MigrationOp(k, list, to, MIGRATE_SYNC, MR_SYSCALL).finish();
  putbackMovablePages(k, list);
  return far.filter((vpn) => {
    const page = pageAt(k, mm, vpn);
    return page >= 0 && k.pm.nidOf(page) === nid;
  }).length;
}
