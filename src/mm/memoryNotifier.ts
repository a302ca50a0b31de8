/**
 * Who is asked and told when memory goes offline or online (include/linux/memory.h:
 * register_memory_notifier): drivers that hold pages, and may veto. PM-70.
 */
import type { Pfn } from '../base/units.ts';
import type { Kernel } from './kernel.ts';

export interface MemoryNotifier {
  /** MEM_GOING_OFFLINE: 0, or the negative errno with which the memory stays. */
  readonly goingOffline?: (startPfn: Pfn, nrPages: number) => number;
  /** MEM_CANCEL_OFFLINE: the memory stays after all. */
  readonly cancelOffline?: (startPfn: Pfn, nrPages: number) => void;
  /** MEM_OFFLINE */
  readonly offline?: (startPfn: Pfn, nrPages: number) => void;
  /** MEM_ONLINE */
  readonly online?: (startPfn: Pfn, nrPages: number) => void;
}

/** memory_notify(MEM_GOING_OFFLINE): the first veto, or 0. Those after it are not asked. */
export function notifyGoingOffline(k: Kernel, startPfn: Pfn, nrPages: number): number {
  for (const notifier of k.memoryNotifiers) {
    const result = notifier.goingOffline?.(startPfn, nrPages) ?? 0;
    if (result !== 0) return result;
  }
  return 0;
}

/** memory_notify of what has happened. */
export function notifyMemory(
  k: Kernel,
  event: 'cancelOffline' | 'offline' | 'online',
  startPfn: Pfn,
  nrPages: number,
): void {
  for (const notifier of k.memoryNotifiers) notifier[event]?.(startPfn, nrPages);
}
