/** exit(2) and wait4(2) for one child (kernel/exit.c). Until then it is a zombie. */

import { exitTask, type Kernel, reapTask, type Task } from '../mm/index.ts';
import { ECHILD } from '../uapi/errno.ts';

export function exit(k: Kernel, caller: Task): void {
  exitTask(k, caller);
}

/** Returns the pid of the zombie that was reaped, 0 if it still runs (WNOHANG), or -ECHILD. */
export function waitpid(k: Kernel, caller: Task, pid: number): number {
  const child = k.tasks.get(pid);
  if (child === undefined || child.parent !== caller) return -ECHILD;
  if (!child.exited) return 0;
  reapTask(k, child);
  return pid;
}
