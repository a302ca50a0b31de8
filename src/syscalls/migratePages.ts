/**
 * migrate_pages(2): moves all pages of a process from some nodes to others (mm/mempolicy.c:
 * kernel_migrate_pages). MP-60..MP-68; the pairing of nodes is mm's doMigratePages.
 *
 * Not modelled: LSM hooks.
 */

import {
  CAP_SYS_NICE,
  doMigratePages,
  type Kernel,
  ptraceMayRead,
  type Task,
} from '../mm/index.ts';
import { EINVAL, EPERM } from '../uapi/errno.ts';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL } from '../uapi/mempolicy.ts';
import { findTask, memsAllowedOf } from './targetTask.ts';
import { getNodes, type UserNodeMask } from './userMemory.ts';

/**
 * Returns the folios that could not be moved (0 = all), or -EINVAL, -EFAULT, -ESRCH, -EPERM,
 * -ENOMEM, in the order of MP-61.
 */
export function migratePagesCall(
  k: Kernel,
  caller: Task,
  pid: number,
  oldNodes: UserNodeMask,
  newNodes: UserNodeMask,
): number {
  const from = getNodes(oldNodes);
  if (from.error !== 0) return from.error;
  const to = getNodes(newNodes);
  if (to.error !== 0) return to.error;
  const target = findTask(k, caller, pid);
  if (typeof target === 'number') return target;
  if (!ptraceMayRead(caller, target)) return -EPERM;
  const nice = caller.capable(CAP_SYS_NICE);
  if ((to.nodes & ~memsAllowedOf(k, target)) !== 0 && !nice) return -EPERM;
  const dest = to.nodes & memsAllowedOf(k, caller) & k.pm.capable.migrate_in;
  if (dest === 0) return -EINVAL;
  if (target.mm === null) return -EINVAL;
  const flags = nice ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE;
  return doMigratePages(k, target.mm, from.nodes, dest, flags, caller.memsAllowed);
}
