/**
 * The process that a call with a pid works on (mm/migrate.c: find_mm_struct; mm/mempolicy.c:
 * kernel_migrate_pages). MP-3..MP-8, MP-61, OV-61, OV-62.
 *
 * Not modelled: pid namespaces, LSM hooks (MP-6).
 */

import type { Kernel, Task } from '../mm/index.ts';
import { ESRCH } from '../uapi/errno.ts';

/** The task of a pid, 0 = the caller; or -ESRCH (MP-4). */
export function findTask(k: Kernel, caller: Task, pid: number): Task | number {
  if (pid === 0) return caller;
  return k.tasks.get(pid) ?? -ESRCH;
}

/** cpuset_mems_allowed: nodes with memory that the task's cpuset allows (OV-62). */
export function memsAllowedOf(k: Kernel, task: Task): number {
  return task.memsAllowed & k.pm.nodesWithMemory;
}
