/**
 * How far a migrate_pages call is, and its batches: folios that are unmapped together, moved
 * together and accounted together (mm/migrate.c: migrate_pages_batch). MC-4, MC-50, MC-52. All of
 * it is plain data, so that a call between two steps can be saved (src/state).
 */
import type { FrameId } from '../base/units.ts';
import type { MigrateMode, MigrateReason } from '../uapi/migrate.ts';
import type { Destination } from './migrateTarget.ts';
import { type MigrationCounts, zeroCounts } from './migrationCounts.ts';

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

export interface MigrationCall {
  /** The caller's list: empty while the call is under way, then those left. */
  readonly list: FrameId[];
  readonly destination: Destination;
  readonly mode: MigrateMode;
  readonly reason: MigrateReason;
  readonly total: MigrationCounts;
  /** Folios that no batch has taken yet: from `position` on. */
  waiting: FrameId[];
  position: number;
  /** The batch between unmap and move. */
  batch: Batch | null;
  /** Its folios that are unmapped, their destinations, and whether they were mapped. */
  readonly unmapped: FrameId[];
  readonly dst: FrameId[];
  readonly wasMapped: boolean[];
  /** Permanent failures of the batch in progress. */
  failed: FrameId[];
  readonly split: FrameId[];
  /** Leftovers of a batch of the SYNC modes: to be tried alone, tried in vain, counted. */
  singles: FrameId[];
  kept: FrameId[];
  singlesFailed: number;
  /** Folios that stay, and what the call returns if any do. */
  readonly left: FrameId[];
  gathered: number;
  /** CAUSE_* of the failure at hand. */
  cause: number;
  done: boolean;
  isSteppedThrough: boolean;
  /** Who called: others may carry out a later step (KernelTrace). */
  pid: number;
  cpu: number;
}

export function newCall(
  list: FrameId[],
  destination: Destination,
  mode: MigrateMode,
  reason: MigrateReason,
): MigrationCall {
  return {
    list,
    destination,
    mode,
    reason,
    total: zeroCounts(),
    waiting: [],
    position: 0,
    batch: null,
    unmapped: [],
    dst: [],
    wasMapped: [],
    failed: [],
    split: [],
    singles: [],
    kept: [],
    singlesFailed: 0,
    left: [],
    gathered: 0,
    cause: 0,
    done: false,
    isSteppedThrough: true,
    pid: 0,
    cpu: 0,
  };
}

/** A split folio counts as one that failed; its children count for themselves (MC-50). */
export function countSplit(batch: Batch, thp: number): void {
  batch.nrFailed++;
  batch.counts.thpFailed += thp;
  batch.counts.thpSplit += thp;
  batch.counts.split++;
}
