/**
 * One registered buffer of io_uring: its pages are pinned for long, for writing, and charged to
 * RLIMIT_MEMLOCK (io_uring/rsrc.c: io_sqe_buffer_register, io_pin_pages, io_buffer_account_pin).
 * PM-5, PM-23, PM-24a.
 */
import type { FrameId } from '../base/units.ts';
import { type Kernel, pinUserPagesFast, type Task, unpinUserPages } from '../mm/index.ts';
import { EFAULT, ENOMEM } from '../uapi/errno.ts';
import { FOLL_LONGTERM, FOLL_WRITE } from '../uapi/gup.ts';
import { pageOf } from './addressRange.ts';
import { exceedsMemlock } from './mlockLimit.ts';

/** io_buffer_validate. */
const BUFFER_BYTES_MAX = 2 ** 30;

/** struct io_mapped_ubuf. */
export interface RegisteredBuffer {
  readonly owner: Task;
  readonly pages: readonly FrameId[];
  /** Pages charged: a large folio whole, and once for all buffers of a ring. */
  readonly accounted: number;
}

/**
 * Pins [addr, addr + len); `others` are the buffers of the same ring. A negative errno: -EFAULT
 * (not all of it can be had; nothing, or more than 1 GiB), -ENOMEM (limit or memory), -EOPNOTSUPP.
 */
export function registerBuffer(
  k: Kernel,
  caller: Task,
  addr: number,
  len: number,
  others: readonly RegisteredBuffer[] = [],
): RegisteredBuffer | number {
  if (len <= 0 || len > BUFFER_BYTES_MAX) return -EFAULT;
  const first = pageOf(addr);
  const nr = pageOf(addr + len - 1) + 1 - first;
  const pages: FrameId[] = [];
  const flags = FOLL_WRITE | FOLL_LONGTERM;
  const pinned = pinUserPagesFast(k, caller, first, nr, flags, pages);
  if (pinned < nr) {
    unpinUserPages(k, pages);
    return pinned < 0 ? pinned : -EFAULT;
  }
  // The limit is asked after the pages were pinned, and moved for it (PM-24a).
  const accounted = pagesToAccount(k, pages, others);
  if (exceedsMemlock(caller, caller.mm!.pinnedVm + accounted)) {
    unpinUserPages(k, pages);
    return -ENOMEM;
  }
  caller.mm!.pinnedVm += accounted;
  return { owner: caller, pages, accounted };
}

/** io_buffer_unmap. */
export function unregisterBuffer(k: Kernel, buffer: RegisteredBuffer): void {
  unpinUserPages(k, buffer.pages);
  if (buffer.owner.mm !== null) buffer.owner.mm.pinnedVm -= buffer.accounted;
}

function pagesToAccount(
  k: Kernel,
  pages: readonly FrameId[],
  others: readonly RegisteredBuffer[],
): number {
  const heads = new Set<FrameId>();
  let accounted = 0;
  for (const page of pages) {
    const head = k.frames.headOf(page);
    if (!k.folios.isLarge(head)) accounted++;
    else if (!heads.has(head)) {
      heads.add(head);
      const isCharged = others.some((one) => one.pages.some((p) => k.frames.headOf(p) === head));
      if (!isCharged) accounted += k.folios.nrPages(head);
    }
  }
  return accounted;
}
