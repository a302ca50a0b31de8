/** fork(2), and clone(2) for a thread (kernel/fork.c). The copying is mm's. */
import { cloneThread, forkTask, type Kernel, type Task } from '../mm/index.ts';

/** Returns the child's pid, or -ENOMEM. */
export function fork(k: Kernel, caller: Task): number {
  const child = forkTask(k, caller);
  return typeof child === 'number' ? child : child.pid;
}

/** clone with CLONE_VM | CLONE_THREAD: returns the thread's id. */
export function clone(k: Kernel, caller: Task): number {
  return cloneThread(k, caller).pid;
}
