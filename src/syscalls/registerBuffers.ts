/**
 * io_uring_register(2) with IORING_REGISTER_BUFFERS: pins a buffer for long, for writing
 * (io_uring/rsrc.c: io_pin_pages, io_buffer_account_pin). PM-5, PM-23, PM-24a.
 * Not modelled: several buffers of one table, buffers that are updated one by one.
 */
import type { FrameId } from '../base/units.ts';
import { type Kernel, pinUserPagesFast, type Task, unpinUserPages } from '../mm/index.ts';
import { EFAULT, ENOMEM } from '../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { pageOf, pagesOf } from './addressRange.ts';
import { exceedsMemlock } from './mlockLimit.ts';

/** Appends the pinned frames to `out`: 0, -EFAULT (not all of it), -ENOMEM (limit or memory). */
export function registerBuffer(
  k: Kernel,
  caller: Task,
  addr: number,
  len: number,
  out: FrameId[],
): number {
  const nr = pagesOf(len);
  const pages: FrameId[] = [];
  const flags = FOLL_WRITE | FOLL_LONGTERM;
  const pinned = pinUserPagesFast(k, caller, pageOf(addr), nr, flags, pages);
  // The limit is asked after the pages were pinned, and moved for it (PM-24a).
  const isOver = exceedsMemlock(caller, caller.mm!.pinnedVm + nr);
  if (pinned < nr || isOver) {
    unpinUserPages(k, pages);
    if (pinned < 0) return pinned;
    return pinned < nr ? -EFAULT : -ENOMEM;
  }
  caller.mm!.pinnedVm += nr;
  for (const page of pages) out.push(page);
  return 0;
}

/** IORING_UNREGISTER_BUFFERS, and what closing the ring does. */
export function unregisterBuffer(k: Kernel, owner: Task, pages: readonly FrameId[]): void {
  unpinUserPages(k, pages);
  if (owner.mm !== null) owner.mm.pinnedVm -= pages.length;
}
