/**
 * Why pages did not move: every failure of migration leaves a record with its cause (design 3.5).
 * A ring of the latest records, and a count per cause for the whole run.
 */
import type { FrameId } from '../base/units.ts';

/** Causes, with the rule that explains each. */
export const FAILURE_CAUSES = [
  'pinned', // MC-27: anon-exclusive page that may be DMA-pinned
  'extra-reference', // MC-38, OV-42
  'no-destination-memory', // MC-49
  'folio-locked', // MC-16
  'writeback', // MC-17
  'still-mapped', // MC-23
  'no-migrate-operation', // MC-41
  'inaccessible-mapping', // MC-37
  'hardware-poison', // MC-39
  'buffers-busy', // MC-21, MC-40
  'not-on-lru', // MC-5, MP-27
  'shared', // MP-26
  'split-failed', // MC-85
  'driver-refused', // MC-72
  'not-in-cpuset', // MP-14
  'vma-not-migratable', // MP-21
  'destination-under-watermark', // TI-23
  'dirty-file', // TI-23, MC-41
  'unmovable', // PM-60, PM-62: no folio that migration knows
  'pageblock-isolated', // PM-62
  'hugetlb-promised', // PM-70: a free pool page that a mapping was promised
] as const;
export type FailureCause = number;

export const CAUSE_PINNED = 0;
export const CAUSE_EXTRA_REFERENCE = 1;
export const CAUSE_NO_MEMORY = 2;
export const CAUSE_LOCKED = 3;
export const CAUSE_WRITEBACK = 4;
export const CAUSE_STILL_MAPPED = 5;
export const CAUSE_NO_MIGRATE_OP = 6;
export const CAUSE_INACCESSIBLE = 7;
export const CAUSE_HWPOISON = 8;
export const CAUSE_BUFFERS_BUSY = 9;
export const CAUSE_NOT_ON_LRU = 10;
export const CAUSE_SHARED = 11;
export const CAUSE_SPLIT_FAILED = 12;
export const CAUSE_DRIVER_REFUSED = 13;
export const CAUSE_NOT_IN_CPUSET = 14;
export const CAUSE_VMA_NOT_MIGRATABLE = 15;
export const CAUSE_WATERMARK = 16;
export const CAUSE_DIRTY_FILE = 17;
export const CAUSE_UNMOVABLE = 18;
export const CAUSE_PAGEBLOCK_ISOLATED = 19;
export const CAUSE_HUGETLB_PROMISED = 20;

const RING_SIZE = 4096;

export class FailureLog {
  /** Base pages by cause. */
  readonly pages: Float64Array = new Float64Array(FAILURE_CAUSES.length);
  /** The latest records, oldest overwritten first. */
  readonly frame: Int32Array = new Int32Array(RING_SIZE);
  readonly cause: Uint8Array = new Uint8Array(RING_SIZE);
  readonly reason: Uint8Array = new Uint8Array(RING_SIZE);
  /** Records ever written; the latest is at (written - 1) % ring size. */
  written = 0;

  record(frame: FrameId, cause: FailureCause, reason: number, nrPages: number): void {
    const i = this.written++ % RING_SIZE;
    this.frame[i] = frame;
    this.cause[i] = cause;
    this.reason[i] = reason;
    this.pages[cause] += nrPages;
  }

  /** The latest cause recorded for a frame, or -1. */
  lastCauseOf(frame: FrameId): FailureCause {
    const oldest = Math.max(0, this.written - RING_SIZE);
    for (let n = this.written - 1; n >= oldest; n--) {
      if (this.frame[n % RING_SIZE] === frame) return this.cause[n % RING_SIZE];
    }
    return -1;
  }
}
