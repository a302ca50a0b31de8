/**
 * Who may lock how much, and populating what is locked (mm/mlock.c: can_do_mlock,
 * mlock_future_ok; mm/gup.c: __mm_populate).
 */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import { CAP_IPC_LOCK, type Kernel, populateRange, type Task, VM_LOCKED } from '../mm/index.ts';
import { EAGAIN } from '../uapi/errno.ts';

export function canDoMlock(task: Task): boolean {
  return task.rlimitMemlock > 0 || task.capable(CAP_IPC_LOCK);
}

/** Whether `pages` locked in all pass the limit of a task that must keep to it. */
export function exceedsMemlock(task: Task, pages: number): boolean {
  return !task.capable(CAP_IPC_LOCK) && pages > Math.floor(task.rlimitMemlock / PAGE_SIZE);
}

/** mlock_future_ok: -EAGAIN if `pages` more of an area with these flags pass the limit. */
export function mlockFuture(task: Task, vmFlags: number, pages: number): number {
  if ((vmFlags & VM_LOCKED) === 0) return 0;
  return exceedsMemlock(task, task.mm!.lockedVm + pages) ? -EAGAIN : 0;
}

/** __mm_populate: 0, or the errno of the first page that cannot be faulted in. */
export function populate(k: Kernel, task: Task, start: Vpn, end: Vpn): number {
  return populateRange(k, task, start, end);
}
