/** mm_migrate_pages_start and mm_migrate_pages of one call, and who makes the call. */
import type { KernelTrace } from './kernelTrace.ts';
import type { MigrationCall } from './migrateBatch.ts';

/** The call begins: whoever runs now is its caller, also when others carry out a later step. */
export function traceMigrationStart(trace: KernelTrace, call: MigrationCall): void {
  call.pid = trace.pid;
  call.cpu = trace.cpu;
  if (trace.mmMigratePagesStart.isEnabled) trace.mmMigratePagesStart.emit(call.mode, call.reason);
}

export function traceMigrationEnd(trace: KernelTrace, call: MigrationCall): void {
  if (!trace.mmMigratePages.isEnabled) return;
  const { total, mode, reason } = call;
  trace.mmMigratePages.emit(
    total.succeededPages,
    total.failedPages,
    total.thpSucceeded,
    total.thpFailed,
    total.thpSplit,
    total.split,
    mode,
    reason,
  );
}

/** Lets the caller of a call between two steps run; returns what lets the present task go on. */
export function runCallerOf(trace: KernelTrace, call: MigrationCall): () => void {
  const { pid, cpu } = trace;
  if (call.batch !== null) trace.run(call.pid, call.cpu);
  return () => trace.run(pid, cpu);
}
