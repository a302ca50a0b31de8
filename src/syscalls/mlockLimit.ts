/**
 * Who may lock how much, and populating what is locked (mm/mlock.c: can_do_mlock,
 * mlock_future_ok; mm/gup.c: __mm_populate).
 */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  CAP_IPC_LOCK,
  type Kernel,
  populateRange,
  type Task,
  VM_LOCKED,
  VM_LOCKONFAULT,
} from '../mm/index.ts';

export function canDoMlock(task: Task): boolean {
  return task.rlimitMemlock > 0 || task.capable(CAP_IPC_LOCK);
}

/** Whether `pages` locked in all pass the limit of a task that must keep to it. */
export function exceedsMemlock(task: Task, pages: number): boolean {
  return !task.capable(CAP_IPC_LOCK) && pages > Math.floor(task.rlimitMemlock / PAGE_SIZE);
}

/** Locked, and to be faulted in at once. */
export function isLockedNow(vmFlags: number): boolean {
  return (vmFlags & VM_LOCKED) !== 0 && (vmFlags & VM_LOCKONFAULT) === 0;
}

/** mm_populate: what cannot be faulted in is left; the mapping stays. */
export function populate(k: Kernel, task: Task, start: Vpn, end: Vpn): number {
  return populateRange(k, task, start, end);
}
