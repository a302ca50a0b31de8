/**
 * One batch of a migrate_pages call: folios that are unmapped together, moved together, and
 * accounted together (mm/migrate.c: migrate_pages_batch and its arguments). MC-4, MC-50, MC-52.
 */
import type { FrameId } from '../base/units.ts';
import type { MigrateMode } from '../uapi/migrate.ts';
import type { MigrationCounts } from './migrationCounts.ts';

/** Which part of the call a batch is. */
export const WHOLE = 0; // the mode ASYNC: nothing follows
export const FIRST = 1; // the ASYNC pass of the SYNC modes
export const SINGLE = 2; // one leftover of FIRST, in the mode asked for
export const CHILDREN = 3; // of folios that were split
type Part = typeof WHOLE | typeof FIRST | typeof SINGLE | typeof CHILDREN;

export interface Batch {
  readonly part: Part;
  /** To do; then those that kept saying -EAGAIN or were not reached. */
  folios: FrameId[];
  readonly mode: MigrateMode;
  readonly passes: number;
  readonly counts: MigrationCounts;
  /** Folios, split ones included. */
  nrFailed: number;
  /** 0 or -ENOMEM: the call ends with it. */
  error: number;
}

export function newBatch(
  part: Part,
  folios: FrameId[],
  mode: MigrateMode,
  passes: number,
  counts: MigrationCounts,
): Batch {
  return { part, folios, mode, passes, counts, nrFailed: 0, error: 0 };
}
