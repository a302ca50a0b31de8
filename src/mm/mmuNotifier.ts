/**
 * Telling drivers that entries change: MMU interval notifiers (mm/mmu_notifier.c). DM-1..DM-4.
 *
 * A driver that mirrors a range of an address space subscribes to it. Whoever changes entries there
 * calls mmuNotifierInvalidate; the callback updates the device's tables and the sequence number
 * grows, so that a mirror which was read before can be told from one that still holds.
 *
 * Deviates: the start and the end of an invalidation are one event, because nothing comes between
 * them: a sequence number is even whenever somebody can look.
 * Not modelled: non-blocking invalidation (-EAGAIN, DM-1); secondary TLB flushes of IOMMUs.
 */
import type { Vpn } from '../base/units.ts';
import { EINVAL, EOVERFLOW } from '../uapi/errno.ts';
import { type AddressSpace, TASK_SIZE_PAGES } from './addressSpace.ts';

/** enum mmu_notifier_event. */
export const MMU_NOTIFY_UNMAP = 0;
export const MMU_NOTIFY_CLEAR = 1;
export const MMU_NOTIFY_PROTECTION_VMA = 2;
export const MMU_NOTIFY_PROTECTION_PAGE = 3;
export const MMU_NOTIFY_RELEASE = 5;
export const MMU_NOTIFY_MIGRATE = 6;
export const MMU_NOTIFY_EXCLUSIVE = 7;

/** A range whose entries change; pages [start, end). */
export interface MmuRange {
  readonly start: Vpn;
  readonly end: Vpn;
  readonly event: number;
  /** Of MIGRATE and EXCLUSIVE events: who causes them; a driver ignores its own (DM-4). */
  readonly owner: object | null;
}

/** Who subscribes (struct mmu_interval_notifier_ops): updates the device's tables. */
export interface MmuListener {
  invalidate(range: MmuRange): void;
}

/** One subscription (struct mmu_interval_notifier). */
export class MmuInterval {
  readonly mm: AddressSpace;
  readonly start: Vpn;
  readonly end: Vpn;
  readonly listener: MmuListener;
  /** Changes with every invalidation that met the range. */
  seq = 0;

  constructor(mm: AddressSpace, start: Vpn, end: Vpn, listener: MmuListener) {
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.listener = listener;
  }
}

/** mmu_interval_notifier_insert: from now on the subscription is called. -EOVERFLOW, -EINVAL. */
export function mmuIntervalInsert(interval: MmuInterval): number {
  const { mm, start, end } = interval;
  if (end <= start || end > TASK_SIZE_PAGES) return -EOVERFLOW; // DM-2
  if (mm.users === 0) return -EINVAL;
  mm.intervals.push(interval);
  return 0;
}

/** mmu_interval_notifier_remove. */
export function mmuIntervalRemove(interval: MmuInterval): void {
  const at = interval.mm.intervals.indexOf(interval);
  if (at >= 0) interval.mm.intervals.splice(at, 1);
}

/** mmu_interval_read_begin: the number that mmuIntervalReadRetry compares with (DM-3). */
export function mmuIntervalReadBegin(interval: MmuInterval): number {
  return interval.seq;
}

/** True if the range was invalidated since `seq` was read. */
export function mmuIntervalReadRetry(interval: MmuInterval, seq: number): boolean {
  return interval.seq !== seq;
}

/** Entries of [start, end) change, or are about to (mmu_notifier_invalidate_range_start, _end). */
export function mmuNotifierInvalidate(
  mm: AddressSpace,
  start: Vpn,
  end: Vpn,
  event: number,
  owner: object | null = null,
): void {
  if (mm.intervals.length === 0) return;
  const range = { start, end, event, owner };
  for (const interval of [...mm.intervals]) {
    if (interval.start >= end || start >= interval.end) continue;
    interval.seq += 2;
    interval.listener.invalidate(range);
  }
}
