/**
 * Exclusive access of a device to a page of system memory, for atomics over buses that have none
 * (mm/rmap.c: make_device_exclusive). DM-70, DM-72.
 *
 * The page stays where it is and keeps its mapping; only the CPU's entry is taken away until the
 * CPU wants it back (deviceEntries.ts).
 */
import type { FrameId, Vpn } from '../base/units.ts';
import { EBUSY, EFAULT, EOPNOTSUPP } from '../uapi/errno.ts';
import { FOLL_SPLIT_PMD, FOLL_WRITE } from '../uapi/gup.ts';
import { setFolioDirty } from './fileFolio.ts';
import { PG_LOCKED } from './frameTable.ts';
import { getUserPages } from './gup.ts';
import type { Kernel } from './kernel.ts';
import { MMU_NOTIFY_EXCLUSIVE, mmuNotifierInvalidate } from './mmuNotifier.ts';
import {
  PTE_D,
  PTE_FAST,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_W,
  PTEB_SOFT_DIRTY,
  pteOther,
  ptePayload,
} from './pageTable.ts';
import type { Task } from './task.ts';

/** Times the page may change under the caller before the model calls it a livelock. */
const RETRIES_MAX = 64;

/**
 * Gives the device exclusive access to the page at `vpn` of the task. Returns its frame, with a
 * reference the caller must drop; or -EFAULT (not mapped, not writable), -ENOMEM, -EOPNOTSUPP (not
 * anonymous), -EBUSY (locked by a migration that Linux would wait for).
 */
export function makeDeviceExclusive(
  k: Kernel,
  task: Task,
  vpn: Vpn,
  owner: object | null,
): FrameId | number {
  const mm = task.mm;
  if (mm === null) return -EFAULT;
  for (let tries = 0; tries < RETRIES_MAX; tries++) {
    const got: FrameId[] = [];
    const result = getUserPages(k, task, vpn, 1, FOLL_WRITE | FOLL_SPLIT_PMD, got);
    if (result !== 1) return result;
    const page = got[0];
    const head = k.frames.headOf(page);
    const refused = refusal(k, head);
    if (refused !== 0) {
      k.putFolio(head);
      return refused;
    }
    mmuNotifierInvalidate(mm, vpn, vpn + 1, MMU_NOTIFY_EXCLUSIVE, owner);
    if (setExclusive(k, mm.pteIndex(vpn), page)) return page;
    k.putFolio(head);
  }
  throw new Error(`exclusive access to page ${vpn} of mm ${mm.id} does not settle`);
}

function refusal(k: Kernel, head: FrameId): number {
  if (!k.folios.isAnon(head)) return -EOPNOTSUPP;
  return (k.frames.flags[head] & PG_LOCKED) !== 0 ? -EBUSY : 0;
}

/** Replaces the entry; false if it does not map the page writable any more, or by a PMD. */
function setExclusive(k: Kernel, i: number, page: FrameId): boolean {
  if (i < 0) return false;
  const word = k.ptes.words[i];
  if ((word & (PTE_FAST | PTE_W)) !== (PTE_FAST | PTE_W) || ptePayload(word) !== page) return false;
  if ((word & PTE_D) !== 0) setFolioDirty(k, k.frames.headOf(page));
  k.ptes.set(i, pteOther(PTE_KIND_DEVICE_EXCLUSIVE, page), k.ptes.bytes[i] & PTEB_SOFT_DIRTY);
  return true;
}
